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
//! Whether a ruling counts is asked only of what turned out to be like the appeal: to look at each that is passed would cost more
//! than the search. Where many that do not count stand nearest (a day long past, a matter whose rulings have all run out), they
//! would hide those that do. Then the search is made again, which takes as long once more; what does not count is passed over from
//! the start, and further cells are read while too few were found that may be like enough.
//!
//! The index never changes: adding to it or taking from it makes another one that shares all but the chunks concerned, so that
//! whoever reads keeps what it has. The answer depends on what is in it, never on the order in which it came, but for texts
//! that are equally far when there are more of them than [`sieve::MAX_CANDIDATES`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hint::black_box;
use std::sync::Arc;

use super::Ruling;
use super::cells::{Cell, Centres};
use super::nearness::Codes;
use super::signs::{BLOCK, Signs, furthest, signs};
use sieve::{CANDIDATES, Sieve};

mod sieve;

/// Texts of one chunk.
const CHUNK: usize = 1024;
/// With so many left of the candidates when those that do not count are gone, it is not worth while to search again.
const ENOUGH_LEFT: usize = CANDIDATES * 9 / 10;

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
            let (cells, counts) = (self.nearest_first(embedding), |ruling: &Ruling| counts(i, ruling));
            let nearest = Nearest::of(&cells, Sieve::new(embedding), most, |_| true);
            let (found, refused) = nearest.best(embedding, most, least, counts);
            if !nearest.hides(refused) {
                return found;
            }
            let sieve = Sieve::new(embedding).within(furthest(embedding.len(), least));
            Nearest::of(&cells, sieve, most, counts).best(embedding, most, least, |_| true).0
        };
        embeddings.iter().enumerate().map(search).collect()
    }

    /// The cells, the one nearest to an embedding first.
    fn nearest_first(&self, embedding: &[f32]) -> Vec<&[Arc<Chunk>]> {
        let likeness = self.centres.likeness(embedding);
        let mut cells: Vec<_> = self.cells.iter().map(|(cell, chunks)| (likeness(*cell), chunks.as_slice())).collect();
        cells.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        cells.into_iter().map(|(_, chunks)| chunks).collect()
    }
}

/// The texts nearest to an embedding by their signs.
struct Nearest<'a> {
    /// What was read for them.
    chunks: Vec<&'a Chunk>,
    /// Of each its chunk and its place there.
    texts: Vec<(usize, usize)>,
}

