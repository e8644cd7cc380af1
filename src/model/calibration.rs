//! Calibration: from logits to probabilities that mean what they say. Fitted on validation data by the training crate, kept in
//! `calibration.json`, read here.
//!
//! The answer to text alone and the answer that also knew the operator's category are two different predictions, sure of
//! themselves to a different degree, so each has its own numbers.

use serde::{Deserialize, Serialize};

use super::{DutyBound, Likeness, Redispatches};

/// `calibration.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// When nothing but the text was given.
    pub text_only: Scales,
    /// When the operator's category or type was given too.
    pub with_category: Scales,
    /// When a person should look.
    pub review: ReviewThresholds,
    /// How like an appeal must be to a ruling; a folder from before there were rulings says nothing of it.
    #[serde(default)]
    pub precedents: Likeness,
    /// Who took over from whom; a folder from before orders could be returned says nothing of it.
    #[serde(default, skip_serializing_if = "Redispatches::is_empty")]
    pub redispatches: Redispatches,
    /// How strongly that moves the next answer, from 0 to 1.
    #[serde(default = "plain")]
    pub takeover_strength: f32,
    /// Least mean cosine of disputes that are one that comes back, where nobody asks for another. A folder from before it was
    /// measured has what it was for the model of that time.
    #[serde(default = "recurrence_similarity")]
    pub recurrence_similarity: f32,
    /// When a department that the model has never seen is named by its duties; a folder that says nothing of it names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duties: Option<DutyBound>,
}

fn recurrence_similarity() -> f32 {
    0.45
}

fn plain() -> f32 {
    1.0
}

/// The numbers for one kind of input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scales {
    /// Each department's surprise, `-ln p`, is divided by it (temperature scaling, Guo et al. 2017). Positive.
    pub temperature: f32,
    /// The surprise is raised to it first; 1 is plain temperature scaling. Training with label smoothing leaves every department
    /// a share of the probability, so that the tail of the answers is too fat and its head too flat for one temperature to mend
    /// both; a power above 1 takes that back. Positive, so the ranking never changes.
    pub power: f32,
    /// How many nats a margin of one of the words' own opinion is worth ([`super::DepartmentWords`]); 0 where they are not asked.
    /// Not negative.
    #[serde(default)]
    pub words: f32,
    /// The margin's size is raised to it first: small margins are mostly noise. Positive.
    #[serde(default = "plain")]
    pub words_power: f32,
    /// How the witnesses of a dispute are weighed.
    pub dispute: DisputeWeights,
    /// How the probability of a proposed department tells whether the dispatch to it comes back.
    pub proposal: ProposalWeights,
}

/// A logistic model over what the encoder says of an appeal: `bias + head * logit + entropy * H(p)`.
/// With `entropy` 0 it is temperature scaling (and a shift) of the dispute head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisputeWeights {
    /// Log-odds when everything else is zero.
    pub bias: f32,
    /// Per unit of the dispute head's logit.
    pub head: f32,
    /// Per nat of entropy of the calibrated department probabilities.
    pub entropy: f32,
}

/// A logistic model over the proposed departments' probability: `bias + surprise * -ln(p)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProposalWeights {
    /// Log-odds for a proposal that the model is certain of.
    pub bias: f32,
    /// Per nat of surprise.
    pub surprise: f32,
}

/// Below or above these a person should look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewThresholds {
    /// Least probability of the lead.
    pub confidence: f32,
    /// Least distance between the two most likely departments.
    pub margin: f32,
    /// Most dispute risk.
    pub dispute_risk: f32,
    /// Least number of the text's own tokens.
    pub text_tokens: usize,
    /// Least cosine of the embedding to the nearest department's centre.
    pub familiarity: f32,
}

