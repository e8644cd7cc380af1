//! Where an appeal may fall into parts: each a stretch of the citizen's own words that could be a matter of its own.
//!
//! Operators put the matters of a call one after the other: numbered (1、…2、…), with a word that begins another one (另外, 还有,
//! 同时), or as a sentence that names a place nobody named before. Other sentences go on with the same matter. Each of these is only
//! a candidate; whether the parts are different departments' business is for the router to say. An item of a list is read with
//! what introduces the list: alone it says too little (合同不合理:1、贷款下不来要罚款). What is quoted is nobody's matter now, so a
//! call that quotes earlier calls and replies is looked at from its last "市民再次来电反映:" on, and up to the first reply that follows.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::CleanText;
use super::normalize::is_letter_or_digit;
use super::places::{self, places};

/// More parts than these are not told apart: the last one then reaches to the end.
pub const MAX_PARTS: usize = 8;

/// Fewest letters and digits of a part; a shorter one belongs to the part before it.
const LEAST_LETTERS: usize = 8;

/// A candidate part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextPart {
    /// Its own text, cleaned, with the way back to the caller's.
    pub text: CleanText,
    /// Its characters in the text as the caller sent it.
    pub chars: Range<u32>,
}

/// Who called how and said what: what follows are the words of that call.
pub(super) const CALL: &str =
    r"(?:市民|游客|群众|来电人|网民|网友)[^,。:;!?()]{0,12}?(?:反映|反应|咨询|投诉|举报|求助|补充|建议|反馈|表示|来电)\s*[:;]";
/// A department's reply, as the hotline's system puts it behind the call: a date, perhaps a time, the department, a verb.
pub(super) const REPLY: &str = r"(?:于|已告知)?20[0-9]{2}-[0-9]{1,2}-[0-9]{1,2}[0-9: ]{0,9}[^,。;!?]{2,30}?(?:局|办|委|大队|支队|公司|政府|中心|集团|社区|公安|城管|消防|住建|管委会|反馈|回复|答复)[^,。;!?]{0,12}?(?::|答复|回复|反馈)";
/// A word that begins another matter, where a clause begins.
const ANOTHER: &str = r"另外|此外|另有|另一方面|另,|另:|还有|同时|其次|再者|再有|除此之外|除了以上|还反映|还想|还要";
/// A number that begins an item of a list; the letter behind it shows that it is no decimal.
const ITEM: &str = r"\(?(?:[1-9][0-9]?|[一二三四五六七八九十])[、.):]\s*|[1-9](?:是|,)|第[一二三四五六七八九][,、:点]|[一二三四五六七八九]是|其[一二三四五],";

/// What begins a sentence that concludes from what was said before it: a place that it names is that of no other matter.
const CONCLUSIONS: [&str; 8] = ["故", "因此", "所以", "希望", "望", "要求", "请", "诉求"];

/// How far into a sentence its place may stand, in characters.
const PLACE_WITHIN: usize = 40;
/// How much of what introduces a list is read with each of its items, in characters.
const INTRODUCTION: usize = 60;

struct Patterns {
    call: Regex,
    reply: Regex,
    another: Regex,
    item: Regex,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
    let new = super::pattern::pattern;
    Patterns {
        call: new(CALL),
        reply: new(REPLY),
        another: new(&format!("^(?:{ANOTHER})")),
        item: new(&format!("^(?:{ITEM})")),
    }
});

/// The candidate parts of a text, in its order; none if it has but one.
pub fn parts(text: &CleanText) -> Vec<TextPart> {
    let (candidates, introduction) = candidates(text.as_str());
    if candidates.len() < 2 {
        return Vec::new();
    }
    let part = |Candidate { range, is_item }: Candidate| {
        let own = text.slice(range.clone());
        let chars = own.source().first().copied().unwrap_or(0)..own.source().last().map_or(0, |last| last + 1);
        let text = match &introduction {
            Some(introduction) if is_item && introduction.end <= range.start => {
                text.slice(introduction.clone()).followed_by(&own)
            }
            _ => own,
        };
        TextPart { text, chars }
    };
    candidates.into_iter().map(part).collect()
}

/// A candidate part by its bytes, trimmed of the marks around it.
#[cfg_attr(test, derive(Debug, PartialEq))]
struct Candidate {
    range: Range<usize>,
    /// An item of a list; the first one with what introduces the list is none.
    is_item: bool,
}

