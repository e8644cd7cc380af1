//! `RouteAppeal` and `GetModelInfo` as a caller meets them: what is asked, what is answered.

use std::sync::Arc;

use paidan::routing::Router;
use paidan::server::proto::{GetModelInfoRequest, Reading, ReviewReason, RouteAppealRequest, RouteAppealResponse};
use paidan::text::{Appeal, AppealFields};
use prost_types::Timestamp;

use crate::service_support::{Gated, Running, config, text};
use crate::support;

async fn answer(request: RouteAppealRequest) -> RouteAppealResponse {
    let server = Running::start(&Gated::open(), config()).await;
    server.client().await.route_appeal(request).await.expect("an answer").into_inner()
}

#[tokio::test]
async fn text_alone_is_enough() {
    let answer = answer(text("小区门口的路灯坏了很久没人修")).await;
    assert_eq!(answer.appeal_id, "");
    assert_eq!(answer.departments.len(), 5, "five departments unless the caller says otherwise");
    assert_eq!(answer.lead_department.as_ref(), answer.departments.first());
    let lead = answer.lead_department.expect("a lead");
    let department = lead.department.expect("a department");
    assert_eq!((department.id.as_str(), department.display_name.as_str()), ("城管", "城管局"));
    assert!((lead.probability - 0.4).abs() < 1e-6);
    assert!(answer.departments.is_sorted_by(|a, b| a.probability >= b.probability));
    assert_eq!(answer.model_version, "test-1");
    assert_eq!(answer.dispute_risk, Some(0.25));
    assert_eq!(answer.proposed_dispatch_risk, None, "nothing was proposed");
}

#[tokio::test]
async fn the_answer_says_what_was_read_and_how_long_it_took() {
    let answer = answer(text("路灯坏了")).await;
    assert_eq!((answer.tokens_read, answer.tokens_given), (4, 6));
    assert_eq!(answer.reading(), Reading::HeadAndTail);
    let nanos = |duration: Option<prost_types::Duration>| {
        let duration = duration.expect("a duration");
        assert!((0..1_000_000_000).contains(&duration.nanos));
        duration.seconds * 1_000_000_000 + i64::from(duration.nanos)
    };
    assert!(nanos(answer.queue_duration) > 0);
    assert!(nanos(answer.model_duration) > 0);
}

#[tokio::test]
async fn an_answer_that_needs_review_says_why_to_programs_and_to_people() {
    let answer = answer(text("路灯坏了")).await;
    assert!(answer.needs_review);
    assert_eq!(answer.review_reasons().collect::<Vec<_>>(), [ReviewReason::CloseSecond, ReviewReason::Truncated]);
    assert_eq!(answer.review_note, "请人工复核：与第二名“交警局”相近；内容过长，仅读取首尾");
}

#[tokio::test]
async fn evidence_is_places_and_weights_and_never_words() {
    let answer = answer(text("路灯坏了")).await;
    let [span] = answer.evidence_spans.as_slice() else { panic!("one span, got {:?}", answer.evidence_spans) };
    assert_eq!((span.start_offset, span.end_offset), (1, 3));
    assert!((span.weight - 0.5).abs() < 1e-6);
    let printed = format!("{answer:?}");
    assert!(!printed.contains("灯坏"), "the appeal's words are not echoed: {printed}");
}

#[tokio::test]
async fn every_field_of_an_appeal_may_be_given_and_its_id_comes_back() {
    let mut request = text("路灯坏了");
    let appeal = request.appeal.as_mut().expect("an appeal");
    appeal.id = "A-0017".to_owned();
    appeal.receive_time = Some(Timestamp { seconds: 1_700_000_000, nanos: 5 });
    appeal.appeal_type = "投诉".to_owned();
    appeal.category_path = vec!["城乡建设".to_owned(), "路灯".to_owned()];
    appeal.district = "龙华区".to_owned();
    appeal.channel = "电话".to_owned();
    assert_eq!(answer(request).await.appeal_id, "A-0017");
}

#[tokio::test]
async fn the_caller_says_how_many_departments() {
    for (asked, got) in [(1, 1), (3, 3), (8, 8), (100, 8), (i32::MAX, 8)] {
        let answer = answer(RouteAppealRequest { max_departments: asked, ..text("路灯坏了") }).await;
        assert_eq!(answer.departments.len(), got, "asked for {asked}");
        assert!(answer.lead_department.is_some());
    }
}

