//! Disputes behind gRPC: what `proto/paidan/v1/disputes.proto` promises. A return is answered by the same queue and the same model
//! threads as any appeal, and recorded last, so that a caller who got no answer may report it again.
//!
//! `report` takes returns, `file` puts case files together, `convert` knows proto and record.

mod convert;
mod file;
mod report;

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::deadline::Arrival;
use super::proto;
use super::queue::{Answer, Place};
use super::rulings::RulingDesk;
use super::rulings::convert as rulings;
use super::service::{Desk, arrival};
use super::status::ServiceError;
use crate::disputes::{Course, Objected};
use crate::routing::PreparedAppeal;

/// How long what was answered a moment ago may take to be written.
const FLUSH: std::time::Duration = std::time::Duration::from_secs(3);

/// The service.
pub(super) struct Disputes {
    pub(super) desk: Arc<Desk>,
    pub(super) rulings: Arc<RulingDesk>,
}

impl Disputes {
    /// The order as it is known. One that was routed a moment ago may still wait to be written.
    async fn course(&self, order_id: &str) -> Result<Option<Course>, ServiceError> {
        let store = self.rulings.store();
        if let Some(course) = store.course(order_id).await? {
            return Ok(Some(course));
        }
        // A database that takes nothing is a reason to come back, not to wait until the call's time is over.
        if tokio::time::timeout(FLUSH, self.desk.audit.flushed()).await.is_err() {
            let description = "the database takes no entries at the moment; try again".to_owned();
            return Err(ServiceError::StoreUnavailable { reason: "STORE_UNAVAILABLE", description });
        }
        Ok(store.course(order_id).await?)
    }

    /// Routes an order, with what was objected to it so far.
    async fn route(&self, course: &Course, arrival: Arrival) -> Result<Answer, ServiceError> {
        let place = self.desk.queue.reserve()?;
        let prepared = self.desk.prepare(course.order.fields.clone()).await?;
        self.ask(returned(prepared, course), place, arrival).await
    }

    /// The same for what was prepared already.
    async fn ask(&self, prepared: PreparedAppeal, place: Place, arrival: Arrival) -> Result<Answer, ServiceError> {
        let deadline = arrival.answer_by(arrival.at, self.desk.config.max_request_time);
        self.desk.answer(prepared, place, arrival.at, deadline).await
    }
}

/// An order as it came back so far.
fn returned(prepared: PreparedAppeal, course: &Course) -> PreparedAppeal {
    let Objected { objections, settled_by, .. } = Objected::of(course);
    prepared.returned(objections, settled_by)
}

#[tonic::async_trait]
impl proto::dispute_service_server::DisputeService for Disputes {
    async fn report_return(
        &self,
        request: Request<proto::ReportReturnRequest>,
    ) -> Result<Response<proto::ReportReturnResponse>, Status> {
        let arrival = arrival(&request);
        Ok(Response::new(self.report(request.into_inner(), arrival).await?))
    }

    async fn close_order(
        &self,
        request: Request<proto::CloseOrderRequest>,
    ) -> Result<Response<proto::CloseOrderResponse>, Status> {
        let request = request.into_inner();
        let order_id = rulings::order_id(&request.order_id)?;
        let actor = rulings::actor(&request.actor)?;
        self.course(&order_id).await?;
        self.rulings.store().close_order(&order_id, &actor).await.map_err(ServiceError::from)?;
        self.desk.open_orders.close(&order_id);
        Ok(Response::new(proto::CloseOrderResponse {}))
    }

    async fn get_case_file(
        &self,
        request: Request<proto::GetCaseFileRequest>,
    ) -> Result<Response<proto::GetCaseFileResponse>, Status> {
        let arrival = arrival(&request);
        Ok(Response::new(self.case_file(request.into_inner(), arrival).await?))
    }

    async fn list_cases(
        &self,
        request: Request<proto::ListCasesRequest>,
    ) -> Result<Response<proto::ListCasesResponse>, Status> {
        let request = request.into_inner();
        let size = rulings::page_size(request.page_size, 50, 1_000)?;
        let page = self.rulings.store().cases(request.open_only, size, &request.page_token).await;
        let page = page.map_err(ServiceError::from)?;
        let cases = page.cases.into_iter().map(convert::summary).collect();
        Ok(Response::new(proto::ListCasesResponse { cases, next_page_token: page.next_page_token }))
    }
}
