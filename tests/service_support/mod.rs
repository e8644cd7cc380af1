//! For the `service_*` tests: a real server on a free port, a router that does what the test says, and a raw HTTP/2 client for
//! what no proper gRPC client would send. Nothing here sleeps: tests wait for a state, never for a time.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use paidan::model::{Cores, Department, ModelInfo};
use paidan::routing::{Decision, Evidence, PreparedAppeal, RankedDepartment, ReviewReason, RouteError};
use paidan::server::proto::routing_service_client::RoutingServiceClient;
use paidan::server::proto::{Appeal, RouteAppealRequest, RouteAppealsRequest};
use paidan::server::{Metrics, MetricsSnapshot, Route, ServeError, Server, ServiceConfig};
use paidan::text::{AppealError, AppealErrorCode, Encoding, Reading};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tonic::codegen::{Bytes, http};
use tonic::transport::Channel;

/// A router whose model waits at a gate. A token is a character; the first character says what happens:
/// 毒 is an error of the model, 崩 a panic in it, 错 an error of the caller, 裂 a panic while tokenizing.
pub struct Gated {
    info: ModelInfo,
    gate: Mutex<Gate>,
    moved: Condvar,
    entered: watch::Sender<usize>,
    prepared: AtomicUsize,
}

struct Gate {
    /// Runs that may pass.
    passes: usize,
    batches: Vec<Vec<String>>,
}

impl Gated {
    /// The model waits until the test lets it through.
    pub fn closed() -> Arc<Self> {
        let names = ["城管", "交警", "住建", "环保", "供电", "水务", "人社", "教体"];
        let department =
            |name: &str| Arc::new(Department { id: name.to_owned(), name: format!("{name}局"), training_orders: 100 });
        Arc::new(Self {
            info: ModelInfo {
                name: "gated".to_owned(),
                version: "test-1".to_owned(),
                departments: names.map(department).to_vec(),
                max_tokens: 512,
                embedding_size: 4,
                precision: "f32".to_owned(),
                kernel: "plain".to_owned(),
                metrics: [("accuracy".to_owned(), 0.8)].into(),
                has_dispute_head: true,
                calibrated: true,
            },
            gate: Mutex::new(Gate { passes: 0, batches: Vec::new() }),
            moved: Condvar::new(),
            entered: watch::Sender::new(0),
            prepared: AtomicUsize::new(0),
        })
    }

    /// The model never waits.
    pub fn open() -> Arc<Self> {
        let gated = Self::closed();
        gated.let_all_through();
        gated
    }

    pub fn let_through(&self, runs: usize) {
        self.gate.lock().expect("gate").passes += runs;
        self.moved.notify_all();
    }

    pub fn let_all_through(&self) {
        self.let_through(usize::MAX / 2);
    }

    /// Waits until the model was entered for the `count`-th time.
    pub async fn entered(&self, count: usize) {
        let mut entered = self.entered.subscribe();
        let waiting = entered.wait_for(|entered| *entered >= count);
        tokio::time::timeout(PATIENCE, waiting).await.expect("the model is entered in time").expect("the router lives");
    }

    /// The texts of every run so far.
    pub fn batches(&self) -> Vec<Vec<String>> {
        self.gate.lock().expect("gate").batches.clone()
    }

    /// Appeals that were tokenized so far.
    pub fn prepared(&self) -> usize {
        self.prepared.load(SeqCst)
    }
}

impl Route for Gated {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn prepare(&self, appeal: &paidan::text::Appeal) -> Result<PreparedAppeal, RouteError> {
        let fields = appeal.fields();
        self.prepared.fetch_add(1, SeqCst);
        assert!(!fields.text.starts_with('裂'), "tokenizing panics as the test asked");
        let known = |proposed: &String| self.info.departments.iter().position(|d| d.id == *proposed || d.name == *proposed);
        let proposed = fields.proposed_departments.iter().map(known).collect::<Option<Vec<_>>>();
        let Some(proposed) = proposed.filter(|_| !fields.text.starts_with('错')) else {
            let (field, reason) = ("proposed_departments[0]".to_owned(), "is not known".to_owned());
            return Err(AppealError {
                field,
                code: AppealErrorCode::UnknownDepartment,
                reason,
                reason_zh: "未知部门".to_owned(),
            }
            .into());
        };
        let ids: Vec<u32> = fields.text.chars().map(u32::from).collect();
        let encoding = Encoding {
            type_ids: vec![0; ids.len()],
            spans: (0..ids.len() as u32).map(|i| Some((i, i + 1))).collect(),
            tokens_given: ids.len() + 2,
            reading: Reading::HeadAndTail,
            ids,
        };
        Ok(PreparedAppeal {
            encoding,
            clauses: Vec::new(),
            proposed,
            with_category: !fields.category.is_empty(),
            circumstances: None,
            objections: Vec::new(),
            parts: Vec::new(),
        })
    }

    fn route(&self, batch: &[PreparedAppeal], _: Cores) -> Result<Vec<Decision>, RouteError> {
        let texts: Vec<String> =
            batch.iter().map(|p| p.encoding.ids.iter().filter_map(|id| char::from_u32(*id)).collect()).collect();
        let mut gate = self.gate.lock().expect("gate");
        gate.batches.push(texts.clone());
        self.entered.send_modify(|entered| *entered += 1);
        while gate.passes == 0 {
            gate = self.moved.wait(gate).expect("gate");
        }
        gate.passes -= 1;
        drop(gate);
        assert!(!texts.iter().any(|text| text.starts_with('崩')), "the model panics as the test asked");
        if texts.iter().any(|text| text.starts_with('毒')) {
            return Err(RouteError::Model("poisoned as the test asked".to_owned()));
        }
        Ok(batch.iter().map(|prepared| self.decision(prepared)).collect())
    }
}

