//! Returns on a real server: whoever reports them twice, late, out of order or wrongly leaves the same state, or hears why not.

use paidan::server::proto::{
    CaseCause, CloseOrderRequest, DecidingBody, GetCaseFileRequest, ListRecurrencesRequest, RecordDispatchRequest,
    RecordRulingRequest, ReportReturnRequest, ReturnReason, Ruling, RulingScope,
};
use paidan::store::StoreError;
use tonic::Code;

use crate::database::databases;
use crate::disputes::{NEWCOMER, Place, appeal, lead, place, reason, returned, time};
use crate::support::{APPEALS, DEPARTMENTS};

/// What anybody can see of an order: its case and its returns.
async fn state(place: &Place, order: &str) -> String {
    let course = place.store.course(order).await.expect("a database").expect("an order");
    let returns: Vec<String> = course
        .returns
        .iter()
        .map(|one| format!("{} {:?} {} {:?}", one.objection.department, one.objection.reason, one.returned_at, one.contests))
        .collect();
    format!("{:?} {returns:?}", course.case())
}

#[tokio::test]
async fn a_department_that_the_model_has_never_seen_gets_an_order_and_returns_it_like_any_other() {
    for database in databases().await {
        let place = place(&database.url).await;
        let first = place.route("Q1", APPEALS[0]).await;
        let dispatch = RecordDispatchRequest {
            order_id: "Q1".to_owned(),
            department: "数据局".to_owned(),
            advised_department: lead(&first),
            actor: "派单员".to_owned(),
        };
        let dispatched = place.rulings().await.record_dispatch(dispatch).await.expect("noted").into_inner();
        assert!(dispatched.overridden, "{}", database.name);
        let answer = place.report(returned("Q1", NEWCOMER, "2026-03-03T02:00:00Z")).await.expect("an answer");
        let excluded: Vec<&str> = answer.excluded_departments.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(excluded, [NEWCOMER]);
        let next = answer.next_answer.expect("a next answer");
        assert_eq!(next.departments, first.departments, "the model had given it nothing to share out");
        let unit = place.report(returned("Q1", "东区数据分局", "2026-03-04T02:00:00Z")).await.expect("an answer");
        assert_eq!(unit.case_cause(), CaseCause::ReturnedTwice);
        let file = place.case_file("Q1").await.expect("a file").case_file.expect("a file");
        let side = file.contesting_units.iter().find(|side| side.department.as_ref().is_some_and(|one| one.id == NEWCOMER));
        let side = side.expect("it is a side of the dispute");
        assert!(side.objecting && side.duties.iter().any(|duty| duty.duty == "数据管理"), "{side:?}");
        assert!(file.events.iter().any(|event| event.display_text.contains("派单至")), "{:?}", file.events);
    }
}

#[tokio::test]
async fn reported_twice_and_out_of_order_they_leave_the_state_of_once_in_order() {
    for database in databases().await {
        let place = place(&database.url).await;
        let [a, b] = ["in-order", "shuffled"];
        for order in [a, b] {
            place.route(order, APPEALS[0]).await;
        }
        let reports = |order: &str| {
            let question = ReportReturnRequest {
                reason: ReturnReason::InformationMissing.into(),
                ..returned(order, DEPARTMENTS[1], "2026-03-04T02:00:00Z")
            };
            [
                returned(order, DEPARTMENTS[0], "2026-03-03T02:00:00Z"),
                question,
                returned(order, DEPARTMENTS[2], "2026-03-05T02:00:00Z"),
            ]
        };
        let mut ended = None;
        for report in reports(a) {
            ended = Some(place.report(report).await.expect("an answer"));
        }
        let [first, second, third] = reports(b);
        for report in [third.clone(), first, third, second.clone(), second] {
            place.report(report).await.expect("an answer");
        }
        assert_eq!(state(&place, b).await, state(&place, a).await, "{}", database.name);
        let ended = ended.expect("three reports");
        assert_eq!(ended.case_cause(), CaseCause::ReturnedTwice, "the question does not count");
        let excluded: Vec<&str> = ended.excluded_departments.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(excluded, [DEPARTMENTS[0], DEPARTMENTS[2]], "nor does it exclude anybody");
        let answers: Vec<_> = [a, b].map(|order| place.case_file(order)).into_iter().collect();
        let mut leads = Vec::new();
        for answer in answers {
            leads.push(lead(&answer.await.expect("a case file").case_file.expect("a file").next_answer.expect("an answer")));
        }
        assert_eq!(leads[0], leads[1]);
    }
}

