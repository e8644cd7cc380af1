//! What is kept of an order to recognise it by: no text, but which pairs of characters its first statement has, which of them are
//! left without the names of places, and which places it names.

use sha2::{Digest, Sha256};

use crate::text::{Place, clean, is_letter_or_digit, places, statement};

/// Most pairs of a statement that are kept: what is longer is told by its beginning.
const MAX_PAIRS: usize = 256;

/// Places to which citizens are sent, or that are half a town: many orders name them, and none is about them.
const NOWHERE: [&str; 7] = ["中心", "服务站", "派出所", "驾校", "社区", "府城", "机场"];

/// Shortest name of a place that two orders may share, in characters.
const LEAST_NAME: usize = 3;

/// What an order is recognised by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    /// Sorted, each once: sixteen bits of a pair of neighbouring characters.
    pairs: Vec<u16>,
    /// The same of what stands between the names of places: what is wrong there. Two orders about one long address are alike in
    /// every character of it, and need not be in any of these.
    topic: Vec<u16>,
    places: Vec<Place>,
}

impl Marks {
    /// Of an appeal's text as it was sent, or as it was masked.
    pub fn of(text: &str) -> Self {
        let text = clean(text);
        let statement = statement(text.as_str());
        let mut places = places(statement);
        places.retain(|place| place.name.chars().count() >= LEAST_NAME);
        let mut between = vec![statement];
        for place in &places {
            between = between.into_iter().flat_map(|piece| piece.split(place.name.as_str())).collect();
        }
        let topic = pairs(between);
        places.retain(|place| !NOWHERE.iter().any(|nowhere| place.name.ends_with(nowhere)));
        Self { pairs: pairs([statement]), topic, places }
    }

    /// The places that it names.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Twice the pairs that both have, by the pairs of either: from 0 to 1.
    pub fn likeness(&self, other: &Self) -> f32 {
        2.0 * shared(&self.pairs, &other.pairs) as f32 / (self.pairs.len() + other.pairs.len()).max(1) as f32
    }

    /// How much of what the shorter of the two says beside places the other says too: from 0 to 1.
    pub(super) fn topic_likeness(&self, other: &Self) -> f32 {
        shared(&self.topic, &other.topic) as f32 / self.topic.len().min(other.topic.len()).max(1) as f32
    }

    /// The places that both name.
    pub(super) fn shared_places<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a Place> {
        self.places.iter().filter(|place| other.places.iter().any(|one| one.is(place)))
    }

    /// How many places both name: a road and a house number in it, named apart, are one place to whoever names the road alone.
    pub(super) fn count_shared_places(&self, other: &Self) -> usize {
        self.shared_places(other).count().min(other.shared_places(self).count())
    }

    /// Whether both name a place and give it different house numbers.
    pub(super) fn next_door(&self, other: &Self) -> bool {
        let differs = |place: &Place, one: &Place| place.is_named_like(one) && !place.is(one);
        self.places.iter().any(|place| other.places.iter().any(|one| differs(place, one)))
    }
}

/// Pairs of neighbouring letters and digits in pieces of a text, sorted and each once.
fn pairs<'a>(pieces: impl IntoIterator<Item = &'a str>) -> Vec<u16> {
    let (mut pairs, mut room) = (Vec::new(), MAX_PAIRS + 1);
    for piece in pieces {
        let letters: Vec<char> = piece.chars().filter(|&c| is_letter_or_digit(c)).take(room).collect();
        room -= letters.len();
        pairs.extend(letters.windows(2).map(|pair| folded(pair[0], pair[1])));
    }
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

/// How many of two sorted lists are the same.
fn shared(own: &[u16], others: &[u16]) -> usize {
    let (mut own, mut others) = (own.iter().peekable(), others.iter().peekable());
    let mut shared = 0;
    while let (Some(a), Some(b)) = (own.peek(), others.peek()) {
        match a.cmp(b) {
            std::cmp::Ordering::Less => drop(own.next()),
            std::cmp::Ordering::Greater => drop(others.next()),
            std::cmp::Ordering::Equal => {
                shared += 1;
                own.next();
                others.next();
            }
        }
    }
    shared
}

/// Two characters in sixteen bits. Which bits does not matter, but it must stay the same from run to run.
fn folded(first: char, second: char) -> u16 {
    let both = (u64::from(u32::from(first)) << 32 | u64::from(u32::from(second))).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (both >> 48) as u16
}

/// Who called, as far as we may know: a digest of the hotline's opaque token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallerMark([u8; 16]);

impl CallerMark {
    /// Of a token; `None` if there is none.
    pub fn of(token: &str) -> Option<Self> {
        let digest = Sha256::new().chain_update("caller of an appeal\n").chain_update(token).finalize();
        let (mark, _) = digest.split_first_chunk::<16>()?;
        (!token.is_empty()).then_some(Self(*mark))
    }

    /// In hexadecimal, to be kept.
    pub fn hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Of what was kept; `None` if it is none.
    pub fn from_hex(hex: &str) -> Option<Self> {
        let byte = |i: usize| u8::from_str_radix(hex.get(2 * i..2 * i + 2)?, 16).ok();
        let bytes: Vec<u8> = (0..16).map_while(byte).collect();
        (hex.len() == 32).then_some(Self(bytes.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_call_a_second_and_the_units_are_alike() {
        let first = Marks::of("某区甲乙路8号烧烤店油烟太大，影响休息");
        let second =
            Marks::of("某区甲乙路8号烧烤店油烟太大，影响休息。2099-01-02某区某局答复：已责令整改。市民再次来电反映：没有改善");
        let unit = Marks::of(
            "某局来电反馈：工单号《关于油烟的问题》处理情况工单内容：市民来电反映：某区甲乙路8号烧烤店油烟太大，影响休息",
        );
        assert_eq!((first.likeness(&second), first.likeness(&unit)), (1.0, 1.0));
        assert_eq!(first.shared_places(&unit).map(Place::to_string).collect::<Vec<_>>(), ["甲乙路8号"]);
        let other = Marks::of("某区甲乙路10号工地夜间施工");
        assert!(first.likeness(&other) < 0.4);
        assert!(first.next_door(&other) && first.shared_places(&other).next().is_none());
    }

    #[test]
    fn a_callers_mark_does_not_hold_the_token() {
        assert_eq!(CallerMark::of(""), None);
        assert_eq!(CallerMark::of("a7"), CallerMark::of("a7"));
        assert_ne!(CallerMark::of("a7"), CallerMark::of("a8"));
        let kept = CallerMark::of("a7").expect("a mark").hex();
        assert_eq!(CallerMark::from_hex(&kept), CallerMark::of("a7"));
        assert!(!kept.contains("a7a7") && CallerMark::from_hex("a7").is_none() && CallerMark::from_hex("").is_none());
    }

    #[test]
    fn nothing_is_like_nothing() {
        assert_eq!(Marks::of("").likeness(&Marks::of("")), 0.0);
    }
}
