//! Rulings made of groups just as they were drafted, tried on orders by the router's own rule.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use paidan::catalog::Day;
use paidan::evaluation::WorkOrder;
use paidan::routing::{Decision, Ground, PreparedAppeal, Router};
use paidan::rulings::{Dispute, EmbeddedRuling, Fitting, Occasion, RulingBook, RulingDraft, recurrences};
use paidan::text::{Appeal, AppealFields};
use serde::Serialize;

use super::RULINGS;

/// Appeals in one call of the router.
const AT_ONCE: usize = 64;

/// What ten rulings did to a set of orders.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Outcome {
    /// `text_only` or `with_category`.
    pub input: String,
    /// Least mean cosine of the groups.
    pub bound: f32,
    /// Whether the rulings required the words that were drafted, or none.
    pub worded: bool,
    /// Rulings that were made: one for each of the ten largest groups in which a majority went to one department.
    pub rulings: usize,
    /// Members of their groups.
    pub members: usize,
    /// All orders.
    pub all: Touched,
    /// Those that were disputed.
    pub disputed: Touched,
    /// What each ruling did to all orders and to the disputed ones, by the number of its group; one that was not made did nothing.
    pub by_group: Vec<[Touched; 2]>,
}

/// Orders, and what became of those that a ruling applied to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Touched {
    /// How many there are.
    pub orders: usize,
    /// How many a ruling applied to.
    pub applied: usize,
    /// Of these: its lead handled it in the end.
    pub right: usize,
    /// Of these: the model's first did.
    pub model_right: usize,
    /// Of these: the ruling was right and the model wrong.
    pub mended: usize,
    /// Of these: the ruling was wrong and the model right.
    pub harmed: usize,
}

/// An order that was routed without any ruling.
pub(super) struct Routed<'a> {
    order: &'a WorkOrder,
    prepared: PreparedAppeal,
    decision: Decision,
}

/// Routes orders on their day, without their category unless asked.
pub(super) fn routed<'a>(router: &Router, orders: &[&'a WorkOrder], category: bool) -> Result<Vec<Routed<'a>>> {
    let mut all = Vec::with_capacity(orders.len());
    for some in orders.chunks(AT_ONCE) {
        let prepare = |order: &&WorkOrder| {
            let fields = order.appeal.fields().clone();
            let fields = match category {
                true => fields,
                false => AppealFields { category: Vec::new(), appeal_type: String::new(), ..fields },
            };
            let day = order.received_on.context("our own bug: an order without a day")?;
            anyhow::Ok(router.prepare_on(&Appeal::parse(fields)?, day)?)
        };
        let prepared: Vec<PreparedAppeal> = some.iter().map(prepare).collect::<Result<_>>()?;
        let decisions = router.route(&prepared)?;
        let read = some.iter().zip(prepared).zip(decisions);
        all.extend(read.map(|((order, prepared), decision)| Routed { order, prepared, decision }));
    }
    Ok(all)
}

/// Which rulings are tried.
pub(super) struct Trial<'a> {
    pub disputes: &'a [Arc<Dispute>],
    pub bound: f32,
    pub worded: bool,
    pub input: &'a str,
}

