//! What was decided or found out about one order stays true of it, whoever opens it again: the ruling on it, its district, and which
//! units are out.

use paidan::server::proto::basis::Kind;
use paidan::server::proto::{self, CaseCause, DecidingBody, ReportReturnRequest, ReturnReason, Ruling, RulingScope};

use crate::database::{databases, sqlite};
use crate::disputes::{Place, appeal, lead, place, returned};
use crate::support::APPEALS;

pub fn ruling(id: &str, lead: &str, orders: &[&str]) -> Ruling {
    Ruling {
        id: id.to_owned(),
        scope: RulingScope::Case.into(),
        matter: "路灯".to_owned(),
        lead_department: lead.to_owned(),
        orders: orders.iter().map(|order| (*order).to_owned()).collect(),
        deciding_body: DecidingBody::Committee.into(),
        decision_date: "2026-03-03".to_owned(),
        ..Ruling::default()
    }
}

pub async fn record(place: &Place, ruling: Ruling, case: &str) {
    let (ruling, actor, case_id) = (Some(ruling), "委员会".to_owned(), case.to_owned());
    let request = proto::RecordRulingRequest { ruling, actor, case_id, ..proto::RecordRulingRequest::default() };
    place.rulings().await.record_ruling(request).await.expect("recorded");
}

/// The ruling on the order that an answer rests on first of all, and whether the model would have said otherwise.
pub fn decided(answer: &proto::RouteAppealResponse) -> Option<(String, bool)> {
    match answer.basis.first().and_then(|basis| basis.kind.clone()) {
        Some(Kind::RulingOnOrder(ruling)) => Some((ruling.ruling_id, ruling.model_differs)),
        _ => None,
    }
}

/// Ids of an answer's departments, likeliest first.
pub fn ranked(answer: &proto::RouteAppealResponse) -> Vec<String> {
    answer.departments.iter().map(|one| one.department.clone().expect("a department").id).collect()
}

#[tokio::test]
async fn an_order_goes_where_the_committee_said_and_not_where_the_model_would_send_it() {
    for database in databases().await {
        let place = place(&database.url).await;
        let before = place.route("1", APPEALS[0]).await;
        let [first, second, third, ..] = &ranked(&before)[..] else { panic!("several") };
        for (unit, at) in [(first, "2026-03-02T02:00:00Z"), (second, "2026-03-02T03:00:00Z")] {
            place.report(returned("1", unit, at)).await.expect("reported");
        }
        let cases = place.disputes().await.list_cases(proto::ListCasesRequest::default()).await.expect("a list").into_inner();
        record(&place, ruling("K1", third, &[]), &cases.cases[0].case_id).await;

        let after = place.route("1", APPEALS[0]).await;
        assert_eq!((lead(&after), decided(&after)), (third.clone(), Some(("K1".to_owned(), true))), "{}", database.name);
        assert!(after.reason.contains("本工单已认定“路灯”（认定委员会，2026-03-03，K1）"), "{}", after.reason);
        let note = &after.review_note;
        assert!(note.contains("认定与模型不一致"), "{note}");
        assert!(!["已被退单", "把握不足", "相近"].iter().any(|word| note.contains(word)), "who leads is settled: {note}");
        assert_eq!(lead(&place.route("2", APPEALS[0]).await), *first, "another order is another matter");
        let file = place.case_file("1").await.expect("a file").case_file.expect("a file");
        assert_eq!(lead(&file.next_answer.expect("an answer")), *third);
        assert_eq!(lead(&file.opinion.expect("an opinion")), *first, "of the appeal itself");
        // Everything is in the database when it has stopped.
        let mut place = place;
        place.server.begin_stop();
        place.server.stopped().await.expect("stopped");
        let story = place.store.audit_of_order("1").await.expect("a story");
        assert!(story.iter().any(|entry| entry.action == "answered" && entry.ruling == "K1"), "the trail says by what");
    }
}

