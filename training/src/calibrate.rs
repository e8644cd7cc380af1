//! Calibration on validation orders: temperature and power for the departments, small logistic models for the risks, and the
//! thresholds beyond which a person should look.

use std::ops::RangeInclusive;

use paidan::evaluation::{CoveragePoint, DepartmentScores, RiskScores, Truth, WorkOrder, coverage_at, coverage_points};
use paidan::model::calibration::{DisputeWeights, ProposalWeights, Scales, entropy, surprise, surprises};
use paidan::model::{Calibration, DisputeModel, Weighings};

use paidan::routing::{Witnesses, second_sentence};
use rayon::prelude::*;

use crate::dataset::Labels;
use crate::dispute::Hearing;
use crate::examples::InputKind;
use crate::logistic;
use crate::lore::Lore;
use crate::validate::Answers;

/// Precision that answers must have which go out without a person.
const PRECISION_ALONE: f64 = 0.95;
/// Bounds of the probability from which on they do.
const ALONE: RangeInclusive<f32> = 0.5..=0.99;
/// Share of orders that may be reviewed for their dispute risk.
const REVIEW_SHARE: f64 = 0.10;
/// Share of validation orders that count as unlike anything seen.
const UNLIKE_SHARE: f64 = 0.01;
/// Distance of the two best departments below which the second is called close.
const CLOSE_MARGIN: f32 = 0.15;
/// Texts with fewer tokens say too little.
const SHORT_TOKENS: usize = 5;
/// A margin of the words is worth no more nats than this.
const MOST_WORDS: f64 = 8.0;
/// How well the words' weight is found, and in how many rounds at most.
const WORDS_TOLERANCE: f64 = 0.01;
const ROUNDS: usize = 8;
/// No answer counts more than this against the numbers, in nats: one wrong label should not decide for all.
const MOST_SURPRISE: f64 = 14.0;
/// Keeps the logistic models of few disputes from running away.
const RIDGE: f64 = 0.1;

/// The validation orders with what the model said of them, for one kind of input.
pub struct Judged<'a> {
    /// The orders.
    pub orders: &'a [WorkOrder],
    /// Labels of the model.
    pub labels: &'a Labels,
    /// What it said, in the orders' order.
    pub answers: &'a Answers,
    /// What the training orders taught besides.
    pub lore: &'a Lore,
    /// How the witnesses are weighed, if that is known already.
    pub weights: Option<&'a Weighings>,
    /// What was read of the orders.
    pub kind: InputKind,
}

