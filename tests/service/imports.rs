//! Files of rulings as a real server takes them: in which order, how many at once, and what does not wait behind them.

use std::sync::Arc;

use paidan::routing::Router;
use paidan::rulings::RulingDraft;
use paidan::server::proto::ruling_service_client::RulingServiceClient;
use paidan::server::proto::{self, FileFormat, ImportRulingsRequest, basis::Kind};
use paidan::server::rulings::RulingDesk;
use paidan::server::{Server, ServiceConfig};
use paidan::store::Store;
use paidan::store::exchange::{self, Format};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::database;
use crate::drafts;
use crate::service_support::{PATIENCE, Running, text};
use crate::support::{APPEALS, tiny_model};

/// A server on a database of its own.
struct Place {
    server: Running,
    database: database::Database,
    _model: tempfile::TempDir,
}

async fn place() -> Place {
    let (model, database) = (tiny_model(), database::sqlite().await);
    let router = Arc::new(Router::open(model.path()).expect("a model"));
    let store = Store::open(&database.url).await.expect("a database");
    let desk = RulingDesk::open(store, Arc::clone(&router)).await.expect("a desk");
    let server = Server::new(router, ServiceConfig::default()).expect("a configuration").with_rulings(desk);
    Place { server: Running::serve(server).await, database, _model: model }
}

impl Place {
    async fn rulings(&self) -> RulingServiceClient<Channel> {
        RulingServiceClient::new(self.server.channel().await)
    }

    /// Whether the answer to a text cites a ruling as a precedent.
    async fn precedent(&self, words: &str, id: &str) -> bool {
        let answer = self.server.client().await.route_appeal(text(words)).await.expect("an answer").into_inner();
        answer.basis.iter().any(|one| matches!(&one.kind, Some(Kind::Precedent(one)) if one.ruling_id == id))
    }
}

fn part(data: &[u8]) -> ImportRulingsRequest {
    ImportRulingsRequest { format: FileFormat::Jsonl.into(), actor: "认定办".to_owned(), data: data.to_vec() }
}

async fn import(client: &mut RulingServiceClient<Channel>, bytes: &[u8]) -> Result<proto::ImportRulingsResponse, Status> {
    let parts: Vec<ImportRulingsRequest> = bytes.chunks(1 << 16).map(part).collect();
    client.import_rulings(tokio_stream::iter(parts)).await.map(tonic::Response::into_inner)
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().expect("details").reason
}

#[tokio::test]
async fn a_ruling_that_supersedes_one_hundreds_of_rows_below_is_recorded_and_every_fault_keeps_its_line() {
    let place = place().await;
    let mut all = vec![RulingDraft { supersedes: "Z-1".to_owned(), ..drafts::case("A-1", APPEALS[0], "城管") }];
    all.extend((0..450).map(|i| drafts::case(&format!("M-{i:03}"), APPEALS[1], "供电")));
    all.push(drafts::case("Z-1", APPEALS[0], "供电"));
    all.insert(300, RulingDraft { supersedes: "nowhere".to_owned(), ..drafts::case("bad", APPEALS[0], "城管") });
    let file = exchange::write(Format::Jsonl, &all).expect("a file");
    let imported = import(&mut place.rulings().await, &file).await.expect("imported");
    let faults: Vec<(i64, &str)> = imported.faults.iter().map(|one| (one.line, one.field.as_str())).collect();
    assert_eq!((imported.ruling_count, faults, imported.omitted_fault_count), (452, vec![(301, "id")], 0));
    let former = place.database.store.get("Z-1").await.expect("a ruling").ruling;
    assert_eq!(former.status, paidan::rulings::Status::Superseded);
}

#[tokio::test]
async fn faults_beyond_the_first_thousand_are_counted() {
    let place = place().await;
    let imported = import(&mut place.rulings().await, "?\n".repeat(1_234).as_bytes()).await.expect("read");
    assert_eq!((imported.ruling_count, imported.faults.len(), imported.omitted_fault_count), (0, 1_000, 234));
    assert_eq!(imported.faults.last().expect("faults").line, 1_000);
}

