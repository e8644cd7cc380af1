//! A ruling that settled a case settles it for as long as it counts: whatever takes its place settles it too, and where nothing does
//! the case is open again and its returns count.

use std::sync::Arc;

use paidan::routing::Router;
use paidan::server::proto::basis::Kind;
use paidan::server::proto::{
    self, Appeal, ListCasesRequest, RecordRulingRequest, RouteAppealRequest, Ruling, RulingScope, RulingStatus,
};
use paidan::server::rulings::RulingDesk;
use paidan::store::Store;
use sqlx::Connection;

use crate::database::{databases, sqlite};
use crate::decided::{decided, ranked, record, ruling};
use crate::disputes::{Place, appeal, lead, place, reason, returned, time};
use crate::support::{APPEALS, tiny_model};

/// Order 1 came back from the first two and was settled for the third by K1; who they are, likeliest first.
async fn settled(place: &Place) -> [String; 3] {
    let before = ranked(&place.route("1", APPEALS[0]).await);
    let [first, second, third, ..] = &before[..] else { panic!("several") };
    for (unit, at) in [(first, "2026-03-02T02:00:00Z"), (second, "2026-03-02T03:00:00Z")] {
        place.report(returned("1", unit, at)).await.expect("reported");
    }
    record(place, ruling("K1", third, &[]), &open(place).await[0].0).await;
    assert!(open(place).await.is_empty());
    [first.clone(), second.clone(), third.clone()]
}

/// Open cases with their orders.
async fn open(place: &Place) -> Vec<(String, String)> {
    let request = ListCasesRequest { open_only: true, ..ListCasesRequest::default() };
    let cases = place.disputes().await.list_cases(request).await.expect("a list").into_inner().cases;
    cases.into_iter().map(|case| (case.case_id, case.order_id)).collect()
}

async fn there(place: &Place, id: &str) -> Ruling {
    let got = place.rulings().await.get_ruling(proto::GetRulingRequest { id: id.to_owned() }).await;
    got.expect("there").into_inner().ruling.expect("a ruling")
}

async fn supersede(place: &Place, id: &str, etag: &str, successor: Ruling) {
    let (id, etag, actor) = (id.to_owned(), etag.to_owned(), "委员会".to_owned());
    let request = proto::SupersedeRulingRequest { id, etag, successor: Some(successor), actor };
    place.rulings().await.supersede_ruling(request).await.expect("superseded");
}

async fn withdraw(place: &Place, id: &str) {
    let (id, etag) = (id.to_owned(), there(place, id).await.etag);
    let request = proto::WithdrawRulingRequest { id, etag, reason: "有误".to_owned(), actor: "委员会".to_owned() };
    place.rulings().await.withdraw_ruling(request).await.expect("withdrawn");
}

/// Whoever returned it is out, and the committee has the case again.
async fn is_open_again(place: &Place, [first, second, _]: &[String; 3]) {
    let answer = place.route("1", APPEALS[0]).await;
    assert!(!ranked(&answer).iter().any(|id| [first, second].contains(&id)), "{:?}", ranked(&answer));
    assert!(decided(&answer).is_none() && answer.needs_review);
    assert_eq!(open(place).await.iter().map(|(_, order)| order.as_str()).collect::<Vec<_>>(), ["1"]);
}

#[tokio::test]
async fn the_case_goes_with_the_ruling_that_takes_the_place_of_the_one_that_settled_it() {
    for database in databases().await {
        let place = place(&database.url).await;
        let departments = settled(&place).await;
        let [_, _, third] = &departments;
        let etag = there(&place, "K1").await.etag;
        supersede(&place, "K1", &etag, ruling("K2", third, &[])).await;
        // Asked for again by somebody who did not hear the answer.
        supersede(&place, "K1", &etag, ruling("K2", third, &[])).await;
        assert_eq!(there(&place, "K2").await.orders, ["1"], "{}: it decides what the former decided", database.name);
        let after = place.route("1", APPEALS[0]).await;
        assert_eq!((lead(&after), decided(&after).map(|(id, _)| id)), (third.clone(), Some("K2".to_owned())));
        assert!(open(&place).await.is_empty());
        // Sent again it is the same.
        let again = RecordRulingRequest {
            ruling: Some(Ruling { superseded_ruling: "K1".to_owned(), ..ruling("K2", third, &[]) }),
            actor: "委员会".to_owned(),
            ..RecordRulingRequest::default()
        };
        place.rulings().await.record_ruling(again).await.expect("the same ruling");
        withdraw(&place, "K2").await;
        is_open_again(&place, &departments).await;
        let third_return = returned("1", third, "2026-03-05T02:00:00Z");
        place.report(third_return).await.expect("an open case can get another return");
    }
}