impl Default for Calibration {
    /// For a model that was never calibrated: its numbers as they are, and a cautious review.
    fn default() -> Self {
        let scales = Scales {
            temperature: 1.0,
            power: 1.0,
            words: 0.0,
            words_power: plain(),
            dispute: DisputeWeights { bias: 0.0, head: 1.0, entropy: 0.0 },
            proposal: ProposalWeights { bias: -4.0, surprise: 1.0 },
        };
        let review = ReviewThresholds { confidence: 0.7, margin: 0.2, dispute_risk: 0.15, text_tokens: 5, familiarity: -1.0 };
        Self {
            text_only: scales.clone(),
            with_category: scales,
            review,
            precedents: Likeness::default(),
            redispatches: Redispatches::default(),
            takeover_strength: plain(),
            recurrence_similarity: recurrence_similarity(),
            duties: None,
        }
    }
}

impl Calibration {
    /// Refuses numbers that would give no probabilities.
    pub fn check(&self) -> Result<(), String> {
        for (name, scales) in [("text_only", &self.text_only), ("with_category", &self.with_category)] {
            let positive = [("temperature", scales.temperature), ("power", scales.power), ("words_power", scales.words_power)];
            for (key, value) in positive {
                if !(value.is_finite() && value > 0.0) {
                    return Err(format!("{name}.{key} must be above 0, not {value}"));
                }
            }
            if !(scales.words.is_finite() && scales.words >= 0.0) {
                return Err(format!("{name}.words must not be below 0, but is {}", scales.words));
            }
            let weights = [
                scales.dispute.bias,
                scales.dispute.head,
                scales.dispute.entropy,
                scales.proposal.bias,
                scales.proposal.surprise,
            ];
            if weights.iter().any(|weight| !weight.is_finite()) {
                return Err(format!("{name} holds a weight that is no number"));
            }
        }
        let review = &self.review;
        let shares = [("takeover_strength", self.takeover_strength), ("recurrence_similarity", self.recurrence_similarity)];
        if let Some((key, value)) = shares.into_iter().find(|(_, value)| !(0.0..=1.0).contains(value)) {
            return Err(format!("{key} must be between 0 and 1, not {value}"));
        }
        let within = [("confidence", review.confidence), ("margin", review.margin), ("dispute_risk", review.dispute_risk)];
        match within.iter().find(|(_, value)| !(0.0..=1.0).contains(value)) {
            Some((name, value)) => Err(format!("review.{name} must be between 0 and 1, not {value}")),
            None if !(-1.0..=1.0).contains(&review.familiarity) => {
                Err(format!("review.familiarity must be between -1 and 1, not {}", review.familiarity))
            }
            None => self.precedents.check().and_then(|()| self.duties.as_ref().map_or(Ok(()), DutyBound::check)),
        }
    }
}

impl Scales {
    /// What a margin of the words is worth, in nats.
    pub fn heard(&self, margin: f32) -> f32 {
        self.words * loudness(margin, self.words_power)
    }

    /// What the words alone would say, by row; nothing where they are not asked.
    pub fn words_opinion(&self, margins: &[f32]) -> Vec<f32> {
        if self.words <= 0.0 {
            return Vec::new();
        }
        softmin(margins.iter().map(|margin| -self.heard(*margin)).collect())
    }

    /// Department probabilities: softmax of `-(-ln p)^power / temperature + words * margin^words_power` with p the softmax of the
    /// encoder's logits; without margins the encoder's alone. They sum to one.
    pub fn department_probabilities(&self, logits: &[f32], margins: &[f32]) -> Vec<f32> {
        let mut costs = costs(&surprises(logits), self.temperature, self.power);
        costs.iter_mut().zip(margins).for_each(|(cost, margin)| *cost -= self.heard(*margin));
        softmin(costs)
    }

    /// Probability that the dispatch of this appeal is disputed, from the dispute head's logit and the calibrated department
    /// probabilities.
    pub fn dispute_risk(&self, dispute_logit: f32, department_probabilities: &[f32]) -> f32 {
        let weights = &self.dispute;
        sigmoid(weights.bias + weights.head * dispute_logit + weights.entropy * entropy(department_probabilities))
    }

    /// Probability that a dispatch to departments which are together this probable comes back.
    pub fn proposal_risk(&self, probability: f32) -> f32 {
        sigmoid(self.proposal.bias + self.proposal.surprise * surprise(probability))
    }
}

