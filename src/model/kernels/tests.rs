//! Kernels against the plain sums, over odd shapes. Families that this processor lacks are named and left out.
#![allow(clippy::print_stderr, reason = "a test says what it left out")]

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::select::ALL;
use super::*;

/// Kernels of each family for `element`; those that this processor lacks are said aloud.
fn kernels(element: Element) -> Vec<Kernel> {
    let mut found = Vec::new();
    for isa in ALL {
        match Kernel::up_to(element, isa).filter(|kernel| kernel.isa() == isa) {
            Some(kernel) => found.push(kernel),
            None => eprintln!("SKIPPED: {element:?} on {isa}: it is not there, or not on this processor"),
        }
    }
    found
}

/// The product of `kernel`, tile by tile, as words.
fn product(kernel: Kernel, bytes: &[u8], rows: usize, panels: &Panels) -> Vec<(i32, f32)> {
    let stride = bytes.len() / rows;
    let mut out = vec![(0, 0.0); rows * panels.outer()];
    for start in (0..rows).step_by(kernel.rows()) {
        for panel in 0..panels.count() {
            let strip = Strip { bytes: &bytes[start * stride..], stride, rows: (rows - start).min(kernel.rows()) };
            let mut tile = Tile::default();
            panels.multiply(strip, panel, &mut tile);
            let (first, columns) = panels.columns(panel);
            for row in 0..strip.rows {
                for column in 0..columns {
                    let at = row * kernel.columns() + column;
                    out[(start + row) * panels.outer() + first + column] = (tile.integers()[at], tile.floats()[at]);
                }
            }
        }
    }
    out
}

#[test]
fn integers_are_exact_over_odd_shapes_and_extreme_values() {
    let mut random = StdRng::seed_from_u64(1);
    // Codes of a byte, as they are and as i16.
    for kernel in [Element::Int8, Element::Int16].into_iter().flat_map(kernels) {
        for (rows, inner, outer) in
            [(1, 1, 1), (3, 7, 5), (6, 64, 64), (7, 65, 65), (13, 512, 70), (33, 130, 129), (64, 2048, 3)]
        {
            let depth = kernel.depth_bytes(inner);
            for extreme in [false, true] {
                let left: Vec<u8> = (0..rows * inner).map(|_| if extreme { 255 } else { random.random() }).collect();
                let mut bytes = vec![0u8; rows * depth];
                for (target, source) in bytes.chunks_exact_mut(depth).zip(left.chunks_exact(inner)) {
                    for (target, code) in target.chunks_exact_mut(kernel.element().size()).zip(source) {
                        target[0] = *code;
                    }
                }
                let right: Vec<i8> =
                    (0..outer * inner).map(|i| if extreme { [-128, 127][i / inner % 2] } else { random.random() }).collect();
                let panels = Panels::from_codes(kernel, outer, inner, &right);
                let ours = product(kernel, &bytes, rows, &panels);
                for row in 0..rows {
                    for column in 0..outer {
                        let plain: i32 =
                            (0..inner).map(|k| i32::from(left[row * inner + k]) * i32::from(right[column * inner + k])).sum();
                        let found = ours[row * outer + column].0;
                        assert_eq!(found, plain, "{kernel:?}, {rows}x{inner}x{outer}, row {row}, column {column}");
                    }
                }
            }
        }
    }
}

#[test]
fn short_integers_are_exact_over_odd_shapes_as_far_as_their_sums_fit() {
    let mut random = StdRng::seed_from_u64(4);
    for kernel in kernels(Element::Int16) {
        for (rows, inner, outer) in [(1, 1, 1), (3, 7, 5), (6, 64, 64), (7, 65, 65), (13, 512, 70), (33, 131, 129)] {
            let fits = (f64::from(i32::MAX) / inner as f64).sqrt().min(32767.0) as i16;
            for case in ["small", "two as large as can be, among zeros", "sums as large as 32 bits hold"] {
                let mut code = |at: usize| match case {
                    "small" => random.random_range(-9..=9),
                    "sums as large as 32 bits hold" => fits,
                    _ if at == 0 || at == 40 => i16::MAX,
                    _ => 0,
                };
                let left: Vec<i16> = (0..rows * inner).map(|i| code(i % inner)).collect();
                let right: Vec<i16> = (0..outer * inner).map(|i| code(i % inner)).collect();
                let depth = kernel.depth_bytes(inner);
                let mut bytes = vec![0u8; rows * depth];
                for (target, source) in bytes.chunks_exact_mut(depth).zip(left.chunks_exact(inner)) {
                    target[..inner * 2].copy_from_slice(bytemuck::cast_slice(source));
                }
                let panels = Panels::from_values(kernel, outer, inner, |column, k| f32::from(right[column * inner + k]));
                let ours = product(kernel, &bytes, rows, &panels);
                for row in 0..rows {
                    for column in 0..outer {
                        let product = |k| i32::from(left[row * inner + k]) * i32::from(right[column * inner + k]);
                        let (found, plain) = (ours[row * outer + column].0, (0..inner).map(product).sum::<i32>());
                        assert_eq!(found, plain, "{kernel:?}, {rows}x{inner}x{outer}, {case}, row {row}, column {column}");
                    }
                }
            }
        }
    }
}

