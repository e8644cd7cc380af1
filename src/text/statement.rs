//! What an order is about, in the words of whoever reported it first. An order that calls again quotes the first call, the replies and
//! the calls since; a unit that calls back quotes the order. The words of the first call are what all of these have in common.

use std::sync::LazyLock;

use regex::Regex;

use super::normalize::is_letter_or_digit;
use super::parts::{CALL, REPLY};

/// Fewest letters and digits of a statement.
const LEAST_LETTERS: usize = 6;

static PATTERNS: LazyLock<[Regex; 3]> = LazyLock::new(|| {
    let new = super::pattern::pattern;
    // A unit's call quotes the order behind its title: 《关于…的问题》处理情况,工单内容:.
    [new(CALL), new(REPLY), new(r"工单(?:内容|信息|结果|工单内容|处理内容)*\s*[:;]?|处理(?:情况|结果)\s*[:;]?")]
});

/// The first call's words in a clean text; all of it, if nothing tells where they end.
pub fn statement(text: &str) -> &str {
    let [call, reply, quoted] = &*PATTERNS;
    let mut start = 0;
    // Headers at the very beginning, and the title that a unit's call quotes the order behind.
    if text.contains('《') {
        start = call.find_iter(text).map(|header| header.end()).next().unwrap_or(start);
        if start == 0 {
            start = text.find('》').map_or(0, |end| end + '》'.len_utf8());
            start += quoted.find(&text[start..]).filter(|found| found.start() == 0).map_or(0, |found| found.end());
        }
    } else if let Some(header) = call.find(text).filter(|header| header.start() < 12) {
        start = header.end();
    }
    let rest = &text[start..];
    let ends = [reply.find(rest).map(|found| found.start()), call.find(rest).map(|found| found.start())];
    let end = ends.into_iter().flatten().filter(|end| letters(&rest[..*end]) >= LEAST_LETTERS).min().unwrap_or(rest.len());
    let found = rest[..end].trim_matches(|c: char| c.is_whitespace() || ",。!?;:、()".contains(c));
    if letters(found) >= LEAST_LETTERS { found } else { text }
}

fn letters(text: &str) -> usize {
    text.chars().filter(|&c| is_letter_or_digit(c)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_who_call_about_an_order_state_the_same() {
        let first = "某区甲乙路烧烤店油烟太大";
        for text in [
            first.to_owned(),
            format!("市民来电反映:{first}!"),
            format!("某局来电反馈:工单号《关于某区甲乙路烧烤店油烟的问题》处理情况工单内容:市民来电反映:{first},。"),
            format!("{first}。2099-01-0209:18:57某区某局答复:已责令整改。市民再次来电反映:油烟还是很大"),
            format!("{first}。市民再次来电反映:油烟还是很大"),
        ] {
            assert_eq!(statement(&text), first, "{text}");
        }
    }

    #[test]
    fn what_quotes_nothing_is_its_own_statement() {
        assert_eq!(statement("路灯坏了很久没人修"), "路灯坏了很久没人修");
        assert_eq!(statement("坏了"), "坏了");
        assert_eq!(statement(""), "");
    }
}
