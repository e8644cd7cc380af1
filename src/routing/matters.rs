//! Several matters in one appeal (一单多诉): whether its candidate parts go to different departments, and which parts then are to be
//! told apart.
//!
//! A split costs a dispatcher a second order, and a needless one costs two units their time; so the bounds were chosen for
//! precision, on the development half of the appeals that were labelled by hand (`training/labels/matters.tsv`): a part counts only
//! if it is likely to be its department's and hardly the other's, and if the whole appeal says something of that department too: a
//! sentence that means another department only without what stands around it is no matter. What is less sure belongs to the matter
//! before it.

use std::ops::Range;
use std::sync::Arc;

use super::active::ActiveCatalog;
use super::{Circumstances, Decision, Ground, Objection, PreparedAppeal, RankedDepartment, ReviewReason, RouteError, Router};
use crate::catalog::{Day, Unit};
use crate::text::{AppealFields, CleanText, parts};

/// Least probability of a part's lead.
const LEAST_PROBABILITY: f32 = 0.6;
/// Greatest probability that a part gives to the lead of the part it is told apart from.
const GREATEST_DOUBT: f32 = 0.05;
/// Least probability that the whole appeal gives to a part's lead.
const LEAST_IN_WHOLE: f32 = 0.005;

/// Most tokens of a part that are read: a matter is told in less, and a long text must not be paid for twice.
const PART_TOKENS: usize = 128;

/// A candidate part, ready for the encoder: an appeal of its own, but for what the operator said of the whole.
#[derive(Debug, Clone)]
pub struct PreparedPart {
    /// Its characters in the text as the caller sent it.
    pub chars: Range<u32>,
    /// Its own words alone: no category, nothing proposed, no evidence asked, and no parts.
    pub appeal: PreparedAppeal,
}

/// A part of an appeal that is a matter of its own, with its own answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Its characters in the appeal's text as the caller sent it (Unicode scalar values).
    pub chars: Range<u32>,
    /// As [`Decision::departments`], for this part alone.
    pub departments: Vec<RankedDepartment>,
    /// The concrete unit of its lead; `None` without a catalogue, or if it depends on a district that nobody named.
    pub unit: Option<Arc<Unit>>,
    /// What its answer rests on, in one line of Chinese.
    pub reason: String,
}

impl Router {
    /// The candidate parts of an appeal; none, if its text does not fall into any: then they cost nothing.
    pub(super) fn prepared_parts(
        &self,
        fields: &AppealFields,
        text: &CleanText,
        day: Option<Day>,
        active: Option<&Arc<ActiveCatalog>>,
    ) -> Result<Vec<PreparedPart>, RouteError> {
        let room = self.info.max_tokens.min(PART_TOKENS);
        let prepared = |part: crate::text::TextPart| {
            let encoding =
                self.tokenizer.encode(&part.text, None, room).map_err(|error| RouteError::Model(error.to_string()))?;
            let words = || fields.text.chars().skip(part.chars.start as usize).take(part.chars.len()).collect();
            let own = |day| {
                let fields = AppealFields { text: words(), district: fields.district.clone(), ..AppealFields::default() };
                Circumstances { active: active.cloned(), ..Circumstances::of(&fields, day) }
            };
            let appeal = PreparedAppeal {
                encoding,
                clauses: Vec::new(),
                proposed: Vec::new(),
                with_category: false,
                circumstances: day.map(own),
                objections: Vec::new(),
                parts: Vec::new(),
            };
            Ok(PreparedPart { chars: part.chars, appeal })
        };
        parts(text).into_iter().map(prepared).collect()
    }
}

