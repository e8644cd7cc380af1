//! A disk that is really full, under a real server with SQLite: what was acknowledged is there, the service lives and says what is
//! wrong, and it goes on when there is room again. The disk is a small tmpfs in a mount namespace of its own, which ends with it.

mod database;
mod service_support;
mod support;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use paidan::routing::Router;
use paidan::server::proto::ruling_service_client::RulingServiceClient;
use paidan::server::proto::{self, DecidingBody, Ruling, RulingScope};
use paidan::server::rulings::RulingDesk;
use paidan::server::{Server, ServiceConfig};
use paidan::store::{AuditEntry, Store};
use service_support::{Running, text};
use support::{APPEALS, tiny_model};
use tonic::Code;
use tonic_types::StatusExt;

/// What the shell ends with where nothing can be mounted.
const NO_MOUNT: i32 = 77;

#[test]
fn on_a_full_disk_nothing_acknowledged_is_lost_and_the_service_goes_on_when_there_is_room() {
    let place = tempfile::tempdir().expect("a folder");
    let script = format!(
        "mount -t tmpfs -o size=4m tmpfs \"$1\" 2>/dev/null || exit {NO_MOUNT}; \
                          exec \"$0\" --exact a_server_on_a_full_disk --ignored --nocapture"
    );
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    let user: &[&str] = if root { &[] } else { &["--user", "--map-root-user"] };
    let outcome = Command::new("unshare")
        .args(user)
        .args(["--mount", "sh", "-c", &script])
        .arg(std::env::current_exe().expect("this test"))
        .arg(place.path())
        .env("PAIDAN_FULL_DISK", place.path())
        .stdin(Stdio::null())
        .output();
    let skip = |why: &str| {
        let _ = writeln!(std::io::stderr(), "SKIPPED: {why}, so no full disk is tested");
    };
    let Ok(output) = outcome else { return skip("there is no unshare") };
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(NO_MOUNT) => skip("no file system can be mounted"),
        Some(1) if said.starts_with("unshare: ") => skip("there is no mount namespace to be had"),
        code => assert!(code == Some(0) && said.contains("1 passed"), "{code:?}: {said}"),
    }
}

fn ruling(id: &str) -> proto::RecordRulingRequest {
    let ruling = Ruling {
        id: id.to_owned(),
        scope: RulingScope::Case.into(),
        matter: "占道经营".to_owned(),
        description: "很长的说明".repeat(200),
        lead_department: "城管".to_owned(),
        deciding_body: DecidingBody::Committee.into(),
        decision_date: "2026-01-10".to_owned(),
        ..Ruling::default()
    };
    proto::RecordRulingRequest { ruling: Some(ruling), actor: "认定办".to_owned(), ..proto::RecordRulingRequest::default() }
}

/// Not a test: what the one above runs on its small disk.
#[tokio::test]
#[ignore = "started by the test that makes the disk"]
async fn a_server_on_a_full_disk() {
    let Some(disk) = std::env::var_os("PAIDAN_FULL_DISK") else { return };
    let disk = Path::new(&disk);
    let ballast = disk.join("ballast");
    std::fs::write(&ballast, vec![0; 2 << 20]).expect("room for it");
    let url = format!("sqlite:{}", disk.join("paidan.db").display());
    let model = tiny_model();
    let router = Arc::new(Router::open(model.path()).expect("a model"));
    let desk = RulingDesk::open(Store::open(&url).await.expect("a database"), Arc::clone(&router)).await.expect("a desk");
    let server = Server::new(router, ServiceConfig::default()).expect("a configuration").with_rulings(desk);
    let mut server = Running::serve(server).await;
    let mut rulings = RulingServiceClient::new(server.channel().await);
    let mut client = server.client().await;

    let mut acknowledged = Vec::new();
    let refused = loop {
        let id = format!("r{}", acknowledged.len());
        match rulings.record_ruling(ruling(&id)).await {
            Ok(_) => acknowledged.push(id),
            Err(status) => break status,
        }
        assert!(acknowledged.len() < 10_000, "it never filled up");
    };
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    assert_eq!(refused.get_details_error_info().expect("details").reason, "STORE_FULL");
    assert!(refused.message().contains("no room left"), "{refused:?}");
    let read = async |rulings: &mut RulingServiceClient<_>| {
        for id in &acknowledged {
            let got = rulings.get_ruling(proto::GetRulingRequest { id: id.clone() }).await;
            got.unwrap_or_else(|status| panic!("{id} was acknowledged: {status}"));
        }
    };
    assert!(acknowledged.len() > 20, "{}", acknowledged.len());
    read(&mut rulings).await;
    for words in APPEALS {
        client.route_appeal(text(words)).await.expect("answers do not wait for the disk");
    }
    rulings.record_ruling(ruling("later")).await.expect_err("still full");

    std::fs::remove_file(&ballast).expect("room again");
    // Whoever is told to try again does so: the database may need a moment to see that there is room.
    let again = async {
        while let Err(status) = rulings.record_ruling(ruling("later")).await {
            assert_eq!(status.code(), Code::Unavailable, "{status:?}");
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), again).await.expect("there is room");
    read(&mut rulings).await;
    // The trail is written behind the answers, and tries again once a second.
    let store = Store::open(&url).await.expect("a database");
    let entries = async || store.audit_after(0, 100_000).await.expect("entries");
    let count = |entries: &[AuditEntry], action: &str| entries.iter().filter(|entry| entry.action == action).count();
    let written = async {
        while count(&entries().await, "answered") < APPEALS.len() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), written).await.expect("what waited for the disk is written");
    server.begin_stop();
    server.stopped().await.expect("it stops");
    let (_, faults) = store.verify_audit(10, |_, _| ()).await.expect("verified");
    assert_eq!(faults, []);
    let entries = entries().await;
    assert_eq!(count(&entries, "answered"), APPEALS.len(), "answers that were given meanwhile are in the trail too");
    assert_eq!(count(&entries, "ruling_recorded"), acknowledged.len() + 1, "and nothing of what was refused");
}
