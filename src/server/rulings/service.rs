//! The calls of `rulings.proto`.

use std::sync::Arc;

use prost::Message;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{MAX_PAGE_BYTES, RulingDesk, RulingError, convert, files};
use crate::routing::Router;
use crate::rulings::{EmbeddedRuling, Ruling, Scope, Status as RulingStatus};
use crate::server::proto;
use crate::server::returned_orders::ReturnedOrders;
use crate::server::status::ServiceError;
use crate::store::{Action, NewEntry, StoredRuling};

/// Longest id of a ruling.
const MAX_ID_CHARS: usize = 64;
/// Longest reason, in characters.
const MAX_REASON_CHARS: usize = 200;

/// The service.
pub(in crate::server) struct Rulings(pub(in crate::server) Arc<RulingDesk>, pub(in crate::server) ReturnedOrders);

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
        if stored.ruling.scope != Scope::Standing || stored.ruling.status != RulingStatus::InForce {
            return Ok(Vec::new());
        }
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

    /// What is recorded counts from here on, this ruling above all. Recorded it is even if this server cannot apply it now: then it
    /// does so soon.
    async fn applied(self: &Arc<Self>, own: &StoredRuling) {
        if let Err(error) = self.catch_up_with(Some(own.ruling.id.clone())).await {
            tracing::error!(%error, "a ruling was recorded, but is not applied here yet");
        }
    }
}

impl Rulings {
    /// A case was settled by this ruling, or is open again without it: the next answer to its order knows, as those of other servers do
    /// within a second or two. What cannot be read now comes with those.
    async fn case_changed(&self, stored: &StoredRuling) {
        for order in &stored.ruling.orders {
            match self.0.store.course(order).await {
                Ok(course) => course.iter().for_each(|course| self.1.learn(course)),
                Err(error) => tracing::warn!(%error, "a case's order could not be read; it is read again"),
            }
        }
    }
}

#[tonic::async_trait]
impl proto::ruling_service_server::RulingService for Rulings {
    async fn record_ruling(
        &self,
        request: Request<proto::RecordRulingRequest>,
    ) -> Result<Response<proto::RecordRulingResponse>, Status> {
        let proto::RecordRulingRequest { mut ruling, etag, actor, case_id } = request.into_inner();
        let actor = convert::actor(&actor)?;
        let etag = Some(etag.as_str()).filter(|etag| !etag.is_empty());
        let changed = etag.is_some();
        let stored = if case_id.is_empty() {
            self.0.store.record(self.0.parse(ruling, "ruling")?, etag, &actor).await
        } else {
            let order = self.0.store.case(&case_id).await.map_err(ServiceError::from)?.order_id;
            // Before it is parsed: the case's order counts among those that a ruling may name.
            if let Some(ruling) = ruling.as_mut().filter(|ruling| !ruling.orders.contains(&order)) {
                ruling.orders.push(order);
            }
            self.0.store.record_for_case(self.0.parse(ruling, "ruling")?, etag, &case_id, &actor).await
        };
        let stored = stored.map_err(ServiceError::from)?;
        self.0.applied(&stored).await;
        // Cases go with a ruling that changed, and with one that took another's place.
        if !case_id.is_empty() || changed || stored.ruling.supersedes.is_some() {
            self.case_changed(&stored).await;
        }
        let contradictions = self.0.contradictions(&stored).await?;
        Ok(Response::new(proto::RecordRulingResponse { ruling: Some(convert::ruling(&stored)), contradictions }))
    }

    async fn get_ruling(
        &self,
        request: Request<proto::GetRulingRequest>,
    ) -> Result<Response<proto::GetRulingResponse>, Status> {
        let stored =
            self.0.store.get(&convert::id("id", &request.into_inner().id, MAX_ID_CHARS)?).await.map_err(ServiceError::from)?;
        Ok(Response::new(proto::GetRulingResponse { ruling: Some(convert::ruling(&stored)) }))
    }

    async fn list_rulings(
        &self,
        request: Request<proto::ListRulingsRequest>,
    ) -> Result<Response<proto::ListRulingsResponse>, Status> {
        let request = request.into_inner();
        let filter = convert::filter(&request.filter, &self.0.known())?;
        let size = convert::page_size(request.page_size, 50, 1_000)?;
        let page = self.0.store.list(&filter, size, &request.page_token).await.map_err(ServiceError::from)?;
        let (mut rulings, mut bytes) = (Vec::with_capacity(page.rulings.len()), 0);
        for one in page.rulings.iter().map(convert::ruling) {
            bytes += one.encoded_len();
            // The first is answered however long it is.
            if bytes > MAX_PAGE_BYTES && !rulings.is_empty() {
                break;
            }
            rulings.push(one);
        }
        let cut = page.rulings[..rulings.len()].last().filter(|_| rulings.len() < page.rulings.len());
        let next_page_token = cut.map_or(page.next_page_token, |last| format!("after:{}", last.ruling.id));
        Ok(Response::new(proto::ListRulingsResponse { rulings, next_page_token }))
    }

    async fn supersede_ruling(
        &self,
        request: Request<proto::SupersedeRulingRequest>,
    ) -> Result<Response<proto::SupersedeRulingResponse>, Status> {
        let proto::SupersedeRulingRequest { id, etag, successor, actor } = request.into_inner();
        let id = convert::id("id", &id, MAX_ID_CHARS)?;
        let actor = convert::actor(&actor)?;
        let successor = self.0.parse(successor, "successor")?;
        let stored = self.0.store.supersede(&id, &etag, successor, &actor).await.map_err(ServiceError::from)?;
        self.0.applied(&stored).await;
        self.case_changed(&stored).await;
        let contradictions = self.0.contradictions(&stored).await?;
        Ok(Response::new(proto::SupersedeRulingResponse { ruling: Some(convert::ruling(&stored)), contradictions }))
    }

    async fn withdraw_ruling(
        &self,
        request: Request<proto::WithdrawRulingRequest>,
    ) -> Result<Response<proto::WithdrawRulingResponse>, Status> {
        let proto::WithdrawRulingRequest { id, etag, reason, actor } = request.into_inner();
        let id = convert::id("id", &id, MAX_ID_CHARS)?;
        let actor = convert::actor(&actor)?;
        let reason = convert::line("reason", &reason, MAX_REASON_CHARS)?;
        let stored = self.0.store.withdraw(&id, &etag, &reason, &actor).await.map_err(ServiceError::from)?;
        self.0.applied(&stored).await;
        self.case_changed(&stored).await;
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
        if let Err(error) = self.0.catch_up_with_files().await {
            tracing::error!(%error, "a file of rulings was recorded, but not all of it is applied here yet");
        }
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
        let order_id = convert::order_id(&request.order_id)?;
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
        let catalog = self.0.router.catalog();
        let one_office = |advised: &String| {
            *advised == sent || catalog.as_deref().is_some_and(|catalog| catalog.other_names(advised).contains(&sent.as_str()))
        };
        let overridden = advised.as_ref().is_some_and(|advised| !one_office(advised));
        let detail = serde_json::json!({ "department": sent, "advised": advised, "overridden": overridden }).to_string();
        let entry = NewEntry { order_id, detail, ..NewEntry::now(Action::Dispatched, &actor) };
        self.0.store.append_audit(&[entry]).await.map_err(ServiceError::from)?;
        Ok(Response::new(proto::RecordDispatchResponse { overridden }))
    }
}
