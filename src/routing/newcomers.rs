//! Newcomers: departments of the day that no label of the model reaches, neither by its own id nor as anybody's successor. The model
//! has never seen an order of theirs, so the one thing that can speak for them is what the catalogue says of their duties: an
//! appeal that is likelier theirs than any other department's, by the likeness of its embedding to the duties' texts, is told so.
//!
//! A duty is a line of officialese and an appeal a citizen's own words, so a cosine between them says little by itself. What was
//! measured to tell (`paidan-train duties`) is the margin: how much liker the newcomer's likest duty is than the likest of all
//! others'. The bound and its precision stand in `calibration.json`; without one no newcomer is named.
//!
//! A newcomer stands directly behind the lead, with the probability that the model gave it, which is none, and a person is asked. So
//! is whoever proposes one: the risk of that dispatch cannot be told.

use std::sync::Arc;

use super::jurisdiction::Jurisdiction;
use super::{Decision, Ground, Objection, RankedDepartment, ReviewReason, RouteError, Router};
use crate::catalog::{CatalogDepartment, CatalogError, Day, DepartmentCatalog, Duty};
use crate::model::{Department, DutyBound};

/// Most duties of a catalogue that are embedded: a city has a few dozen. They cost about 2 ms each, once, at start.
const MAX_DUTIES: usize = 1024;

/// Where a duty stands in the catalogue, and its embedding.
struct EmbeddedDuty {
    department: usize,
    duty: usize,
    embedding: Vec<f32>,
}

/// The duties of a catalogue that holds newcomers on some day, embedded.
pub(super) struct Newcomers {
    bound: DutyBound,
    duties: Vec<EmbeddedDuty>,
}

impl Router {
    /// Embeds the duties of a catalogue; `None`, at no cost, if it never holds a newcomer or if no bound was measured.
    pub(super) fn newcomers_of(&self, catalog: &DepartmentCatalog) -> Result<Option<Newcomers>, CatalogError> {
        let labels: Vec<&str> = self.info.departments.iter().map(|department| department.id.as_str()).collect();
        let Some(bound) = self.calibration.duties.clone().filter(|_| ever(catalog, &labels)) else { return Ok(None) };
        let refused = |reason| CatalogError::Duties { city: catalog.city.clone(), version: catalog.version.clone(), reason };
        let places: Vec<(usize, usize)> = (0..catalog.departments.len())
            .flat_map(|department| (0..catalog.departments[department].duties.len()).map(move |duty| (department, duty)))
            .collect();
        if places.len() > MAX_DUTIES {
            return Err(refused(format!("{} of them, at most {MAX_DUTIES} can be compared with appeals", places.len())));
        }
        let text = |(department, duty): &(usize, usize)| catalog.departments[*department].duties[*duty].text.as_str();
        let texts: Vec<&str> = places.iter().map(text).collect();
        let embeddings = self.embed(&texts).map_err(|error: RouteError| refused(error.to_string()))?;
        let duty = |((department, duty), embedding)| EmbeddedDuty { department, duty, embedding };
        Ok(Some(Newcomers { bound, duties: places.into_iter().zip(embeddings).map(duty).collect() }))
    }
}

/// A department of the catalogue that the model knows nothing of.
pub(super) fn as_department(entry: &CatalogDepartment) -> Arc<Department> {
    Arc::new(Department { id: entry.id.clone(), name: entry.name.clone(), training_orders: 0 })
}

/// Says which of the proposed departments the model has never seen. What a dispatch to them risks is then not told at all: a number
/// would be made up, since neither their history nor their probability is known. A person is asked instead.
pub(super) fn note_proposed(decision: &mut Decision, unseen: &[Arc<Department>]) {
    if unseen.is_empty() {
        return;
    }
    decision.unseen_proposals = unseen.to_vec();
    if !decision.review_reasons.contains(&ReviewReason::NewDepartment) {
        decision.review_reasons.push(ReviewReason::NewDepartment);
    }
}

/// True if on some day a department is in force that none of the labels reaches.
fn ever(catalog: &DepartmentCatalog, labels: &[&str]) -> bool {
    let entries = || catalog.departments.iter().map(|department| department.validity);
    // Nothing changes between these days.
    let changes = entries().flat_map(|validity| [validity.from, validity.to.and_then(|last| last.succ_opt())]);
    let mut days: Vec<Day> = changes.flatten().chain([Day::MIN]).collect();
    days.sort_unstable();
    days.dedup();
    days.into_iter().any(|day| {
        let reached: Vec<&str> = labels
            .iter()
            .flat_map(|label| catalog.in_force(label, day).departments())
            .map(|department| department.id.as_str())
            .collect();
        catalog.departments_on(day).any(|department| !reached.contains(&department.id.as_str()))
    })
}

