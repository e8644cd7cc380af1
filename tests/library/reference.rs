//! The bundled model against transformers and PyTorch: the same token ids, the same logits.
//!
//! `reference/make_reference.py` made `reference/reference.json`. Of real appeals it holds order numbers, hashes of token ids and
//! logits; their text is read from the data folder where that is there, and the test says loudly when it is not.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a skipped test says so, and the largest difference is worth seeing"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use paidan::evaluation::WorkOrder;
use paidan::model::{Artifacts, Batch, Classifier, Cores, Encoder, Look, Precision, Sequence, Setting, sha256_hex};
use paidan::text::{AppealTokenizer, Encoding, clean, normalize};
use safetensors::SafeTensors;
use serde::Deserialize;

/// Largest difference of a logit, f32 on both sides.
const TOLERANCE: f32 = 1e-4;

#[derive(Deserialize)]
struct Reference {
    made_with: MadeWith,
    invented: Vec<Invented>,
    real: Vec<Real>,
}

#[derive(Deserialize)]
struct MadeWith {
    tensors_sha256: String,
}

#[derive(Deserialize)]
struct Invented {
    text: String,
    second: Option<String>,
    ids: Vec<u32>,
    department_logits: Vec<f32>,
    dispute_logit: f32,
}

#[derive(Deserialize)]
struct Real {
    order_id: String,
    tokens: usize,
    ids_sha256: String,
    department_logits: Vec<f32>,
    dispute_logit: f32,
}

/// What the reference made of a text before it was tokenized: TRAILING in the script.
fn read_by_reference(text: &str) -> String {
    normalize(text).trim_end_matches(['。', ',', '.', ';', '!', '、', ' ']).to_owned()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn reference() -> Reference {
    let bytes = std::fs::read(root().join("tests/reference/reference.json")).expect("the reference file");
    serde_json::from_slice(&bytes).expect("a reference file of this layout")
}

/// The bundled model, opened down to its logits.
struct Bundled {
    tokenizer: AppealTokenizer,
    classifier: Classifier,
    encoder: Encoder,
}

impl Bundled {
    fn open() -> Self {
        let artifacts = Artifacts::open(&root().join("models/haikou12345")).expect("the bundled model");
        let vb = VarBuilder::from_tensors(artifacts.tensors.clone(), DType::F32, &Device::Cpu);
        let classifier = Classifier::load(&artifacts.config, artifacts.departments.len(), true, vb).expect("its heads");
        let tokenizer = AppealTokenizer::from_bytes(&artifacts.tokenizer).expect("its tokenizer");
        let encoder = Encoder::new(&artifacts, Setting::fixed(Precision::F32)).expect("packed");
        Self { tokenizer, classifier, encoder }
    }

    fn encode(&self, text: &str, second: Option<&str>) -> Encoding {
        self.tokenizer.encode(&clean(text), second, 512).expect("tokens")
    }

    /// Largest distance of any logit, of the definition and of the encoder that serves.
    fn distance(&self, encoding: &Encoding, departments: &[f32], dispute: f32) -> f32 {
        let batch = Batch::new([(&encoding.ids[..], &encoding.type_ids[..])], &Device::Cpu).expect("a batch");
        let output = self.classifier.forward(&batch, &[Look { sequence: 0, hidden: 0..0 }], None).expect("an answer");
        let ours = output.department_logits.to_vec2::<f32>().expect("logits").remove(0);
        let head = output.dispute_logits.expect("a dispute head").to_vec1::<f32>().expect("a logit")[0];
        assert_eq!(ours.len(), departments.len());
        let furthest = |logits: &[f32], head: f32| {
            logits.iter().zip(departments).map(|(a, b)| (a - b).abs()).fold((head - dispute).abs(), f32::max)
        };
        let sequence = [Sequence { ids: &encoding.ids, type_ids: &encoding.type_ids }];
        let served = self.encoder.forward(&sequence, &[Look { sequence: 0, hidden: 0..0 }], Cores::All).expect("an answer");
        let served_head = served.dispute_logits.expect("a dispute head")[0];
        furthest(&ours, head).max(furthest(&served.department_logits, served_head))
    }
}

#[test]
fn the_reference_was_made_from_the_bundled_weights() {
    let bytes = std::fs::read(root().join("models/haikou12345/model.safetensors")).expect("the bundled weights");
    let file = SafeTensors::deserialize(&bytes).expect("weights");
    let read_there = |name: &&str| ["bert.", "classifier.", "dispute_head."].iter().any(|prefix| name.starts_with(prefix));
    let names: BTreeSet<&str> = file.names().into_iter().filter(read_there).collect();
    let mut digested = Vec::new();
    for name in names {
        digested.extend_from_slice(name.as_bytes());
        digested.extend_from_slice(file.tensor(name).expect("a tensor").data());
    }
    assert_eq!(reference().made_with.tensors_sha256, sha256_hex(&digested), "make reference.json anew");
}

#[test]
fn invented_appeals_have_the_token_ids_and_the_logits_of_transformers() {
    let (reference, bundled) = (reference(), Bundled::open());
    for appeal in &reference.invented {
        assert_eq!(clean(&appeal.text).as_str(), read_by_reference(&appeal.text), "the reference text needs no cleaning");
        let encoding = bundled.encode(&appeal.text, appeal.second.as_deref());
        assert_eq!(encoding.ids, appeal.ids, "{}", appeal.text);
        let distance = bundled.distance(&encoding, &appeal.department_logits, appeal.dispute_logit);
        assert!(distance <= TOLERANCE, "{}: logits differ by {distance}", appeal.text);
    }
}

/// The validation orders, beside the repository or where `PAIDAN_DATA` says.
fn orders() -> Option<Vec<WorkOrder>> {
    let folder = std::env::var_os("PAIDAN_DATA").map_or_else(|| root().join("../shared/data/haikou12345"), PathBuf::from);
    let text = std::fs::read(folder.join("validation.jsonl")).ok()?;
    Some(text.split(|byte| *byte == b'\n').filter_map(|line| WorkOrder::parse(line).ok()).collect())
}

#[test]
fn fifty_real_appeals_have_the_token_ids_and_the_logits_of_transformers() {
    let Some(orders) = orders() else {
        eprintln!("SKIPPED: the validation orders are not here; set PAIDAN_DATA to their folder to compare real appeals");
        return;
    };
    let (reference, bundled) = (reference(), Bundled::open());
    let (mut compared, mut largest) = (0, 0f32);
    for appeal in &reference.real {
        let order = orders.iter().find(|order| order.order_id == appeal.order_id).expect("an order of the reference");
        let text = &order.appeal.fields().text;
        // The reference normalises but does not mask or clean: only texts that need neither can be compared.
        if clean(text).as_str() != read_by_reference(text) {
            continue;
        }
        let encoding = bundled.encode(text, None);
        let ids: Vec<String> = encoding.ids.iter().map(u32::to_string).collect();
        assert_eq!(encoding.ids.len(), appeal.tokens, "order {}", appeal.order_id);
        assert_eq!(sha256_hex(ids.join(",").as_bytes()), appeal.ids_sha256, "order {}", appeal.order_id);
        largest = largest.max(bundled.distance(&encoding, &appeal.department_logits, appeal.dispute_logit));
        compared += 1;
    }
    println!("{compared} real appeals, largest difference of a logit {largest:e}");
    assert!(compared >= 50, "only {compared} appeals could be compared");
    assert!(largest <= TOLERANCE, "logits differ by {largest}");
}
