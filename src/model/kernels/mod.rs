//! The products of small blocks that everything fast is made of, in the instructions that this processor has. The only room with
//! unsafe code.
//!
//! One shape serves all: a [`Kernel`] multiplies a strip of a few rows by one panel of a few columns over the whole depth, and
//! leaves the sums in a [`Tile`]. Rows lie as they are; panels are packed ([`Panels`]) so that four bytes of depth (one f32, two
//! bf16 or int16, or four int8) of every column stand side by side. So all of them share one layout and one loop, and differ in one
//! instruction. What happens to the sums (scales, bias, GELU) is safe code elsewhere.
//!
//! int8 is u8 times i8 and int16 is i16 times i16, summed exactly in i32: every kernel gives the plain version's integers. Before a kernel is used for the
//! first time it is held against the plain one; one that errs on this processor is never chosen.

mod ahead;
mod aligned;
#[cfg(target_arch = "x86_64")]
mod amx;
mod panels;
mod plain;
mod select;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use ahead::Ahead;
pub use aligned::{Aligned, CACHE_LINE};
pub use panels::Panels;
pub use select::{Isa, Kernel};

/// What is multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Element {
    /// f32 times f32, summed in f32.
    F32,
    /// bf16 times bf16, summed in f32.
    Bf16,
    /// i16 times i16, summed in i32: whoever makes them sees to it that the sums fit.
    Int16,
    /// Rows of u8 times columns of i8, summed in i32.
    Int8,
}

impl Element {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 | Self::Int16 => 2,
            Self::Int8 => 1,
        }
    }

    /// Whether its sums are exact.
    pub fn is_integer(self) -> bool {
        matches!(self, Self::Int16 | Self::Int8)
    }
}

/// Most rows of a strip, whatever the kernel.
pub const MAX_ROWS: usize = 32;

/// Most columns of a panel, whatever the kernel.
pub const MAX_COLUMNS: usize = 64;

/// What goes on beside a product, in parts: tiles multiply on their own, and one of the core's two vector units is free meanwhile. A
/// trait and no closure, which nothing forces the compiler to inline where the widest vectors may be used.
pub trait Beside {
    /// Part `part` of `parts`, each once, in order. AMX has a part for each step of the depth, other kernels one before the product.
    /// Must not multiply.
    fn part(&mut self, part: usize, parts: usize);
}

/// Nothing.
impl Beside for () {
    #[inline(always)]
    fn part(&mut self, _: usize, _: usize) {}
}

/// One after the other.
impl<A: Beside, B: Beside> Beside for (A, B) {
    #[inline(always)]
    fn part(&mut self, part: usize, parts: usize) {
        self.0.part(part, parts);
        self.1.part(part, parts);
    }
}

/// Where the sums of one strip times one panel go: row `r`, column `c` at `r * stride + c`, an f32's bits or an i32.
pub struct Sums<'a> {
    /// From the first sum on, as far as [`Kernel::rows_written`] rows reach.
    pub words: &'a mut [u32],
    /// Words from one row to the next, at least the kernel's columns.
    pub stride: usize,
}

/// The sums of one strip times one panel: row `r`, column `c` at `r * kernel.columns() + c`, an f32's bits or an i32.
#[repr(C, align(64))]
pub struct Tile([u32; MAX_ROWS * MAX_COLUMNS]);

impl Default for Tile {
    fn default() -> Self {
        Self([0; MAX_ROWS * MAX_COLUMNS])
    }
}

impl Tile {
    /// To be written by `kernel`.
    pub fn sums(&mut self, kernel: Kernel) -> Sums<'_> {
        Sums { words: &mut self.0, stride: kernel.columns() }
    }

    /// The sums as integers.
    pub fn integers(&self) -> &[i32] {
        bytemuck::cast_slice(&self.0)
    }

    /// The sums as f32.
    pub fn floats(&self) -> &[f32] {
        bytemuck::cast_slice(&self.0)
    }
}

/// A strip of rows, each `stride` bytes after the one before it.
#[derive(Clone, Copy)]
pub struct Strip<'a> {
    /// From the first byte of the first row. What lies behind the last row may be read too, if it is long enough for
    /// [`Kernel::rows_written`] rows: then a kernel of whole tiles need not copy the last ones.
    pub bytes: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
    /// Number of rows, at most [`Kernel::rows`].
    pub rows: usize,
}

/// Whether `rows` rows (at least one), `stride` apart, each `length` long, lie within `there`. A stride may be anything: what
/// overflows does not fit.
#[inline(always)]
fn reach(rows: usize, stride: usize, length: usize, there: usize) -> bool {
    let last = rows.checked_sub(1).and_then(|rows| rows.checked_mul(stride));
    last.and_then(|last| last.checked_add(length)).is_some_and(|end| end <= there)
}

/// f32 rounded to bf16, to the nearest, ties to even: the upper half of its bits. NaN may become infinity.
#[inline(always)]
pub fn to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    (bits.wrapping_add(0x7FFF + ((bits >> 16) & 1)) >> 16) as u16
}