/// The likest newcomer.
struct Likest<'a> {
    department: &'a CatalogDepartment,
    duty: &'a Duty,
    similarity: f32,
}

impl Newcomers {
    /// Puts the likest newcomer behind the lead, if it is like enough. `known` are the departments that the model reaches on the
    /// day, also those who returned the order: whoever did is not named, and its duties compete with nobody's.
    pub fn name(
        &self,
        decision: &mut Decision,
        jurisdiction: &Jurisdiction<'_>,
        known: &[RankedDepartment],
        objections: &[Objection],
    ) -> Option<Ground> {
        let out = |id: &str| objections.iter().any(|objection| objection.excludes(id));
        let is_known = |id: &str| known.iter().any(|one| one.department.id == id);
        let catalog = jurisdiction.catalog;
        let day = jurisdiction.circumstances.day;
        let Likest { department, duty, similarity } = self.likest(catalog, day, &decision.embedding, &is_known, &out)?;
        // A standing ruling may have put it there already.
        if decision.departments.iter().any(|one| one.department.id == department.id) {
            return None;
        }
        let department = as_department(department);
        let newcomer = RankedDepartment { department: Arc::clone(&department), probability: 0.0 };
        decision.departments.insert(1.min(decision.departments.len()), newcomer);
        decision.review_reasons.push(ReviewReason::NewDepartment);
        let (text, basis) = (duty.text.clone(), duty.basis.clone());
        Some(Ground::LikeDuty { department, text, basis, similarity, precision: self.bound.precision })
    }

    /// The newcomer whose likest duty is liker than all duties of everybody else, by the bound's margin at least.
    fn likest<'a>(
        &self,
        catalog: &'a DepartmentCatalog,
        day: Day,
        embedding: &[f32],
        is_known: &impl Fn(&str) -> bool,
        out: &impl Fn(&str) -> bool,
    ) -> Option<Likest<'a>> {
        let mut likest: Option<Likest<'a>> = None;
        let mut all: Vec<(&str, f32)> = Vec::with_capacity(self.duties.len());
        for one in &self.duties {
            let department = &catalog.departments[one.department];
            if !department.validity.contains(day) || out(&department.id) {
                continue;
            }
            let similarity = one.embedding.iter().zip(embedding).map(|(a, b)| a * b).sum::<f32>();
            all.push((&department.id, similarity));
            if !is_known(&department.id) && likest.as_ref().is_none_or(|best| similarity > best.similarity) {
                likest = Some(Likest { department, duty: &department.duties[one.duty], similarity });
            }
        }
        let best = likest?;
        let others = all.iter().filter(|(id, _)| *id != best.department.id).map(|(_, similarity)| *similarity);
        // Without others there is nothing that the margin was measured against.
        let rival = others.max_by(f32::total_cmp)?;
        let enough = best.similarity >= self.bound.similarity && best.similarity - rival >= self.bound.margin;
        enough.then_some(best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue(departments: &str) -> DepartmentCatalog {
        let folder = tempfile::tempdir().expect("a place");
        let head = "version = \"1\"\ncity = \"市\"\ndisclaimer = \"仅供测试\"\n[[district]]\nname = \"东区\"\n";
        let ids = departments.split("id = ").skip(1).filter_map(|rest| rest.split(',').next());
        let units: String = ids
            .map(|id| {
                format!(
                    "[[unit]]\nname = {id}\ndepartment = {id}\n[[unit]]\nname = {id}\ndepartment = {id}\ndistrict = \"东区\"\n"
                )
            })
            .collect();
        let departments = format!("department = [{departments}]");
        for (name, text) in crate::catalog::file::ALL.into_iter().zip([head, &departments, &units, ""]) {
            std::fs::write(folder.path().join(name), text).expect("a file of the test");
        }
        DepartmentCatalog::open(folder.path()).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn heirs_are_no_newcomers_from_the_day_on_which_they_inherit() {
        let duty = "duty = [{ text = \"事\", basis = [{ level = \"三定\" }] }]";
        let old = format!("{{ id = \"甲\", name = \"甲\", valid_to = 2026-02-28, successors = [\"乙\"], {duty} }},");
        let heir = |from: &str| format!("{{ id = \"乙\", name = \"乙\", {from} {duty} }},");
        let inherits = catalogue(&(old.clone() + &heir("valid_from = 2026-03-01,")));
        assert!(!ever(&inherits, &["甲"]));
        assert!(ever(&inherits, &["丙"]), "neither a label nor an heir of one");
        let earlier = catalogue(&(old + &heir("valid_from = 2025-03-01,")));
        assert!(ever(&earlier, &["甲"]), "for a year nobody had become it");
        assert!(!ever(&earlier, &["甲", "乙"]));
    }
}
