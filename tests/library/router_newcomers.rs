//! Departments that the model has never seen: found by the likeness of the appeal to their duties, never leading by it, always marked.

use std::sync::Arc;

use paidan::catalog::{CatalogError, DepartmentCatalog, file};
use paidan::model::{Calibration, DutyBound};
use paidan::routing::{Decision, Ground, ReviewReason, Risk, RouteError, Router};
use paidan::rulings::RulingBook;
use paidan::text::{Appeal, AppealFields};

use crate::drafts::{embedded, overlaps, standing};
use crate::support::{APPEALS, DEPARTMENTS, calibrate, only_itself, tiny_model};

const HEAD: &str = "version = \"1\"\ncity = \"测试市\"\ndisclaimer = \"仅供测试\"\n[[district]]\nname = \"东区\"\n";
const EVE: &str = "2026-02-28";
const DAY: &str = "2026-03-01";

/// Only a text itself is as like as this to the tiny model, whose embeddings are random.
const BOUND: DutyBound = DutyBound { similarity: 0.995, margin: 0.0, precision: 0.61 };

fn department(id: &str, more: &str, duty: &str) -> String {
    format!(
        "[[department]]\nid = \"{id}\"\nname = \"{id}局\"\n{more}\n[[department.duty]]\ntext = \"{duty}\"\nbasis = [{{ level = \"三定\" }}]\n"
    )
}

/// The model's departments, of which 环保 becomes 生态环境 on the day; and whatever is added.
fn catalogue(more: &[String]) -> Arc<DepartmentCatalog> {
    let folder = tempfile::tempdir().expect("a place for a catalogue");
    let mut departments: String = DEPARTMENTS
        .iter()
        .map(|id| match *id {
            "环保" => department(id, "valid_to = 2026-02-28\nsuccessors = [\"生态环境\"]", "大气"),
            _ => department(id, "", &format!("{id}管理")),
        })
        .collect();
    departments += &department("生态环境", "valid_from = 2026-03-01", APPEALS[1]);
    departments.extend(more.iter().map(String::as_str));
    let ids = departments.lines().filter_map(|line| line.strip_prefix("id = "));
    let unit = |id: &str, more: &str| format!("[[unit]]\nname = {id}\ndepartment = {id}\n{more}");
    let units: String = ids.map(|id| unit(id, "") + &unit(id, "district = \"东区\"\n")).collect();
    for (name, text) in file::ALL.into_iter().zip([HEAD, &departments, &units, ""]) {
        std::fs::write(folder.path().join(name), text).expect("a file of the test");
    }
    Arc::new(DepartmentCatalog::open(folder.path()).unwrap_or_else(|error| panic!("{error}")))
}

/// 数据 is founded on the day; its duty is the first appeal, word for word.
fn founded() -> String {
    department("数据", "valid_from = 2026-03-01", APPEALS[0])
}

fn open(bound: Option<DutyBound>, more: &[String]) -> Result<(tempfile::TempDir, Router), CatalogError> {
    let folder = tiny_model();
    calibrate(folder.path(), &Calibration { duties: bound, precedents: only_itself(), ..Calibration::default() });
    let router = Router::open(folder.path()).expect("a model").with_catalog(catalogue(more))?;
    Ok((folder, router))
}

fn router(bound: Option<DutyBound>) -> (tempfile::TempDir, Router) {
    open(bound, &[founded()]).expect("a catalogue with the model's departments")
}

fn ask(router: &Router, text: &str, day: &str, returned: &[&str]) -> Decision {
    let fields = AppealFields { text: text.to_owned(), received_at: day.to_owned(), ..AppealFields::default() };
    let mut prepared = router.prepare(&Appeal::parse(fields).expect("an appeal")).expect("prepared");
    prepared.objections = returned.iter().map(|id| overlaps(id)).collect();
    router.route(&[prepared]).expect("routed").remove(0)
}

fn named(decision: &Decision) -> Option<&str> {
    decision.newcomer().map(|department| department.id.as_str())
}

fn ids(decision: &Decision) -> Vec<&str> {
    decision.departments.iter().map(|one| one.department.id.as_str()).collect()
}

