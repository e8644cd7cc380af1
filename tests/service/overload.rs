//! More than the house can hold, and a model that fails: who is refused, who waits, who shares a run with whom.

use std::sync::Arc;

use paidan::server::ServiceConfig;
use paidan::server::proto::{RouteAppealResponse, routing_service_client::RoutingServiceClient};
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::service_support::{Gated, PATIENCE, Running, config, item, text};

type Call = JoinHandle<Result<RouteAppealResponse, Status>>;

fn call(client: &RoutingServiceClient<Channel>, words: &str) -> Call {
    let (mut client, request) = (client.clone(), text(words));
    tokio::spawn(async move { client.route_appeal(request).await.map(tonic::Response::into_inner) })
}

async fn end(call: Call) -> Result<RouteAppealResponse, Status> {
    tokio::time::timeout(PATIENCE, call).await.expect("an answer in time").expect("no panic")
}

/// A server whose model holds one appeal, with `words` queued behind it in this order.
async fn backlog(config: ServiceConfig, words: &[&str]) -> (Arc<Gated>, Running, RoutingServiceClient<Channel>, Vec<Call>) {
    let router = Gated::closed();
    let server = Running::start(&router, config).await;
    let client = server.client().await;
    let mut calls = vec![call(&client, "先来的")];
    router.entered(1).await;
    for words in words {
        calls.push(call(&client, words));
        let queued = calls.len() as u64;
        server.until("the call to be queued", |counters| counters.queued == queued).await;
    }
    (router, server, client, calls)
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_says_when_to_come_back() {
    let limits = ServiceConfig { queue_capacity: 2, ..config() };
    let (router, server, client, calls) = backlog(limits, &["甲", "乙"]).await;
    // The gate is closed: if this waited, it would wait for ever.
    let refused = end(call(&client, "丙")).await.expect_err("the queue is full");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let details = refused.get_error_details();
    let delay = details.retry_info().expect("RetryInfo").retry_delay.expect("a delay");
    assert!(delay.as_millis() >= 50 && delay.as_secs() <= 30, "{delay:?}");
    let info = details.error_info().expect("ErrorInfo");
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("OVERLOADED", "paidan"));
    let chinese = details.localized_message().expect("LocalizedMessage");
    assert_eq!(chinese.locale, "zh-CN");
    assert!(chinese.message.contains("排队"), "{}", chinese.message);
    assert!(refused.message().contains("too many appeals"), "{}", refused.message());
    assert_eq!(router.prepared(), 3, "no work is done for an appeal that is refused");
    assert_eq!(server.counters().refused, 1);

    router.let_all_through();
    for call in calls {
        end(call).await.expect("who was in the queue is answered");
    }
    end(call(&client, "丁")).await.expect("there is room again");
}

#[tokio::test]
async fn those_who_left_make_room_before_anyone_is_refused() {
    let limits = ServiceConfig { queue_capacity: 2, ..config() };
    let (router, server, client, mut calls) = backlog(limits, &["甲", "乙"]).await;
    calls.pop().expect("the last call").abort();
    server.until("the server to notice", |counters| counters.in_flight == 2).await;
    calls.push(call(&client, "丙"));
    server.until("the newcomer to be queued", |counters| counters.queued == 4).await;
    assert_eq!(server.counters().refused, 0);
    assert_eq!(server.counters().abandoned, 1);
    router.let_all_through();
    for call in calls {
        end(call).await.expect("an answer");
    }
    assert!(!router.batches().concat().contains(&"乙".to_owned()), "the model never saw the one who left");
}