#[tokio::test]
async fn a_ruling_that_is_changed_so_that_it_counts_no_more_leaves_its_case_open() {
    for status in [RulingStatus::Draft, RulingStatus::Withdrawn] {
        let database = sqlite().await;
        let place = place(&database.url).await;
        let departments = settled(&place).await;
        let was = there(&place, "K1").await;
        let etag = was.etag.clone();
        let (ruling, actor) = (Some(Ruling { status: status.into(), ..was }), "委员会".to_owned());
        let request = RecordRulingRequest { ruling, etag, actor, ..RecordRulingRequest::default() };
        place.rulings().await.record_ruling(request).await.expect("changed");
        is_open_again(&place, &departments).await;
    }
}

#[tokio::test]
async fn a_ruling_keeps_the_order_of_its_case_whatever_else_of_it_is_changed() {
    let database = sqlite().await;
    let place = place(&database.url).await;
    let [_, _, third] = settled(&place).await;
    let was = there(&place, "K1").await;
    let etag = was.etag.clone();
    let changed = Ruling { matter: "路灯维修".to_owned(), orders: Vec::new(), ..was };
    let request =
        RecordRulingRequest { ruling: Some(changed), etag, actor: "委员会".to_owned(), ..RecordRulingRequest::default() };
    place.rulings().await.record_ruling(request).await.expect("changed");
    let after = place.route("1", APPEALS[0]).await;
    assert_eq!((lead(&after), decided(&after).is_some()), (third, true));
    assert_eq!(there(&place, "K1").await.orders, ["1"]);
}

#[tokio::test]
async fn a_return_that_is_told_again_of_an_order_that_a_standing_ruling_settled_hears_what_was_decided() {
    let database = sqlite().await;
    let place = place(&database.url).await;
    let before = ranked(&place.route("1", APPEALS[0]).await);
    let [first, second, ..] = &before[..] else { panic!("several") };
    let reports = [returned("1", first, "2026-03-02T02:00:00Z"), returned("1", second, "2026-03-02T03:00:00Z")];
    for report in reports.clone() {
        place.report(report).await.expect("reported");
    }
    // For one of those who had objected.
    let standing = Ruling { scope: RulingScope::Standing.into(), description: "路灯".to_owned(), ..ruling("S1", first, &[]) };
    record(&place, standing, &open(&place).await[0].0).await;
    let [_, again] = reports;
    let answer = place.report(again).await.expect("the same report");
    assert!(answer.excluded_departments.is_empty(), "{:?}", answer.excluded_departments);
    let next = answer.next_answer.expect("an answer");
    assert_eq!((lead(&next), decided(&next).map(|(id, _)| id)), (first.clone(), Some("S1".to_owned())));
    let file = place.case_file("1").await.expect("a file");
    assert!(file.page_html.contains("已裁定") && !file.page_html.contains("请提请裁定"));
    assert_eq!(lead(&file.case_file.expect("a file").next_answer.expect("an answer")), *first);
}

/// What an order was decided by does not wait for the embedding of its ruling, which a new model makes of all of them.
#[tokio::test]
async fn a_server_that_starts_with_another_model_knows_at_once_which_orders_were_decided() {
    let database = sqlite().await;
    let lead_of_the_ruling = {
        let place = place(&database.url).await;
        let [_, _, third] = settled(&place).await;
        third
    };
    // As if this were another model's.
    sqlx::any::install_default_drivers();
    let mut connection = sqlx::AnyConnection::connect(&database.url).await.expect("connected");
    sqlx::query("DELETE FROM ruling_embeddings").execute(&mut connection).await.expect("gone");
    let model = tiny_model();
    let router = Arc::new(Router::open(model.path()).expect("a model"));
    let store = Store::open(&database.url).await.expect("the same database");
    // Nobody follows it here, so nothing that waits is ever embedded.
    let desk = RulingDesk::open(store, Arc::clone(&router)).await.expect("a desk");
    let naming: Vec<String> = router.rulings().naming("1").map(|ruling| ruling.lead.clone()).collect();
    assert_eq!(naming, [lead_of_the_ruling]);
    assert_eq!(desk.waiting().await, 1, "its embedding is still to be made");
}

