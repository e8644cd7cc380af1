//! Categories as a second lesson: beside its department, an order whose category is hidden is asked which category the operator
//! gave it. What tells categories apart tells departments apart, and nearly every order teaches it. The head that answers is left
//! behind when the model is written.

use std::collections::BTreeMap;

use candle_core::{D, Device, Result, Tensor};
use candle_nn::ops::log_softmax;

/// Levels of a category that are asked for, from the top.
pub const LEVELS: usize = 3;

/// The classes of each level: categories down to it, as a path, that enough training orders have.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Categories {
    levels: Vec<BTreeMap<Vec<String>, usize>>,
}

impl Categories {
    /// What at least `least` of these categories have in common, for each level.
    pub fn collect<'a>(categories: impl Iterator<Item = &'a [String]> + Clone, least: usize) -> Self {
        let level = |depth: usize| {
            let mut counts = BTreeMap::new();
            for path in categories.clone().filter(|path| path.len() >= depth) {
                *counts.entry(path[..depth].to_vec()).or_insert(0) += 1;
            }
            counts.retain(|_, count| *count >= least);
            counts.into_keys().enumerate().map(|(row, path)| (path, row)).collect()
        };
        Self { levels: (1..=LEVELS).map(level).collect() }
    }

    /// Rows of the head: the classes of all levels, one level after the other.
    pub fn rows(&self) -> usize {
        self.levels.iter().map(BTreeMap::len).sum()
    }

    /// The class of a category on each level; `None` where it is too rare to be asked for.
    pub fn of(&self, category: &[String]) -> [Option<usize>; LEVELS] {
        std::array::from_fn(|level| self.levels.get(level).and_then(|classes| classes.get(category.get(..=level)?).copied()))
    }

    /// Cross-entropy of `logits` [orders, rows]; of each level the mean over the orders that have a class there, and of those the
    /// mean.
    pub fn loss(&self, logits: &Tensor, classes: &[[Option<usize>; LEVELS]]) -> Result<Tensor> {
        let (mut first, mut loss) = (0, Tensor::zeros((), logits.dtype(), &Device::Cpu)?);
        for (level, rows) in self.levels.iter().map(BTreeMap::len).enumerate() {
            let mut targets = vec![0f32; classes.len() * rows];
            let mut known = 0;
            for (order, classes) in classes.iter().enumerate() {
                if let Some(class) = classes[level] {
                    targets[order * rows + class] = 1.0;
                    known += 1;
                }
            }
            if known > 0 {
                let targets = Tensor::from_vec(targets, (classes.len(), rows), &Device::Cpu)?;
                let said = log_softmax(&logits.narrow(D::Minus1, first, rows)?, D::Minus1)?;
                loss = (loss - ((said * targets)?.sum_all()? / (known * LEVELS) as f64)?)?;
            }
            first += rows;
        }
        Ok(loss)
    }
}
