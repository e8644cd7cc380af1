//! Cleaning and tokenizing one appeal: what every call pays before the model sees it.

#![allow(missing_docs, reason = "criterion's macros make public functions")]

mod support;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use paidan::text::{Appeal, AppealTokenizer, clean};

fn tokenize(criterion: &mut Criterion) {
    let Some(artifacts) = support::artifacts() else { return };
    let tokenizer = AppealTokenizer::from_bytes(&artifacts.tokenizer).expect("the bundled tokenizer");
    let mut group = criterion.benchmark_group("tokenize");
    for characters in [45, 163, 596] {
        let text = support::text(characters);
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("{characters} characters"), |bencher| {
            bencher.iter(|| {
                let appeal = Appeal::from_text(black_box(&text)).expect("an appeal");
                tokenizer.encode(&clean(&appeal.fields().text), None, 512).expect("tokens")
            });
        });
    }
}

criterion_group!(benches, tokenize);
criterion_main!(benches);
