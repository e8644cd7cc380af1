//! The case file (案卷): what a committee reads before it rules. Both sides stand next to each other, each with its duties, the
//! articles they rest on and what it said; beside them the rulings that nearly fit and why they do not, the precedents with their
//! outcome, the model's opinion, and a drafted ruling.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::course::{CaseCause, Course, Settlement, case_id};
use super::draft::drafted;
use super::near::{NearRuling, near_rulings};
use super::sides::{ContestingUnit, Offices, sides};
use crate::catalog::{Day, DepartmentCatalog, Place};
use crate::model::Likeness;
use crate::routing::{Circumstances, Decision, Ground};
use crate::rulings::{Occasion, Ruling, RulingBook, RulingDraft};
use crate::text::AppealFields;

/// What a committee reads.
#[derive(Debug, Clone)]
pub struct CaseFile {
    /// Its id, under which it can be settled; `None` if there is no case yet.
    pub id: Option<String>,
    /// Why there is a case and since when; `None` if the order came back but once.
    pub cause: Option<(CaseCause, DateTime<Utc>)>,
    /// How it ended, with the ruling that ended it.
    pub settled: Option<(Settlement, Arc<Ruling>)>,
    /// The masked appeal.
    pub appeal: AppealFields,
    /// The course of the order so far.
    pub events: Vec<Event>,
    /// Those who objected, in the order in which they did, then the one that the order would go to next.
    pub sides: Vec<ContestingUnit>,
    /// Standing rulings that nearly fit.
    pub near: Vec<NearRuling>,
    /// Who leads by each of them on the day of the case, by name.
    pub near_leads: Vec<String>,
    /// What the router says of the appeal itself.
    pub opinion: Decision,
    /// What it says now that some have objected.
    pub next: Decision,
    /// To be edited.
    pub draft: RulingDraft,
    /// The same as a text that people edit.
    pub draft_text: String,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub time: DateTime<Utc>,
    /// What kind of thing.
    pub kind: EventKind,
    /// In one line of Chinese.
    pub text: String,
    /// Who did it.
    pub actor: String,
}

/// Kinds of things that happen to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// paidan answered.
    Answered,
    /// A person sent it out.
    Dispatched,
    /// A unit returned it.
    Returned,
    /// It became a case.
    CaseOpened,
    /// Somebody ruled.
    Ruled,
    /// It was closed.
    Closed,
}

/// What a case file is made of.
pub struct Material<'a> {
    /// The order with its returns.
    pub course: &'a Course,
    /// What happened to it.
    pub events: Vec<Event>,
    /// The router's answer to the appeal itself.
    pub opinion: Decision,
    /// Its answer with the objections.
    pub next: Decision,
    /// The ruling that settled it.
    pub ruling: Option<Arc<Ruling>>,
    /// Who does what.
    pub catalog: Option<&'a DepartmentCatalog>,
    /// What was ruled.
    pub book: &'a RulingBook,
    /// How like is like enough.
    pub likeness: &'a Likeness,
    /// The day that decides who exists.
    pub day: Day,
}

impl CaseFile {
    /// Puts it together.
    pub fn new(material: Material<'_>) -> Self {
        let Material { course, events, opinion, next, ruling, catalog, book, likeness, day } = material;
        let appeal = course.order.fields.clone();
        let circumstances = Circumstances::of(&appeal, day);
        let district = Place::of(catalog, &appeal.district);
        let occasion = Occasion { day, district, words: &circumstances.words, embedding: &opinion.embedding };
        let applied = next.basis.iter().find_map(Ground::leading_ruling).map(|ruling| ruling.id.as_str());
        let contested = next.contested_ruling.as_ref().map(|ruling| ruling.id.as_str());
        let near = near_rulings(book, likeness, &occasion, applied, contested);
        let offices = Offices { catalog, answer: &opinion, circumstances: &circumstances };
        let near_leads = near.iter().map(|near| offices.leads(&near.ruling.lead)).collect();
        let sides = sides(course, &opinion, &next, catalog, &circumstances);
        let (draft, draft_text) = drafted(course, &sides, &next, catalog, &circumstances);
        let settled = course.settlement.clone().zip(ruling);
        let cause = course.case();
        let id = cause.map(|_| case_id(course.order_id()));
        Self { id, cause, settled, appeal, events, sides, near, near_leads, opinion, next, draft, draft_text }
    }

