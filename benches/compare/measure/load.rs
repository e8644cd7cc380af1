//! A load on a server: so many calls in flight (closed loop), or calls at times that do not wait for answers (open loop). Latency in
//! the open loop counts from the moment at which a call was due, so that a server which stalls is charged for everybody who waits.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::Result;
use paidan::server::proto::routing_service_client::RoutingServiceClient;
use paidan::server::proto::{Appeal, RouteAppealRequest};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use tonic::Status;
use tonic::transport::Channel;

/// A client of the service.
pub type Client = RoutingServiceClient<Channel>;

/// A request with nothing but a text.
pub fn request(text: &str) -> RouteAppealRequest {
    RouteAppealRequest { appeal: Some(Appeal { text: text.to_owned(), ..Appeal::default() }), ..RouteAppealRequest::default() }
}

/// A server that can be asked about a text.
pub trait Asked: Clone + Send + 'static {
    /// Sends the text and waits for the answer.
    fn ask(&mut self, text: &str) -> impl Future<Output = Result<(), Status>> + Send;
}

impl Asked for Client {
    async fn ask(&mut self, text: &str) -> Result<(), Status> {
        self.route_appeal(request(text)).await.map(drop)
    }
}

/// Sends every text once with `in_flight` calls at a time. Returns appeals a second.
pub async fn closed(client: &impl Asked, texts: &Arc<Vec<String>>, in_flight: usize) -> Result<f64> {
    let (began, next) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let mut callers = JoinSet::new();
    for _ in 0..in_flight {
        let (mut client, next, texts) = (client.clone(), Arc::clone(&next), Arc::clone(texts));
        callers.spawn(async move {
            while let Some(text) = texts.get(next.fetch_add(1, Relaxed)) {
                client.ask(text).await?;
            }
            Ok::<(), Status>(())
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller??;
    }
    Ok(texts.len() as f64 / began.elapsed().as_secs_f64())
}

/// What an open loop gave.
pub struct Open {
    /// From the moment at which each call was due to its answer, in ms, ascending; of calls that were answered.
    pub ms: Vec<f64>,
    /// Calls that were refused or failed.
    pub failed: usize,
}

/// Sends `rate` calls a second for `lasting`, at random moments (Poisson), the same ones each time.
pub async fn open(client: &Client, texts: &[String], rate: f64, lasting: Duration) -> Result<Open> {
    let mut rng = StdRng::seed_from_u64(12345);
    let began = Instant::now();
    let (mut due, mut calls) = (Duration::ZERO, JoinSet::new());
    for text in texts.iter().cycle() {
        due += Duration::from_secs_f64(-(1.0 - rng.random::<f64>()).ln() / rate);
        if due > lasting {
            break;
        }
        let (at, mut client, request) = (began + due, client.clone(), request(text));
        tokio::time::sleep_until(at.into()).await;
        calls.spawn(async move { client.route_appeal(request).await.is_ok().then(|| at.elapsed().as_secs_f64() * 1e3) });
    }
    let (mut ms, mut failed) = (Vec::new(), 0);
    while let Some(call) = calls.join_next().await {
        match call? {
            Some(latency) => ms.push(latency),
            None => failed += 1,
        }
    }
    ms.sort_by(f64::total_cmp);
    Ok(Open { ms, failed })
}