impl Judged<'_> {
    fn department(&self, order: usize) -> Option<usize> {
        self.orders[order].department.as_deref().and_then(|name| self.labels.row(name))
    }

    /// The orders for which it is known whether they were disputed, and whether they were.
    fn disputed(&self) -> Vec<(usize, bool)> {
        let known = |(i, order): (usize, &WorkOrder)| order.rerouted.map(|disputed| (i, disputed));
        self.orders.iter().enumerate().filter_map(known).collect()
    }

    /// The departments that the operator named.
    fn proposed(&self, order: usize) -> Vec<usize> {
        self.orders[order].instructed.iter().filter_map(|name| self.labels.row(name)).collect()
    }

    /// Summed probability of the departments that the operator named, where all is known, of these orders.
    fn proposals(&self, scales: &Scales, of: impl Iterator<Item = (usize, bool)>) -> Vec<(f32, bool)> {
        let mut proposals = Vec::new();
        for (i, disputed) in of {
            let rows = self.proposed(i);
            if !rows.is_empty() {
                let probabilities = self.answers.probabilities(i, scales);
                proposals.push((rows.iter().map(|row| probabilities[*row]).sum(), disputed));
            }
        }
        proposals
    }

    /// What the witnesses say of each order whose outcome is known: of the appeal, and of the operator's proposal.
    pub fn hearings(&self, scales: &Scales) -> (Hearing, Hearing) {
        let (mut appeals, mut proposals) = (Hearing::default(), Hearing::default());
        appeals.weights = self.weights.map(|weights| weights.appeal.clone());
        proposals.weights = self.weights.map(|weights| weights.proposal.clone());
        for (i, disputed) in self.disputed() {
            let text = &self.answers.texts[i];
            let witnesses = Witnesses {
                dispute_logit: self.answers.dispute_logits.get(i).copied(),
                probabilities: &self.answers.probabilities(i, scales),
                opinion: &scales.words_opinion(self.answers.margins(i)),
                cosines: &self.lore.cosines(&self.answers.embeddings[i]),
                words: self.lore.words.as_ref().map(|words| words.score(text.iter().copied())),
                text_tokens: text.len(),
            };
            appeals.values.push(witnesses.of_the_appeal().into());
            appeals.outcomes.push(disputed);
            appeals.days.push(self.orders[i].received_on);
            let rows = self.proposed(i);
            if !rows.is_empty() {
                proposals.values.push(witnesses.of_a_proposal(&rows, &self.lore.history).into());
                proposals.outcomes.push(disputed);
                proposals.days.push(self.orders[i].received_on);
            }
        }
        (appeals.settled(), proposals.settled())
    }

    /// How the witnesses are weighed; `None` if too little is known of one of the two risks.
    fn weighings(&self, scales: &Scales) -> Option<Weighings> {
        let (appeals, proposals) = self.hearings(scales);
        Some(Weighings { appeal: appeals.weighing()?, proposal: proposals.weighing()? })
    }

    fn dispute_features(&self, scales: &Scales, of: &[(usize, bool)]) -> (Vec<Vec<f64>>, Vec<bool>) {
        let feature = |i: usize| {
            let probabilities = self.answers.probabilities(i, scales);
            let logit = self.answers.dispute_logits.get(i).copied().unwrap_or_default();
            vec![f64::from(logit), f64::from(entropy(&probabilities))]
        };
        of.iter().map(|(i, disputed)| (feature(*i), *disputed)).unzip()
    }

    /// The orders whose department the model knows, and its row.
    fn known(&self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.orders.len()).filter_map(|i| Some((i, self.department(i)?)))
    }

    /// What the encoder and the words are worth, by the least negative log-likelihood.
    fn fit_scales(&self, scales: &mut Scales, own: &[bool]) {
        let known: Vec<Answer<'_>> = self
            .known()
            .filter(|(i, _)| own[*i])
            .map(|(i, row)| Answer {
                surprises: surprises(&self.answers.department_logits[i]),
                margins: self.answers.margins(i),
                row,
            })
            .collect();
        let fitted = Sharpness::fit(&known);
        (scales.temperature, scales.power) = (fitted.temperature as f32, fitted.power as f32);
        (scales.words, scales.words_power) = (fitted.words as f32, fitted.words_power as f32);
    }

    /// Fits everything that depends on the kind of input.
    pub fn scales(&self) -> Scales {
        let mut scales = Calibration::default().text_only;
        let own = own(self.orders.iter(), self.kind);
        self.fit_scales(&mut scales, &own);
        let disputed: Vec<(usize, bool)> = self.disputed().into_iter().filter(|(i, _)| own[*i]).collect();
        let (features, outcomes) = self.dispute_features(&scales, &disputed);
        if let Some(weights) = logistic::fit(&features, &outcomes, RIDGE) {
            scales.dispute = DisputeWeights { head: weights[0] as f32, entropy: weights[1] as f32, bias: weights[2] as f32 };
        }
        let (features, outcomes): (Vec<Vec<f64>>, Vec<bool>) = self
            .proposals(&scales, disputed.into_iter())
            .into_iter()
            .map(|(p, disputed)| (vec![f64::from(surprise(p))], disputed))
            .unzip();
        if let Some(weights) = logistic::fit(&features, &outcomes, RIDGE) {
            scales.proposal = ProposalWeights { surprise: weights[0] as f32, bias: weights[1] as f32 };
        }
        scales
    }

    /// What these scales and weighings make of the orders.
    pub fn scores(&self, scales: &Scales, weighings: Option<&Weighings>) -> Scores {
        let mut departments = DepartmentScores::new(self.labels.departments.iter().map(|d| d.id.clone()).collect());
        for (i, order) in self.orders.iter().enumerate() {
            let probabilities = self.answers.probabilities(i, scales);
            let name = order.department.as_deref().unwrap_or_default();
            departments.push(&probabilities, self.department(i).map_or(Truth::Unknown(name), Truth::Known));
        }
        let mut scores = Scores { departments, disputes: RiskScores::default(), proposals: RiskScores::default() };
        if let Some(Weighings { appeal, proposal }) = weighings {
            let (appeals, proposals) = self.hearings(scales);
            scores.disputes = appeals.scores(appeal);
            scores.proposals = proposals.scores(proposal);
            return scores;
        }
        if !self.answers.dispute_logits.is_empty() {
            for (i, disputed) in self.disputed() {
                let probabilities = self.answers.probabilities(i, scales);
                scores.disputes.push(scales.dispute_risk(self.answers.dispute_logits[i], &probabilities), disputed);
            }
        }
        for (probability, disputed) in self.proposals(scales, self.disputed().into_iter()) {
            scores.proposals.push(scales.proposal_risk(probability), disputed);
        }
        scores
    }

    fn dispute_model(&self, with_category: &Judged<'_>, calibration: &Calibration) -> Option<DisputeModel> {
        if self.answers.dispute_logits.is_empty() {
            return None;
        }
        let history = self.labels.departments.iter().map(|department| department.id.clone()).zip(self.lore.history.clone());
        Some(DisputeModel {
            text_only: self.weighings(&calibration.text_only)?,
            with_category: with_category.weighings(&calibration.with_category)?,
            history: history.filter(|(_, log_odds)| *log_odds != 0.0).collect(),
        })
    }
}

