//! AMX: products of tiles of 16 rows by 64 bytes. Stable Rust has no intrinsics for it, so the instructions are written out.
//!
//! A strip of 32 rows meets a panel of 32 columns in four tiles of sums, two of rows and two of columns: every tile that is loaded
//! is used twice. At a depth of 512 bytes the panel is 16 KiB, which stays in the first-level cache while the strips pass by.

use std::arch::asm;
use std::cell::Cell;

use super::{Aligned, Beside, Element, Strip, Sums, reach};

/// Rows of a tile.
pub(super) const ROWS_OF_TILE: usize = 16;

/// Rows of a strip: two tiles.
pub(super) const ROWS: usize = 2 * ROWS_OF_TILE;

/// Columns of a panel: two tiles.
pub(super) const COLUMNS: usize = 32;

/// Bytes of depth in a tile; the depth of strips and panels is a multiple of it.
pub(super) const DEPTH: usize = 64;

/// The layout that `ldtilecfg` reads.
#[repr(C, align(64))]
struct TileConfig {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes_of_row: [u16; 16],
    rows: [u8; 16],
}

thread_local! {
    /// Whether this thread has told the processor the shape of its tiles.
    static CONFIGURED: Cell<bool> = const { Cell::new(false) };
    /// Where a strip of fewer rows is filled up with zeros.
    static FILLED: std::cell::RefCell<Aligned> = std::cell::RefCell::new(Aligned::default());
}

/// Asks the kernel for the tile registers, which a process may not use unasked. True if it may now.
pub(super) fn request() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
    const XFEATURE_XTILEDATA: i64 = 18;
    let result: i64;
    // SAFETY: a system call that takes two numbers and touches no memory of ours; rcx and r11 are what `syscall` overwrites.
    #[allow(unsafe_code)]
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XFEATURE_XTILEDATA,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    result == 0
}

/// Gives this thread's eight tiles 16 rows of 64 bytes each.
fn configure() {
    if CONFIGURED.get() {
        return;
    }
    let mut config = TileConfig { palette: 1, start_row: 0, reserved: [0; 14], bytes_of_row: [0; 16], rows: [0; 16] };
    config.bytes_of_row[..8].fill(64);
    config.rows[..8].fill(16);
    // SAFETY: reads the 64 bytes of `config`; the process has the kernel's leave, or this kernel would not have been chosen.
    #[allow(unsafe_code)]
    unsafe {
        asm!("ldtilecfg [{}]", in(reg) &raw const config, options(nostack, readonly));
    }
    CONFIGURED.set(true);
}

/// `strip` times `panel`, which has `depth` bytes of each column. Lengths were checked by the caller.
#[inline(always)]
pub(super) fn multiply(
    element: Element,
    strip: Strip<'_>,
    panel: &[u8],
    depth: usize,
    out: Sums<'_>,
    beside: &mut impl Beside,
) {
    configure();
    // Tiles are read whole. What lies behind the last row is read with it, and its sums are nobody's.
    let tiles = strip.rows.div_ceil(ROWS_OF_TILE);
    let (a, stride) = match reach(tiles * ROWS_OF_TILE, strip.stride, depth, strip.bytes.len()) {
        true => (strip.bytes.as_ptr(), strip.stride),
        false => (fill_up(strip.bytes, strip.stride, strip.rows, depth), depth),
    };
    whole(element, tiles, a, stride, panel, depth, out, beside);
}

/// Copies `rows` rows, whose memory ends before their last tile does, and puts zeros behind them: rows of `depth` bytes, two tiles
/// of them. They stay until the next call on this thread.
#[cold]
#[inline(never)]
fn fill_up(bytes: &[u8], stride: usize, rows: usize, depth: usize) -> *const u8 {
    FILLED.with_borrow_mut(|filled| {
        filled.resize(ROWS * depth);
        for (row, target) in filled.bytes_mut().chunks_exact_mut(depth).enumerate() {
            match row < rows {
                true => target.copy_from_slice(&bytes[row * stride..][..depth]),
                false => target.fill(0),
            }
        }
        filled.bytes().as_ptr()
    })
}

/// One or two tiles of rows, from `a` on. `tiles` times 16 rows of `depth` bytes can be read there, `stride` bytes apart.
///
/// The sums stay in the tile registers from one piece of assembly to the next. The compiler has no use for them, and `beside` must
/// not multiply.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "the numbers of one loop")]
fn whole(
    element: Element,
    tiles: usize,
    a: *const u8,
    stride: usize,
    panel: &[u8],
    depth: usize,
    out: Sums<'_>,
    beside: &mut impl Beside,
) {
    let (pitch, out, steps) = (out.stride, out.words.as_mut_ptr(), depth / DEPTH);
    // For each step of the depth the lines of its assembly; `second` is the strip's second tile of rows, if they name it.
    macro_rules! steps {
        ($step:ident, [$($line:expr),+], $($second:tt)*) => {
            for $step in 0..steps {
                asm!(
                    "tileloadd tmm4, [{a} + {stride}*1]",
                    "tileloadd tmm6, [{b} + {line}*1]",
                    "tileloadd tmm7, [{b} + {line}*1 + 64]",
                    $($line,)+
                    a = in(reg) a.add($step * DEPTH),
                    b = in(reg) panel.as_ptr().add($step * DEPTH * COLUMNS),
                    stride = in(reg) stride,
                    line = in(reg) COLUMNS * 4,
                    $($second)*
                    options(nostack, readonly),
                );
                beside.part($step, steps);
            }
        };
    }
    macro_rules! one {
        ($multiply:literal) => {
            steps!(step, [concat!($multiply, " tmm0, tmm4, tmm6"), concat!($multiply, " tmm1, tmm4, tmm7")],)
        };
    }
    macro_rules! two {
        ($multiply:literal) => {
            steps!(
                step,
                [
                    concat!($multiply, " tmm0, tmm4, tmm6"),
                    "tileloadd tmm5, [{second} + {stride}*1]",
                    concat!($multiply, " tmm1, tmm4, tmm7"),
                    concat!($multiply, " tmm2, tmm5, tmm6"),
                    concat!($multiply, " tmm3, tmm5, tmm7")
                ],
                second = in(reg) a.add(ROWS_OF_TILE * stride + step * DEPTH),
            )
        };
    }
    // SAFETY: the caller's `a` has as many rows as the tiles, and `depth` is a positive multiple of 64, so each of the depth / 64
    // steps reads 64 bytes of each row; a step of the panel is 16 lines of 128 bytes, of which the tiles at 0 and 64 read 64 each.
    // `out` has as many lines of 128 bytes, `pitch` words apart. Tiles were configured on this thread, and no other code of this
    // process uses them.
    #[allow(unsafe_code)]
    unsafe {
        asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3", options(nostack, nomem));
        match (element, tiles) {
            (Element::Int8, 1) => one!("tdpbusd"),
            (Element::Int8, _) => two!("tdpbusd"),
            (_, 1) => one!("tdpbf16ps"),
            _ => two!("tdpbf16ps"),
        }
        asm!(
            "tilestored [{out} + {pitch}*1], tmm0",
            "tilestored [{out} + {pitch}*1 + 64], tmm1",
            out = in(reg) out,
            pitch = in(reg) pitch * 4,
            options(nostack),
        );
        if tiles > 1 {
            asm!(
                "tilestored [{out} + {pitch}*1], tmm2",
                "tilestored [{out} + {pitch}*1 + 64], tmm3",
                out = in(reg) out.add(ROWS_OF_TILE * pitch),
                pitch = in(reg) pitch * 4,
                options(nostack),
            );
        }
    }
}