#[test]
fn floats_agree_with_sums_in_double_precision() {
    let mut random = StdRng::seed_from_u64(2);
    for element in [Element::F32, Element::Bf16] {
        for kernel in kernels(element) {
            for (rows, inner, outer) in [(1, 1, 1), (5, 7, 17), (6, 64, 64), (7, 65, 65), (33, 512, 80)] {
                let value = |random: &mut StdRng| {
                    let value: f32 = random.random_range(-1.0..1.0);
                    if element == Element::Bf16 { f32::from_bits(u32::from(to_bf16(value)) << 16) } else { value }
                };
                let left: Vec<f32> = (0..rows * inner).map(|_| value(&mut random)).collect();
                let right: Vec<f32> = (0..outer * inner).map(|_| value(&mut random)).collect();
                let depth = kernel.depth_bytes(inner);
                let mut bytes = vec![0u8; rows * depth];
                for (target, source) in bytes.chunks_exact_mut(depth).zip(left.chunks_exact(inner)) {
                    for (target, x) in target.chunks_exact_mut(element.size()).zip(source) {
                        match element {
                            Element::F32 => target.copy_from_slice(&x.to_le_bytes()),
                            _ => target.copy_from_slice(&to_bf16(*x).to_le_bytes()),
                        }
                    }
                }
                let panels = Panels::from_values(kernel, outer, inner, |column, k| right[column * inner + k]);
                let ours = product(kernel, &bytes, rows, &panels);
                for row in 0..rows {
                    for column in 0..outer {
                        let exact: f64 =
                            (0..inner).map(|k| f64::from(left[row * inner + k]) * f64::from(right[column * inner + k])).sum();
                        let off = (f64::from(ours[row * outer + column].1) - exact).abs();
                        assert!(off < 1e-4, "{kernel:?}, {rows}x{inner}x{outer}: {off} off at row {row}, column {column}");
                    }
                }
            }
        }
    }
}

