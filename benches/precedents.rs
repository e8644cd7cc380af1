//! The search among 100,000 rulings, one appeal and sixteen at once, on one core; and taking one more ruling into the book. Points
//! lie in clusters, as the embeddings of orders do. Then what all rulings together cost an answer: routing with 100,000 of them and
//! 300 standing ones beside routing with none, in turns, so that whatever else the machine does falls on both.

#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::print_stderr, reason = "criterion does not measure in turns, so this bench tells its own figures")]

mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use paidan::model::{Cores, Setting};
use paidan::routing::{PreparedAppeal, Router};
use paidan::rulings::{EmbeddedRuling, RulingBook};
use paidan::text::Appeal;
use support::{WIDTH, artifacts, embedded_rulings, points, text};

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

/// Texts of a standing ruling.
const TEXTS: usize = 5;
const STANDING: usize = 300;
const TURNS: usize = 200;

fn routing(_: &mut Criterion) {
    let Some(artifacts) = artifacts() else { return };
    let router = Router::from_artifacts(artifacts, Setting::default()).expect("the bundled model");
    let mut all = points(RULINGS + STANDING * TEXTS);
    let texts = all.split_off(RULINGS);
    let mut standing = embedded_rulings("standing", texts.iter().step_by(TEXTS).cloned().collect());
    for (one, texts) in standing.iter_mut().zip(texts.chunks(TEXTS)) {
        one.embeddings = texts.to_vec();
    }
    let full = Arc::new(RulingBook::new(WIDTH).with(&embedded_rulings("case", all)).with(&standing));
    let empty = Arc::new(RulingBook::new(WIDTH));
    let today = "2026-01-01".parse().expect("a day");
    let prepared = |characters: usize| {
        router.prepare_on(&Appeal::from_text(&text(characters)).expect("an appeal"), today).expect("prepared")
    };
    let (short, batch) = ([prepared(45)], [20, 30, 45, 45, 60, 90, 163, 250].map(prepared));
    for (name, appeals, cores) in [
        ("one of 45 characters, one core", short.as_slice(), Cores::One),
        ("one of 45 characters, all cores", short.as_slice(), Cores::All),
        ("eight of 20 to 250 characters, one core", batch.as_slice(), Cores::One),
    ] {
        compare(&router, [&empty, &full], name, appeals, cores);
    }
}

fn compare(router: &Router, books: [&Arc<RulingBook>; 2], name: &str, appeals: &[PreparedAppeal], cores: Cores) {
    let mut times = [const { Vec::new() }; 2];
    for _ in 0..TURNS {
        for (book, times) in books.iter().zip(&mut times) {
            router.set_rulings(Arc::clone(book)).expect("its own book");
            let started = Instant::now();
            black_box(router.route_on(appeals, cores).expect("routed"));
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
    }
    let [without, with] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    });
    eprintln!("routing, {name}: {without:.2} ms with no rulings, {with:.2} ms with all, {:.3} times as long", with / without);
}

criterion_group!(benches, precedents, routing);
criterion_main!(benches);
