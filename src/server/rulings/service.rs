//! The calls of `rulings.proto`.

use std::sync::Arc;

use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{RulingDesk, RulingError, convert, files};
use crate::routing::Router;
use crate::rulings::{EmbeddedRuling, Ruling};
use crate::server::proto;
use crate::server::status::ServiceError;
use crate::store::{Action, NewEntry, StoredRuling};

/// Longest reason, in characters.
const MAX_REASON_CHARS: usize = 200;
/// Longest number of an order.
const MAX_ORDER_CHARS: usize = 128;

/// The service.
pub(in crate::server) struct Rulings(pub(in crate::server) Arc<RulingDesk>);

impl From<RulingError> for ServiceError {
    fn from(error: RulingError) -> Self {
        match error {
            RulingError::Store(error) => error.into(),
            RulingError::Model(error) => {
                tracing::error!(%error, "rulings could not be embedded");
                Self::ModelFailed
            }
            RulingError::Panicked => Self::ModelFailed,
        }
    }
}

impl RulingDesk {
    /// Parses a ruling that a caller sent.
    fn parse(&self, ruling: Option<proto::Ruling>, field: &str) -> Result<Ruling, ServiceError> {
        let draft = convert::draft(ruling, field)?;
        draft.parse(Some(&self.known())).map_err(|faults| convert::faults(field, &faults))
    }

    /// Which standing rulings say otherwise.
    async fn contradictions(&self, stored: &StoredRuling) -> Result<Vec<proto::Contradiction>, ServiceError> {
        let router: Arc<Router> = Arc::clone(&self.router);
        let ruling = Arc::new(stored.ruling.clone());
        // As like as an appeal must be to fall under a ruling. Where that was never measured, only matters of one name count.
        let least = router.likeness().least().unwrap_or(2.0);
        let work = move || {
            let embeddings = router.embed(&ruling.texts())?;
            let catalog = router.catalog();
            let found = router.rulings().contradictions(&EmbeddedRuling { ruling, embeddings }, catalog.as_deref(), least);
            Ok::<_, crate::routing::RouteError>(found.iter().map(convert::contradiction).collect())
        };
        let found = tokio::task::spawn_blocking(work).await.map_err(|_| ServiceError::ModelFailed)?;
        Ok(found.map_err(RulingError::from)?)
    }

    /// What is recorded counts from here on. Recorded it is even if this server cannot apply it now: then it does so soon.
    async fn applied(&self) {
        if let Err(error) = self.catch_up().await {
            tracing::error!(%error, "a ruling was recorded, but is not applied here yet");
        }
    }
}

#[tonic::async_trait]
impl proto::ruling_service_server::RulingService for Rulings {
    async fn record_ruling(
        &self,
        request: Request<proto::RecordRulingRequest>,
    ) -> Result<Response<proto::RecordRulingResponse>, Status> {
        let proto::RecordRulingRequest { ruling, etag, actor, case_id } = request.into_inner();
        let actor = convert::actor(&actor)?;
        let mut ruling = self.0.parse(ruling, "ruling")?;
        let etag = Some(etag.as_str()).filter(|etag| !etag.is_empty());
        let stored = if case_id.is_empty() {
            self.0.store.record(ruling, etag, &actor).await
        } else {
            let order = self.0.store.case(&case_id).await.map_err(ServiceError::from)?.order_id;
            if !ruling.orders.contains(&order) {
                ruling.orders.push(order);
            }
            self.0.store.record_for_case(ruling, etag, &case_id, &actor).await
        };
        let stored = stored.map_err(ServiceError::from)?;
        self.0.applied().await;
        let contradictions = self.0.contradictions(&stored).await?;
        Ok(Response::new(proto::RecordRulingResponse { ruling: Some(convert::ruling(&stored)), contradictions }))
    }

    async fn get_ruling(
        &self,
        request: Request<proto::GetRulingRequest>,
    ) -> Result<Response<proto::GetRulingResponse>, Status> {
        let stored = self.0.store.get(&request.into_inner().id).await.map_err(ServiceError::from)?;
        Ok(Response::new(proto::GetRulingResponse { ruling: Some(convert::ruling(&stored)) }))
    }