/// Attention has its scores written where the softmax reads them, and lets the last strip be read beyond its rows.
#[test]
fn sums_go_where_they_are_asked_for_and_nowhere_else() {
    let mut random = StdRng::seed_from_u64(3);
    for kernel in kernels(Element::Int8) {
        for rows in [1, 3, 6, 13, 17, 32].map(|rows: usize| rows.min(kernel.rows())) {
            let (inner, outer, margin) = (70, kernel.columns() + 2, 5);
            let (depth, pitch) = (kernel.depth_bytes(inner), 2 * kernel.columns() + 3);
            let codes: Vec<i8> = (0..outer * inner).map(|_| random.random()).collect();
            let panels = Panels::from_codes(kernel, outer, inner, &codes);
            // As many rows as are written: whole tiles need not be copied. Then no more than there are.
            for there in [kernel.rows_written(rows), rows] {
                let bytes: Vec<u8> = (0..there * depth).map(|_| random.random()).collect();
                let mut out = vec![7u32; (kernel.rows_written(rows) + 1) * pitch + margin];
                for panel in 0..panels.count() {
                    let words = &mut out[margin + panel * kernel.columns()..];
                    panels.multiply_into(Strip { bytes: &bytes, stride: depth, rows }, panel, Sums { words, stride: pitch });
                }
                let whole = product(kernel, &bytes[..rows * depth], rows, &panels);
                for row in 0..rows {
                    for column in 0..outer {
                        let found = out[margin + row * pitch + column] as i32;
                        assert_eq!(found, whole[row * outer + column].0, "{kernel:?}, row {row} of {rows}, column {column}");
                    }
                }
                let untouched = |at: usize| at < margin || (at - margin) % pitch >= panels.count() * kernel.columns();
                let behind = margin + kernel.rows_written(rows) * pitch;
                for (at, word) in out.iter().enumerate().filter(|(at, _)| *at >= behind || untouched(*at)) {
                    assert_eq!(*word, 7, "{kernel:?} wrote at {at}, where no sum of {rows} rows belongs");
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "our own bug")]
fn sums_without_room_are_never_written() {
    let kernel = Kernel::best(Element::Int8).expect("there is always the plain one");
    let panels = Panels::from_codes(kernel, 4, 64, &[1; 256]);
    let mut words = vec![0; kernel.columns() - 1];
    let sums = Sums { words: &mut words, stride: kernel.columns() };
    panels.multiply_into(Strip { bytes: &[0; 64], stride: 64, rows: 1 }, 0, sums);
}

/// Notes what it is asked for, and keeps the vector units busy.
#[derive(Default)]
struct Noted {
    parts: Vec<(usize, usize)>,
    work: Vec<f32>,
}

impl Beside for Noted {
    fn part(&mut self, part: usize, parts: usize) {
        self.parts.push((part, parts));
        self.work.resize(256, 0.5);
        self.work.iter_mut().enumerate().for_each(|(i, x)| *x = x.mul_add(1.5, i as f32));
    }
}

#[test]
fn what_goes_on_beside_a_product_is_asked_for_each_part_once_and_moves_no_sum() {
    for element in [Element::Int8, Element::Int16, Element::Bf16, Element::F32] {
        for kernel in kernels(element) {
            let (inner, outer) = (192, kernel.columns());
            let panels = match element {
                Element::Int8 => Panels::from_codes(kernel, outer, inner, &vec![3; outer * inner]),
                _ => Panels::from_values(kernel, outer, inner, |column, at| ((column + at) % 7) as f32),
            };
            let depth = kernel.depth_bytes(inner);
            for rows in [1, kernel.rows().div_ceil(2), kernel.rows()] {
                let mut bytes = vec![0u8; rows * depth];
                for row in bytes.chunks_exact_mut(depth) {
                    // 1 in f32 and in bf16; any code will do for int8.
                    row.chunks_exact_mut(element.size()).take(inner).for_each(|x| match element {
                        Element::F32 => x.copy_from_slice(&1f32.to_le_bytes()),
                        Element::Int16 => x.copy_from_slice(&1i16.to_le_bytes()),
                        Element::Bf16 => x.copy_from_slice(&to_bf16(1.0).to_le_bytes()),
                        Element::Int8 => x.fill(200),
                    });
                }
                let strip = Strip { bytes: &bytes, stride: depth, rows };
                let (mut alone, mut beside, mut noted) = (Tile::default(), Tile::default(), Noted::default());
                panels.multiply(strip, 0, &mut alone);
                panels.multiply_beside(strip, 0, beside.sums(kernel), &mut noted);
                let sums = rows * kernel.columns();
                assert_eq!(alone.integers()[..sums], beside.integers()[..sums], "{kernel:?}, {rows} rows");
                let parts = noted.parts.len();
                assert_eq!(noted.parts, (0..parts).map(|part| (part, parts)).collect::<Vec<_>>(), "{kernel:?}");
                assert!(parts == if kernel.is_tiled() { depth / 64 } else { 1 });
            }
        }
    }
}

#[test]
#[should_panic(expected = "our own bug")]
fn a_stride_that_overflows_is_never_followed() {
    let kernel = Kernel::best(Element::Int8).expect("there is always the plain one");
    let panels = Panels::from_codes(kernel, 4, 64, &[1; 256]);
    panels.multiply(Strip { bytes: &[0; 64], stride: usize::MAX - 62, rows: 2 }, 0, &mut Tile::default());
}

#[test]
fn bf16_is_rounded_to_the_nearest_ties_to_even() {
    for x in [0.0, -0.0, 1.0, -3.25, 1.003_906_2, 1.011_718_8, f32::MIN_POSITIVE, 3e38, f32::INFINITY] {
        assert_eq!(to_bf16(x), half::bf16::from_f32(x).to_bits(), "{x}");
    }
}

#[test]
fn a_setting_caps_the_family_and_an_unknown_one_is_named() {
    assert_eq!(Kernel::up_to(Element::Int8, Isa::Plain).map(Kernel::isa), Some(Isa::Plain));
    assert_eq!("avx512".parse(), Ok(Isa::Avx512));
    let error = "mmx".parse::<Isa>().expect_err("there is none");
    assert!(error.contains("mmx") && error.contains("avxvnni"), "{error}");
}

#[test]
#[should_panic(expected = "our own bug")]
fn a_strip_that_is_too_short_is_never_read() {
    let kernel = Kernel::best(Element::Int8).expect("there is always the plain one");
    let panels = Panels::from_codes(kernel, 4, 64, &[1; 256]);
    panels.multiply(Strip { bytes: &[0; 64], stride: 64, rows: 2 }, 0, &mut Tile::default());
}
