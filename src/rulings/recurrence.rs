//! Disputes that come back (同类争议): like disputes put together, the largest group first, each with a standing ruling drafted for
//! people to complete. One ruling settles many orders, so the largest group that none covers is where a committee's hour is best spent.
//!
//! What is like is said by the embeddings, [`grouping`](super::grouping); what a group is called and what its draft says,
//! [`drafting`](super::drafting). A dispute comes from a case ruling, or from whoever has others: nothing here asks where from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::drafting::{Drafting, Vocabulary};
use super::grouping::{dot, groups};
use super::{EmbeddedRuling, Occasion, RulingBook, RulingDraft, Scope, Status};
use crate::catalog::{Day, DepartmentCatalog, Place};
use crate::model::Likeness;

/// Most disputes that are grouped at once; the latest are taken. So many real orders took half a minute on one core and 190 MB, the
/// reading of the database included; see `grouping` for the part that grows with the square.
pub const MAX_DISPUTES: usize = 10_000;

/// Members from which on a group without common words is looked at closer, and how much stricter that is.
const WIDE: usize = 10;
const STEP: f32 = 0.1;

/// Most orders that a group names.
const MAX_ORDERS: usize = 100;

/// A dispute over who is responsible, whatever it was recorded as.
#[derive(Debug, Clone, PartialEq)]
pub struct Dispute {
    /// Of its record: of two with one id one counts.
    pub id: String,
    /// The hotline's number of its order; empty if there is none.
    pub order: String,
    /// What it is about, broad to narrow, as the hotline's categories have it; may be empty.
    pub matter: Vec<String>,
    /// What was asked, masked; the first stands for it.
    pub texts: Vec<String>,
    /// Of the texts together, of length one.
    pub embedding: Vec<f32>,
    /// Who handled it in the end; `None` while it is open.
    pub lead: Option<String>,
    /// Everybody who contested it, the lead included if it was one of them; nobody if that was not recorded.
    pub contesting: Vec<String>,
    /// Where; empty if not known.
    pub district: String,
    /// When it came up.
    pub day: Day,
}

impl Dispute {
    /// A case ruling in force as the dispute that it settled; `None` for any other ruling, and for one without embeddings.
    pub fn of(EmbeddedRuling { ruling, embeddings }: &EmbeddedRuling) -> Option<Self> {
        if ruling.scope != Scope::Case || ruling.status != Status::InForce {
            return None;
        }
        // Who was ruled to lead may never have been asked before: it contests only if it said something.
        let positions = ruling.positions.iter().map(|position| position.department.clone());
        let mut contesting: Vec<String> = positions.chain(ruling.excluded.clone()).collect();
        let mut seen = BTreeSet::new();
        contesting.retain(|name| seen.insert(name.clone()));
        Some(Self {
            id: ruling.id.clone(),
            order: ruling.orders.first().cloned().unwrap_or_default(),
            matter: ruling.matter.split('/').map(|level| level.trim().to_owned()).collect(),
            texts: ruling.texts().into_iter().map(str::to_owned).collect(),
            embedding: middle(embeddings)?,
            lead: Some(ruling.lead.clone()),
            contesting,
            district: if let [one] = ruling.districts.as_slice() { one.clone() } else { String::new() },
            day: ruling.decided_on,
        })
    }

    /// True if a standing ruling in force on a day would settle it, should it come up again: the router's rule, but for the
    /// probability of the lead, which takes the whole model and only keeps far-off rulings without words from applying.
    pub fn is_covered(&self, book: &RulingBook, likeness: &Likeness, catalog: Option<&DepartmentCatalog>, today: Day) -> bool {
        let Some(least) = likeness.least() else { return false };
        let words = self.texts.iter().chain(&self.matter).map(String::as_str).collect::<Vec<_>>().join("\n");
        let district = Place::of(catalog, &self.district);
        let occasion = Occasion { day: today, district, words: &words, embedding: &self.embedding };
        let enough = |worded: bool, similarity: f32| likeness.bound(worded).is_some_and(|bound| similarity >= bound.similarity);
        book.fitting(&occasion, least).iter().any(|fitting| enough(fitting.worded, fitting.similarity))
    }
}

