//! The variables of a run: the base model's, with fresh heads on top.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, bail};
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use paidan::model::{Artifacts, BertConfig, Classifier, Encoder, Precision, ops::Products};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::optimizer::Rule;

/// A model in training.
pub struct Trainee {
    /// All variables by their name in the checkpoint.
    pub variables: BTreeMap<String, Var>,
    /// What computes with them.
    pub classifier: Classifier,
}

impl Trainee {
    /// The base model's encoder with fresh heads for `departments` labels. The pooler, where the base has none, starts as the
    /// identity: the first steps then read the [CLS] row nearly as the base model wrote it. Whatever heads the base has are
    /// replaced, since their labels are another city's.
    pub fn fresh(base: &Artifacts, config: &BertConfig, departments: usize, has_dispute_head: bool, seed: u64) -> Result<Self> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x70_61_69_64_61_6e);
        let hidden = config.hidden_size;
        let mut tensors: BTreeMap<String, Tensor> = base
            .tensors
            .iter()
            .filter(|(name, _)| name.starts_with("bert."))
            .map(|(name, tensor)| (name.clone(), tensor.clone()))
            .collect();
        if !tensors.contains_key("bert.pooler.dense.weight") {
            tensors.insert("bert.pooler.dense.weight".to_owned(), Tensor::eye(hidden, DType::F32, &Device::Cpu)?);
            tensors.insert("bert.pooler.dense.bias".to_owned(), Tensor::zeros(hidden, DType::F32, &Device::Cpu)?);
        }
        let mut head = |name: &str, rows: usize| -> Result<()> {
            let weights: Vec<f32> = (0..rows * hidden).map(|_| normal(&mut rng) * 0.02).collect();
            tensors.insert(format!("{name}.weight"), Tensor::from_vec(weights, (rows, hidden), &Device::Cpu)?);
            tensors.insert(format!("{name}.bias"), Tensor::zeros(rows, DType::F32, &Device::Cpu)?);
            Ok(())
        };
        head("classifier", departments)?;
        if has_dispute_head {
            head("dispute_head", 1)?;
        }
        let variables = tensors
            .into_iter()
            .map(|(name, tensor)| Ok((name, Var::from_tensor(&tensor)?)))
            .collect::<Result<BTreeMap<String, Var>>>()?;
        let shared: HashMap<String, Tensor> =
            variables.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())).collect();
        let vb = VarBuilder::from_tensors(shared, DType::F32, &Device::Cpu);
        let classifier = Classifier::load(config, departments, has_dispute_head, vb).context("the base model does not fit")?;
        Ok(Self { variables, classifier })
    }

    /// The same with the encoder's matrix products computed by `products`.
    pub fn with_products(self, products: Products) -> Self {
        Self { classifier: self.classifier.with_products(products), ..self }
    }

    /// Sets every variable from `tensors`; all must be there, with their shapes.
    pub fn restore(&self, tensors: &HashMap<String, Tensor>) -> Result<()> {
        restore(&self.variables, tensors)
    }

    /// The variables as they are now, packed to answer with: the same numbers as the classifier's, several times as fast.
    pub fn encoder(&self, config: &BertConfig) -> Result<Encoder> {
        let tensors = self.variables.iter().map(|(name, variable)| (name.clone(), variable.as_tensor().clone())).collect();
        Ok(Encoder::of_tensors(config, &tensors, Precision::F32)?)
    }

    /// A copy of all variables as they are now.
    pub fn snapshot(&self) -> Result<HashMap<String, Tensor>> {
        self.variables.iter().map(|(name, variable)| Ok((name.clone(), variable.as_tensor().copy()?))).collect()
    }
}

/// Sets every variable from `tensors`; all must be there, with their shapes.
pub fn restore(variables: &BTreeMap<String, Var>, tensors: &HashMap<String, Tensor>) -> Result<()> {
    for (name, variable) in variables {
        match tensors.get(name) {
            Some(tensor) if tensor.shape() == variable.shape() => variable.set(tensor)?,
            Some(tensor) => bail!("{name} is {:?} in the checkpoint, {:?} here", tensor.shape(), variable.shape()),
            None => bail!("{name} is missing in the checkpoint"),
        }
    }
    Ok(())
}

/// How a variable learns: heads faster than the encoder, biases and norms without decay.
pub fn rule(name: &str, head_factor: f64) -> Rule {
    let is_head = !name.starts_with("bert.") || name.starts_with("bert.pooler.");
    let decays = !name.ends_with(".bias") && !name.contains("LayerNorm");
    Rule { factor: if is_head { head_factor } else { 1.0 }, decays }
}

/// A standard normal draw (Box and Muller 1958).
pub(crate) fn normal(rng: &mut ChaCha8Rng) -> f32 {
    let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
}