#[test]
fn a_founded_department_whose_duty_is_like_the_appeal_stands_second_and_a_person_is_asked() {
    let (_folder, router) = router(Some(BOUND));
    let without = self::router(None).1;
    let (with, without) = (ask(&router, APPEALS[0], DAY, &[]), ask(&without, APPEALS[0], DAY, &[]));
    assert_eq!(with.lead(), without.lead(), "it does not take the lead");
    assert_eq!(ids(&with)[1], "数据");
    assert_eq!(with.departments[1].probability, 0.0, "the model gives it none, and none is made up");
    let mut others = with.departments.clone();
    others.remove(1);
    assert_eq!(others, without.departments, "nobody else is moved");
    assert_eq!(with.unit, without.unit);
    assert!(with.needs_review() && with.review_reasons.contains(&ReviewReason::NewDepartment));
    let ground = with.basis.iter().find(|ground| matches!(ground, Ground::LikeDuty { .. })).expect("it is marked");
    let Ground::LikeDuty { department, text, basis, similarity, precision } = ground else { unreachable!() };
    assert_eq!((department.name.as_str(), text.as_str(), basis.len(), *precision), ("数据局", APPEALS[0], 1, 0.61));
    assert!(*similarity > 0.999, "{similarity}");
    assert!(ground.to_string().contains("模型未学习过") && ground.to_string().contains("61%"), "{ground}");
    assert!(with.reason.contains("“数据局”为模型训练后新设，按职责相似度列入，请核对"), "{}", with.reason);
    assert!(matches!(with.basis.last(), Some(Ground::Model { .. })));
}

#[test]
fn the_second_that_the_lead_is_close_to_is_the_models_and_not_the_newcomer() {
    let (_folder, router) = router(Some(BOUND));
    let decision = ask(&router, APPEALS[0], DAY, &[]);
    let second = decision.runner_up().expect("there are six");
    assert_eq!(second, &decision.departments[2]);
}

#[test]
fn before_it_is_founded_and_for_what_is_not_like_its_duties_it_is_not_named() {
    let (_folder, router) = router(Some(BOUND));
    let without = self::router(None).1;
    assert_eq!(ask(&router, APPEALS[0], EVE, &[]), ask(&without, APPEALS[0], EVE, &[]));
    assert_eq!(ask(&router, APPEALS[3], DAY, &[]), ask(&without, APPEALS[3], DAY, &[]));
}

#[test]
fn a_successor_is_no_newcomer_however_like_its_duties_are() {
    let (_folder, router) = router(Some(BOUND));
    let decision = ask(&router, APPEALS[1], DAY, &[]);
    assert_eq!(named(&decision), None);
    assert!(!decision.review_reasons.contains(&ReviewReason::NewDepartment));
}

#[test]
fn a_model_whose_likeness_to_duties_was_never_measured_names_no_newcomer() {
    let (_folder, router) = router(None);
    let decision = ask(&router, APPEALS[0], DAY, &[]);
    assert_eq!(named(&decision), None);
    assert!(!ids(&decision).contains(&"数据"));
}

#[test]
fn a_duty_that_is_hardly_liker_than_anothers_names_nobody() {
    let (_folder, router) = router(Some(DutyBound { margin: 1.0, ..BOUND }));
    assert_eq!(named(&ask(&router, APPEALS[0], DAY, &[])), None);
}

#[test]
fn of_several_newcomers_only_the_likest_is_named() {
    let duty = APPEALS[2];
    let more = [founded(), department("应急", "valid_from = 2026-03-01", duty)];
    let (_folder, router) = open(Some(BOUND), &more).expect("a catalogue with the model's departments");
    for (text, newcomer) in [(APPEALS[0], "数据"), (duty, "应急")] {
        let decision = ask(&router, text, DAY, &[]);
        assert_eq!(named(&decision), Some(newcomer));
        assert_eq!(decision.departments.len(), DEPARTMENTS.len() + 1);
    }
}

#[test]
fn a_newcomer_that_returned_the_order_is_not_named_again() {
    let (_folder, router) = router(Some(BOUND));
    let decision = ask(&router, APPEALS[0], DAY, &["数据"]);
    assert_eq!(named(&decision), None);
    assert!(!ids(&decision).contains(&"数据"));
}

#[test]
fn when_another_returned_the_order_the_newcomer_is_still_found() {
    let (_folder, router) = router(Some(BOUND));
    let first = ask(&router, APPEALS[0], DAY, &[]).lead().department.id.clone();
    let decision = ask(&router, APPEALS[0], DAY, &[&first]);
    assert_eq!((named(&decision), ids(&decision)[1]), (Some("数据"), "数据"));
    assert!(!ids(&decision).contains(&first.as_str()));
}

