//! The rulings' service at its edges: names in filters, the largest ruling, answers that were lost, a person's number.

use paidan::server::proto::{self, Ruling};
use tonic::Code;

use crate::database;
use crate::rulings::{place, reason, record, standing};
use crate::support::{self, APPEALS};
#[tokio::test]
async fn a_filter_takes_any_name_of_a_department_and_refuses_one_that_nobody_has() {
    let database = database::sqlite().await;
    let place = place(&database.url).await;
    let mut client = place.rulings().await;
    client.record_ruling(record(standing("s1", APPEALS[0], "城管"))).await.expect("recorded");
    let list = |filter: &str| proto::ListRulingsRequest { filter: filter.to_owned(), ..proto::ListRulingsRequest::default() };
    for filter in ["lead = 城管", "lead = 城管部门", "lead:城管部门", "NOT lead = 环保部门"] {
        let found = client.list_rulings(list(filter)).await.expect("a list").into_inner().rulings;
        assert_eq!(found.len(), 1, "{filter}");
    }
    for (filter, said) in [
        ("id = s1 AND lead = 城菅", "character 13: no department \"城菅\" is known (did you mean \"城管\"?)"),
        ("create_time > \"x\"", "character 1: create_time is a time"),
        ("decided_on = \"2026-13-01\"", "character 1: decided_on is a day"),
    ] {
        let refused = client.list_rulings(list(filter)).await.expect_err(filter);
        assert!(refused.code() == Code::InvalidArgument && refused.message().contains(said), "{refused:?}");
        let search = proto::SearchRulingsRequest { query: "路灯".to_owned(), filter: filter.to_owned(), page_size: 0 };
        assert_eq!(client.search_rulings(search).await.expect_err(filter).message(), refused.message());
    }
}

#[tokio::test]
async fn the_largest_ruling_that_may_be_is_read_and_told_whole() {
    let database = database::sqlite().await;
    let place = place(&database.url).await;
    let long = |count: usize| "油".repeat(count);
    let list = |name: &str, count: usize| (0..100).map(|i| format!("{name}{i:03}{}", long(count - 5))).collect::<Vec<_>>();
    let basis = |_| proto::RulingBasis {
        level: "法规".to_owned(),
        document: long(200),
        article: long(200),
        quote: long(2_000),
        ..proto::RulingBasis::default()
    };
    let position = |i: usize| proto::RulingPosition {
        department: support::DEPARTMENTS[i % 6].to_owned(),
        statement: long(2_000),
        vote: 0,
    };
    let largest = Ruling {
        description: long(2_000),
        examples: list("例如", 4_000),
        required_words: list("必含", 200),
        forbidden_words: list("排除", 200),
        orders: list("工单", 200),
        districts: list("地区", 200),
        basis: (0..100).map(basis).collect(),
        positions: (0..100).map(position).collect(),
        ..standing("s1", APPEALS[0], "城管")
    };
    let bytes = prost::Message::encoded_len(&largest);
    assert!(bytes / 3 * 4 < 4 << 20, "with characters of four bytes as well: {bytes}");
    let mut client = place.rulings().await;
    let recorded = client.record_ruling(record(largest.clone())).await.expect("recorded").into_inner().ruling;
    assert_eq!(recorded.expect("a ruling").examples, largest.examples);
    client.record_ruling(record(standing("s0", APPEALS[1], "城管"))).await.expect("recorded");
    let page = client.list_rulings(proto::ListRulingsRequest::default()).await.expect("a page").into_inner();
    assert_eq!((page.rulings.len(), page.next_page_token.as_str()), (1, "after:s0"), "both fit no message");
    let next = proto::ListRulingsRequest { page_token: page.next_page_token, ..proto::ListRulingsRequest::default() };
    assert_eq!(client.list_rulings(next).await.expect("a page").into_inner().rulings[0].id, "s1");
    client.record_ruling(record(Ruling { id: "s2".to_owned(), ..largest })).await.expect("recorded");
    let search = proto::SearchRulingsRequest { query: "事项".to_owned(), ..proto::SearchRulingsRequest::default() };
    let found = client.search_rulings(search).await.expect("no more than clients take").into_inner().found;
    assert_eq!(found.len(), 1, "the best of three, however long it is");
    let beyond = Ruling { description: "油".repeat(2 << 20), ..standing("s3", APPEALS[2], "城管") };
    let refused = client.record_ruling(record(beyond)).await.expect_err("too large");
    assert!(reason(&refused) == "MESSAGE_TOO_LARGE" && refused.message().contains("4194304"), "{refused:?}");
}

#[tokio::test]
async fn a_withdrawal_and_a_succession_whose_answers_were_lost_are_answered_again() {
    let database = database::sqlite().await;
    let place = place(&database.url).await;
    let mut client = place.rulings().await;
    let ids = ["s1", "s2"].map(str::to_owned);
    for id in &ids {
        client.record_ruling(record(standing(id, APPEALS[0], "城管"))).await.expect("recorded");
    }
    let [id, other] = ids;
    let (etag, actor) = ("r1".to_owned(), "认定办".to_owned());
    let withdraw =
        proto::WithdrawRulingRequest {
            id, etag: etag.clone(), reason: "记错了 13812345678".to_owned(), actor: actor.clone()
        };
    let done = client.withdraw_ruling(withdraw.clone()).await.expect("withdrawn").into_inner();
    assert_eq!(client.withdraw_ruling(withdraw).await.expect("said again").into_inner(), done);
    let successor = Some(Ruling { id: String::new(), ..standing("", APPEALS[0], "交警") });
    let supersede = proto::SupersedeRulingRequest { id: other, etag, successor, actor };
    let done = client.supersede_ruling(supersede.clone()).await.expect("superseded").into_inner();
    assert_eq!(client.supersede_ruling(supersede.clone()).await.expect("said again").into_inner(), done);
    let another = proto::SupersedeRulingRequest { successor: Some(standing("s9", APPEALS[0], "环保")), ..supersede };
    let refused = client.supersede_ruling(another).await.expect_err("somebody was first");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Aborted, "RULING_CHANGED"));
    let back = proto::RecordRulingRequest { etag: "r2".to_owned(), ..record(standing("s2", APPEALS[0], "城管")) };
    let refused = client.record_ruling(back).await.expect_err("it has a successor");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "RULING_STATE"));
}

#[tokio::test]
async fn a_ruling_named_after_a_persons_number_is_refused_and_not_in_the_trail() {
    let database = database::sqlite().await;
    let place = place(&database.url).await;
    let refused = place.rulings().await.record_ruling(record(standing("13812345678", APPEALS[0], "城管"))).await;
    let refused = refused.expect_err("a phone");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "RULING_INVALID"));
    assert!(refused.message().starts_with("ruling.id: has a person's number"), "{}", refused.message());
    assert!(database.store.audit_after(0, 10).await.expect("a trail").is_empty());
}
