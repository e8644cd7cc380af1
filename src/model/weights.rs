//! `model.safetensors`: its tensors under their own names, as f32, with the shapes that the configuration promises.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use safetensors::{Dtype, SafeTensors};

use super::config::BertConfig;

/// Why weights were refused.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// Not a safetensors file, or cut off.
    #[error("not a whole safetensors file ({0}); copy or export it again")]
    NotSafetensors(String),
    /// A tensor is stored in a type that is not read.
    #[error("tensor {name} is stored as {found}; only F16, BF16 and F32 are read")]
    Type {
        /// The tensor.
        name: String,
        /// Its type.
        found: String,
    },
    /// A tensor that must be there is not.
    #[error("tensor {name} {expected:?} is missing")]
    Missing {
        /// The tensor.
        name: String,
        /// The shape that config.json promises.
        expected: Vec<usize>,
    },
    /// A tensor has another shape than config.json says.
    #[error("tensor {name} is {found:?}, but config.json makes it {expected:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// The shape that config.json promises.
        expected: Vec<usize>,
        /// The shape that it has.
        found: Vec<usize>,
    },
    /// A tensor holds NaN or infinity.
    #[error("tensor {name} holds values that are no numbers")]
    NotFinite {
        /// The tensor.
        name: String,
    },
    /// Candle refused it.
    #[error("tensor {name}: {reason}")]
    Candle {
        /// The tensor.
        name: String,
        /// Why.
        reason: String,
    },
}

/// Reads all tensors as f32. The encoder's get the prefix `bert.` where a bare encoder lacks it, and layer norms their present
/// names (`gamma`, `beta` in old checkpoints).
pub fn read(bytes: &[u8]) -> Result<HashMap<String, Tensor>, WeightsError> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| WeightsError::NotSafetensors(error.to_string()))?;
    let prefixed = file.names().iter().any(|name| name.starts_with("bert."));
    let mut tensors = HashMap::new();
    for (name, view) in file.tensors() {
        if name.ends_with("position_ids") || name.starts_with("cls.") {
            continue;
        }
        let dtype = match view.dtype() {
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            Dtype::F32 => DType::F32,
            other => return Err(WeightsError::Type { name, found: format!("{other:?}") }),
        };
        let candle = |error: candle_core::Error| WeightsError::Candle { name: name.clone(), reason: error.to_string() };
        let tensor = Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu).map_err(candle)?;
        let tensor = tensor.to_dtype(DType::F32).map_err(candle)?;
        let finite =
            tensor.flatten_all().and_then(|flat| flat.sum_all()).and_then(|sum| sum.to_scalar::<f32>()).map_err(candle)?;
        if !finite.is_finite() {
            return Err(WeightsError::NotFinite { name });
        }
        let name = name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias");
        let encoder = name.starts_with("embeddings.") || name.starts_with("encoder.") || name.starts_with("pooler.");
        tensors.insert(if encoder && !prefixed { format!("bert.{name}") } else { name }, tensor);
    }
    Ok(tensors)
}

/// Holds the encoder's tensors, and whatever head is there, against the shapes of `config`.
pub fn check(config: &BertConfig, tensors: &HashMap<String, Tensor>) -> Result<(), WeightsError> {
    for (name, expected) in encoder_shapes(config) {
        expect(tensors, &name, &expected)?;
    }
    let hidden = config.hidden_size;
    if let Some(head) = tensors.get("classifier.weight") {
        let rows = head.dims().first().copied().unwrap_or_default();
        expect(tensors, "classifier.weight", &[rows, hidden])?;
        expect(tensors, "classifier.bias", &[rows])?;
        expect(tensors, "bert.pooler.dense.weight", &[hidden, hidden])?;
        expect(tensors, "bert.pooler.dense.bias", &[hidden])?;
        if tensors.contains_key(CENTRES) {
            expect(tensors, CENTRES, &[rows, hidden])?;
        }
    }
    if tensors.contains_key("dispute_head.weight") || tensors.contains_key("dispute_head.bias") {
        expect(tensors, "dispute_head.weight", &[1, hidden])?;
        expect(tensors, "dispute_head.bias", &[1])?;
    }
    Ok(())
}

/// Name of the tensor that holds the mean embedding of each department's training orders, each of length one.
pub const CENTRES: &str = "department_centres";

fn expect(tensors: &HashMap<String, Tensor>, name: &str, expected: &[usize]) -> Result<(), WeightsError> {
    match tensors.get(name) {
        None => Err(WeightsError::Missing { name: name.to_owned(), expected: expected.to_vec() }),
        Some(tensor) if tensor.dims() != expected => {
            Err(WeightsError::Shape { name: name.to_owned(), expected: expected.to_vec(), found: tensor.dims().to_vec() })
        }
        Some(_) => Ok(()),
    }
}

/// Names and shapes of the encoder's tensors, as in a checkpoint.
fn encoder_shapes(config: &BertConfig) -> Vec<(String, Vec<usize>)> {
    let (hidden, middle) = (config.hidden_size, config.intermediate_size);
    let mut shapes = vec![
        ("bert.embeddings.word_embeddings.weight".to_owned(), vec![config.vocab_size, hidden]),
        ("bert.embeddings.position_embeddings.weight".to_owned(), vec![config.max_position_embeddings, hidden]),
        ("bert.embeddings.token_type_embeddings.weight".to_owned(), vec![config.type_vocab_size, hidden]),
        ("bert.embeddings.LayerNorm.weight".to_owned(), vec![hidden]),
        ("bert.embeddings.LayerNorm.bias".to_owned(), vec![hidden]),
    ];
    let linears = [
        ("attention.self.query", hidden, hidden),
        ("attention.self.key", hidden, hidden),
        ("attention.self.value", hidden, hidden),
        ("attention.output.dense", hidden, hidden),
        ("intermediate.dense", middle, hidden),
        ("output.dense", hidden, middle),
    ];
    for layer in 0..config.num_hidden_layers {
        let prefix = format!("bert.encoder.layer.{layer}");
        for (name, outer, inner) in linears {
            shapes.push((format!("{prefix}.{name}.weight"), vec![outer, inner]));
            shapes.push((format!("{prefix}.{name}.bias"), vec![outer]));
        }
        for name in ["attention.output.LayerNorm", "output.LayerNorm"] {
            shapes.push((format!("{prefix}.{name}.weight"), vec![hidden]));
            shapes.push((format!("{prefix}.{name}.bias"), vec![hidden]));
        }
    }
    shapes
}