/// Scored validation orders.
pub struct Scores {
    /// Ranked departments.
    pub departments: DepartmentScores,
    /// Dispute risk; empty without a dispute head.
    pub disputes: RiskScores,
    /// Risk of the operator's proposal.
    pub proposals: RiskScores,
}

/// Fits the whole calibration from text alone and from text with category, and how the witnesses of a dispute are weighed, if
/// enough is known of disputes.
pub fn calibrate(text_only: &Judged<'_>, with_category: &Judged<'_>) -> (Calibration, Option<DisputeModel>) {
    let mut calibration =
        Calibration { text_only: text_only.scales(), with_category: with_category.scales(), ..Calibration::default() };
    let dispute = text_only.dispute_model(with_category, &calibration);
    let scores = text_only.scores(&calibration.text_only, dispute.as_ref().map(|model| &model.text_only));
    let nearest = |embedding: &Vec<f32>| text_only.lore.cosines(embedding).into_iter().fold(-1.0, f32::max);
    let familiarity: Vec<f32> = text_only.answers.embeddings.iter().map(nearest).collect();
    let points = coverage_points(&scores.departments.confidences());
    let review = &mut calibration.review;
    review.confidence = alone(&points).unwrap_or(review.confidence);
    review.margin = CLOSE_MARGIN;
    review.text_tokens = SHORT_TOKENS;
    let risks: Vec<f32> = scores.disputes.pairs().iter().map(|(risk, _)| *risk).collect();
    review.dispute_risk = quantile(&risks, 1.0 - REVIEW_SHARE).unwrap_or(review.dispute_risk);
    review.familiarity = quantile(&familiarity, UNLIKE_SHARE).unwrap_or(review.familiarity);
    (calibration, dispute)
}

/// Which orders are answered by the numbers for this kind of input: one without category and type is answered by those for text
/// alone, whoever looked for a category. All of them where none has any, since some numbers there must be.
pub fn own<'a>(orders: impl Iterator<Item = &'a WorkOrder>, kind: InputKind) -> Vec<bool> {
    let is_own = |order: &WorkOrder| {
        let fields = order.appeal.fields();
        kind == InputKind::TextOnly || second_sentence(&fields.category, &fields.appeal_type).is_some()
    };
    let own: Vec<bool> = orders.map(is_own).collect();
    if own.contains(&true) { own } else { vec![true; own.len()] }
}

/// Least probability of a lead that goes out alone; the strictest where no answer is sure enough, `None` where there is none.
fn alone(points: &[CoveragePoint]) -> Option<f32> {
    let coverage = coverage_at(points, PRECISION_ALONE)?;
    Some(coverage.threshold.map_or(*ALONE.end(), |threshold| (threshold as f32).clamp(*ALONE.start(), *ALONE.end())))
}

/// What was answered to an order whose department is known.
pub struct Answer<'a> {
    /// `-ln` of the encoder's probabilities, by row.
    pub surprises: Vec<f32>,
    /// How much the words speak for each row; empty if they were not asked.
    pub margins: &'a [f32],
    /// Row of the truth.
    pub row: usize,
}

/// What is fitted to answers: see [`Scales`].
#[derive(Debug, Clone, Copy)]
pub struct Sharpness {
    /// Divides the encoder's surprise.
    pub temperature: f64,
    /// Raises it first.
    pub power: f64,
    /// What a margin of the words is worth.
    pub words: f64,
    /// Raises the margin first.
    pub words_power: f64,
}

