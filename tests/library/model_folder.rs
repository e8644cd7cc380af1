//! What a model folder must be, and how each fault is named.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use paidan::model::{Artifacts, ArtifactsError, DEPARTMENT_WORDS, DISPUTE_WORDS, Int8Gate, Precision, Setting, file};
use paidan::routing::Router;
use paidan::text::{Appeal, AppealFields};

use crate::support::{
    APPEALS, DEPARTMENTS, tiny_model, write_base_model, write_dispute_model, write_manifest, write_manifest_with,
};

fn refusal(folder: &Path) -> String {
    match Router::open(folder) {
        Ok(_) => panic!("a faulty folder was opened"),
        Err(error) => error.to_string(),
    }
}

fn rewrite_json(folder: &Path, name: &str, change: impl FnOnce(&mut serde_json::Value)) {
    let path = folder.join(name);
    let mut value = serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("json");
    change(&mut value);
    std::fs::write(path, value.to_string()).expect("written");
}

fn rewrite_weights(folder: &Path, change: impl FnOnce(&mut HashMap<String, Tensor>)) {
    let path = folder.join(file::WEIGHTS);
    let mut tensors = candle_core::safetensors::load(&path, &Device::Cpu).expect("weights");
    change(&mut tensors);
    candle_core::safetensors::save(&tensors, &path).expect("written");
}

#[test]
fn a_missing_file_is_named() {
    for name in [file::CONFIG, file::TOKENIZER, file::WEIGHTS] {
        let folder = tiny_model();
        std::fs::remove_file(folder.path().join(name)).expect("removed");
        let error = refusal(folder.path());
        assert!(error.contains(name) && error.contains("missing"), "{error}");
    }
    let error = refusal(Path::new("/no/such/folder"));
    assert!(error.contains("/no/such/folder: no such folder"), "{error}");
}

#[test]
fn truncated_and_garbled_files_are_named() {
    for name in [file::CONFIG, file::TOKENIZER, file::WEIGHTS, file::DEPARTMENTS, file::CALIBRATION] {
        let folder = tiny_model();
        let path = folder.path().join(name);
        let bytes = std::fs::read(&path).expect("a file");
        for broken in [&bytes[..bytes.len() / 2], b"", b"\xff\xfe\x00garbage"] {
            std::fs::write(&path, broken).expect("written");
            let error = refusal(folder.path());
            assert!(error.contains(name), "{error} does not name {name}");
        }
    }
}

#[test]
fn a_tensor_of_another_shape_or_none_is_named_with_both_shapes() {
    let folder = tiny_model();
    rewrite_weights(folder.path(), |tensors| {
        let bias = Tensor::zeros(31, DType::F32, &Device::Cpu).expect("tensor");
        tensors.insert("bert.encoder.layer.1.output.dense.bias".to_owned(), bias);
    });
    let error = refusal(folder.path());
    assert!(error.contains("bert.encoder.layer.1.output.dense.bias is [31], but config.json makes it [32]"), "{error}");
    rewrite_weights(folder.path(), |tensors| {
        tensors.remove("bert.encoder.layer.1.output.dense.bias");
    });
    let error = refusal(folder.path());
    assert!(error.contains("bert.encoder.layer.1.output.dense.bias [32] is missing"), "{error}");
}

#[test]
fn weights_that_are_no_numbers_are_refused() {
    for value in [f32::NAN, f32::INFINITY] {
        let folder = tiny_model();
        rewrite_weights(folder.path(), |tensors| {
            let bias = Tensor::full(value, 32, &Device::Cpu).expect("tensor");
            tensors.insert("bert.encoder.layer.0.output.dense.bias".to_owned(), bias);
        });
        let error = refusal(folder.path());
        assert!(error.contains("bert.encoder.layer.0.output.dense.bias holds values that are no numbers"), "{error}");
    }
}

#[test]
fn a_label_map_of_another_model_is_refused() {
    let folder = tiny_model();
    rewrite_json(folder.path(), file::CONFIG, |config| {
        config["id2label"].as_object_mut().expect("a map").insert("6".to_owned(), "燃气".into());
    });
    let error = refusal(folder.path());
    assert!(error.contains("7 departments, but classifier.weight has 6 rows"), "{error}");

    let folder = tiny_model();
    rewrite_json(folder.path(), file::DEPARTMENTS, |list| {
        list.as_array_mut().expect("a list").pop();
    });
    let error = refusal(folder.path());
    assert!(error.contains("departments.json: 5 departments, but classifier.weight has 6 rows"), "{error}");

    let folder = tiny_model();
    rewrite_json(folder.path(), file::DEPARTMENTS, |list| list.as_array_mut().expect("a list").swap(0, 1));
    let error = refusal(folder.path());
    assert!(error.contains("department \"交警\" stands where config.json has \"城管\""), "{error}");

    let folder = tiny_model();
    rewrite_json(folder.path(), file::CONFIG, |config| config["label2id"]["城管"] = 3.into());
    let error = refusal(folder.path());
    assert!(error.contains("label2id and id2label disagree about \"城管\""), "{error}");
}

