//! Rulings and returns for tests: any field that a test does not name has a harmless value.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::sync::Arc;

use paidan::routing::{Objection, ReturnReason, Router};
use paidan::rulings::{EmbeddedRuling, Ruling, RulingDraft};
use rand::Rng;
use rand::rngs::StdRng;

/// A standing ruling of the committee, decided on 2026-01-10, about the given example.
pub fn standing(id: &str, example: &str, lead: &str) -> RulingDraft {
    RulingDraft {
        id: id.to_owned(),
        scope: "standing".to_owned(),
        matter: format!("事项{id}"),
        examples: vec![example.to_owned()],
        lead: lead.to_owned(),
        body: "committee".to_owned(),
        decided_on: "2026-01-10".to_owned(),
        ..RulingDraft::default()
    }
}

/// A case ruling, otherwise the same.
pub fn case(id: &str, example: &str, lead: &str) -> RulingDraft {
    RulingDraft { scope: "case".to_owned(), ..standing(id, example, lead) }
}

pub fn parsed(draft: &RulingDraft) -> Arc<Ruling> {
    Arc::new(draft.parse(None).unwrap_or_else(|faults| panic!("{faults:?}")))
}

/// With an embedding for each text.
pub fn embedded(draft: &RulingDraft, embeddings: &[Vec<f32>]) -> EmbeddedRuling {
    EmbeddedRuling { ruling: parsed(draft), embeddings: embeddings.to_vec() }
}

/// The router's book is of these.
pub fn put(router: &Router, rulings: &[Arc<Ruling>]) {
    let embedded = |ruling: &Arc<Ruling>| EmbeddedRuling {
        ruling: Arc::clone(ruling),
        embeddings: router.embed(&ruling.texts()).expect("embedded"),
    };
    let all: Vec<EmbeddedRuling> = rulings.iter().map(embedded).collect();
    router.set_rulings(Arc::new(router.empty_book().with(&all))).expect("its own book");
}

/// A department returned an order of 1 March the day after: others have the same duty.
pub fn overlaps(department: &str) -> Objection {
    Objection {
        department: department.to_owned(),
        other_names: Vec::new(),
        unit: None,
        reason: ReturnReason::DutiesOverlap,
        day: "2026-03-02".parse().expect("a day"),
    }
}

/// Of length one.
pub fn unit(mut values: Vec<f32>) -> Vec<f32> {
    let length = values.iter().map(|x| x * x).sum::<f32>().sqrt();
    values.iter_mut().for_each(|x| *x /= length);
    values
}

pub fn random(rng: &mut StdRng, width: usize) -> Vec<f32> {
    unit((0..width).map(|_| rng.random_range(-1.0..1.0)).collect())
}

/// Points around random centres, as embeddings of the same matters lie.
pub fn clustered(rng: &mut StdRng, width: usize, count: usize, clusters: usize) -> Vec<Vec<f32>> {
    let centres: Vec<Vec<f32>> = (0..clusters).map(|_| random(rng, width)).collect();
    let point = |rng: &mut StdRng, i: usize| {
        let noise = random(rng, width);
        unit(centres[i % clusters].iter().zip(noise).map(|(centre, noise)| centre + 0.6 * noise).collect())
    };
    (0..count).map(|i| point(rng, i)).collect()
}