/// `-ln softmax(logits)`, stable for any finite logits.
pub fn surprises(logits: &[f32]) -> Vec<f32> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total = logits.iter().map(|logit| (logit - highest).exp()).sum::<f32>().ln();
    logits.iter().map(|logit| (highest - logit) + total).collect()
}

/// Softmax of `-surprise^power / temperature`.
pub fn sharpened(surprises: &[f32], temperature: f32, power: f32) -> Vec<f32> {
    softmin(costs(surprises, temperature, power))
}

fn costs(surprises: &[f32], temperature: f32, power: f32) -> Vec<f32> {
    surprises.iter().map(|surprise| surprise.max(0.0).powf(power) / temperature).collect()
}

/// Softmax of the costs' negatives.
fn softmin(costs: Vec<f32>) -> Vec<f32> {
    let least = costs.iter().copied().fold(f32::INFINITY, f32::min);
    let weights: Vec<f32> = costs.iter().map(|cost| (least - cost).exp()).collect();
    let total: f32 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / total).collect()
}

/// `|margin|^power` with the margin's sign.
fn loudness(margin: f32, power: f32) -> f32 {
    margin.abs().powf(power).copysign(margin)
}

/// 1 / (1 + e^-x), without overflow on either side.
pub fn sigmoid(x: f32) -> f32 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let e = x.exp();
        e / (1.0 + e)
    }
}

/// Entropy in nats.
pub fn entropy(probabilities: &[f32]) -> f32 {
    -probabilities.iter().filter(|p| **p > 0.0).map(|p| p * p.ln()).sum::<f32>()
}

/// -ln p, at most 14 nats: a probability of zero is a rounding, not a certainty.
pub fn surprise(probability: f32) -> f32 {
    -probability.max(1e-6).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_power_one_it_is_temperature_scaling_and_no_power_changes_the_ranking() {
        let logits = [2.0f32, -1.0, 0.5, 1.9];
        let mut scales = Calibration::default().text_only;
        scales.temperature = 1.7;
        let total: f32 = logits.iter().map(|logit| (logit / 1.7).exp()).sum();
        for (probability, logit) in scales.department_probabilities(&logits, &[]).iter().zip(logits) {
            assert!((probability - (logit / 1.7).exp() / total).abs() < 1e-6);
        }
        for power in [0.3, 1.8, 3.0] {
            scales.power = power;
            let probabilities = scales.department_probabilities(&logits, &[]);
            assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-6);
            assert!(
                probabilities[0] > probabilities[3]
                    && probabilities[3] > probabilities[2]
                    && probabilities[2] > probabilities[1]
            );
        }
    }

    #[test]
    fn words_move_the_answer_by_their_weight_and_without_margins_not_at_all() {
        let mut scales = Calibration::default().text_only;
        scales.words = 2.0;
        let (alone, heard) =
            (scales.department_probabilities(&[1.0, 0.0], &[]), scales.department_probabilities(&[1.0, 0.0], &[-0.5, 0.5]));
        assert!((alone[0] / alone[1] - 1f32.exp()).abs() < 1e-5);
        assert!((heard[1] / heard[0] - 1f32.exp()).abs() < 1e-5, "one nat for the first, two for the second");
        let opinion = scales.words_opinion(&[-0.5, 0.5]);
        assert!((opinion[1] / opinion[0] - 2f32.exp()).abs() < 1e-5);
        assert!(Calibration::default().text_only.words_opinion(&[-0.5, 0.5]).is_empty());
    }

    #[test]
    fn huge_logits_give_probabilities_too() {
        let mut scales = Calibration::default().text_only;
        scales.power = 1.8;
        let probabilities = scales.department_probabilities(&[1e4, -1e4, 0.0], &[]);
        assert_eq!(probabilities, [1.0, 0.0, 0.0]);
        assert!(scales.dispute_risk(1e6, &probabilities) <= 1.0 && scales.dispute_risk(-1e6, &probabilities) >= 0.0);
    }
}
