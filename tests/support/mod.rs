//! A tiny random model folder, so that tests need no download and no trained weights: the whole way from text to answer runs
//! through it in a millisecond. Its answers mean nothing, but they are always the same.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{Device, Result, Tensor};
use paidan::model::{
    CENTRES, Calibration, DISPUTE_WORDS, DataRecord, Department, DisputeModel, DisputeWords, FileRecord, Int8Gate, Likeness,
    Manifest, StandingBound, Weighing, Weighings, Weight, Witness, file, sha256_hex,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

/// Labels of the tiny model, in the order of its head's rows.
pub const DEPARTMENTS: [&str; 6] = ["城管", "交警", "住建", "环保", "供电", "水务"];

/// Invented appeals whose characters are all in the tiny vocabulary.
pub const APPEALS: [&str; 8] = [
    "小区门口的路灯坏了很久没人修",
    "楼下烧烤店油烟大,晚上很吵",
    "家里停水两天了,什么时候来水",
    "路口的信号灯坏了,车很多很乱",
    "工地晚上施工噪音大,孩子没法睡",
    "小区停电了,请问什么时候来电",
    "门口的垃圾很久没人清,味道很大",
    "电动车停在楼道里,很危险",
];

const HIDDEN: usize = 32;
const MIDDLE: usize = 64;
const LAYERS: usize = 2;
const POSITIONS: usize = 512;

/// Characters of the tiny vocabulary beyond those of [`APPEALS`].
const MORE: &str = "abcdefghijklmnopqrstuvwxyz0123456789.,!?:;()[]/-_市民来电反映咨询投诉求助建议区街道物业公共设施噪声污染交通环境您好谢其他类";

/// Vocabulary, ids from 0.
pub fn vocabulary() -> Vec<String> {
    let mut words: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(str::to_owned).to_vec();
    for character in APPEALS.iter().flat_map(|text| text.chars()).chain(MORE.chars()) {
        for word in [character.to_string(), format!("##{character}")] {
            if (word.starts_with("##") && !character.is_ascii_alphanumeric()) || words.contains(&word) {
                continue;
            }
            words.push(word);
        }
    }
    words
}

/// `config.json` of the tiny model with these labels (none: a bare encoder).
pub fn config(labels: &[&str]) -> Value {
    let mut config = json!({
        "architectures": ["BertForSequenceClassification"], "model_type": "bert", "vocab_size": vocabulary().len(),
        "hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": 2, "intermediate_size": MIDDLE,
        "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
        "max_position_embeddings": POSITIONS, "type_vocab_size": 2, "layer_norm_eps": 1e-12, "pad_token_id": 0,
    });
    if !labels.is_empty() {
        config["id2label"] = labels.iter().enumerate().map(|(i, label)| (i.to_string(), json!(label))).collect();
        config["label2id"] = labels.iter().enumerate().map(|(i, label)| ((*label).to_owned(), json!(i))).collect();
    }
    config
}

/// `tokenizer.json` over the tiny vocabulary.
pub fn tokenizer() -> Value {
    let vocabulary = vocabulary();
    let vocab: Value = vocabulary.iter().enumerate().map(|(i, word)| (word.clone(), json!(i))).collect();
    let special = |id: usize| {
        json!({"id": id, "content": vocabulary[id], "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    };
    let token = |name: &str, kind: usize| json!({"SpecialToken": {"id": name, "type_id": kind}});
    let sequence = |name: &str, kind: usize| json!({"Sequence": {"id": name, "type_id": kind}});
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": (0..5).map(special).collect::<Vec<_>>(),
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null,
                       "lowercase": false},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [token("[CLS]", 0), sequence("A", 0), token("[SEP]", 0)],
            "pair": [token("[CLS]", 0), sequence("A", 0), token("[SEP]", 0), sequence("B", 1), token("[SEP]", 1)],
            "special_tokens": {
                "[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
                "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]},
            },
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": vocab},
    })
}

/// Random encoder weights under `prefix` (`bert.` or nothing).
fn encoder(rng: &mut StdRng, prefix: &str) -> Result<HashMap<String, Tensor>> {
    let mut tensors = HashMap::new();
    let mut add = |rng: &mut StdRng, name: String, shape: &[usize], spread: f32| -> Result<()> {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-spread..=spread)).collect();
        tensors.insert(format!("{prefix}{name}"), Tensor::from_vec(values, shape, &Device::Cpu)?);
        Ok(())
    };
    for (name, rows) in
        [("word_embeddings", vocabulary().len()), ("position_embeddings", POSITIONS), ("token_type_embeddings", 2)]
    {
        add(rng, format!("embeddings.{name}.weight"), &[rows, HIDDEN], 0.5)?;
    }
    let mut norms = vec!["embeddings.LayerNorm".to_owned()];
    for layer in 0..LAYERS {
        let layer = format!("encoder.layer.{layer}");
        for (name, outer, inner) in [
            ("attention.self.query", HIDDEN, HIDDEN),
            ("attention.self.key", HIDDEN, HIDDEN),
            ("attention.self.value", HIDDEN, HIDDEN),
            ("attention.output.dense", HIDDEN, HIDDEN),
            ("intermediate.dense", MIDDLE, HIDDEN),
            ("output.dense", HIDDEN, MIDDLE),
        ] {
            add(rng, format!("{layer}.{name}.weight"), &[outer, inner], 0.3)?;
            add(rng, format!("{layer}.{name}.bias"), &[outer], 0.1)?;
        }
        norms.push(format!("{layer}.attention.output.LayerNorm"));
        norms.push(format!("{layer}.output.LayerNorm"));
    }
    for norm in norms {
        tensors.insert(format!("{prefix}{norm}.weight"), Tensor::ones(HIDDEN, candle_core::DType::F32, &Device::Cpu)?);
        tensors.insert(format!("{prefix}{norm}.bias"), Tensor::zeros(HIDDEN, candle_core::DType::F32, &Device::Cpu)?);
    }
    Ok(tensors)
}

