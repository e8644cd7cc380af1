//! One head's attention in each element and on each family of instructions, against plain sums in double precision.
#![allow(clippy::print_stderr, reason = "a test says what it left out")]

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::model::kernels::{Isa, to_bf16};

const SIZE: usize = 64;
const HEADS: usize = 2;
const WIDTH: usize = SIZE * HEADS;

/// Queries, keys and values [tokens, 3 * WIDTH], about normal, queries and keys `spread` wide.
fn random(tokens: usize, spread: f32) -> Vec<f32> {
    let mut random = StdRng::seed_from_u64(tokens as u64);
    let mut normal = || (0..12).map(|_| random.random::<f32>()).sum::<f32>() - 6.0;
    (0..tokens * 3 * WIDTH).map(|i| normal() * if i / WIDTH % 3 < 2 { spread } else { 1.0 }).collect()
}

/// What the second head comes to for the tokens from the second on, scores being powers of two.
fn plainly(values: &[f32], tokens: usize) -> Vec<f64> {
    let part = |token: usize, which: usize| &values[(token * 3 + which) * WIDTH + SIZE..][..SIZE];
    let mut out = Vec::new();
    for query in 1..tokens {
        let dot = |token| part(query, 0).iter().zip(part(token, 1)).map(|(q, k)| f64::from(*q) * f64::from(*k)).sum::<f64>();
        let scores: Vec<f64> = (1..tokens).map(dot).collect();
        let highest = scores.iter().fold(f64::NEG_INFINITY, |a, b| a.max(*b));
        let weights: Vec<f64> = scores.iter().map(|score| (score - highest).exp2()).collect();
        let sum: f64 = weights.iter().sum();
        let value = |i| (1..tokens).zip(&weights).map(|(token, weight)| weight * f64::from(part(token, 2)[i])).sum::<f64>();
        out.extend((0..SIZE).map(|i| value(i) / sum));
    }
    out
}

/// The same by a kernel; `None` where this processor lacks it.
fn by(element: Element, isa: Isa, values: &[f32], tokens: usize) -> Option<Vec<f32>> {
    let kernel = Kernel::up_to(element, isa).filter(|kernel| kernel.isa() == isa)?;
    // f32's softmax takes powers of e.
    let factor = if element == Element::F32 { std::f32::consts::LN_2 } else { 1.0 };
    let value = |i: usize| values[i] * if (i / WIDTH).is_multiple_of(3) { factor } else { 1.0 };
    let mut words: Vec<u32> = match element {
        Element::Bf16 => (0..values.len() / 2)
            .map(|i| u32::from(to_bf16(value(i * 2))) | u32::from(to_bf16(value(i * 2 + 1))) << 16)
            .collect(),
        _ => (0..values.len()).map(|i| value(i).to_bits()).collect(),
    };
    // Tiles are read to their end.
    words.resize(words.len() + crate::model::kernels::MAX_ROWS * 3 * WIDTH, 0);
    let element = if element == Element::Bf16 { Element::Bf16 } else { Element::F32 };
    let mut out = vec![f32::NAN; (tokens - 1) * SIZE];
    let mut scratch = AttentionScratch::new(kernel);
    // Memory that a longer sequence left behind must not show.
    let longer = vec![f32::MAX.to_bits(); 600 * 3 * WIDTH];
    let qkv = Qkv { words: &words, width: WIDTH, size: SIZE, element };
    if element == Element::F32 {
        scratch.head(Qkv { words: &longer, ..qkv }, 0, 0..550, &mut vec![0.0; 550 * SIZE]);
    }
    scratch.head(qkv, 1, 1..tokens, &mut out);
    Some(out)
}

fn furthest(ours: &[f32], exact: &[f64]) -> f64 {
    assert_eq!(ours.len(), exact.len());
    assert!(ours.iter().all(|x| x.is_finite()), "not all are numbers");
    ours.iter().zip(exact).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max)
}

const ALL: [Isa; 5] = [Isa::Plain, Isa::Avx2, Isa::AvxVnni, Isa::Avx512, Isa::Amx];

#[test]
fn a_head_is_what_plain_sums_say_and_in_codes_nearer_to_them_than_in_bf16() {
    for (tokens, spread) in [(2, 1.0), (8, 0.3), (34, 0.1), (65, 0.5), (131, 0.2), (200, 0.0), (513, 0.3), (513, 0.05)] {
        let values = random(tokens, spread);
        let exact = plainly(&values, tokens);
        let coarse = furthest(&by(Element::Bf16, Isa::Plain, &values, tokens).expect("plain"), &exact);
        assert!(coarse < 0.05, "{tokens} tokens, bf16: {coarse} off");
        let mut of_codes = None;
        for isa in ALL {
            match by(Element::F32, isa, &values, tokens).map(|ours| furthest(&ours, &exact)) {
                Some(off) => assert!(off < 2e-5, "{tokens} tokens, f32 on {isa}: {off} off"),
                None => eprintln!("SKIPPED: f32 on {isa}: this processor lacks it"),
            }
            let Some(ours) = by(Element::Int16, isa, &values, tokens) else {
                eprintln!("SKIPPED: int16 on {isa}: this processor lacks it");
                continue;
            };
            let off = furthest(&ours, &exact);
            assert!(off < 1e-3 && off < coarse, "{tokens} tokens, int16 on {isa}: {off} off, bf16 {coarse}");
            // What lies between the integer sums is f32, and the same on all but where an instruction set rounds once less.
            let first = of_codes.get_or_insert_with(|| ours.clone());
            let apart = first.iter().zip(&ours).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart < 1e-3, "{tokens} tokens: {isa} is {apart} from the plain one");
        }
    }
}

#[test]
fn scores_of_the_largest_codes_fit_into_their_sums_whatever_the_size_of_a_head() {
    for size in (16..=1024).step_by(16) {
        let most = codes::largest_code(size) as i64;
        assert!(most > 1000 && most * most * size as i64 <= i64::from(i32::MAX), "{size}: {most}");
    }
}

#[test]
fn codes_stand_extremes() {
    let tokens = 513;
    let cases = [
        ("nothing at all", [0.0; 3]),
        ("all alike", [3.0; 3]),
        ("large", [3e18, -3e18, 1e-20]),
        ("too small for its steps", [0.0, f32::MIN_POSITIVE, 0.0]),
    ];
    for (name, pattern) in cases {
        // Scores of all alike are alike, so every value is what all of them are.
        let values: Vec<f32> = (0..tokens * 3 * WIDTH).map(|i| pattern[i % 3]).collect();
        for isa in ALL {
            let Some(ours) = by(Element::Int16, isa, &values, tokens) else { continue };
            assert!(ours.iter().all(|x| x.is_finite()), "{name} on {isa}");
            if name == "all alike" {
                let off = ours.iter().map(|x| (x - 3.0).abs()).fold(0.0, f32::max);
                assert!(off < 2e-3, "{name} on {isa}: {off} off");
            }
        }
    }
}
