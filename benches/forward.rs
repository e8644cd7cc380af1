//! One forward pass of the router over tokens that are there already: single texts of several lengths, and a batch,
//! in each precision.

#![allow(missing_docs, reason = "criterion's macros make public functions")]

mod support;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use paidan::model::{Precision, Setting};
use paidan::routing::{PreparedAppeal, Router};
use paidan::text::{Encoding, Reading};

/// Texts and tokens, as in benches/compare.
const SHAPES: [(usize, usize); 5] = [(1, 32), (1, 128), (8, 128), (32, 128), (1, 512)];

fn forward(criterion: &mut Criterion) {
    for precision in [Precision::Int8, Precision::Bf16, Precision::F32] {
        let Some(artifacts) = support::artifacts() else { return };
        // bf16 is not everywhere.
        let Ok(router) = Router::from_artifacts(artifacts, Setting::fixed(precision)) else { continue };
        let mut group = criterion.benchmark_group(format!("forward {precision}"));
        group.sample_size(10);
        for (texts, tokens) in SHAPES {
            let batch: Vec<PreparedAppeal> = (0..texts).map(|text| prepared(text, tokens)).collect();
            group.throughput(Throughput::Elements((texts * tokens) as u64));
            group.bench_function(format!("{texts}x{tokens}"), |bencher| {
                bencher.iter(|| router.route(black_box(&batch)).expect("decisions"));
            });
        }
    }
}

/// An appeal without clauses: one look a text, as the rivals have.
fn prepared(text: usize, tokens: usize) -> PreparedAppeal {
    let encoding = Encoding {
        ids: (0..tokens).map(|i| 200 + ((text * 7919 + i * 104_729) % 20_000) as u32).collect(),
        type_ids: vec![0; tokens],
        spans: vec![None; tokens],
        tokens_given: tokens,
        reading: Reading::Whole,
    };
    PreparedAppeal {
        encoding,
        clauses: Vec::new(),
        proposed: Vec::new(),
        with_category: false,
        circumstances: None,
        objections: Vec::new(),
        parts: Vec::new(),
    }
}

criterion_group!(benches, forward);
criterion_main!(benches);