/// Tells in the answer which matters an appeal holds, if they are several. Whoever returned the order does not get a part of it:
/// then it is left whole, and a person looks at it anyway. So is an order that was ruled on: the ruling decided all of it, and knew
/// of nothing that part of it could go to somebody else.
pub(super) fn tell(decision: &mut Decision, objections: &[Objection], candidates: Vec<(Range<u32>, Decision)>) {
    if decision.basis.iter().any(|ground| matches!(ground, Ground::RulingOnOrder { .. })) {
        return;
    }
    let parts = split(candidates, decision);
    let returned = |part: &Part| {
        let lead = part.departments.first().map(|lead| lead.department.id.as_str());
        let out = |one: &Objection| {
            let unit = part.unit.as_ref();
            lead.is_some_and(|lead| one.excludes(lead))
                || unit.is_some_and(|unit| one.excludes_unit(&unit.name))
                || unit.is_some_and(|unit| unit.district.is_none() && one.is_of_another_district(&unit.department))
        };
        objections.iter().any(out)
    };
    if parts.is_empty() || parts.iter().any(returned) {
        return;
    }
    decision.parts = parts;
    decision.review_reasons.push(ReviewReason::SeveralMatters);
}

/// From candidate parts with their answers, in the text's order, and the answer to the whole appeal, to the parts that are told apart;
/// empty if it is one matter. A part reaches from its first character to the next one's, and has the answer of the surest of the
/// candidates in it.
fn split(candidates: Vec<(Range<u32>, Decision)>, whole: &Decision) -> Vec<Part> {
    let (Some(start), Some(end)) = (candidates.first().map(|one| one.0.start), candidates.last().map(|one| one.0.end)) else {
        return Vec::new();
    };
    let mut parts: Vec<(Range<u32>, Decision)> = Vec::new();
    for (chars, decision) in candidates {
        if !is_sure(&decision, whole) {
            continue;
        }
        let known = parts.iter().position(|(_, part)| lead(part) == lead(&decision));
        match (known, parts.last_mut()) {
            // The same matter goes on; what came between was part of it.
            (Some(known), _) => {
                parts.truncate(known + 1);
                let (_, part) = &mut parts[known];
                if decision.lead().probability > part.lead().probability {
                    *part = decision;
                }
            }
            (None, Some((_, before))) if doubt(before, &decision) > GREATEST_DOUBT => {}
            _ => parts.push((chars, decision)),
        }
    }
    if parts.len() < 2 {
        return Vec::new();
    }
    parts[0].0.start = start;
    let ends: Vec<u32> = parts[1..].iter().map(|(chars, _)| chars.start).chain([end]).collect();
    let part = |((chars, decision), end): ((Range<u32>, Decision), u32)| Part {
        chars: chars.start..end,
        departments: decision.departments,
        unit: decision.unit,
        reason: decision.reason,
    };
    parts.into_iter().zip(ends).map(part).collect()
}

fn lead(decision: &Decision) -> &str {
    &decision.lead().department.id
}

/// Likely enough by itself and not ruled out by the whole appeal, or settled by a standing ruling.
fn is_sure(part: &Decision, whole: &Decision) -> bool {
    let opinion = if whole.model_opinion.is_empty() { &whole.departments } else { &whole.model_opinion };
    !part.model_opinion.is_empty()
        || (part.lead().probability >= LEAST_PROBABILITY && given(opinion, lead(part)) >= LEAST_IN_WHOLE)
}

/// The greater of the probabilities that two parts give to each other's lead.
fn doubt(one: &Decision, other: &Decision) -> f32 {
    given(&one.departments, lead(other)).max(given(&other.departments, lead(one)))
}

