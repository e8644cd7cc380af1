//! `RouteAppeals`: every item is answered once, a bad one ends nothing, and a fast client is held back.

use std::collections::HashMap;

use paidan::server::ServiceConfig;
use paidan::server::proto::route_appeals_response::Result as ItemResult;
use paidan::server::proto::{GetModelInfoRequest, ItemStatus, RouteAppealRequest, RouteAppealsRequest, RouteAppealsResponse};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::service_support::{Gated, PATIENCE, ROUTE_APPEALS, Running, config, field, frame, item, raw_call, text};

async fn next(answers: &mut Streaming<RouteAppealsResponse>) -> Result<Option<RouteAppealsResponse>, Status> {
    tokio::time::timeout(PATIENCE, answers.message()).await.expect("an answer in time")
}

async fn all(answers: &mut Streaming<RouteAppealsResponse>) -> HashMap<String, RouteAppealsResponse> {
    let mut all = HashMap::new();
    while let Some(answer) = next(answers).await.expect("the stream ends well") {
        let before = all.insert(answer.item_id.clone(), answer);
        assert!(before.is_none(), "answered twice: {before:?}");
    }
    all
}

fn error(answer: &RouteAppealsResponse) -> &ItemStatus {
    match &answer.result {
        Some(ItemResult::Error(error)) => error,
        other => panic!("an error, got {other:?}"),
    }
}

fn answered(answer: &RouteAppealsResponse) -> bool {
    matches!(answer.result, Some(ItemResult::Response(_)))
}

#[tokio::test]
async fn every_item_is_answered_once_under_its_id_and_index() {
    let server = Running::start(&Gated::open(), config()).await;
    let items: Vec<_> = (0..500).map(|n| item(&format!("第{n}件"), "路灯坏了")).collect();
    let mut answers = server.client().await.route_appeals(tokio_stream::iter(items)).await.expect("a stream").into_inner();
    let answers = all(&mut answers).await;
    assert_eq!(answers.len(), 500);
    for (n, id) in (0..500).map(|n| (n, format!("第{n}件"))) {
        assert_eq!(answers[&id].item_index, n);
        assert!(answered(&answers[&id]));
    }
}

#[tokio::test]
async fn a_bad_item_has_its_own_status_and_the_rest_go_on() {
    let server = Running::start(&Gated::open(), config()).await;
    let missing = RouteAppealsRequest { item_id: "没有请求".to_owned(), request: None };
    let negative = RouteAppealRequest { max_departments: -1, ..text("路灯坏了") };
    let negative = RouteAppealsRequest { item_id: "负数".to_owned(), request: Some(negative) };
    let unknown = RouteAppealRequest { proposed_department: "天宫".to_owned(), ..text("路灯坏了") };
    let unknown = RouteAppealsRequest { item_id: "未知部门".to_owned(), request: Some(unknown) };
    let items = vec![item("好的", "甲"), missing, negative, unknown, item("坏模型", "毒药"), item("也好", "乙")];
    let mut answers = server.client().await.route_appeals(tokio_stream::iter(items)).await.expect("a stream").into_inner();
    let answers = all(&mut answers).await;
    assert_eq!(answers.len(), 6);
    assert!(answered(&answers["好的"]) && answered(&answers["也好"]));
    for (id, field) in [("没有请求", "request"), ("负数", "max_departments"), ("未知部门", "proposed_department")] {
        let error = error(&answers[id]);
        assert_eq!(error.code, Code::InvalidArgument as i32, "{id}");
        assert_eq!(error.field_violations[0].field, field);
        assert!(!error.message.is_empty() && !error.message_zh.is_empty());
    }
    assert_eq!(error(&answers["坏模型"]).code, Code::Internal as i32);
    assert_eq!(error(&answers["坏模型"]).reason, "MODEL_FAILED");
}

#[tokio::test]
async fn an_item_that_cannot_be_decoded_does_not_end_the_stream() {
    let server = Running::start(&Gated::open(), config()).await;
    // request.appeal.text = two bytes that are no UTF-8; then bytes that are no protobuf at all.
    let broken_text = [field(1, b"broken"), field(2, &field(1, &field(2, b"\xff\xfe")))].concat();
    let mut body = frame(&item("first", "甲").encode_to_vec());
    body.extend(frame(&broken_text));
    body.extend(frame(b"\x07\x07\x07"));
    body.extend(frame(&item("last", "乙").encode_to_vec()));
    let reply = raw_call(server.address, ROUTE_APPEALS, &[], body).await;
    assert_eq!(reply.code, 0, "the stream ends well: {}", reply.message);
    let mut answers = messages(&reply.body);
    answers.sort_by_key(|answer| answer.item_index);
    let ids: Vec<_> = answers.iter().map(|answer| answer.item_id.as_str()).collect();
    assert_eq!(ids, ["first", "broken", "", "last"]);
    assert!(answered(&answers[0]) && answered(&answers[3]));
    for broken in &answers[1..3] {
        let error = error(broken);
        assert_eq!((error.code, error.reason.as_str()), (Code::InvalidArgument as i32, "MESSAGE_MALFORMED"));
    }
}