impl Gated {
    fn decision(&self, prepared: &PreparedAppeal) -> Decision {
        let probabilities = [0.4, 0.3, 0.1, 0.08, 0.06, 0.03, 0.02, 0.01];
        let departments = self.info.departments.iter().cloned().zip(probabilities);
        let ranked = departments.map(|(department, probability)| RankedDepartment { department, probability });
        Decision {
            dispute_risk: Some(0.25),
            proposed_dispatch_risk: (!prepared.proposed.is_empty()).then_some(0.75),
            review_reasons: vec![ReviewReason::CloseSecond, ReviewReason::Truncated],
            evidence: vec![Evidence { start: 1, end: 3, weight: 0.5 }],
            tokens_read: prepared.tokens(),
            tokens_given: prepared.encoding.tokens_given,
            reading: prepared.encoding.reading,
            embedding: vec![0.5; 4],
            ..Decision::ranked(ranked.collect())
        }
    }
}

/// Far more than anything here takes: a test that waits for so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Limits that no test meets by accident.
pub fn config() -> ServiceConfig {
    ServiceConfig { max_request_time: Duration::from_secs(60), model_workers: 1, ..ServiceConfig::default() }
}

/// A server on a free port.
pub struct Running {
    pub address: SocketAddr,
    metrics: Arc<Metrics>,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<Result<(), ServeError>>,
}

impl Running {
    pub async fn start<R: Route>(router: &Arc<R>, config: ServiceConfig) -> Self {
        Self::serve(Server::new(Arc::clone(router), config).expect("a valid configuration")).await
    }

    pub async fn serve(server: Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let metrics = server.metrics();
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(server.run(listener, async move { drop(stopped.await) }));
        Self { address, metrics, stop: Some(stop), served }
    }

    pub async fn channel(&self) -> Channel {
        let endpoint = Channel::from_shared(format!("http://{}", self.address)).expect("an address");
        endpoint.connect().await.expect("a connection")
    }

    pub async fn client(&self) -> RoutingServiceClient<Channel> {
        RoutingServiceClient::new(self.channel().await)
    }

    pub fn counters(&self) -> MetricsSnapshot {
        self.metrics.snapshot()
    }

    /// Waits until the counters are as the test wants them.
    pub async fn until(&self, what: &str, wanted: impl Fn(&MetricsSnapshot) -> bool) {
        let since = Instant::now();
        while !wanted(&self.counters()) {
            assert!(since.elapsed() < PATIENCE, "waited too long for: {what}; counters are {:?}", self.counters());
            tokio::task::yield_now().await;
        }
    }

    /// Begins the shutdown.
    pub fn begin_stop(&mut self) {
        self.stop.take().expect("not stopped yet").send(()).expect("the server runs");
    }

    /// Waits for the end of a shutdown.
    pub async fn stopped(self) -> Result<(), ServeError> {
        tokio::time::timeout(PATIENCE, self.served).await.expect("the server stops in time").expect("it does not panic")
    }
}

/// A request with nothing but a text.
pub fn text(text: &str) -> RouteAppealRequest {
    RouteAppealRequest { appeal: Some(Appeal { text: text.to_owned(), ..Appeal::default() }), ..RouteAppealRequest::default() }
}

/// An item of a stream with nothing but a text.
pub fn item(id: &str, words: &str) -> RouteAppealsRequest {
    RouteAppealsRequest { item_id: id.to_owned(), request: Some(text(words)) }
}

/// What a server said to a raw call.
#[derive(Debug)]
pub struct RawReply {
    pub code: i32,
    pub message: String,
    pub trailers: http::HeaderMap,
    /// Frames and all.
    pub body: Vec<u8>,
}

pub const ROUTE_APPEAL: &str = "/paidan.v1.RoutingService/RouteAppeal";
pub const ROUTE_APPEALS: &str = "/paidan.v1.RoutingService/RouteAppeals";

/// Sends `body` as it is, and half-closes.
pub async fn raw_call(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> RawReply {
    tokio::time::timeout(PATIENCE, raw(address, path, headers, body, true)).await.expect("a reply in time")
}

/// Sends `body` as it is, and leaves the stream open.
pub async fn raw_open_call(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> RawReply {
    tokio::time::timeout(PATIENCE, raw(address, path, headers, body, false)).await.expect("a reply in time")
}

async fn raw(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: Vec<u8>, close: bool) -> RawReply {
    let tcp = TcpStream::connect(address).await.expect("a connection");
    let (mut sender, connection) = h2::client::handshake(tcp).await.expect("HTTP/2");
    tokio::spawn(connection);
    let mut request = http::Request::post(format!("http://{address}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (response, mut sending) = sender.send_request(request.body(()).expect("a request"), false).expect("sent");
    sending.send_data(Bytes::from(body), close).expect("sent");
    let (head, mut receiving) = response.await.expect("a response").into_parts();
    let mut body = Vec::new();
    while let Some(chunk) = receiving.data().await {
        let chunk = chunk.expect("data");
        receiving.flow_control().release_capacity(chunk.len()).expect("capacity");
        body.extend_from_slice(&chunk);
    }
    let trailers = receiving.trailers().await.expect("trailers").unwrap_or(head.headers);
    let status = tonic::Status::from_header_map(&trailers).expect("a gRPC status");
    RawReply { code: status.code() as i32, message: status.message().to_owned(), trailers, body }
}

/// A gRPC frame around `message`.
pub fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a short message");
    [&[0], &length.to_be_bytes()[..], message].concat()
}

/// A length-delimited protobuf field.
pub fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(content);
    bytes
}
