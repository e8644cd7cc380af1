//! The risk of a dispute: gathers the witnesses of one appeal, weighs them, and says in words what raised the risk.

use std::sync::Arc;

use crate::model::calibration::{Scales, surprise};
use crate::model::{Department, DisputeModel, DisputeWords, Weighings, Witness};

/// Less than this is not worth a dispatcher's look, in log-odds: the odds rise by a tenth.
const WORTH_TELLING: f32 = 0.1;
/// Log-odds of a proposal beyond which more certainty says no more.
const MOST_DOUBT: f32 = 6.0;

/// Which of the two risks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// That the appeal is disputed at all.
    Dispute,
    /// That the dispatch to the proposed departments comes back.
    ProposedDispatch,
}

/// Something that raised a risk above that of a typical order.
#[derive(Debug, Clone, PartialEq)]
pub struct RiskFactor {
    /// Which risk it raised.
    pub risk: Risk,
    /// What it is.
    pub witness: Witness,
    /// By how much, in log-odds; positive.
    pub contribution: f32,
    /// The same in a few words of Chinese.
    pub text: String,
}

/// What the witnesses of one appeal know.
#[derive(Debug, Clone, Copy)]
pub struct Witnesses<'a> {
    /// Of the dispute head, if there is one.
    pub dispute_logit: Option<f32>,
    /// Calibrated, by row.
    pub probabilities: &'a [f32],
    /// To each department's centre, by row; empty if the model has none.
    pub cosines: &'a [f32],
    /// Of the words' history, if the model has it.
    pub words: Option<f32>,
    /// What the words alone say of the departments, by row; empty if they are not asked.
    pub opinion: &'a [f32],
    /// Tokens of the text that were read.
    pub text_tokens: usize,
}

impl Witnesses<'_> {
    /// What they say of the appeal, whoever it goes to.
    pub fn of_the_appeal(&self) -> [(Witness, Option<f32>); 5] {
        let (mut first, mut second) = (0f32, 0f32);
        for p in self.probabilities {
            second = second.max(p.min(first));
            first = first.max(*p);
        }
        [
            (Witness::Head, self.dispute_logit),
            (Witness::CloseSecond, Some((second.max(1e-6) / first.max(1e-6)).ln())),
            (Witness::Unfamiliar, self.cosines.iter().copied().max_by(f32::total_cmp).map(|cosine| -cosine)),
            (Witness::Words, self.words),
            (Witness::Length, Some((self.text_tokens.max(1) as f32).ln())),
        ]
    }

    /// What they say of a dispatch to the departments of `rows`, of which there is at least one. `history` is by row.
    pub fn of_a_proposal(&self, rows: &[usize], history: &[f32]) -> [(Witness, Option<f32>); 5] {
        let together: f32 = rows.iter().map(|row| self.probabilities[*row]).sum();
        let certain = together.clamp(1e-6, 1.0 - 1e-6);
        let likeliest = rows.iter().copied().max_by(|a, b| self.probabilities[*a].total_cmp(&self.probabilities[*b]));
        [
            (Witness::Doubt, Some(((1.0 - certain) / certain).ln().clamp(-MOST_DOUBT, MOST_DOUBT))),
            (
                Witness::Unlike,
                rows.iter().filter_map(|row| self.cosines.get(*row)).copied().max_by(f32::total_cmp).map(|cosine| -cosine),
            ),
            (Witness::History, likeliest.and_then(|row| history.get(row)).copied()),
            (Witness::Words, self.words),
            (
                Witness::SecondOpinion,
                (!self.opinion.is_empty()).then(|| surprise(rows.iter().map(|row| self.opinion[*row]).sum())),
            ),
        ]
    }
}

/// The model's weights with what the router needs beside them.
pub(super) struct Weigher {
    model: DisputeModel,
    words: Option<DisputeWords>,
    /// By row.
    history: Vec<f32>,
}

/// An appeal as the weigher sees it.
pub(super) struct Asked<'a> {
    pub witnesses: Witnesses<'a>,
    pub with_category: bool,
    /// Rows; empty if nothing is proposed.
    pub proposed: &'a [usize],
    /// By row, as they are called on the day of the appeal.
    pub departments: &'a [Arc<Department>],
}

