//! Weights on their way: a panel is brought into the second-level cache while the one before it is multiplied.

use super::{Aligned, Beside, CACHE_LINE};

/// Some lines of memory that will soon be read. Their way here is begun beside a product, a few at a time; nothing waits for them.
pub struct Ahead<'a> {
    lines: &'a [[u8; CACHE_LINE]],
    begun: usize,
}

impl<'a> Ahead<'a> {
    /// Part `part` of `parts` of these bytes of `memory`; of those that there are.
    pub(super) fn new(memory: &'a Aligned, bytes: std::ops::Range<usize>, part: usize, parts: usize) -> Self {
        let memory = memory.bytes();
        let end = bytes.end.min(memory.len());
        let lines = memory[bytes.start.min(end)..end].as_chunks().0;
        let (first, last) = (part * lines.len() / parts, (part + 1) * lines.len() / parts);
        Self { lines: &lines[first..last], begun: 0 }
    }
}

impl Beside for Ahead<'_> {
    #[inline(always)]
    fn part(&mut self, part: usize, parts: usize) {
        let end = ((part + 1) * self.lines.len()).div_ceil(parts);
        for line in &self.lines[self.begun..end] {
            begin(line);
        }
        self.begun = end;
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn begin(line: &[u8; CACHE_LINE]) {
    use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
    // SAFETY: a hint that reads nothing, for memory that is there anyway.
    #[allow(unsafe_code)]
    unsafe {
        _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast());
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn begin(_: &[u8; CACHE_LINE]) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_all_strips_are_the_whole_panel_each_line_once_and_nothing_behind_the_memory() {
        let mut memory = Aligned::default();
        memory.resize(100 * CACHE_LINE);
        for (bytes, lines) in [(0..64 * 40, 40), (64 * 70..64 * 110, 30), (64 * 100..64 * 140, 0), (64 * 200..64 * 240, 0)] {
            for strips in [1, 3, 7, 50] {
                let mut reached = 0;
                for strip in 0..strips {
                    let mut ahead = Ahead::new(&memory, bytes.clone(), strip, strips);
                    for part in 0..8 {
                        let before = ahead.begun;
                        ahead.part(part, 8);
                        reached += ahead.begun - before;
                    }
                    assert_eq!(ahead.begun, ahead.lines.len());
                }
                assert_eq!(reached, lines, "{bytes:?} in {strips} strips");
            }
        }
    }
}
