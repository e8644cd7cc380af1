//! What a model said of orders that it did not learn from, as it lies in a file between two runs, and what the witnesses of a
//! dispute make of it.

use std::path::Path;

use anyhow::{Context, Result};
use paidan::evaluation::WorkOrder;
use paidan::model::calibration::{Scales, surprises};
use paidan::model::{Calibration, Weighings};
use paidan::routing::Witnesses;
use serde::{Deserialize, Serialize};

use crate::calibrate::{Answer, Sharpness, own};
use crate::dataset::Labels;
use crate::dispute::Hearing;
use crate::examples::InputKind;
use crate::lore::Lore;
use crate::validate::Answers;

/// Of one order. Numbers stand by the labels' rows.
#[derive(Debug, Serialize, Deserialize)]
pub struct Said {
    pub order_id: String,
    /// From text alone, and with category and type.
    pub heads: [Heads; 2],
    /// How much the words speak for each department.
    margins: Vec<f32>,
    /// Of the words' history of disputes.
    words: Option<f32>,
    text_tokens: usize,
}

/// What the heads said, and how near the appeal was to each department's orders.
#[derive(Debug, Serialize, Deserialize)]
pub struct Heads {
    logits: Vec<f32>,
    dispute_logit: Option<f32>,
    cosines: Vec<f32>,
}

impl Said {
    /// From the answers to text alone, whose words were asked, and with category.
    pub fn of(order: &WorkOrder, at: usize, answers: [&Answers; 2], lore: &Lore) -> Self {
        let heads = |answers: &Answers| Heads {
            logits: answers.department_logits[at].clone(),
            dispute_logit: answers.dispute_logits.get(at).copied(),
            cosines: lore.cosines(&answers.embeddings[at]),
        };
        let text = &answers[0].texts[at];
        Self {
            order_id: order.order_id.clone(),
            heads: answers.map(heads),
            margins: answers[0].margins(at).to_vec(),
            words: lore.words.as_ref().map(|words| words.score(text.iter().copied())),
            text_tokens: text.len(),
        }
    }

    /// True if it speaks of so many departments.
    pub fn is_whole(&self, departments: usize) -> bool {
        let mut rows = self.heads.iter().flat_map(|heads| [&heads.logits, &heads.cosines]).chain([&self.margins]);
        rows.all(|row| row.len() == departments)
    }

    /// Calibrated.
    pub fn probabilities(&self, kind: usize, scales: &Scales) -> Vec<f32> {
        scales.department_probabilities(&self.heads[kind].logits, &self.margins)
    }

    fn answer(&self, kind: usize, row: usize) -> Answer<'_> {
        Answer { surprises: surprises(&self.heads[kind].logits), margins: &self.margins, row }
    }
}

/// An order with its department's row, what was said of it, and how often dispatches to each department came back among the orders
/// that its model learnt from.
pub struct Row<'a> {
    pub order: &'a WorkOrder,
    pub row: usize,
    pub said: &'a Said,
    pub history: &'a [f32],
}

/// What the answers of one kind of input are worth.
pub fn scales(rows: &[Row<'_>], kind: usize) -> Scales {
    let own = own(rows.iter().map(|one| one.order), [InputKind::TextOnly, InputKind::WithCategory][kind]);
    let fitted_to = rows.iter().zip(own).filter(|(_, own)| *own).map(|(one, _)| one.said.answer(kind, one.row));
    let answers: Vec<Answer<'_>> = fitted_to.collect();
    let fitted = Sharpness::fit(&answers);
    Scales {
        temperature: fitted.temperature as f32,
        power: fitted.power as f32,
        words: fitted.words as f32,
        words_power: fitted.words_power as f32,
        ..Calibration::default().text_only
    }
}

/// What the witnesses say of each order whose course is known: of the appeal, and of the operator's proposal.
pub fn hearings(rows: &[Row<'_>], kind: usize, scales: &Scales, labels: &Labels) -> (Hearing, Hearing) {
    let (mut appeals, mut proposals) = (Hearing::default(), Hearing::default());
    for Row { order, said, history, .. } in rows {
        let Some(disputed) = order.rerouted else { continue };
        let witnesses = Witnesses {
            dispute_logit: said.heads[kind].dispute_logit,
            probabilities: &said.probabilities(kind, scales),
            cosines: &said.heads[kind].cosines,
            words: said.words,
            opinion: &scales.words_opinion(&said.margins),
            text_tokens: said.text_tokens,
        };
        appeals.values.push(witnesses.of_the_appeal().into());
        appeals.outcomes.push(disputed);
        appeals.days.push(order.received_on);
        let proposed: Vec<usize> = order.instructed.iter().filter_map(|name| labels.row(name)).collect();
        if !proposed.is_empty() {
            proposals.values.push(witnesses.of_a_proposal(&proposed, history).into());
            proposals.outcomes.push(disputed);
            proposals.days.push(order.received_on);
        }
    }
    (appeals, proposals)
}

/// `weights.json`: how the witnesses of a dispute are weighed, by orders that their models had not learnt from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrossWeights {
    text_only: Weighings,
    with_category: Weighings,
    /// How strongly who used to take over moves the next answer; absent if no order was re-dispatched.
    takeover_strength: Option<f32>,
}

impl CrossWeights {
    /// Fitted to the hearings of both kinds of input; `None` if too little is known of one of the risks.
    pub fn fit([text, category]: [(Hearing, Hearing); 2], takeover_strength: Option<f32>) -> Option<Self> {
        let weighings = |(appeals, proposals): (Hearing, Hearing)| {
            Some(Weighings { appeal: appeals.freely()?, proposal: proposals.freely()? })
        };
        Some(Self { text_only: weighings(text)?, with_category: weighings(category)?, takeover_strength })
    }

    /// Reads the file of a crossfit's folder; `None` if it wrote none.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(super::WEIGHTS);
        if !path.is_file() {
            return Ok(None);
        }
        let bytes = std::fs::read(&path).with_context(|| format!("{}: cannot be read", path.display()))?;
        serde_json::from_slice(&bytes).map(Some).with_context(|| format!("{}: no weights of witnesses", path.display()))
    }

    /// See [`paidan::model::Takeover::with_strength`].
    pub fn takeover_strength(&self) -> Option<f32> {
        self.takeover_strength
    }

    /// For one kind of input.
    pub fn of(&self, kind: InputKind) -> &Weighings {
        match kind {
            InputKind::TextOnly => &self.text_only,
            InputKind::WithCategory => &self.with_category,
        }
    }
}
