//! How much of the router's throughput is left over gRPC with 64 calls in flight. Not a part of the usual run, since it measures:
//! `PAIDAN_MODEL=<model folder> cargo test --release --test service_throughput -- --ignored --nocapture`
//! (without `PAIDAN_MODEL` the tiny random model, which measures the service alone).

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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, for a quiet machine"]
async fn throughput_over_grpc_and_in_process() {
    let folder = support::tiny_model();
    let model = std::env::var_os("PAIDAN_MODEL").map_or_else(|| folder.path().to_owned(), PathBuf::from);
    let appeals: usize = std::env::var("PAIDAN_APPEALS").map_or(1024, |count| count.parse().expect("a number"));
    let router = Arc::new(Router::open(&model).expect("a model"));
    let words = |n: usize| support::APPEALS[n % support::APPEALS.len()].repeat(1 + n % 5);
    let server = Running::start(&router, config()).await;
    let client = server.client().await;
    let mut ratios = Vec::new();
    for round in 0..4 {
        let started = Instant::now();
        for batch in (0..appeals).collect::<Vec<_>>().chunks(IN_FLIGHT) {
            let prepare = |n: &usize| router.prepare(&Appeal::from_text(&words(*n)).expect("an appeal")).expect("prepared");
            router.route(&batch.iter().map(prepare).collect::<Vec<_>>()).expect("decisions");
        }
        let in_process = appeals as f64 / started.elapsed().as_secs_f64();

        let (started, next, before) = (Instant::now(), Arc::new(AtomicUsize::new(0)), server.counters().batches);
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
        let mean_batch = appeals as f64 / (server.counters().batches - before) as f64;
        eprintln!("round {round}: in process {in_process:.0}/s, over gRPC {over_grpc:.0}/s (mean batch {mean_batch:.1})");
        // The first round warms up.
        if round > 0 {
            ratios.push(over_grpc / in_process);
        }
    }
    ratios.sort_by(f64::total_cmp);
    eprintln!("gRPC over in process, median of {}: {:.2}", ratios.len(), ratios[ratios.len() / 2]);
}