#[tokio::test]
async fn a_proposed_department_is_told_its_risk_by_id_or_by_name() {
    for proposed in ["水务", "水务局"] {
        let request = RouteAppealRequest { proposed_department: proposed.to_owned(), ..text("路灯坏了") };
        assert_eq!(answer(request).await.proposed_dispatch_risk, Some(0.75), "{proposed}");
    }
}

#[tokio::test]
async fn the_model_says_what_it_is() {
    let server = Running::start(&Gated::open(), config()).await;
    let info = server.client().await.get_model_info(GetModelInfoRequest {}).await.expect("an answer").into_inner();
    assert_eq!((info.model.as_str(), info.version.as_str(), info.precision.as_str()), ("gated", "test-1", "f32"));
    assert_eq!((info.max_tokens, info.dispute_risk_supported), (512, true));
    assert_eq!(info.departments.len(), 8);
    assert_eq!(info.departments[1].id, "交警");
    assert_eq!(info.metrics.get("accuracy"), Some(&0.8));
}

#[tokio::test]
async fn a_risky_appeal_lists_what_raised_each_risk_strongest_first() {
    use paidan::server::proto::risk_factor::{Kind, Risk};
    let folder = support::tiny_model();
    support::write_dispute_model(folder.path());
    let router = Arc::new(Router::open(folder.path()).expect("a model"));
    let server = Running::start(&router, config()).await;
    let request = RouteAppealRequest { proposed_department: "城管".to_owned(), ..text(support::APPEALS[0]) };
    let answer = server.client().await.route_appeal(request).await.expect("an answer").into_inner();
    let factors = &answer.risk_factors;
    let of = |kind: Kind| factors.iter().find(|factor| factor.kind() == kind);
    let history = of(Kind::DepartmentHistory).expect("its dispatches came back before");
    assert_eq!((history.risk(), history.contribution), (Risk::ProposedDispatch, 1.0));
    assert!(history.display_text.contains("城管"), "{}", history.display_text);
    assert!(factors.iter().any(|factor| factor.risk() == Risk::Dispute), "{factors:?}");
    assert!(factors.is_sorted_by(|a, b| a.contribution >= b.contribution), "{factors:?}");
    assert!(factors.iter().all(|factor| factor.contribution > 0.0 && !factor.display_text.is_empty()), "{factors:?}");
}

#[tokio::test]
async fn what_comes_over_the_wire_is_what_the_router_says() {
    let folder = support::tiny_model();
    let router = Arc::new(Router::open(folder.path()).expect("a model"));
    let server = Running::start(&router, config()).await;
    let client = server.client().await;
    let calls = support::APPEALS.map(|words| {
        let mut client = client.clone();
        let mut request = RouteAppealRequest { proposed_department: "供电".to_owned(), max_departments: 6, ..text(words) };
        request.appeal.as_mut().expect("an appeal").category_path = vec!["城乡建设".to_owned(), "路灯".to_owned()];
        tokio::spawn(async move { client.route_appeal(request).await.expect("an answer").into_inner() })
    });
    for (words, call) in support::APPEALS.into_iter().zip(calls) {
        let answer = call.await.expect("no panic");
        let fields = AppealFields {
            text: words.to_owned(),
            category: vec!["城乡建设".to_owned(), "路灯".to_owned()],
            proposed_departments: vec!["供电".to_owned()],
            ..AppealFields::default()
        };
        let prepared = router.prepare(&Appeal::parse(fields).expect("an appeal")).expect("prepared");
        let decision = &router.route(&[prepared]).expect("a decision")[0];
        // Over the wire they may have shared a batch, which moves the last digits.
        let near = |a: f32, b: f32| assert!((a - b).abs() < 1e-4, "{words}: {a} is not {b}");
        assert_eq!(answer.departments.len(), decision.departments.len());
        for (sent, said) in answer.departments.iter().zip(&decision.departments) {
            near(sent.probability, said.probability);
        }
        let lead = answer.lead_department.expect("a lead").department.expect("a department");
        assert_eq!(lead.id, decision.lead().department.id);
        near(answer.dispute_risk.expect("a risk"), decision.dispute_risk.expect("a risk"));
        near(answer.proposed_dispatch_risk.expect("a risk"), decision.proposed_dispatch_risk.expect("a risk"));
        assert_eq!(answer.needs_review, decision.needs_review());
        assert_eq!(answer.tokens_read as usize, decision.tokens_read);
        assert_eq!(answer.model_version, router.info().version);
        let length = words.chars().count() as i32;
        for span in &answer.evidence_spans {
            assert!(0 <= span.start_offset && span.start_offset < span.end_offset && span.end_offset <= length, "{span:?}");
        }
    }
}
