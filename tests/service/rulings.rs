//! The rulings' service on a real server: what is recorded counts in the next answer, here and elsewhere, and nothing that goes
//! wrong there stops routing.

use std::sync::Arc;

use paidan::model::Calibration;
use paidan::routing::Router;
use paidan::rulings::RulingDraft;
use paidan::server::proto::ruling_service_client::RulingServiceClient;
use paidan::server::proto::{self, DecidingBody, FileFormat, Ruling, RulingScope, RulingStatus, basis::Kind};
use paidan::server::rulings::RulingDesk;
use paidan::server::{Server, ServiceConfig};
use paidan::store::Store;
use paidan::store::exchange::{self, Format};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::database::{self, databases};
use crate::drafts;
use crate::service_support::{self, Running, text};
use crate::support::{self, APPEALS, calibrate, only_itself, tiny_model};

/// A server on a database, with a model for which only a text itself is alike.
pub struct Place {
    server: Running,
    _model: tempfile::TempDir,
}

pub async fn place(url: &str) -> Place {
    let model = tiny_model();
    calibrate(model.path(), &Calibration { precedents: only_itself(), ..Calibration::default() });
    let router = Arc::new(Router::open(model.path()).expect("a model"));
    let desk = RulingDesk::open(Store::open(url).await.expect("a database"), Arc::clone(&router)).await.expect("a desk");
    let server = Server::new(router, ServiceConfig::default()).expect("a configuration").with_rulings(desk);
    Place { server: Running::serve(server).await, _model: model }
}

impl Place {
    pub async fn rulings(&self) -> RulingServiceClient<Channel> {
        RulingServiceClient::new(self.server.channel().await)
    }

    /// The answer to a text, and the standing ruling it rests on.
    async fn answer(&self, words: &str) -> (proto::RouteAppealResponse, Option<String>) {
        let answer = self.server.client().await.route_appeal(text(words)).await.expect("an answer").into_inner();
        let ruling = answer.basis.iter().find_map(|basis| match &basis.kind {
            Some(Kind::StandingRuling(ruling)) => Some(ruling.ruling_id.clone()),
            _ => None,
        });
        (answer, ruling)
    }

    async fn lead(&self, words: &str) -> String {
        self.answer(words).await.0.lead_department.expect("a lead").department.expect("a department").id
    }
}

pub fn standing(id: &str, example: &str, lead: &str) -> Ruling {
    Ruling {
        id: id.to_owned(),
        scope: RulingScope::Standing.into(),
        matter: format!("事项{id}"),
        examples: vec![example.to_owned()],
        lead_department: lead.to_owned(),
        deciding_body: DecidingBody::Committee.into(),
        decision_date: "2026-01-10".to_owned(),
        ..Ruling::default()
    }
}

pub fn record(ruling: Ruling) -> proto::RecordRulingRequest {
    proto::RecordRulingRequest { ruling: Some(ruling), actor: "认定办".to_owned(), ..proto::RecordRulingRequest::default() }
}

pub fn reason(status: &Status) -> String {
    status.get_details_error_info().expect("details").reason
}

/// A department that the model does not put first.
async fn another(place: &Place, words: &str) -> String {
    let lead = place.lead(words).await;
    support::DEPARTMENTS.iter().find(|name| **name != lead).map(|name| (*name).to_owned()).expect("there are six")
}

#[tokio::test]
async fn a_ruling_counts_in_the_very_next_answer_and_no_more_when_it_is_withdrawn() {
    for database in databases().await {
        let place = place(&database.url).await;
        let mut client = place.rulings().await;
        let model_lead = place.lead(APPEALS[0]).await;
        let lead = another(&place, APPEALS[0]).await;
        let recorded = client.record_ruling(record(standing("s1", APPEALS[0], &lead))).await.expect("recorded").into_inner();
        let ruling = recorded.ruling.expect("a ruling");
        assert_eq!((ruling.etag.as_str(), ruling.status()), ("r1", RulingStatus::InForce));
        let (answer, basis) = place.answer(APPEALS[0]).await;
        assert_eq!(basis.as_deref(), Some("s1"), "{}: it is named", database.name);
        assert_eq!(answer.lead_department.expect("a lead").department.expect("a department").id, lead);
        let withdraw = proto::WithdrawRulingRequest {
            id: "s1".to_owned(),
            etag: ruling.etag,
            reason: "记错了".to_owned(),
            actor: "认定办".to_owned(),
        };
        client.withdraw_ruling(withdraw).await.expect("withdrawn");
        assert_eq!(place.answer(APPEALS[0]).await.1, None);
        assert_eq!(place.lead(APPEALS[0]).await, model_lead);
    }
}