/// The direction of the mean.
fn middle(embeddings: &[Vec<f32>]) -> Option<Vec<f32>> {
    let mut sum = embeddings.first()?.clone();
    for embedding in &embeddings[1..] {
        sum.iter_mut().zip(embedding).for_each(|(sum, more)| *sum += more);
    }
    let length = dot(&sum, &sum).sqrt();
    (length > 0.0).then(|| sum.into_iter().map(|x| x / length).collect())
}

/// A department and how many disputes of a group it had a part in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Party {
    /// Which, by id.
    pub department: String,
    /// How many.
    pub disputes: usize,
}

/// A group of like disputes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recurrence {
    /// What it is about, in one line.
    pub matter: String,
    /// Words that tell it from other disputes.
    pub words: Vec<String>,
    /// How often.
    pub disputes: usize,
    /// Ids of the disputes, the most typical one first.
    pub members: Vec<String>,
    /// Since when.
    #[serde(serialize_with = "as_text")]
    pub first_day: Day,
    /// And until when.
    #[serde(serialize_with = "as_text")]
    pub last_day: Day,
    /// Mean cosine between two of them.
    pub similarity: f32,
    /// Who contests them, most often first.
    pub contesting: Vec<Party>,
    /// Who handled them in the end, most often first; what is open counts for nobody.
    pub leads: Vec<Party>,
    /// The orders, the most typical one first; at most 100.
    pub orders: Vec<String>,
    /// What was asked in the most typical one, masked.
    pub example: String,
    /// A standing ruling to complete: deciding body, day and everybody's statements are people's to give.
    pub draft: RulingDraft,
}

impl Recurrence {
    /// Share of the settled disputes that the department which handled most of them did; 0 if none is settled.
    pub fn lead_share(&self) -> f32 {
        let settled: usize = self.leads.iter().map(|party| party.disputes).sum();
        self.leads.first().map_or(0.0, |lead| lead.disputes as f32 / settled as f32)
    }
}

fn as_text<S: serde::Serializer>(day: &Day, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(day)
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Recurrences {
    /// Groups of at least two, the largest first, then the one that came up last.
    pub groups: Vec<Recurrence>,
    /// Disputes that were looked at.
    pub disputes: usize,
    /// Of these: settled by a standing ruling that is there, and left out.
    pub covered: usize,
    /// Of these: like no other.
    pub single: usize,
    /// Older ones that were not looked at: there were too many.
    pub left_out: usize,
}

/// Groups disputes whose mean cosine is at least `least`, leaving out those that are `covered`. The answer depends on the disputes,
/// not on their order.
pub fn recurrences(disputes: Vec<Arc<Dispute>>, covered: impl Fn(&Dispute) -> bool, least: f32) -> Recurrences {
    let mut all: BTreeMap<String, Arc<Dispute>> = BTreeMap::new();
    for dispute in disputes {
        // Of two with one id the later, whichever came first.
        let newer = |there: &Arc<Dispute>| (dispute.day, &dispute.texts) > (there.day, &there.texts);
        if all.get(&dispute.id).is_none_or(newer) {
            all.insert(dispute.id.clone(), dispute);
        }
    }
    let mut latest: Vec<Arc<Dispute>> = all.into_values().collect();
    let left_out = latest.len().saturating_sub(MAX_DISPUTES);
    latest.sort_by(|a, b| b.day.cmp(&a.day).then_with(|| a.id.cmp(&b.id)));
    latest.truncate(MAX_DISPUTES);
    let looked_at = latest.len();
    latest.retain(|dispute| !covered(dispute));
    // By id: the same disputes stand in the same places.
    latest.sort_by(|a, b| a.id.cmp(&b.id));
    let embeddings: Vec<&[f32]> = latest.iter().map(|dispute| dispute.embedding.as_slice()).collect();
    let vocabulary = Vocabulary::of(&latest);
    let sifting = Sifting { all: &latest, embeddings: &embeddings, vocabulary: &vocabulary };
    let found = sifting.groups((0..latest.len()).collect(), least);
    let grouped: usize = found.iter().map(Vec::len).sum();
    let mut groups: Vec<(String, Recurrence)> =
        found.into_iter().map(|members| (latest[members[0]].id.clone(), recurrence(&latest, members, &vocabulary))).collect();
    groups.sort_by(|(first, a), (other, b)| {
        b.disputes.cmp(&a.disputes).then(b.last_day.cmp(&a.last_day)).then_with(|| first.cmp(other))
    });
    Recurrences {
        groups: groups.into_iter().map(|(_, group)| group).collect(),
        disputes: looked_at,
        covered: looked_at - latest.len(),
        single: latest.len() - grouped,
        left_out,
    }
}

/// Looks closer at what is too wide to be one matter.
struct Sifting<'a> {
    all: &'a [Arc<Dispute>],
    embeddings: &'a [&'a [f32]],
    vocabulary: &'a Vocabulary,
}

