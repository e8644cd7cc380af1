//! Evidence: which parts of the appeal moved the answer.
//!
//! For each clause the last layer's [CLS] row is computed once more, this time forbidden to look at the clause's tokens; how far
//! the lead's logit falls is the clause's weight, and what the words' own opinion loses with it. That costs one row of one layer for each clause, some percent of a pass, where
//! hiding the clause from the whole encoder would cost a pass each. It misses what the earlier layers had already carried
//! elsewhere, so weights rank clauses; they do not add up to the logit.

use std::ops::Range;

use super::Evidence;
use crate::text::Encoding;

/// More clauses than these are not asked about: the last one then reaches to the end.
const MAX_CLAUSES: usize = 8;

/// Shorter clauses are joined to the one before them, in characters.
const MIN_CLAUSE_CHARS: usize = 4;

/// A part of the appeal between two punctuation marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// Characters of the text as the caller sent it.
    pub chars: Range<u32>,
    /// The tokens that were made of it.
    pub tokens: Range<usize>,
}

/// Cuts a text into clauses and finds their tokens. A text of one clause has none: there is nothing to compare it with.
pub fn clauses(text: &str, encoding: &Encoding) -> Vec<Clause> {
    let mut clauses: Vec<Clause> = Vec::new();
    for chars in cut(text) {
        let mut tokens =
            encoding.spans.iter().enumerate().filter_map(|(token, span)| {
                span.filter(|(start, end)| *start < chars.end && *end > chars.start).map(|_| token)
            });
        let Some(first) = tokens.next() else { continue };
        let last = tokens.next_back().unwrap_or(first);
        clauses.push(Clause { chars, tokens: first..last + 1 });
    }
    if clauses.len() < 2 {
        clauses.clear();
    }
    clauses
}

/// Character ranges between punctuation marks, trimmed of white space.
fn cut(text: &str) -> Vec<Range<u32>> {
    let mut parts: Vec<Range<u32>> = Vec::new();
    let (mut start, mut end, mut at) = (0u32, 0u32, 0u32);
    let mut finish = |start: u32, end: u32| {
        let short = ((end - start) as usize) < MIN_CLAUSE_CHARS || parts.len() == MAX_CLAUSES;
        match parts.last_mut() {
            Some(before) if short && end > start => before.end = end,
            _ if end > start => parts.push(start..end),
            _ => {}
        }
    };
    for character in text.chars() {
        at += 1;
        if matches!(character, '，' | '。' | '；' | '！' | '？' | '、' | '：' | ',' | ';' | '!' | '?' | '\n') {
            finish(start, end);
            start = at;
        } else if !character.is_whitespace() {
            end = at;
        } else if end <= start {
            start = at;
        }
        end = end.max(start);
    }
    finish(start, end);
    parts
}

/// The clauses that spoke for the lead or against it, strongest first. `weight` tells how far what speaks for the lead falls without
/// the clause of that number.
pub fn weigh(clauses: &[Clause], weight: impl Fn(usize) -> f32) -> Vec<Evidence> {
    let evidence = |(number, clause): (usize, &Clause)| Evidence {
        start: clause.chars.start,
        end: clause.chars.end,
        weight: weight(number),
    };
    let mut evidence: Vec<Evidence> =
        clauses.iter().enumerate().map(evidence).filter(|evidence| evidence.weight.is_finite()).collect();
    evidence.sort_by(|a, b| b.weight.abs().total_cmp(&a.weight.abs()).then(a.start.cmp(&b.start)));
    evidence
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<String> {
        let chars: Vec<char> = text.chars().collect();
        cut(text).into_iter().map(|part| chars[part.start as usize..part.end as usize].iter().collect()).collect()
    }

    #[test]
    fn a_text_is_cut_at_its_punctuation() {
        assert_eq!(parts("路灯坏了很久，晚上看不见路。希望尽快修好！"), ["路灯坏了很久", "晚上看不见路", "希望尽快修好"]);
        assert_eq!(parts("  楼下烧烤店油烟大 ,\n 晚上很吵闹 "), ["楼下烧烤店油烟大", "晚上很吵闹"]);
    }

    #[test]
    fn a_short_clause_stays_with_the_one_before_it() {
        assert_eq!(parts("门口路灯坏了，是的，没人来修理"), ["门口路灯坏了，是的", "没人来修理"]);
        assert_eq!(parts("。。。"), Vec::<String>::new());
    }

    #[test]
    fn a_long_text_has_a_bounded_number_of_clauses() {
        let text = "小区停水三天了，".repeat(100);
        assert_eq!(cut(&text).len(), MAX_CLAUSES);
        assert_eq!(cut(&text).last().map(|part| part.end), Some(799));
    }
}
