//! The catalogue is exchanged while the service answers: no answer fails, none is half of one and half of another, and a catalogue
//! with a fault changes nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use paidan::catalog::DepartmentCatalog;
use paidan::model::{Calibration, DutyBound};
use paidan::routing::Router;
use paidan::server::Server;
use paidan::server::catalog::CatalogDesk;
use paidan::server::proto::basis::Kind;
use paidan::server::proto::catalog_service_client::CatalogServiceClient;
use paidan::server::proto::dispute_service_client::DisputeServiceClient;
use paidan::server::proto::route_appeals_response::Result::Response as Answered;
use paidan::server::proto::ruling_service_client::RulingServiceClient;
use paidan::server::proto::{self, ReloadCatalogRequest, ReloadCatalogResponse, RouteAppealRequest, RouteAppealResponse};
use paidan::server::rulings::RulingDesk;
use paidan::text::{Appeal, AppealFields};
use sqlx::Connection;
use tokio_stream::StreamExt;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::catalogs::{self, FIRST, SECOND};
use crate::database::{self, Database};
use crate::service_support::{Running, config, text};
use crate::support::{APPEALS, calibrate, only_itself, tiny_model};

struct Place {
    server: Running,
    folder: tempfile::TempDir,
    database: Database,
    _model: tempfile::TempDir,
}

fn router(folder: &Path) -> (tempfile::TempDir, Arc<Router>) {
    let model = tiny_model();
    let duties = Some(DutyBound { similarity: 0.995, margin: 0.0, precision: 0.61 });
    calibrate(model.path(), &Calibration { precedents: only_itself(), duties, ..Calibration::default() });
    let catalog = Arc::new(DepartmentCatalog::open(folder).unwrap_or_else(|error| panic!("{error}")));
    let router = Router::open(model.path()).expect("a model").with_catalog(catalog).expect("its departments");
    (model, Arc::new(router))
}

/// A server with the first version.
async fn place() -> Place {
    let folder = tempfile::tempdir().expect("a folder");
    catalogs::write(folder.path(), FIRST);
    let (model, router) = router(folder.path());
    let database = database::sqlite().await;
    let rulings = RulingDesk::open(database.store.clone(), Arc::clone(&router)).await.expect("a desk");
    let catalog = CatalogDesk::new(Arc::clone(&router), Some(folder.path().to_owned()));
    let server = Server::new(router, config()).expect("a configuration").with_rulings(rulings).with_catalog(Arc::new(catalog));
    Place { server: Running::serve(server).await, folder, database, _model: model }
}

fn asked(words: &str) -> RouteAppealRequest {
    let mut request = RouteAppealRequest { max_departments: 100, ..text(words) };
    request.appeal.as_mut().expect("an appeal").district = "东区".to_owned();
    request
}

impl Place {
    fn put(&self, version: &str) {
        catalogs::write(self.folder.path(), version);
    }

    async fn reload(&self) -> Result<ReloadCatalogResponse, Status> {
        let mut client = CatalogServiceClient::new(self.server.channel().await);
        let reloaded = client.reload_catalog(ReloadCatalogRequest { actor: "数据组".to_owned() }).await;
        reloaded.map(tonic::Response::into_inner)
    }

    async fn answer(&self, words: &str) -> RouteAppealResponse {
        self.server.client().await.route_appeal(asked(words)).await.expect("an answer").into_inner()
    }
}

fn reason(status: &Status) -> (Code, String) {
    let zh = status.get_details_localized_message().expect("a sentence for hotline staff");
    assert!(!zh.message.is_ascii(), "{zh:?}");
    (status.code(), status.get_details_error_info().expect("details").reason)
}

/// Everything that the catalogue named in an answer ends with the answer's version.
fn of_one_catalogue(answer: &RouteAppealResponse) {
    let version = answer.catalog_version.as_str();
    let mut names: Vec<&str> = vec![&answer.unit.as_ref().expect("a unit").display_name];
    let ranked = answer.departments.iter().filter_map(|one| one.department.as_ref());
    names.extend(ranked.chain(&answer.supporting_departments).map(|one| one.display_name.as_str()));
    for basis in &answer.basis {
        match basis.kind.as_ref().expect("a kind") {
            Kind::Duty(duty) => names.push(&duty.duty),
            Kind::Matter(matter) => names.push(&matter.display_name),
            Kind::LikeDuty(like) => names.push(&like.department.as_ref().expect("a department").display_name),
            Kind::Succession(one) => names.extend(one.successors.iter().map(|one| one.display_name.as_str())),
            _ => {}
        }
    }
    for name in names {
        assert!(name.ends_with(version), "{name} in an answer of {version}: {answer:#?}");
    }
}

