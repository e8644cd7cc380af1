//! The book of rulings as the router reads it: everything that counts, in one snapshot that never changes. Whoever records,
//! supersedes or withdraws a ruling makes another book of this one and hands it to the router; the next batch reads that.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::decided::Decided;
use super::nearness::Codes;
use super::signs::{Signs, furthest, signs};
use super::standing::StandingRuling;
use super::{Fitting, Occasion, Precedent, PrecedentIndex, Ruling, Scope, Status};
use crate::catalog::DepartmentCatalog;

/// A ruling with the embedding of each of its texts, in the order of [`Ruling::texts`].
#[derive(Debug, Clone)]
pub struct EmbeddedRuling {
    /// Which.
    pub ruling: Arc<Ruling>,
    /// Each of length one.
    pub embeddings: Vec<Vec<f32>>,
}

/// A standing ruling in force that says otherwise of the same matter.
#[derive(Debug, Clone, PartialEq)]
pub struct Contradiction {
    /// The one that is there.
    pub ruling: Arc<Ruling>,
    /// How like their texts are, at the likest.
    pub similarity: f32,
    /// True if it would win over the new one.
    pub wins: bool,
}

/// Everything that counts. Cheap to make another of: what did not change is shared.
#[derive(Debug, Clone)]
pub struct RulingBook {
    width: usize,
    standing: Vec<Arc<StandingRuling>>,
    standing_signs: Arc<StandingSigns>,
    precedents: PrecedentIndex,
    decided: Decided,
}

/// The signs of all standing rulings' texts in one row, so that what is far from an appeal is passed over without a look at it: the
/// rulings lie all over the memory.
#[derive(Debug, Default)]
struct StandingSigns {
    signs: Signs,
    /// The place of each text's ruling in the book.
    rulings: Vec<usize>,
}

impl StandingSigns {
    fn of(standing: &[Arc<StandingRuling>]) -> Self {
        let mut all = Self::default();
        for (place, one) in standing.iter().enumerate() {
            for signs in &one.signs {
                all.signs.push(signs);
                all.rulings.push(place);
            }
        }
        all
    }

    /// The places of the rulings that may have a text with at least this cosine to an embedding.
    fn near(&self, embedding: &[f32], least: f32) -> BTreeSet<usize> {
        let most = furthest(embedding.len(), least);
        self.signs.within(&signs(embedding), most).map(|text| self.rulings[text]).collect()
    }
}

impl RulingBook {
    /// With nothing in it, for embeddings of this length. What it will hold is found sooner where the centres that such embeddings
    /// lie around are known: an empty list is none.
    pub fn new(width: usize, centres: &[Vec<f32>]) -> Self {
        let precedents = PrecedentIndex::new(width, centres);
        Self { width, standing: Vec::new(), standing_signs: Arc::default(), precedents, decided: Decided::default() }
    }

    /// Length of its embeddings.
    pub fn width(&self) -> usize {
        self.width
    }

    /// True if no ruling counts.
    pub fn is_empty(&self) -> bool {
        self.precedents.is_empty()
    }

    /// The standing rulings in force.
    pub fn standing(&self) -> impl ExactSizeIterator<Item = &Arc<Ruling>> {
        self.standing.iter().map(|standing| &standing.ruling)
    }

    /// Each standing ruling in force with the cosine of an embedding to the likest of its texts, whatever its words, days and area.
    pub fn standing_by_likeness(&self, embedding: &[f32]) -> impl Iterator<Item = (Arc<Ruling>, f32)> {
        self.standing.iter().map(|standing| (Arc::clone(&standing.ruling), standing.embeddings.likest(embedding)))
    }

    /// How many texts there are to be like.
    pub fn texts(&self) -> usize {
        self.precedents.len()
    }