/// The probability of a department, 0 if it is not among them.
fn given(ranking: &[RankedDepartment], id: &str) -> f32 {
    ranking.iter().find(|ranked| ranked.department.id == id).map_or(0.0, |ranked| ranked.probability)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Department;

    /// A candidate of ten characters at `at`: its ranking, best first.
    fn candidate(at: u32, ranking: &[(&str, f32)]) -> (Range<u32>, Decision) {
        let ranked = |(id, probability): &(&str, f32)| {
            let department = Department { id: (*id).to_owned(), name: (*id).to_owned(), training_orders: 1 };
            (Arc::new(department), *probability)
        };
        let decision = Decision::example(ranking.iter().map(ranked), Vec::new());
        (at..at + 10, decision)
    }

    /// Splits candidates of an appeal whose answer as a whole says something of each department.
    fn split(candidates: Vec<(Range<u32>, Decision)>) -> Vec<Part> {
        let whole = candidate(0, &[("城管", 0.7), ("公交", 0.2), ("供电", 0.02), ("环保", 0.01)]).1;
        super::split(candidates, &whole)
    }

    fn leads(parts: &[Part]) -> Vec<(Range<u32>, &str)> {
        parts.iter().map(|part| (part.chars.clone(), part.departments[0].department.id.as_str())).collect()
    }

    #[test]
    fn parts_of_different_departments_are_told_apart() {
        let parts = split(vec![
            candidate(0, &[("城管", 0.9), ("公交", 0.02)]),
            candidate(10, &[("环保", 0.3), ("城管", 0.3)]),
            candidate(20, &[("公交", 0.8), ("城管", 0.03)]),
        ]);
        assert_eq!(leads(&parts), [(0..20, "城管"), (20..30, "公交")], "what is unsure belongs to the matter before it");
    }

    #[test]
    fn one_matter_is_not_split() {
        assert!(split(vec![candidate(0, &[("城管", 0.9)]), candidate(10, &[("城管", 0.7)])]).is_empty());
        assert!(split(vec![candidate(0, &[("城管", 0.9)]), candidate(10, &[("公交", 0.59)])]).is_empty(), "unsure");
        let shared = candidate(10, &[("公交", 0.8), ("城管", 0.06)]);
        assert!(split(vec![candidate(0, &[("城管", 0.9)]), shared]).is_empty(), "perhaps the first one's too");
        assert!(split(Vec::new()).is_empty());
    }

    #[test]
    fn a_department_that_the_whole_appeal_says_nothing_of_is_no_part_of_it() {
        let candidates = || vec![candidate(0, &[("城管", 0.9)]), candidate(10, &[("公交", 0.9)])];
        let told = |whole: &[(&str, f32)]| super::split(candidates(), &candidate(0, whole).1).len();
        assert_eq!(told(&[("城管", 0.97), ("公交", 0.01)]), 2);
        assert_eq!(told(&[("城管", 0.97), ("公交", 0.004)]), 0, "it only looks so without what stands around it");
        assert_eq!(told(&[("城管", 0.97)]), 0);
        let mut ruled = candidate(0, &[("供电", 1.0)]).1;
        ruled.model_opinion = candidate(0, &[("城管", 0.6), ("公交", 0.3)]).1.departments;
        assert_eq!(super::split(candidates(), &ruled).len(), 2, "a ruling on the whole leaves the model's own opinion of it");
        let mut settled = candidate(10, &[("公交", 0.1)]);
        settled.1.model_opinion = vec![settled.1.departments[0].clone()];
        let with = vec![candidate(0, &[("城管", 0.9)]), settled];
        assert_eq!(super::split(with, &candidate(0, &[("城管", 1.0)]).1).len(), 2, "a ruling on a part settles it");
    }

    #[test]
    fn what_stands_between_two_parts_of_one_matter_belongs_to_it() {
        let between = vec![candidate(0, &[("城管", 0.9)]), candidate(10, &[("公交", 0.9)]), candidate(20, &[("城管", 0.95)])];
        assert!(split(between).is_empty());
        let parts = split(vec![
            candidate(0, &[("城管", 0.9)]),
            candidate(10, &[("公交", 0.9)]),
            candidate(20, &[("城管", 0.95)]),
            candidate(30, &[("供电", 0.9)]),
        ]);
        assert_eq!(leads(&parts), [(0..30, "城管"), (30..40, "供电")]);
        assert_eq!(parts[0].departments[0].probability, 0.95, "the surest of its candidates answers");
    }
}
