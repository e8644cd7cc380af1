//! Embeddings of texts that are no appeals of their own: rulings, and whatever else appeals are likened to.

use super::passes::passes;
use super::{RouteError, Router};
use crate::model::{Cores, Look, Sequence};
use crate::text::{Encoding, clean};

impl Router {
    /// The embeddings of texts, each of length one: what a decision on the same text alone has.
    pub fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, RouteError> {
        let encode = |text: &&str| self.tokenizer.encode(&clean(text), None, self.info.max_tokens);
        let encodings: Vec<Encoding> =
            texts.iter().map(encode).collect::<Result<_, _>>().map_err(|error| RouteError::Model(error.to_string()))?;
        let mut embeddings = Vec::with_capacity(texts.len());
        for pass in passes(&encodings, |encoding| encoding.ids.len()) {
            let sequences: Vec<Sequence<'_>> =
                pass.iter().map(|encoding| Sequence { ids: &encoding.ids, type_ids: &encoding.type_ids }).collect();
            let looks: Vec<Look> = (0..pass.len()).map(|sequence| Look { sequence, hidden: 0..0 }).collect();
            // Appeals may be routed meanwhile.
            let output = self.encoder.forward(&sequences, &looks, Cores::Free);
            let output = output.map_err(|error| RouteError::Model(error.to_string()))?;
            embeddings.extend(output.embeddings.chunks_exact(self.info.embedding_size).map(<[f32]>::to_vec));
        }
        Ok(embeddings)
    }
}
