//! Which numbers in a text are somebody's: phones, cards, orders. Reads each chain of digit groups (`138 1234-5678`) once and
//! decides by length, form and the words in front.

use std::ops::Range;

use super::aligned::Edit;
use super::masking::{BANK_CARD, ID_CARD, MOBILE, ORDER, PHONE};

/// What may stand between the digits of one number.
const SEPARATORS: &str = " -.‐‑‒–—―_/·•()*";
/// What may stand between the three groups of a mobile number, and of no other: numbers of rooms are listed so as well.
const LOOSE_SEPARATORS: &str = ",、:+~|";
/// At most this many separators in a row: `138 - 1234`.
const MAX_SEPARATORS: usize = 3;
/// Digits of the longest number that is written in groups: a bank card's 19, with room for `0086`.
const MAX_DIGITS: usize = 19;

/// The personal numbers of a normalised text and what stands in for them, in ascending order.
pub(super) fn personal(text: &str) -> Vec<Edit<'static>> {
    let groups = groups(text);
    let mut edits = Vec::new();
    let mut at = 0;
    while at < groups.len() {
        match longest(text, &groups, at) {
            Some((next, edit)) => {
                edits.push(edit);
                at = next;
            }
            None => at += 1,
        }
    }
    let spoken = spoken(text);
    if !spoken.is_empty() {
        edits.extend(spoken);
        edits.sort_by_key(|(range, _)| range.start);
    }
    edits
}

/// Mobile numbers in the characters that they are read out in: 一三八…, 幺三八….
fn spoken(text: &str) -> Vec<Edit<'static>> {
    let is_digit = |c: char| matches!(c, '〇' | '零' | '一' | '二' | '三' | '四' | '五' | '六' | '七' | '八' | '九' | '幺');
    let mut edits = Vec::new();
    // Byte and character of the run that is being read.
    let mut run: Vec<(usize, char)> = Vec::new();
    let ends = std::iter::once((text.len(), ' '));
    for (at, character) in text.char_indices().chain(ends) {
        if is_digit(character) {
            run.push((at, character));
            continue;
        }
        if let [(start, '一' | '幺'), (_, second), ..] = run[..]
            && run.len() == 11
            && "三四五六七八九".contains(second)
        {
            edits.push((start..at, MOBILE));
        }
        run.clear();
    }
    edits
}

/// A run of digits, and whether only separators stand between it and the next one.
struct Group {
    range: Range<usize>,
    joined: bool,
    /// Joined by what stands between the groups of a mobile number only.
    loose: bool,
}

fn groups(text: &str) -> Vec<Group> {
    let bytes = text.as_bytes();
    let mut groups: Vec<Group> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let end = at + bytes[at..].iter().take_while(|b| b.is_ascii_digit()).count();
        if let Some(last) = groups.last_mut() {
            let between = &text[last.range.end..at];
            last.joined = between.len() <= 3 * MAX_SEPARATORS
                && between.chars().count() <= MAX_SEPARATORS
                && between.chars().all(|c| SEPARATORS.contains(c) || LOOSE_SEPARATORS.contains(c));
            last.loose = last.joined && between.chars().any(|c| LOOSE_SEPARATORS.contains(c));
        }
        groups.push(Group { range: at..end, joined: false, loose: false });
        at = end;
    }
    groups
}

/// The longest personal number that starts with group `first`, and the group after it.
fn longest(text: &str, groups: &[Group], first: usize) -> Option<(usize, Edit<'static>)> {
    let mut digits = String::new();
    let mut found = None;
    for (count, group) in groups[first..].iter().enumerate() {
        digits.push_str(&text[group.range.clone()]);
        if count > 0 && digits.len() > MAX_DIGITS {
            break;
        }
        let number = Number { text, groups: &groups[first..=first + count], digits: &digits };
        if let Some(edit) = number.mask() {
            found = Some((first + count + 1, edit));
        }
        if !group.joined {
            break;
        }
    }
    found
}

/// Some neighbouring groups, taken as one number.
struct Number<'a> {
    text: &'a str,
    groups: &'a [Group],
    digits: &'a str,
}