    /// The same with these rulings as they now are: each takes the place of the one that has its id. One that is not in force does
    /// not count, and is left out. Hand over many at once when there are many: each call looks through the whole book.
    ///
    /// # Panics
    /// If an embedding has another length than the book's: it is of another model.
    #[must_use]
    pub fn with(&self, rulings: &[EmbeddedRuling]) -> Self {
        let ids = rulings.iter().map(|one| one.ruling.id.as_str()).collect();
        let mut book = self.without_all(&ids);
        // Of two with one id the later stands.
        let mut seen = BTreeSet::new();
        let mut last: Vec<&EmbeddedRuling> = rulings.iter().rev().filter(|one| seen.insert(one.ruling.id.as_str())).collect();
        last.reverse();
        last.retain(|one| one.ruling.status == Status::InForce);
        for embedding in last.iter().flat_map(|one| &one.embeddings) {
            assert!(embedding.len() == self.width, "our own bug: an embedding of another model, {} long", embedding.len());
        }
        book.precedents = book.precedents.with(last.iter().flat_map(|one| {
            let ruling = &one.ruling;
            one.embeddings.iter().map(move |embedding| (ruling, embedding.as_slice()))
        }));
        book.decided = book.decided.with(last.iter().map(|one| &one.ruling));
        let standing = last.iter().filter(|one| one.ruling.scope == Scope::Standing);
        book.standing.extend(standing.map(|one| {
            Arc::new(StandingRuling {
                ruling: Arc::clone(&one.ruling),
                embeddings: Codes::of(one.embeddings.iter().map(Vec::as_slice)),
                signs: one.embeddings.iter().map(|embedding| signs(embedding)).collect(),
            })
        }));
        book.standing_signs = self.signs_of(&book.standing);
        book
    }

    /// The same without a ruling.
    #[must_use]
    pub fn without(&self, id: &str) -> Self {
        self.without_all(&BTreeSet::from([id]))
    }

    fn without_all(&self, ids: &BTreeSet<&str>) -> Self {
        let standing = self.standing.iter().filter(|standing| !ids.contains(standing.ruling.id.as_str()));
        let standing: Vec<_> = standing.cloned().collect();
        let standing_signs = self.signs_of(&standing);
        let (precedents, decided) = (self.precedents.without(ids), self.decided.without(ids));
        Self { width: self.width, standing, standing_signs, precedents, decided }
    }

    /// The signs of these; its own, if they are its own.
    fn signs_of(&self, standing: &[Arc<StandingRuling>]) -> Arc<StandingSigns> {
        let own = self.standing.len() == standing.len() && self.standing.iter().zip(standing).all(|(a, b)| Arc::ptr_eq(a, b));
        if own { Arc::clone(&self.standing_signs) } else { Arc::new(StandingSigns::of(standing)) }
    }

    /// The rulings in force that name an order.
    pub fn naming(&self, order: &str) -> impl Iterator<Item = &Arc<Ruling>> {
        self.decided.naming(order)
    }

    /// The standing rulings that fit an appeal and are at least so like it, the one that wins first.
    pub fn fitting(&self, occasion: &Occasion<'_>, least: f32) -> Vec<Fitting> {
        let near = self.standing_signs.near(occasion.embedding, least);
        let mut all: Vec<Fitting> =
            near.into_iter().filter_map(|place| self.standing[place].fitting(occasion, least)).collect();
        all.sort_by(|a, b| b.ruling.precedence().cmp(&a.ruling.precedence()));
        all
    }

    /// For each appeal the likest rulings; see [`PrecedentIndex::search`].
    pub fn precedents(
        &self,
        embeddings: &[&[f32]],
        most: usize,
        least: f32,
        counts: impl Fn(usize, &Ruling) -> bool,
    ) -> Vec<Vec<Precedent>> {
        self.precedents.search(embeddings, most, least, counts)
    }

    /// The standing rulings in force that contradict a new one: they hold on a common day in a common place, are about the same
    /// matter, by its name or by a likeness of at least `least`, and name another lead. The one that it supersedes is none. The
    /// catalogue knows which names mean one place.
    pub fn contradictions(&self, new: &EmbeddedRuling, catalog: Option<&DepartmentCatalog>, least: f32) -> Vec<Contradiction> {
        if new.ruling.scope != Scope::Standing || new.ruling.status != Status::InForce {
            return Vec::new();
        }
        let others = self.standing.iter().filter(|there| {
            let there = &there.ruling;
            there.id != new.ruling.id && new.ruling.supersedes.as_ref() != Some(&there.id) && there.lead != new.ruling.lead
        });
        let mut found: Vec<Contradiction> = Vec::new();
        for there in others.filter(|there| there.meets(&new.ruling, catalog)) {
            let cosines = new.embeddings.iter().map(|embedding| there.embeddings.likest(embedding));
            let similarity = cosines.fold(-1.0, f32::max);
            if similarity >= least || there.ruling.matter == new.ruling.matter {
                let wins = there.ruling.precedence() > new.ruling.precedence();
                found.push(Contradiction { ruling: Arc::clone(&there.ruling), similarity, wins });
            }
        }
        found.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then_with(|| a.ruling.id.cmp(&b.ruling.id)));
        found
    }
}