pub(super) fn tried(router: &Router, orders: &[Routed<'_>], trial: &Trial<'_>) -> Result<(Outcome, RulingBook)> {
    let Trial { disputes, bound, worded, input } = *trial;
    let mut groups = recurrences(disputes.to_vec(), |_| false, bound).groups;
    groups.truncate(RULINGS);
    let decided = disputes.iter().map(|dispute| dispute.day).max().context("no disputes")?;
    let mut rulings = Vec::new();
    for (number, group) in groups.iter().enumerate().filter(|(_, group)| !group.draft.lead.is_empty()) {
        rulings.push(completed(router, number, &group.draft, decided, worded)?);
    }
    let book = router.empty_book().with(&rulings);
    let mut outcome = Outcome { input: input.to_owned(), bound, worded, rulings: rulings.len(), ..Outcome::default() };
    outcome.members = groups.iter().map(|group| group.disputes).sum();
    outcome.by_group = vec![<[Touched; 2]>::default(); groups.len()];
    for one in orders {
        let fitting = applying(router, &book, one);
        let applied = fitting.as_ref().map(|fitting| fitting.ruling.as_ref());
        let lead = applied.map(|ruling| ruling.lead.as_str());
        let disputed = one.order.rerouted == Some(true);
        outcome.all.count(one, lead);
        if disputed {
            outcome.disputed.count(one, lead);
        }
        for (number, [all, of_disputes]) in outcome.by_group.iter_mut().enumerate() {
            let lead = lead.filter(|_| applied.is_some_and(|ruling| ruling.id == id(number)));
            all.count(one, lead);
            if disputed {
                of_disputes.count(one, lead);
            }
        }
    }
    Ok((outcome, book))
}

fn id(group: usize) -> String {
    format!("S-{group}")
}

/// A draft with what people would fill in: nothing but that the committee decided just so.
fn completed(router: &Router, number: usize, draft: &RulingDraft, day: Day, worded: bool) -> Result<EmbeddedRuling> {
    let mut draft = RulingDraft {
        id: id(number),
        status: "in_force".to_owned(),
        body: "committee".to_owned(),
        decided_on: day.to_string(),
        ..draft.clone()
    };
    if !worded {
        draft.required_words.clear();
    }
    let told = |faults: Vec<_>| faults.iter().map(|fault: &paidan::rulings::RulingFault| fault.to_string()).collect::<Vec<_>>();
    let ruling = draft.parse(None).map_err(|faults| anyhow::anyhow!("a draft is no ruling: {}", told(faults).join("; ")))?;
    let embeddings = router.embed(&ruling.texts())?;
    Ok(EmbeddedRuling { ruling: Arc::new(ruling), embeddings })
}

/// The router's rule, so that one reading of the orders serves every set of rulings; [`same_as_served`] holds it to the router's.
fn applying(router: &Router, book: &RulingBook, one: &Routed<'_>) -> Option<Fitting> {
    let circumstances = one.prepared.circumstances.as_ref()?;
    let (district, words) = (circumstances.place(), circumstances.words.as_str());
    let occasion = Occasion { day: circumstances.day, district, words, embedding: &one.decision.embedding };
    book.fitting(&occasion, router.likeness().least()?).into_iter().find(|fitting| {
        let lead = one.decision.departments.iter().find(|known| known.department.id == fitting.ruling.lead);
        let probability = lead.map_or(0.0, |lead| lead.probability);
        let bound = router.likeness().bound(fitting.worded);
        bound.is_some_and(|bound| fitting.similarity >= bound.similarity && probability >= bound.probability)
    })
}

/// Routes once more with the rulings in the router's book: what it says must be what was counted.
pub(super) fn same_as_served(router: &Router, book: RulingBook, orders: &[Routed<'_>]) -> Result<()> {
    let expected: Vec<Option<String>> =
        orders.iter().map(|one| applying(router, &book, one).map(|fitting| fitting.ruling.id.clone())).collect();
    router.set_rulings(Arc::new(book))?;
    for (some, expected) in orders.chunks(AT_ONCE).zip(expected.chunks(AT_ONCE)) {
        let prepared: Vec<PreparedAppeal> = some.iter().map(|one| one.prepared.clone()).collect();
        for (decision, expected) in router.route(&prepared)?.iter().zip(expected) {
            let applied = decision.basis.iter().find_map(|ground| match ground {
                Ground::StandingRuling { ruling, .. } => Some(&ruling.id),
                _ => None,
            });
            ensure!(applied == expected.as_ref(), "our own bug: the router applies {applied:?}, {expected:?} was counted");
        }
    }
    router.set_rulings(Arc::new(router.empty_book()))?;
    Ok(())
}

impl Touched {
    fn count(&mut self, one: &Routed<'_>, ruling: Option<&str>) {
        self.orders += 1;
        let (Some(ruling), Some(truth)) = (ruling, one.order.department.as_deref()) else { return };
        let (right, model_right) = (ruling == truth, one.decision.lead().department.id == truth);
        self.applied += 1;
        self.right += usize::from(right);
        self.model_right += usize::from(model_right);
        self.mended += usize::from(right && !model_right);
        self.harmed += usize::from(!right && model_right);
    }
}
