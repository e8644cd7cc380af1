//! Which texts are nearest by their signs: what is left of all that were read, to be compared by their embeddings.

use crate::rulings::signs::{BLOCK, signs};

/// How many texts, nearest by their signs, are compared by their embeddings.
pub(super) const CANDIDATES: usize = 200;
/// As many if several are equally far. A limit, so that a hundred thousand copies of one text cost no more.
const MAX_CANDIDATES: usize = 1024;

/// Keeps the texts whose signs differ least. The bound falls as nearer ones come, so that soon nearly all are passed over at a
/// glance; what is kept in the end is what one bound from the start would have kept.
pub(super) struct Sieve {
    /// Those of what is searched for.
    pub(super) signs: Vec<u8>,
    /// How many texts that were kept differ by so many signs.
    counts: Vec<usize>,
    /// Nothing that differs by more can be among the nearest.
    bound: u16,
    /// How many kept texts are within the bound.
    within: usize,
    /// Distance, chunk, place.
    kept: Vec<(u16, u32, u32)>,
}

impl Sieve {
    /// For an embedding, with nothing in it.
    pub(super) fn new(embedding: &[f32]) -> Self {
        let signs = signs(embedding);
        let furthest = signs.len() * 8;
        Self { counts: vec![0; furthest + 1], bound: furthest as u16, within: 0, kept: Vec::new(), signs }
    }

    /// The same, but nothing that differs by more than so many signs is near enough.
    pub(super) fn within(mut self, furthest: u16) -> Self {
        self.bound = self.bound.min(furthest);
        self
    }

    /// How many texts are near enough so far.
    pub(super) fn count(&self) -> usize {
        self.within
    }

    /// Takes what is near enough of a chunk and is let in; `nearest` has the least distance of each block.
    pub(super) fn take(&mut self, chunk: usize, distances: &[u16], nearest: &[u16], lets_in: impl Fn(usize) -> bool) {
        for (block, (distances, nearest)) in distances.chunks(BLOCK).zip(nearest).enumerate() {
            if *nearest > self.bound {
                continue;
            }
            for (at, &distance) in distances.iter().enumerate().filter(|(_, distance)| **distance <= self.bound) {
                let at = block * BLOCK + at;
                if !lets_in(at) {
                    continue;
                }
                self.kept.push((distance, chunk as u32, at as u32));
                self.counts[usize::from(distance)] += 1;
                self.within += 1;
            }
            while self.within - self.counts[usize::from(self.bound)] >= CANDIDATES {
                self.within -= self.counts[usize::from(self.bound)];
                self.bound -= 1;
            }
        }
        // What fell out of the bound in the meantime is forgotten now and then.
        if self.kept.len() > 8 * MAX_CANDIDATES {
            self.forget();
        }
    }

    fn forget(&mut self) {
        let bound = self.bound;
        self.kept.retain(|(distance, ..)| *distance <= bound);
        if self.kept.len() > MAX_CANDIDATES {
            // All that are nearer than the bound stay: they are fewer than CANDIDATES.
            self.kept.sort_unstable();
            self.kept.truncate(MAX_CANDIDATES);
            self.within = self.kept.len();
            self.counts[usize::from(bound)] = self.kept.iter().filter(|(distance, ..)| *distance == bound).count();
        }
    }

    /// Chunk and place of each.
    pub(super) fn candidates(mut self) -> impl Iterator<Item = (usize, usize)> {
        self.forget();
        self.kept.into_iter().map(|(_, chunk, at)| (chunk as usize, at as usize))
    }
}