#[tokio::test]
async fn a_changed_catalogue_is_used_from_the_next_answer_on_and_everything_made_of_it_follows() {
    let place = place().await;
    let channel = place.server.channel().await;
    let mut rulings = RulingServiceClient::new(channel.clone());
    let draft = proto::Ruling {
        id: "s1".to_owned(),
        scope: proto::RulingScope::Standing.into(),
        matter: "停水".to_owned(),
        examples: vec![APPEALS[2].to_owned()],
        lead_department: "环保".to_owned(),
        deciding_body: proto::DecidingBody::Committee.into(),
        decision_date: "2026-01-10".to_owned(),
        ..proto::Ruling::default()
    };
    let record =
        |ruling| proto::RecordRulingRequest { ruling: Some(ruling), actor: "认定办".to_owned(), ..Default::default() };
    rulings.record_ruling(record(draft.clone())).await.expect("recorded");
    let new =
        proto::Ruling { id: "s2".to_owned(), lead_department: "数据局乙".to_owned(), matter: "数据".to_owned(), ..draft };
    rulings.record_ruling(record(new.clone())).await.expect_err("nobody knows it yet");
    let dispatch = || proto::RecordDispatchRequest {
        order_id: "Q1".to_owned(),
        department: "生态环境".to_owned(),
        actor: "派单员".to_owned(),
        ..proto::RecordDispatchRequest::default()
    };
    rulings.record_dispatch(dispatch()).await.expect_err("nobody knows it yet");
    let before = place.answer(APPEALS[0]).await;
    let lead = |answer: &RouteAppealResponse| answer.departments[0].department.clone().expect("a department").display_name;
    assert_eq!(lead(&place.answer(APPEALS[2]).await), "环保局甲");

    place.put(SECOND);
    assert_eq!(place.answer(APPEALS[0]).await.catalog_version, FIRST, "nobody asked yet");
    let reloaded = place.reload().await.expect("it is sound");
    let versions = (reloaded.former_catalog_version.as_str(), reloaded.catalog_version.as_str());
    assert_eq!((versions, reloaded.exchanged), ((FIRST, SECOND), true));

    let after = place.answer(APPEALS[0]).await;
    assert_eq!((before.catalog_version.as_str(), after.catalog_version.as_str()), (FIRST, SECOND));
    of_one_catalogue(&before);
    of_one_catalogue(&after);
    let newcomer = after.departments[1].department.clone().expect("a department");
    assert_eq!(newcomer.id, "数据", "its duty was embedded");
    assert_eq!(lead(&place.answer(APPEALS[2]).await), "生态环境局乙", "the standing ruling's lead has a successor");
    rulings.record_ruling(record(new)).await.expect("it is known now");
    rulings.record_dispatch(dispatch()).await.expect("it is known now");
    let mut disputes = DisputeServiceClient::new(channel);
    let returned = proto::ReportReturnRequest {
        order_id: "Q1".to_owned(),
        unit: "东区数据分局乙".to_owned(),
        reason: proto::ReturnReason::DutiesOverlap.into(),
        actor: "坐席".to_owned(),
        appeal: asked(APPEALS[0]).appeal,
        ..proto::ReportReturnRequest::default()
    };
    let next = disputes.report_return(returned).await.expect("an answer").into_inner().next_answer.expect("an answer");
    assert!(next.departments.iter().all(|one| one.department.as_ref().is_some_and(|one| one.id != "数据")));

    let again = place.reload().await.expect("it is sound");
    assert_eq!((again.catalog_version.as_str(), again.exchanged), (SECOND, false), "it says the same");
}