    async fn list_rulings(
        &self,
        request: Request<proto::ListRulingsRequest>,
    ) -> Result<Response<proto::ListRulingsResponse>, Status> {
        let request = request.into_inner();
        let filter = convert::filter(&request.filter)?;
        let size = convert::page_size(request.page_size, 50, 1_000)?;
        let page = self.0.store.list(&filter, size, &request.page_token).await.map_err(ServiceError::from)?;
        let rulings = page.rulings.iter().map(convert::ruling).collect();
        Ok(Response::new(proto::ListRulingsResponse { rulings, next_page_token: page.next_page_token }))
    }

    async fn supersede_ruling(
        &self,
        request: Request<proto::SupersedeRulingRequest>,
    ) -> Result<Response<proto::SupersedeRulingResponse>, Status> {
        let proto::SupersedeRulingRequest { id, etag, successor, actor } = request.into_inner();
        let actor = convert::actor(&actor)?;
        let successor = self.0.parse(successor, "successor")?;
        let stored = self.0.store.supersede(&id, &etag, successor, &actor).await.map_err(ServiceError::from)?;
        self.0.applied().await;
        let contradictions = self.0.contradictions(&stored).await?;
        Ok(Response::new(proto::SupersedeRulingResponse { ruling: Some(convert::ruling(&stored)), contradictions }))
    }

    async fn withdraw_ruling(
        &self,
        request: Request<proto::WithdrawRulingRequest>,
    ) -> Result<Response<proto::WithdrawRulingResponse>, Status> {
        let proto::WithdrawRulingRequest { id, etag, reason, actor } = request.into_inner();
        let actor = convert::actor(&actor)?;
        let reason = convert::line("reason", &reason, MAX_REASON_CHARS)?;
        let stored = self.0.store.withdraw(&id, &etag, &reason, &actor).await.map_err(ServiceError::from)?;
        self.0.applied().await;
        Ok(Response::new(proto::WithdrawRulingResponse { ruling: Some(convert::ruling(&stored)) }))
    }

    async fn search_rulings(
        &self,
        request: Request<proto::SearchRulingsRequest>,
    ) -> Result<Response<proto::SearchRulingsResponse>, Status> {
        Ok(Response::new(self.0.search(request.into_inner()).await?))
    }

    async fn list_recurrences(
        &self,
        request: Request<proto::ListRecurrencesRequest>,
    ) -> Result<Response<proto::ListRecurrencesResponse>, Status> {
        Ok(Response::new(self.0.list_recurrences(request.into_inner()).await?))
    }

    async fn import_rulings(
        &self,
        request: Request<Streaming<proto::ImportRulingsRequest>>,
    ) -> Result<Response<proto::ImportRulingsResponse>, Status> {
        let response = files::import(&self.0, request.into_inner()).await?;
        self.0.applied().await;
        Ok(Response::new(response))
    }

    type ExportRulingsStream = ReceiverStream<Result<proto::ExportRulingsResponse, Status>>;

    async fn export_rulings(
        &self,
        request: Request<proto::ExportRulingsRequest>,
    ) -> Result<Response<Self::ExportRulingsStream>, Status> {
        Ok(Response::new(files::export(&self.0, request.into_inner()).await?))
    }

    async fn record_dispatch(
        &self,
        request: Request<proto::RecordDispatchRequest>,
    ) -> Result<Response<proto::RecordDispatchResponse>, Status> {
        let request = request.into_inner();
        let order_id = convert::id("order_id", &request.order_id, MAX_ORDER_CHARS)?;
        let actor = convert::actor(&request.actor)?;
        let known = self.0.known();
        let department = |field: &str, name: &str| {
            let unknown = |name: &str| {
                let said = format!("{name:?} is not among the departments");
                ServiceError::invalid(field, "UNKNOWN_DEPARTMENT", &said, "没有这个承办单位")
            };
            known.department(name).map(str::to_owned).ok_or_else(|| unknown(name))
        };
        let sent = department("department", &request.department)?;
        let advised = match request.advised_department.as_str() {
            "" => None,
            name => Some(department("advised_department", name)?),
        };
        let overridden = advised.as_ref().is_some_and(|advised| *advised != sent);
        let detail = serde_json::json!({ "department": sent, "advised": advised, "overridden": overridden }).to_string();
        let entry = NewEntry { order_id, detail, ..NewEntry::now(Action::Dispatched, &actor) };
        self.0.store.append_audit(&[entry]).await.map_err(ServiceError::from)?;
        Ok(Response::new(proto::RecordDispatchResponse { overridden }))
    }
}