#[tokio::test]
async fn what_one_server_records_counts_on_the_other_within_two_seconds() {
    for database in databases().await {
        let (one, two) = (place(&database.url).await, place(&database.url).await);
        let lead = another(&two, APPEALS[1]).await;
        one.rulings().await.record_ruling(record(standing("s1", APPEALS[1], &lead))).await.expect("recorded");
        let heard = async {
            while two.answer(APPEALS[1]).await.1.is_none() {
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(std::time::Duration::from_secs(2), heard).await;
        assert!(in_time.is_ok(), "{}", database.name);
        assert_eq!(two.lead(APPEALS[1]).await, lead);
    }
}

#[tokio::test]
async fn an_import_of_hundreds_by_another_program_counts_in_the_answers_of_a_running_server() {
    for database in databases().await {
        let place = place(&database.url).await;
        let lead = another(&place, APPEALS[1]).await;
        let mut drafts: Vec<RulingDraft> =
            (0..450).map(|i| drafts::case(&format!("c{i:03}"), &format!("停电{i}"), "供电")).collect();
        // One in the middle of it, and the very last.
        drafts.insert(300, drafts::standing("s1", APPEALS[1], &lead));
        drafts.push(drafts::case("last", APPEALS[3], "城管"));
        let rulings: Vec<_> = drafts.iter().map(|draft| draft.parse(None).expect("a ruling")).collect();
        let office = Store::open(&database.url).await.expect("a connection of its own");
        for outcome in office.record_all(rulings, "导入").await.expect("recorded") {
            outcome.expect("each of them");
        }
        let counts = async {
            while place.answer(APPEALS[1]).await.1.as_deref() != Some("s1") {
                tokio::task::yield_now().await;
            }
            loop {
                let (answer, _) = place.answer(APPEALS[3]).await;
                let told = |basis: &proto::Basis| matches!(&basis.kind, Some(Kind::Precedent(one)) if one.ruling_id == "last");
                if answer.basis.iter().any(told) {
                    break;
                }
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(service_support::PATIENCE, counts).await;
        assert!(in_time.is_ok(), "{}: not all of it counts", database.name);
        assert_eq!(place.lead(APPEALS[1]).await, lead);
    }
}

#[tokio::test]
async fn a_server_that_starts_knows_what_was_recorded_before() {
    let database = database::sqlite().await;
    let lead = {
        let mut before = place(&database.url).await;
        let lead = another(&before, APPEALS[2]).await;
        before.rulings().await.record_ruling(record(standing("s1", APPEALS[2], &lead))).await.expect("recorded");
        before.server.begin_stop();
        before.server.stopped().await.expect("it stops");
        lead
    };
    let after = place(&database.url).await;
    assert_eq!(after.lead(APPEALS[2]).await, lead);
    assert!(after.answer(APPEALS[2]).await.1.is_some());
}

#[tokio::test]
async fn every_field_at_fault_is_named_and_nothing_is_recorded() {
    let database = database::sqlite().await;
    let place = place(&database.url).await;
    let mut wrong = standing("s 1", APPEALS[0], "城菅");
    wrong.decision_date = "2026-02-30".to_owned();
    wrong.basis = vec![proto::RulingBasis { level: "法令".to_owned(), ..proto::RulingBasis::default() }];
    let refused = place.rulings().await.record_ruling(record(wrong)).await.expect_err("it is refused");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "RULING_INVALID"));
    let fields: Vec<String> =
        refused.get_details_bad_request().expect("fields").field_violations.into_iter().map(|one| one.field).collect();
    assert_eq!(fields, ["ruling.decision_date", "ruling.lead_department", "ruling.id", "ruling.basis[0].level"]);
    assert!(refused.message().contains("did you mean \"城管\""), "{}", refused.message());
    let nobody = proto::RecordRulingRequest { actor: " ".to_owned(), ..record(standing("s1", APPEALS[0], "城管")) };
    let refused = place.rulings().await.record_ruling(nobody).await.expect_err("who?");
    assert_eq!(refused.code(), Code::InvalidArgument);
    let list = place.rulings().await.list_rulings(proto::ListRulingsRequest::default()).await.expect("a list");
    assert!(list.into_inner().rulings.is_empty());
}

#[tokio::test]
async fn each_refusal_has_its_own_status() {
    let database = database::sqlite().await;
    let place = place(&database.url).await;
    let mut client = place.rulings().await;
    client.record_ruling(record(standing("s1", APPEALS[0], "城管"))).await.expect("recorded");
    client.record_ruling(record(standing("s1", APPEALS[0], "城管"))).await.expect("the same once more is no fault");
    let other = client.record_ruling(record(standing("s1", APPEALS[0], "交警"))).await.expect_err("another of its id");
    assert_eq!((other.code(), reason(&other).as_str()), (Code::AlreadyExists, "RULING_EXISTS"));
    let stale = proto::RecordRulingRequest { etag: "r7".to_owned(), ..record(standing("s1", APPEALS[0], "交警")) };
    let stale = client.record_ruling(stale).await.expect_err("stale");
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "RULING_CHANGED"));
    let missing = client.get_ruling(proto::GetRulingRequest { id: "s9".to_owned() }).await.expect_err("none");
    assert_eq!((missing.code(), reason(&missing).as_str()), (Code::NotFound, "RULING_NOT_FOUND"));
    let filter = proto::ListRulingsRequest { filter: "leda = 1".to_owned(), ..proto::ListRulingsRequest::default() };
    let filter = client.list_rulings(filter).await.expect_err("no such field");
    assert!(filter.code() == Code::InvalidArgument && filter.message().contains("leda"), "{filter:?}");
}