fn write(folder: &Path, name: &str, value: &impl serde::Serialize) {
    let text = serde_json::to_vec_pretty(value).expect("json");
    std::fs::write(folder.join(name), text).expect("a test folder that can be written");
}

/// A bare encoder, as a base model comes.
pub fn write_base_model(folder: &Path, seed: u64) {
    let tensors = encoder(&mut StdRng::seed_from_u64(seed), "").expect("tensors");
    candle_core::safetensors::save(&tensors, folder.join(file::WEIGHTS)).expect("weights");
    write(folder, file::CONFIG, &config(&[]));
    write(folder, file::TOKENIZER, &tokenizer());
}

/// A model that routes among [`DEPARTMENTS`], with a dispute head and centres, without a manifest.
pub fn write_tiny_model(folder: &Path, seed: u64) {
    let rng = &mut StdRng::seed_from_u64(seed);
    let mut tensors = encoder(rng, "bert.").expect("tensors");
    let mut random = |rows: usize, columns: usize| {
        let values: Vec<f32> = (0..rows * columns).map(|_| rng.random_range(-0.6..0.6)).collect();
        Tensor::from_vec(values, (rows, columns), &Device::Cpu).expect("tensor")
    };
    let zeros = |length: usize| Tensor::zeros(length, candle_core::DType::F32, &Device::Cpu).expect("tensor");
    tensors.insert("bert.pooler.dense.weight".to_owned(), random(HIDDEN, HIDDEN));
    tensors.insert("bert.pooler.dense.bias".to_owned(), zeros(HIDDEN));
    tensors.insert("classifier.weight".to_owned(), random(DEPARTMENTS.len(), HIDDEN));
    tensors.insert("classifier.bias".to_owned(), zeros(DEPARTMENTS.len()));
    tensors.insert("dispute_head.weight".to_owned(), random(1, HIDDEN));
    tensors.insert("dispute_head.bias".to_owned(), zeros(1));
    tensors.insert(CENTRES.to_owned(), random(DEPARTMENTS.len(), HIDDEN));
    candle_core::safetensors::save(&tensors, folder.join(file::WEIGHTS)).expect("weights");
    write(folder, file::CONFIG, &config(&DEPARTMENTS));
    write(folder, file::TOKENIZER, &tokenizer());
    let departments = DEPARTMENTS.map(|id| Department { id: id.to_owned(), name: format!("{id}部门"), training_orders: 100 });
    write(folder, file::DEPARTMENTS, &departments);
    write(folder, file::CALIBRATION, &Calibration::default());
}

