//! The tiles of x86-64: AVX-512 (f32, bf16, VNNI), AVX-VNNI and AVX2.
//!
//! All come from one macro: load the panel's vectors for a word of depth, spread the same word of each row over a vector,
//! one multiply-add each. Six rows by four AVX-512 vectors use 24 registers for sums, four for the panel and one for the row, so
//! that 24 multiply-adds need ten loads; six by two are the same for AVX2's sixteen registers.

use std::arch::x86_64::*;

use super::{Element, Isa, Strip, Sums};

/// Rows of a strip.
pub(super) const ROWS: usize = 6;

/// Columns of a panel: four AVX-512 vectors, or two of AVX2.
pub(super) const COLUMNS_512: usize = 64;
pub(super) const COLUMNS_256: usize = 16;

macro_rules! tile {
    (
        $(#[$doc:meta])*
        $name:ident, $features:literal, $vector:ty, $vectors:literal x $lanes:literal,
        zero: $zero:expr, row: $row:expr, load: $load:expr, step: $step:expr, store: $store:expr $(,)?
    ) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// The processor has the named features; `a` has `R` rows of `words` words, `stride` bytes apart; `panel` has `words` times
        /// the tile's columns words; `out` has room for `R` rows of the tile's columns words, `pitch` words apart.
        #[target_feature(enable = $features)]
        #[allow(unsafe_code)]
        unsafe fn $name<const R: usize>(
            a: *const u8,
            stride: usize,
            panel: *const u8,
            words: usize,
            out: *mut u32,
            pitch: usize,
        ) {
            let mut sums: [[$vector; $vectors]; R] = [[$zero; $vectors]; R];
            for word in 0..words {
                let mut columns: [$vector; $vectors] = [$zero; $vectors];
                for (c, column) in columns.iter_mut().enumerate() {
                    // SAFETY: word < words, so these bytes are the panel's.
                    *column = unsafe { $load(panel.add((word * $vectors + c) * $lanes * 4)) };
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    // SAFETY: r < R and word < words, so these four bytes are the row's; they need no alignment.
                    let row = $row(unsafe { a.add(r * stride + word * 4).cast::<i32>().read_unaligned() });
                    for (sum, column) in sums.iter_mut().zip(&columns) {
                        *sum = $step(*sum, row, *column);
                    }
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                for (c, sum) in sums.iter().enumerate() {
                    // SAFETY: r < R, so these words are the result's.
                    unsafe { $store(out.add(r * pitch + c * $lanes), *sum) };
                }
            }
        }
    };
}

tile! {
    /// f32, AVX-512.
    f32_512, "avx512f", __m512, 4 x 16,
    zero: _mm512_setzero_ps(),
    row: |word: i32| _mm512_set1_ps(f32::from_bits(word as u32)),
    load: |p: *const u8| _mm512_loadu_ps(p.cast()),
    step: |sum, row, column| _mm512_fmadd_ps(row, column, sum),
    store: |p: *mut u32, sum| _mm512_storeu_ps(p.cast(), sum),
}

tile! {
    /// bf16, AVX-512 BF16: two products and a sum in each lane.
    bf16_512, "avx512f,avx512bf16", __m512, 4 x 16,
    zero: _mm512_setzero_ps(),
    row: |word: i32| _mm512_castsi512_ps(_mm512_set1_epi32(word)),
    load: |p: *const u8| _mm512_loadu_ps(p.cast()),
    step: |sum, row, column| _mm512_dpbf16_ps(sum, halves(row), halves(column)),
    store: |p: *mut u32, sum| _mm512_storeu_ps(p.cast(), sum),
}

tile! {
    /// int16, AVX-512 VNNI: two products and their sum in each lane, exact.
    int16_512, "avx512f,avx512vnni", __m512i, 4 x 16,
    zero: _mm512_setzero_si512(),
    row: _mm512_set1_epi32,
    load: |p: *const u8| _mm512_loadu_si512(p.cast()),
    step: |sum, row, column| _mm512_dpwssd_epi32(sum, row, column),
    store: |p: *mut u32, sum| _mm512_storeu_si512(p.cast(), sum),
}

tile! {
    /// int8, AVX-512 VNNI: four products and their sum in each lane, exact.
    int8_512, "avx512f,avx512vnni", __m512i, 4 x 16,
    zero: _mm512_setzero_si512(),
    row: _mm512_set1_epi32,
    load: |p: *const u8| _mm512_loadu_si512(p.cast()),
    step: |sum, row, column| _mm512_dpbusd_epi32(sum, row, column),
    store: |p: *mut u32, sum| _mm512_storeu_si512(p.cast(), sum),
}

tile! {
    /// f32, AVX2 with FMA.
    f32_256, "avx2,fma", __m256, 2 x 8,
    zero: _mm256_setzero_ps(),
    row: |word: i32| _mm256_set1_ps(f32::from_bits(word as u32)),
    load: |p: *const u8| _mm256_loadu_ps(p.cast()),
    step: |sum, row, column| _mm256_fmadd_ps(row, column, sum),
    store: |p: *mut u32, sum| _mm256_storeu_ps(p.cast(), sum),
}

tile! {
    /// int8, AVX-VNNI: VNNI on processors that have no AVX-512.
    int8_256, "avx2,avxvnni", __m256i, 2 x 8,
    zero: _mm256_setzero_si256(),
    row: _mm256_set1_epi32,
    load: |p: *const u8| _mm256_loadu_si256(p.cast()),
    step: |sum, row, column| _mm256_dpbusd_avx_epi32(sum, row, column),
    store: |p: *mut u32, sum| _mm256_storeu_si256(p.cast(), sum),
}

tile! {
    /// int16, AVX-VNNI.
    int16_256, "avx2,avxvnni", __m256i, 2 x 8,
    zero: _mm256_setzero_si256(),
    row: _mm256_set1_epi32,
    load: |p: *const u8| _mm256_loadu_si256(p.cast()),
    step: |sum, row, column| _mm256_dpwssd_avx_epi32(sum, row, column),
    store: |p: *mut u32, sum| _mm256_storeu_si256(p.cast(), sum),
}

tile! {
    /// int16, AVX2.
    int16_avx2, "avx2", __m256i, 2 x 8,
    zero: _mm256_setzero_si256(),
    row: _mm256_set1_epi32,
    load: |p: *const u8| _mm256_loadu_si256(p.cast()),
    step: |sum, row, column| _mm256_add_epi32(sum, _mm256_madd_epi16(row, column)),
    store: |p: *mut u32, sum| _mm256_storeu_si256(p.cast(), sum),
}

/// The same bits as pairs of bf16.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
#[allow(unsafe_code)]
fn halves(x: __m512) -> __m512bh {
    // SAFETY: both are 64 bytes without a forbidden bit pattern.
    unsafe { std::mem::transmute(x) }
}

type TileFn = unsafe fn(*const u8, usize, *const u8, usize, *mut u32, usize);

/// The tile for a number of rows.
macro_rules! by_rows {
    ($rows:expr, $name:ident) => {
        match $rows {
            1 => $name::<1> as TileFn,
            2 => $name::<2>,
            3 => $name::<3>,
            4 => $name::<4>,
            5 => $name::<5>,
            _ => $name::<6>,
        }
    };
}

/// `strip` times `panel`, which has `words` words of depth. The caller has seen that this processor has `isa`, that the strip has at
/// most as many rows as the kernel, and that strip, panel and `out` are as long as rows, strides and words say.
#[inline(always)]
pub(super) fn multiply(isa: Isa, element: Element, strip: Strip<'_>, panel: &[u8], words: usize, out: Sums<'_>) {
    let function = match (element, isa) {
        (Element::F32, Isa::Avx512 | Isa::Amx) => by_rows!(strip.rows, f32_512),
        (Element::F32, _) => by_rows!(strip.rows, f32_256),
        (Element::Bf16, _) => by_rows!(strip.rows, bf16_512),
        (Element::Int16, Isa::Avx512 | Isa::Amx) => by_rows!(strip.rows, int16_512),
        (Element::Int16, Isa::AvxVnni) => by_rows!(strip.rows, int16_256),
        (Element::Int16, _) => by_rows!(strip.rows, int16_avx2),
        (Element::Int8, Isa::Avx512 | Isa::Amx) => by_rows!(strip.rows, int8_512),
        (Element::Int8, Isa::AvxVnni) => by_rows!(strip.rows, int8_256),
        (Element::Int8, Isa::Avx2 | Isa::Plain) => unreachable!("our own bug: AVX2's product of bytes saturates"),
    };
    // SAFETY: `Kernel::multiply`, the only caller, has checked the lengths against rows, stride and words, and gives an `isa` that
    // `select` has found on this processor.
    #[allow(unsafe_code)]
    unsafe {
        function(strip.bytes.as_ptr(), strip.stride, panel.as_ptr(), words, out.words.as_mut_ptr(), out.stride);
    }
}
