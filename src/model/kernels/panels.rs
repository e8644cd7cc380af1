//! The right side of a product, packed once for the kernel that will read it.

use super::{Ahead, Aligned, Beside, Element, Kernel, Strip, Sums, Tile, to_bf16};

/// A matrix of `outer` columns and `inner` depth as panels of [`Kernel::columns`] columns. Within a panel the words of depth follow
/// each other, and each holds four bytes of every column. What is beyond the matrix is zero.
#[derive(Clone)]
pub struct Panels {
    kernel: Kernel,
    outer: usize,
    inner: usize,
    data: Aligned,
}

impl Panels {
    /// No columns yet; [`Panels::pack_rows`] and the others fill it, again and again without new memory.
    pub fn empty(kernel: Kernel) -> Self {
        Self { kernel, outer: 0, inner: 0, data: Aligned::default() }
    }

    /// i8 codes [outer, inner], as linear layers have their weights; for a kernel of i16 they become such.
    pub fn from_codes(kernel: Kernel, outer: usize, inner: usize, codes: &[i8]) -> Self {
        let mut panels = Self::empty(kernel);
        panels.fill(outer, inner, |column, word| {
            if kernel.element() == Element::Int16 {
                let half = |at: usize| if at < inner { i16::from(codes[column * inner + at]) as u16 } else { 0 };
                return u32::from(half(word * 2)) | u32::from(half(word * 2 + 1)) << 16;
            }
            let byte = |i: usize| match word * 4 + i {
                at if at < inner => codes[column * inner + at] as u8,
                _ => 0,
            };
            u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)])
        });
        panels
    }

    /// f32 values as f32 or bf16, whichever the kernel multiplies, or as the i16 that they are. `value(column, depth)` gives them.
    pub fn from_values(kernel: Kernel, outer: usize, inner: usize, value: impl Fn(usize, usize) -> f32) -> Self {
        let mut panels = Self::empty(kernel);
        panels.fill(outer, inner, |column, word| match kernel.element().size() {
            4 => value(column, word).to_bits(),
            _ => {
                let half = |i: usize| match word * 2 + i {
                    at if at >= inner => 0,
                    at if kernel.element() == Element::Int16 => value(column, at) as i16 as u16,
                    at => to_bf16(value(column, at)),
                };
                u32::from(half(0)) | u32::from(half(1)) << 16
            }
        });
        panels
    }

    fn fill(&mut self, outer: usize, inner: usize, word: impl Fn(usize, usize) -> u32) {
        self.shape(outer, inner);
        let (width, words) = (self.kernel.columns(), self.words());
        let used = (inner * self.kernel.element().size()).div_ceil(4);
        self.data.words_mut().fill(0);
        for (panel, data) in self.data.words_mut().chunks_exact_mut((words * width).max(1)).enumerate() {
            for (at, row) in data.chunks_exact_mut(width).take(used).enumerate() {
                for (column, target) in row.iter_mut().enumerate().take(outer.saturating_sub(panel * width)) {
                    *target = word(panel * width + column, at);
                }
            }
        }
    }

    fn shape(&mut self, outer: usize, inner: usize) {
        (self.outer, self.inner) = (outer, inner);
        let bytes = self.count() * self.panel_bytes();
        self.data.resize(bytes);
    }

    /// Gives the memory of `outer` columns of `inner` depth to a caller who packs faster than the functions above can: for each
    /// panel, words of depth by columns. It may hold old values.
    pub fn reshape(&mut self, outer: usize, inner: usize) -> &mut [u32] {
        self.shape(outer, inner);
        self.data.words_mut()
    }

    /// Four-byte words of depth in a panel.
    pub fn words(&self) -> usize {
        self.kernel.depth_bytes(self.inner) / 4
    }

    fn panel_bytes(&self) -> usize {
        self.kernel.depth_bytes(self.inner) * self.kernel.columns()
    }

    /// Number of panels.
    pub fn count(&self) -> usize {
        self.outer.div_ceil(self.kernel.columns())
    }

    /// Number of columns.
    pub fn outer(&self) -> usize {
        self.outer
    }

    /// Depth, in elements.
    pub fn inner(&self) -> usize {
        self.inner
    }

    /// The kernel that it is packed for.
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        self.data.bytes().len()
    }

    /// Columns of panel `panel`: its first one and their number.
    pub fn columns(&self, panel: usize) -> (usize, usize) {
        let first = panel * self.kernel.columns();
        (first, (self.outer - first).min(self.kernel.columns()))
    }

    /// Part `part` of `parts` of panel `panel`, to be brought nearer; nothing of a panel that is not there.
    #[inline(always)]
    pub fn ahead(&self, panel: usize, part: usize, parts: usize) -> Ahead<'_> {
        let bytes = self.panel_bytes();
        Ahead::new(&self.data, panel * bytes..(panel + 1) * bytes, part, parts)
    }

    /// `strip` times panel `panel` into `tile`.
    #[inline(always)]
    pub fn multiply(&self, strip: Strip<'_>, panel: usize, tile: &mut Tile) {
        self.multiply_into(strip, panel, tile.sums(self.kernel));
    }

    /// `strip` times panel `panel` into `out`.
    #[inline(always)]
    pub fn multiply_into(&self, strip: Strip<'_>, panel: usize, out: Sums<'_>) {
        self.multiply_beside(strip, panel, out, &mut ());
    }

    /// `strip` times panel `panel` into `out`, with something else beside it: see [`Beside`].
    #[inline(always)]
    pub fn multiply_beside(&self, strip: Strip<'_>, panel: usize, out: Sums<'_>, beside: &mut impl Beside) {
        let depth = self.kernel.depth_bytes(self.inner);
        let bytes = depth * self.kernel.columns();
        self.kernel.multiply(strip, &self.data.bytes()[panel * bytes..][..bytes], depth, out, beside);
    }
}
