//! That what is hidden, guessed and learnt is what the module says.

use candle_core::{D, Device, Tensor};
use candle_nn::ops::log_softmax;
use paidan::model::Artifacts;
use paidan::model::ops::plain;
use paidan::text::{AppealTokenizer, Encoding, clean};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{AdaptConfig, Guesser, Hider};
use crate::config::Precision;
use crate::support;

const WORDS: &str = "bert.embeddings.word_embeddings.weight";

fn with_base(work: impl FnOnce(&Artifacts, &AppealTokenizer, &AdaptConfig)) {
    let folder = tempfile::tempdir().expect("a folder");
    support::write_base_model(folder.path(), 5);
    let base = Artifacts::open(folder.path()).expect("a base model");
    let tokenizer = AppealTokenizer::from_bytes(&base.tokenizer).expect("a tokenizer");
    let config = AdaptConfig { dropout: 0.0, precision: Precision::F32, ..AdaptConfig::default() };
    work(&base, &tokenizer, &config);
}

fn passages(tokenizer: &AppealTokenizer) -> Vec<Encoding> {
    let encode = |text: &&str| tokenizer.encode(&clean(text), Some("公共设施"), 64).expect("tokens");
    support::APPEALS.iter().map(encode).collect()
}

#[test]
fn a_fifth_of_the_words_is_hidden_most_of_it_by_the_mask_and_never_what_stands_between_texts() {
    with_base(|_, tokenizer, config| {
        let hider = Hider::new(tokenizer, config).expect("a vocabulary with a mask");
        let (passages, mask, special) = (passages(tokenizer), tokenizer.mask_id().expect("a mask"), tokenizer.special_ids());
        let truth: Vec<u32> = passages.iter().flat_map(|passage| passage.ids.clone()).collect();
        let words = truth.iter().filter(|id| !special.contains(id)).count();
        let (mut hidden, mut masked, mut left) = (0, 0, 0);
        for seed in 0..200 {
            let step = hider.hide(&passages, &mut ChaCha8Rng::seed_from_u64(seed)).expect("hidden").expect("words");
            let seen: Vec<u32> = step.tokens.ids.to_vec1().expect("ids");
            let places: Vec<u32> = step.places.to_vec1().expect("places");
            let told: Vec<u32> = step.words.to_vec1().expect("words");
            for (at, (seen, truth)) in seen.iter().zip(&truth).enumerate() {
                match places.iter().position(|place| *place as usize == at) {
                    None => assert_eq!(seen, truth, "a word that is not asked for stands as it is"),
                    Some(one) => {
                        assert_eq!(told[one], *truth);
                        assert!(!special.contains(truth), "[CLS] and [SEP] are no words");
                        masked += usize::from(*seen == mask);
                        left += usize::from(seen == truth);
                    }
                }
            }
            hidden += places.len();
        }
        let share = |part: usize, whole: usize| part as f64 / whole as f64;
        assert!((share(hidden, 200 * words) - 0.2).abs() < 0.02, "{hidden} of {words} hidden");
        assert!((share(masked, hidden) - 0.8).abs() < 0.03, "{masked} of {hidden} masked");
        assert!((share(left, hidden) - 0.1).abs() < 0.03, "{left} of {hidden} left as they are");
    });
}

#[test]
fn it_guesses_what_the_plain_graph_guesses() {
    with_base(|base, tokenizer, config| {
        let guesser = Guesser::new(base, config).expect("a guesser");
        let hider = Hider::new(tokenizer, config).expect("a hider");
        let step = hider.hide(&passages(tokenizer), &mut ChaCha8Rng::seed_from_u64(1)).expect("hidden").expect("words");
        let variable = |name: &str| guesser.variables[name].as_tensor();
        let head = |name: &str| variable(&format!("cls.predictions.transform.{name}"));
        let plainly = || -> candle_core::Result<Tensor> {
            let states = guesser.encoder().hidden_states(&step.tokens, None)?;
            let x = states[states.len() - 1].index_select(&step.places, 0)?;
            let x = plain::gelu(&plain::linear(&x, head("dense.weight"), head("dense.bias"))?)?;
            let x = plain::layer_norm(&x, head("LayerNorm.weight"), head("LayerNorm.bias"), base.config.layer_norm_eps)?;
            log_softmax(&plain::linear(&x, variable(WORDS), variable("cls.predictions.bias"))?, D::Minus1)
        };
        let (ours, plain) = (guesser.guesses(&step, None).expect("guesses"), plainly().expect("guesses"));
        let apart = ours.sub(&plain).and_then(|d| d.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>()).expect("a number");
        assert!(apart < 1e-4, "apart by {apart}");
        let sums: Vec<f32> = ours.exp().and_then(|p| p.sum(D::Minus1)?.to_vec1()).expect("sums");
        assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-4), "{sums:?}");
    });
}

