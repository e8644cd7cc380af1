//! What a group of disputes is called, by which words it is told from others, and the standing ruling that is drafted for it.
//!
//! Likeness alone says above all whose a thing is, words say what it is about (see [`standing`](super::standing)), so a draft names
//! words wherever nearly all of the group share some that others do not. Several words may stand for one thing (路灯, 照明), as
//! alternatives of one entry.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::recurrence::{Dispute, Party};
use super::words::telling_words;
use super::{PositionDraft, RulingDraft};
use crate::text::masked;

/// Share of a group's members that must have one of an entry's words.
const NEARLY_ALL: f64 = 0.8;
/// Most alternatives of an entry, and in what share of the members each must occur.
const ALTERNATIVES: usize = 4;
const WORTH_A_WORD: f64 = 0.3;
/// How many times more often a word must occur within a group than elsewhere.
const TELLING: f64 = 4.0;
/// Most entries of a draft.
const ENTRIES: usize = 2;
/// Most words that a group is told by.
const WORDS: usize = 5;
/// Most examples of a draft: those most typical.
const EXAMPLES: usize = 20;
/// Longest matter, in characters, and longest example.
const MATTER: usize = 60;
const EXAMPLE: usize = 4_000;

/// Categories that name nothing.
const NAMELESS: [&str; 3] = ["", "其他", "改派工单"];

/// What any order may say: in a small group it looks rare elsewhere by chance.
const OF_ANY_ORDER: [&str; 32] = [
    "反映",
    "反馈",
    "投诉",
    "咨询",
    "求助",
    "建议",
    "举报",
    "要求",
    "希望",
    "表示",
    "告知",
    "联系",
    "核实",
    "处理",
    "办理",
    "解决",
    "进行",
    "提供",
    "导致",
    "造成",
    "影响",
    "存在",
    "出现",
    "发现",
    "管理",
    "工作",
    "工作人员",
    "市民",
    "来电",
    "部门",
    "单位",
    "问题",
];

/// How often each word occurs among all disputes.
pub(super) struct Vocabulary {
    words: Vec<BTreeSet<String>>,
    spread: HashMap<String, usize>,
}

impl Vocabulary {
    pub fn of(disputes: &[Arc<Dispute>]) -> Self {
        let words: Vec<BTreeSet<String>> = disputes.iter().map(|dispute| telling_words(&dispute.texts)).collect();
        let mut spread: HashMap<String, usize> = HashMap::new();
        for word in words.iter().flatten() {
            *spread.entry(word.clone()).or_default() += 1;
        }
        Self { words, spread }
    }

    /// How many times more often in a group than elsewhere, where `within` of its `size` have it.
    fn lift(&self, word: &str, within: usize, size: usize) -> f64 {
        let without = self.spread.get(word).copied().unwrap_or(0).saturating_sub(within) as f64;
        let elsewhere = (without + 0.5) / ((self.words.len() - size) as f64 + 1.0);
        within as f64 / size as f64 / elsewhere
    }
}

/// The words of a group.
pub(super) struct Drafting {
    /// Most telling first.
    pub words: Vec<String>,
    /// As a ruling requires them.
    required: Vec<String>,
}

impl Drafting {
    pub fn of(members: &[usize], all: &[Arc<Dispute>], vocabulary: &Vocabulary) -> Self {
        let size = members.len();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for word in members.iter().flat_map(|i| &vocabulary.words[*i]) {
            *counts.entry(word).or_default() += 1;
        }
        let worth = |count: usize| count >= 2 && count as f64 >= WORTH_A_WORD * size as f64;
        let mut telling: Vec<(f64, &str)> = counts
            .into_iter()
            .filter(|(word, count)| worth(*count) && !OF_ANY_ORDER.contains(word))
            .map(|(word, count)| (vocabulary.lift(word, count, size), count, word))
            .filter(|(lift, ..)| *lift >= TELLING)
            // Common within and rare elsewhere: one without the other names nothing.
            .map(|(lift, count, word)| (count as f64 / size as f64 * lift.ln(), word))
            .collect();
        telling.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        let words: Vec<&str> = telling.into_iter().map(|(_, word)| word).collect();
        // As the rule looks for them: anywhere in the text.
        let texts: Vec<String> = members.iter().map(|i| all[*i].texts.join("\n")).collect();
        Self {
            required: required(&words, &texts),
            words: shortest(&words).into_iter().take(WORDS).map(str::to_owned).collect(),
        }
    }

    /// True if nearly all of the group share a word that others do not.
    pub fn is_worded(&self) -> bool {
        !self.required.is_empty()
    }

