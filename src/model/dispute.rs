//! `dispute.json`: how the witnesses of a dispute are weighed. Fitted by the training crate, read here, asked in `routing`.
//!
//! There are two questions, and each has its own weights for text alone and for text with category: is this appeal disputed at
//! all, and does the dispatch to a named department come back? Each witness is measured against a typical order, so that its
//! part in the log-odds says by itself whether it raised the risk.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::calibration::sigmoid;

/// Who testifies. Each speaks up: the greater its value, the greater the risk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Witness {
    /// The dispute head's logit.
    Head,
    /// How near the second department is to the first: the logarithm of their ratio.
    CloseSecond,
    /// How far the appeal is from the centre of every department: minus the greatest cosine.
    Unfamiliar,
    /// What became of earlier orders in these words.
    Words,
    /// Logarithm of the number of the text's tokens: long appeals hold several matters.
    Length,
    /// Log-odds that the proposed department is not the one. Of a proposal only, as those below.
    Doubt,
    /// How far the appeal is from the centre of the proposed department: minus the cosine.
    Unlike,
    /// How often dispatches to the proposed department came back: log-odds above those of all.
    History,
    /// How little the words alone speak for the proposed departments: `-ln p`.
    SecondOpinion,
}

impl Witness {
    /// Witnesses of whether an appeal is disputed at all.
    pub const OF_AN_APPEAL: [Self; 5] = [Self::Head, Self::CloseSecond, Self::Unfamiliar, Self::Words, Self::Length];
    /// Witnesses of whether a proposed dispatch comes back.
    pub const OF_A_PROPOSAL: [Self; 5] = [Self::Doubt, Self::Unlike, Self::History, Self::Words, Self::SecondOpinion];
}

/// `dispute.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisputeModel {
    /// When nothing but the text was given.
    pub text_only: Weighings,
    /// When the operator's category or type was given too.
    pub with_category: Weighings,
    /// For each department how often dispatches to it came back: log-odds above those of all departments, shrunk towards none
    /// where there were few. A department that is not named has none.
    pub history: BTreeMap<String, f32>,
}

/// Both questions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weighings {
    /// Is the appeal disputed at all?
    pub appeal: Weighing,
    /// Does the proposed dispatch come back?
    pub proposal: Weighing,
}

/// A logistic model: `bias + sum of weight * (value - typical) / spread`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weighing {
    /// Log-odds of a typical order.
    pub bias: f32,
    /// The witnesses that are heard.
    pub witnesses: BTreeMap<Witness, Weight>,
}

/// How one witness is heard.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weight {
    /// Its value for a typical order: the mean.
    pub typical: f32,
    /// How much it differs from order to order: the standard deviation. Positive.
    pub spread: f32,
    /// Log-odds for one spread above the typical value. Not negative: every witness speaks up.
    pub weight: f32,
}

impl Weighing {
    /// What each witness adds to the log-odds of a typical order. One that is not heard, or has nothing to say, adds nothing.
    pub fn contributions(&self, values: &[(Witness, Option<f32>)]) -> Vec<(Witness, f32)> {
        let part = |&(witness, value): &(Witness, Option<f32>)| {
            let Weight { typical, spread, weight } = *self.witnesses.get(&witness)?;
            Some((witness, weight * (value? - typical) / spread))
        };
        values.iter().filter_map(part).collect()
    }

    /// The calibrated risk from those.
    pub fn risk(&self, contributions: &[(Witness, f32)]) -> f32 {
        sigmoid(self.bias + contributions.iter().map(|(_, part)| part).sum::<f32>())
    }
}

impl DisputeModel {
    /// Refuses numbers that would give no probabilities, witnesses who cannot be asked, and departments that are not there.
    pub fn check<'a>(&self, mut departments: impl Iterator<Item = &'a str> + Clone, has_words: bool) -> Result<(), String> {
        for (kind, weighings) in [("text_only", &self.text_only), ("with_category", &self.with_category)] {
            for (question, weighing, known) in [
                ("appeal", &weighings.appeal, &Witness::OF_AN_APPEAL[..]),
                ("proposal", &weighings.proposal, &Witness::OF_A_PROPOSAL[..]),
            ] {
                weighing.check(known, has_words).map_err(|reason| format!("{kind}.{question}.{reason}"))?;
            }
        }
        for (id, log_odds) in &self.history {
            if !log_odds.is_finite() {
                return Err(format!("history.{id} must be a number, not {log_odds}"));
            }
            if !departments.clone().any(|known| known == id) {
                let first = departments.next().unwrap_or_default();
                return Err(format!("history.{id} is no department of this model (its first is \"{first}\")"));
            }
        }
        Ok(())
    }
}

