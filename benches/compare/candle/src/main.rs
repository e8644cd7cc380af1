//! A rival: candle-transformers' `BertModel` in f32, batches padded to their longest text, as candle's own example does it, with the
//! bundled model's heads on it.

#[path = "../../measure/worker.rs"]
mod worker;

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, IndexOp, Tensor};
use candle_nn::{Linear, Module, VarBuilder, linear};
use candle_transformers::models::bert::{BertModel, Config};

use worker::{Encoder, Setup};

struct Candle {
    bert: BertModel,
    pooler: Linear,
    classifier: Linear,
}

impl Candle {
    fn open(setup: &Setup) -> Result<Self> {
        ensure!(setup.precision == "f32", "candle runs in f32 here");
        let threads = std::env::var("RAYON_NUM_THREADS").unwrap_or_default();
        ensure!(threads == setup.threads.to_string(), "candle takes its threads from RAYON_NUM_THREADS");
        let read = |name: &str| {
            let path = setup.model.join(name);
            std::fs::read(&path).with_context(|| path.display().to_string())
        };
        let config: Config = serde_json::from_slice(&read("config.json")?)?;
        let vb = VarBuilder::from_buffered_safetensors(read("model.safetensors")?, DType::F32, &Device::Cpu)?;
        let (hidden, departments) = (config.hidden_size, vb_rows(&vb, config.hidden_size)?);
        Ok(Self {
            bert: BertModel::load(vb.pp("bert"), &config)?,
            pooler: linear(hidden, hidden, vb.pp("bert").pp("pooler").pp("dense"))?,
            classifier: linear(hidden, departments, vb.pp("classifier"))?,
        })
    }
}

/// How many departments the head has: as many as its bias is long.
fn vb_rows(vb: &VarBuilder<'_>, hidden: usize) -> Result<usize> {
    let head = vb.pp("classifier");
    let rows = (1..4096).find(|rows| head.get((*rows, hidden), "weight").is_ok());
    rows.context("the model has no department head")
}

impl Encoder for Candle {
    fn logits(&self, sequences: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
        let longest = sequences.iter().map(|ids| ids.len()).max().context("an empty batch")?;
        let (mut ids, mut mask) = (Vec::new(), Vec::new());
        for sequence in sequences {
            ids.extend(sequence.iter().copied().chain(std::iter::repeat_n(0, longest - sequence.len())));
            mask.extend((0..longest).map(|i| u32::from(i < sequence.len())));
        }
        let shape = (sequences.len(), longest);
        let ids = Tensor::from_vec(ids, shape, &Device::Cpu)?;
        let mask = Tensor::from_vec(mask, shape, &Device::Cpu)?;
        let hidden = self.bert.forward(&ids, &ids.zeros_like()?, Some(&mask))?;
        let pooled = self.pooler.forward(&hidden.i((.., 0))?.contiguous()?)?.tanh()?;
        Ok(self.classifier.forward(&pooled)?.to_vec2()?)
    }

    fn describe(&self) -> String {
        "f32".to_owned()
    }
}

fn main() -> Result<()> {
    worker::serve(Candle::open)
}