    /// The precedents that are like the appeal, with their outcome.
    pub fn precedents(&self) -> impl Iterator<Item = &Ground> {
        self.opinion.basis.iter().filter(|ground| matches!(ground, Ground::Precedent { .. }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disputes::{ContestingUnit, OrderRecord, Return};
    use crate::model::Department;
    use crate::routing::{Objection, ReturnReason};
    use crate::rulings::{BasisDraft, EmbeddedRuling, Scope};

    /// On 1 November 市政 and 园林 become 城运, and 工商 is split.
    const DEPARTMENTS: [(&str, &str, &str); 10] = [
        ("市政", "市政管理局", "valid_to = 2026-10-31\nsuccessors = [\"城运\"]"),
        ("园林", "园林管理局", "valid_to = 2026-10-31\nsuccessors = [\"城运\"]"),
        ("城运", "城市运行局", "valid_from = 2026-11-01"),
        ("工商", "工商管理局", "valid_to = 2026-10-31\nsuccessors = [\"市监\", \"知产\"]"),
        ("市监", "市场监管局", "valid_from = 2026-11-01"),
        ("知产", "知识产权局", "valid_from = 2026-11-01"),
        ("城管", "城市管理局", ""),
        ("环保", "生态环境局", ""),
        ("街镇", "街道办事处", ""),
        ("卫生", "卫生健康局", ""),
    ];

    const MATTERS: [(&str, &str, &str); 3] = [("路灯", "市政", "园林"), ("异味", "环保", "街镇"), ("占道", "城管", "街镇")];

    fn catalogue() -> DepartmentCatalog {
        let department = |(id, name, days): &(&str, &str, &str)| {
            format!(
                "[[department]]\nid = \"{id}\"\nname = \"{name}\"\n{days}\n[[department.duty]]\ntext = \"{id}管理\"\n\
                 words = [\"路灯|异味|占道\"]\nbasis = [{{ level = \"法规\", document = \"{id}条例\", article = \"第二条\" }}]\n"
            )
        };
        let matter = |(word, lead, supporting): &(&str, &str, &str)| {
            format!(
                "[[matter]]\nid = \"{word}\"\nname = \"{word}\"\nwords = [\"{word}\"]\nlead = \"{lead}\"\n\
                 supporting = [\"{supporting}\"]\nbasis = [{{ level = \"规章\", document = \"{word}办法\", article = \"第三条\" }}]\n"
            )
        };
        let head = "version = \"7\"\ncity = \"测试市\"\ndisclaimer = \"仅供测试\"\n".to_owned();
        let texts =
            [head, DEPARTMENTS.iter().map(department).collect(), String::new(), MATTERS.iter().map(matter).collect::<String>()];
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in crate::catalog::file::ALL.into_iter().zip(texts) {
            std::fs::write(folder.path().join(name), text).expect("written");
        }
        DepartmentCatalog::open(folder.path()).unwrap_or_else(|error| panic!("{error}"))
    }

    fn department(id: &str) -> Arc<Department> {
        let name = DEPARTMENTS.iter().find(|one| one.0 == id).map_or(id, |one| one.1);
        Arc::new(Department { id: id.to_owned(), name: name.to_owned(), training_orders: 9 })
    }

    fn answer(ranked: &[(&str, f32)], basis: Vec<Ground>) -> Decision {
        let ranked = ranked.iter().map(|(id, probability)| (department(id), *probability));
        Decision { embedding: vec![1.0, 0.0], ..Decision::example(ranked, basis) }
    }

    fn returned(department: &str, unit: &str, reason: ReturnReason) -> Return {
        let at = "2026-11-04T02:00:00Z".parse().expect("a time");
        let objection = Objection {
            department: department.to_owned(),
            other_names: Vec::new(),
            unit: Some(unit.to_owned()).filter(|unit| !unit.is_empty()),
            reason,
            day: "2026-11-04".parse().expect("a day"),
        };
        Return {
            id: format!("{department}{unit}"),
            order_id: "1".to_owned(),
            objection,
            district: None,
            note: String::new(),
            returned_at: at,
            reported_at: at,
            deadline: None,
            contests: None,
            actor: "坐席".to_owned(),
        }
    }

    fn ruling(id: &str, lead: &str, supporting: &[&str]) -> Arc<Ruling> {
        let law = BasisDraft {
            level: "法律".to_owned(),
            document: "《大气污染防治法》".to_owned(),
            article: "第九十九条".to_owned(),
            quote: "恶臭气体".to_owned(),
            ..BasisDraft::default()
        };
        let draft = RulingDraft {
            id: id.to_owned(),
            scope: "standing".to_owned(),
            matter: format!("夜间{id}"),
            description: "工厂夜间排放".to_owned(),
            lead: lead.to_owned(),
            supporting: supporting.iter().map(|id| (*id).to_owned()).collect(),
            basis: vec![law],
            body: "committee".to_owned(),
            decided_on: "2026-01-10".to_owned(),
            ..RulingDraft::default()
        };
        Arc::new(draft.parse(None).unwrap_or_else(|faults| panic!("{faults:?}")))
    }

    /// Of an order of 30 October.
    fn file(text: &str, returns: Vec<Return>, opinion: Decision, next: Decision, standing: &[Arc<Ruling>]) -> CaseFile {
        file_of("2026-10-30", text, returns, opinion, next, standing)
    }

    fn file_of(
        day: &str,
        text: &str,
        returns: Vec<Return>,
        opinion: Decision,
        next: Decision,
        standing: &[Arc<Ruling>],
    ) -> CaseFile {
        let received_at = day.to_owned();
        let fields = AppealFields { id: "1".to_owned(), text: text.to_owned(), received_at, ..AppealFields::default() };
        let embedded =
            |ruling: &Arc<Ruling>| EmbeddedRuling { ruling: Arc::clone(ruling), embeddings: vec![opinion.embedding.clone()] };
        let book = RulingBook::new(2, &[]).with(&standing.iter().map(embedded).collect::<Vec<_>>());
        let order = OrderRecord { fields, caller: None, closed: false, first_seen: DateTime::UNIX_EPOCH };
        CaseFile::new(Material {
            course: &Course::new(order, returns, None),
            events: Vec::new(),
            opinion,
            next,
            ruling: None,
            catalog: Some(&catalogue()),
            book: &book,
            likeness: &Likeness::default(),
            day: day.parse().expect("a day"),
        })
    }

    fn told(side: &ContestingUnit) -> (&str, &str, f32, bool) {
        (&side.department.id, &side.department.name, side.probability, side.duties.iter().any(|duty| duty.fits))
    }

    #[test]
    fn an_office_that_objects_after_a_reform_is_told_and_drafted_by_what_it_was_when_the_order_came_in() {
        let returns = vec![returned("城运", "东区城运中心", ReturnReason::DutiesOverlap)];
        let opinion = answer(&[("城管", 0.05), ("市政", 0.92), ("园林", 0.03)], Vec::new());
        let file = file("路灯坏了", returns, opinion, answer(&[("城管", 1.0)], Vec::new()), &[ruling("K-9", "城运", &[])]);
        assert_eq!(told(&file.sides[0]), ("市政", "市政管理局", 0.92, true), "of two names the one that the order went to");
        assert_eq!(told(&file.sides[1]), ("城管", "城市管理局", 0.05, true));
        assert_eq!((file.draft.lead.as_str(), file.draft.positions[0].department.as_str()), ("市政", "市政"));
        let text = &file.draft_text;
        assert!(text.contains("由市政管理局主办，园林管理局协办。"), "{text}");
        assert!(text.contains("依据：规章《路灯办法》第三条；法规《市政条例》第二条。"), "{text}");
        assert!(text.contains("各方意见：市政管理局：职能交叉。"), "{text}");
        assert_eq!(file.near_leads, ["城市运行局"], "a ruling may name what was founded since");
    }

    #[test]
    fn a_part_of_what_was_split_since_speaks_for_itself_with_its_own_name_and_duties() {
        let returns = vec![returned("市监", "", ReturnReason::DutiesOverlap)];
        let opinion = answer(&[("工商", 0.9), ("城管", 0.1)], Vec::new());
        let file = file("占道经营", returns, opinion, answer(&[("工商", 0.9)], Vec::new()), &[]);
        assert_eq!(told(&file.sides[0]), ("市监", "市场监管局", 0.0, true));
    }

    #[test]
    fn an_office_that_was_split_since_it_objected_goes_by_its_own_name() {
        let opinion = || answer(&[("城管", 0.6), ("市监", 0.2), ("知产", 0.2)], Vec::new());
        let (course, next) = (vec![returned("工商", "", ReturnReason::DutiesOverlap)], opinion());
        let file = file_of("2026-11-05", "占道经营", course, opinion(), next, &[]);
        assert_eq!((told(&file.sides[0]).0, told(&file.sides[0]).1), ("工商", "工商管理局"));
        assert!(file.draft_text.contains("各方意见：工商管理局：职能交叉。"), "{}", file.draft_text);
    }

    #[test]
    fn the_draft_on_a_contested_ruling_is_that_ruling() {
        let contested = ruling("K-1", "环保", &["街镇", "卫生"]);
        let like =
            |ruling: Arc<Ruling>| Ground::Precedent {
                ruling, leads: vec![department("环保")], similarity: 1.0, agrees: false
            };
        let basis = vec![
            Ground::ContestedRuling { ruling: Arc::clone(&contested), leads: vec![department("环保")] },
            like(ruling("K-2", "环保", &[])),
        ];
        let next = Decision { contested_ruling: Some(Arc::clone(&contested)), ..answer(&[("城管", 1.0)], basis) };
        let returns = vec![returned("环保", "", ReturnReason::DutiesOverlap)];
        let file = file("工厂异味", returns, answer(&[("环保", 0.9), ("城管", 0.1)], Vec::new()), next, &[contested]);
        assert_eq!((file.draft.lead.as_str(), file.draft.matter.as_str()), ("环保", "夜间K-1"));
        assert_eq!(file.draft.supporting, ["街镇", "卫生"]);
        assert_eq!(file.draft.basis[0].quote, "恶臭气体", "a document as the ruling cites it");
        let text = &file.draft_text;
        assert!(text.contains("由生态环境局主办，街道办事处、卫生健康局协办。"), "{text}");
        let basis = "依据：法律《大气污染防治法》第九十九条；法规《环保条例》第二条；先例《夜间K-2（K-2）》。";
        assert!(text.contains(basis), "not by the catalogue's matter: {text}");
        assert_eq!(file.near_leads, ["生态环境局"]);
    }

    #[test]
    fn whoever_has_to_take_what_it_returned_is_one_side_and_in_another_district_another() {
        let sides = |reason: ReturnReason, next: &str, unit: Option<&str>| {
            let ground =
                Ground::RulingOnOrder { ruling: ruling("K-2", next, &[]), leads: vec![department(next)], differs: true };
            let unit = unit.map(|name| crate::catalog::Unit {
                name: name.to_owned(),
                department: next.to_owned(),
                district: None,
                words: crate::catalog::Words::default(),
                validity: crate::catalog::Validity::default(),
            });
            let next = Decision { unit: unit.map(Arc::new), ..answer(&[(next, 1.0)], vec![ground]) };
            let returns = vec![returned("城运", "东区城运中心", reason)];
            let file = file("路灯坏了", returns, answer(&[("市政", 0.9), ("城管", 0.1)], Vec::new()), next, &[]);
            file.sides.iter().map(|side| (side.department.id.clone(), side.objects)).collect::<Vec<_>>()
        };
        let own = ("市政".to_owned(), true);
        for next in ["市政", "城运"] {
            assert_eq!(sides(ReturnReason::DutiesOverlap, next, None), std::slice::from_ref(&own), "by whichever name");
            assert_eq!(sides(ReturnReason::OwnershipUnclear, next, Some("西区城运中心")), std::slice::from_ref(&own));
        }
        let elsewhere = ("市政".to_owned(), false);
        assert_eq!(sides(ReturnReason::WrongDistrict, "市政", Some("西区城运中心")), [own, elsewhere]);
    }

    #[test]
    fn a_ruling_that_applies_in_spite_of_the_returns_is_drafted_as_well() {
        let leads = || vec![department("卫生")];
        let (standing, own) = (ruling("K-1", "卫生", &["街镇"]), ruling("K-2", "卫生", &["街镇"]));
        let own = Arc::new(Ruling { scope: Scope::Case, ..(*own).clone() });
        let grounds = [
            Ground::StandingRuling { ruling: standing, leads: leads(), similarity: 1.0, precision: 0.9, differs: true },
            Ground::RulingOnOrder { ruling: own, leads: leads(), differs: true },
        ];
        for (ground, why) in grounds.into_iter().zip(["类案认定“夜间K-1”（K-1）", "本工单认定“夜间K-2”（K-2）"])
        {
            let returns = vec![returned("环保", "", ReturnReason::DutiesOverlap)];
            let next = answer(&[("卫生", 0.1), ("城管", 0.9)], vec![ground]);
            let file = file("工厂异味", returns, answer(&[("环保", 0.9)], Vec::new()), next, &[]);
            assert_eq!((file.draft.lead.as_str(), &file.draft.supporting[..]), ("卫生", &["街镇".to_owned()][..]));
            assert!(file.draft_text.contains(&format!("{why}在变更前继续有效")), "{}", file.draft_text);
        }
    }

    #[test]
    fn who_leads_by_the_catalogue_is_drafted_unless_it_objected_for_its_level_or_district() {
        let drafted = |reason: ReturnReason, next: &str| {
            let opinion = answer(&[("城管", 0.9), ("街镇", 0.1)], Vec::new());
            let file = file(
                "占道经营",
                vec![returned("城管", "东区城管分局", reason)],
                opinion,
                answer(&[(next, 1.0)], Vec::new()),
                &[],
            );
            (file.draft.lead, file.draft_text)
        };
        let (lead, text) = drafted(ReturnReason::DutiesOverlap, "街镇");
        assert!(lead == "城管" && text.contains("派单目录事项“占道”列其主办"), "{text}");
        let (lead, text) = drafted(ReturnReason::WrongLevel, "街镇");
        assert!(lead == "街镇" && text.contains("所列主办单位以“非本级”退单，取排除退单单位后的首选"), "{text}");
        assert!(!text.contains("占道办法"), "what the catalogue's lead rests on is none of this one's: {text}");
        let (lead, text) = drafted(ReturnReason::WrongDistrict, "城管");
        assert!(lead == "城管" && text.contains("占道办法"), "the same in another district: {text}");
    }
}
