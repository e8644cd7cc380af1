//! `measure served`: how much of the router is left over gRPC, and how long a call takes when the server is not saturated. The load
//! generator shares the processor with the server, as the rivals' did.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use paidan::evaluation::{Rows, WorkOrder};
use paidan::model::Cores;
use paidan::routing::{PreparedAppeal, Router};
use paidan::server::{Server, ServiceConfig};
use paidan::text::Appeal;
use rayon::prelude::*;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tonic::transport::Endpoint;

use crate::encoder;
use crate::load::{self, Client};
use crate::peer::Peer;

/// Calls that are in flight at the same time.
const IN_FLIGHT: [usize; 3] = [1, 8, 64];
/// Of the rate that saturates the server.
const OPEN_LOOP_SHARE: f64 = 0.7;
/// A peer gets every fourth text.
const FEWER: usize = 4;

/// Appeals a second of each round, by calls in flight or by workers.
type Rates = BTreeMap<usize, Vec<f64>>;

/// Flags of `served`.
#[derive(clap::Args)]
pub struct Args {
    /// Model folder.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// auto, f32, bf16 or int8.
    #[arg(long, default_value = "auto")]
    precision: String,
    /// Orders whose texts are sent.
    #[arg(long, value_name = "FILE")]
    orders: PathBuf,
    /// A server that runs already; without it one is started in this process.
    #[arg(long, value_name = "IP:PORT")]
    address: Option<String>,
    /// Servers of text-embeddings-inference with the same model that take turns with it.
    #[arg(long, value_name = "NAME=IP:PORT")]
    peer: Vec<String>,
    /// Threads of the router in this process.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// How often everything is measured; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long the open loop lasts, in seconds.
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// Only so many texts.
    #[arg(long, default_value_t = usize::MAX)]
    limit: usize,
}

/// Measures and prints one JSON object.
pub fn run(args: &Args) -> Result<()> {
    rayon::ThreadPoolBuilder::new().num_threads(args.threads).build_global()?;
    let router = Arc::new(encoder::router(&args.model, &args.precision)?);
    let texts = Arc::new(texts(&args.orders, args.limit)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(args.threads).enable_all().build()?;
    let figures = runtime.block_on(measure(args, &router, &texts))?;
    Ok(writeln!(std::io::stdout(), "{figures}")?)
}

async fn measure(args: &Args, router: &Arc<Router>, texts: &Arc<Vec<String>>) -> Result<Value> {
    let address = match &args.address {
        Some(address) => address.clone(),
        None => start(router).await?,
    };
    let client = Client::new(Endpoint::from_shared(format!("http://{address}"))?.connect().await?);
    load::closed(&client, texts, 8).await.context("warming up")?;
    let mut peers = Vec::new();
    for peer in &args.peer {
        peers.push(Rival::meet(peer, router, texts).await.with_context(|| peer.clone())?);
    }
    let (mut in_process, mut over_grpc) = (Rates::new(), Rates::new());
    for _ in 0..args.rounds {
        for workers in [1, args.threads] {
            let rate = tokio::task::block_in_place(|| routed(router, texts, workers))?;
            in_process.entry(workers).or_default().push(rate);
        }
        for calls in IN_FLIGHT {
            over_grpc.entry(calls).or_default().push(load::closed(&client, texts, calls).await?);
            for rival in &mut peers {
                let rate = load::closed(&rival.peer, &rival.texts, calls).await.with_context(|| rival.name.clone())?;
                rival.over_grpc.entry(calls).or_default().push(rate);
            }
        }
    }
    let saturated = median(&over_grpc[&IN_FLIGHT[IN_FLIGHT.len() - 1]]);
    let rate = saturated * OPEN_LOOP_SHARE;
    let open = load::open(&client, texts, rate, Duration::from_secs_f64(args.seconds)).await?;
    if open.ms.is_empty() {
        bail!("no call of the open loop was answered");
    }
    // One worker with all threads, or one a thread: the better counts, as for every rival. By the medians: where the two are alike,
    // the better turn of each round would be the luckier one.
    let alone = in_process.values().map(|rates| median(rates)).fold(0.0, f64::max);
    Ok(json!({
        "precision": router.info().precision,
        "in_process_per_second": alone,
        "over_grpc_per_second": medians(&over_grpc),
        "peers": peers.iter().map(|rival| (rival.name.clone(), rival.figures())).collect::<serde_json::Map<_, _>>(),
        "open_loop": {
            "rate": rate, "answered": open.ms.len(), "failed": open.failed,
            "p50_ms": quantile(&open.ms, 0.5), "p99_ms": quantile(&open.ms, 0.99),
        },
        "rounds": {"in_process_by_workers": in_process, "over_grpc": over_grpc},
    }))
}

/// A server of another kind, and what it stood.
struct Rival {
    name: String,
    peer: Peer,
    /// Share of the texts whose department it thinks likeliest as the router does: it has the same weights and its own cleaning.
    agrees: f64,
    over_grpc: Rates,
    /// Fewer, of the same lengths: it takes its time.
    texts: Arc<Vec<String>>,
}

impl Rival {
    async fn meet(named: &str, router: &Router, texts: &Arc<Vec<String>>) -> Result<Self> {
        let (name, address) = named.split_once('=').context("a peer is given as NAME=IP:PORT")?;
        let peer = Peer::new(Endpoint::from_shared(format!("http://{address}"))?.connect().await?);
        let texts: Arc<Vec<String>> = Arc::new(texts.iter().step_by(FEWER).cloned().collect());
        let mut alike = 0;
        for text in texts.iter() {
            let own = router.route(&[router.prepare(&Appeal::from_text(text)?)?])?;
            alike += usize::from(peer.label(text).await? == own[0].lead().department.id);
        }
        let agrees = alike as f64 / texts.len() as f64;
        Ok(Self { name: name.to_owned(), peer, agrees, over_grpc: BTreeMap::new(), texts })
    }

    fn figures(&self) -> Value {
        json!({"over_grpc_per_second": medians(&self.over_grpc), "agrees": self.agrees, "rounds": self.over_grpc})
    }
}

/// The median rate for each number of calls in flight.
fn medians(rates: &Rates) -> BTreeMap<String, f64> {
    rates.iter().map(|(calls, rates)| (calls.to_string(), median(rates))).collect()
}

/// A server in this process, for as long as it lives.
async fn start(router: &Arc<Router>) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(Server::new(Arc::clone(router), ServiceConfig::default())?.run(listener, std::future::pending()));
    Ok(address)
}

