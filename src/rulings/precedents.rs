//! Which rulings are like an appeal, among a hundred thousand, in less time than the encoder needs for a few of its words.
//!
//! Three steps. Texts lie in cells, by the two departments whose training orders they are likest to; the cells nearest the appeal are
//! read until there were enough texts. Of every text in them the signs of its embedding are compared, one bit a number: how many of
//! them differ says roughly how far two texts are apart, and costs a few instructions. The few hundred nearest by that are then
//! compared by their embeddings, kept in eight bits a number. With 200 looked at, 99.8 % of the nearest five of held-out orders are
//! found among 6,652 training orders, which all are read. Among 100,000, fifteen near copies of each, it is 96.9 %, of an eighth of
//! the texts; what is found instead is 0.0011 less like. A search behind the encoder, which empties the cache, waits for memory above all:
//! that is what the cells are for. Subtracting a mean first did not help. Nor did a shorter first pass (192 signs of every text, all
//! signs of the two thousand nearest): two thousand single reads cost more than the other signs in a row.
//!
//! The index never changes: adding to it or taking from it makes another one that shares all but the chunks concerned, so that
//! whoever reads keeps what it has. The answer depends on what is in it, never on the order in which it came, but for texts
//! that are equally far when there are more of them than [`MAX_CANDIDATES`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hint::black_box;
use std::sync::Arc;

use super::Ruling;
use super::cells::{Cell, Centres};
use super::nearness::Codes;
use super::signs::{BLOCK, Signs, signs};

/// Texts of one chunk.
const CHUNK: usize = 1024;
/// How many texts, nearest by their signs, are compared by their embeddings.
const CANDIDATES: usize = 200;
/// As many if several are equally far. A limit, so that a hundred thousand copies of one text cost no more.
const MAX_CANDIDATES: usize = 1024;

/// Cells are read, the nearest first and each whole, until there were so many texts. A smaller index is read whole.
const ENOUGH: usize = 12_288;

/// A ruling that is like an appeal.
#[derive(Debug, Clone, PartialEq)]
pub struct Precedent {
    /// Which.
    pub ruling: Arc<Ruling>,
    /// Cosine of the appeal to the likest of its texts, within 0.001.
    pub similarity: f32,
}

/// All rulings' texts, to be searched by likeness.
#[derive(Debug, Clone)]
pub struct PrecedentIndex {
    width: usize,
    centres: Arc<Centres>,
    /// None is empty, nor is any of their chunks.
    cells: BTreeMap<Cell, Vec<Arc<Chunk>>>,
}

/// Texts, side by side.
#[derive(Debug, Clone, Default)]
struct Chunk {
    rulings: Vec<Arc<Ruling>>,
    signs: Signs,
    embeddings: Codes,
}

impl PrecedentIndex {
    /// With nothing in it, for embeddings of this length. Texts lie in cells by these centres, of length one; without any, all in one.
    pub fn new(width: usize, centres: &[Vec<f32>]) -> Self {
        Self { width, centres: Arc::new(Centres::new(centres)), cells: BTreeMap::new() }
    }

    /// How many texts it holds.
    pub fn len(&self) -> usize {
        self.cells.values().flatten().map(|chunk| chunk.rulings.len()).sum()
    }