#[tokio::test]
async fn a_third_file_at_once_is_refused_until_one_of_the_others_is_done_or_broken_off() {
    let place = place().await;
    let mut client = place.rulings().await;
    for broken_off in [false, true] {
        let (mut senders, mut calls) = (Vec::new(), JoinSet::new());
        for _ in 0..3 {
            let (sender, receiver) = mpsc::channel(1);
            sender.send(part(b"")).await.expect("room for one");
            senders.push(sender);
            let mut client = client.clone();
            calls.spawn(async move { client.import_rulings(ReceiverStream::new(receiver)).await });
        }
        // No file has an end yet, so that the first call to be answered is the one that found no room.
        let first = tokio::time::timeout(PATIENCE, calls.join_next()).await.expect("one is answered");
        let refused = first.expect("there are three").expect("no panic").expect_err("no room");
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "IMPORTS_BUSY"));
        assert!(refused.get_details_retry_info().is_some());
        if broken_off {
            calls.abort_all();
        } else {
            senders.clear();
            while let Some(done) = calls.join_next().await {
                done.expect("no panic").expect("an empty file");
            }
        }
        let room = async { while import(&mut client, b"\n").await.is_err() {} };
        tokio::time::timeout(PATIENCE, room).await.expect("there is room again");
    }
}

#[tokio::test]
async fn a_ruling_that_is_recorded_counts_at_once_though_hundreds_of_long_ones_wait() {
    let place = place().await;
    let mut client = place.rulings().await;
    let examples: Vec<String> = (0..40).map(|i| format!("{}{i}", APPEALS[1])).collect();
    let all: Vec<_> = (0..250)
        .map(|i| RulingDraft { examples: examples.clone(), ..drafts::case(&format!("M-{i:03}"), APPEALS[1], "供电") })
        .map(|draft| draft.parse(None).expect("a ruling"))
        .collect();
    // By another program: this server hears of it when it looks.
    for outcome in place.database.store.record_all(all, "导入").await.expect("recorded") {
        outcome.expect("each of them");
    }
    let ruling = proto::Ruling {
        id: "own".to_owned(),
        scope: proto::RulingScope::Case.into(),
        matter: "路灯".to_owned(),
        examples: vec![APPEALS[3].to_owned()],
        lead_department: "城管".to_owned(),
        deciding_body: proto::DecidingBody::Committee.into(),
        decision_date: "2026-01-10".to_owned(),
        ..proto::Ruling::default()
    };
    let request = proto::RecordRulingRequest {
        ruling: Some(ruling.clone()),
        actor: "认定办".to_owned(),
        ..proto::RecordRulingRequest::default()
    };
    let recorded = client.record_ruling(request).await.expect("recorded").into_inner().ruling.expect("a ruling");
    assert!(place.precedent(APPEALS[3], "own").await, "it counts in the very next answer");
    let withdraw = proto::WithdrawRulingRequest {
        id: "own".to_owned(),
        etag: recorded.etag,
        reason: "记错了".to_owned(),
        actor: "认定办".to_owned(),
    };
    client.withdraw_ruling(withdraw).await.expect("withdrawn");
    assert!(!place.precedent(APPEALS[3], "own").await, "and no more when it is withdrawn");
}

/// Nobody follows the database here, so what waits is embedded by whoever asks for it.
#[tokio::test]
async fn a_file_of_standing_rulings_is_embedded_while_the_book_is_free_for_others() {
    let (model, database) = (tiny_model(), database::sqlite().await);
    let router = Arc::new(Router::open(model.path()).expect("a model"));
    let store = Store::open(&database.url).await.expect("a database");
    let desk = Arc::new(RulingDesk::open(store.clone(), Arc::clone(&router)).await.expect("a desk"));
    let all = (0..400).map(|i| drafts::standing(&format!("S-{i:03}"), APPEALS[1], "供电"));
    let all = all.map(|draft| draft.parse(None).expect("a ruling")).collect();
    for outcome in store.record_all(all, "导入").await.expect("recorded") {
        outcome.expect("each of them");
    }
    desk.catch_up().await.expect("applied");
    assert_eq!(desk.waiting().await, 400, "none was embedded by whoever held the book");
    assert_eq!(router.rulings().texts(), 0);
    let found = desk.recurrences(0.9, "2026-03-01".parse().expect("a day")).await.expect("grouped");
    assert_eq!((desk.waiting().await, router.rulings().texts(), found.waiting), (0, 400, 0), "they cover what they cover");
    let again = RulingDesk::open(store, router).await.expect("a desk");
    assert_eq!(again.waiting().await, 0);
}

#[tokio::test]
async fn the_standing_rulings_of_a_file_count_in_the_answer_after_it() {
    let place = place().await;
    let mut all: Vec<_> = (0..250).map(|i| drafts::standing(&format!("S-{i:03}"), APPEALS[1], "供电")).collect();
    all.push(drafts::standing("own", APPEALS[3], "城管"));
    let file = exchange::write(Format::Jsonl, &all).expect("a file");
    assert_eq!(import(&mut place.rulings().await, &file).await.expect("imported").ruling_count, 251);
    assert!(place.precedent(APPEALS[3], "own").await);
}