#[tokio::test]
async fn a_request_id_stands_for_one_report_however_often_it_comes() {
    let database = databases().await.remove(0);
    let place = place(&database.url).await;
    place.route("1", APPEALS[0]).await;
    let report = ReportReturnRequest {
        request_id: "r-1".to_owned(),
        return_time: None,
        ..returned("1", DEPARTMENTS[0], "2026-03-03T02:00:00Z")
    };
    let (once, again) = tokio::join!(
        place.report(report.clone()),
        place.report(ReportReturnRequest { note: "另写".to_owned(), ..report.clone() })
    );
    let (once, again) = (once.expect("an answer"), again.expect("an answer"));
    assert!(once.named_departments.is_empty());
    assert_eq!((once.return_id, once.return_count), (again.return_id, again.return_count), "two at once are one");
    let other = ReportReturnRequest { unit: DEPARTMENTS[1].to_owned(), ..report };
    let refused = place.report(other).await.expect_err("another report under the same id");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::AlreadyExists, "RETURN_EXISTS"));
}

#[tokio::test]
async fn two_units_that_return_it_at_the_same_moment_make_one_case() {
    for database in databases().await {
        let place = place(&database.url).await;
        place.route("1", APPEALS[0]).await;
        let (a, b) = tokio::join!(
            place.report(returned("1", DEPARTMENTS[0], "2026-03-03T02:00:00Z")),
            place.report(returned("1", DEPARTMENTS[1], "2026-03-03T02:00:00Z"))
        );
        let cases = [a.expect("an answer").case_id, b.expect("an answer").case_id];
        assert!(cases.iter().any(|case| !case.is_empty()), "{}: whoever came second opened it", database.name);
        assert_eq!(place.store.cases(true, 10, "").await.expect("cases").cases.len(), 1);
        let answer =
            place.case_file("1").await.expect("a case file").case_file.expect("a file").next_answer.expect("an answer");
        assert!(![DEPARTMENTS[0], DEPARTMENTS[1]].contains(&lead(&answer).as_str()));
    }
}

#[tokio::test]
async fn an_order_that_was_never_routed_here_needs_its_appeal() {
    let database = databases().await.remove(0);
    let place = place(&database.url).await;
    let unknown = place.report(returned("7", DEPARTMENTS[0], "2026-03-03T02:00:00Z")).await.expect_err("unknown");
    assert_eq!((unknown.code(), reason(&unknown).as_str()), (Code::NotFound, "ORDER_NOT_FOUND"));
    let with = ReportReturnRequest {
        appeal: Some(appeal("", &format!("{}，电话13812345678", APPEALS[0]))),
        ..returned("7", DEPARTMENTS[0], "2026-03-03T02:00:00Z")
    };
    place.report(with.clone()).await.expect("an answer");
    let kept = place.store.course("7").await.expect("a database").expect("kept").order.fields;
    assert_eq!(kept.id, "7");
    assert!(kept.text.contains("[手机号]") && !kept.text.contains("138"), "masked before it is kept");
    let empty = ReportReturnRequest { order_id: "8".to_owned(), appeal: Some(appeal("8", " ")), ..with };
    assert_eq!(place.report(empty).await.expect_err("no text").code(), Code::InvalidArgument);
    assert_eq!(place.store.course("8").await.expect("a database"), None, "nothing of it was kept");
}