/// The candidates; and what introduces a list, if there is one and any of them is an item of it.
fn candidates(text: &str) -> (Vec<Candidate>, Option<Range<usize>>) {
    let own = own_words(text);
    let mut beginnings = beginnings(text, own.clone()).peekable();
    let mut parts: Vec<Candidate> = Vec::new();
    let mut first_item = None;
    while let Some(Beginning { at, is_item }) = beginnings.next() {
        let is_last = parts.len() == MAX_PARTS;
        let next = if is_last { None } else { beginnings.peek() };
        let range = trimmed(text, at..next.map_or(own.end, |next| next.at));
        if is_item {
            first_item.get_or_insert(at);
        }
        let short = is_last || !is_enough(&text[range.clone()]);
        match parts.last_mut() {
            Some(before) if short && !range.is_empty() => before.range.end = range.end,
            _ if !range.is_empty() => parts.push(Candidate { range, is_item }),
            _ => {}
        }
        // Nobody asks where in a long text the further ones would begin.
        if is_last {
            break;
        }
    }
    let introduction = first_item.filter(|first| *first > own.start).map(|first| {
        let before = trimmed(text, own.start..first);
        let from = text[before.clone()].char_indices().rev().take(INTRODUCTION).last().map_or(0, |(at, _)| at);
        before.start + from..before.end
    });
    // What introduces a list, or is too short to be a matter, belongs to what follows.
    if let [first, second, ..] = &mut parts[..]
        && (second.is_item && !first.is_item || !is_enough(&text[first.range.clone()]))
    {
        *first = Candidate { range: first.range.start..second.range.end, is_item: false };
        parts.remove(1);
    }
    (parts, introduction)
}

/// The words of the last call: behind its header, and before the first reply that follows.
fn own_words(text: &str) -> Range<usize> {
    let patterns = &*PATTERNS;
    let headers = patterns.call.find_iter(text).map(|header| header.end());
    let start = headers.filter(|end| is_enough(&text[*end..])).last().unwrap_or(0);
    let reply = patterns.reply.find(&text[start..]).map(|reply| start + reply.start());
    // A text that begins with a date is no reply to nothing.
    let end = reply.filter(|end| is_enough(&text[start..*end])).unwrap_or(text.len());
    start..end
}

/// Where a part may begin, by its byte in the text.
struct Beginning {
    at: usize,
    /// With an item of a list.
    is_item: bool,
}

/// The beginning of one's own words, and where in them another part may begin, in their order. What stands before is counted and
/// searched as one goes: a text of ten thousand sentences is read once, not once for each.
fn beginnings(text: &str, own: Range<usize>) -> impl Iterator<Item = Beginning> {
    let words = &text[own.clone()];
    let (mut at_clause, mut at_sentence) = (true, true);
    let (mut letters, mut named) = (0, places::Search::of(words));
    let begins = move |(index, (offset, character)): (usize, (usize, char))| {
        let rest = &words[offset..];
        let is_item = at_clause && is_item(rest);
        let begins = offset == 0
            || is_item
            || (at_clause && PATTERNS.another.is_match(rest))
            || (at_sentence && letters >= LEAST_LETTERS && names_another_place(&mut named, index, rest));
        letters += usize::from(is_letter_or_digit(character));
        at_sentence = matches!(character, '。' | '!' | '?' | ';') || (at_sentence && character == ' ');
        at_clause = at_sentence || matches!(character, ',' | ':' | ' ' | '、') || (at_clause && character == '(');
        begins.then_some(Beginning { at: own.start + offset, is_item })
    };
    words.char_indices().enumerate().filter_map(begins)
}

/// Whether a numbered item begins here: words follow its number, or at least no further number (1、2、5号).
fn is_item(rest: &str) -> bool {
    PATTERNS.item.find(rest).is_some_and(|item| {
        let behind = &rest[item.end()..];
        let word = behind.trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = behind.len() - word.len();
        word.starts_with(char::is_alphabetic)
            && (digits == 0 || (item.as_str().contains('、') && !word.starts_with(['号', '栋', '楼'])))
    })
}

/// Whether the sentence that begins here, behind so many characters, is no conclusion, and names a place early on that nobody named
/// before it.
fn names_another_place(named: &mut places::Search, before: usize, rest: &str) -> bool {
    // No further than its place may stand: behind spaces this is asked for each of them.
    let beginning: String = rest.chars().take(PLACE_WITHIN).take_while(|c| !matches!(c, '。' | '!' | '?' | ';')).collect();
    if CONCLUSIONS.iter().any(|word| beginning.starts_with(word)) && !beginning.starts_with("请问") {
        return false;
    }
    let here = places(&beginning);
    !here.is_empty() && {
        let known = named.until(before);
        here.iter().all(|place| !known.iter().any(|one| one.is(place)))
    }
}

/// Without punctuation and white space at both ends.
fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let mark = |c: char| c.is_whitespace() || ",。!?;:、".contains(c);
    let part = &text[range.clone()];
    let start = range.start + (part.len() - part.trim_start_matches(mark).len());
    let end = range.end - (part.len() - part.trim_end_matches(mark).len());
    start..end.max(start)
}

/// Whether a text has the letters and digits of a part. No more of it is read than tells.
fn is_enough(text: &str) -> bool {
    text.chars().filter(|&c| is_letter_or_digit(c)).nth(LEAST_LETTERS - 1).is_some()
}