/// Both risks, and what raised them, strongest first.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Weighed {
    pub dispute_risk: Option<f32>,
    pub proposed_dispatch_risk: Option<f32>,
    pub factors: Vec<RiskFactor>,
}

impl Weigher {
    pub fn new(model: DisputeModel, words: Option<DisputeWords>, departments: &[Arc<Department>]) -> Self {
        let history = departments.iter().map(|one| model.history.get(&one.id).copied().unwrap_or_default()).collect();
        Self { model, words, history }
    }

    /// What the words' history says of the text's own tokens.
    pub fn words(&self, tokens: impl Iterator<Item = u32>) -> Option<f32> {
        self.words.as_ref().map(|words| words.score(tokens))
    }

    pub fn weigh(&self, asked: &Asked<'_>) -> Weighed {
        let Weighings { appeal, proposal } =
            if asked.with_category { &self.model.with_category } else { &self.model.text_only };
        let mut weighed = Weighed::default();
        if asked.witnesses.dispute_logit.is_some() {
            let parts = appeal.contributions(&asked.witnesses.of_the_appeal());
            weighed.dispute_risk = Some(appeal.risk(&parts));
            weighed.factors.extend(asked.factors(Risk::Dispute, &parts));
        }
        if !asked.proposed.is_empty() {
            let parts = proposal.contributions(&asked.witnesses.of_a_proposal(asked.proposed, &self.history));
            weighed.proposed_dispatch_risk = Some(proposal.risk(&parts));
            weighed.factors.extend(asked.factors(Risk::ProposedDispatch, &parts));
        }
        weighed.factors.sort_by(|a, b| b.contribution.total_cmp(&a.contribution));
        weighed
    }
}

/// The same from a folder that has no `dispute.json`: two risks, and nobody to say what raised them.
pub(super) fn by_scales(scales: &Scales, asked: &Asked<'_>) -> Weighed {
    let probabilities = asked.witnesses.probabilities;
    Weighed {
        dispute_risk: asked.witnesses.dispute_logit.map(|logit| scales.dispute_risk(logit, probabilities)),
        proposed_dispatch_risk: (!asked.proposed.is_empty())
            .then(|| scales.proposal_risk(asked.proposed.iter().map(|row| probabilities[*row]).sum())),
        factors: Vec::new(),
    }
}

