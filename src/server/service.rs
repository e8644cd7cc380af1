//! The unary calls, and the one function that routes an appeal for them and for streams alike: [`Desk::route`].

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use chrono::Utc;
use tokio::sync::{oneshot, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::audit::AuditTrail;
use super::config::ServiceConfig;
use super::deadline::Arrival;
use super::metrics::Metrics;
use super::open_orders::{Found, OpenOrderDesk, Sought};
use super::proto;
use super::queue::{Answer, Job, Place, Queue};
use super::returned_orders::{Returned, ReturnedOrders};
use super::status::ServiceError;
use super::text_threads::{Panicked, TextThreads};
use super::{Route, convert, stream};
use crate::disputes::OrderRecord;
use crate::routing::{PreparedAppeal, RouteError};
use crate::text::{Appeal, AppealFields, is_persons_number};

/// What all calls share.
pub(super) struct Desk {
    pub(super) router: Arc<dyn Route>,
    pub(super) queue: Arc<Queue>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) config: ServiceConfig,
    /// Turns true when the server shuts down.
    pub(super) draining: watch::Receiver<bool>,
    texts: TextThreads,
    pub(super) audit: AuditTrail,
    pub(super) open_orders: OpenOrderDesk,
    pub(super) returned: ReturnedOrders,
}

/// What is known of orders beyond the call that they came with.
pub(super) struct Orders {
    pub(super) audit: AuditTrail,
    pub(super) open: OpenOrderDesk,
    pub(super) returned: ReturnedOrders,
}

impl Desk {
    /// Starts the threads for long texts.
    pub(super) fn new(
        router: Arc<dyn Route>,
        queue: Arc<Queue>,
        metrics: Arc<Metrics>,
        config: ServiceConfig,
        draining: watch::Receiver<bool>,
        orders: Orders,
    ) -> std::io::Result<Self> {
        let texts = TextThreads::new(config.tokenizing_threads)?;
        let Orders { audit, open: open_orders, returned } = orders;
        Ok(Self { router, queue, metrics, config, draining, texts, audit, open_orders, returned })
    }

    /// Routes one appeal that has a place in the queue. Dropping the future takes the appeal out again.
    pub(super) async fn route(
        &self,
        request: proto::RouteAppealRequest,
        place: Place,
        arrived: Instant,
        deadline: Instant,
    ) -> Result<proto::RouteAppealResponse, ServiceError> {
        let asked = convert::asked(request)?;
        // While somebody is still typing an appeal has no number, and is not remembered. A phone in its place is no number either.
        let number = Some(asked.fields.id.trim()).filter(|id| !id.is_empty() && !is_persons_number(id));
        let remembered = number.map(|_| asked.fields.clone());
        let Returned { objections, settled_by, district } = number.map(|number| self.returned.of(number)).unwrap_or_default();
        let number = number.unwrap_or_default().to_owned();
        let mut fields = asked.fields;
        if let Some(district) = district {
            fields.district = district;
        }
        let sought = Sought {
            id: number,
            text: fields.text.clone(),
            received_at: fields.received_at.clone(),
            district: fields.district.clone(),
            caller: asked.caller,
        };
        let prepared = self.prepare(fields).await?.returned(objections, settled_by);
        // In this order: the model works on it in the meantime.
        let (answer, found) =
            tokio::join!(biased; self.answer(prepared, place, arrived, deadline), self.open_orders.seek(sought, &self.texts));
        let mut response = convert::response(answer?, self.router.info(), asked.appeal_id, asked.max_departments);
        let first_seen = found.as_ref().map_or_else(Utc::now, Found::first_seen);
        self.open_orders.answered(found, &mut response);
        let remembered = remembered.map(|fields| OrderRecord { fields, caller: asked.caller, closed: false, first_seen });
        self.audit.answered(&response, remembered);
        Ok(response)
    }