/// Teaches the tiny model to weigh every witness of a dispute: all of one weight, the words but by the bias of their buckets.
/// "城管" has a history of dispatches that came back.
pub fn write_dispute_model(folder: &Path) {
    let path = folder.join(file::WEIGHTS);
    let mut tensors = candle_core::safetensors::load(&path, &Device::Cpu).expect("weights");
    let words = DisputeWords::new(vec![0.5; 64], &[1.0; 64]);
    tensors.insert(DISPUTE_WORDS.to_owned(), words.to_tensor().expect("a tensor"));
    candle_core::safetensors::save(&tensors, &path).expect("written");
    let heard = |witnesses: &[Witness]| Weighing {
        bias: -3.0,
        witnesses: witnesses.iter().map(|one| (*one, Weight { typical: 0.0, spread: 1.0, weight: 0.5 })).collect(),
    };
    let weighings = Weighings { appeal: heard(&Witness::OF_AN_APPEAL), proposal: heard(&Witness::OF_A_PROPOSAL) };
    let history = BTreeMap::from([("城管".to_owned(), 2.0)]);
    write(folder, file::DISPUTE, &DisputeModel { text_only: weighings.clone(), with_category: weighings, history });
}

/// Vouches for the files that [`write_tiny_model`] wrote.
pub fn write_manifest(folder: &Path) {
    write_manifest_with(folder, None);
}

/// The same with what was found out about int8.
pub fn write_manifest_with(folder: &Path, int8: Option<Int8Gate>) {
    let names = [file::CONFIG, file::TOKENIZER, file::WEIGHTS, file::DEPARTMENTS, file::CALIBRATION];
    let record = |name: &str| {
        let bytes = std::fs::read(folder.join(name)).expect("a file");
        (name.to_owned(), FileRecord { sha256: sha256_hex(&bytes), bytes: bytes.len() as u64 })
    };
    let manifest = Manifest {
        format: 1,
        name: "tiny".to_owned(),
        version: "20260101-tiny".to_owned(),
        created_at: "2026-01-01T00:00:00Z".to_owned(),
        files: names.into_iter().map(record).collect(),
        data: DataRecord {
            training_orders: 0,
            training_sha256: String::new(),
            validation_orders: 0,
            validation_sha256: String::new(),
        },
        git_commit: String::new(),
        calibrated_by: String::new(),
        configuration: Value::Null,
        metrics: BTreeMap::from([("text_only.accuracy".to_owned(), 0.5)]),
        int8,
    };
    std::fs::write(folder.join(file::MANIFEST), serde_json::to_vec(&manifest).expect("json")).expect("written");
}

/// What is measured of a model is what the test says.
pub fn calibrate(folder: &Path, calibration: &Calibration) {
    write(folder, file::CALIBRATION, calibration);
}

/// The tiny model's embeddings are random, and most texts are alike to it: by this only a text itself is like enough.
pub fn only_itself() -> Likeness {
    let bound = Some(StandingBound { similarity: 0.995, probability: 0.0, precision: 0.97 });
    Likeness { worded: bound.clone(), unworded: bound, precedent_similarity: 0.995 }
}

/// The folder of [`write_tiny_model`] in a place that is removed with the value.
pub fn tiny_model() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a place for a test model");
    write_tiny_model(folder.path(), 1);
    folder
}

/// Two appeals put together with a word that begins another matter, for each pair and word.
pub fn appeals_of_two_matters() -> Vec<String> {
    let others = |i: usize| (0..APPEALS.len()).filter(move |j| *j != i);
    let joined =
        |i: usize, j: usize| ["另外，", "还有", "同时", "此外，"].map(|word| format!("{}。{word}{}", APPEALS[i], APPEALS[j]));
    (0..APPEALS.len()).flat_map(|i| others(i).flat_map(move |j| joined(i, j))).collect()
}

/// The same model, nearly certain of each answer.
pub fn sure_model() -> tempfile::TempDir {
    let folder = tiny_model();
    let path = folder.path().join(file::WEIGHTS);
    let mut tensors = candle_core::safetensors::load(&path, &Device::Cpu).expect("weights");
    let surer = (&tensors["classifier.weight"] * 40.0).expect("a tensor");
    tensors.insert("classifier.weight".to_owned(), surer);
    candle_core::safetensors::save(&tensors, &path).expect("written");
    folder
}
