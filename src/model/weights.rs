//! `model.safetensors`: its tensors under their own names, as f32, with the shapes that the configuration promises.

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};

use super::config::BertConfig;
use super::department_words::DEPARTMENT_WORDS;
use super::words::DISPUTE_WORDS;

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
        let Some(values) = floats(view.dtype(), view.data()) else {
            return Err(WeightsError::Type { name, found: format!("{:?}", view.dtype()) });
        };
        if !values.iter().sum::<f32>().is_finite() {
            return Err(WeightsError::NotFinite { name });
        }
        let candle = |error: candle_core::Error| WeightsError::Candle { name: name.clone(), reason: error.to_string() };
        let tensor = Tensor::from_vec(values, view.shape(), &Device::Cpu).map_err(candle)?;
        let name = name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias");
        let encoder = name.starts_with("embeddings.") || name.starts_with("encoder.") || name.starts_with("pooler.");
        tensors.insert(if encoder && !prefixed { format!("bert.{name}") } else { name }, tensor);
    }
    Ok(tensors)
}

/// Stored values as f32; `None` for a type that is not read. Without a copy in between: large blocks that come and go while others
/// stay are memory that the allocator does not give back.
fn floats(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let pairs = || bytes.chunks_exact(2).map(|pair| [pair[0], pair[1]]);
    Some(match dtype {
        Dtype::F32 => bytes.chunks_exact(4).map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect(),
        Dtype::BF16 => pairs().map(|pair| bf16::from_le_bytes(pair).to_f32()).collect(),
        Dtype::F16 => {
            let mut values = vec![0f32; bytes.len() / 2];
            // In blocks, since one value at a time asks each time what the processor can do.
            let mut halves = [f16::ZERO; 1024];
            for (values, bytes) in values.chunks_mut(halves.len()).zip(bytes.chunks(2 * halves.len())) {
                for (half, pair) in halves.iter_mut().zip(bytes.chunks_exact(2)) {
                    *half = f16::from_le_bytes([pair[0], pair[1]]);
                }
                halves[..values.len()].convert_to_f32_slice(values);
            }
            values
        }
        _ => return None,
    })
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
        // Buckets are taken from the upper bits of a hash: any other number of them is brought to the next power of two.
        let buckets = |count: Option<&usize>| count.copied().unwrap_or_default().next_power_of_two().max(2);
        if let Some(words) = tensors.get(DISPUTE_WORDS) {
            expect(tensors, DISPUTE_WORDS, &[2, buckets(words.dims().last())])?;
        }
        if let Some(words) = tensors.get(DEPARTMENT_WORDS) {
            let but_the_last = words.dims().first().map(|rows| rows.saturating_sub(1));
            expect(tensors, DEPARTMENT_WORDS, &[buckets(but_the_last.as_ref()) + 1, rows + 1])?;
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
