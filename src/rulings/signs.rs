//! The signs of embeddings, one bit a number: how many of them differ says roughly how far two texts are apart, at an eighth of the
//! memory and a few instructions.

use crate::model::vector::vectorised;

/// Texts whose signs lie together.
pub const BLOCK: usize = 64;

/// Bytes that may be counted before a count of differing bits could pass 255.
const COUNTED: usize = 31;

/// How many standard deviations more signs than expected may differ before two texts are taken to be less like. The furthest of
/// the 225,000 pairs of real orders that are at least .86 alike was at 4.5.
const DEVIATIONS: f32 = 8.0;

/// A bit for each number: set if it is negative.
pub fn signs(embedding: &[f32]) -> Vec<u8> {
    let byte = |numbers: &[f32]| numbers.iter().enumerate().fold(0, |byte, (i, x)| byte | u8::from(*x < 0.0) << i);
    embedding.chunks(8).map(byte).collect()
}

/// In how many signs, of `width`, two texts differ at most whose cosine is at least so great: as if each sign differed by itself with
/// the probability that the angle gives it, and far beyond what is likely then.
pub fn furthest(width: usize, cosine: f32) -> u16 {
    let (width, differs) = (width as f32, cosine.clamp(-1.0, 1.0).acos() / std::f32::consts::PI);
    (width * differs + DEVIATIONS * (width * differs * (1.0 - differs)).sqrt()).ceil() as u16
}

/// The signs of many texts, in blocks: the first byte of its texts' signs side by side, then the second of each.
#[derive(Debug, Clone, Default)]
pub struct Signs {
    /// The last block is filled up with noughts.
    blocks: Vec<u8>,
    len: usize,
}

impl Signs {
    /// One more; all are of one length.
    pub fn push(&mut self, signs: &[u8]) {
        let at = self.len;
        if at.is_multiple_of(BLOCK) {
            self.blocks.resize(self.blocks.len() + signs.len() * BLOCK, 0);
        }
        let block = &mut self.blocks[at / BLOCK * BLOCK * signs.len()..];
        for (place, byte) in block[at % BLOCK..].iter_mut().step_by(BLOCK).zip(signs) {
            *place = *byte;
        }
        self.len += 1;
    }

    /// Those of one text, of so many bytes.
    pub fn get(&self, at: usize, bytes: usize) -> Vec<u8> {
        let block = &self.blocks[at / BLOCK * BLOCK * bytes..][..BLOCK * bytes];
        block[at % BLOCK..].iter().step_by(BLOCK).copied().collect()
    }

    /// In how many signs each text differs from `signs`, and the least of these for each block. `distances` has room for whole blocks.
    pub fn differing(&self, signs: &[u8], distances: &mut [u16], nearest: &mut [u16]) {
        differing(signs, &self.blocks, distances, nearest);
    }

    /// The texts that differ from `signs` in at most so many.
    pub fn within(&self, signs: &[u8], most: u16) -> impl Iterator<Item = usize> {
        let blocks = self.len.div_ceil(BLOCK);
        let (mut distances, mut nearest) = (vec![0; blocks * BLOCK], vec![0; blocks]);
        self.differing(signs, &mut distances, &mut nearest);
        distances.truncate(self.len);
        distances.into_iter().enumerate().filter_map(move |(at, distance)| (distance <= most).then_some(at))
    }
}

vectorised! {
    /// See [`Signs::differing`]. Sixty-four bytes meet one of ours at a time, and nothing has to be added across.
    fn differing<'a>(signs: &'a [u8], blocks: &'a [u8], distances: &'a mut [u16], nearest: &'a mut [u16]) {
        let (distances, _) = distances.as_chunks_mut::<BLOCK>();
        for ((block, distances), nearest) in blocks.chunks_exact(signs.len() * BLOCK).zip(distances).zip(nearest) {
            *distances = [0; BLOCK];
            for (own, rows) in signs.chunks(COUNTED).zip(block.chunks(COUNTED * BLOCK)) {
                let mut differing = [0u8; BLOCK];
                let (rows, _) = rows.as_chunks::<BLOCK>();
                for (own, row) in own.iter().zip(rows) {
                    for (count, byte) in differing.iter_mut().zip(row) {
                        *count += (byte ^ own).count_ones() as u8;
                    }
                }
                for (distance, count) in distances.iter_mut().zip(differing) {
                    *distance += u16::from(count);
                }
            }
            *nearest = distances.iter().fold(u16::MAX, |least, distance| if *distance < least { *distance } else { least });
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn signs_are_counted_as_a_plain_loop_counts_them() {
        let rng = &mut StdRng::seed_from_u64(3);
        // Beyond 31 bytes a count is carried over; 150 texts leave a block half full.
        for width in [8usize, 13, 240, 256, 512, 700] {
            let mut random = || (0..width).map(|_| rng.random_range(-1.0..1.0f32)).collect::<Vec<f32>>();
            let (own, texts) = (random(), (0..150).map(|_| random()).collect::<Vec<_>>());
            let mut kept = Signs::default();
            texts.iter().for_each(|text| kept.push(&signs(text)));
            assert_eq!(kept.get(77, width.div_ceil(8)), signs(&texts[77]));
            let (mut distances, mut nearest) = ([0; 192], [0; 3]);
            kept.differing(&signs(&own), &mut distances, &mut nearest);
            let plain: Vec<u16> = texts
                .iter()
                .map(|text| text.iter().zip(&own).filter(|(a, b)| (**a < 0.0) != (**b < 0.0)).count() as u16)
                .collect();
            assert_eq!(distances[..150], plain);
            assert_eq!(
                nearest[..2],
                [plain[..64].iter().min(), plain[64..128].iter().min()].map(|least| *least.expect("some"))
            );
            let bound = plain[5];
            let near: Vec<usize> = (0..150).filter(|at| plain[*at] <= bound).collect();
            assert_eq!(kept.within(&signs(&own), bound).collect::<Vec<_>>(), near);
        }
        assert_eq!(Signs::default().within(&[0; 4], 40).count(), 0);
    }

    #[test]
    fn the_furthest_that_like_texts_may_differ_lies_well_beyond_what_they_do() {
        let rng = &mut StdRng::seed_from_u64(4);
        let mut random = || (0..512).map(|_| rng.random_range(-1.0..1.0f32)).collect::<Vec<f32>>();
        for share in [0.3, 0.6, 0.9] {
            for _ in 0..300 {
                let one = random();
                let other: Vec<f32> = one.iter().zip(random()).map(|(x, y)| share * x + (1.0 - share) * y).collect();
                let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
                let cosine = dot(&one, &other) / (dot(&one, &one) * dot(&other, &other)).sqrt();
                let differ = signs(&one).iter().zip(signs(&other)).map(|(a, b)| (a ^ b).count_ones()).sum::<u32>();
                assert!(differ < u32::from(furthest(512, cosine)), "{differ} at {cosine}");
            }
        }
        assert_eq!((furthest(512, 1.0), furthest(512, 0.845)), (0, 162));
        assert!(furthest(8, 0.9) >= 8, "of few signs nothing is concluded");
    }
}
