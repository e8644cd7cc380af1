//! Orders across calls: what their numbers are, what stays true of one that came back, and how its case is opened again.

use paidan::server::proto::{self, DecidingBody, ListCasesRequest, ReturnReason, Ruling, RulingScope};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::database::{databases, sqlite};
use crate::disputes::{Place, lead, place, returned};
use crate::support::APPEALS;

fn reason(status: &Status) -> String {
    status.get_details_error_info().expect("a reason").reason
}

fn ruling(id: &str, lead: &str) -> Ruling {
    Ruling {
        id: id.to_owned(),
        scope: RulingScope::Case.into(),
        matter: "路灯".to_owned(),
        lead_department: lead.to_owned(),
        deciding_body: DecidingBody::Committee.into(),
        decision_date: "2026-03-03".to_owned(),
        ..Ruling::default()
    }
}

/// Everything is in the database when it has stopped.
async fn stop(mut place: Place) {
    place.server.begin_stop();
    place.server.stopped().await.expect("stopped");
}

async fn record(place: &Place, ruling: Ruling, case: &str) -> Result<proto::RecordRulingResponse, Status> {
    let request = proto::RecordRulingRequest {
        ruling: Some(ruling),
        actor: "委员会".to_owned(),
        case_id: case.to_owned(),
        ..proto::RecordRulingRequest::default()
    };
    Ok(place.rulings().await.record_ruling(request).await?.into_inner())
}

#[tokio::test]
async fn orders_whose_numbers_have_the_form_of_a_card_are_told_apart() {
    for database in databases().await {
        let place = place(&database.url).await;
        for order in ["460106202611270001", "460106202611270002"] {
            place.route(order, APPEALS[0]).await;
            let reported = place.report(returned(order, "城管", "2026-03-02T02:00:00Z")).await.expect("reported");
            assert_eq!((reported.return_count, reported.case_id.as_str()), (1, ""), "{}", database.name);
            assert_eq!(reported.next_answer.expect("an answer").appeal_id, order);
        }
        stop(place).await;
    }
}

#[tokio::test]
async fn a_phone_in_the_place_of_a_number_is_answered_but_is_no_order() {
    let database = sqlite().await;
    let place = place(&database.url).await;
    let answer = place.route("13812345678", APPEALS[0]).await;
    assert_eq!(answer.appeal_id, "13812345678", "the caller's own id is echoed");
    let refused = place.report(returned("13812345678", "城管", "2026-03-02T02:00:00Z")).await.expect_err("refused");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "APPEAL_INVALID"));
    let refused = record(&place, Ruling { orders: vec!["13812345678".to_owned()], ..ruling("R-1", "城管") }, "").await;
    assert_eq!(refused.expect_err("refused").code(), Code::InvalidArgument);
    stop(place).await;
    let entries = database.store.audit_after(0, 10).await.expect("the trail");
    assert_eq!(entries[0].order_id, "[手机号]");
    assert!(database.store.course("13812345678").await.expect("asked").is_none());
}