#[tokio::test]
async fn a_ruling_that_names_an_order_decides_it_without_a_case_until_it_is_withdrawn() {
    let database = sqlite().await;
    let place = place(&database.url).await;
    let before = place.route("1", APPEALS[0]).await;
    let last = ranked(&before).pop().expect("a department");
    record(&place, ruling("K1", &last, &["1"]), "").await;
    assert_eq!(lead(&place.route("1", APPEALS[0]).await), last);
    // Its lead may object all the same, and is told who decided.
    let next =
        place.report(returned("1", &last, "2026-03-04T02:00:00Z")).await.expect("reported").next_answer.expect("an answer");
    assert_eq!((lead(&next), decided(&next).is_some()), (last.clone(), true));
    let ruling = place.rulings().await.get_ruling(proto::GetRulingRequest { id: "K1".to_owned() }).await.expect("there");
    let etag = ruling.into_inner().ruling.expect("a ruling").etag;
    let (id, reason, actor) = ("K1".to_owned(), "有误".to_owned(), "委员会".to_owned());
    let request = proto::WithdrawRulingRequest { id, etag, reason, actor };
    place.rulings().await.withdraw_ruling(request).await.expect("withdrawn");
    let after = place.route("1", APPEALS[0]).await;
    assert!(lead(&after) == lead(&before) && decided(&after).is_none());
}

#[tokio::test]
async fn the_district_that_a_return_corrected_is_the_orders_whoever_asks() {
    let database = sqlite().await;
    let place = place(&database.url).await;
    let first = place.route("1", APPEALS[0]).await;
    let (department, unit) = (lead(&first), first.unit.expect("a unit").display_name);
    let elsewhere = ReportReturnRequest {
        reason: ReturnReason::WrongDistrict.into(),
        actual_district: "西区".to_owned(),
        ..returned("1", &unit, "2026-03-02T02:00:00Z")
    };
    place.report(elsewhere).await.expect("reported");
    // Intake sends the district that it knows, the east.
    let again = place.route("1", APPEALS[0]).await;
    assert_eq!(again.unit.expect("a unit").display_name, format!("西区{department}分局"));
}

#[tokio::test]
async fn another_district_by_the_word_of_a_department_is_by_the_word_of_its_unit_there() {
    let database = sqlite().await;
    let place = place(&database.url).await;
    let department = lead(&place.route("1", APPEALS[0]).await);
    let elsewhere = ReportReturnRequest {
        reason: ReturnReason::WrongDistrict.into(),
        ..returned("1", &department, "2026-03-02T02:00:00Z")
    };
    let next = place.report(elsewhere.clone()).await.expect("reported").next_answer.expect("an answer");
    assert_eq!((lead(&next), next.unit), (department.clone(), None), "its district is to be asked for");
    let twice = place.report(elsewhere).await.expect("the same report");
    assert_eq!(twice.return_count, 1);
    // So it is of an order that was never routed here and comes with its return.
    let adopted = ReportReturnRequest {
        reason: ReturnReason::WrongDistrict.into(),
        appeal: Some(appeal("2", APPEALS[0])),
        ..returned("2", &department, "2026-03-02T02:00:00Z")
    };
    let next = place.report(adopted).await.expect("reported").next_answer.expect("an answer");
    assert_eq!((lead(&next), next.unit), (department, None), "its district is to be asked for");
}

#[tokio::test]
async fn a_department_whose_units_have_all_returned_an_order_does_not_get_it_again() {
    let database = sqlite().await;
    let place = place(&database.url).await;
    let first = place.route("1", APPEALS[0]).await;
    let (department, unit) = (lead(&first), first.unit.expect("a unit").display_name);
    let level =
        |unit: &str, at: &str| ReportReturnRequest { reason: ReturnReason::WrongLevel.into(), ..returned("1", unit, at) };
    let next = place.report(level(&unit, "2026-03-02T02:00:00Z")).await.expect("reported").next_answer.expect("an answer");
    let city = next.unit.clone().expect("a unit").display_name;
    assert_eq!((lead(&next), &city), (department.clone(), &format!("市{department}中心")));
    let answer = place.report(level(&city, "2026-03-02T03:00:00Z")).await.expect("reported");
    let out: Vec<String> = answer.excluded_departments.into_iter().map(|one| one.id).collect();
    let next = answer.next_answer.expect("an answer");
    assert!(lead(&next) != department && next.unit.is_some(), "{next:?}");
    assert_eq!(out, [department], "whoever reads the answer is told that it is out");
}

