//! Validation: what the model says of orders that it did not learn from.

use anyhow::Result;
use paidan::evaluation::{DepartmentMeasures, DepartmentScores, RiskScores, Truth};
use paidan::model::calibration::{Scales, sharpened, surprises};
use paidan::model::{Cores, Department, DepartmentWords, Encoder, Look, Sequence};
use paidan::text::AppealTokenizer;

use crate::examples::{Example, InputKind, encode_all};

/// Tokens in one forward pass.
const PASS_TOKENS: usize = 4096;

/// Raw answers to a list of examples, in their order.
pub struct Answers {
    /// [orders][departments].
    pub department_logits: Vec<Vec<f32>>,
    /// [orders]; empty if there is no dispute head.
    pub dispute_logits: Vec<f32>,
    /// [orders][hidden].
    pub embeddings: Vec<Vec<f32>>,
    /// [orders][tokens]: the text's own that were read.
    pub texts: Vec<Vec<u32>>,
    /// [orders][departments]: how much the words speak for each department; empty until they are asked.
    pub margins: Vec<Vec<f32>>,
}

impl Answers {
    /// Asks the words.
    pub fn ask_words(&mut self, words: &DepartmentWords) {
        self.margins = self.texts.iter().map(|text| words.margins(text.iter().copied())).collect();
    }

    /// How much the words speak for each department in one order.
    pub fn margins(&self, order: usize) -> &[f32] {
        self.margins.get(order).map_or(&[], Vec::as_slice)
    }

    /// Calibrated, of one order.
    pub fn probabilities(&self, order: usize, scales: &Scales) -> Vec<f32> {
        scales.department_probabilities(&self.department_logits[order], self.margins(order))
    }
}

/// Runs the model over all examples, long ones with long ones.
pub fn answer(
    encoder: &Encoder,
    examples: &[Example],
    tokenizer: &AppealTokenizer,
    kind: InputKind,
    max_tokens: usize,
) -> Result<Answers> {
    let encodings = encode_all(examples, tokenizer, kind, max_tokens)?;
    let mut order: Vec<usize> = (0..encodings.len()).collect();
    order.sort_by_key(|i| encodings[*i].ids.len());
    let count = encodings.len();
    let mut answers = Answers {
        department_logits: vec![Vec::new(); count],
        dispute_logits: vec![0.0; count],
        embeddings: vec![Vec::new(); count],
        margins: Vec::new(),
        texts: encodings.iter().map(|encoding| encoding.text_ids().collect()).collect(),
    };
    let mut has_disputes = true;
    let mut start = 0;
    while start < count {
        let mut end = start + 1;
        let mut tokens = encodings[order[start]].ids.len();
        while end < count && tokens + encodings[order[end]].ids.len() <= PASS_TOKENS {
            tokens += encodings[order[end]].ids.len();
            end += 1;
        }
        let chosen = &order[start..end];
        let sequence = |i: &usize| Sequence { ids: &encodings[*i].ids, type_ids: &encodings[*i].type_ids };
        let sequences: Vec<Sequence<'_>> = chosen.iter().map(sequence).collect();
        let looks: Vec<Look> = (0..chosen.len()).map(|sequence| Look { sequence, hidden: 0..0 }).collect();
        let output = encoder.forward(&sequences, &looks, Cores::All)?;
        has_disputes = output.dispute_logits.is_some();
        let rows = |values: &[f32], row: usize| values.chunks_exact(values.len() / chosen.len()).nth(row).map(<[f32]>::to_vec);
        for (row, i) in chosen.iter().enumerate() {
            answers.department_logits[*i] = rows(&output.department_logits, row).unwrap_or_default();
            answers.embeddings[*i] = rows(&output.embeddings, row).unwrap_or_default();
            if let Some(dispute) = &output.dispute_logits {
                answers.dispute_logits[*i] = dispute[row];
            }
        }
        start = end;
    }
    if !has_disputes {
        answers.dispute_logits.clear();
    }
    Ok(answers)
}

/// Figures of one validation.
pub struct Figures {
    /// Over the orders of departments with enough training orders; over all orders if no order is of such a department.
    pub departments: DepartmentMeasures,
    /// Area under the curve of the dispute head's logit alone.
    pub dispute_auc: Option<f64>,
}

/// Measures answers; probabilities are the uncalibrated softmax.
pub fn measure(answers: &Answers, examples: &[Example], departments: &[Department], min_orders: usize) -> Figures {
    let mut scores = DepartmentScores::new(departments.iter().map(|department| department.id.clone()).collect());
    let mut disputes = RiskScores::default();
    for (i, example) in examples.iter().enumerate() {
        let truth = example.department.map_or(Truth::Unknown("(not in training)"), Truth::Known);
        scores.push(&sharpened(&surprises(&answers.department_logits[i]), 1.0, 1.0), truth);
        if let (Some(logit), Some(disputed)) = (answers.dispute_logits.get(i), example.disputed) {
            disputes.push(*logit, disputed);
        }
    }
    let frequent = |id: &str| departments.iter().any(|d| d.id == id && d.training_orders >= min_orders);
    let mut measured = scores.measures_within(frequent);
    if measured.orders == 0 {
        // Nothing measured is not the same as nothing right.
        measured = scores.measures();
    }
    Figures { departments: measured, dispute_auc: disputes.measures().auc }
}