#[test]
fn where_a_standing_ruling_applies_no_newcomer_is_sought() {
    let (_folder, router) = router(Some(BOUND));
    let embeddings = router.embed(&[APPEALS[0]]).expect("embedded");
    for lead in ["数据", "供电"] {
        let ruling = embedded(&standing("R-1", APPEALS[0], lead), &embeddings);
        router.set_rulings(Arc::new(RulingBook::new(embeddings[0].len(), &[]).with(&[ruling]))).expect("its own book");
        let decision = ask(&router, APPEALS[0], DAY, &[]);
        assert_eq!((decision.lead().department.id.as_str(), named(&decision)), (lead, None));
        let founded = ids(&decision).into_iter().filter(|id| *id == "数据").count();
        assert_eq!(founded, usize::from(lead == "数据"), "once if it leads");
    }
}

fn propose(router: &Router, day: &str, proposed: &[&str]) -> Result<Decision, RouteError> {
    let fields = AppealFields {
        text: APPEALS[3].to_owned(),
        received_at: day.to_owned(),
        proposed_departments: proposed.iter().map(|name| (*name).to_owned()).collect(),
        ..AppealFields::default()
    };
    let prepared = router.prepare(&Appeal::parse(fields).expect("an appeal"))?;
    Ok(router.route(&[prepared])?.remove(0))
}

#[test]
fn a_proposed_newcomer_has_no_risk_made_up_and_a_person_is_asked() {
    for bound in [Some(BOUND), None] {
        let (_folder, router) = router(bound);
        let without = ask(&router, APPEALS[3], DAY, &[]);
        for proposed in [&["数据"][..], &["数据局"], &["供电", "数据"]] {
            let decision = propose(&router, DAY, proposed).expect("it is a department of the day");
            assert_eq!(decision.proposed_dispatch_risk, None, "{proposed:?}");
            assert!(decision.risk_factors.iter().all(|factor| factor.risk == Risk::Dispute), "{:?}", decision.risk_factors);
            assert!(decision.review_reasons.contains(&ReviewReason::NewDepartment));
            let words = decision.review_words().join("；");
            assert!(words.ends_with("拟派“数据局”为模型训练后新设，无法估计其退单可能"), "{words}");
            assert_eq!(decision.departments, without.departments, "nobody is moved");
            assert_eq!((decision.dispute_risk, &decision.basis), (without.dispute_risk, &without.basis));
        }
        let known = propose(&router, DAY, &["供电"]).expect("the model's");
        assert!(known.proposed_dispatch_risk.is_some() && known.unseen_proposals.is_empty());
        assert!(!known.review_reasons.contains(&ReviewReason::NewDepartment));
    }
}

#[test]
fn a_newcomer_that_was_found_and_proposed_is_one_reason_with_two_sentences() {
    let (_folder, router) = router(Some(BOUND));
    let fields = AppealFields {
        text: APPEALS[0].to_owned(),
        received_at: DAY.to_owned(),
        proposed_departments: vec!["数据".to_owned()],
        ..AppealFields::default()
    };
    let prepared = router.prepare(&Appeal::parse(fields).expect("an appeal")).expect("prepared");
    let decision = router.route(&[prepared]).expect("routed").remove(0);
    let reasons = decision.review_reasons.iter().filter(|reason| **reason == ReviewReason::NewDepartment).count();
    assert_eq!((reasons, named(&decision)), (1, Some("数据")));
    let words = decision.review_words().join("；");
    assert!(words.contains("按职责相似度列入，请核对；拟派“数据局”"), "{words}");
}

#[test]
fn before_it_is_founded_a_newcomer_cannot_be_proposed_and_neither_can_who_was_never_heard_of() {
    let (_folder, router) = router(Some(BOUND));
    for (day, name) in [(EVE, "数据"), (DAY, "环保"), (DAY, "天文台"), ("", "数据")] {
        let refused = propose(&router, day, &[name]);
        let environment = name == "环保";
        assert_eq!(refused.is_ok(), environment, "{day:?} {name}: a label of the model is always known");
    }
}

#[test]
fn more_duties_than_can_be_compared_are_refused() {
    let duty = "[[department.duty]]\ntext = \"事\"\nbasis = [{ level = \"三定\" }]\n";
    let Err(error) = open(Some(BOUND), &[founded() + &duty.repeat(1024)]) else { panic!("it is refused") };
    assert!(error.to_string().contains("at most 1024"), "{error}");
    open(None, &[founded() + &duty.repeat(1024)]).expect("nothing is compared");
}
