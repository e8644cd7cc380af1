//! Which kernel this processor gets: the fastest that it has, that a setting allows, and that computes what the plain one does.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use super::{Beside, Element, Panels, Strip, Sums, Tile, plain};
#[cfg(target_arch = "x86_64")]
use super::{amx, x86};

/// Families of instructions, each better than the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// Rust alone.
    Plain,
    /// AVX2 and FMA.
    Avx2,
    /// AVX2 with VNNI.
    AvxVnni,
    /// AVX-512 with VNNI; bf16 where the processor has it.
    Avx512,
    /// AMX for int8 and bf16, AVX-512 for f32 and int16.
    Amx,
}

/// All families, the plainest first.
pub(super) const ALL: [Isa; 5] = [Isa::Plain, Isa::Avx2, Isa::AvxVnni, Isa::Avx512, Isa::Amx];

impl Isa {
    /// Name in settings, logs and figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avxvnni",
            Self::Avx512 => "avx512",
            Self::Amx => "amx",
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Isa {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let names = || ALL.map(Self::name).join(", ");
        ALL.into_iter().find(|isa| isa.name() == name).ok_or_else(|| format!("kernel \"{name}\" is none of {}", names()))
    }
}

/// A product of one kind in the instructions of one family. It exists only if this processor has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel {
    element: Element,
    isa: Isa,
}

impl Kernel {
    /// The best kernel for `element`, at most of family `ceiling`. `None` for bf16 on a processor that cannot multiply it.
    pub fn up_to(element: Element, ceiling: Isa) -> Option<Self> {
        let proven = proven(element);
        ALL.into_iter().rev().find(|isa| *isa <= ceiling && proven.contains(isa)).map(|isa| Self { element, isa }).filter(
            // Plain bf16 is for comparison: f32 is as fast and more exact.
            |kernel| kernel.element != Element::Bf16 || kernel.isa != Isa::Plain || ceiling == Isa::Plain,
        )
    }

    /// The best kernel for `element` that this processor has.
    pub fn best(element: Element) -> Option<Self> {
        Self::up_to(element, Isa::Amx)
    }

    /// What it multiplies.
    pub fn element(self) -> Element {
        self.element
    }

    /// Its family.
    pub fn isa(self) -> Isa {
        self.isa
    }

    /// Whether a product of bf16 takes less time here than one of f32; for other elements too it means faster than f32.
    pub fn outpaces_f32(self) -> bool {
        match (self.element, self.isa) {
            (Element::F32, _) | (_, Isa::Plain) => false,
            (Element::Bf16, Isa::Avx512) => !has_slow_bf16(),
            _ => true,
        }
    }

    /// Most rows of a strip; as many as possible is fastest.
    pub fn rows(self) -> usize {
        match (self.isa, self.element) {
            (Isa::Plain, _) => plain::ROWS,
            #[cfg(target_arch = "x86_64")]
            (Isa::Amx, Element::Int8 | Element::Bf16) => amx::ROWS,
            #[cfg(target_arch = "x86_64")]
            _ => x86::ROWS,
            #[cfg(not(target_arch = "x86_64"))]
            _ => plain::ROWS,
        }
    }