#[tokio::test]
async fn a_catalogue_with_a_fault_changes_nothing_and_the_fault_is_told_by_file_and_line() {
    let place = place().await;
    let before = place.answer(APPEALS[4]).await;
    let unchanged = async |what: &str| {
        let mut after = place.answer(APPEALS[4]).await;
        (after.queue_duration, after.model_duration) = (before.queue_duration, before.model_duration);
        assert_eq!(after, before, "{what}");
    };
    place.put(SECOND);
    let spoilt = catalogs::spoil(place.folder.path());
    let refused = place.reload().await.expect_err("it has a fault");
    assert_eq!(reason(&refused), (Code::FailedPrecondition, "CATALOG_FAULTY".to_owned()));
    let faults = refused.get_details_bad_request().expect("faults").field_violations;
    assert!(faults[0].field.ends_with(&spoilt) && faults[0].description.contains("天文"), "{faults:?} is not {spoilt}");
    assert!(refused.message().contains(&spoilt), "{}", refused.message());
    unchanged("a fault in a file").await;

    let many = "[[unit]]\nname = \"天文台\"\ndepartment = \"天文\"\n".repeat(400);
    std::fs::write(place.folder.path().join("units.toml"), many).expect("written");
    let refused = place.reload().await.expect_err("it has many faults");
    assert_eq!(refused.get_details_bad_request().expect("faults").field_violations.len(), 10, "the first of them");
    assert!(refused.message().ends_with("more faults"), "{}", refused.message());
    unchanged("many faults").await;

    std::fs::remove_file(place.folder.path().join("units.toml")).expect("removed");
    let refused = place.reload().await.expect_err("half a folder");
    assert!(refused.message().contains("units.toml"), "{}", refused.message());
    unchanged("a missing file").await;

    place.put(SECOND);
    let departments = place.folder.path().join("departments.toml");
    let text = std::fs::read_to_string(&departments).expect("a file");
    let units = place.folder.path().join("units.toml");
    let of_units = std::fs::read_to_string(&units).expect("a file");
    std::fs::write(&departments, text.replace("\"交警\"", "\"交管\"")).expect("written");
    std::fs::write(&units, of_units.replace("\"交警\"", "\"交管\"")).expect("written");
    let matters = place.folder.path().join("matters.toml");
    std::fs::write(&matters, "").expect("written");
    let refused = place.reload().await.expect_err("the model knows somebody who is not in it");
    assert!(refused.message().contains("the model's department \"交警\" is not in it"), "{}", refused.message());
    unchanged("a department of the model is missing").await;

    catalogs::write_as(place.folder.path(), SECOND, FIRST);
    let refused = place.reload().await.expect_err("another of the same version");
    assert!(refused.message().contains("give the changed one a version of its own"), "{}", refused.message());
    unchanged("one version that means two things").await;

    let nobody = CatalogServiceClient::new(place.server.channel().await).reload_catalog(ReloadCatalogRequest::default()).await;
    assert_eq!(nobody.expect_err("who?").code(), Code::InvalidArgument);
    assert_eq!(place.database.store.last_archived().await.expect("read"), None);
}

#[tokio::test]
async fn a_server_without_a_catalogue_says_so() {
    let model = tiny_model();
    let router = Arc::new(Router::open(model.path()).expect("a model"));
    let desk = Arc::new(CatalogDesk::new(Arc::clone(&router), None));
    let server = Running::serve(Server::new(router, config()).expect("a configuration").with_catalog(desk)).await;
    let mut client = CatalogServiceClient::new(server.channel().await);
    let refused = client.reload_catalog(ReloadCatalogRequest { actor: "x".to_owned() }).await.expect_err("there is none");
    assert_eq!(reason(&refused), (Code::FailedPrecondition, "NO_CATALOG".to_owned()));
}

#[test]
fn an_appeal_that_is_under_way_keeps_the_catalogue_that_it_was_prepared_with() {
    let folder = tempfile::tempdir().expect("a folder");
    catalogs::write(folder.path(), FIRST);
    let (_model, router) = router(folder.path());
    let prepare = |proposed: &str| {
        let fields = AppealFields {
            text: APPEALS[0].to_owned(),
            received_at: "2026-03-01".to_owned(),
            district: "东区".to_owned(),
            proposed_departments: vec![proposed.to_owned()],
            ..AppealFields::default()
        };
        router.prepare(&Appeal::parse(fields).expect("an appeal")).expect("prepared")
    };
    let early = prepare("环保");
    let alone = router.route(std::slice::from_ref(&early)).expect("routed").remove(0);
    catalogs::write(folder.path(), SECOND);
    router.set_catalog(Arc::new(DepartmentCatalog::open(folder.path()).expect("sound"))).expect("its departments");
    let late = prepare("数据");
    let [first, second]: [_; 2] = router.route(&[early, late]).expect("routed").try_into().expect("two");
    assert_eq!(first, alone, "as if nothing had happened");
    assert_eq!(first.unit.as_ref().map(|unit| unit.name.ends_with(FIRST)), Some(true));
    assert_eq!(second.catalog_version.as_deref(), Some(SECOND));
    assert_eq!(second.newcomer().map(|one| one.name.as_str()), Some("数据局乙"));
}