#[tokio::test]
async fn whatever_is_wrong_with_a_report_is_named() {
    let database = databases().await.remove(0);
    let place = place(&database.url).await;
    place.route("1", APPEALS[0]).await;
    let good = returned("1", DEPARTMENTS[0], "2026-03-03T02:00:00Z");
    let wrong: [(&str, ReportReturnRequest); 9] = [
        ("unit", ReportReturnRequest { unit: "城关局".to_owned(), ..good.clone() }),
        ("unit", ReportReturnRequest { unit: String::new(), ..good.clone() }),
        ("reason", ReportReturnRequest { reason: 0, ..good.clone() }),
        ("reason", ReportReturnRequest { reason: 99, ..good.clone() }),
        ("order_id", ReportReturnRequest { order_id: "  ".to_owned(), ..good.clone() }),
        ("note", ReportReturnRequest { note: "长".repeat(2_001), ..good.clone() }),
        ("actor", ReportReturnRequest { actor: String::new(), ..good.clone() }),
        ("return_time", ReportReturnRequest { return_time: Some(time("1970-01-01T00:00:00Z")), ..good.clone() }),
        ("actual_district", ReportReturnRequest { actual_district: "南区".to_owned(), ..good.clone() }),
    ];
    for (field, report) in wrong {
        let status = place.report(report).await.expect_err(field);
        assert_eq!(status.code(), Code::InvalidArgument, "{field}");
        assert!(status.message().starts_with(field), "{}", status.message());
        reason(&status);
    }
    let none = place.case_file("1").await.expect_err("it never came back");
    assert_eq!(none.code(), Code::NotFound);
    let course = place.store.course("1").await.expect("a database").expect("an order");
    assert!(course.returns.is_empty(), "nothing of it was recorded");
    let neither = place.disputes().await.get_case_file(GetCaseFileRequest::default()).await.expect_err("nothing asked");
    assert_eq!(neither.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_closed_order_does_not_come_back_and_one_with_an_open_case_does_not_close() {
    let database = databases().await.remove(0);
    let place = place(&database.url).await;
    let close = |order: &str| CloseOrderRequest { order_id: order.to_owned(), actor: "坐席".to_owned() };
    let mut client = place.disputes().await;
    for order in ["1", "2"] {
        place.route(order, APPEALS[0]).await;
    }
    client.close_order(close("1")).await.expect("closed");
    client.close_order(close("1")).await.expect("closed twice is closed once");
    let late = place.report(returned("1", DEPARTMENTS[0], "2026-03-03T02:00:00Z")).await.expect_err("closed");
    assert_eq!((late.code(), reason(&late).as_str()), (Code::FailedPrecondition, "ORDER_CLOSED"));
    for unit in [DEPARTMENTS[0], DEPARTMENTS[1]] {
        place.report(returned("2", unit, "2026-03-03T02:00:00Z")).await.expect("an answer");
    }
    let open = client.close_order(close("2")).await.expect_err("its case is open");
    assert_eq!((open.code(), reason(&open).as_str()), (Code::FailedPrecondition, "CASE_OPEN"));
    assert_eq!(client.close_order(close("9")).await.expect_err("unknown").code(), Code::NotFound);
    place.route("1", APPEALS[1]).await;
    place.disputes().await.close_order(close("1")).await.expect("still closed");
    let missing = place
        .store
        .report_return(place.store.course("2").await.expect("a database").expect("an order").returns.remove(0), None);
    assert!(!matches!(missing.await, Err(StoreError::NoOrder { .. })), "the order with a case is still there");
}

#[tokio::test]
async fn a_late_return_is_taken_and_told() {
    let database = databases().await.remove(0);
    let place = place(&database.url).await;
    place.route("1", APPEALS[0]).await;
    let on = |order: &str, at: &str| ReportReturnRequest {
        dispatch_time: Some(time("2026-09-30T01:00:00Z")),
        ..returned(order, DEPARTMENTS[0], at)
    };
    let in_time = place.report(on("1", "2026-10-09T15:00:00Z")).await.expect("an answer");
    assert_eq!((in_time.deadline_date.as_str(), in_time.late), ("2026-10-09", Some(false)), "the holidays do not count");
    let late = place.report(on("1", "2026-10-09T17:00:00Z")).await.expect("an answer");
    assert_eq!((late.late, late.return_count), (Some(true), 2), "a day later in the city; told, not refused");

    place.route("2", APPEALS[0]).await;
    let unknown = place.report(returned("2", DEPARTMENTS[0], "2026-03-03T02:00:00Z")).await.expect("an answer");
    assert_eq!((unknown.deadline_date.as_str(), unknown.late), ("", None), "nobody knows when it was sent out");
    let dispatch = RecordDispatchRequest {
        order_id: "2".to_owned(),
        department: DEPARTMENTS[1].to_owned(),
        advised_department: String::new(),
        actor: "坐席".to_owned(),
    };
    place.rulings().await.record_dispatch(dispatch).await.expect("recorded");
    let other = ReportReturnRequest { return_time: None, ..returned("2", DEPARTMENTS[2], "2026-03-03T02:00:00Z") };
    let other = place.report(other).await.expect("an answer");
    assert_eq!((other.deadline_date.as_str(), other.late), ("", None), "it was sent to another: that is not its time");
    let now = ReportReturnRequest { return_time: None, ..returned("2", DEPARTMENTS[1], "2026-03-03T02:00:00Z") };
    let now = place.report(now).await.expect("an answer");
    assert_eq!(now.late, Some(false), "by the dispatch that was recorded: {}", now.deadline_date);
}

#[tokio::test]
async fn another_district_or_level_excludes_the_unit_and_not_its_department() {
    let database = databases().await.remove(0);
    let place = place(&database.url).await;
    let first = place.route("1", APPEALS[0]).await;
    let department = lead(&first);
    let unit = first.unit.expect("a unit").display_name;
    let elsewhere =
        ReportReturnRequest { reason: ReturnReason::WrongDistrict.into(), ..returned("1", &unit, "2026-03-03T02:00:00Z") };
    let answer = place.report(elsewhere.clone()).await.expect("an answer");
    let next = answer.next_answer.expect("an answer");
    assert_eq!((lead(&next), next.unit), (department.clone(), None), "the same function, its district to be asked for");
    assert!(answer.excluded_departments.is_empty());

    place.route("2", APPEALS[0]).await;
    let west = ReportReturnRequest { order_id: "2".to_owned(), actual_district: "西区".to_owned(), ..elsewhere.clone() };
    let next = place.report(west).await.expect("an answer").next_answer.expect("an answer");
    assert_eq!(next.unit.expect("a unit").display_name, format!("西区{department}分局"), "the district is known now");

    place.route("3", APPEALS[0]).await;
    let level = ReportReturnRequest { order_id: "3".to_owned(), reason: ReturnReason::WrongLevel.into(), ..elsewhere };
    let next = place.report(level).await.expect("an answer").next_answer.expect("an answer");
    assert_eq!(next.unit.expect("a unit").display_name, format!("市{department}中心"));
}

#[tokio::test]
async fn an_order_that_nothing_happens_to_is_forgotten_and_one_that_came_back_is_not() {
    for database in databases().await {
        let place = place(&database.url).await;
        for order in ["quiet", "returned"] {
            place.route(order, APPEALS[0]).await;
        }
        place.report(returned("returned", DEPARTMENTS[0], "2026-03-03T02:00:00Z")).await.expect("an answer");
        let later = chrono::Utc::now() + chrono::Duration::days(1);
        assert_eq!(place.store.forget_orders(later).await.expect("a database"), 1, "{}", database.name);
        assert_eq!(place.store.course("quiet").await.expect("a database"), None);
        assert!(place.store.course("returned").await.expect("a database").is_some());
    }
}

#[tokio::test]
async fn open_cases_that_are_alike_are_told_as_disputes_that_come_back() {
    for database in databases().await {
        let place = place(&database.url).await;
        for order in ["1", "2", "3"] {
            place.route(order, APPEALS[0]).await;
            for unit in [DEPARTMENTS[0], DEPARTMENTS[1]] {
                place.report(returned(order, unit, "2026-03-03T02:00:00Z")).await.expect("an answer");
            }
        }
        let request = ListRecurrencesRequest { min_similarity: Some(0.99), ..ListRecurrencesRequest::default() };
        let mut client = place.rulings().await;
        let list = client.list_recurrences(request.clone()).await.expect("a list").into_inner();
        let [group] = &list.recurrences[..] else { panic!("{}: {list:?}", database.name) };
        assert_eq!((group.dispute_count, group.orders.len()), (3, 3));
        let mut contesting: Vec<&str> = group.contesting_parties.iter().map(|party| party.department.as_str()).collect();
        contesting.sort_unstable();
        let mut units = [DEPARTMENTS[0], DEPARTMENTS[1]];
        units.sort_unstable();
        assert_eq!(contesting, units);
        assert_eq!(group.draft_ruling.as_ref().expect("a draft").lead_department, "", "nobody leads yet");
        assert_eq!(client.list_recurrences(request).await.expect("a list").into_inner(), list, "asked again");
    }
}

#[tokio::test]
async fn an_order_with_an_open_case_that_a_ruling_names_is_one_dispute() {
    for database in databases().await {
        let place = place(&database.url).await;
        let mut client = place.rulings().await;
        for (i, order) in ["1", "2", "3", "4"].into_iter().enumerate() {
            place.route(order, APPEALS[0]).await;
            for unit in [DEPARTMENTS[0], DEPARTMENTS[1]] {
                place.report(returned(order, unit, "2026-03-03T02:00:00Z")).await.expect("an answer");
            }
            // Without the id of its case, which stays open. Nobody decided on the last one.
            let ruling = Ruling {
                id: format!("R-{order}"),
                scope: RulingScope::Case.into(),
                matter: "路灯".to_owned(),
                examples: vec![APPEALS[0].to_owned()],
                orders: vec![order.to_owned()],
                lead_department: DEPARTMENTS[2].to_owned(),
                excluded_departments: vec![DEPARTMENTS[0].to_owned()],
                deciding_body: DecidingBody::Committee.into(),
                decision_date: "2026-03-04".to_owned(),
                ..Ruling::default()
            };
            let request =
                RecordRulingRequest { ruling: Some(ruling), actor: "委员会".to_owned(), ..RecordRulingRequest::default() };
            if i < 3 {
                client.record_ruling(request).await.expect("recorded");
            }
        }
        let request = ListRecurrencesRequest { min_similarity: Some(0.99), ..ListRecurrencesRequest::default() };
        let list = client.list_recurrences(request).await.expect("a list").into_inner();
        let [group] = &list.recurrences[..] else { panic!("{}: {list:?}", database.name) };
        let mut orders = group.orders.clone();
        orders.sort_unstable();
        assert_eq!((list.dispute_count, group.dispute_count), (4, 4), "{}", database.name);
        assert_eq!(orders, ["1", "2", "3", "4"]);
        let parties: Vec<(&str, i32)> =
            group.contesting_parties.iter().map(|party| (party.department.as_str(), party.dispute_count)).collect();
        assert_eq!(parties, [(DEPARTMENTS[0], 4), (DEPARTMENTS[1], 1)], "who leads contested nothing");
    }
}

#[tokio::test]
async fn what_citizens_and_units_write_is_text_on_the_page_and_nothing_else() {
    let database = databases().await.remove(0);
    let place = place(&database.url).await;
    place.route("1", &format!("{}<img src=x onerror=alert(1)>", APPEALS[0])).await;
    let note = "<script>alert('退单')</script>\n见附件，电话13812345678";
    let report = ReportReturnRequest { note: note.to_owned(), ..returned("1", DEPARTMENTS[0], "2026-03-03T02:00:00Z") };
    place.report(report.clone()).await.expect("an answer");
    let names = format!("应由{}局处理，不属{}职责", DEPARTMENTS[2], DEPARTMENTS[1]);
    let second = ReportReturnRequest { unit: DEPARTMENTS[1].to_owned(), note: names, ..report };
    let named = place.report(second).await.expect("an answer").named_departments;
    assert_eq!(
        named.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(),
        [DEPARTMENTS[2]],
        "whom the unit takes to be responsible"
    );
    let page = place.case_file("1").await.expect("a case file").page_html;
    assert!(!page.contains("<script") && !page.contains("<img"), "escaped");
    assert!(page.contains("onerror") && page.contains("见附件，电话[手机号]"), "told all the same, masked");
    assert!(!page.contains("http://") && !page.contains("https://"), "nothing is loaded from anywhere");
}
