//! From logits to a decision: calibrate, rank, weigh the evidence, say what a person should look at, ask the rulings.

use std::sync::Arc;

use super::dispute::{self, Asked, Weighed, Witnesses};
use super::evidence;
use super::jurisdiction::{Jurisdiction, OfTheDay, Said};
use super::newcomers;
use super::proposed;
use super::reason;
use super::returned;
use super::review;
use super::router::PreparedAppeal;
use super::ruled::{Rulings, Settling};
use super::{Decision, RankedDepartment, RouteError, Router};
use crate::model::calibration::Scales;
use crate::rulings::{Precedent, RulingBook};

impl Router {
    /// From logits to a decision: calibrate, rank, weigh the evidence, say what a person should look at, ask the rulings.
    pub(super) fn decide(
        &self,
        appeal: &PreparedAppeal,
        raw: &RawAnswer<'_>,
        book: &RulingBook,
        like: Vec<Precedent>,
    ) -> Result<Decision, RouteError> {
        if raw.logits.iter().any(|logit| !logit.is_finite()) {
            return Err(RouteError::Model("the encoder gave values that are no numbers".to_owned()));
        }
        let scales = self.scales(appeal);
        let probabilities = scales.department_probabilities(raw.logits, raw.word_margins());
        let objections = &appeal.objections[..];
        let jurisdiction = appeal.circumstances.as_ref().and_then(Jurisdiction::of);
        // What the model says of the appeal itself; what is answered heeds who returned it.
        let own = self.ranked(&probabilities, jurisdiction.as_ref());
        let mut ranked = own.clone();
        if !objections.is_empty() {
            let mut answered = probabilities.clone();
            returned::reweigh(&mut answered, &self.info.departments, objections, self.takeover.as_ref());
            ranked = self.ranked(&answered, jurisdiction.as_ref());
        }
        let opinion: Vec<RankedDepartment> = own.iter().map(|one| one.ranked.clone()).collect();
        let rulings = Rulings {
            book,
            likeness: &self.calibration.precedents,
            departments: &self.info.departments,
            jurisdiction: jurisdiction.as_ref(),
            own: &opinion,
            objections,
        };
        let settling = rulings.settling(appeal.circumstances.as_ref(), raw.embedding);
        returned::exclude(&mut ranked, objections, jurisdiction.as_ref(), rulings.last_word(settling.as_ref()));
        // After a merger the lead may be another than the model's first: then its own strongest row speaks for it. Beside a ruling on
        // the order it is what the model would have said of it.
        let row = if matches!(settling, Some(Settling::OnOrder { .. })) { own[0].row } else { ranked[0].row };
        let model = reason::model_ground(&self.info.version, &self.info.departments[row], probabilities[row]);
        let cosines = self.cosines(raw.embedding);
        let Weighed { dispute_risk, proposed_dispatch_risk, factors } =
            self.weighed(appeal, raw, &probabilities, &cosines, &ranked, jurisdiction.as_ref());
        let mut decision = Decision {
            dispute_risk,
            proposed_dispatch_risk,
            risk_factors: factors,
            evidence: evidence::weigh(&appeal.clauses, |clause| raw.weight(clause, row, scales)),
            tokens_read: appeal.encoding.ids.len(),
            tokens_given: appeal.encoding.tokens_given,
            reading: appeal.encoding.reading,
            embedding: raw.embedding.to_vec(),
            ..Decision::ranked(ranked.into_iter().map(|one| one.ranked).collect())
        };
        let familiarity = cosines.iter().copied().max_by(f32::total_cmp);
        decision.review_reasons =
            review::reasons(&decision, appeal.encoding.text_tokens(), familiarity, &self.calibration.review);
        let ruled = rulings.apply(&mut decision, settling, like);
        returned::note(&mut decision, objections);
        let proposals = appeal.circumstances.as_ref().map_or(&[][..], |circumstances| &circumstances.proposals);
        proposed::refuse(&mut decision, proposals, ruled.settled.as_ref(), objections, jurisdiction.as_ref());
        match &jurisdiction {
            Some(jurisdiction) => {
                // Where a standing ruling applies who leads is settled, and no other candidate is sought.
                let newcomers = jurisdiction.newcomers.filter(|_| ruled.settled.is_none());
                let newcomer =
                    newcomers.and_then(|newcomers| newcomers.name(&mut decision, jurisdiction, &opinion, objections));
                jurisdiction.complete(&mut decision, Said { model, ruled, newcomer }, objections);
            }
            None => reason::without_catalogue(&mut decision, model, ruled),
        }
        let unseen = appeal.circumstances.as_ref().map_or(&[][..], |circumstances| &circumstances.unseen_proposals);
        newcomers::note_proposed(&mut decision, unseen);
        Ok(decision)
    }

