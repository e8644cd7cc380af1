//! For the benches: the bundled model, and invented appeals of any length.
#![allow(dead_code, reason = "each bench uses its own part")]
#![allow(clippy::print_stderr, reason = "a bench that does nothing must say so")]

use std::path::Path;
use std::sync::Arc;

use paidan::model::Artifacts;
use paidan::rulings::{EmbeddedRuling, RulingDraft};
use rand::{Rng, SeedableRng, rngs::StdRng};

/// The median of real appeals is 45 characters, the 90th percentile 163, the 99th 596.
const APPEAL: &str = "小区门口的路灯坏了很久没人修，晚上出行不便，希望有关部门尽快派人来处理。\
    楼下烧烤店油烟很大，夜里十二点还在营业，吵得睡不着；邻居违章搭建，挡住了采光，物业说管不了，请核实。";

/// The bundled model; without it the bench says so and does nothing.
pub fn artifacts() -> Option<Artifacts> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/haikou12345");
    match Artifacts::open(&folder) {
        Ok(artifacts) => Some(artifacts),
        Err(error) => {
            eprintln!("NOTHING IS MEASURED: the benches need the bundled model: {error}");
            None
        }
    }
}

/// An invented appeal of so many characters.
pub fn text(characters: usize) -> String {
    APPEAL.chars().cycle().take(characters).collect()
}

/// Length of the bundled model's embeddings.
pub const WIDTH: usize = 512;

/// Embeddings of length one around a few hundred random centres.
pub fn points(count: usize) -> Vec<Vec<f32>> {
    const CENTRES: usize = 400;
    let rng = &mut StdRng::seed_from_u64(1);
    let mut random = || -> Vec<f32> { (0..WIDTH).map(|_| rng.random_range(-1.0..1.0)).collect() };
    let centres: Vec<Vec<f32>> = (0..CENTRES).map(|_| random()).collect();
    let mut point = |i: usize| -> Vec<f32> {
        let mut point: Vec<f32> = centres[i % CENTRES].iter().zip(random()).map(|(a, b)| a + 0.6 * b).collect();
        let length = point.iter().map(|x| x * x).sum::<f32>().sqrt();
        point.iter_mut().for_each(|x| *x /= length);
        point
    };
    (0..count).map(&mut point).collect()
}

/// A ruling for each point, in force; `scope` is `case` or `standing`.
pub fn embedded_rulings(scope: &str, points: Vec<Vec<f32>>) -> Vec<EmbeddedRuling> {
    let draft = |i: usize| RulingDraft {
        id: format!("{scope}-{i:06}"),
        scope: scope.to_owned(),
        matter: format!("事项{i}"),
        description: "仅供测试".to_owned(),
        lead: "城管".to_owned(),
        body: "committee".to_owned(),
        decided_on: "2017-06-01".to_owned(),
        ..RulingDraft::default()
    };
    let embedded = |(i, point): (usize, Vec<f32>)| {
        let ruling = draft(i).parse(None).expect("a ruling of the bench");
        EmbeddedRuling { ruling: Arc::new(ruling), embeddings: vec![point] }
    };
    points.into_iter().enumerate().map(embedded).collect()
}