/// As good as it gets without a server: all texts are known beforehand, those of like length share a batch. Appeals a second.
fn routed(router: &Router, texts: &[String], workers: usize) -> Result<f64> {
    let began = Instant::now();
    let prepare = |text: &String| -> Result<PreparedAppeal> { Ok(router.prepare(&Appeal::from_text(text)?)?) };
    let mut prepared: Vec<PreparedAppeal> = texts.par_iter().map(prepare).collect::<Result<_>>()?;
    prepared.sort_by_key(|appeal| std::cmp::Reverse(appeal.tokens()));
    let most = ServiceConfig::default().max_batch_tokens;
    let (mut batches, mut start) = (Vec::new(), 0);
    while start < prepared.len() {
        let mut tokens = 0;
        let fitting = prepared[start..].iter().take_while(|appeal| {
            tokens += appeal.tokens();
            tokens <= most
        });
        let end = start + fitting.count().max(1);
        batches.push(&prepared[start..end]);
        start = end;
    }
    let cores = if workers > 1 { Cores::One } else { Cores::All };
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        while let Some(batch) = batches.get(next.fetch_add(1, Relaxed)) {
            router.route_on(batch, cores)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|_| bail!("a worker panicked")))
    })?;
    Ok(texts.len() as f64 / began.elapsed().as_secs_f64())
}

fn texts(orders: &Path, limit: usize) -> Result<Vec<String>> {
    let file = File::open(orders).with_context(|| orders.display().to_string())?;
    let mut texts = Vec::new();
    for row in Rows::new(BufReader::new(file)).take(limit) {
        let bytes = row?.bytes.unwrap_or_default();
        texts.extend(WorkOrder::parse(&bytes).map(|order| order.appeal.fields().text.clone()));
    }
    Ok(texts)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile(&sorted, 0.5)
}

/// Of ascending values; the nearest rank.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}