fn messages(mut body: &[u8]) -> Vec<RouteAppealsResponse> {
    let mut messages = Vec::new();
    while let Some((head, rest)) = body.split_at_checked(5) {
        let length = u32::from_be_bytes(head[1..].try_into().expect("four bytes")) as usize;
        messages.push(RouteAppealsResponse::decode(&rest[..length]).expect("a message"));
        body = &rest[length..];
    }
    messages
}

#[tokio::test]
async fn a_fast_client_is_held_back_to_the_window() {
    let router = Gated::closed();
    let server = Running::start(&router, ServiceConfig { max_stream_in_flight: 4, ..config() }).await;
    let mut client = server.client().await;
    // Large items, so that the network's own buffers (64 KiB a stream) cannot swallow them: 60 x 30 kB.
    let words = "路".repeat(10_000);
    let (send, items) = mpsc::channel(1);
    let sender = tokio::spawn(async move {
        for n in 0..60 {
            send.send(item(&n.to_string(), &words)).await.expect("the stream is open");
        }
    });
    let mut answers = client.route_appeals(ReceiverStream::new(items)).await.expect("a stream").into_inner();
    for answered in 0..60 {
        router.entered(answered + 1).await;
        let most = (answered as u64 + 4).min(60);
        server.until("the window to fill", |counters| counters.queued == most).await;
        // Everything that the server was sent before this answer had its chance to get in.
        client.get_model_info(GetModelInfoRequest {}).await.expect("an answer");
        assert_eq!(server.counters().in_flight, most - answered as u64, "never more than the window");
        assert!(answered > 30 || !sender.is_finished(), "the client is held back");
        router.let_through(1);
        assert!(answered_one(&mut answers).await);
    }
    assert_eq!(next(&mut answers).await.expect("the stream ends well"), None);
}

async fn answered_one(answers: &mut Streaming<RouteAppealsResponse>) -> bool {
    next(answers).await.expect("an answer").is_some_and(|answer| answered(&answer))
}

#[tokio::test]
async fn the_deadline_of_an_item_is_its_own_and_the_stream_goes_on() {
    let router = Gated::closed();
    let limits = ServiceConfig { max_request_time: std::time::Duration::from_millis(30), ..config() };
    let server = Running::start(&router, limits).await;
    let (send, items) = mpsc::channel(4);
    send.send(item("慢", "甲")).await.expect("open");
    let mut answers = server.client().await.route_appeals(ReceiverStream::new(items)).await.expect("a stream").into_inner();
    let late = next(&mut answers).await.expect("the stream lives").expect("an answer");
    assert_eq!((late.item_id.as_str(), error(&late).code), ("慢", Code::DeadlineExceeded as i32));
    router.let_all_through();
    send.send(item("快", "乙")).await.expect("open");
    drop(send);
    // Whether the second makes it in 30 ms is the machine's affair; that it has an answer is ours.
    assert_eq!(next(&mut answers).await.expect("the stream lives").expect("an answer").item_id, "快");
    assert_eq!(next(&mut answers).await.expect("the stream ends well"), None);
}

#[tokio::test]
async fn a_stream_that_its_client_leaves_takes_its_items_with_it() {
    let router = Gated::closed();
    let server = Running::start(&router, config()).await;
    let mut client = server.client().await;
    let (send, items) = mpsc::channel(4);
    let answers = client.route_appeals(ReceiverStream::new(items)).await.expect("a stream");
    send.send(item("甲", "甲")).await.expect("open");
    router.entered(1).await;
    for words in ["乙", "丙"] {
        send.send(item(words, words)).await.expect("open");
    }
    server.until("all to be queued", |counters| counters.queued == 3).await;
    drop(answers);
    drop(send);
    server.until("the server to notice", |counters| counters.in_flight == 0).await;
    router.let_all_through();
    server.until("them to be dropped", |counters| counters.abandoned == 2).await;
    assert_eq!(router.batches(), [["甲"]], "the model never saw the others");
}