/// S1 settled the case of order 1, of 2 March; S2 takes its place from 10 March on.
#[tokio::test]
async fn a_standing_ruling_goes_on_deciding_what_came_in_before_its_successors_first_day() {
    for database in databases().await {
        let place = place(&database.url).await;
        let before = ranked(&place.route("1", APPEALS[0]).await);
        let [first, second, third, ..] = &before[..] else { panic!("several") };
        for (unit, at) in [(first, "2026-03-02T02:00:00Z"), (second, "2026-03-02T03:00:00Z")] {
            place.report(returned("1", unit, at)).await.expect("reported");
        }
        let standing = |id: &str, lead: &str, start: &str| Ruling {
            scope: RulingScope::Standing.into(),
            examples: vec![APPEALS[0].to_owned()],
            effective_start_date: start.to_owned(),
            ..ruling(id, lead, &[])
        };
        record(&place, standing("S1", third, "2026-03-01"), &open(&place).await[0].0).await;
        let etag = there(&place, "S1").await.etag;
        supersede(&place, "S1", &etag, standing("S2", first, "2026-03-10")).await;
        let applied = async |order: &str, received: &str| -> (String, String) {
            let appeal = Appeal { receive_time: Some(time(received)), ..appeal(order, APPEALS[0]) };
            let request = RouteAppealRequest { appeal: Some(appeal), ..RouteAppealRequest::default() };
            let answer = place.server.client().await.route_appeal(request).await.expect("an answer").into_inner();
            let by = match answer.basis[0].kind.clone() {
                Some(Kind::StandingRuling(ruling)) => ruling.ruling_id,
                Some(Kind::RulingOnOrder(ruling)) => format!("{} on it", ruling.ruling_id),
                other => panic!("{}: {other:?}", database.name),
            };
            (lead(&answer), by)
        };
        let by = |lead: &str, ruling: &str| (lead.to_owned(), ruling.to_owned());
        let eve = "2026-03-09T15:00:00Z";
        assert_eq!(applied("1", "2026-03-02T01:00:00Z").await, by(third, "S1 on it"), "{}", database.name);
        assert_eq!(applied("2", eve).await, by(third, "S1"), "{}", database.name);
        assert_eq!(applied("3", "2026-03-09T16:00:00Z").await, by(first, "S2"), "midnight in the city");
        assert!(open(&place).await.is_empty() && there(&place, "S2").await.orders.is_empty(), "its case stays with it");
        // A slip of the pen is mended.
        let was = there(&place, "S1").await;
        assert_eq!(was.status(), RulingStatus::Superseded);
        let (etag, actor) = (was.etag.clone(), "委员会".to_owned());
        let ruling = Some(Ruling { matter: "路灯维修".to_owned(), orders: Vec::new(), ..was });
        let request = RecordRulingRequest { ruling, etag, actor, ..RecordRulingRequest::default() };
        place.rulings().await.record_ruling(request).await.expect("changed");
        assert_eq!(applied("1", "2026-03-02T01:00:00Z").await, by(third, "S1 on it"), "{}", database.name);
        // What begins on the tenth was no word on the days before, and is none when it is taken back.
        withdraw(&place, "S2").await;
        assert_eq!(applied("2", eve).await, by(third, "S1"), "{}", database.name);
        assert!(open(&place).await.is_empty());
        let told = place.case_file("1").await.expect("a file").page_html;
        assert!(told.contains("认定S1由S2替代，2026-03-10起受理的工单不再适用"), "{told}");
    }
}

#[tokio::test]
async fn a_ruling_on_a_case_is_not_superseded_by_one_that_begins_later() {
    let database = sqlite().await;
    let place = place(&database.url).await;
    let [_, _, third] = settled(&place).await;
    let later = Ruling { effective_start_date: "2099-01-01".to_owned(), ..ruling("K2", &third, &[]) };
    let (etag, actor) = (there(&place, "K1").await.etag, "委员会".to_owned());
    let request = proto::SupersedeRulingRequest { id: "K1".to_owned(), etag, successor: Some(later), actor };
    let refused = place.rulings().await.supersede_ruling(request).await.expect_err("until then there would be none");
    assert_eq!(reason(&refused), "RULING_STATE", "{refused:?}");
    assert!(refused.message().contains("still to come"), "{refused:?}");
    assert_eq!(there(&place, "K1").await.status(), RulingStatus::InForce);
}
