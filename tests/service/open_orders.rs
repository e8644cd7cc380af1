//! Open orders beyond one server: what another took, or this one before it was started again, is recognised as repeated; what was
//! closed is not.

use std::time::Instant;

use paidan::server::proto::{Appeal, CloseOrderRequest, RouteAppealRequest};

use crate::database::databases;
use crate::disputes::{Place, place};
use crate::service_support::PATIENCE;

const SMOKE: &str = "某区甲乙路8号烧烤店油烟太大，影响周边居民休息";

/// The order that a text, of a caller, repeats; nothing of it is kept.
async fn repeated(place: &Place, caller: &str) -> Option<(String, bool)> {
    let appeal = Appeal { text: SMOKE.to_owned(), caller_token: caller.to_owned(), ..Appeal::default() };
    let request = RouteAppealRequest { appeal: Some(appeal), ..RouteAppealRequest::default() };
    let answer = place.server.client().await.route_appeal(request).await.expect("an answer").into_inner();
    answer.repeated_order.map(|order| (order.order_id, order.same_caller))
}

/// Asks until it is as the test wants it: servers hear of each other's orders within a second or two.
async fn until(place: &Place, caller: &str, wanted: Option<(&str, bool)>) {
    let since = Instant::now();
    loop {
        let found = repeated(place, caller).await;
        if found.as_ref().map(|(id, same)| (id.as_str(), *same)) == wanted {
            return;
        }
        assert!(since.elapsed() < PATIENCE, "waited too long for {wanted:?}; it is {found:?}");
    }
}

#[tokio::test]
async fn an_order_of_another_server_is_recognised_until_it_is_closed() {
    for database in databases().await {
        let first = place(&database.url).await;
        let appeal = Appeal { id: "A1".to_owned(), text: SMOKE.to_owned(), caller_token: "c1".to_owned(), ..Appeal::default() };
        let request = RouteAppealRequest { appeal: Some(appeal), ..RouteAppealRequest::default() };
        first.server.client().await.route_appeal(request).await.expect("an answer");
        let second = place(&database.url).await;
        until(&second, "", Some(("A1", false))).await;
        until(&second, "c1", Some(("A1", true))).await;
        let close = CloseOrderRequest { order_id: "A1".to_owned(), actor: "坐席".to_owned() };
        first.disputes().await.close_order(close).await.expect("closed");
        assert_eq!(repeated(&first, "").await, None, "{}: at once, where it was closed", database.name);
        until(&second, "", None).await;
        let kept = second.store.course("A1").await.expect("a database").expect("an order");
        assert!(kept.order.closed && kept.order.caller.is_some(), "{}", database.name);
    }
}

/// Routes an order with these words, of a district, received so many days ago.
async fn route(place: &Place, order: &str, words: &str, district: &str, days: u64) -> Option<String> {
    let received = std::time::SystemTime::now() - std::time::Duration::from_secs(days * 86_400);
    let appeal = Appeal {
        id: order.to_owned(),
        text: words.to_owned(),
        district: district.to_owned(),
        receive_time: (days > 0).then(|| received.into()),
        ..Appeal::default()
    };
    let request = RouteAppealRequest { appeal: Some(appeal), ..RouteAppealRequest::default() };
    let answer = place.server.client().await.route_appeal(request).await.expect("an answer").into_inner();
    answer.repeated_order.map(|repeated| repeated.order_id)
}

async fn close(place: &Place, order: &str) {
    let request = CloseOrderRequest { order_id: order.to_owned(), actor: "坐席".to_owned() };
    place.disputes().await.close_order(request).await.expect("closed");
}

#[tokio::test]
async fn a_closed_order_that_is_asked_for_again_is_not_repeated_on_any_server() {
    for database in databases().await {
        let first = place(&database.url).await;
        route(&first, "A1", SMOKE, "", 0).await;
        let second = place(&database.url).await;
        until(&second, "", Some(("A1", false))).await;
        close(&first, "A1").await;
        route(&first, "A1", SMOKE, "", 0).await;
        assert_eq!(repeated(&first, "").await, None, "{}", database.name);
        until(&second, "", None).await;
        route(&second, "A1", SMOKE, "", 0).await;
        assert_eq!(repeated(&second, "").await, None, "{}", database.name);
    }
}

#[tokio::test]
async fn a_closed_order_received_on_the_first_day_of_the_window_or_before_it_is_not_repeated() {
    for database in databases().await {
        let first = place(&database.url).await;
        let days = u64::from(paidan::repeats::WINDOW_DAYS);
        route(&first, "A1", SMOKE, "", days).await;
        // Received before the window, and taken for one of today by a server that was started since.
        let elsewhere = "某区丙丁路9号工地夜间施工，噪音扰民，影响休息";
        route(&first, "A2", elsewhere, "", days + 9).await;
        assert_eq!(repeated(&first, "").await, Some(("A1".to_owned(), false)), "{}", database.name);
        let second = place(&database.url).await;
        until(&second, "", Some(("A1", false))).await;
        for order in ["A1", "A2"] {
            close(&first, order).await;
        }
        until(&second, "", None).await;
        assert_eq!(repeated(&first, "").await, None, "{}", database.name);
        let third = place(&database.url).await;
        route(&third, "A2", elsewhere, "", 0).await;
        let since = Instant::now();
        while route(&third, "", elsewhere, "", 0).await.is_some() {
            assert!(since.elapsed() < PATIENCE, "{}: it was closed", database.name);
        }
    }
}

#[tokio::test]
async fn of_two_orders_that_are_alike_every_server_names_the_second_as_the_repeat() {
    for database in databases().await {
        let first = place(&database.url).await;
        for (order, repeated) in [("Z1", None), ("A2", Some("Z1")), ("Z1", None)] {
            assert_eq!(route(&first, order, SMOKE, "", 0).await.as_deref(), repeated, "{order}");
        }
        // It hears of the first one last: that was asked for again.
        let second = place(&database.url).await;
        until(&second, "", Some(("A2", false))).await;
        assert_eq!(route(&second, "Z1", SMOKE, "", 0).await, None, "{}", database.name);
        assert_eq!(route(&second, "A2", SMOKE, "", 0).await.as_deref(), Some("Z1"), "{}", database.name);
    }
}

#[tokio::test]
async fn the_same_words_in_another_district_are_no_repeat_and_one_district_may_have_two_names() {
    for database in databases().await {
        let first = place(&database.url).await;
        route(&first, "A1", SMOKE, "西区", 0).await;
        let second = place(&database.url).await;
        until(&second, "", Some(("A1", false))).await;
        for server in [&first, &second] {
            assert_eq!(route(server, "", SMOKE, "东区", 0).await, None, "{}", database.name);
            for same in ["西区", "西城", "全市", ""] {
                assert_eq!(route(server, "", SMOKE, same, 0).await.as_deref(), Some("A1"), "{} {same}", database.name);
            }
        }
    }
}
