//! The search among 100,000 rulings, one appeal and sixteen at once, on one core; and taking one more ruling into the book. They
//! lie around the embeddings of invented appeals, as orders do around a city's matters. Then what all rulings together cost an answer:
//! routing with 100,000 of them and 300 standing ones beside routing with none, in turns, so that whatever else the machine does falls
//! on both.

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
use support::{artifacts, embedded_rulings, points, text};

const RULINGS: usize = 100_000;

fn router() -> Option<Router> {
    Some(Router::from_artifacts(artifacts()?, Setting::default()).expect("the bundled model"))
}

fn precedents(criterion: &mut Criterion) {
    let Some(router) = router() else { return };
    let mut all = points(&router, RULINGS + 16);
    let queries = all.split_off(RULINGS);
    let queries: Vec<&[f32]> = queries.iter().map(Vec::as_slice).collect();
    let rulings = embedded_rulings("case", all);
    let book = router.empty_book().with(&rulings);
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

/// The median of real appeals: 45 characters, and nothing in it begins another matter.
const ONE_MATTER: &str = "市民来电反映小区门口的路灯坏了很久一直没有人修，晚上出行非常不方便，希望尽快派人来处理。";
/// Texts of a standing ruling.
const TEXTS: usize = 5;
const STANDING: usize = 300;
const TURNS: usize = 200;

fn routing(_: &mut Criterion) {
    let Some(router) = router() else { return };
    let mut all = points(&router, RULINGS + STANDING * TEXTS);
    let texts = all.split_off(RULINGS);
    let mut standing = embedded_rulings("standing", texts.iter().step_by(TEXTS).cloned().collect());
    for (one, texts) in standing.iter_mut().zip(texts.chunks(TEXTS)) {
        one.embeddings = texts.to_vec();
    }
    let full = Arc::new(router.empty_book().with(&embedded_rulings("case", all)).with(&standing));
    let empty = Arc::new(router.empty_book());
    let today = "2026-01-01".parse().expect("a day");
    let prepared = |characters: usize| {
        router.prepare_on(&Appeal::from_text(&text(characters)).expect("an appeal"), today).expect("prepared")
    };
    let batch = [20, 30, 45, 45, 60, 90, 163, 250].map(prepared);
    let short = [router.prepare_on(&Appeal::from_text(ONE_MATTER).expect("an appeal"), today).expect("prepared")];
    assert!(short[0].parts.is_empty(), "its parts would be routed as well");
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
