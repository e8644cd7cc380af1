//! A real server on a database, with a catalogue of two districts, for tests of orders that come back.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::sync::Arc;

use paidan::catalog::DepartmentCatalog;
use paidan::model::Calibration;
use paidan::routing::Router;
use paidan::server::proto::dispute_service_client::DisputeServiceClient;
use paidan::server::proto::ruling_service_client::RulingServiceClient;
use paidan::server::proto::{self, Appeal, ReportReturnRequest, ReturnReason};
use paidan::server::rulings::RulingDesk;
use paidan::server::{Server, ServiceConfig};
use paidan::store::Store;
use tonic::Status;
use tonic::transport::Channel;
use tonic_types::StatusExt;

use crate::service_support::Running;
use crate::support::{DEPARTMENTS, calibrate, only_itself, tiny_model};

const HEAD: &str = "version = \"7\"\ncity = \"测试市\"\ndisclaimer = \"仅供测试\"\n[[district]]\nname = \"东区\"\n[[district]]\nname = \"西区\"\naliases = [\"西城\"]\n";

const HOLIDAYS: &str = "[[holiday]]\nname = \"国庆\"\nfrom = 2026-10-01\nto = 2026-10-07\n[[workday]]\nday = 2026-10-10\n";

/// A server on a database, with a model for which only a text itself is alike.
pub struct Place {
    pub server: Running,
    pub store: Store,
    _model: tempfile::TempDir,
}

/// A department that the model has never seen.
pub const NEWCOMER: &str = "数据";

/// Each department of the tiny model, and a newcomer, has a duty, a unit of the whole city and one of each district.
pub fn catalogue() -> Arc<DepartmentCatalog> {
    let folder = tempfile::tempdir().expect("a folder");
    let all = || DEPARTMENTS.into_iter().chain([NEWCOMER]);
    let departments = all().map(|id| {
        format!(
            "[[department]]\nid = \"{id}\"\nname = \"{id}局\"\n[[department.duty]]\ntext = \"{id}管理\"\nwords = [\"路灯|噪音\"]\n\
             basis = [{{ level = \"法规\", document = \"《{id}条例》\", article = \"第二条\" }}]\n"
        )
    });
    let units = all().map(|id| {
        format!(
            "[[unit]]\nname = \"市{id}中心\"\ndepartment = \"{id}\"\n[[unit]]\nname = \"东区{id}分局\"\ndepartment = \"{id}\"\n\
             district = \"东区\"\n[[unit]]\nname = \"西区{id}分局\"\ndepartment = \"{id}\"\ndistrict = \"西区\"\n"
        )
    });
    let files = [
        ("catalog.toml", HEAD.to_owned()),
        ("departments.toml", departments.collect()),
        ("units.toml", units.collect()),
        ("matters.toml", String::new()),
        ("holidays.toml", HOLIDAYS.to_owned()),
    ];
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    Arc::new(DepartmentCatalog::open(folder.path()).unwrap_or_else(|error| panic!("{error}")))
}

pub async fn place(url: &str) -> Place {
    let model = tiny_model();
    calibrate(model.path(), &Calibration { precedents: only_itself(), ..Calibration::default() });
    let router = Router::open(model.path()).expect("a model").with_catalog(catalogue()).expect("its departments");
    let router = Arc::new(router);
    let store = Store::open(url).await.expect("a database");
    let desk = RulingDesk::open(store.clone(), Arc::clone(&router)).await.expect("a desk");
    let server = Server::new(router, ServiceConfig::default()).expect("a configuration").with_rulings(desk);
    Place { server: Running::serve(server).await, store, _model: model }
}

impl Place {
    pub async fn rulings(&self) -> RulingServiceClient<Channel> {
        RulingServiceClient::new(self.server.channel().await)
    }

    pub async fn disputes(&self) -> DisputeServiceClient<Channel> {
        DisputeServiceClient::new(self.server.channel().await)
    }

    /// Routes an order of the east, received on 2026-03-02, under its number.
    pub async fn route(&self, order: &str, words: &str) -> proto::RouteAppealResponse {
        let request = proto::RouteAppealRequest {
            appeal: Some(appeal(order, words)),
            max_departments: 100,
            ..proto::RouteAppealRequest::default()
        };
        self.server.client().await.route_appeal(request).await.expect("an answer").into_inner()
    }

    pub async fn report(&self, request: ReportReturnRequest) -> Result<proto::ReportReturnResponse, Status> {
        Ok(self.disputes().await.report_return(request).await?.into_inner())
    }

    pub async fn case_file(&self, order: &str) -> Result<proto::GetCaseFileResponse, Status> {
        let request =
            proto::GetCaseFileRequest { order_id: order.to_owned(), page_wanted: true, ..proto::GetCaseFileRequest::default() };
        Ok(self.disputes().await.get_case_file(request).await?.into_inner())
    }
}

pub fn appeal(order: &str, words: &str) -> Appeal {
    Appeal {
        id: order.to_owned(),
        text: words.to_owned(),
        district: "东区".to_owned(),
        receive_time: Some(time("2026-03-02T01:00:00Z")),
        ..Appeal::default()
    }
}

pub fn time(text: &str) -> prost_types::Timestamp {
    text.parse().expect("a time")
}

/// A return over responsibility, at a given time.
pub fn returned(order: &str, unit: &str, at: &str) -> ReportReturnRequest {
    ReportReturnRequest {
        order_id: order.to_owned(),
        unit: unit.to_owned(),
        reason: ReturnReason::DutiesOverlap.into(),
        note: "不是我单位职责".to_owned(),
        return_time: Some(time(at)),
        actor: "热线坐席".to_owned(),
        max_departments: 100,
        ..ReportReturnRequest::default()
    }
}

pub fn lead(answer: &proto::RouteAppealResponse) -> String {
    answer.lead_department.clone().expect("a lead").department.expect("a department").id
}

/// What a program can branch on, and a sentence in Chinese beside it.
pub fn reason(status: &Status) -> String {
    let zh = status.get_details_localized_message().expect("a sentence for hotline staff");
    assert!(!zh.message.is_ascii(), "{zh:?}");
    status.get_details_error_info().expect("details").reason
}
