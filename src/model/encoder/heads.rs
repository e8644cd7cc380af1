//! Pooler and heads on the [CLS] rows, in f32: they are cheap, and the logits are what the answer is made of.

use super::HeadRows;
use super::layer::BlockScratch;
use super::linear::{PackedLinear, Then};
use super::norm::unit_rows;
use crate::model::kernels::Aligned;
use crate::model::vector::{tanh, vectorised};

/// Pooler, department head, dispute head.
pub(super) struct Heads {
    pub(super) pooler: PackedLinear,
    pub(super) departments: PackedLinear,
    pub(super) dispute: Option<PackedLinear>,
}

impl Heads {
    /// From the last layer's [CLS] rows [looks, hidden]. For `shares` see [`PackedLinear::run_shared`].
    pub(super) fn run(&self, cls: Vec<f32>, scratch: &mut BlockScratch, shares: &mut [Aligned]) -> HeadRows {
        let hidden = self.pooler.outer();
        let looks = cls.len() / hidden;
        let BlockScratch { rows, result, .. } = scratch;
        let pooled = result.resize_words(cls.len());
        self.pooler.prepare(rows, &cls);
        self.pooler.run_shared(rows, Then::Keep, pooled, shares);
        bounded(pooled);
        // Both heads are f32 and read the same rows.
        self.departments.prepare(rows, pooled);
        let mut department_logits = vec![0f32; looks * self.departments.outer()];
        self.departments.run(rows, Then::Keep, &mut department_logits);
        let dispute_logits = self.dispute.as_ref().map(|head| {
            let mut logits = vec![0f32; looks];
            head.run(rows, Then::Keep, &mut logits);
            logits
        });
        let mut embeddings = cls;
        unit_rows(&mut embeddings, hidden);
        HeadRows { department_logits, dispute_logits, embeddings }
    }
}

vectorised! {
    /// The pooler's tanh, in place.
    fn bounded<'a>(values: &'a mut [f32]) {
        for x in values.iter_mut() {
            *x = tanh(*x);
        }
    }
}
