//! The encoder as it serves: what [`Classifier`](super::Classifier) computes, as fast as this processor allows.
//!
//! [`Bert`](super::Bert) in candle stays the definition; this is held against it layer by layer in `tests/library/encoder.rs`. What is
//! different: weights are packed once for the kernel that reads them; a batch is its tokens laid end to end; everything between
//! two products (bias, GELU, residual, layer norm, quantisation) happens while the rows are in cache; and the last layer computes
//! no more than the heads read. Nothing is allocated for a batch that is no larger than one before it.
//!
//! The way of a batch: embed -> for each layer but the last: q, k, v ([`linear`]) -> [`attention`] -> output projection, norm,
//! feed-forward, norm, in blocks of rows -> the [`last`] layer -> pooler and heads.

mod attention;
mod cores;
mod heads;
mod last;
mod layer;
mod linear;
mod norm;
mod packing;
mod precision;
mod rows;
mod workspace;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Mutex;

use candle_core::Tensor;

pub use precision::{Precision, PrecisionError, PrecisionSetting, Setting};

use self::attention::Qkv;
use self::cores::{awake, each, sharing};
use self::heads::Heads;
use self::last::{LastAttention, LastInput};
use self::layer::{FeedForward, Layer, Source};
use self::norm::{Embeddings, embed};
use self::precision::Kernels;
use self::workspace::Workspace;
use super::artifacts::Artifacts;
use super::bert::Look;
use super::config::BertConfig;
use super::kernels::{Aligned, Element, Isa};

/// Rows that go through a layer together: their widest states stay in the second-level cache, and the layer's weights are read
/// once for all of them.
const BLOCK_ROWS: usize = 72;
/// The same where tiles are multiplied, faster than weights come from memory: more rows for each time that they are read.
const BLOCK_ROWS_OF_TILES: usize = 192;

/// So many rows take no longer than their weights take to come: all cores share each product's columns.
const SHARED_ROWS: usize = 16;

/// One appeal as tokens.
#[derive(Debug, Clone, Copy)]
pub struct Sequence<'a> {
    /// Vocabulary ids.
    pub ids: &'a [u32],
    /// Token types, as many.
    pub type_ids: &'a [u32],
}

/// How many cores a batch may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cores {
    /// The caller's own: most batches an hour, if there are as many callers as cores.
    One,
    /// Those that nobody else uses, if they wake up in time.
    Free,
    /// All of them, which do nothing else: the soonest answer to one batch.
    All,
}

/// What the heads say, one row for each look.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HeadRows {
    /// [looks, departments].
    pub department_logits: Vec<f32>,
    /// [looks]; `None` if the model has no dispute head.
    pub dispute_logits: Option<Vec<f32>>,
    /// The [CLS] rows, each of length one: [looks, hidden].
    pub embeddings: Vec<f32>,
}

/// Why a batch was refused: always the caller's fault, since a loaded model computes whatever tokens it is given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// A sequence without tokens, or one whose types do not match.
    #[error("sequence {sequence} has {ids} tokens and {types} token types")]
    Lengths {
        /// Its place in the batch.
        sequence: usize,
        /// Its tokens.
        ids: usize,
        /// Its token types.
        types: usize,
    },
    /// More tokens than the model has positions.
    #[error("sequence {sequence} has {tokens} tokens, but the model has {positions} positions")]
    TooLong {
        /// Its place in the batch.
        sequence: usize,
        /// Its tokens.
        tokens: usize,
        /// Positions of the model.
        positions: usize,
    },
    /// An id that no embedding stands for.
    #[error("sequence {sequence} has a token or type that the model has no embedding for")]
    UnknownToken {
        /// Its place in the batch.
        sequence: usize,
    },
    /// Looks out of order, at a sequence that is not there, or hiding everything.
    #[error("look {look} is out of order, or hides tokens that its sequence does not have, or all that it has")]
    Look {
        /// Its place among the looks.
        look: usize,
    },
}

/// Encoder and heads, packed for this processor. Shared by all threads; never changes.
pub struct Encoder {
    embeddings: Embeddings,
    /// All layers but the last.
    layers: Vec<Layer>,
    last: LastAttention,
    last_forward: FeedForward,
    heads: Heads,
    attention_heads: usize,
    hidden: usize,
    kernels: Kernels,
    /// One for each batch under way, left for the next.
    workspaces: Mutex<Vec<Workspace>>,
}

impl Encoder {
    /// Packs the weights of a model folder in the precision that `setting` comes to.
    pub fn new(artifacts: &Artifacts, setting: Setting) -> Result<Self, PrecisionError> {
        let gate = artifacts.manifest.as_ref().and_then(|manifest| manifest.int8.as_ref());
        let kernels = Kernels::choose(setting, gate.is_some_and(|gate| gate.passed))?;
        Self::with_kernels(&artifacts.config, &artifacts.tensors, kernels)
    }

