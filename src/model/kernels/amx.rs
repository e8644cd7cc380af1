//! AMX: products of tiles of 16 rows by 64 bytes. Stable Rust has no intrinsics for it, so the instructions are written out.
//!
//! A strip of 32 rows meets half a panel (32 columns) in four tiles of sums, two of rows and two of columns: every tile that is
//! loaded is used twice.

use std::arch::asm;
use std::cell::Cell;

use super::{Aligned, Element, Strip, Tile};

/// Rows of a strip: two tiles.
pub(super) const ROWS: usize = 32;

/// Columns of a panel: four tiles, the same panels as AVX-512 reads.
pub(super) const COLUMNS: usize = 64;

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
pub(super) fn multiply(element: Element, strip: Strip<'_>, panel: &[u8], depth: usize, tile: &mut Tile) {
    configure();
    if strip.rows == ROWS {
        whole(element, strip.bytes.as_ptr(), strip.stride, panel, depth, tile);
        return;
    }
    FILLED.with_borrow_mut(|filled| {
        filled.resize(ROWS * depth);
        for (row, target) in filled.bytes_mut().chunks_exact_mut(depth).enumerate() {
            match row < strip.rows {
                true => target.copy_from_slice(&strip.bytes[row * strip.stride..][..depth]),
                false => target.fill(0),
            }
        }
        whole(element, filled.bytes().as_ptr(), depth, panel, depth, tile);
    });
}

/// A strip of 32 rows.
fn whole(element: Element, a: *const u8, stride: usize, panel: &[u8], depth: usize, tile: &mut Tile) {
    for half in 0..2 {
        let (panel, out) = (panel[half * 128..].as_ptr(), tile.0[half * 32..].as_mut_ptr());
        macro_rules! half_panel {
            ($multiply:literal) => {
                asm!(
                    "tilezero tmm0",
                    "tilezero tmm1",
                    "tilezero tmm2",
                    "tilezero tmm3",
                    "2:",
                    "tileloadd tmm4, [{a0} + {stride}*1]",
                    "tileloadd tmm6, [{b} + {line}*1]",
                    "tileloadd tmm7, [{b} + {line}*1 + 64]",
                    "tileloadd tmm5, [{a1} + {stride}*1]",
                    concat!($multiply, " tmm0, tmm4, tmm6"),
                    concat!($multiply, " tmm1, tmm4, tmm7"),
                    concat!($multiply, " tmm2, tmm5, tmm6"),
                    concat!($multiply, " tmm3, tmm5, tmm7"),
                    "add {a0}, 64",
                    "add {a1}, 64",
                    "add {b}, 4096",
                    "dec {steps}",
                    "jnz 2b",
                    "tilestored [{o0} + {line}*1], tmm0",
                    "tilestored [{o0} + {line}*1 + 64], tmm1",
                    "tilestored [{o1} + {line}*1], tmm2",
                    "tilestored [{o1} + {line}*1 + 64], tmm3",
                    a0 = inout(reg) a => _,
                    a1 = inout(reg) a.add(16 * stride) => _,
                    b = inout(reg) panel => _,
                    steps = inout(reg) depth / DEPTH => _,
                    o0 = in(reg) out,
                    o1 = in(reg) out.add(16 * COLUMNS),
                    stride = in(reg) stride,
                    line = in(reg) COLUMNS * 4,
                    options(nostack),
                )
            };
        }
        // SAFETY: `a` has 32 rows of `depth` bytes, `stride` apart, and `depth` is a positive multiple of 64, so each of the
        // depth / 64 steps reads 64 bytes of 32 rows; a step of the panel is 16 lines of 256 bytes, of which the tiles at 0 and
        // 64 read 128, the other half panel the rest. `out` has 32 lines of 256 bytes. Tiles were configured on this thread, and
        // no other code of this process uses them.
        #[allow(unsafe_code)]
        unsafe {
            match element {
                Element::Int8 => half_panel!("tdpbusd"),
                _ => half_panel!("tdpbf16ps"),
            }
        }
    }
}
