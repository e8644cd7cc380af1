//! How much of the router's throughput is left over gRPC with 64 calls in flight. Not a part of the usual run, since it measures:
//! `PAIDAN_MODEL=<model folder> cargo test --release --test service_throughput -- --ignored --nocapture`
//! Without `PAIDAN_MODEL` it takes the tiny random model, which measures the service alone. `PAIDAN_APPEALS` is how many appeals
//! a round has, `PAIDAN_BATCH_TOKENS` the service's `max_batch_tokens`.

#![allow(clippy::print_stderr, reason = "a measurement prints")]

mod service_support;
mod support;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Instant;

use paidan::routing::Router;
use paidan::text::Appeal;
use service_support::{Running, config, text};

const IN_FLIGHT: usize = 64;
/// Batch of the in-process run.
const BATCH: usize = 16;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, for a quiet machine"]
async fn throughput_over_grpc_and_in_process() {
    let folder = support::tiny_model();
    let model = std::env::var_os("PAIDAN_MODEL").map_or_else(|| folder.path().to_owned(), PathBuf::from);
    let appeals: usize = std::env::var("PAIDAN_APPEALS").map_or(1024, |count| count.parse().expect("a number"));
    let router = Arc::new(Router::open(&model).expect("a model"));
    let words = |n: usize| support::APPEALS[n % support::APPEALS.len()].repeat(1 + n % 5);
    let mut limits = config();
    if let Ok(tokens) = std::env::var("PAIDAN_BATCH_TOKENS") {
        limits.max_batch_tokens = tokens.parse().expect("a number");
    }
    let server = Running::start(&router, limits).await;
    let client = server.client().await;
    let mut ratios = Vec::new();
    for round in 0..4 {
        let (started, cpu) = (Instant::now(), cpu_seconds());
        // As good as it gets: all appeals are known beforehand and those of like length share a batch.
        let prepare = |n| router.prepare(&Appeal::from_text(&words(n)).expect("an appeal")).expect("prepared");
        let mut prepared: Vec<_> = (0..appeals).map(prepare).collect();
        prepared.sort_by_key(|appeal| appeal.tokens());
        for batch in prepared.chunks(BATCH) {
            router.route(batch).expect("decisions");
        }
        let in_process = appeals as f64 / started.elapsed().as_secs_f64();
        let cpu_in_process = cpu_seconds() - cpu;

        let (started, cpu) = (Instant::now(), cpu_seconds());
        let (next, before) = (Arc::new(AtomicUsize::new(0)), server.counters().batches);
        let callers: Vec<_> = (0..IN_FLIGHT)
            .map(|_| {
                let (mut client, next) = (client.clone(), Arc::clone(&next));
                tokio::spawn(async move {
                    loop {
                        let n = next.fetch_add(1, SeqCst);
                        if n >= appeals {
                            return;
                        }
                        client.route_appeal(text(&words(n))).await.expect("an answer");
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.expect("no panic");
        }
        let over_grpc = appeals as f64 / started.elapsed().as_secs_f64();
        let cpu_over_grpc = cpu_seconds() - cpu;
        let mean_batch = appeals as f64 / (server.counters().batches - before) as f64;
        eprintln!("round {round}: in process {in_process:.0}/s, over gRPC {over_grpc:.0}/s (mean batch {mean_batch:.1})");
        eprintln!("         CPU seconds: in process {cpu_in_process:.2}, over gRPC, both ends, {cpu_over_grpc:.2}");
        // The first round warms up.
        if round > 0 {
            ratios.push(over_grpc / in_process);
        }
    }
    ratios.sort_by(f64::total_cmp);
    eprintln!("gRPC over in process, median of {}: {:.2}", ratios.len(), ratios[ratios.len() / 2]);
}

/// What this process has used, which a busy machine blurs less than the clock; 0 where there is no /proc.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in parentheses may hold spaces; user and system time, in hundredths, are the 12th and 13th field behind it.
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    behind_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