impl Sifting<'_> {
    /// Groups of some of the disputes. A large one whose members share no word is all that one department is asked for rather than
    /// one matter: it is grouped anew within itself, a step stricter.
    fn groups(&self, some: Vec<usize>, least: f32) -> Vec<Vec<usize>> {
        let embeddings: Vec<&[f32]> = some.iter().map(|i| self.embeddings[*i]).collect();
        let mut all = Vec::new();
        for group in groups(&embeddings, least) {
            let members: Vec<usize> = group.into_iter().map(|i| some[i]).collect();
            let stricter = least + STEP;
            let too_wide = members.len() >= WIDE && !Drafting::of(&members, self.all, self.vocabulary).is_worded();
            if too_wide && stricter < 1.0 {
                all.extend(self.groups(members, stricter));
            } else {
                all.push(members);
            }
        }
        all
    }
}

fn recurrence(all: &[Arc<Dispute>], mut members: Vec<usize>, vocabulary: &Vocabulary) -> Recurrence {
    let mut sum = vec![0f32; all[members[0]].embedding.len()];
    for i in &members {
        sum.iter_mut().zip(&all[*i].embedding).for_each(|(sum, x)| *sum += x);
    }
    let count = members.len() as f32;
    let similarity = ((dot(&sum, &sum) - count) / (count * (count - 1.0))).clamp(-1.0, 1.0);
    // The likest to all of them stands for them.
    members.sort_by(|a, b| dot(&all[*b].embedding, &sum).total_cmp(&dot(&all[*a].embedding, &sum)).then(a.cmp(b)));
    let disputes: Vec<&Dispute> = members.iter().map(|i| all[*i].as_ref()).collect();
    let days = || disputes.iter().map(|dispute| dispute.day);
    let contesting = parties(disputes.iter().flat_map(|one| one.contesting.iter().map(|name| (name, one.day))));
    let leads = parties(disputes.iter().filter_map(|one| Some((one.lead.as_ref()?, one.day))));
    let drafting = Drafting::of(&members, all, vocabulary);
    let orders: Vec<String> = disputes.iter().map(|dispute| dispute.order.clone()).filter(|order| !order.is_empty()).collect();
    let draft = drafting.draft(&disputes, &contesting, &leads);
    Recurrence {
        matter: draft.matter.clone(),
        words: drafting.words,
        disputes: disputes.len(),
        members: disputes.iter().map(|dispute| dispute.id.clone()).collect(),
        first_day: days().min().unwrap_or_default(),
        last_day: days().max().unwrap_or_default(),
        similarity,
        contesting,
        leads,
        orders: orders.into_iter().take(MAX_ORDERS).collect(),
        example: disputes[0].texts.first().map(|text| crate::text::masked(text)).unwrap_or_default(),
        draft,
    }
}

/// Counted, most often first, then whoever came last, then by name.
fn parties<'a>(named: impl Iterator<Item = (&'a String, Day)>) -> Vec<Party> {
    let mut counts: BTreeMap<&String, (usize, Day)> = BTreeMap::new();
    for (name, day) in named {
        let (count, last) = counts.entry(name).or_default();
        *count += 1;
        *last = day.max(*last);
    }
    let mut counts: Vec<(&String, (usize, Day))> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    counts.into_iter().map(|(name, (disputes, _))| Party { department: name.clone(), disputes }).collect()
}