    /// The departments of the day, or the model's where there is no catalogue, likeliest first.
    fn ranked(&self, probabilities: &[f32], jurisdiction: Option<&Jurisdiction<'_>>) -> Vec<OfTheDay> {
        let mut order: Vec<usize> = (0..probabilities.len()).collect();
        order.sort_by(|a, b| probabilities[*b].total_cmp(&probabilities[*a]).then(a.cmp(b)));
        let ranked = |row: usize| RankedDepartment {
            department: Arc::clone(&self.info.departments[row]),
            probability: probabilities[row],
        };
        let ranked = order.into_iter().map(|row| OfTheDay { ranked: ranked(row), row }).collect();
        match jurisdiction {
            Some(jurisdiction) => jurisdiction.of_the_day(ranked),
            None => ranked,
        }
    }

    /// Both risks and what raised them.
    fn weighed(
        &self,
        appeal: &PreparedAppeal,
        raw: &RawAnswer<'_>,
        probabilities: &[f32],
        cosines: &[f32],
        ranked: &[OfTheDay],
        jurisdiction: Option<&Jurisdiction<'_>>,
    ) -> Weighed {
        // Each row by who answers for it on the day. After a split a successor speaks for the row that gave it most; whoever has none
        // keeps the name that the model knows.
        let mut departments = self.info.departments.clone();
        for department in departments.iter_mut() {
            if let Some([heir]) = jurisdiction.map(|jurisdiction| jurisdiction.heirs(department)).as_deref() {
                *department = Arc::clone(heir);
            }
        }
        for OfTheDay { ranked, row } in ranked.iter().rev() {
            departments[*row] = Arc::clone(&ranked.department);
        }
        let words = self.weigher.as_ref().and_then(|weigher| weigher.words(appeal.encoding.text_ids()));
        let (dispute_logit, text_tokens) = (raw.dispute_logit, appeal.encoding.text_tokens());
        let opinion = self.scales(appeal).words_opinion(raw.word_margins());
        let asked = Asked {
            witnesses: Witnesses { dispute_logit, probabilities, cosines, words, opinion: &opinion, text_tokens },
            with_category: appeal.with_category,
            proposed: &appeal.proposed,
            departments: &departments,
        };
        match &self.weigher {
            Some(weigher) => weigher.weigh(&asked),
            None => dispute::by_scales(self.scales(appeal), &asked),
        }
    }

    /// How much the words speak for each department: of the whole appeal, and then without each clause. Nothing if nobody asks them.
    pub(super) fn word_margins(&self, appeal: &PreparedAppeal) -> Vec<Vec<f32>> {
        let Some(words) = self.department_words.as_ref().filter(|_| self.scales(appeal).words > 0.0) else { return Vec::new() };
        let hidden = std::iter::once(0..0).chain(appeal.clauses.iter().map(|clause| clause.tokens.clone()));
        hidden.map(|hidden| words.margins(appeal.encoding.text_ids_outside(hidden))).collect()
    }

    fn scales(&self, appeal: &PreparedAppeal) -> &Scales {
        if appeal.with_category { &self.calibration.with_category } else { &self.calibration.text_only }
    }

    /// Cosine of an embedding to each department's centre; empty if the model has no centres.
    fn cosines(&self, embedding: &[f32]) -> Vec<f32> {
        let cosine = |centre: &Vec<f32>| centre.iter().zip(embedding).map(|(a, b)| a * b).sum::<f32>();
        self.centres.iter().map(cosine).collect()
    }
}

/// What the heads said of one appeal.
pub(super) struct RawAnswer<'a> {
    pub logits: &'a [f32],
    /// For each clause the department logits when the last layer may not look at it.
    pub without_clause: &'a [&'a [f32]],
    /// How much the words speak for each department: of the whole appeal, and then without each clause. Empty if nobody asks them.
    pub margins: &'a [Vec<f32>],
    pub dispute_logit: Option<f32>,
    pub embedding: &'a [f32],
}

impl RawAnswer<'_> {
    /// How much the words of the whole appeal speak for each department.
    fn word_margins(&self) -> &[f32] {
        self.margins.first().map_or(&[], Vec::as_slice)
    }

    /// How far what speaks for the department of `row` falls without a clause.
    fn weight(&self, clause: usize, row: usize, scales: &Scales) -> f32 {
        let encoder = self.logits[row] - self.without_clause[clause][row];
        match &self.margins {
            [] => encoder,
            [whole, without @ ..] => encoder + scales.heard(whole[row]) - scales.heard(without[clause][row]),
        }
    }
}
