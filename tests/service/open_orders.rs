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
        until(&second, "", None).await;
        until(&first, "", None).await;
        let kept = second.store.course("A1").await.expect("a database").expect("an order");
        assert!(kept.order.closed && kept.order.caller.is_some(), "{}", database.name);
    }
}