#[test]
fn a_configuration_that_this_encoder_does_not_compute_is_refused() {
    for (key, value, reason) in [
        ("hidden_act", serde_json::json!("gelu_new"), "hidden_act must be \"gelu\""),
        ("model_type", serde_json::json!("roberta"), "model_type must be \"bert\""),
        ("position_embedding_type", serde_json::json!("relative_key"), "position_embedding_type must be \"absolute\""),
        ("num_attention_heads", serde_json::json!(3), "not a multiple"),
        ("num_hidden_layers", serde_json::json!(0), "num_hidden_layers must be at least 1"),
    ] {
        let folder = tiny_model();
        rewrite_json(folder.path(), file::CONFIG, |config| config[key] = value);
        let error = refusal(folder.path());
        assert!(error.contains(reason), "{error} does not say {reason}");
    }
}

#[test]
fn a_calibration_that_gives_no_probabilities_is_refused() {
    let folder = tiny_model();
    rewrite_json(folder.path(), file::CALIBRATION, |calibration| calibration["text_only"]["temperature"] = 0.into());
    let error = refusal(folder.path());
    assert!(error.contains("text_only.temperature must be above 0"), "{error}");
}

#[test]
fn a_folder_from_before_there_were_witnesses_opens_and_answers_without_saying_what_raised_the_risk() {
    let folder = tiny_model();
    let router = Router::open(folder.path()).expect("an old folder");
    let fields = AppealFields {
        text: APPEALS[0].to_owned(),
        proposed_departments: vec![DEPARTMENTS[0].to_owned()],
        ..AppealFields::default()
    };
    let appeal = router.prepare(&Appeal::parse(fields).expect("an appeal")).expect("prepared");
    let decision = router.route(&[appeal]).expect("routed").remove(0);
    assert!(decision.dispute_risk.is_some() && decision.proposed_dispatch_risk.is_some());
    assert!(decision.risk_factors.is_empty());
}

#[test]
fn a_broken_dispute_model_is_refused_by_file_and_key() {
    type Change = fn(&mut serde_json::Value);
    let changes: [(Change, &str); 5] = [
        (|d| d["text_only"]["appeal"]["witnesses"]["head"]["spread"] = 0.into(), "text_only.appeal.witnesses.head.spread"),
        (|d| d["with_category"]["proposal"]["witnesses"]["doubt"]["weight"] = (-1).into(), "proposal.witnesses.doubt.weight"),
        (|d| d["history"]["无此局"] = 1.into(), "history.无此局"),
        (|d| d["text_only"]["appeal"]["witnesses"]["gossip"] = serde_json::Value::Null, "gossip"),
        (|d| d["with_category"] = serde_json::Value::Null, "invalid type"),
    ];
    for (change, key) in changes {
        let folder = tiny_model();
        write_dispute_model(folder.path());
        Router::open(folder.path()).expect("a whole folder");
        rewrite_json(folder.path(), file::DISPUTE, change);
        let error = refusal(folder.path());
        assert!(error.contains(file::DISPUTE) && error.contains(key), "{error} does not say {key}");
    }
}

#[test]
fn words_that_are_weighed_but_not_there_or_of_another_shape_are_named() {
    let folder = tiny_model();
    write_dispute_model(folder.path());
    rewrite_weights(folder.path(), |tensors| {
        tensors.insert(DISPUTE_WORDS.to_owned(), Tensor::zeros((2, 60), DType::F32, &Device::Cpu).expect("a tensor"));
    });
    let error = refusal(folder.path());
    assert!(error.contains(DISPUTE_WORDS) && error.contains("[2, 64]") && error.contains("[2, 60]"), "{error}");
    rewrite_weights(folder.path(), |tensors| drop(tensors.remove(DISPUTE_WORDS)));
    let error = refusal(folder.path());
    assert!(error.contains(file::DISPUTE) && error.contains("witnesses.words"), "{error}");
}

#[test]
fn department_words_that_are_weighed_but_not_there_or_of_another_shape_are_named() {
    let folder = tiny_model();
    rewrite_json(folder.path(), file::CALIBRATION, |calibration| calibration["text_only"]["words"] = 1.5.into());
    let error = refusal(folder.path());
    assert!(error.contains(file::CALIBRATION) && error.contains(DEPARTMENT_WORDS), "{error}");
    rewrite_weights(folder.path(), |tensors| {
        tensors.insert(DEPARTMENT_WORDS.to_owned(), Tensor::zeros((61, 4), DType::F32, &Device::Cpu).expect("a tensor"));
    });
    let error = refusal(folder.path());
    assert!(error.contains(DEPARTMENT_WORDS) && error.contains("[65, 7]") && error.contains("[61, 4]"), "{error}");
    rewrite_json(folder.path(), file::CALIBRATION, |calibration| calibration["text_only"]["words"] = (-1.0).into());
    rewrite_weights(folder.path(), |tensors| drop(tensors.remove(DEPARTMENT_WORDS)));
    assert!(refusal(folder.path()).contains("text_only.words must not be below 0"));
}