    /// A standing ruling for people to complete.
    pub fn draft(&self, disputes: &[&Dispute], contesting: &[Party], leads: &[Party]) -> RulingDraft {
        // Where none handled more than half, nothing speaks for one of them, and people must say who leads.
        let settled: usize = leads.iter().map(|party| party.disputes).sum();
        let lead = leads.first().filter(|party| party.disputes * 2 > settled).map(|party| party.department.clone());
        let lead = lead.unwrap_or_default();
        // One that another handled in the end shows what the ruling may not cover.
        let shows = |dispute: &&&Dispute| lead.is_empty() || dispute.lead.as_ref().is_none_or(|name| *name == lead);
        let examples = disputes.iter().filter(shows).filter_map(|dispute| dispute.texts.first());
        let districts: BTreeSet<&str> = disputes.iter().map(|dispute| dispute.district.as_str()).collect();
        let position = |party: &Party| PositionDraft { department: party.department.clone(), ..PositionDraft::default() };
        RulingDraft {
            scope: "standing".to_owned(),
            status: "draft".to_owned(),
            matter: self.matter(disputes, contesting),
            examples: examples.take(EXAMPLES).map(|text| masked(text).chars().take(EXAMPLE).collect()).collect(),
            required_words: self.required.clone(),
            orders: disputes.iter().map(|one| one.order.clone()).filter(|order| !order.is_empty()).take(100).collect(),
            // What was contested in one district only says nothing of the others.
            districts: if districts.len() == 1 {
                districts.into_iter().filter(|one| !one.is_empty()).map(str::to_owned).collect()
            } else {
                Vec::new()
            },
            positions: contesting.iter().take(100).map(position).collect(),
            lead,
            ..RulingDraft::default()
        }
    }

    /// The narrowest category that at least half of them share, and the words; who contests them where neither says anything.
    fn matter(&self, disputes: &[&Dispute], contesting: &[Party]) -> String {
        let mut levels: BTreeMap<(usize, &str), usize> = BTreeMap::new();
        for dispute in disputes {
            for (depth, level) in dispute.matter.iter().enumerate().filter(|(_, level)| !NAMELESS.contains(&level.as_str())) {
                *levels.entry((depth, level)).or_default() += 1;
            }
        }
        let shared = levels.into_iter().filter(|(_, count)| count * 2 >= disputes.len());
        let category = shared.max_by_key(|((depth, level), count)| (*depth, *count, *level)).map(|((_, level), _)| level);
        let words = self.words.iter().take(3).map(String::as_str).collect::<Vec<_>>().join("、");
        let named = match (category, words.is_empty()) {
            (Some(category), true) => category.to_owned(),
            (Some(category), false) => format!("{category}（{words}）"),
            (None, false) => words,
            (None, true) => {
                let names: Vec<&str> = contesting.iter().take(3).map(|party| party.department.as_str()).collect();
                match names.as_slice() {
                    [] => "各方未记录的争议".to_owned(),
                    [one] => format!("{one}有异议的争议"),
                    several => format!("{}之间的争议", several.join("、")),
                }
            }
        };
        named.chars().take(MATTER).collect()
    }
}

/// Entries that nearly all texts have: a word, or alternatives that together do.
fn required(words: &[&str], texts: &[String]) -> Vec<String> {
    let mut entries: Vec<String> = Vec::new();
    let mut left: Vec<&str> = words.to_vec();
    let needed = (NEARLY_ALL * texts.len() as f64).ceil() as usize;
    while entries.len() < ENTRIES {
        let mut without: Vec<&String> = texts.iter().collect();
        let mut chosen: Vec<&str> = Vec::new();
        while texts.len() - without.len() < needed && chosen.len() < ALTERNATIVES {
            // The one that most of the rest have; of several the most telling, which stands first.
            let count = |word: &str| without.iter().filter(|text| text.contains(word)).count();
            let Some(best) = left.iter().rev().copied().max_by_key(|word| count(word)).filter(|word| count(word) > 0) else {
                break;
            };
            without.retain(|text| !text.contains(best));
            left.retain(|word| *word != best);
            chosen.push(best);
        }
        if chosen.is_empty() || texts.len() - without.len() < needed {
            break;
        }
        // A part of a word, or a word with a part of it, says the same once more.
        left.retain(|word| !chosen.iter().any(|one| one.contains(word) || word.contains(one)));
        entries.push(chosen.join("|"));
        // Alternatives are many words already; a second entry of them would fit by chance.
        if chosen.len() > 1 {
            break;
        }
    }
    entries
}

/// Without those that have, or are, a part of one before them.
fn shortest<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let mut kept: Vec<&str> = Vec::new();
    for word in words {
        if !kept.iter().any(|one| one.contains(word) || word.contains(one)) {
            kept.push(word);
        }
    }
    kept
}
