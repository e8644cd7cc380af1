//! What a caller may get wrong: each mistake has its status, names its field, says so in two languages, and harms nobody else.

use paidan::server::ServiceConfig;
use paidan::server::proto::{RouteAppealRequest, RouteAppealResponse};
use prost::Message;
use prost_types::Timestamp;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::service_support::{self, Gated, ROUTE_APPEAL, Running, config, field, frame, raw_call, text};

async fn server() -> Running {
    Running::start(&Gated::open(), config()).await
}

async fn refusal(server: &Running, request: RouteAppealRequest) -> Status {
    let status = server.client().await.route_appeal(request).await.expect_err("it is refused");
    assert!(server.client().await.route_appeal(text("路灯坏了")).await.is_ok(), "the next call is answered");
    status
}

/// INVALID_ARGUMENT that names this field, in two languages.
async fn refused_for(request: RouteAppealRequest, field: &str) -> Status {
    let status = refusal(&server().await, request).await;
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = status.get_error_details();
    let violations = &details.bad_request().expect("BadRequest").field_violations;
    assert_eq!(violations.iter().map(|v| v.field.as_str()).collect::<Vec<_>>(), [field], "{status:?}");
    assert!(!violations[0].description.is_empty());
    assert!(status.message().starts_with(field), "{}", status.message());
    let info = details.error_info().expect("ErrorInfo");
    assert_eq!(info.reason, "APPEAL_INVALID");
    assert!(info.metadata["violation"].chars().all(|c| c.is_ascii_uppercase() || c == '_'), "{info:?}");
    let chinese = details.localized_message().expect("LocalizedMessage");
    assert_eq!(chinese.locale, "zh-CN");
    assert!(chinese.message.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)), "{}", chinese.message);
    status
}

fn with(change: impl FnOnce(&mut RouteAppealRequest)) -> RouteAppealRequest {
    let mut request = text("小区门口的路灯坏了");
    change(&mut request);
    request
}

fn with_appeal(change: impl FnOnce(&mut paidan::server::proto::Appeal)) -> RouteAppealRequest {
    with(|request| change(request.appeal.as_mut().expect("an appeal")))
}

#[tokio::test]
async fn a_request_without_an_appeal_is_refused() {
    refused_for(RouteAppealRequest::default(), "appeal").await;
}

#[tokio::test]
async fn an_empty_or_blank_text_is_refused() {
    for blank in ["", "   \n\t", "\u{3000}\u{200b}"] {
        refused_for(text(blank), "appeal.text").await;
    }
}

#[tokio::test]
async fn a_nul_in_the_text_is_refused() {
    refused_for(text("路灯\0坏了"), "appeal.text").await;
}

#[tokio::test]
async fn a_text_is_accepted_up_to_its_limit_and_refused_beyond() {
    let limit = paidan::text::MAX_APPEAL_CHARS;
    let server = server().await;
    // Counted in characters, not bytes: four bytes each.
    let longest = text(&"𠮷".repeat(limit));
    server.client().await.route_appeal(longest).await.expect("the limit itself is accepted");
    refused_for(text(&"𠮷".repeat(limit + 1)), "appeal.text").await;
}

#[tokio::test]
async fn an_over_long_or_unprintable_field_is_refused_by_its_name() {
    let long = || "长".repeat(500);
    refused_for(with_appeal(|appeal| appeal.id = long()), "appeal.id").await;
    refused_for(with_appeal(|appeal| appeal.appeal_type = long()), "appeal.appeal_type").await;
    refused_for(with_appeal(|appeal| appeal.district = long()), "appeal.district").await;
    refused_for(with_appeal(|appeal| appeal.channel = "电\u{7}话".to_owned()), "appeal.channel").await;
    let path = vec!["城乡建设".to_owned(), long()];
    refused_for(with_appeal(|appeal| appeal.category_path = path), "appeal.category_path[1]").await;
    let deep = vec!["层".to_owned(); 100];
    refused_for(with_appeal(|appeal| appeal.category_path = deep), "appeal.category_path").await;
}

#[tokio::test]
async fn a_time_that_does_not_exist_is_refused() {
    for (seconds, nanos) in [(i64::MAX, 0), (i64::MIN, 0), (0, -1), (0, 1_000_000_000)] {
        let time = Some(Timestamp { seconds, nanos });
        refused_for(with_appeal(|appeal| appeal.receive_time = time), "appeal.receive_time").await;
    }
}

#[tokio::test]
async fn a_department_that_the_model_does_not_know_is_refused() {
    refused_for(with(|request| request.proposed_department = "天宫".to_owned()), "proposed_department").await;
}

#[tokio::test]
async fn a_negative_number_of_departments_is_refused() {
    refused_for(with(|request| request.max_departments = -1), "max_departments").await;
}