#[tokio::test]
async fn an_exchange_does_not_wait_for_a_database_that_is_busy_and_is_noted_when_it_is_not() {
    let mut place = place().await;
    let mut other = sqlx::SqliteConnection::connect(&place.database.url).await.expect("somebody else");
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.expect("writes");
    place.put(SECOND);
    let reloaded = place.reload().await.expect("it is sound");
    assert!(reloaded.exchanged);
    assert_eq!(place.database.store.audit_head().await.expect("a head").number, 0, "the other is still writing");
    sqlx::query("ROLLBACK").execute(&mut other).await.expect("done");
    place.server.begin_stop();
    place.server.stopped().await.expect("it stops, and the trail is written");
    let entries = place.database.store.audit_after(0, 10).await.expect("entries");
    assert_eq!(entries.iter().map(|entry| entry.action.as_str()).collect::<Vec<_>>(), ["catalog_exchanged"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_with_good_and_bad_catalogues_none_fails_and_none_is_half_and_half() {
    const EXCHANGES: usize = 8;
    let place = Arc::new(place().await);
    let done = Arc::new(AtomicBool::new(false));
    let (sender, items) = tokio::sync::mpsc::channel(64);
    let sending = {
        let done = Arc::clone(&done);
        tokio::spawn(async move {
            let mut sent = 0;
            while !done.load(SeqCst) {
                let request = Some(asked(APPEALS[sent % APPEALS.len()]));
                let item = proto::RouteAppealsRequest { item_id: sent.to_string(), request };
                sender.send(item).await.expect("the stream lives");
                sent += 1;
            }
            sent
        })
    };
    let reloading = {
        let (place, done) = (Arc::clone(&place), Arc::clone(&done));
        tokio::spawn(async move {
            for round in 0..EXCHANGES {
                let version = if round % 2 == 0 { SECOND } else { FIRST };
                place.put(version);
                catalogs::spoil(place.folder.path());
                place.reload().await.expect_err("it has a fault");
                place.put(version);
                let reloaded = place.reload().await.expect("it is sound");
                assert!(reloaded.exchanged && reloaded.catalog_version == version);
                // Some answers of each.
                let answer = place.answer(APPEALS[round % APPEALS.len()]).await;
                assert_eq!(answer.catalog_version, version, "the very next answer");
            }
            done.store(true, SeqCst);
        })
    };
    let stream = tokio_stream::wrappers::ReceiverStream::new(items);
    let mut answers = place.server.client().await.route_appeals(stream).await.expect("a stream").into_inner();
    let mut by_version: BTreeMap<String, usize> = BTreeMap::new();
    while let Some(answer) = answers.next().await {
        match answer.expect("the stream lives").result {
            Some(Answered(response)) => {
                of_one_catalogue(&response);
                *by_version.entry(response.catalog_version).or_default() += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    reloading.await.expect("the reloads went well");
    let sent = sending.await.expect("all was sent");
    assert_eq!(by_version.values().sum::<usize>(), sent, "every item is answered");
    assert!(by_version.len() == 2, "{by_version:?}");
    // An order that is not known is looked for when everything before is written, however slow the disk is.
    let mut disputes = DisputeServiceClient::new(place.server.channel().await);
    let unknown = proto::GetCaseFileRequest { order_id: "nobody's".to_owned(), ..Default::default() };
    assert_eq!(disputes.get_case_file(unknown).await.expect_err("there is none").code(), Code::NotFound);

    let Some(mut place) = Arc::into_inner(place) else { panic!("somebody still has it") };
    place.server.begin_stop();
    place.server.stopped().await.expect("it stops, and the trail is written");
    let (mut last, mut exchanged, mut versions) = (0, Vec::new(), (0, 0));
    loop {
        let entries = place.database.store.audit_after(last, 10_000).await.expect("entries");
        let named = |version: &str| {
            entries.iter().filter(|entry| entry.action == "answered" && entry.versions.contains(version)).count()
        };
        versions = (versions.0 + named(FIRST), versions.1 + named(SECOND));
        let Some(end) = entries.last() else { break };
        last = end.number;
        exchanged.extend(entries.into_iter().filter(|entry| entry.action == "catalog_exchanged"));
    }
    assert!(versions.0 > 0 && versions.1 > 0, "{versions:?}");
    assert_eq!(exchanged.len(), EXCHANGES, "a faulty one is no exchange");
    assert_eq!((exchanged[0].actor.as_str(), exchanged[0].action_in_chinese()), ("数据组", "更换派单目录"));
    assert_eq!((exchanged[0].versions.as_str(), exchanged[0].detail.as_str()), (r#"{"catalog":"乙"}"#, r#"{"former":"甲"}"#));
}
