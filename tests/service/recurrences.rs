//! `RulingService.ListRecurrences` on a real server: what was ruled case by case comes back in groups, until a standing ruling covers it.

use std::sync::Arc;

use paidan::model::Calibration;
use paidan::routing::Router;
use paidan::server::proto::ruling_service_client::RulingServiceClient;
use paidan::server::proto::{self, DecidingBody, ListRecurrencesRequest, ListRecurrencesResponse, Ruling, RulingScope};
use paidan::server::proto::{RulingPosition, RulingStatus};
use paidan::server::rulings::RulingDesk;
use paidan::server::{Server, ServiceConfig};
use paidan::store::Store;
use tonic::Code;
use tonic::transport::Channel;
use tonic_types::StatusExt;

use crate::database::{self, databases};
use crate::service_support::{Running, text};
use crate::support::{APPEALS, calibrate, only_itself, tiny_model};

/// A server on a database, with a model for which only a text itself is alike.
struct Place {
    server: Running,
    client: RulingServiceClient<Channel>,
    _model: tempfile::TempDir,
}

async fn place(url: &str) -> Place {
    let model = tiny_model();
    calibrate(model.path(), &Calibration { precedents: only_itself(), ..Calibration::default() });
    let router = Arc::new(Router::open(model.path()).expect("a model"));
    let desk = RulingDesk::open(Store::open(url).await.expect("a database"), Arc::clone(&router)).await.expect("a desk");
    let server = Server::new(router, ServiceConfig::default()).expect("a configuration").with_rulings(desk);
    let server = Running::serve(server).await;
    let client = RulingServiceClient::new(server.channel().await);
    Place { server, client, _model: model }
}

impl Place {
    async fn record(&mut self, ruling: Ruling) {
        let request = proto::RecordRulingRequest {
            ruling: Some(ruling),
            actor: "认定办".to_owned(),
            ..proto::RecordRulingRequest::default()
        };
        self.client.record_ruling(request).await.expect("recorded");
    }

    async fn recurrences(&mut self, request: ListRecurrencesRequest) -> ListRecurrencesResponse {
        let request = ListRecurrencesRequest { min_similarity: Some(0.99), ..request };
        self.client.list_recurrences(request).await.expect("a list").into_inner()
    }

    /// Each of the first appeals, once more often than the one after it.
    async fn disputes(&mut self, kinds: usize) {
        for (kind, example) in APPEALS.iter().enumerate().take(kinds) {
            for number in 0..2 + kinds - kind {
                let id = format!("c{kind}-{number}");
                let ruling = Ruling {
                    orders: vec![format!("Q{kind}-{number}")],
                    excluded_departments: vec!["城管".to_owned()],
                    positions: vec![RulingPosition { department: "住建".to_owned(), ..RulingPosition::default() }],
                    ..ruling(RulingScope::Case, &id, example, "供电")
                };
                self.record(ruling).await;
            }
        }
    }
}

fn ruling(scope: RulingScope, id: &str, example: &str, lead: &str) -> Ruling {
    Ruling {
        id: id.to_owned(),
        scope: scope.into(),
        matter: "事项".to_owned(),
        examples: vec![example.to_owned()],
        lead_department: lead.to_owned(),
        deciding_body: DecidingBody::Committee.into(),
        decision_date: "2026-01-10".to_owned(),
        ..Ruling::default()
    }
}

