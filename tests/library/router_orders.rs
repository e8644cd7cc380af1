//! What was decided and objected on one order: the ruling on it is the last word, and a proposal that goes against either has no number.

use std::sync::Arc;

use paidan::catalog::DepartmentCatalog;
use paidan::model::Calibration;
use paidan::routing::{Decision, Ground, Objection, RankedDepartment, Refusal, ReturnReason, ReviewReason, Risk, Router};
use paidan::rulings::RulingDraft;
use paidan::text::{Appeal, AppealFields};

use crate::catalogs;
use crate::drafts::{case, overlaps, parsed, put, standing};
use crate::support::{
    APPEALS, DEPARTMENTS, appeals_of_two_matters, calibrate, only_itself, sure_model, tiny_model, write_dispute_model,
};

/// With the first catalogue, in which every department has a unit of the city and one of 东区.
fn router(model: &tempfile::TempDir) -> Router {
    calibrate(model.path(), &Calibration { precedents: only_itself(), ..Calibration::default() });
    let folder = tempfile::tempdir().expect("a folder");
    catalogs::write(folder.path(), catalogs::FIRST);
    let catalog = DepartmentCatalog::open(folder.path()).unwrap_or_else(|error| panic!("{error}"));
    Router::open(model.path()).expect("a model").with_catalog(Arc::new(catalog)).expect("its departments")
}

fn on_order(lead: &str, excluded: &[&str]) -> RulingDraft {
    RulingDraft {
        orders: vec!["1".to_owned()],
        excluded: excluded.iter().map(|id| (*id).to_owned()).collect(),
        ..case("K-1", APPEALS[7], lead)
    }
}

fn returned(department: &str, unit: &str, reason: ReturnReason) -> Objection {
    Objection { unit: Some(unit.to_owned()).filter(|unit| !unit.is_empty()), reason, ..overlaps(department) }
}

/// The order of number 1, of 东区.
fn ask(router: &Router, text: &str, proposed: &str, objections: &[Objection]) -> Decision {
    let fields = AppealFields {
        id: "1".to_owned(),
        text: text.to_owned(),
        received_at: "2026-03-01".to_owned(),
        district: "东区".to_owned(),
        proposed_departments: Some(proposed.to_owned()).filter(|one| !one.is_empty()).into_iter().collect(),
        ..AppealFields::default()
    };
    let prepared = router.prepare(&Appeal::parse(fields).expect("an appeal")).expect("prepared");
    router.route(&[prepared.returned(objections.to_vec(), None)]).expect("routed").remove(0)
}

fn id(ranked: &RankedDepartment) -> &str {
    &ranked.department.id
}

fn sum(ranking: &[RankedDepartment]) -> f32 {
    ranking.iter().map(|one| one.probability).sum()
}

/// True if the answer has a number for the proposal, and nothing against it.
fn has_number(decision: &Decision) -> bool {
    let factors = decision.risk_factors.iter().any(|one| one.risk == Risk::ProposedDispatch);
    assert!(decision.proposed_dispatch_risk.is_some() || !factors, "nothing raised what is not told");
    assert_eq!(decision.proposed_dispatch_risk.is_some(), decision.refused_proposals.is_empty());
    decision.proposed_dispatch_risk.is_some()
}

fn words(decision: &Decision) -> String {
    decision.review_words().join("；")
}

#[test]
fn of_a_proposal_that_has_returned_the_order_no_risk_is_told_but_that_it_did() {
    let model = tiny_model();
    write_dispute_model(model.path());
    let router = router(&model);
    let ask = |objections: &[Objection]| ask(&router, APPEALS[0], "城管", objections);
    assert!(has_number(&ask(&[])));
    let out = ask(&[returned("城管", "", ReturnReason::DutiesOverlap)]);
    assert!(!has_number(&out) && out.review_reasons.contains(&ReviewReason::HighDisputeRisk));
    assert_eq!(out.refused_proposals[0].refusal, Refusal::Returned);
    assert!(words(&out).contains("拟派“城管局甲”已退过本单"), "{}", words(&out));
    assert!(has_number(&ask(&[returned("交警", "", ReturnReason::DutiesOverlap)])), "another did");
    assert!(has_number(&ask(&[returned("城管", "", ReturnReason::InformationMissing)])), "a question is no refusal");
    let level = |unit: &str| returned("城管", unit, ReturnReason::WrongLevel);
    assert!(has_number(&ask(&[level("东区城管分局甲")])), "the city's own unit is left");
    assert!(!has_number(&ask(&[level("东区城管分局甲"), level("市城管中心甲")])));
}

