//! A real server that remembers what was asked: repeats of open orders, and several matters in one appeal, as callers see them.

use std::sync::Arc;
use std::time::SystemTime;

use paidan::routing::Router;
use paidan::server::ServiceConfig;
use paidan::server::proto::routing_service_client::RoutingServiceClient;
use paidan::server::proto::{Appeal, RepeatedOrder, ReviewReason, RouteAppealRequest, RouteAppealResponse};
use tonic::transport::Channel;

use crate::service_support::{Running, config, text};
use crate::support::{APPEALS, sure_model, tiny_model};

const SMOKE: &str = "某区甲乙路8号烧烤店油烟太大，影响周边居民休息";

fn appeal(id: &str, words: &str, caller: &str) -> RouteAppealRequest {
    let appeal = Appeal { id: id.to_owned(), text: words.to_owned(), caller_token: caller.to_owned(), ..Appeal::default() };
    RouteAppealRequest { appeal: Some(appeal), ..RouteAppealRequest::default() }
}

async fn ask(client: &mut RoutingServiceClient<Channel>, request: RouteAppealRequest) -> RouteAppealResponse {
    client.route_appeal(request).await.expect("an answer").into_inner()
}

#[tokio::test]
async fn an_appeal_that_was_answered_with_an_id_is_named_when_it_is_repeated_but_never_for_itself() {
    let folder = tiny_model();
    let router = Arc::new(Router::open(folder.path()).expect("a model"));
    let server = Running::start(&router, config()).await;
    let mut client = server.client().await;
    for _ in 0..2 {
        assert_eq!(ask(&mut client, appeal("A1", SMOKE, "")).await.repeated_order, None, "itself");
    }
    let repeated =
        RepeatedOrder {
            order_id: "A1".to_owned(), similarity: 1.0, shared_place: "甲乙路8号".to_owned(), same_caller: false
        };
    assert_eq!(ask(&mut client, text(SMOKE)).await.repeated_order, Some(repeated.clone()), "while somebody is still typing");
    assert_eq!(ask(&mut client, text(SMOKE)).await.repeated_order, Some(repeated), "what has no id is not kept");
    assert_eq!(ask(&mut client, appeal("A2", APPEALS[1], "")).await.repeated_order, None);
}

#[tokio::test]
async fn of_two_orders_that_are_alike_the_second_repeats_the_first_and_the_first_asked_again_repeats_none() {
    let folder = tiny_model();
    let router = Arc::new(Router::open(folder.path()).expect("a model"));
    let server = Running::start(&router, config()).await;
    let mut client = server.client().await;
    for (order, repeated) in [("Z1", None), ("A2", Some("Z1")), ("Z1", None), ("A2", Some("Z1")), ("Z1", None)] {
        let found = ask(&mut client, appeal(order, SMOKE, "")).await.repeated_order;
        assert_eq!(found.map(|one| one.order_id).as_deref(), repeated, "{order}");
    }
}

#[tokio::test]
async fn an_order_asked_for_again_without_its_time_stays_one_of_its_day() {
    let folder = tiny_model();
    let router = Arc::new(Router::open(folder.path()).expect("a model"));
    let server = Running::start(&router, config()).await;
    let mut client = server.client().await;
    let mut old = appeal("A1", SMOKE, "");
    let time = SystemTime::now() - std::time::Duration::from_secs(20 * 86_400);
    old.appeal.as_mut().expect("an appeal").receive_time = Some(time.into());
    ask(&mut client, old).await;
    ask(&mut client, appeal("A1", SMOKE, "")).await;
    // Weeks later only nearly the same words are the same thing.
    let like = "甲乙路烧烤店油烟太大，严重影响居民休息";
    assert_eq!(ask(&mut client, text(like)).await.repeated_order, None);
    assert_eq!(ask(&mut client, text(SMOKE)).await.repeated_order.expect("a repeat").order_id, "A1");
}

#[tokio::test]
async fn the_same_caller_is_recognised_by_a_token_and_a_token_that_is_too_long_is_refused() {
    let folder = tiny_model();
    let router = Arc::new(Router::open(folder.path()).expect("a model"));
    let server = Running::start(&router, config()).await;
    let mut client = server.client().await;
    ask(&mut client, appeal("A1", APPEALS[2], "c1")).await;
    let again = ask(&mut client, appeal("A2", APPEALS[2], "c1")).await.repeated_order.expect("a repeat");
    assert!(again.same_caller && again.order_id == "A1" && again.shared_place.is_empty(), "{again:?}");
    assert_eq!(ask(&mut client, appeal("A3", APPEALS[2], "c2")).await.repeated_order, None, "another caller, and no place");
    let error = client.route_appeal(appeal("A4", APPEALS[2], &"c".repeat(129))).await.expect_err("too long");
    assert_eq!(error.code(), tonic::Code::InvalidArgument);
}

#[tokio::test]
async fn an_order_of_long_ago_is_not_repeated_and_nothing_is_looked_for_where_that_is_switched_off() {
    let folder = tiny_model();
    let router = Arc::new(Router::open(folder.path()).expect("a model"));
    let received = |id: &str, back: u64| {
        let time = SystemTime::now() - std::time::Duration::from_secs(back * 86_400);
        let mut request = appeal(id, SMOKE, "");
        request.appeal.as_mut().expect("an appeal").receive_time = Some(time.into());
        request
    };
    let on = Running::start(&router, config()).await;
    let mut client = on.client().await;
    ask(&mut client, received("A40", 40)).await;
    assert_eq!(ask(&mut client, text(SMOKE)).await.repeated_order, None, "older than the window");
    ask(&mut client, received("A3", 3)).await;
    assert_eq!(ask(&mut client, text(SMOKE)).await.repeated_order.expect("a repeat").order_id, "A3");
    let off = Running::start(&router, ServiceConfig { open_order_days: 0, ..config() }).await;
    let mut client = off.client().await;
    ask(&mut client, received("A3", 3)).await;
    assert_eq!(ask(&mut client, text(SMOKE)).await.repeated_order, None);
    assert!(ServiceConfig { open_order_days: 400, ..config() }.validate().is_err());
}

#[tokio::test]
async fn the_parts_of_an_appeal_come_with_their_places_in_the_text_and_a_note_for_the_dispatcher() {
    let folder = sure_model();
    let router = Arc::new(Router::open(folder.path()).expect("a model"));
    let server = Running::start(&router, config()).await;
    let mut client = server.client().await;
    let pairs = (0..APPEALS.len()).flat_map(|i| (0..APPEALS.len()).map(move |j| (i, j))).filter(|(i, j)| i != j);
    for (i, j) in pairs {
        let words = format!("{}。另外，{}", APPEALS[i], APPEALS[j]);
        let answer = ask(&mut client, text(&words)).await;
        let [first, second] = &answer.parts[..] else { continue };
        let characters: Vec<char> = words.chars().collect();
        let said = |from: i32, to: i32| characters[from as usize..to as usize].iter().collect::<String>();
        assert!(said(first.start_offset, first.end_offset).starts_with(APPEALS[i]));
        assert!(said(second.start_offset, second.end_offset).ends_with(APPEALS[j]));
        let name = |part: &paidan::server::proto::AppealPart| {
            part.lead_department.clone().expect("a lead").department.expect("a department").display_name
        };
        assert!(answer.needs_review && answer.review_reasons.contains(&ReviewReason::SeveralMatters.into()));
        let note = format!("含多项诉求，建议拆分派往“{}”、“{}”", name(first), name(second));
        assert!(answer.review_note.contains(&note), "{} lacks {note}", answer.review_note);
        return;
    }
    panic!("no pair was split");
}