#[cfg(test)]
mod plain;

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

    use super::super::clean;
    use super::*;

    fn cut(text: &str) -> Vec<String> {
        let sent: Vec<char> = text.chars().collect();
        let part = |part: TextPart| sent[part.chars.start as usize..part.chars.end as usize].iter().collect();
        parts(&clean(text)).into_iter().map(part).collect()
    }

    #[test]
    fn numbers_connectives_and_other_places_are_where_another_matter_may_begin() {
        assert_eq!(
            cut("小区有两个问题：1、门口路灯坏了三个月没人修；2、楼下夜市每天占道经营。"),
            ["小区有两个问题：1、门口路灯坏了三个月没人修", "2、楼下夜市每天占道经营"]
        );
        assert_eq!(
            cut("门口路灯坏了三个月没人修，另外公交站等车要一个小时"),
            ["门口路灯坏了三个月没人修", "另外公交站等车要一个小时"]
        );
        assert_eq!(
            cut("甲乙路的路灯坏了三个月没人修。晚上什么都看不见。 丙丁路公交站等车要一个小时！"),
            ["甲乙路的路灯坏了三个月没人修。晚上什么都看不见", "丙丁路公交站等车要一个小时"]
        );
        assert!(cut("甲乙路的路灯坏了三个月没人修。某区甲乙路晚上什么都看不见").is_empty(), "the same place");
        let wish = "甲乙路的路灯坏了三个月没人修。";
        assert!(cut(&format!("{wish}希望丙丁路派出所的工作人员到场处理")).is_empty(), "a conclusion, not another matter");
        assert_eq!(cut(&format!("{wish}请问丙丁路的公交站什么时候通车呢")).len(), 2, "a question");
    }

    #[test]
    fn an_item_of_a_list_is_read_with_what_introduces_the_list() {
        let texts = |text: &str| parts(&clean(text)).iter().map(|part| part.text.as_str().to_owned()).collect::<Vec<_>>();
        assert_eq!(
            texts("投诉开发商合同不合理：1、贷款下不来要罚款两成；2、逾期交房几乎不赔"),
            ["投诉开发商合同不合理:1、贷款下不来要罚款两成", "投诉开发商合同不合理2、逾期交房几乎不赔"]
        );
    }

    #[test]
    fn a_text_of_one_matter_and_one_with_a_short_wish_have_no_parts() {
        assert!(cut("门口路灯坏了三个月，晚上看不见路").is_empty());
        assert!(cut("门口路灯坏了三个月没人修。尽快修好！谢谢").is_empty());
        assert!(cut("每度电收1.2元，比0.61元高了一倍").is_empty(), "a decimal is no number of a list");
        assert!(cut("").is_empty());
    }

    #[test]
    fn what_is_quoted_is_nobodys_matter() {
        let quoted = "楼下烧烤店油烟太大影响休息。还有公交站等车要一个小时。2099-01-0209:18:57某区某局答复：已责令整改。市民再次来电反映：";
        assert!(cut(&format!("{quoted}油烟还是很大，没有改善")).is_empty());
        assert_eq!(
            cut(&format!("{quoted}油烟还是很大没有任何改善。另外门口路灯也坏了很久")),
            ["油烟还是很大没有任何改善", "另外门口路灯也坏了很久"]
        );
        assert!(cut("楼下烧烤店油烟太大影响休息。2099-01-02某区某某局答复：已经责令该店整改，请市民耐心等待。").is_empty());
    }

    #[test]
    fn there_are_never_more_parts_than_are_told_apart() {
        let many = "另外门口的路灯坏了三个月。".repeat(40);
        let found = cut(&many);
        assert_eq!(found.len(), MAX_PARTS);
        assert!(found[MAX_PARTS - 1].chars().count() > 300);
    }

    #[test]
    fn a_text_read_once_falls_into_the_parts_that_a_look_back_at_each_sentence_finds() {
        let marks = "。|。|。| | |!|?|;|,|:|、|(|a|b c|12|-";
        let places = "甲乙路|丙丁路|戊己小区|庚辛村2号|甲乙路2号|红城|湖|路|花园|小区|3号";
        let words = "坏了|路灯坏了很久没人修|希望|请问|另外|还有|1、|2、|一是|第二、";
        let quotes = "市民再次来电反映:|2099-01-02某区某局答复:";
        let own: Vec<&str> = [marks, places, words].into_iter().flat_map(|some| some.split('|')).collect();
        let all: Vec<&str> = own.iter().copied().chain(quotes.split('|')).collect();
        let mut random = StdRng::seed_from_u64(7);
        let mut many = 0;
        for round in 0..20_000 {
            let (pieces, count) = ([&own, &all][round % 2], random.random_range(0..160));
            let text: String = (0..count).filter_map(|_| pieces.choose(&mut random)).copied().collect();
            let (found, introduction) = candidates(&text);
            let (plain, introduces) = plain::candidates(&text);
            assert_eq!(found, plain, "{text:?}");
            if found.iter().any(|part| part.is_item) {
                assert_eq!(introduction, introduces, "{text:?}");
            }
            many += usize::from(found.len() == MAX_PARTS);
        }
        assert!(many > 300, "{many} were long enough to have all parts that are told apart");
    }
}