impl<'a> Nearest<'a> {
    /// Of the rulings that are let in. Cell after cell is read until there were enough texts, and among them as many as are wanted.
    fn of(cells: &[&'a [Arc<Chunk>]], mut sieve: Sieve, wanted: usize, lets_in: impl Fn(&Ruling) -> bool) -> Self {
        let mut read = 0;
        let unread = |cell: &&&[Arc<Chunk>]| {
            let enough = read >= ENOUGH;
            read += cell.iter().map(|chunk| chunk.rulings.len()).sum::<usize>();
            !enough
        };
        // Before they are read: looking at all of them in a row waits for the memory once, not once for each.
        let enough = cells.iter().take_while(unread).count();
        let (mut distances, mut nearest) = ([0u16; CHUNK], [0u16; CHUNK / BLOCK]);
        let mut chunks: Vec<&Chunk> = Vec::new();
        for (number, cell) in cells.iter().enumerate() {
            if number >= enough && sieve.count() >= wanted.min(CANDIDATES) {
                break;
            }
            for chunk in *cell {
                chunk.signs.differing(&sieve.signs, &mut distances, &mut nearest);
                let distances = &distances[..chunk.rulings.len()];
                sieve.take(chunks.len(), distances, &nearest, |at| lets_in(&chunk.rulings[at]));
                chunks.push(chunk);
            }
        }
        Self { chunks, texts: sieve.candidates().collect() }
    }

    /// The likest of them by their embeddings; and how many are like enough and do not count.
    fn best(&self, embedding: &[f32], most: usize, least: f32, counts: impl Fn(&Ruling) -> bool) -> (Vec<Precedent>, usize) {
        let mut likest: HashMap<&str, (f32, &Arc<Ruling>)> = HashMap::new();
        let mut refused = 0;
        let texts: Vec<(&Chunk, usize)> = self.texts.iter().map(|(chunk, at)| (self.chunks[*chunk], *at)).collect();
        black_box(texts.iter().map(|(chunk, at)| chunk.embeddings.touch(*at, embedding.len())).sum::<i32>());
        for (chunk, at) in texts {
            let ruling = &chunk.rulings[at];
            let similarity = chunk.embeddings.cosine(at, embedding);
            if similarity < least {
                continue;
            }
            if counts(ruling) {
                let best = likest.entry(&ruling.id).or_insert((similarity, ruling));
                best.0 = best.0.max(similarity);
            } else {
                refused += 1;
            }
        }
        let mut found: Vec<(f32, &Arc<Ruling>)> = likest.into_values().collect();
        found.sort_by(|(a, one), (b, other)| b.total_cmp(a).then_with(|| one.id.cmp(&other.id)));
        found.truncate(most);
        let precedent = |(similarity, ruling): (f32, &Arc<Ruling>)| Precedent { ruling: Arc::clone(ruling), similarity };
        (found.into_iter().map(precedent).collect(), refused)
    }

    /// Whether those that were refused may hide others that count: fewer are left than should be looked at, and there are more.
    /// Texts that are not like enough hide nothing, since what is further off is hardly liker.
    fn hides(&self, refused: usize) -> bool {
        self.texts.len() >= CANDIDATES && self.texts.len() - refused < ENOUGH_LEFT
    }
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

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

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

    fn ruling(id: &str) -> Arc<Ruling> {
        let draft = RulingDraft {
            id: id.to_owned(),
            scope: "case".to_owned(),
            matter: "路灯不亮".to_owned(),
            description: "路灯坏了".to_owned(),
            lead: "城管".to_owned(),
            body: "committee".to_owned(),
            decided_on: "2026-01-01".to_owned(),
            ..RulingDraft::default()
        };
        Arc::new(draft.parse(None).expect("a ruling"))
    }

    fn index(centres: &[Vec<f32>], texts: &[Vec<f32>]) -> PrecedentIndex {
        let ruling = ruling("r1");
        PrecedentIndex::new(8, centres).with(texts.iter().map(|text| (&ruling, text.as_slice())))
    }

    fn near<'a>(index: &'a PrecedentIndex, text: &[f32]) -> Vec<&'a Chunk> {
        Nearest::of(&index.nearest_first(text), Sieve::new(text), 5, |_| true).chunks
    }

    fn read(index: &PrecedentIndex, text: &[f32]) -> usize {
        near(index, text).iter().map(|chunk| chunk.rulings.len()).sum()
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
            assert_eq!(near(&index, text)[0].rulings.len(), CHUNK);
            let own = &index.cells[&index.centres.cell(text)];
            assert!(std::ptr::eq(near(&index, text)[0], &*own[0]));
        }
    }

    #[test]
    fn a_small_one_and_one_without_centres_are_read_whole() {
        let (centres, texts) = around_four();
        assert_eq!(read(&index(&centres, &texts[..ENOUGH]), &texts[3]), ENOUGH);
        assert_eq!(read(&index(&[], &texts), &texts[3]), texts.len());
    }

    #[test]
    fn those_that_do_not_count_hide_none_however_many_of_them_stand_nearer() {
        let (centres, texts) = around_four();
        let (gone, valid) = (ruling("gone"), ruling("valid"));
        // One that counts among copies of it that do not, more than are ever kept.
        let copies = vec![(&gone, texts[0].as_slice()); 1_100];
        let crowded = PrecedentIndex::new(8, &[]).with(copies.into_iter().chain([(&valid, texts[0].as_slice())]));
        // One that counts in a cell that is not read for what is like the first text, and in all others enough that do not.
        let far = (0..texts.len()).map(|n| (if n == 2 { &valid } else { &gone }, texts[n].as_slice()));
        let far = PrecedentIndex::new(8, &centres).with(far);
        assert!(read(&far, &texts[0]) < texts.len());
        for index in [crowded, far] {
            let found = index.search(&[&texts[0]], 5, -1.0, |_, ruling| ruling.id == "valid").remove(0);
            assert_eq!(found.iter().map(|one| one.ruling.id.as_str()).collect::<Vec<_>>(), ["valid"]);
        }
    }

    #[test]
    fn where_few_count_the_search_finds_what_it_finds_among_these_alone() {
        let rng = &mut StdRng::seed_from_u64(6);
        let mut text = || (0..512).map(|_| rng.random_range(-0.0765..0.0765f32)).collect::<Vec<f32>>();
        let texts: Vec<_> = (0..3_000).map(|n| (ruling(&format!("r{n}")), text())).collect();
        let all = || texts.iter().map(|(ruling, text)| (ruling, text.as_slice()));
        let whole = PrecedentIndex::new(512, &[]).with(all());
        for every in [3, 20, 500, 2_900] {
            let counts = |ruling: &Ruling| ruling.id[1..].parse().is_ok_and(|n: usize| n.is_multiple_of(every));
            let alone = PrecedentIndex::new(512, &[]).with(all().filter(|(ruling, _)| counts(ruling)));
            for (_, text) in texts.iter().step_by(97) {
                let found = whole.search(&[text], 5, -1.0, |_, ruling| counts(ruling));
                assert_eq!(found, alone.search(&[text], 5, -1.0, |_, _| true), "every {every}th counts");
            }
        }
    }
}