#[test]
fn with_a_manifest_every_changed_byte_is_found() {
    let folder = tiny_model();
    write_manifest(folder.path());
    let router = Router::open(folder.path()).expect("a whole folder");
    assert_eq!((router.info().name.as_str(), router.info().version.as_str()), ("tiny", "20260101-tiny"));
    for name in [file::CONFIG, file::TOKENIZER, file::WEIGHTS, file::DEPARTMENTS, file::CALIBRATION] {
        let path = folder.path().join(name);
        let whole = std::fs::read(&path).expect("a file");
        let mut changed = whole.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        std::fs::write(&path, &changed).expect("written");
        let error = refusal(folder.path());
        assert!(error.contains(name) && error.contains("sha-256"), "{error}");
        std::fs::write(&path, whole).expect("written");
    }
    std::fs::remove_file(folder.path().join(file::CALIBRATION)).expect("removed");
    let error = refusal(folder.path());
    assert!(error.contains("calibration.json is missing"), "{error}");
}

#[test]
fn a_bare_encoder_opens_as_a_base_model_and_is_refused_as_a_router() {
    let folder = tempfile::tempdir().expect("a folder");
    write_base_model(folder.path(), 1);
    let artifacts = Artifacts::open(folder.path()).expect("a base model");
    assert!(artifacts.departments.is_empty());
    assert!(artifacts.tensors.contains_key("bert.embeddings.word_embeddings.weight"), "names as in a whole model");
    assert!(matches!(Router::open(folder.path()), Err(ArtifactsError::NoDepartmentHead { .. })));
}

#[test]
fn half_precision_weights_and_old_layer_norm_names_give_the_same_answer() {
    let folder = tiny_model();
    let answer = |folder: &Path| {
        let router = Router::open(folder).expect("a model");
        let appeal = router.prepare(&Appeal::from_text(APPEALS[1]).expect("an appeal")).expect("prepared");
        let decision = router.route(&[appeal]).expect("routed").remove(0);
        DEPARTMENTS.map(|id| {
            decision.departments.iter().find(|ranked| ranked.department.id == id).map_or(0.0, |ranked| ranked.probability)
        })
    };
    let original = answer(folder.path());
    for (dtype, tolerance) in [(DType::F16, 5e-3), (DType::BF16, 4e-2)] {
        let half = tiny_model();
        rewrite_weights(half.path(), |tensors| {
            for tensor in tensors.values_mut() {
                *tensor = tensor.to_dtype(dtype).expect("converted");
            }
        });
        for (a, b) in original.iter().zip(answer(half.path())) {
            assert!((a - b).abs() < tolerance, "{dtype:?}: {a} became {b}");
        }
    }
    let old = tiny_model();
    rewrite_weights(old.path(), |tensors| {
        *tensors = tensors
            .drain()
            .map(|(name, tensor)| {
                (name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"), tensor)
            })
            .collect();
    });
    assert_eq!(answer(old.path()), original);
    rewrite_weights(old.path(), |tensors| {
        let tensor = tensors.get("classifier.bias").expect("a tensor").to_dtype(DType::F64).expect("converted");
        tensors.insert("classifier.bias".to_owned(), tensor);
    });
    let error = refusal(old.path());
    assert!(error.contains("classifier.bias is stored as F64"), "{error}");
}

#[test]
fn a_model_without_a_dispute_head_says_so_instead_of_a_number() {
    let folder = tiny_model();
    rewrite_weights(folder.path(), |tensors| tensors.retain(|name, _| !name.starts_with("dispute_head")));
    let router = Router::open(folder.path()).expect("a model");
    assert!(!router.info().has_dispute_head);
    let appeal = router.prepare(&Appeal::from_text(APPEALS[1]).expect("an appeal")).expect("prepared");
    assert_eq!(router.route(&[appeal]).expect("routed")[0].dispute_risk, None);
}

#[test]
fn auto_takes_int8_only_where_the_manifest_says_that_the_model_passed_the_gate() {
    let folder = tiny_model();
    let precision = |int8: Option<bool>| {
        let gate = int8.map(|passed| Int8Gate { passed, figures: BTreeMap::new(), failed: Vec::new() });
        write_manifest_with(folder.path(), gate);
        Router::open(folder.path()).expect("a model").info().precision.clone()
    };
    assert_eq!([precision(None), precision(Some(false)), precision(Some(true))], ["f32", "f32", "int8"]);
    let router = Router::open_with(folder.path(), Setting::fixed(Precision::F32)).expect("a model");
    assert_eq!(router.info().precision, "f32", "a setting wins over the gate");
}