#[tokio::test]
async fn a_refusal_does_not_repeat_what_was_sent() {
    let status = refused_for(text("我的电话是13800000000\0"), "appeal.text").await;
    let everything = format!("{status:?}");
    assert!(!everything.contains("13800000000") && !everything.contains("电话"), "{everything}");
}

#[tokio::test]
async fn bytes_that_are_no_utf8_are_the_callers_fault_and_the_field_is_named() {
    let server = server().await;
    let body = frame(&field(1, &field(2, b"\xe8\xb7\xaf\xff\xfe")));
    let reply = raw_call(server.address, ROUTE_APPEAL, &[], body).await;
    assert_eq!(reply.code, Code::InvalidArgument as i32, "{reply:?}");
    assert!(reply.message.contains("UTF-8"), "{}", reply.message);
    let status = details(&reply);
    let violation = &status.bad_request().expect("BadRequest").field_violations[0];
    assert_eq!(violation.field, "appeal.text");
    assert_eq!(status.error_info().expect("ErrorInfo").reason, "MESSAGE_MALFORMED");
    assert!(server.client().await.route_appeal(text("路灯坏了")).await.is_ok());
}

#[tokio::test]
async fn bytes_that_are_no_message_are_the_callers_fault() {
    let server = server().await;
    let truncated = [0x0a, 0x7f, 0x01];
    let wrong_type = [field(3, b"a string where a number belongs")].concat();
    for garbage in [&b"\x07\x07\x07"[..], &truncated, &wrong_type, &[0xff; 64]] {
        let reply = raw_call(server.address, ROUTE_APPEAL, &[], frame(garbage)).await;
        assert_eq!(reply.code, Code::InvalidArgument as i32, "{garbage:?}: {reply:?}");
    }
    assert!(server.client().await.route_appeal(text("路灯坏了")).await.is_ok());
}

#[tokio::test]
async fn unknown_fields_are_ignored() {
    let server = server().await;
    // Field 15 of the appeal and of the request do not exist yet; a newer client may send them.
    let appeal = [field(2, "路灯坏了".as_bytes()), field(15, b"from the future")].concat();
    let body = frame(&[field(15, b"\xff\xff"), field(1, &appeal)].concat());
    let reply = raw_call(server.address, ROUTE_APPEAL, &[], body).await;
    assert_eq!(reply.code, 0, "{reply:?}");
    let answer = RouteAppealResponse::decode(&reply.body[5..]).expect("a response");
    assert!(answer.lead_department.is_some());
}

#[tokio::test]
async fn a_giant_message_is_refused_without_being_read() {
    let server = Running::start(&Gated::open(), ServiceConfig { max_message_bytes: 64 * 1024, ..config() }).await;
    let status = refusal(&server, text(&"a".repeat(70 * 1024))).await;
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.get_error_details().error_info().expect("ErrorInfo").reason, "MESSAGE_TOO_LARGE");
    assert!(status.message().contains("65536"), "{}", status.message());
    // A frame that only claims to be giant is refused as well, and nothing is set aside for it.
    let mut claim = vec![0, 0xff, 0xff, 0xff, 0xff];
    claim.extend_from_slice(b"but is not");
    let reply = raw_call(server.address, ROUTE_APPEAL, &[], claim).await;
    assert_eq!(reply.code, Code::InvalidArgument as i32, "{reply:?}");
}

#[tokio::test]
async fn a_giant_item_ends_the_stream_with_the_same_status_after_the_others_are_answered() {
    let server = Running::start(&Gated::open(), ServiceConfig { max_message_bytes: 64 * 1024, ..config() }).await;
    let items = vec![service_support::item("好", "甲"), service_support::item("巨", &"a".repeat(70 * 1024))];
    let mut answers = server.client().await.route_appeals(tokio_stream::iter(items)).await.expect("a stream").into_inner();
    assert_eq!(answers.message().await.expect("the first is answered").expect("an answer").item_id, "好");
    let status = answers.message().await.expect_err("the stream ends");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.get_error_details().error_info().expect("ErrorInfo").reason, "MESSAGE_TOO_LARGE");
}

#[tokio::test]
async fn a_call_that_does_not_exist_is_unimplemented() {
    let server = server().await;
    for path in ["/paidan.v1.RoutingService/DoAsILike", "/other.Service/Call"] {
        let reply = raw_call(server.address, path, &[], frame(b"")).await;
        assert_eq!(reply.code, Code::Unimplemented as i32, "{path}: {reply:?}");
    }
}

/// The google.rpc details of a raw reply.
fn details(reply: &service_support::RawReply) -> tonic_types::ErrorDetails {
    Status::from_header_map(&reply.trailers).expect("a status").get_error_details()
}
