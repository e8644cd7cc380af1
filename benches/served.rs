//! A call over gRPC, the server in this process: one at a time, and a burst of 64.

#![allow(missing_docs, reason = "criterion's macros make public functions")]

#[path = "compare/measure/load.rs"]
#[allow(dead_code, reason = "the open loop is for the comparison")]
mod load;
mod support;

use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use paidan::model::Setting;
use paidan::routing::Router;
use paidan::server::{Server, ServiceConfig};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tonic::transport::Endpoint;

const CALLS: usize = 64;

fn served(criterion: &mut Criterion) {
    let Some(artifacts) = support::artifacts() else { return };
    let router = Arc::new(Router::from_artifacts(artifacts, Setting::default()).expect("the bundled model"));
    let runtime = Runtime::new().expect("a runtime");
    let client = runtime.block_on(client(&router));
    let texts: Arc<Vec<String>> = Arc::new((0..CALLS).map(|i| support::text(20 + i)).collect());
    let mut group = criterion.benchmark_group("served");
    group.sample_size(10);
    group.throughput(Throughput::Elements(CALLS as u64));
    for in_flight in [1, CALLS] {
        group.bench_function(format!("{CALLS} calls, {in_flight} in flight"), |bencher| {
            bencher.iter(|| runtime.block_on(load::closed(&client, &texts, in_flight)).expect("answers"));
        });
    }
}

async fn client(router: &Arc<Router>) -> load::Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let server = Server::new(Arc::clone(router), ServiceConfig::default()).expect("a valid configuration");
    tokio::spawn(server.run(listener, std::future::pending()));
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    load::Client::new(endpoint.connect().await.expect("a connection"))
}

criterion_group!(benches, served);
criterion_main!(benches);
