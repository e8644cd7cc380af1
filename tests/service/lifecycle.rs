//! A server's life and a call's end: health, reflection, deadlines, callers that leave, shutdown.

use std::time::Duration;

use paidan::server::{ServeError, Server, ServiceConfig};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::service_support::{self, Gated, PATIENCE, ROUTE_APPEAL, Running, config, frame, item, raw_call, text};

const SERVICE: &str = "paidan.v1.RoutingService";

fn health_of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[tokio::test]
async fn health_says_serving_for_the_server_and_for_the_service() {
    let server = Running::start(&Gated::open(), config()).await;
    let mut health = HealthClient::new(server.channel().await);
    for service in ["", SERVICE] {
        let answer = health.check(health_of(service)).await.expect("an answer").into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service:?}");
    }
    let unknown = health.check(health_of("other.Service")).await.expect_err("no such service");
    assert_eq!(unknown.code(), Code::NotFound);
}

#[tokio::test]
async fn who_watches_health_is_told_of_the_shutdown_and_does_not_hold_it_up() {
    let mut server = Running::start(&Gated::open(), config()).await;
    let mut health = HealthClient::new(server.channel().await);
    let mut watched = health.watch(health_of(SERVICE)).await.expect("a stream").into_inner();
    assert_eq!(watched.message().await.expect("alive").expect("a status").status(), ServingStatus::Serving);
    server.begin_stop();
    assert_eq!(watched.message().await.expect("alive").expect("a status").status(), ServingStatus::NotServing);
    let ending = tokio::time::timeout(PATIENCE, watched.message()).await.expect("it ends in time");
    assert_eq!(ending.expect("it ends well"), None);
    server.stopped().await.expect("a clean end");
}

async fn reflect(server: &Running, ask: MessageRequest) -> MessageResponse {
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(ask) };
    let mut client = ServerReflectionClient::new(server.channel().await);
    let mut answers = client.server_reflection_info(tokio_stream::once(request)).await.expect("a stream").into_inner();
    answers.message().await.expect("alive").expect("an answer").message_response.expect("a response")
}

#[tokio::test]
async fn reflection_lists_the_services_and_describes_ours() {
    let server = Running::start(&Gated::open(), config()).await;
    let MessageResponse::ListServicesResponse(list) = reflect(&server, MessageRequest::ListServices(String::new())).await
    else {
        panic!("a list of services");
    };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    assert!(names.contains(&SERVICE) && names.contains(&"grpc.health.v1.Health"), "{names:?}");

    let MessageResponse::FileDescriptorResponse(files) =
        reflect(&server, MessageRequest::FileContainingSymbol(SERVICE.to_owned())).await
    else {
        panic!("a file");
    };
    let file = prost_types::FileDescriptorProto::decode(&files.file_descriptor_proto[0][..]).expect("a descriptor");
    assert_eq!(file.package(), "paidan.v1");
    let methods: Vec<_> = file.service[0].method.iter().map(|method| method.name()).collect();
    assert_eq!(methods, ["RouteAppeal", "RouteAppeals", "GetModelInfo"]);
}

#[tokio::test]
async fn reflection_describes_the_details_of_an_error() {
    let server = Running::start(&Gated::open(), config()).await;
    for symbol in ["google.rpc.BadRequest", "google.rpc.RetryInfo", "google.rpc.LocalizedMessage"] {
        let answer = reflect(&server, MessageRequest::FileContainingSymbol(symbol.to_owned())).await;
        assert!(matches!(answer, MessageResponse::FileDescriptorResponse(_)), "{symbol}: {answer:?}");
    }
}

#[tokio::test]
async fn a_passed_deadline_is_deadline_exceeded_and_the_model_never_runs() {
    let router = Gated::closed();
    let server = Running::start(&router, config()).await;
    let client = server.client().await;
    let first = tokio::spawn({
        let mut client = client.clone();
        async move { client.route_appeal(text("先来的")).await }
    });
    router.entered(1).await;
    // Raw, because the Rust client has a timer of its own that answers first.
    for timeout in ["0n", "1u", "1m", "20m"] {
        let body = frame(&text("晚了").encode_to_vec());
        let reply = raw_call(server.address, ROUTE_APPEAL, &[("grpc-timeout", timeout)], body).await;
        assert_eq!(reply.code, Code::DeadlineExceeded as i32, "{timeout}: {reply:?}");
    }
    server.until("the late ones to be gone", |counters| counters.in_flight == 1).await;
    router.let_all_through();
    first.await.expect("no panic").expect("the first is answered");
    let mut client = client;
    client.route_appeal(text("后来的")).await.expect("an answer");
    assert_eq!(router.batches(), [["先来的"], ["后来的"]]);
    let counters = server.counters();
    assert_eq!(counters.expired, counters.queued - 2, "all that were queued and late are counted: {counters:?}");
    assert!(counters.expired >= 1, "{counters:?}");
}

#[tokio::test]
async fn the_server_has_a_deadline_of_its_own() {
    let limits = ServiceConfig { max_request_time: Duration::from_millis(20), ..config() };
    let server = Running::start(&Gated::closed(), limits).await;
    let status = server.client().await.route_appeal(text("甲")).await.expect_err("the model never answers");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    // A caller may ask for less time, never for more.
    let body = frame(&text("乙").encode_to_vec());
    let reply = raw_call(server.address, ROUTE_APPEAL, &[("grpc-timeout", "1H")], body).await;
    assert_eq!(reply.code, Code::DeadlineExceeded as i32);
}