#[tokio::test]
async fn two_standing_rulings_that_contradict_each_other_are_reported_when_the_second_is_recorded() {
    let database = database::sqlite().await;
    let place = place(&database.url).await;
    let mut client = place.rulings().await;
    client.record_ruling(record(standing("s1", APPEALS[0], "城管"))).await.expect("recorded");
    let second = client.record_ruling(record(standing("s2", APPEALS[0], "交警"))).await.expect("recorded").into_inner();
    let found: Vec<(&str, bool)> = second.contradictions.iter().map(|one| (one.ruling_id.as_str(), one.prevails)).collect();
    assert_eq!(found, [("s1", false)]);
    let agreeing = client.record_ruling(record(standing("s3", APPEALS[1], "城管"))).await.expect("recorded").into_inner();
    assert!(agreeing.contradictions.is_empty());
}

#[tokio::test]
async fn rulings_are_found_by_words_and_by_likeness_together() {
    let database = database::sqlite().await;
    let place = place(&database.url).await;
    let mut client = place.rulings().await;
    for (i, example) in APPEALS.iter().enumerate() {
        client.record_ruling(record(standing(&format!("s{i}"), example, "城管"))).await.expect("recorded");
    }
    let request = proto::SearchRulingsRequest { query: APPEALS[4].to_owned(), ..proto::SearchRulingsRequest::default() };
    let found = client.search_rulings(request).await.expect("found").into_inner().found;
    let first = &found[0];
    assert_eq!(first.ruling.as_ref().expect("a ruling").id, "s4");
    assert!(first.similarity.is_some_and(|similarity| similarity > 0.99) && first.words.contains(&"噪音".to_owned()));
    let filtered = proto::SearchRulingsRequest {
        query: "噪音".to_owned(),
        filter: "id != s4".to_owned(),
        ..proto::SearchRulingsRequest::default()
    };
    let found = client.search_rulings(filtered).await.expect("found").into_inner().found;
    assert!(found.iter().all(|one| one.ruling.as_ref().expect("a ruling").id != "s4"));
}