impl Sharpness {
    /// The least sum of the answers' losses. Without answers all stays as it is; without margins the words have no weight.
    pub fn fit(answers: &[Answer<'_>]) -> Self {
        let mut sharpness = Self { temperature: 1.0, power: 1.0, words: 0.0, words_power: 1.0 };
        if answers.is_empty() {
            return sharpness;
        }
        let loss = |sharpness: Self| -> f64 {
            answers.par_iter().map(|answer| answer.loss(sharpness)).collect::<Vec<f64>>().iter().sum()
        };
        let asked = answers.iter().any(|answer| !answer.margins.is_empty());
        for _ in 0..ROUNDS {
            // For each power the best factor; powers and the temperature by their logarithm.
            let with = |power: f64, temperature: f64| Self { power: power.exp(), temperature: temperature.exp(), ..sharpness };
            let best = |power: f64| least(-3.0, 4.0, |temperature| loss(with(power, temperature)));
            let (power, _) = least(-1.0, 1.5, |power| best(power).1);
            sharpness = with(power, best(power).0);
            if !asked {
                break;
            }
            let before = sharpness.words;
            let with = |power: f64, words: f64| Self { words_power: power.exp(), words, ..sharpness };
            let best = |power: f64| least(0.0, MOST_WORDS, |words| loss(with(power, words)));
            let (power, _) = least(-1.0, 1.5, |power| best(power).1);
            sharpness = with(power, best(power).0);
            if (sharpness.words - before).abs() < WORDS_TOLERANCE {
                break;
            }
        }
        sharpness
    }
}

impl Answer<'_> {
    /// `-ln` of the truth's probability.
    fn loss(&self, by: Sharpness) -> f64 {
        let mut costs: Vec<f64> =
            self.surprises.iter().map(|surprise| f64::from(surprise.max(0.0)).powf(by.power) / by.temperature).collect();
        for (cost, margin) in costs.iter_mut().zip(self.margins) {
            *cost -= by.words * f64::from(*margin).abs().powf(by.words_power).copysign(f64::from(*margin));
        }
        let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
        let total: f64 = costs.iter().map(|cost| (least - cost).exp()).sum();
        (costs[self.row] - least + total.ln()).min(MOST_SURPRISE)
    }
}

/// Where a function of one minimum is least between `low` and `high`, and its value there: golden section.
fn least(mut low: f64, mut high: f64, value: impl Fn(f64) -> f64) -> (f64, f64) {
    let ratio = (5f64.sqrt() - 1.0) / 2.0;
    let (mut left, mut right) = (high - ratio * (high - low), low + ratio * (high - low));
    let (mut at_left, mut at_right) = (value(left), value(right));
    for _ in 0..24 {
        if at_left < at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - ratio * (high - low);
            at_left = value(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + ratio * (high - low);
            at_right = value(right);
        }
    }
    if at_left < at_right { (left, at_left) } else { (right, at_right) }
}

/// The value below which a share of the values lies.
fn quantile(values: &[f32], share: f64) -> Option<f32> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    let at = (share * sorted.len().saturating_sub(1) as f64).round() as usize;
    sorted.get(at).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_no_answer_is_sure_enough_the_threshold_is_the_strictest() {
        let alone = |pairs: &[(f32, bool)]| alone(&coverage_points(pairs));
        assert_eq!(alone(&[(0.9, false), (0.8, true)]), Some(0.99), "a half of them is right at best");
        assert_eq!(alone(&[(0.9, true), (0.8, false)]), Some(0.9));
        assert_eq!(alone(&[(0.3, true)]), Some(0.5), "one order does not let everything out");
        assert_eq!(alone(&[]), None);
    }

    #[test]
    fn orders_without_a_category_have_no_say_in_what_one_is_worth() {
        let order = |category: &str| {
            let row = serde_json::json!({"order_id": "1", "appeal": "路灯坏了", "category": category});
            WorkOrder::parse(row.to_string().as_bytes()).expect("an order")
        };
        let orders = [order("市政/路灯"), order("")];
        assert_eq!(own(orders.iter(), InputKind::WithCategory), [true, false]);
        assert_eq!(own(orders.iter(), InputKind::TextOnly), [true, true]);
        assert_eq!(own(orders[1..].iter(), InputKind::WithCategory), [true], "there is nobody else");
    }
}