impl Weighing {
    fn check(&self, known: &[Witness], has_words: bool) -> Result<(), String> {
        if !self.bias.is_finite() {
            return Err(format!("bias must be a number, not {}", self.bias));
        }
        for (witness, weight) in &self.witnesses {
            // As the file spells it.
            let name = serde_json::to_value(witness).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
            if !known.contains(witness) {
                return Err(format!("witnesses.{name} has nothing to say of this question"));
            }
            if *witness == Witness::Words && !has_words {
                return Err(format!("witnesses.{name} is weighed, but model.safetensors has no {}", super::DISPUTE_WORDS));
            }
            if !weight.typical.is_finite() {
                return Err(format!("witnesses.{name}.typical must be a number, not {}", weight.typical));
            }
            if !(weight.spread.is_finite() && weight.spread > 0.0) {
                return Err(format!("witnesses.{name}.spread must be above 0, not {}", weight.spread));
            }
            if !(weight.weight.is_finite() && weight.weight >= 0.0) {
                return Err(format!("witnesses.{name}.weight must not be below 0, but is {}", weight.weight));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> DisputeModel {
        let weighing = |witness| Weighing {
            bias: -3.0,
            witnesses: BTreeMap::from([(witness, Weight { typical: 1.0, spread: 2.0, weight: 0.5 })]),
        };
        let weighings = Weighings { appeal: weighing(Witness::Head), proposal: weighing(Witness::Doubt) };
        DisputeModel {
            text_only: weighings.clone(),
            with_category: weighings,
            history: BTreeMap::from([("甲".to_owned(), 0.5)]),
        }
    }

    #[test]
    fn a_typical_order_has_the_risk_of_the_bias_and_a_silent_witness_adds_nothing() {
        let weighing = model().text_only.appeal;
        for values in [vec![(Witness::Head, Some(1.0))], vec![(Witness::Head, None)], vec![(Witness::Words, Some(9.0))], vec![]]
        {
            assert_eq!(weighing.risk(&weighing.contributions(&values)), sigmoid(-3.0), "{values:?}");
        }
        assert_eq!(weighing.contributions(&[(Witness::Head, Some(5.0))]), [(Witness::Head, 1.0)]);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_key() {
        let refused = |change: fn(&mut DisputeModel)| {
            let mut model = model();
            change(&mut model);
            model.check(["甲", "乙"].into_iter(), false).expect_err("a refusal")
        };
        let head = |model: &mut DisputeModel, weight| {
            model.with_category.appeal.witnesses.insert(Witness::Head, weight);
        };
        let weight = Weight { typical: 0.0, spread: 1.0, weight: 1.0 };
        assert!(model().check(["甲"].into_iter(), false).is_ok());
        assert!(refused(|m| m.text_only.proposal.bias = f32::NAN).starts_with("text_only.proposal.bias"));
        assert!(refused(|m| m.history = BTreeMap::from([("丙".to_owned(), 0.0)])).starts_with("history.丙"));
        for (reason, wrong) in [("spread", Weight { spread: 0.0, ..weight }), ("weight", Weight { weight: -0.1, ..weight })] {
            let mut model = model();
            head(&mut model, wrong);
            let error = model.check(["甲"].into_iter(), false).expect_err("a refusal");
            assert!(error.starts_with(&format!("with_category.appeal.witnesses.head.{reason}")), "{error}");
        }
        for witness in [Witness::Words, Witness::History] {
            let mut model = model();
            model.text_only.appeal.witnesses.insert(witness, weight);
            let error = model.check(["甲"].into_iter(), false).expect_err("a refusal");
            assert!(error.starts_with("text_only.appeal.witnesses."), "{error}");
        }
    }
}
