//! Rulings made of past orders, and each later order tried on them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use paidan::evaluation::WorkOrder;

use super::{POSSIBLE, Read, month, share};
use crate::dataset::Labels;

/// Fewest orders of a simulated ruling, and most examples of it.
const RULING_ORDERS: usize = 3;
const EXAMPLES: usize = 5;
/// Most required words of it, in how many of its examples each must stand, and how rare it must be elsewhere: ln of one in twelve.
const WORDS: usize = 2;
const SHARE_OF_EXAMPLES: f64 = 0.6;
const RARITY: f64 = 2.5;

/// A simulated standing ruling.
pub(super) struct Simulated {
    pub(super) lead: usize,
    pub(super) examples: Vec<usize>,
    pub(super) words: Vec<String>,
}

/// The likest ruling for one order.
pub(super) struct Trial {
    pub(super) similarity: f32,
    pub(super) kept_out: bool,
    pub(super) right: bool,
    pub(super) model_right: bool,
    pub(super) differs: bool,
}

pub(super) fn simulated(labels: &Labels, orders: &[WorkOrder]) -> Vec<Simulated> {
    let mut groups: BTreeMap<(&[String], usize), Vec<usize>> = BTreeMap::new();
    for (i, order) in orders.iter().enumerate() {
        if let Some(lead) = order.department.as_deref().and_then(|name| labels.row(name)) {
            groups.entry((&order.appeal.fields().category, lead)).or_default().push(i);
        }
    }
    let pairs: Vec<BTreeSet<String>> = orders.iter().map(|order| pairs(&order.appeal.fields().text)).collect();
    let mut spread: HashMap<&str, usize> = HashMap::new();
    for pair in pairs.iter().flatten() {
        *spread.entry(pair).or_default() += 1;
    }
    let rarity = |pair: &str| ((1 + orders.len()) as f64 / (1 + spread.get(pair).copied().unwrap_or(0)) as f64).ln();
    let mut totals: HashMap<&[String], usize> = HashMap::new();
    for ((subject, _), group) in &groups {
        *totals.entry(subject).or_default() += group.len();
    }
    let named = |subject: &[String]| subject.last().is_some_and(|leaf| leaf != "其他");
    let large = groups
        .into_iter()
        .filter(|((subject, _), group)| named(subject) && group.len() >= RULING_ORDERS && group.len() * 2 > totals[subject]);
    large
        .map(|((_, lead), mut examples)| {
            examples.truncate(EXAMPLES);
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for pair in examples.iter().flat_map(|i| &pairs[*i]) {
                *counts.entry(pair).or_default() += 1;
            }
            let needed = ((SHARE_OF_EXAMPLES * examples.len() as f64).ceil() as usize).max(2);
            let mut telling: Vec<(f64, &str)> = counts
                .into_iter()
                .filter(|(pair, count)| *count >= needed && rarity(pair) > RARITY)
                .map(|(pair, count)| (rarity(pair) * share(count, examples.len()), pair))
                .collect();
            telling.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
            let words = telling.into_iter().take(WORDS).map(|(_, pair)| pair.to_owned()).collect();
            Simulated { lead, examples, words }
        })
        .collect()
}

/// Neighbouring characters: what stands for words here, where nobody has to read them.
fn pairs(text: &str) -> BTreeSet<String> {
    let characters: Vec<char> = text.chars().collect();
    let word = |pair: &&[char]| pair.iter().all(|c| c.is_alphanumeric());
    characters.windows(2).filter(word).map(|pair| pair.iter().collect()).collect()
}

/// For each later order of a known department the likest of the rulings that may apply; -1 if none may.
pub(super) fn tried(
    labels: &Labels,
    training: &Read<'_>,
    later: &Read<'_>,
    rulings: &[&Simulated],
    worded: bool,
    last: Option<(i32, u32)>,
) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (i, order) in later.orders.iter().enumerate().filter(|(_, order)| order.department.is_some()) {
        let (text, probabilities) = (&order.appeal.fields().text, &later.probabilities[i]);
        let may = |ruling: &&&Simulated| match worded {
            true => ruling.words.iter().all(|word| text.contains(word)),
            false => probabilities[ruling.lead] >= POSSIBLE,
        };
        let cosine = |ruling: &Simulated| {
            let examples = ruling.examples.iter().map(|example| dot(&later.embeddings[i], &training.embeddings[*example]));
            examples.fold(-1.0, f32::max)
        };
        let likest = rulings.iter().filter(may).map(|ruling| (cosine(ruling), *ruling));
        let likest = likest.max_by(|a, b| a.0.total_cmp(&b.0));
        trials.push(Trial {
            similarity: likest.map_or(-1.0, |(similarity, _)| similarity),
            kept_out: month(order).is_some() && month(order) == last,
            ..judged(labels, order, probabilities, likest.map(|(_, ruling)| ruling.lead))
        });
    }
    trials
}

/// For each later order of a known department the likest of the past re-dispatches.
pub(super) fn likest_precedents(labels: &Labels, training: &Read<'_>, later: &Read<'_>, past: &[usize]) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (i, order) in later.orders.iter().enumerate().filter(|(_, order)| order.department.is_some()) {
        let cosine = |past: &usize| dot(&later.embeddings[i], &training.embeddings[*past]);
        let likest = past.iter().map(|past| (cosine(past), *past)).max_by(|a, b| a.0.total_cmp(&b.0));
        let lead = likest.and_then(|(_, past)| labels.row(training.orders[past].department.as_deref()?));
        let similarity = likest.map_or(-1.0, |(similarity, _)| similarity);
        trials.push(Trial { similarity, ..judged(labels, order, &later.probabilities[i], lead) });
    }
    trials
}

fn judged(labels: &Labels, order: &WorkOrder, probabilities: &[f32], lead: Option<usize>) -> Trial {
    let truth = order.department.as_deref().and_then(|name| labels.row(name));
    let model = (0..probabilities.len()).max_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b]));
    Trial {
        similarity: -1.0,
        kept_out: false,
        right: lead.is_some() && lead == truth,
        model_right: model.is_some() && model == truth,
        differs: lead.is_some() && lead != model,
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