#[tokio::test]
async fn a_file_is_imported_with_its_bad_rows_named_and_comes_out_again_in_every_format() {
    let database = database::sqlite().await;
    let place = place(&database.url).await;
    let mut client = place.rulings().await;
    let good: Vec<RulingDraft> = (0..5).map(|i| drafts::standing(&format!("s{i}"), APPEALS[i], "城管")).collect();
    for (format, kind) in [(Format::Jsonl, FileFormat::Jsonl), (Format::Csv, FileFormat::Csv), (Format::Xlsx, FileFormat::Xlsx)]
    {
        let mut all = good.clone();
        all.insert(2, RulingDraft { lead: "城菅".to_owned(), id: "bad".to_owned(), ..good[2].clone() });
        let bytes = exchange::write(format, &all).expect("a file");
        let line = if format == Format::Jsonl { 3 } else { 4 };
        let parts: Vec<proto::ImportRulingsRequest> = bytes
            .chunks(700)
            .map(|part| proto::ImportRulingsRequest { format: kind.into(), actor: "认定办".to_owned(), data: part.to_vec() })
            .collect();
        let imported = client.import_rulings(tokio_stream::iter(parts)).await.expect("imported").into_inner();
        assert_eq!(imported.ruling_count, 5, "{format:?}: {:?}", imported.faults);
        let faults: Vec<(i64, &str)> = imported.faults.iter().map(|one| (one.line, one.field.as_str())).collect();
        assert_eq!(faults, [(line, "lead")], "{format:?}");
        let request = proto::ExportRulingsRequest { format: kind.into(), filter: "scope = standing".to_owned() };
        let mut parts = client.export_rulings(request).await.expect("exported").into_inner();
        let mut bytes = Vec::new();
        while let Some(part) = parts.message().await.expect("a part") {
            bytes.extend(part.data);
        }
        let rows = exchange::read(format, &bytes).expect("our own file");
        let back: Vec<_> = rows.into_iter().map(|row| row.draft.expect("a good row").parse(None).expect("good")).collect();
        let before: Vec<_> = good.iter().map(|draft| draft.parse(None).expect("good")).collect();
        assert_eq!(back, before, "{format:?}");
    }
    assert!(place.answer(APPEALS[0]).await.1.is_some(), "what was imported counts");
}

#[tokio::test]
async fn the_trail_tells_an_orders_story_without_its_words() {
    let database = database::sqlite().await;
    let mut place = place(&database.url).await;
    let mut request = text(APPEALS[0]);
    request.appeal.as_mut().expect("an appeal").id = "Q1".to_owned();
    let lead = place.lead(APPEALS[0]).await;
    place.server.client().await.route_appeal(request).await.expect("an answer");
    let other = another(&place, APPEALS[0]).await;
    let dispatch = proto::RecordDispatchRequest {
        order_id: "Q1".to_owned(),
        department: other.clone(),
        advised_department: lead.clone(),
        actor: "派单员 13812345678".to_owned(),
    };
    let dispatched = place.rulings().await.record_dispatch(dispatch).await.expect("noted").into_inner();
    assert!(dispatched.overridden);
    let ruling = Ruling { orders: vec!["Q1".to_owned()], ..standing("s1", APPEALS[0], &other) };
    place.rulings().await.record_ruling(record(ruling)).await.expect("recorded");
    place.server.begin_stop();
    place.server.stopped().await.expect("it stops");
    let story = database.store.audit_of_order("Q1").await.expect("a story");
    let mut actions: Vec<&str> = story.iter().map(|entry| entry.action.as_str()).collect();
    // The answer is written behind the answer, so it may come after what was written at once.
    actions.sort_unstable();
    assert_eq!(actions, ["answered", "dispatched", "ruling_recorded"]);
    let said: String = story.iter().map(|entry| format!("{entry:?}")).collect();
    assert!(!said.contains("路灯坏了") && !said.contains("13812345678"), "{said}");
    assert!(said.contains(&lead) && said.contains("overridden\\\":true"), "{said}");
    let (head, faults) = database.store.verify_audit(10, |_, _| ()).await.expect("verified");
    assert!(head.number >= 4 && faults.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn routing_goes_on_while_the_database_is_away() {
    let Some(mut postgres) = database::Postgres::start() else { return };
    postgres.create("away");
    let place = place(&postgres.url("away")).await;
    let lead = another(&place, APPEALS[0]).await;
    let mut client = place.rulings().await;
    client.record_ruling(record(standing("s1", APPEALS[0], &lead))).await.expect("recorded");
    tokio::task::block_in_place(|| postgres.crash());
    assert_eq!(place.lead(APPEALS[0]).await, lead, "by the ruling that is known");
    let refused = client.record_ruling(record(standing("s2", APPEALS[1], "城管"))).await.expect_err("not recorded");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unavailable, "STORE_UNAVAILABLE"));
    assert!(refused.get_details_retry_info().is_some() && !refused.message().contains("away"));
    tokio::task::block_in_place(|| postgres.launch());
    client.record_ruling(record(standing("s2", APPEALS[1], "城管"))).await.expect("it is back");
}