    /// True if it holds none.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The same with more texts, each with its ruling. Embeddings are of length one.
    #[must_use]
    pub fn with<'a>(&self, texts: impl IntoIterator<Item = (&'a Arc<Ruling>, &'a [f32])>) -> Self {
        let mut cells = self.cells.clone();
        for (ruling, embedding) in texts {
            let chunks = cells.entry(self.centres.cell(embedding)).or_default();
            match chunks.last_mut() {
                Some(last) if last.rulings.len() < CHUNK => Arc::make_mut(last).push(ruling, embedding),
                _ => {
                    let mut chunk = Chunk::default();
                    chunk.push(ruling, embedding);
                    chunks.push(Arc::new(chunk));
                }
            }
        }
        Self { width: self.width, centres: Arc::clone(&self.centres), cells }
    }

    /// The same without some rulings.
    #[must_use]
    pub fn without(&self, ids: &BTreeSet<&str>) -> Self {
        let gone = |ruling: &Arc<Ruling>| ids.contains(ruling.id.as_str());
        let keep = |chunk: &Arc<Chunk>| match chunk.rulings.iter().any(gone) {
            true => Some(Arc::new(chunk.without(self.width, gone))).filter(|chunk| !chunk.rulings.is_empty()),
            false => Some(Arc::clone(chunk)),
        };
        let cells = self.cells.iter().map(|(cell, chunks)| (*cell, chunks.iter().filter_map(keep).collect::<Vec<_>>()));
        let cells = cells.filter(|(_, chunks)| !chunks.is_empty()).collect();
        Self { width: self.width, centres: Arc::clone(&self.centres), cells }
    }

    /// For each embedding the likest rulings that `counts` lets in, best first, each with the likest of its texts: at most `most`,
    /// none below `least`.
    pub fn search(
        &self,
        embeddings: &[&[f32]],
        most: usize,
        least: f32,
        counts: impl Fn(usize, &Ruling) -> bool,
    ) -> Vec<Vec<Precedent>> {
        let search = |(i, embedding): (usize, &&[f32])| {
            let chunks = self.near(embedding);
            let mut sieve = Sieve::new(embedding);
            let (mut distances, mut nearest) = ([0u16; CHUNK], [0u16; CHUNK / BLOCK]);
            for (number, chunk) in chunks.iter().enumerate() {
                chunk.signs.differing(&sieve.signs, &mut distances, &mut nearest);
                sieve.take(number, &distances[..chunk.rulings.len()], &nearest);
            }
            best(&chunks, sieve, embedding, most, least, |ruling| counts(i, ruling))
        };
        embeddings.iter().enumerate().map(search).collect()
    }

    /// What is read for an embedding.
    fn near(&self, embedding: &[f32]) -> Vec<&Chunk> {
        let likeness = self.centres.likeness(embedding);
        let mut cells: Vec<_> = self.cells.iter().map(|(cell, chunks)| (likeness(*cell), chunks)).collect();
        cells.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        let mut read = 0;
        let unread = |(_, chunks): &(f32, &Vec<Arc<Chunk>>)| {
            let enough = read >= ENOUGH;
            read += chunks.iter().map(|chunk| chunk.rulings.len()).sum::<usize>();
            !enough
        };
        cells.into_iter().take_while(unread).flat_map(|(_, chunks)| chunks.iter().map(|chunk| &**chunk)).collect()
    }
}

/// Compares the candidates by their embeddings.
fn best(
    chunks: &[&Chunk],
    sieve: Sieve,
    embedding: &[f32],
    most: usize,
    least: f32,
    counts: impl Fn(&Ruling) -> bool,
) -> Vec<Precedent> {
    let mut likest: HashMap<&str, (f32, &Arc<Ruling>)> = HashMap::new();
    let candidates: Vec<(&Chunk, usize)> = sieve.candidates().map(|(chunk, at)| (chunks[chunk], at)).collect();
    black_box(candidates.iter().map(|(chunk, at)| chunk.embeddings.touch(*at, embedding.len())).sum::<i32>());
    for (chunk, at) in candidates {
        let ruling = &chunk.rulings[at];
        let similarity = chunk.embeddings.cosine(at, embedding);
        if similarity >= least && counts(ruling) {
            let best = likest.entry(&ruling.id).or_insert((similarity, ruling));
            best.0 = best.0.max(similarity);
        }
    }
    let mut found: Vec<(f32, &Arc<Ruling>)> = likest.into_values().collect();
    found.sort_by(|(a, one), (b, other)| b.total_cmp(a).then_with(|| one.id.cmp(&other.id)));
    found.truncate(most);
    let precedent = |(similarity, ruling): (f32, &Arc<Ruling>)| Precedent { ruling: Arc::clone(ruling), similarity };
    found.into_iter().map(precedent).collect()
}

impl Chunk {
    fn push(&mut self, ruling: &Arc<Ruling>, embedding: &[f32]) {
        self.rulings.push(Arc::clone(ruling));
        self.signs.push(&signs(embedding));
        self.embeddings.push(embedding);
    }

    fn without(&self, width: usize, gone: impl Fn(&Arc<Ruling>) -> bool) -> Self {
        let mut rest = Self::default();
        for (at, ruling) in self.rulings.iter().enumerate().filter(|(_, ruling)| !gone(ruling)) {
            rest.rulings.push(Arc::clone(ruling));
            rest.signs.push(&self.signs.get(at, width.div_ceil(8)));
            rest.embeddings.push_from(&self.embeddings, at, width);
        }
        rest
    }
}

