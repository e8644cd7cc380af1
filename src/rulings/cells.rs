//! Where a text lies in the index of precedents: in the cell of the two departments whose training orders it is likest to, the likest
//! first. Nothing is learnt from what lies there, so a text's cell does not change when others come and go, and is the same on every
//! server.

use super::nearness::Codes;

/// The likest department's place in the list of centres, and the second likest's.
pub(super) type Cell = (u16, u16);

/// How much less than being like the first of a cell it counts to be like its second. Chosen on held-out orders, and hardly matters:
/// the first alone finds a hundredth less.
const SECOND: f32 = 0.5;

/// Mean embeddings of the departments' training orders.
#[derive(Debug, Default)]
pub(super) struct Centres {
    codes: Codes,
    count: usize,
}

impl Centres {
    /// Each of length one.
    pub(super) fn new(centres: &[Vec<f32>]) -> Self {
        Self { codes: Codes::of(centres.iter().map(Vec::as_slice)), count: centres.len() }
    }

    /// Where a text lies.
    pub(super) fn cell(&self, embedding: &[f32]) -> Cell {
        let (mut first, mut second) = ((-2f32, 0), (-2f32, 0));
        for (at, cosine) in (0..).zip(self.cosines(embedding)) {
            if cosine > first.0 {
                (second, first) = (first, (cosine, at));
            } else if cosine > second.0 {
                second = (cosine, at);
            }
        }
        (first.1, second.1)
    }

    /// How like an embedding is to what lies in a cell.
    pub(super) fn likeness(&self, embedding: &[f32]) -> impl Fn(Cell) -> f32 {
        let cosines = self.cosines(embedding);
        let cosine = move |at: u16| cosines.get(usize::from(at)).copied().unwrap_or(0.0);
        move |(first, second)| cosine(first) + SECOND * cosine(second)
    }

    fn cosines(&self, embedding: &[f32]) -> Vec<f32> {
        (0..self.count).map(|at| self.codes.cosine(at, embedding)).collect()
    }
}