#[test]
fn of_a_proposal_that_is_not_whom_a_ruling_names_no_risk_is_told_but_whom_it_names() {
    let model = tiny_model();
    write_dispute_model(model.path());
    let router = router(&model);
    for draft in [on_order("供电", &["城管"]), standing("R-1", APPEALS[0], "供电")] {
        put(&router, &[parsed(&draft)]);
        let against = ask(&router, APPEALS[0], "城管", &[]);
        assert!(!has_number(&against) && against.review_reasons.contains(&ReviewReason::HighDisputeRisk), "{}", draft.id);
        let told = "已认定由“供电局甲”主办，拟派“城管局甲”与认定不符";
        assert!(words(&against).contains(told), "{}", words(&against));
        assert!(has_number(&ask(&router, APPEALS[0], "供电", &[])), "{}", draft.id);
    }
    put(&router, &[parsed(&on_order("供电", &[]))]);
    let upheld = ask(&router, APPEALS[0], "供电", &[returned("供电", "", ReturnReason::DutiesOverlap)]);
    assert!(has_number(&upheld), "the ruling says that it has to take what it returned");
}

#[test]
fn an_order_that_was_ruled_on_is_not_taken_apart() {
    let model = sure_model();
    let router = router(&model);
    let texts = appeals_of_two_matters();
    let parts = |text: &String| ask(&router, text, "", &[]).parts;
    let text = texts.iter().find(|text| !parts(text).is_empty()).expect("one that is split");
    let lead = parts(text)[0].departments[0].department.id.clone();
    let other = DEPARTMENTS.into_iter().find(|id| *id != lead).expect("another");
    put(&router, &[parsed(&on_order(other, &[&lead]))]);
    let decision = ask(&router, text, "", &[]);
    assert!(matches!(decision.basis.first(), Some(Ground::RulingOnOrder { .. })));
    assert!(decision.parts.is_empty() && !decision.review_reasons.contains(&ReviewReason::SeveralMatters));
    put(&router, &[parsed(&RulingDraft { orders: vec!["2".to_owned()], ..on_order(other, &[&lead]) })]);
    assert_eq!(parts(text).len(), 2, "another order was ruled on");
}

#[test]
fn a_ruled_lead_that_returned_the_order_is_told_beside_what_the_model_says_of_the_appeal_itself() {
    let model = tiny_model();
    let router = router(&model);
    let before = ask(&router, APPEALS[0], "", &[]);
    let [first, second, ..] = &before.departments[..] else { panic!("several") };
    let unit = format!("东区{}分局甲", id(first));
    let objections =
        [returned(id(second), "", ReturnReason::DutiesOverlap), returned(id(first), &unit, ReturnReason::DutiesOverlap)];
    put(&router, &[parsed(&on_order(id(first), &[]))]);
    let agreeing = ask(&router, APPEALS[0], "", &objections);
    assert!(matches!(agreeing.basis.first(), Some(Ground::RulingOnOrder { differs: false, .. })));
    assert!(!agreeing.review_reasons.contains(&ReviewReason::RulingDiffers) && !agreeing.reason.contains("模型首选"));
    assert_eq!(id(agreeing.lead()), id(first));
    assert!((sum(&agreeing.departments) - 1.0).abs() < 1e-5, "{}", sum(&agreeing.departments));
    assert_eq!(agreeing.model_opinion, before.departments, "of the appeal itself");
    assert!(agreeing.departments.iter().all(|one| id(one) != id(second)), "another that returned it is not named again");
    assert_eq!(agreeing.unit, None);
    assert!(agreeing.reason.ends_with("；该区单位已退单，具体单位待定"), "the district is known: {}", agreeing.reason);

    put(&router, &[parsed(&on_order(id(second), &[]))]);
    let differing = ask(&router, APPEALS[0], "", &objections);
    assert!(matches!(differing.basis.first(), Some(Ground::RulingOnOrder { differs: true, .. })));
    let said = format!("模型首选“{}部门”，把握{:.0}%", id(first), first.probability * 100.0);
    assert!(differing.reason.contains(&said), "{}", differing.reason);
    assert_eq!((id(differing.lead()), &differing.model_opinion), (id(second), &before.departments));
    assert!((sum(&differing.departments) - 1.0).abs() < 1e-5, "{}", sum(&differing.departments));
}
