//! `config.json` of a model folder: the part of Hugging Face's BERT configuration that the encoder needs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Shape of the encoder, with Hugging Face's names. Unknown keys are kept out, since every exporter adds its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BertConfig {
    /// `bert`; anything else is refused.
    #[serde(default = "bert")]
    pub model_type: String,
    /// Class names that transformers opens the folder with.
    #[serde(default)]
    pub architectures: Vec<String>,
    /// Rows of the word embedding.
    pub vocab_size: usize,
    /// Width of a hidden state.
    pub hidden_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Attention heads of a layer.
    pub num_attention_heads: usize,
    /// Width between the two linear layers of the feed-forward part.
    pub intermediate_size: usize,
    /// Only `gelu` (with erf) is known.
    pub hidden_act: String,
    /// Dropout of hidden states in training.
    #[serde(default = "tenth")]
    pub hidden_dropout_prob: f32,
    /// Dropout of attention probabilities in training.
    #[serde(default = "tenth")]
    pub attention_probs_dropout_prob: f32,
    /// Rows of the position embedding: the longest sequence.
    pub max_position_embeddings: usize,
    /// Rows of the token type embedding.
    pub type_vocab_size: usize,
    /// Added to the variance in layer norm.
    pub layer_norm_eps: f64,
    /// Standard deviation of fresh weights.
    #[serde(default = "fiftieth")]
    pub initializer_range: f64,
    /// Id of `[PAD]`.
    #[serde(default)]
    pub pad_token_id: u32,
    /// Only `absolute` is known.
    #[serde(default = "absolute")]
    pub position_embedding_type: String,
    /// Row of the department head -> label.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub id2label: BTreeMap<String, String>,
    /// Label -> row of the department head.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub label2id: BTreeMap<String, usize>,
    /// Type of the stored weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torch_dtype: Option<String>,
}

fn bert() -> String {
    "bert".to_owned()
}

fn absolute() -> String {
    "absolute".to_owned()
}

fn tenth() -> f32 {
    0.1
}

fn fiftieth() -> f64 {
    0.02
}

impl BertConfig {
    /// Refuses what this encoder does not compute; the text names the key and what it must be.
    pub fn check(&self) -> Result<(), String> {
        let positive = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("type_vocab_size", self.type_vocab_size),
        ];
        if let Some((key, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(format!("{key} must be at least 1"));
        }
        if self.model_type != "bert" {
            return Err(format!("model_type must be \"bert\", not \"{}\"", self.model_type));
        }
        if self.hidden_act != "gelu" {
            return Err(format!("hidden_act must be \"gelu\", not \"{}\"", self.hidden_act));
        }
        if self.position_embedding_type != "absolute" {
            return Err(format!("position_embedding_type must be \"absolute\", not \"{}\"", self.position_embedding_type));
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(format!(
                "hidden_size {} is not a multiple of num_attention_heads {}",
                self.hidden_size, self.num_attention_heads
            ));
        }
        let size = self.hidden_size / self.num_attention_heads;
        if !size.is_multiple_of(16) {
            return Err(format!("hidden_size / num_attention_heads is {size}, must be a multiple of 16"));
        }
        if self.layer_norm_eps.is_nan() || self.layer_norm_eps < 0.0 {
            return Err("layer_norm_eps must not be negative".to_owned());
        }
        Ok(())
    }

    /// The labels in the order of the department head's rows, or why `id2label` is no such order.
    pub fn labels(&self) -> Result<Vec<String>, String> {
        let mut labels = Vec::with_capacity(self.id2label.len());
        for row in 0..self.id2label.len() {
            match self.id2label.get(&row.to_string()) {
                Some(label) => labels.push(label.clone()),
                None => return Err(format!("id2label has {} entries but none for row {row}", self.id2label.len())),
            }
        }
        for (row, label) in labels.iter().enumerate() {
            if self.label2id.get(label).is_some_and(|other| *other != row) {
                return Err(format!("label2id and id2label disagree about \"{label}\""));
            }
            if labels[..row].contains(label) {
                return Err(format!("id2label names \"{label}\" twice"));
            }
        }
        Ok(labels)
    }
}