/// The word embedding is read at the bottom and at the top: a gradient that knew of one use only would be another number.
#[test]
fn the_word_embedding_learns_from_both_its_uses() {
    with_base(|base, tokenizer, config| {
        let guesser = Guesser::new(base, config).expect("a guesser");
        let hider = Hider::new(tokenizer, config).expect("a hider");
        let step = hider.hide(&passages(tokenizer), &mut ChaCha8Rng::seed_from_u64(1)).expect("hidden").expect("words");
        let gradients = guesser.loss(&step, None).expect("a loss").backward().expect("gradients");
        for (name, variable) in &guesser.variables {
            assert!(gradients.get(variable).is_some(), "{name} has no gradient");
        }
        let words = &guesser.variables[WORDS];
        let gradient: Vec<Vec<f32>> = gradients.get(words).expect("a gradient").to_vec2().expect("rows");
        let start: Vec<Vec<f32>> = words.to_vec2().expect("rows");
        let seen: Vec<u32> = step.tokens.ids.to_vec1().expect("ids");
        let asked: Vec<u32> = step.words.to_vec1().expect("words");
        let both = asked.iter().find(|word| seen.contains(word)).expect("a word that is seen and asked for");
        let loss_at = |row: usize, column: usize, change: f32| -> f64 {
            let mut moved = start.clone();
            moved[row][column] += change;
            words.set(&Tensor::new(moved, words.device()).expect("a tensor")).expect("set");
            f64::from(guesser.loss(&step, None).expect("a loss").to_scalar::<f32>().expect("a number"))
        };
        for row in [*both as usize, tokenizer.mask_id().expect("a mask") as usize] {
            let column = (0..gradient[row].len()).max_by(|a, b| gradient[row][*a].abs().total_cmp(&gradient[row][*b].abs()));
            let column = column.expect("a column");
            let slope = (loss_at(row, column, 1e-2) - loss_at(row, column, -1e-2)) / 2e-2;
            let ours = f64::from(gradient[row][column]);
            assert!((slope - ours).abs() < 0.02 * ours.abs().max(1e-2), "row {row}: {ours}, by differences {slope}");
        }
    });
}

#[test]
fn the_head_that_a_base_brings_goes_on_guessing_and_its_pooler_goes_through() {
    let folder = tempfile::tempdir().expect("a folder");
    support::write_base_model(folder.path(), 5);
    let path = folder.path().join("model.safetensors");
    let mut stored = candle_core::safetensors::load(&path, &Device::Cpu).expect("weights");
    let width = stored["embeddings.LayerNorm.weight"].elem_count();
    let vocabulary = stored["embeddings.word_embeddings.weight"].dims()[0];
    let mut add = |name: &str, shape: &[usize], value: f32| {
        stored.insert(name.to_owned(), Tensor::full(value, shape, &Device::Cpu).expect("a tensor"));
    };
    // As an old checkpoint names a norm's.
    add("cls.predictions.transform.LayerNorm.gamma", &[width], 0.75);
    add("cls.predictions.transform.dense.weight", &[width, width], 0.25);
    add("cls.predictions.bias", &[vocabulary], 0.5);
    add("pooler.dense.weight", &[width, width], 0.125);
    add("pooler.dense.bias", &[width], 0.25);
    candle_core::safetensors::save(&stored, &path).expect("written");
    let base = Artifacts::open(folder.path()).expect("a base model");
    assert!(!base.tensors.keys().any(|name| name.starts_with("cls.")), "who routes does not ask it");
    let guesser = Guesser::new(&base, &AdaptConfig { precision: Precision::F32, ..AdaptConfig::default() }).expect("a guesser");
    let tensors = guesser.tensors(&base).expect("tensors");
    let first = |name: &str| {
        let all = tensors[name].flatten_all().and_then(|all| all.to_dtype(candle_core::DType::F32)?.to_vec1::<f32>());
        all.expect("values")[0]
    };
    assert_eq!(first("cls.predictions.transform.LayerNorm.weight"), 0.75);
    assert_eq!(first("cls.predictions.transform.dense.weight"), 0.25);
    assert_eq!(first("cls.predictions.bias"), 0.5);
    assert_eq!(first("cls.predictions.transform.dense.bias"), 0.0, "what the base lacks is fresh");
    assert_eq!((first("bert.pooler.dense.weight"), first("bert.pooler.dense.bias")), (0.125, 0.25));
    assert!(!guesser.variables.keys().any(|name| name.contains("pooler")), "nothing teaches it");
}