impl Number<'_> {
    fn mask(&self) -> Option<Edit<'static>> {
        let range = self.groups[0].range.start..self.groups[self.groups.len() - 1].range.end;
        if self.groups.iter().rev().skip(1).any(|group| group.loose) {
            let written = self.groups.iter().map(|group| group.range.len()).eq([3, 4, 4]);
            return (written && is_mobile(self.digits)).then_some((range, MOBILE));
        }
        let behind_x = range.end..range.end + usize::from(self.text[range.end..].starts_with('x'));
        let x = !behind_x.is_empty();
        let placeholder = if is_id_card(self.digits, x) {
            let end = if self.digits.len() == 17 { behind_x.end } else { range.end };
            return Some((range.start..end, ID_CARD));
        } else if is_mobile(self.digits) {
            let in_front = self.opening(&range).max(usize::from(self.before(1) == "+"));
            return Some((range.start - in_front..range.end, MOBILE));
        } else if is_landline(self.digits) && self.groups.len() <= 3 {
            return Some((range.start - self.opening(&range)..range.end, PHONE));
        } else if self.is_bank_card() {
            BANK_CARD
        } else if self.is_order() {
            ORDER
        } else if self.is_local_phone() {
            PHONE
        } else {
            return None;
        };
        Some((range, placeholder))
    }

    /// 16 to 19 digits in groups of four, or in one run where the words in front or the issuer's digits say so.
    fn is_bank_card(&self) -> bool {
        if !(16..=19).contains(&self.digits.len()) {
            return false;
        }
        if self.groups.len() > 1 {
            let (last, before) = self.groups.split_last().expect("a number has a group");
            return before.iter().all(|group| group.range.len() == 4) && last.range.len() <= 4;
        }
        self.follows(8, &["卡", "账号", "帐号", "账户", "帐户"]) || self.digits.starts_with("62")
    }

    /// A long run of digits, or a shorter one that the words in front call an order.
    fn is_order(&self) -> bool {
        let named = self.digits.len() >= 6 && self.follows(6, &["单号", "编号", "流水号"]);
        self.groups.len() == 1 && (self.digits.len() >= 12 || named)
    }

    /// Seven to ten digits that the words in front make a phone number; a date is none, nor a company's 400 number.
    fn is_local_phone(&self) -> bool {
        let date = self.digits.len() == 8 && matches!(&self.digits[..2], "19" | "20") && is_day(&self.digits[4..]);
        let company = self.digits.len() == 10 && ["400", "800"].iter().any(|prefix| self.digits.starts_with(prefix));
        let local = matches!(self.digits.len(), 7 | 8) && self.groups.len() <= 2 && self.groups[0].range.len() >= 3;
        // Nobody has nine or ten digits, but fingers slip.
        let mistyped = matches!(self.digits.len(), 9 | 10) && self.groups.len() == 1;
        (local || mistyped)
            && matches!(self.digits.as_bytes()[0], b'2'..=b'9')
            && !date
            && !company
            && self.follows(5, &["电话", "座机", "致电", "拨打", "传真", "号码", "联系", "tel", "回电", "去电"])
    }

    /// Whether one of the words stands within the last `reach` characters in front.
    fn follows(&self, reach: usize, words: &[&str]) -> bool {
        let before = self.before(reach);
        words.iter().any(|word| before.contains(word))
    }

    fn before(&self, characters: usize) -> &str {
        let before = &self.text[..self.groups[0].range.start];
        let start = before.char_indices().rev().take(characters).last().map_or(before.len(), |(at, _)| at);
        &before[start..]
    }

    /// One, if the number starts within brackets that close in it: `(0898)66123456`.
    fn opening(&self, range: &Range<usize>) -> usize {
        let inside = &self.text[range.clone()];
        usize::from(self.before(1) == "(" && inside.contains(')') && !inside.contains('('))
    }
}

fn is_mobile(digits: &str) -> bool {
    is_mobile_without_country(digits)
        || ["86", "086", "0086", "0"].iter().any(|country| digits.strip_prefix(country).is_some_and(is_mobile_without_country))
}

fn is_mobile_without_country(digits: &str) -> bool {
    digits.len() == 11 && digits.starts_with('1') && matches!(digits.as_bytes()[1], b'3'..=b'9')
}

/// Area code and local number: 010 and 02x with eight digits, the others with seven or eight.
fn is_landline(digits: &str) -> bool {
    let digits = digits
        .strip_prefix("0086")
        .or(digits.strip_prefix("86"))
        .map_or(digits, |rest| if rest.starts_with('0') { rest } else { digits });
    let bytes = digits.as_bytes();
    let area = match bytes {
        [b'0', b'1', b'0', ..] | [b'0', b'2', ..] => 3,
        [b'0', b'3'..=b'9', ..] => 4,
        _ => return false,
    };
    let local = bytes.len().saturating_sub(area);
    (local == 8 || (local == 7 && area == 4)) && matches!(bytes[area], b'2'..=b'9')
}

/// Eighteen places of which the last may be an x, or the fifteen of before 1999, with a day of birth that exists.
fn is_id_card(digits: &str, x: bool) -> bool {
    let region = matches!(digits.as_bytes()[0], b'1'..=b'8');
    match digits.len() {
        18 => region && matches!(&digits[6..8], "18" | "19" | "20") && is_day(&digits[10..14]),
        17 => x && region && matches!(&digits[6..8], "18" | "19" | "20") && is_day(&digits[10..14]),
        15 => region && is_day(&digits[8..12]),
        _ => false,
    }
}

/// Month and day, `mmdd`.
fn is_day(digits: &str) -> bool {
    ("01"..="12").contains(&&digits[..2]) && ("01"..="31").contains(&&digits[2..4])
}