    /// Columns of a panel.
    pub fn columns(self) -> usize {
        match (self.isa, self.element) {
            (Isa::Plain, _) => plain::COLUMNS,
            #[cfg(target_arch = "x86_64")]
            (Isa::Amx, Element::Int8 | Element::Bf16) => amx::COLUMNS,
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512 | Isa::Amx, _) => x86::COLUMNS_512,
            #[cfg(target_arch = "x86_64")]
            _ => x86::COLUMNS_256,
            #[cfg(not(target_arch = "x86_64"))]
            _ => plain::COLUMNS,
        }
    }

    /// Whether it multiplies tiles: a strip passes a panel so fast that the way of the next one from memory is what is waited for.
    #[inline(always)]
    pub fn is_tiled(self) -> bool {
        self.isa == Isa::Amx && matches!(self.element, Element::Int8 | Element::Bf16)
    }

    /// Bytes that `depth` elements take in strips and panels: whole steps of the kernel. What is beyond `depth` must be finite in
    /// strips (it meets zeros).
    pub fn depth_bytes(self, depth: usize) -> usize {
        let bytes = depth * self.element.size();
        match (self.isa, self.element) {
            #[cfg(target_arch = "x86_64")]
            (Isa::Amx, Element::Int8 | Element::Bf16) => bytes.next_multiple_of(amx::DEPTH),
            _ => bytes.next_multiple_of(4),
        }
    }

    /// Rows of sums that a strip of `rows` rows overwrites: whole tiles.
    pub fn rows_written(self, rows: usize) -> usize {
        match (self.isa, self.element) {
            #[cfg(target_arch = "x86_64")]
            (Isa::Amx, Element::Int8 | Element::Bf16) => rows.next_multiple_of(amx::ROWS_OF_TILE),
            _ => rows,
        }
    }

    /// `strip` times `panel`, which has `depth` bytes of each column, into `out`, with something else beside it. Inlined with all
    /// that is behind it: arguments that go through memory wait until the caller's last results have left for the cache.
    #[inline(always)]
    pub fn multiply(self, strip: Strip<'_>, panel: &[u8], depth: usize, out: Sums<'_>, beside: &mut impl Beside) {
        let columns = self.columns();
        let whole = depth > 0 && panel.len() == depth * columns && self.depth_bytes(depth / self.element.size()) == depth;
        let room = out.stride >= columns && super::reach(self.rows_written(strip.rows), out.stride, columns, out.words.len());
        let rows = strip.rows <= self.rows() && super::reach(strip.rows, strip.stride, depth, strip.bytes.len());
        assert!(
            whole && rows && room,
            "our own bug: {} rows of {} bytes times a panel of {}",
            strip.rows,
            strip.stride,
            panel.len()
        );
        #[cfg(target_arch = "x86_64")]
        if self.is_tiled() {
            return amx::multiply(self.element, strip, panel, depth, out, beside);
        }
        beside.part(0, 1);
        match self.isa {
            Isa::Plain => plain::multiply(self.element, strip, panel, depth, columns, out),
            #[cfg(target_arch = "x86_64")]
            isa => x86::multiply(isa, self.element, strip, panel, depth / 4, out),
            #[cfg(not(target_arch = "x86_64"))]
            _ => plain::multiply(self.element, strip, panel, depth, columns, out),
        }
    }

    /// Whether it computes what the plain kernel does, on odd shapes and extreme values: integers exactly, bf16 and f32 as well as
    /// their rounding allows.
    fn agrees(self) -> bool {
        let plain = Self { element: self.element, isa: Isa::Plain };
        let mut seed = 1u32;
        let mut random = move || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed >> 16
        };
        [(self.rows(), 64), (1, 64), (self.rows().div_ceil(2), 96), (self.rows(), 200)].into_iter().all(|(rows, inner)| {
            let outer = self.columns() + 3;
            let (bytes, panels, plain_panels) = match self.element {
                Element::Int8 => {
                    let codes: Vec<i8> = (0..outer * inner).map(|_| random() as i8).collect();
                    let rows: Vec<u8> = (0..rows * self.depth_bytes(inner)).map(|_| random() as u8).collect();
                    (rows, Panels::from_codes(self, outer, inner, &codes), Panels::from_codes(plain, outer, inner, &codes))
                }
                element => {
                    let value = |c: usize, k: usize| ((c * 31 + k * 17) % 29) as f32 - 14.0;
                    let mut bytes = vec![0u8; rows * self.depth_bytes(inner)];
                    for row in bytes.chunks_exact_mut(self.depth_bytes(inner)) {
                        for cell in row.chunks_exact_mut(element.size()).take(inner) {
                            let value = (random() % 31) as f32 - 15.0;
                            match element {
                                Element::F32 => cell.copy_from_slice(&value.to_le_bytes()),
                                Element::Int16 => cell.copy_from_slice(&(value as i16).to_le_bytes()),
                                _ => cell.copy_from_slice(&super::to_bf16(value).to_le_bytes()),
                            }
                        }
                    }
                    let panels = Panels::from_values(self, outer, inner, value);
                    (bytes, panels, Panels::from_values(plain, outer, inner, value))
                }
            };
            self.product(&bytes, rows, &panels) == plain.product(&bytes, rows, &plain_panels)
        })
    }

    /// The whole product, word by word, for comparisons. Small integers are exact in f32, so bits can be compared.
    fn product(self, bytes: &[u8], rows: usize, panels: &Panels) -> Vec<u32> {
        let stride = bytes.len() / rows;
        let mut out = vec![0; rows * panels.outer()];
        let mut tile = Tile::default();
        for start in (0..rows).step_by(self.rows()) {
            let strip = Strip { bytes: &bytes[start * stride..], stride, rows: (rows - start).min(self.rows()) };
            for panel in 0..panels.count() {
                panels.multiply(strip, panel, &mut tile);
                let (first, columns) = panels.columns(panel);
                for row in 0..strip.rows {
                    let sums = &tile.0[row * self.columns()..][..columns];
                    out[(start + row) * panels.outer() + first..][..columns].copy_from_slice(sums);
                }
            }
        }
        out
    }
}