    /// Packs tensors that are in no folder yet: a model in training.
    pub fn of_tensors(
        config: &BertConfig,
        tensors: &HashMap<String, Tensor>,
        precision: Precision,
    ) -> Result<Self, PrecisionError> {
        Self::with_kernels(config, tensors, Kernels::choose(Setting::fixed(precision), false)?)
    }

    /// What it computes in.
    pub fn precision(&self) -> Precision {
        self.kernels.precision()
    }

    /// The family of instructions of its linear layers: `avx512`.
    pub fn kernel(&self) -> Isa {
        self.kernels.linear().isa()
    }

    /// Precision and instructions, for people: `int8 on avx512, attention bf16 on avx512`.
    pub fn description(&self) -> String {
        self.kernels.to_string()
    }

    /// Runs the encoder once and every head on its result. `looks` come in the order of their sequences.
    pub fn forward(&self, sequences: &[Sequence<'_>], looks: &[Look], cores: Cores) -> Result<HeadRows, BatchError> {
        self.check(sequences, looks)?;
        let mut workspace = self.workspaces.lock().ok().and_then(|mut idle| idle.pop()).unwrap_or_default();
        workspace.lay_out(sequences, looks);
        let parallel = cores != Cores::One && rayon::current_num_threads() > 1;
        let outside = rayon::current_thread_index().is_none();
        let rows = match cores {
            // One entry into the pool for the whole batch: each costs a wake-up.
            Cores::All if parallel && outside => awake(|| self.run(looks, &mut workspace, true)),
            Cores::Free if parallel && outside => rayon::scope(|_| self.run(looks, &mut workspace, true)),
            _ => self.run(looks, &mut workspace, parallel),
        };
        if let Ok(mut idle) = self.workspaces.lock() {
            idle.push(workspace);
        }
        Ok(rows)
    }

    /// The hidden states of every token after the embedding and after each layer but the last, [tokens, hidden] each: for
    /// comparison with the definition.
    pub fn hidden_states(&self, sequences: &[Sequence<'_>]) -> Result<Vec<Vec<f32>>, BatchError> {
        self.check(sequences, &[])?;
        let mut workspace = Workspace::default();
        workspace.lay_out(sequences, &[]);
        let mut states = Vec::new();
        self.layers(&mut workspace, false, |x| states.push(x.to_vec()));
        Ok(states)
    }

    fn check(&self, sequences: &[Sequence<'_>], looks: &[Look]) -> Result<(), BatchError> {
        let rows = |values: usize| values / self.hidden;
        let Embeddings { words, types, positions, .. } = &self.embeddings;
        let (words, types, positions) = (rows(words.len()), rows(types.len()), rows(positions.len()));
        for (index, sequence) in sequences.iter().enumerate() {
            let (ids, kinds) = (sequence.ids.len(), sequence.type_ids.len());
            if ids == 0 || ids != kinds {
                return Err(BatchError::Lengths { sequence: index, ids, types: kinds });
            }
            if ids > positions {
                return Err(BatchError::TooLong { sequence: index, tokens: ids, positions });
            }
            let unknown = |ids: &[u32], count: usize| ids.iter().any(|id| *id as usize >= count);
            if unknown(sequence.ids, words) || unknown(sequence.type_ids, types) {
                return Err(BatchError::UnknownToken { sequence: index });
            }
        }
        for (index, look) in looks.iter().enumerate() {
            let tokens = sequences.get(look.sequence).map_or(0, |sequence| sequence.ids.len());
            let ordered = index == 0 || looks[index - 1].sequence <= look.sequence;
            if !ordered || look.hidden.end > tokens || look.hidden.start > look.hidden.end || look.hidden.len() >= tokens {
                return Err(BatchError::Look { look: index });
            }
        }
        Ok(())
    }

    fn run(&self, looks: &[Look], workspace: &mut Workspace, parallel: bool) -> HeadRows {
        self.layers(workspace, parallel, |_| {});
        let hidden = self.hidden;
        let Workspace { x, offsets, hidden_ranges, first_look, last, context, block, shares, .. } = workspace;
        let context = context.resize_words(looks.len() * hidden);
        // From here on there are few rows, if there are not many texts.
        let cores = if parallel && looks.len() <= SHARED_ROWS { sharing() } else { 1 };
        if shares.len() < cores {
            shares.resize_with(cores, Aligned::default);
        }
        let (shares, block) = (&mut shares[..cores], &mut block[0]);
        let input = LastInput { states: x.floats(), offsets, hidden: hidden_ranges, first_look };
        self.last.run(input, last, shares, context);
        // What the answer is made of is the only memory that is asked for anew.
        let mut cls = vec![0f32; looks.len() * hidden];
        for (row, look) in cls.chunks_exact_mut(hidden).zip(looks) {
            row.copy_from_slice(&x.floats()[offsets[look.sequence] * hidden..][..hidden]);
        }
        for (rows, context) in cls.chunks_mut(BLOCK_ROWS * hidden).zip(context.chunks(BLOCK_ROWS * hidden)) {
            self.last_forward.run(Source::Rows(context), rows, block, shares);
        }
        self.heads.run(cls, block, shares)
    }

    /// All layers but the last: `workspace.x` from embeddings to the last layer's input.
    fn layers(&self, workspace: &mut Workspace, parallel: bool, mut see: impl FnMut(&[f32])) {
        let tokens = workspace.ids.len();
        let rows = self.block_rows(tokens, parallel);
        let blocks = tokens.div_ceil(rows).max(1);
        workspace.fit(tokens, self.hidden, blocks, self.attention_heads, &self.kernels);
        self.embed(workspace, rows, parallel);
        see(workspace.x.floats());
        for index in 0..self.layers.len() {
            self.attend(workspace, parallel);
            self.feed(index, workspace, rows, parallel);
            see(workspace.x.floats());
        }
    }

    /// Rows of a block: all cores get equally many blocks of whole strips.
    fn block_rows(&self, tokens: usize, parallel: bool) -> usize {
        let strip = self.kernels.linear().rows();
        let most = if self.kernels.linear().is_tiled() { BLOCK_ROWS_OF_TILES } else { BLOCK_ROWS };
        let cores = if parallel { rayon::current_num_threads() } else { 1 };
        let blocks = cores * tokens.div_ceil(cores * most).max(1);
        tokens.div_ceil(blocks).next_multiple_of(strip)
    }

    /// What queries, keys and values are in, and the words of so many rows of them.
    fn qkv_words(&self, rows: usize) -> (Element, usize) {
        let element = self.kernels.projected();
        (element, rows * 3 * self.hidden * element.size() / 4)
    }

    fn embed(&self, workspace: &mut Workspace, rows: usize, parallel: bool) {
        let hidden = self.hidden;
        let next = self.layers.first();
        let (element, words) = self.qkv_words(rows);
        let Workspace { x, qkv, ids, block, .. } = workspace;
        let tasks = x
            .floats_mut()
            .chunks_mut(rows * hidden)
            .zip(qkv.words_mut().chunks_mut(words))
            .zip(ids.chunks(rows))
            .zip(block.iter_mut());
        each(parallel, tasks, |(((x, qkv), ids), block)| {
            embed(&self.embeddings, ids, x);
            if let Some(layer) = next {
                layer.project(x, element, qkv, block);
            }
        });
    }

    fn attend(&self, workspace: &mut Workspace, parallel: bool) {
        let (hidden, heads) = (self.hidden, self.attention_heads);
        let size = hidden / heads;
        let Workspace { qkv, context, offsets, attention, ids, .. } = workspace;
        let qkv = Qkv { words: qkv.words(), width: hidden, size, element: self.kernels.projected() };
        let context = context.floats_mut()[..ids.len() * hidden].chunks_mut(ids.len() * size).enumerate();
        let head_of = |head: usize, out: &mut [f32], scratch: &mut attention::AttentionScratch| {
            for ends in offsets.windows(2) {
                scratch.head(qkv, head, ends[0]..ends[1], &mut out[ends[0] * size..ends[1] * size]);
            }
        };
        match parallel {
            true => each(true, context.zip(attention.iter_mut()), |((head, out), scratch)| head_of(head, out, scratch)),
            // One head's memory for all of them: it stays in cache.
            false => context.for_each(|(head, out)| head_of(head, out, &mut attention[0])),
        }
    }

    /// The rest of layer `index`, and the next one's q, k, v.
    fn feed(&self, index: usize, workspace: &mut Workspace, rows: usize, parallel: bool) {
        let hidden = self.hidden;
        let Workspace { x, qkv, context, ids, block, .. } = workspace;
        let (context, tokens, size) = (context.floats(), ids.len(), hidden / self.attention_heads);
        let next = self.layers.get(index + 1);
        let (element, words) = self.qkv_words(rows);
        let tasks =
            x.floats_mut().chunks_mut(rows * hidden).zip(qkv.words_mut().chunks_mut(words)).zip(block.iter_mut()).enumerate();
        each(parallel, tasks, |(at, ((x, qkv), block))| {
            let source = Source::Heads { context, tokens, size, first: at * rows };
            self.layers[index].forward.run(source, x, block, &mut []);
            if let Some(layer) = next {
                layer.project(x, element, qkv, block);
            }
        });
    }
}

/// Ranges of `hidden` for each look, and where each sequence's looks begin.
fn looks_of(looks: &[Look], sequences: usize, ranges: &mut Vec<Range<usize>>, first: &mut Vec<usize>) {
    ranges.clear();
    ranges.extend(looks.iter().map(|look| look.hidden.clone()));
    first.clear();
    first.extend((0..=sequences).map(|sequence| looks.partition_point(|look| look.sequence < sequence)));
}