#[tokio::test]
async fn a_call_whose_message_never_comes_ends_at_its_deadline() {
    let server = Running::start(&Gated::open(), config()).await;
    // Half a message, and the stream stays open.
    let reply = service_support::raw_open_call(server.address, ROUTE_APPEAL, &[("grpc-timeout", "20m")], vec![0, 0]).await;
    assert_eq!(reply.code, Code::DeadlineExceeded as i32, "{reply:?}");
}

#[tokio::test]
async fn a_stream_ends_at_its_deadline() {
    let server = Running::start(&Gated::open(), config()).await;
    let reply =
        service_support::raw_open_call(server.address, service_support::ROUTE_APPEALS, &[("grpc-timeout", "50m")], Vec::new())
            .await;
    assert_eq!(reply.code, Code::DeadlineExceeded as i32, "{reply:?}");
}

#[tokio::test]
async fn an_appeal_whose_caller_has_left_never_reaches_the_model() {
    let router = Gated::closed();
    let server = Running::start(&router, config()).await;
    let client = server.client().await;
    let call = |words: &str| {
        let (mut client, request) = (client.clone(), text(words));
        tokio::spawn(async move { client.route_appeal(request).await })
    };
    let first = call("先来的");
    router.entered(1).await;
    let leaver = call("走了的");
    server.until("it to be queued", |counters| counters.queued == 2).await;
    leaver.abort();
    server.until("the server to notice", |counters| counters.in_flight == 1).await;
    router.let_all_through();
    first.await.expect("no panic").expect("an answer");
    call("后来的").await.expect("no panic").expect("an answer");
    assert_eq!(router.batches(), [["先来的"], ["后来的"]]);
    assert_eq!(server.counters().abandoned, 1);
}

#[tokio::test]
async fn a_shutdown_answers_what_is_under_way_and_takes_nothing_new() {
    let router = Gated::closed();
    let mut server = Running::start(&router, config()).await;
    let address = server.address;
    let client = server.client().await;
    let mut calls = Vec::new();
    for words in ["甲", "乙", "丙"] {
        let mut client = client.clone();
        calls.push(tokio::spawn(async move { client.route_appeal(text(words)).await }));
    }
    server.until("all to be queued", |counters| counters.queued == 3).await;
    server.begin_stop();
    // The listener is closed, sooner or later: then nobody new gets in.
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    router.let_all_through();
    for call in calls {
        call.await.expect("no panic").expect("what was under way is answered");
    }
    server.stopped().await.expect("a clean end");
}

#[tokio::test]
async fn a_stream_is_told_of_the_shutdown_after_its_items_are_answered() {
    let router = Gated::closed();
    let mut server = Running::start(&router, config()).await;
    let (send, items) = mpsc::channel(4);
    send.send(item("甲", "甲")).await.expect("open");
    let mut answers = server.client().await.route_appeals(ReceiverStream::new(items)).await.expect("a stream").into_inner();
    router.entered(1).await;
    server.begin_stop();
    router.let_all_through();
    let answer = answers.message().await.expect("alive").expect("an answer");
    assert_eq!(answer.item_id, "甲");
    let ending = answers.message().await.expect_err("the stream is ended");
    assert_eq!(ending.code(), Code::Unavailable);
    server.stopped().await.expect("an open stream does not hold up the end");
    drop(send);
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_ever() {
    let router = Gated::closed();
    let mut server = Running::start(&router, ServiceConfig { drain_timeout: Duration::from_millis(50), ..config() }).await;
    let client = server.client().await;
    let call = |words: &str| {
        let (mut client, request) = (client.clone(), text(words));
        tokio::spawn(async move { client.route_appeal(request).await })
    };
    let _stuck = call("卡住的");
    router.entered(1).await;
    let waiting = call("等着的");
    server.until("it to be queued", |counters| counters.queued == 2).await;
    server.begin_stop();
    let refused = tokio::time::timeout(PATIENCE, waiting).await.expect("in time").expect("no panic").expect_err("refused");
    assert_eq!(refused.code(), Code::Unavailable);
    match server.stopped().await {
        Err(ServeError::DrainTimedOut { unanswered }) => assert_eq!(unanswered, 2),
        other => panic!("the drain times out, got {other:?}"),
    }
    router.let_all_through();
}

#[tokio::test]
async fn a_server_with_senseless_limits_does_not_start() {
    let limits = ServiceConfig { max_stream_in_flight: 0, ..config() };
    let error = Server::new(Gated::open(), limits).err().expect("it is refused");
    assert!(error.to_string().contains("max_stream_in_flight"), "{error}");
}

#[tokio::test]
async fn more_connections_than_allowed_wait_their_turn() {
    let server = Running::start(&Gated::open(), ServiceConfig { max_connections: 1, ..config() }).await;
    let mut first = server.client().await;
    first.route_appeal(text("甲")).await.expect("an answer");
    // Its connection is made by the kernel, but nobody speaks to it until the first is closed.
    let second = tokio::spawn(raw_call(server.address, ROUTE_APPEAL, &[], frame(&text("乙").encode_to_vec())));
    first.route_appeal(text("丙")).await.expect("an answer");
    assert!(!second.is_finished());
    drop(first);
    assert_eq!(second.await.expect("no panic").code, 0);
}