/// Families that this processor has for `element` and that gave the plain kernel's sums. Found out once.
fn proven(element: Element) -> &'static [Isa] {
    static PROVEN: [OnceLock<Vec<Isa>>; 4] = [const { OnceLock::new() }; 4];
    let at = match element {
        Element::F32 => 0,
        Element::Bf16 => 1,
        Element::Int16 => 2,
        Element::Int8 => 3,
    };
    PROVEN[at].get_or_init(|| {
        let usable = |isa: &Isa| *isa == Isa::Plain || (present(*isa, element) && Kernel { element, isa: *isa }.agrees());
        ALL.into_iter().filter(usable).collect()
    })
}

/// Whether AVX-512 multiplies bf16 at half the pace of f32: so do Intel's processors with FP16, which leave bf16 to their tiles. Where a
/// hypervisor hides those, AVX-512 is all that is left. Measured on Emerald Rapids: .78 ns an instruction of two products a lane, .19
/// one of f32's single ones; a Zen 5 serves a model in bf16 almost twice as fast as in f32. Told by the processor's name: a timing
/// would not say the same each time.
#[cfg(target_arch = "x86_64")]
fn has_slow_bf16() -> bool {
    let leaf = std::arch::x86_64::__cpuid(0);
    let vendor = [leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes);
    vendor.as_flattened() == b"GenuineIntel" && is_x86_feature_detected!("avx512fp16")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_slow_bf16() -> bool {
    false
}

/// Whether the processor, and the system, have what the family's kernel for `element` needs.
#[cfg(target_arch = "x86_64")]
fn present(isa: Isa, element: Element) -> bool {
    let avx512 = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni");
    let bf16 = is_x86_feature_detected!("avx512bf16");
    match (isa, element) {
        (Isa::Plain, _) => true,
        // AVX2's only product of bytes saturates: they are multiplied as i16.
        (Isa::Avx2, Element::Bf16 | Element::Int8) | (Isa::AvxVnni, Element::Bf16) => false,
        (Isa::Avx2, _) => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
        (Isa::AvxVnni, _) => {
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("avxvnni")
        }
        (Isa::Avx512, Element::Bf16) => avx512 && bf16,
        (Isa::Avx512, _) => avx512,
        (Isa::Amx, Element::F32) => avx512 && tiles("amx-int8"),
        (Isa::Amx, Element::Int16) => false,
        (Isa::Amx, Element::Bf16) => avx512 && tiles("amx-bf16"),
        (Isa::Amx, Element::Int8) => avx512 && tiles("amx-int8"),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn present(isa: Isa, _: Element) -> bool {
    isa == Isa::Plain
}

/// Whether the processor has tiles of this kind and the system lets this process use them.
#[cfg(target_arch = "x86_64")]
fn tiles(kind: &str) -> bool {
    let leaf = std::arch::x86_64::__cpuid_count(7, 0);
    let bit = |n: u32| leaf.edx >> n & 1 == 1;
    let has = match kind {
        "amx-bf16" => bit(22),
        _ => bit(25),
    };
    // Bit 24: the tile registers themselves.
    static LEAVE: OnceLock<bool> = OnceLock::new();
    cfg!(target_os = "linux") && has && bit(24) && *LEAVE.get_or_init(amx::request)
}