    /// The model's part of it.
    pub(super) async fn answer(
        &self,
        prepared: PreparedAppeal,
        place: Place,
        arrived: Instant,
        deadline: Instant,
    ) -> Result<Answer, ServiceError> {
        let (reply, answer) = oneshot::channel();
        place.submit(Job { prepared, arrived, deadline, reply });
        // A model thread that is gone without a word is a bug of ours; the caller is told the same as of a model that failed.
        answer.await.unwrap_or(Err(ServiceError::ModelFailed))
    }

    /// Parses and tokenizes, a long appeal off the async threads.
    pub(super) async fn prepare(&self, fields: AppealFields) -> Result<PreparedAppeal, ServiceError> {
        let router = Arc::clone(&self.router);
        let bytes = fields.text.len();
        let prepare = move || {
            let appeal = Appeal::parse(fields).map_err(RouteError::from)?;
            router.prepare(&appeal)
        };
        match self.texts.run(bytes, prepare).await {
            Ok(prepared) => prepared.map_err(|error| {
                if let RouteError::Model(error) = &error {
                    tracing::error!(%error, "an appeal could not be tokenized");
                }
                convert::route_error(error)
            }),
            Err(Panicked) => {
                tracing::error!("tokenizing an appeal panicked");
                Err(ServiceError::ModelFailed)
            }
        }
    }

    /// Counts an appeal as under way until the guard is dropped, and notes its end in the log.
    pub(super) fn under_way(&self, arrived: Instant, deadline: Instant) -> UnderWay {
        Metrics::count(&self.metrics.in_flight);
        UnderWay { metrics: Arc::clone(&self.metrics), arrived, deadline, code: None }
    }
}

/// An appeal that is under way.
pub(super) struct UnderWay {
    metrics: Arc<Metrics>,
    arrived: Instant,
    deadline: Instant,
    code: Option<&'static str>,
}

impl UnderWay {
    pub(super) fn ended<T>(&mut self, result: &Result<T, ServiceError>) {
        self.code = Some(result.as_ref().map_or_else(ServiceError::reason, |_| "OK"));
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.metrics.in_flight.fetch_sub(1, Relaxed);
        // Dropped before its end: either `deadline` answered in its place, or the caller has left.
        let unanswered = if self.deadline <= Instant::now() { "DEADLINE_EXCEEDED" } else { "CANCELLED" };
        let code = self.code.unwrap_or(unanswered);
        tracing::debug!(code, took_ms = self.arrived.elapsed().as_millis() as u64, "appeal ended");
    }
}

/// The service of `routing.proto`.
pub(super) struct RoutingService(pub(super) Arc<Desk>);

#[tonic::async_trait]
impl proto::routing_service_server::RoutingService for RoutingService {
    async fn route_appeal(
        &self,
        request: Request<proto::RouteAppealRequest>,
    ) -> Result<Response<proto::RouteAppealResponse>, Status> {
        let desk = &self.0;
        let arrival = arrival(&request);
        let deadline = arrival.answer_by(arrival.at, desk.config.max_request_time);
        let mut under_way = desk.under_way(arrival.at, deadline);
        let result = match desk.queue.reserve() {
            Ok(place) => desk.route(request.into_inner(), place, arrival.at, deadline).await,
            Err(error) => Err(error),
        };
        under_way.ended(&result);
        Ok(Response::new(result?))
    }

    type RouteAppealsStream = ReceiverStream<Result<proto::RouteAppealsResponse, Status>>;

    async fn route_appeals(
        &self,
        request: Request<Streaming<proto::RouteAppealsRequest>>,
    ) -> Result<Response<Self::RouteAppealsStream>, Status> {
        let arrival = arrival(&request);
        Ok(Response::new(stream::answers(Arc::clone(&self.0), request.into_inner(), arrival)))
    }

    async fn get_model_info(
        &self,
        _: Request<proto::GetModelInfoRequest>,
    ) -> Result<Response<proto::GetModelInfoResponse>, Status> {
        Ok(Response::new(convert::model_info(self.0.router.info())))
    }
}

/// Set by `deadline` for every call.
pub(super) fn arrival<T>(request: &Request<T>) -> Arrival {
    request.extensions().get().copied().unwrap_or_else(|| Arrival { at: Instant::now(), deadline: None })
}
