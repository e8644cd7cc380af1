//! The words' own opinion beside the encoder's: it moves the answer, the evidence and the risk of a proposal, and nothing where a
//! folder does not weigh it.

use std::path::Path;

use candle_core::Device;
use paidan::model::calibration::Scales;
use paidan::model::{Calibration, DEPARTMENT_WORDS, DepartmentWords, Witness, buckets, file};
use paidan::routing::{Decision, Risk, Router};
use paidan::text::{Appeal, AppealFields, AppealTokenizer, clean};

use crate::support::{APPEALS, DEPARTMENTS, tiny_model, write_dispute_model};

const BUCKETS: usize = 1 << 12;

/// Ids of a text's own tokens.
fn ids(folder: &Path, text: &str) -> Vec<u32> {
    let tokenizer = AppealTokenizer::from_bytes(&std::fs::read(folder.join(file::TOKENIZER)).expect("a file"));
    tokenizer.expect("a tokenizer").encode(&clean(text), None, 128).expect("an encoding").text_ids().collect()
}

/// Lets the tokens of `text` speak for the department of `row`, and nothing else for anybody; each with `weight` nats a margin.
fn teach(folder: &Path, text: &str, row: usize, weight: f32) {
    let mut weights = vec![vec![0f32; BUCKETS]; DEPARTMENTS.len()];
    for bucket in buckets(ids(folder, text).into_iter(), BUCKETS) {
        weights[row][bucket as usize] = 1.0;
    }
    let words = DepartmentWords::new(&weights, vec![0.0; DEPARTMENTS.len()], &vec![1.0; BUCKETS]);
    let path = folder.join(file::WEIGHTS);
    let mut tensors = candle_core::safetensors::load(&path, &Device::Cpu).expect("weights");
    tensors.insert(DEPARTMENT_WORDS.to_owned(), words.to_tensor().expect("a tensor"));
    candle_core::safetensors::save(&tensors, &path).expect("written");
    let mut calibration = Calibration::default();
    let scales = Scales { words: weight, ..calibration.text_only };
    (calibration.text_only, calibration.with_category) = (scales.clone(), scales);
    std::fs::write(folder.join(file::CALIBRATION), serde_json::to_vec(&calibration).expect("json")).expect("written");
}

fn route(folder: &Path, text: &str, proposed: &[&str]) -> Decision {
    let router = Router::open(folder).expect("a model");
    let fields = AppealFields {
        text: text.to_owned(),
        proposed_departments: proposed.iter().map(|id| (*id).to_owned()).collect(),
        ..AppealFields::default()
    };
    let appeal = Appeal::parse(fields).expect("an appeal");
    router.route(&[router.prepare(&appeal).expect("prepared")]).expect("routed").remove(0)
}

fn probability(decision: &Decision, id: &str) -> f32 {
    decision.departments.iter().find(|one| one.department.id == id).expect("a department").probability
}

#[test]
fn words_move_the_answer_by_just_their_weight_in_nats() {
    let folder = tiny_model();
    let before = route(folder.path(), APPEALS[0], &[]);
    // All tokens and pairs of this text speak for it: a margin of the square root of their number.
    let margin = (buckets(ids(folder.path(), APPEALS[0]).into_iter(), BUCKETS).len() as f32).sqrt();
    teach(folder.path(), APPEALS[0], 3, 0.2);
    let after = route(folder.path(), APPEALS[0], &[]);
    let log_odds = |decision: &Decision| (probability(decision, DEPARTMENTS[3]) / probability(decision, DEPARTMENTS[0])).ln();
    assert!((log_odds(&after) - log_odds(&before) - 0.2 * margin).abs() < 1e-3, "{} {}", log_odds(&before), log_odds(&after));
    teach(folder.path(), APPEALS[0], 3, 5.0);
    assert_eq!(route(folder.path(), APPEALS[0], &[]).lead().department.id, DEPARTMENTS[3]);
}

#[test]
fn words_that_are_not_weighed_change_nothing() {
    let folder = tiny_model();
    let before = route(folder.path(), APPEALS[0], &[]);
    teach(folder.path(), APPEALS[0], 3, 0.0);
    let after = route(folder.path(), APPEALS[0], &[]);
    assert_eq!(
        (after.departments, after.evidence, after.dispute_risk),
        (before.departments, before.evidence, before.dispute_risk)
    );
}

#[test]
fn the_clause_whose_words_speak_for_the_lead_is_its_evidence() {
    let folder = tiny_model();
    let (first, second) = ("路灯坏了很久", "晚上垃圾很多没人管");
    teach(folder.path(), second, 2, 5.0);
    let decision = route(folder.path(), &format!("{first}，{second}"), &[]);
    assert_eq!(decision.lead().department.id, DEPARTMENTS[2]);
    let strongest = &decision.evidence[0];
    assert_eq!((strongest.start, strongest.end), (7, 16));
    assert!(strongest.weight > 1.0, "{strongest:?}");
}

#[test]
fn a_proposal_that_the_words_do_not_speak_for_is_riskier_and_it_is_said() {
    let folder = tiny_model();
    teach(folder.path(), APPEALS[0], 3, 2.0);
    write_dispute_model(folder.path());
    let risk = |row: usize| route(folder.path(), APPEALS[0], &[DEPARTMENTS[row]]);
    let (against, for_it) = (risk(1), risk(3));
    assert!(against.proposed_dispatch_risk > for_it.proposed_dispatch_risk);
    let said = |decision: &Decision| {
        let factor = |one: &&paidan::routing::RiskFactor| one.witness == Witness::SecondOpinion;
        decision.risk_factors.iter().find(factor).map(|one| (one.risk, one.text.clone()))
    };
    let text = format!("单看用语，不像“{}部门”以往承办的工单", DEPARTMENTS[1]);
    assert_eq!(said(&against), Some((Risk::ProposedDispatch, text)));
    assert_eq!(said(&for_it), None);
}