#[tokio::test]
async fn a_stream_leaves_room_for_single_calls() {
    let router = Gated::closed();
    let server = Running::start(&router, ServiceConfig { queue_capacity: 4, ..config() }).await;
    let mut client = server.client().await;
    let first = call(&client, "先来的");
    router.entered(1).await;
    let items: Vec<_> = (0..10).map(|n| item(&n.to_string(), "流")).collect();
    let mut answers = client.route_appeals(tokio_stream::iter(items)).await.expect("a stream").into_inner();
    server.until("the stream to fill its share", |counters| counters.queued == 4).await;
    // 3 of 4 places are the stream's; the fourth is not, however much it has to send.
    let single = call(&client, "单个");
    server.until("the single call to be queued", |counters| counters.queued == 5).await;
    assert_eq!(server.counters().refused, 0);
    let refused = end(call(&client, "再来")).await.expect_err("now it is full");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    router.let_all_through();
    end(first).await.expect("an answer");
    end(single).await.expect("an answer");
    let mut answered = 0;
    while let Some(answer) = answers.message().await.expect("the stream goes on") {
        assert!(matches!(answer.result, Some(paidan::server::proto::route_appeals_response::Result::Response(_))));
        answered += 1;
    }
    assert_eq!(answered, 10, "a stream is held back, never refused");
}

#[tokio::test]
async fn what_waits_together_runs_together() {
    let (router, _server, _client, calls) = backlog(config(), &["甲", "乙", "丙"]).await;
    router.let_all_through();
    for call in calls {
        end(call).await.expect("an answer");
    }
    assert_eq!(router.batches(), [vec!["先来的"], vec!["甲", "乙", "丙"]]);
}

#[tokio::test]
async fn a_batch_is_filled_by_tokens_and_not_by_count() {
    let limits = ServiceConfig { max_batch_tokens: 16, ..config() };
    let (router, _server, _client, calls) =
        backlog(limits, &["一二三四五", "六七八九十", "甲乙丙丁戊", "子丑寅卯辰", "长".repeat(40).as_str()]).await;
    router.let_all_through();
    for call in calls {
        end(call).await.expect("an answer");
    }
    // 3 x 5 tokens fit into 16, two more do not; the long one fits nowhere and runs alone.
    let batches = router.batches();
    assert_eq!(batches[1], ["一二三四五", "六七八九十", "甲乙丙丁戊"]);
    assert_eq!(batches[2..].concat(), ["子丑寅卯辰".to_owned(), "长".repeat(40)]);
    assert_eq!(batches.len(), 4);
}

#[tokio::test]
async fn one_that_does_not_fit_waits_for_one_run_and_then_goes_first() {
    let long = "长".repeat(200);
    let limits = ServiceConfig { max_batch_tokens: 100, ..config() };
    let (router, _server, _client, calls) = backlog(limits, &["甲", &long, "乙", "丙"]).await;
    router.let_all_through();
    for call in calls {
        end(call).await.expect("an answer");
    }
    // Those that fit go along with the oldest; the long one is the oldest after that.
    assert_eq!(router.batches()[1..], [vec!["甲".to_owned(), "乙".to_owned(), "丙".to_owned()], vec![long]]);
}

#[tokio::test]
async fn an_appeal_on_which_the_model_fails_fails_alone() {
    for poison in ["毒药", "崩溃"] {
        let (router, server, client, mut calls) = backlog(config(), &["甲", poison, "乙"]).await;
        router.let_all_through();
        let poisoned = calls.remove(2);
        let status = end(poisoned).await.expect_err("the model fails on it");
        assert_eq!(status.code(), Code::Internal, "{poison}");
        assert_eq!(status.get_error_details().error_info().expect("ErrorInfo").reason, "MODEL_FAILED");
        assert!(!status.message().contains("test asked"), "the caller is not told our insides: {}", status.message());
        for call in calls {
            end(call).await.expect("its neighbours are answered");
        }
        assert_eq!(server.counters().failed, 1);
        end(call(&client, "丙")).await.expect("the model thread lives");
    }
}

#[tokio::test]
async fn a_panic_while_tokenizing_fails_that_appeal_only() {
    let server = Running::start(&Gated::open(), config()).await;
    let client = server.client().await;
    assert_eq!(end(call(&client, "裂开")).await.expect_err("a panic").code(), Code::Internal);
    end(call(&client, "甲")).await.expect("the service lives");
    server.until("the place to be free again", |counters| counters.in_flight == 0).await;
}
