//! The candidate parts without haste: at each sentence all that stands before it is counted and searched anew. Too slow for a long
//! text, and easy to believe: the tests hold the other way to it.

use super::*;

pub(super) fn candidates(text: &str) -> (Vec<Candidate>, Option<Range<usize>>) {
    let own = own_words(text);
    let (cuts, items) = cuts(text, own.clone());
    let mut parts: Vec<Candidate> = Vec::new();
    let mut start = own.start;
    for cut in cuts.into_iter().chain([own.end]) {
        let range = trimmed(text, start..cut);
        let is_item = items.contains(&start);
        start = cut;
        let short = letters(&text[range.clone()]) < LEAST_LETTERS || parts.len() == MAX_PARTS;
        match parts.last_mut() {
            Some(before) if short && !range.is_empty() => before.range.end = range.end,
            _ if !range.is_empty() => parts.push(Candidate { range, is_item }),
            _ => {}
        }
    }
    let introduction = items.first().filter(|first| **first > own.start).map(|first| {
        let before = trimmed(text, own.start..*first);
        let from = text[before.clone()].char_indices().rev().take(INTRODUCTION).last().map_or(0, |(at, _)| at);
        before.start + from..before.end
    });
    if let [first, second, ..] = &mut parts[..]
        && (second.is_item && !first.is_item || letters(&text[first.range.clone()]) < LEAST_LETTERS)
    {
        *first = Candidate { range: first.range.start..second.range.end, is_item: false };
        parts.remove(1);
    }
    (parts, introduction)
}

fn own_words(text: &str) -> Range<usize> {
    let headers = PATTERNS.call.find_iter(text).map(|header| header.end());
    let start = headers.filter(|end| letters(&text[*end..]) >= LEAST_LETTERS).last().unwrap_or(0);
    let reply = PATTERNS.reply.find(&text[start..]).map(|reply| start + reply.start());
    start..reply.filter(|end| letters(&text[start..*end]) >= LEAST_LETTERS).unwrap_or(text.len())
}

fn cuts(text: &str, own: Range<usize>) -> (Vec<usize>, Vec<usize>) {
    let (mut cuts, mut items) = (Vec::new(), Vec::new());
    let (mut at_clause, mut at_sentence) = (true, true);
    for (offset, character) in text[own.clone()].char_indices() {
        let here = own.start + offset;
        let rest = &text[here..own.end];
        if at_clause && is_item(rest) {
            items.push(here);
            cuts.push(here);
        } else if (at_clause && PATTERNS.another.is_match(rest))
            || (at_sentence && names_another_place(&text[own.start..here], rest))
        {
            cuts.push(here);
        }
        at_sentence = matches!(character, '。' | '!' | '?' | ';') || (at_sentence && character == ' ');
        at_clause = at_sentence || matches!(character, ',' | ':' | ' ' | '、') || (at_clause && character == '(');
    }
    cuts.retain(|cut| *cut > own.start);
    (cuts, items)
}

fn names_another_place(before: &str, rest: &str) -> bool {
    if letters(before) < LEAST_LETTERS {
        return false;
    }
    let sentence = rest.split(['。', '!', '?', ';']).next().unwrap_or_default();
    if CONCLUSIONS.iter().any(|word| sentence.starts_with(word)) && !sentence.starts_with("请问") {
        return false;
    }
    let named = places(&sentence.chars().take(PLACE_WITHIN).collect::<String>());
    !named.is_empty() && {
        let known = places(before);
        named.iter().all(|place| !known.iter().any(|one| one.is(place)))
    }
}

fn letters(text: &str) -> usize {
    text.chars().filter(|&c| is_letter_or_digit(c)).count()
}