/// Keeps the texts whose signs differ least. The bound falls as nearer ones come, so that soon nearly all are passed over at a
/// glance; what is kept in the end is what one bound from the start would have kept.
struct Sieve {
    signs: Vec<u8>,
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
    fn new(embedding: &[f32]) -> Self {
        let signs = signs(embedding);
        let furthest = signs.len() * 8;
        Self { counts: vec![0; furthest + 1], bound: furthest as u16, within: 0, kept: Vec::new(), signs }
    }

    /// Takes what is near enough of a chunk; `nearest` has the least distance of each block.
    fn take(&mut self, chunk: usize, distances: &[u16], nearest: &[u16]) {
        for (block, (distances, nearest)) in distances.chunks(BLOCK).zip(nearest).enumerate() {
            if *nearest > self.bound {
                continue;
            }
            for (at, &distance) in distances.iter().enumerate().filter(|(_, distance)| **distance <= self.bound) {
                self.kept.push((distance, chunk as u32, (block * BLOCK + at) as u32));
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
    fn candidates(mut self) -> impl Iterator<Item = (usize, usize)> {
        self.forget();
        self.kept.into_iter().map(|(_, chunk, at)| (chunk as usize, at as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::super::RulingDraft;
    use super::*;

    /// Sixteen thousand texts, a quarter of them around each of four centres, at all places between theirs.
    fn around_four() -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
        let axis = |at: usize| (0..8).map(|i| f32::from(u8::from(i == at))).collect::<Vec<f32>>();
        let unit = |values: Vec<f32>| {
            let length = values.iter().map(|x| x * x).sum::<f32>().sqrt();
            values.iter().map(|x| x / length).collect::<Vec<f32>>()
        };
        let text = |n: usize| {
            let (first, second, rest) = (n % 4, (n / 4) % 3, n / 12);
            let second = (first + 1 + second) % 4;
            let number = |i: usize| match i {
                _ if i == first => 4.0,
                _ if i == second => 1.0,
                _ => (rest >> i & 3) as f32 / 4.0,
            };
            unit((0..8).map(number).collect())
        };
        ((0..4).map(axis).collect(), (0..16_000).map(text).collect())
    }

    fn index(centres: &[Vec<f32>], texts: &[Vec<f32>]) -> PrecedentIndex {
        let draft = RulingDraft {
            id: "r1".to_owned(),
            scope: "case".to_owned(),
            matter: "路灯不亮".to_owned(),
            description: "路灯坏了".to_owned(),
            lead: "城管".to_owned(),
            body: "committee".to_owned(),
            decided_on: "2026-01-01".to_owned(),
            ..RulingDraft::default()
        };
        let ruling = Arc::new(draft.parse(None).expect("a ruling"));
        PrecedentIndex::new(8, centres).with(texts.iter().map(|text| (&ruling, text.as_slice())))
    }

    fn read(index: &PrecedentIndex, text: &[f32]) -> usize {
        index.near(text).iter().map(|chunk| chunk.rulings.len()).sum()
    }

    #[test]
    fn of_a_large_index_the_cells_nearest_are_read_until_there_was_enough() {
        let (centres, texts) = around_four();
        let index = index(&centres, &texts);
        assert_eq!(index.cells.len(), 12, "pairs of a first and a second");
        for text in texts.iter().take(50) {
            let read = read(&index, text);
            assert!((ENOUGH..texts.len()).contains(&read), "{read}");
            // What it is most like lies in the cell that is read first.
            assert_eq!(index.near(text)[0].rulings.len(), CHUNK);
            let own = &index.cells[&index.centres.cell(text)];
            assert!(std::ptr::eq(index.near(text)[0], &*own[0]));
        }
    }

    #[test]
    fn a_small_one_and_one_without_centres_are_read_whole() {
        let (centres, texts) = around_four();
        assert_eq!(read(&index(&centres, &texts[..ENOUGH]), &texts[3]), ENOUGH);
        assert_eq!(read(&index(&[], &texts), &texts[3]), texts.len());
    }
}