#[tokio::test]
async fn a_ruling_is_contested_by_the_last_unit_of_its_lead_that_could_have_taken_the_order() {
    let database = sqlite().await;
    let place = place(&database.url).await;
    let department = ranked(&place.route("1", APPEALS[0]).await).pop().expect("a department");
    let standing = Ruling {
        scope: RulingScope::Standing.into(),
        examples: vec![APPEALS[0].to_owned()],
        effective_start_date: "2026-03-01".to_owned(),
        ..ruling("S1", &department, &[])
    };
    record(&place, standing, "").await;
    let level =
        |unit: &str, at: &str| ReportReturnRequest { reason: ReturnReason::WrongLevel.into(), ..returned("1", unit, at) };
    let district = place.report(level(&format!("东区{department}分局"), "2026-03-04T02:00:00Z")).await.expect("reported");
    assert_eq!((district.contested_ruling_id.as_str(), district.case_cause()), ("", CaseCause::Unspecified));
    let question = ReportReturnRequest {
        reason: ReturnReason::InformationMissing.into(),
        ..returned("1", &department, "2026-03-04T04:00:00Z")
    };
    let city = place.report(level(&format!("市{department}中心"), "2026-03-04T03:00:00Z")).await.expect("reported");
    assert_ne!(lead(city.next_answer.as_ref().expect("an answer")), department);
    assert_eq!((city.contested_ruling_id.as_str(), city.case_cause()), ("S1", CaseCause::ContestsRuling));
    let question = place.report(question).await.expect("reported");
    assert_eq!(question.contested_ruling_id, "", "a question contests nothing");
}

#[tokio::test]
async fn another_level_by_the_word_of_a_department_is_by_the_word_of_the_unit_that_had_the_order() {
    let database = sqlite().await;
    let place = place(&database.url).await;
    let department = lead(&place.route("1", APPEALS[0]).await);
    let level = |at: &str| ReportReturnRequest { reason: ReturnReason::WrongLevel.into(), ..returned("1", &department, at) };
    let answer = place.report(level("2026-03-02T02:00:00Z")).await.expect("reported");
    let next = answer.next_answer.expect("an answer");
    assert!(answer.excluded_departments.is_empty());
    assert_eq!((lead(&next), next.unit.expect("a unit").display_name), (department.clone(), format!("市{department}中心")));
    let again = place.report(level("2026-03-02T02:00:00Z")).await.expect("the same report");
    assert_eq!((again.return_count, again.excluded_departments.len()), (1, 0));
    let answer = place.report(level("2026-03-02T03:00:00Z")).await.expect("reported");
    let out: Vec<String> = answer.excluded_departments.into_iter().map(|one| one.id).collect();
    assert_eq!(out, std::slice::from_ref(&department), "the city's own had it then");
    assert_ne!(lead(&answer.next_answer.expect("an answer")), department);
}

#[tokio::test]
async fn another_district_of_an_order_that_had_none_is_the_word_of_no_unit() {
    let database = sqlite().await;
    let place = place(&database.url).await;
    let department = lead(&place.route("1", APPEALS[0]).await);
    let nowhere = proto::Appeal { district: String::new(), ..appeal("2", APPEALS[0]) };
    let report = ReportReturnRequest {
        reason: ReturnReason::WrongDistrict.into(),
        appeal: Some(nowhere),
        ..returned("2", &department, "2026-03-02T02:00:00Z")
    };
    let answer = place.report(report).await.expect("reported");
    assert!(answer.excluded_departments.is_empty());
    let next = answer.next_answer.expect("an answer");
    assert_eq!((lead(&next), &next.unit), (department.clone(), &None));
    assert!(next.reason.contains(&format!("“{department}局”已退单（属地不符）")), "{}", next.reason);
    assert!(next.reason.ends_with("请补充所在区"), "{}", next.reason);
    let file = place.case_file("2").await.expect("a file").case_file.expect("a file");
    let side = file.contesting_units.iter().find(|side| side.objecting).expect("it objects");
    assert_eq!(side.unit, "", "nor does the case file name one");
}