impl Asked<'_> {
    fn factors(&self, risk: Risk, parts: &[(Witness, f32)]) -> impl Iterator<Item = RiskFactor> {
        let telling = parts.iter().filter(|(_, part)| *part > WORTH_TELLING);
        telling.map(move |(witness, part)| RiskFactor {
            risk,
            witness: *witness,
            contribution: *part,
            text: self.in_words(*witness),
        })
    }

    fn in_words(&self, witness: Witness) -> String {
        let name = |row: Option<&usize>| {
            let department = row.and_then(|row| self.departments.get(*row));
            department.map(|department| format!("“{}”", department.name)).unwrap_or_default()
        };
        let mut rows: Vec<usize> = (0..self.departments.len()).collect();
        let probability = |row: &usize| self.witnesses.probabilities[*row];
        rows.sort_by(|a, b| probability(b).total_cmp(&probability(a)).then(a.cmp(b)));
        let proposed = || {
            // After a merger several rows are one department.
            let mut names: Vec<String> = Vec::new();
            for name in self.proposed.iter().map(|row| name(Some(row))) {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            names.join("、")
        };
        match witness {
            Witness::Head => "内容与以往改派的工单相近".to_owned(),
            Witness::CloseSecond => {
                let first = name(rows.first());
                let second = rows.iter().map(|row| name(Some(row))).find(|other| *other != first).unwrap_or_default();
                format!("除{first}外，{second}也有可能")
            }
            Witness::Unfamiliar => "与各单位以往的工单都不够相似".to_owned(),
            Witness::Words => "用语多见于以往改派的工单".to_owned(),
            Witness::Length => "内容较长，可能不止一件事".to_owned(),
            Witness::Doubt => {
                let together: f32 = self.proposed.iter().map(probability).sum();
                let share = if together < 0.01 { "不到1%".to_owned() } else { format!("只有{:.0}%", together * 100.0) };
                format!("模型认为由{}承办的可能{share}", proposed())
            }
            Witness::Unlike => format!("与{}以往的工单不够相似", proposed()),
            Witness::SecondOpinion => format!("单看用语，不像{}以往承办的工单", proposed()),
            Witness::History => {
                let likeliest = rows.iter().find(|row| self.proposed.contains(row));
                format!("以往派{}的工单改派较多", name(likeliest))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{Weighing, Weight};

    fn weigher() -> Weigher {
        let heard = |witnesses: &[Witness]| Weighing {
            bias: -3.0,
            witnesses: witnesses.iter().map(|one| (*one, Weight { typical: 0.0, spread: 1.0, weight: 1.0 })).collect(),
        };
        let weighings = Weighings { appeal: heard(&[Witness::Head]), proposal: heard(&Witness::OF_A_PROPOSAL) };
        let history = BTreeMap::from([("乙".to_owned(), 1.5)]);
        let model = DisputeModel { text_only: weighings.clone(), with_category: weighings, history };
        Weigher::new(model, None, &departments())
    }

    fn departments() -> Vec<Arc<Department>> {
        let department = |name: &str| Department { id: name.to_owned(), name: name.to_owned(), training_orders: 9 };
        ["甲", "乙", "丙"].map(|name| Arc::new(department(name))).into()
    }

    fn weigh(dispute_logit: Option<f32>, proposed: &[usize]) -> Weighed {
        let witnesses = Witnesses {
            dispute_logit,
            probabilities: &[0.7, 0.1, 0.2],
            cosines: &[0.9, 0.5, 0.1],
            words: None,
            opinion: &[],
            text_tokens: 20,
        };
        weigher().weigh(&Asked { witnesses, with_category: false, proposed, departments: &departments() })
    }

    #[test]
    fn what_raised_the_risk_is_listed_strongest_first_and_what_lowered_it_is_not() {
        let weighed = weigh(Some(1.0), &[1]);
        let told: Vec<(Risk, Witness)> = weighed.factors.iter().map(|factor| (factor.risk, factor.witness)).collect();
        let (appeal, proposal) = (Risk::Dispute, Risk::ProposedDispatch);
        assert_eq!(told, [(proposal, Witness::Doubt), (proposal, Witness::History), (appeal, Witness::Head)]);
        assert_eq!(weighed.factors[0].text, "模型认为由“乙”承办的可能只有10%");
        assert_eq!(weighed.factors[1].text, "以往派“乙”的工单改派较多");
        assert!(weigh(Some(-1.0), &[]).factors.is_empty());
    }

    #[test]
    fn a_doubtful_proposal_is_riskier_than_the_models_own_first() {
        let risk = |row| weigh(Some(0.0), &[row]).proposed_dispatch_risk;
        assert!(risk(1) > risk(2) && risk(2) > risk(0));
        assert_eq!(weigh(Some(0.0), &[]).proposed_dispatch_risk, None);
    }

    #[test]
    fn without_a_dispute_head_there_is_no_dispute_risk_but_a_proposal_is_judged() {
        let weighed = weigh(None, &[0]);
        assert!(weighed.dispute_risk.is_none() && weighed.proposed_dispatch_risk.is_some());
    }

    #[test]
    fn the_second_department_is_near_if_its_probability_is() {
        let near = |probabilities: &[f32]| {
            let witnesses =
                Witnesses { dispute_logit: None, probabilities, cosines: &[], words: None, opinion: &[], text_tokens: 0 };
            witnesses.of_the_appeal()[1].1.expect("it always speaks")
        };
        assert!((near(&[0.2, 0.4, 0.4]) - 0.0).abs() < 1e-6 && near(&[0.9, 0.1]) < near(&[0.6, 0.4]));
        assert!(near(&[1.0, 0.0]).is_finite());
    }
}
