//! The search among 100,000 rulings, one appeal and sixteen at once, on one core; and taking one more ruling into the book. Points
//! lie in clusters, as the embeddings of orders do.

#![allow(missing_docs, reason = "criterion's macros make public functions")]

mod support;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use paidan::rulings::{EmbeddedRuling, RulingBook};
use support::{WIDTH, embedded_rulings, points};

const RULINGS: usize = 100_000;

fn precedents(criterion: &mut Criterion) {
    let mut all = points(RULINGS + 16);
    let queries = all.split_off(RULINGS);
    let queries: Vec<&[f32]> = queries.iter().map(Vec::as_slice).collect();
    let rulings = embedded_rulings("case", all);
    let book = RulingBook::new(WIDTH).with(&rulings);
    let one: Vec<EmbeddedRuling> = rulings[500..501].to_vec();
    let mut group = criterion.benchmark_group("precedents among 100000");
    group.sample_size(20);
    for count in [1, 16] {
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("{count} at once"), |bencher| {
            bencher.iter(|| book.precedents(black_box(&queries[..count]), 5, 0.7, |_, _| true));
        });
    }
    group.throughput(Throughput::Elements(1));
    group.bench_function("one ruling recorded anew", |bencher| bencher.iter(|| book.with(black_box(&one))));
}

criterion_group!(benches, precedents);
criterion_main!(benches);
