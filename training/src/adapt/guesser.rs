//! The encoder with the head that guesses hidden words: transformers' `BertForMaskedLM`.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, ensure};
use candle_core::{D, DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use candle_nn::ops::log_softmax;
use paidan::model::ops::{self, Products};
use paidan::model::{Artifacts, Bert, StepDropout, file};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::config::AdaptConfig;
use super::course::Guesses;
use super::hiding::Hidden;
use crate::model::normal;

const WORDS: &str = "bert.embeddings.word_embeddings.weight";
const DENSE: &str = "cls.predictions.transform.dense";
const NORM: &str = "cls.predictions.transform.LayerNorm";
const BIAS: &str = "cls.predictions.bias";

/// A model that guesses hidden words.
pub struct Guesser {
    /// All variables by their name in the checkpoint.
    pub variables: BTreeMap<String, Var>,
    bert: Bert,
    epsilon: f64,
    products: Products,
}

impl Guesser {
    /// The base model's encoder, and the base's own head where it has one. A fresh head starts as nearly the identity, so that the
    /// first guess of a word is the word whose embedding the hidden state is likest to.
    pub fn new(base: &Artifacts, config: &AdaptConfig) -> Result<Self> {
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed ^ 0x61_64_61_70_74);
        let (hidden, vocabulary) = (base.config.hidden_size, base.config.vocab_size);
        let device = &Device::Cpu;
        let noise: Vec<f32> = (0..hidden * hidden).map(|_| normal(&mut rng) * 0.02).collect();
        let identity = (Tensor::eye(hidden, DType::F32, device)? + Tensor::from_vec(noise, (hidden, hidden), device)?)?;
        let zeros = |length: usize| Tensor::zeros(length, DType::F32, device);
        let head: [(String, Tensor); 5] = [
            (format!("{DENSE}.weight"), identity),
            (format!("{DENSE}.bias"), zeros(hidden)?),
            (format!("{NORM}.weight"), Tensor::ones(hidden, DType::F32, device)?),
            (format!("{NORM}.bias"), zeros(hidden)?),
            (BIAS.to_owned(), zeros(vocabulary)?),
        ];
        let is_encoder = |name: &str| name.starts_with("bert.embeddings.") || name.starts_with("bert.encoder.");
        let mut variables = BTreeMap::new();
        for (name, tensor) in base.tensors.iter().filter(|(name, _)| is_encoder(name)) {
            variables.insert(name.clone(), Var::from_tensor(tensor)?);
        }
        let own = own_head(base)?;
        for (name, fresh) in head {
            let known = own.get(&name).filter(|tensor| tensor.shape() == fresh.shape());
            variables.insert(name, Var::from_tensor(known.unwrap_or(&fresh))?);
        }
        let shared: HashMap<String, Tensor> = variables.iter().map(|(n, var)| (n.clone(), var.as_tensor().clone())).collect();
        let mut shape = base.config.clone();
        (shape.hidden_dropout_prob, shape.attention_probs_dropout_prob) = (config.dropout, config.dropout);
        let vb = VarBuilder::from_tensors(shared, DType::F32, device);
        let mut bert = Bert::load(&shape, vb.pp("bert")).context("the base model does not fit")?;
        let products = config.precision.products()?;
        bert.set_products(products);
        Ok(Self { variables, bert, epsilon: shape.layer_norm_eps, products })
    }

    /// What the adapted base model holds: all that was learnt, and the base's pooler, which guessing words does not ask.
    pub fn tensors(&self, base: &Artifacts) -> Result<HashMap<String, Tensor>> {
        let learnt = self.variables.iter().map(|(name, variable)| (name, variable.as_tensor()));
        let pooler = base.tensors.iter().filter(|(name, _)| name.starts_with("bert.pooler."));
        learnt.chain(pooler).map(|(name, tensor)| Ok((name.clone(), tensor.to_dtype(DType::F16)?))).collect()
    }

    /// The encoder alone.
    pub fn encoder(&self) -> &Bert {
        &self.bert
    }

    fn variable(&self, name: &str) -> Result<&Tensor> {
        self.variables.get(name).map(Var::as_tensor).with_context(|| format!("no variable {name}"))
    }

    /// What it guesses for each hidden word: log-probabilities [hidden words, vocabulary]. The output embedding is the input's.
    pub fn guesses(&self, hidden: &Hidden, dropout: Option<&StepDropout>) -> Result<Tensor> {
        let states = self.bert.hidden_states(&hidden.tokens, dropout)?;
        let last = states.last().context("an encoder without layers")?.index_select(&hidden.places, 0)?;
        let dense = |name: &str| self.variable(&format!("{DENSE}.{name}"));
        let norm = |name: &str| self.variable(&format!("{NORM}.{name}"));
        let x = ops::gelu(&ops::linear(&last, dense("weight")?, dense("bias")?, self.products)?)?;
        let x = ops::layer_norm(&x, norm("weight")?, norm("bias")?, self.epsilon)?;
        Ok(log_softmax(&ops::linear(&x, self.variable(WORDS)?, self.variable(BIAS)?, self.products)?, D::Minus1)?)
    }

    /// The mean surprise at the hidden words, in nats.
    pub fn loss(&self, hidden: &Hidden, dropout: Option<StepDropout>) -> Result<Tensor> {
        let guesses = self.guesses(hidden, dropout.as_ref())?;
        let told = guesses.gather(&hidden.words.unsqueeze(1)?, 1)?;
        Ok((told.mean_all()? * -1.0)?)
    }

    /// How well it guesses, over all batches.
    pub fn guess(&self, batches: &[Hidden]) -> Result<Guesses> {
        let (mut surprise, mut right, mut words) = (0f64, 0f64, 0usize);
        for hidden in batches {
            let guesses = self.guesses(hidden, None)?.detach();
            let told = guesses.gather(&hidden.words.unsqueeze(1)?, 1)?;
            surprise -= f64::from(told.sum_all()?.to_scalar::<f32>()?);
            let hits = guesses.argmax(D::Minus1)?.eq(&hidden.words)?.to_dtype(DType::F32)?;
            right += f64::from(hits.sum_all()?.to_scalar::<f32>()?);
            words += hidden.words.elem_count();
        }
        let count = words.max(1) as f64;
        Ok(Guesses { words, surprise: surprise / count, right: right / count })
    }
}

/// The head that guesses words, where the base's file has one. Whoever routes has no use for it, so it is not among the base's
/// tensors.
fn own_head(base: &Artifacts) -> Result<HashMap<String, Tensor>> {
    let path = base.folder.join(file::WEIGHTS);
    let stored =
        candle_core::safetensors::load(&path, &Device::Cpu).with_context(|| format!("{}: cannot be read", path.display()))?;
    let mut head = HashMap::new();
    for (name, tensor) in stored.into_iter().filter(|(name, _)| name.starts_with("cls.predictions.")) {
        let tensor = tensor.to_dtype(DType::F32)?;
        let is_finite = tensor.sum_all()?.to_scalar::<f32>()?.is_finite();
        ensure!(is_finite, "{}: tensor {name} holds values that are no numbers", path.display());
        // Old checkpoints call them so.
        head.insert(name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias"), tensor);
    }
    Ok(head)
}
