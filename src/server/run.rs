//! A server's life: assembled, serving, draining, done.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::audit::{AuditTrail, LAST_ENTRIES};
use super::batcher::Batcher;
use super::catalog::{CatalogDesk, Catalogs};
use super::config::{ServiceConfig, ServiceConfigError};
use super::deadline::Deadlines;
use super::disputes::Disputes;
use super::metrics::Metrics;
use super::open_orders::OpenOrderDesk;
use super::proto::catalog_service_server::CatalogServiceServer;
use super::proto::dispute_service_server::DisputeServiceServer;
use super::proto::routing_service_server::{RoutingServiceServer, SERVICE_NAME};
use super::proto::ruling_service_server::RulingServiceServer;
use super::queue::Queue;
use super::returned_orders::ReturnedOrders;
use super::rulings::{RulingDesk, Rulings};
use super::service::Orders;
use super::service::{Desk, RoutingService};
use super::{Route, listener, proto};

/// Bytes that a client may send ahead, on one call and on one connection: what bounds the memory of a connection, and what makes
/// a stream that is not read felt by its client. hyper's own default is a megabyte a call.
const CALL_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// How long callers that were just refused may take to hear so, and model threads to end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Why a server stopped, or did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A limit makes no sense.
    #[error("service configuration: {0}")]
    Config(#[from] ServiceConfigError),
    /// The threads of the model, or of long texts, could not be started.
    #[error("threads: {0}")]
    Threads(#[source] std::io::Error),
    /// The descriptors built into the program are broken: our own bug.
    #[error("server reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The listener failed.
    #[error("transport: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// Shutdown took longer than `drain_timeout`.
    #[error("{unanswered} appeals were still under way when the drain timeout ended")]
    DrainTimedOut {
        /// Appeals that were refused or cut off.
        unanswered: u64,
    },
}

/// A server's life, boxed.
pub type Serving = Pin<Box<dyn Future<Output = Result<(), ServeError>> + Send>>;

/// A server that is ready to run.
pub struct Server {
    router: Arc<dyn Route>,
    config: ServiceConfig,
    metrics: Arc<Metrics>,
    rulings: Option<Arc<RulingDesk>>,
    catalog: Option<Arc<CatalogDesk>>,
}

impl Server {
    /// Checks the configuration.
    pub fn new<R: Route>(router: Arc<R>, config: ServiceConfig) -> Result<Self, ServeError> {
        config.validate()?;
        Ok(Self { router, config, metrics: Arc::default(), rulings: None, catalog: None })
    }

    /// The same with the rulings' service, and an audit trail in their database.
    pub fn with_rulings(mut self, desk: RulingDesk) -> Self {
        self.rulings = Some(Arc::new(desk));
        self
    }

    /// The same with the catalogue's service.
    pub fn with_catalog(mut self, desk: Arc<CatalogDesk>) -> Self {
        self.catalog = Some(desk);
        self
    }

    /// The counters; they stay readable after the server is gone.
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// Serves until `shutdown` completes, then drains: health says NOT_SERVING, no connection and no call is accepted, what is
    /// under way is answered within `drain_timeout`.
    ///
    /// The future is boxed here, where nothing is generic any more, so that a whole gRPC server is compiled once, with this library,
    /// and not again in every program and test that runs one.
    pub fn run(self, listener: TcpListener, shutdown: impl Future<Output = ()> + Send + 'static) -> Serving {
        self.boxed(listener, Box::pin(shutdown))
    }

    fn boxed(self, listener: TcpListener, shutdown: Pin<Box<dyn Future<Output = ()> + Send>>) -> Serving {
        Box::pin(self.life(listener, shutdown))
    }

    async fn life(self, listener: TcpListener, shutdown: Pin<Box<dyn Future<Output = ()> + Send>>) -> Result<(), ServeError> {
        let Self { router, config, metrics, rulings, catalog } = self;
        let queue = Queue::new(config.queue_capacity, config.stream_capacity(), Arc::clone(&metrics));
        let batcher = Batcher::start(&router, &queue, &metrics, &config).map_err(ServeError::Threads)?;
        let (drain, draining) = watch::channel(false);
        let (open_orders, returned) =
            (OpenOrderDesk::new(config.open_order_days, Arc::clone(&router)), ReturnedOrders::default());
        let (audit, trail_writer) = match &rulings {
            Some(desk) => {
                tokio::spawn(Arc::clone(desk).follow(draining.clone()));
                tokio::spawn(open_orders.clone().follow(desk.store().clone(), draining.clone()));
                tokio::spawn(returned.clone().follow(desk.store().clone(), draining.clone()));
                let (trail, writer) = AuditTrail::start(desk.store().clone());
                (trail, Some(writer))
            }
            None => (AuditTrail::default(), None),
        };
        if let Some(catalog) = &catalog {
            catalog.note_in(&audit);
        }
        let orders = Orders { audit, open: open_orders, returned };
        let desk = Desk::new(router, Arc::clone(&queue), Arc::clone(&metrics), config.clone(), draining.clone(), orders)
            .map_err(ServeError::Threads)?;
        let (health, routes) = routes(desk, rulings, catalog).await?;

        let mut stopping = draining;
        let server = tonic::transport::Server::builder()
            .initial_stream_window_size(CALL_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_streams(config.max_calls_per_connection)
            .http2_keepalive_interval(Some(config.keepalive_interval))
            .http2_keepalive_timeout(Some(config.keepalive_timeout))
            .serve_with_incoming_shutdown(
                Deadlines::new(routes, &config),
                listener::connections(listener, config.max_connections),
                // An error means that this function was dropped: stop as well.
                async move { drop(stopping.wait_for(|stop| *stop).await) },
            );
        // Boxed, so that it can be dropped before the end: it holds what waits for the trail.
        let mut server = Box::pin(server);

        let served = tokio::select! {
            ended = &mut server => ended.map_err(ServeError::from),
            () = shutdown => {
                tracing::info!(in_flight = metrics.in_flight.load(Relaxed), "shutting down: answering what is under way");
                stop_health(health).await;
                drain.send_replace(true);
                match tokio::time::timeout(config.drain_timeout, &mut server).await {
                    Ok(ended) => ended.map_err(ServeError::from),
                    Err(_) => {
                        let unanswered = metrics.in_flight.load(Relaxed);
                        queue.abort();
                        let _ = tokio::time::timeout(LAST_WORDS, &mut server).await;
                        // Connections without an appeal, such as an idle reflection stream, may be cut.
                        if unanswered > 0 { Err(ServeError::DrainTimedOut { unanswered }) } else { Ok(()) }
                    }
                }
            }
        };
        queue.close();
        // Every caller has an answer, so this is quick, unless a thread hangs in the model: then it is left to the process.
        if tokio::time::timeout(LAST_WORDS, batcher.ended()).await.is_err() {
            tracing::warn!("the model is still running; it is not waited for");
        }
        drop(server);
        if let Some(writer) = trail_writer
            && tokio::time::timeout(LAST_ENTRIES, writer).await.is_err()
        {
            tracing::error!("the last entries of the audit trail could not be written");
        }
        tracing::info!(ok = served.is_ok(), "stopped");
        served
    }
}

/// The services of the server: routing, health, reflection (v1, and v1alpha for older tools).
async fn routes(
    desk: Desk,
    rulings: Option<Arc<RulingDesk>>,
    catalog: Option<Arc<CatalogDesk>>,
) -> Result<(HealthReporter, Routes), ServeError> {
    let max_message_bytes = desk.config.max_message_bytes;
    let max_ruling_message_bytes = desk.config.max_ruling_message_bytes();
    let (returned, desk) = (desk.returned.clone(), Arc::new(desk));
    let disputes = rulings.clone().map(|rulings| Disputes { desk: Arc::clone(&desk), rulings });
    let routing = RoutingServiceServer::new(RoutingService(desk)).max_decoding_message_size(max_message_bytes);
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status(SERVICE_NAME, ServingStatus::Serving).await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // So that a tool which knows nothing of us can read the details of an error.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let rulings = rulings
        .map(|desk| RulingServiceServer::new(Rulings(desk, returned)).max_decoding_message_size(max_ruling_message_bytes));
    let mut routes = Routes::new(routing)
        .add_service(health.max_decoding_message_size(max_message_bytes))
        .add_service(reflection().build_v1()?.max_decoding_message_size(max_message_bytes))
        .add_service(reflection().build_v1alpha()?.max_decoding_message_size(max_message_bytes));
    if let Some(rulings) = rulings {
        routes = routes.add_service(rulings);
    }
    if let Some(disputes) = disputes {
        routes = routes.add_service(DisputeServiceServer::new(disputes).max_decoding_message_size(max_message_bytes));
    }
    if let Some(catalog) = catalog {
        routes = routes.add_service(CatalogServiceServer::new(Catalogs(catalog)).max_decoding_message_size(max_message_bytes));
    }
    Ok((reporter, routes))
}

/// Tells watchers, and then ends their streams: one that is held open would hold up the drain.
async fn stop_health(mut health: HealthReporter) {
    for service in ["", SERVICE_NAME] {
        health.set_service_status(service, ServingStatus::NotServing).await;
        health.clear_service_status(service).await;
    }
}