#[tokio::test]
async fn a_case_whose_ruling_is_withdrawn_is_open_again_and_can_be_decided_anew() {
    for database in databases().await {
        let place = place(&database.url).await;
        place.route("1", APPEALS[0]).await;
        for (unit, at) in [("城管", "2026-03-02T02:00:00Z"), ("住建", "2026-03-02T03:00:00Z")] {
            place.report(returned("1", unit, at)).await.expect("reported");
        }
        let open = async || {
            let request = ListCasesRequest { open_only: true, ..ListCasesRequest::default() };
            place.disputes().await.list_cases(request).await.expect("a list").into_inner().cases
        };
        let case = open().await.remove(0).case_id;
        record(&place, ruling("K1", "环保"), &case).await.expect("recorded");
        assert!(open().await.is_empty(), "{}", database.name);
        let settled = record(&place, ruling("K2", "供电"), &case).await.expect_err("settled");
        assert!(settled.message().contains("withdraw"), "{settled:?}");

        let etag = place.rulings().await.get_ruling(proto::GetRulingRequest { id: "K1".to_owned() }).await;
        let etag = etag.expect("there").into_inner().ruling.expect("a ruling").etag;
        let request = proto::WithdrawRulingRequest {
            id: "K1".to_owned(),
            etag,
            reason: "事实有误，来电人13812345678".to_owned(),
            actor: "委员会".to_owned(),
        };
        place.rulings().await.withdraw_ruling(request).await.expect("withdrawn");
        assert_eq!(open().await.len(), 1, "{}", database.name);
        record(&place, ruling("K2", "供电"), &case).await.expect("recorded");
        assert!(open().await.is_empty());
        let file = place.case_file("1").await.expect("a file").case_file.expect("a file");
        let told: Vec<&str> = file.events.iter().map(|event| event.display_text.as_str()).collect();
        assert!(told.iter().any(|text| text.contains("恢复办理：认定K1已撤回")), "{told:?}");
        assert!(told.iter().any(|text| text.contains("撤回认定K1：事实有误，来电人[手机号]")), "{told:?}");
        assert_eq!(file.closing_ruling.expect("a ruling").id, "K2");
        stop(place).await;
    }
}

#[tokio::test]
async fn a_ruling_on_a_case_may_name_as_many_orders_as_any_and_not_one_more() {
    let database = sqlite().await;
    let place = place(&database.url).await;
    place.route("1", APPEALS[0]).await;
    for (unit, at) in [("城管", "2026-03-02T02:00:00Z"), ("住建", "2026-03-02T03:00:00Z")] {
        place.report(returned("1", unit, at)).await.expect("reported");
    }
    let cases = place.disputes().await.list_cases(ListCasesRequest::default()).await.expect("a list").into_inner().cases;
    let orders = |count: usize| (0..count).map(|i| format!("order-{i}")).collect();
    let many = record(&place, Ruling { orders: orders(100), ..ruling("K1", "环保") }, &cases[0].case_id).await;
    assert_eq!(many.expect_err("one too many").code(), Code::InvalidArgument);
    let most = record(&place, Ruling { orders: orders(99), ..ruling("K1", "环保") }, &cases[0].case_id).await;
    assert_eq!(most.expect("recorded").ruling.expect("a ruling").orders.len(), 100);
    // Whatever was taken can be read again, by everybody.
    let got = place.rulings().await.get_ruling(proto::GetRulingRequest { id: "K1".to_owned() }).await;
    assert!(got.is_ok(), "{got:?}");
    stop(place).await;
}

#[tokio::test]
async fn the_district_that_a_unit_corrected_stays_the_orders_own() {
    for database in databases().await {
        let place = place(&database.url).await;
        let first = lead(&place.route("1", APPEALS[0]).await);
        let report = proto::ReportReturnRequest {
            reason: ReturnReason::WrongDistrict.into(),
            actual_district: "西区".to_owned(),
            ..returned("1", &format!("东区{first}分局"), "2026-03-02T02:00:00Z")
        };
        let reported = place.report(report).await.expect("reported");
        let unit = reported.next_answer.expect("an answer").unit.expect("a unit").display_name;
        assert_eq!(unit, format!("西区{first}分局"));
        // Routed again with the district of the call.
        place.route("1", APPEALS[0]).await;
        let file = place.case_file("1").await.expect("a file").case_file.expect("a file");
        assert_eq!(file.appeal.expect("an appeal").district, "西区", "{}", database.name);
        assert_eq!(file.next_answer.expect("an answer").unit.expect("a unit").display_name, format!("西区{first}分局"));
        stop(place).await;
    }
}