#[tokio::test]
async fn what_was_ruled_case_by_case_comes_back_with_a_draft_until_a_standing_ruling_covers_it() {
    for database in databases().await {
        let mut place = place(&database.url).await;
        let nothing = place.recurrences(ListRecurrencesRequest::default()).await;
        assert_eq!(nothing, ListRecurrencesResponse::default(), "{}", database.name);
        place.disputes(2).await;
        let list = place.recurrences(ListRecurrencesRequest::default()).await;
        assert_eq!((list.dispute_count, list.covered_dispute_count, list.single_dispute_count), (7, 0, 0));
        let counts: Vec<i32> = list.recurrences.iter().map(|one| one.dispute_count).collect();
        assert_eq!(counts, [4, 3]);
        let first = &list.recurrences[0];
        assert_eq!((first.first_date.as_str(), first.lead_share, first.example.is_empty()), ("2026-01-10", 1.0, false));
        let parties: Vec<(&str, i32)> =
            first.contesting_parties.iter().map(|one| (one.department.as_str(), one.dispute_count)).collect();
        assert_eq!(parties, [("住建", 4), ("城管", 4)], "the lead said nothing");
        let draft = first.draft_ruling.clone().expect("a draft");
        assert_eq!((draft.scope(), draft.status()), (RulingScope::Standing, RulingStatus::Draft));
        assert_eq!((draft.lead_department.as_str(), draft.positions.len(), draft.orders.len()), ("供电", 2, 4));
        assert!(draft.decision_date.is_empty() && draft.deciding_body() == DecidingBody::Unspecified, "people decide");
        // Completed by people and recorded: its disputes come up no more, in the very next answer.
        let completed = Ruling {
            deciding_body: DecidingBody::Committee.into(),
            decision_date: "2026-02-01".to_owned(),
            status: RulingStatus::InForce.into(),
            ..draft
        };
        place.record(completed).await;
        let list = place.recurrences(ListRecurrencesRequest::default()).await;
        assert_eq!((list.covered_dispute_count, list.recurrences.len()), (4, 1), "{}", database.name);
        assert_eq!(list.recurrences[0].dispute_count, 3);
    }
}

#[tokio::test]
async fn groups_come_in_pages_and_small_ones_only_if_asked() {
    let database = database::sqlite().await;
    let mut place = place(&database.url).await;
    place.disputes(4).await;
    place.record(ruling(RulingScope::Case, "other", APPEALS[6], "城管")).await;
    let (mut counts, mut token) = (Vec::new(), String::new());
    loop {
        let request = ListRecurrencesRequest { page_size: 3, page_token: token, ..ListRecurrencesRequest::default() };
        let page = place.recurrences(request).await;
        counts.push(page.recurrences.iter().map(|one| one.dispute_count).collect::<Vec<_>>());
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(counts, [vec![6, 5, 4], vec![3]]);
    let large = place.recurrences(ListRecurrencesRequest { min_dispute_count: 5, ..ListRecurrencesRequest::default() }).await;
    assert_eq!((large.recurrences.len(), large.single_dispute_count), (2, 1));
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_refused_by_its_field() {
    let database = database::sqlite().await;
    let mut place = place(&database.url).await;
    let usual = ListRecurrencesRequest::default();
    for (field, request) in [
        ("min_dispute_count", ListRecurrencesRequest { min_dispute_count: 1, ..usual.clone() }),
        ("min_dispute_count", ListRecurrencesRequest { min_dispute_count: -3, ..usual.clone() }),
        ("min_similarity", ListRecurrencesRequest { min_similarity: Some(1.5), ..usual.clone() }),
        ("min_similarity", ListRecurrencesRequest { min_similarity: Some(f32::NAN), ..usual.clone() }),
        ("page_size", ListRecurrencesRequest { page_size: -1, ..usual.clone() }),
        ("page_token", ListRecurrencesRequest { page_token: "after:x".to_owned(), ..usual.clone() }),
    ] {
        let refused = place.client.list_recurrences(request).await.expect_err(field);
        assert_eq!(refused.code(), Code::InvalidArgument, "{field}");
        let named = refused.get_details_bad_request().expect("fields").field_violations;
        assert_eq!(named[0].field, field);
    }
    let past = ListRecurrencesRequest { page_token: format!("skip:{}", usize::MAX), ..usual };
    assert_eq!(place.recurrences(past).await, ListRecurrencesResponse::default());
}

#[tokio::test]
async fn many_lists_at_once_and_an_appeal_beside_them_are_all_answered() {
    let database = database::sqlite().await;
    let mut place = place(&database.url).await;
    place.disputes(6).await;
    let lists: Vec<_> = (0..8)
        .map(|i| {
            let mut client = place.client.clone();
            // Each asks for another grouping, so that none is served from what was kept.
            let request =
                ListRecurrencesRequest { min_similarity: Some(0.9 + 0.01 * i as f32), ..ListRecurrencesRequest::default() };
            tokio::spawn(async move { client.list_recurrences(request).await.map(|list| list.into_inner().dispute_count) })
        })
        .collect();
    place.server.client().await.route_appeal(text(APPEALS[0])).await.expect("an answer");
    for list in lists {
        assert_eq!(list.await.expect("no panic").expect("a list"), 33);
    }
}