#[tokio::test]
async fn what_people_decided_on_is_not_rewritten_by_what_is_routed_under_its_number_later() {
    for database in databases().await {
        let place = place(&database.url).await;
        for order in ["returned", "closed", "open"] {
            place.route(order, APPEALS[0]).await;
        }
        place.report(returned("returned", "城管", "2026-03-02T02:00:00Z")).await.expect("reported");
        let close = proto::CloseOrderRequest { order_id: "closed".to_owned(), actor: "坐席".to_owned() };
        place.disputes().await.close_order(close).await.expect("closed");
        for order in ["returned", "closed", "open"] {
            let appeal = proto::Appeal { id: order.to_owned(), text: APPEALS[1].to_owned(), ..proto::Appeal::default() };
            let request = proto::RouteAppealRequest { appeal: Some(appeal), ..proto::RouteAppealRequest::default() };
            place.server.client().await.route_appeal(request).await.expect("an answer");
        }
        stop(place).await;
        for (order, text) in [("returned", APPEALS[0]), ("closed", APPEALS[0]), ("open", APPEALS[1])] {
            let fields = database.store.course(order).await.expect("a database").expect("an order").order.fields;
            let kept = (fields.text.as_str(), fields.district.as_str(), fields.received_at.as_str());
            assert_eq!(kept, (text, "东区", "2026-03-02T01:00:00Z"), "{} {order}", database.name);
        }
    }
}

#[tokio::test]
async fn an_order_that_came_back_is_not_advised_to_go_there_again_whoever_asks() {
    for database in databases().await {
        let place = place(&database.url).await;
        let first = lead(&place.route("1", APPEALS[0]).await);
        place.report(returned("1", &first, "2026-03-02T02:00:00Z")).await.expect("reported");
        let again = place.route("1", APPEALS[0]).await;
        assert_ne!(lead(&again), first, "{}", database.name);
        assert!(again.review_reasons().any(|reason| reason == proto::ReviewReason::Returned));
        assert_eq!(lead(&place.route("2", APPEALS[0]).await), first, "another order is another matter");

        // A second server hears of it, and of what it was settled by.
        let other = another(&database.url).await;
        until(async || lead(&other.route("1", APPEALS[0]).await) != first).await;
        place.report(returned("1", &lead(&again), "2026-03-02T03:00:00Z")).await.expect("reported");
        let cases = place.disputes().await.list_cases(ListCasesRequest::default()).await.expect("a list").into_inner().cases;
        record(&place, ruling("K1", &first), &cases[0].case_id).await.expect("recorded");
        until(async || lead(&other.route("1", APPEALS[0]).await) == first).await;
        stop(other).await;
        stop(place).await;
    }
}

/// A second server on the same database.
async fn another(url: &str) -> Place {
    place(url).await
}

/// Asks again and again until it is so, at most some seconds.
async fn until(so: impl AsyncFn() -> bool) {
    let since = std::time::Instant::now();
    while !so().await {
        assert!(since.elapsed().as_secs() < 20, "the other server does not hear of it");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_case_is_open_since_the_return_that_opened_it_whenever_that_is_reported() {
    let database = sqlite().await;
    let place = place(&database.url).await;
    place.route("1", APPEALS[0]).await;
    for (unit, at) in [("城管", "2026-03-06T02:00:00Z"), ("住建", "2026-03-05T02:00:00Z"), ("供电", "2026-03-04T02:00:00Z")]
    {
        place.report(returned("1", unit, at)).await.expect("reported");
    }
    let cases = place.disputes().await.list_cases(ListCasesRequest::default()).await.expect("a list").into_inner().cases;
    let file = place.case_file("1").await.expect("a file").case_file.expect("a file");
    assert_eq!(cases[0].open_time, file.open_time);
    assert_eq!(cases[0].open_time, Some(crate::disputes::time("2026-03-05T02:00:00Z")), "the second of three");
    // What cannot have happened is no return.
    let late = proto::ReportReturnRequest {
        dispatch_time: Some(crate::disputes::time("2026-03-08T02:00:00Z")),
        ..returned("1", "水务", "2026-03-07T02:00:00Z")
    };
    assert_eq!(place.report(late).await.expect_err("dispatched after it").code(), Code::InvalidArgument);
    let to_come = returned("1", "水务", "2999-03-07T02:00:00Z");
    assert_eq!(place.report(to_come).await.expect_err("still to come").code(), Code::InvalidArgument);
    stop(place).await;
}
