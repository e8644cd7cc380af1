//! Each fused operation against the plain candle graph, forward and backward, and its gradient against finite differences.

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor, Var};
use paidan::model::ops::{self, AttentionShape, Dropout, Products, plain};
use rand::{Rng, SeedableRng, rngs::StdRng};

fn random(rng: &mut StdRng, rows: usize, columns: usize) -> Result<Var> {
    let values: Vec<f32> = (0..rows * columns).map(|_| rng.random_range(-1.0..1.0)).collect();
    Var::from_vec(values, (rows, columns), &Device::Cpu)
}

fn random_vector(rng: &mut StdRng, length: usize) -> Result<Var> {
    Var::from_tensor(&random(rng, 1, length)?.as_tensor().squeeze(0)?)
}

/// A scalar that depends on every element of `y`, differently.
fn scalar(y: &Tensor) -> Result<Tensor> {
    let weights: Vec<f32> = (0..y.elem_count()).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
    (y * Tensor::from_vec(weights, y.shape(), y.device())?)?.sum_all()
}

fn largest_difference(a: &Tensor, b: &Tensor) -> Result<f32> {
    (a - b)?.abs()?.flatten_all()?.max(0)?.to_scalar()
}

/// Values and all gradients of both agree.
fn assert_same(
    name: &str,
    inputs: &[&Var],
    fused: impl Fn() -> Result<Tensor>,
    plain: impl Fn() -> Result<Tensor>,
) -> Result<()> {
    let (ours, theirs) = (fused()?, plain()?);
    let difference = largest_difference(&ours, &theirs)?;
    assert!(difference < 2e-5, "{name}: values differ by {difference}");
    let (ours, theirs) = (scalar(&ours)?.backward()?, scalar(&theirs)?.backward()?);
    for (i, input) in inputs.iter().enumerate() {
        let (ours, theirs) = (ours.get(input).expect("fused gradient"), theirs.get(input).expect("plain gradient"));
        let scale = theirs.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>()?.max(1.0);
        let difference = largest_difference(ours, theirs)?;
        assert!(difference < 5e-5 * scale, "{name}: gradient of input {i} differs by {difference} of {scale}");
    }
    Ok(())
}

/// The gradient of a few elements agrees with (f(x + h) - f(x - h)) / 2h.
fn assert_finite_differences(name: &str, input: &Var, value: impl Fn() -> Result<Tensor>) -> Result<()> {
    let gradient = scalar(&value()?)?.backward()?.get(input).expect("gradient").flatten_all()?.to_vec1::<f32>()?;
    let original = input.as_tensor().copy()?;
    let values = original.flatten_all()?.to_vec1::<f32>()?;
    let step = 1e-2f32;
    for at in (0..values.len()).step_by(values.len().div_ceil(9)) {
        let probe = |sign: f32| -> Result<f64> {
            let mut moved = values.clone();
            moved[at] += sign * step;
            input.set(&Tensor::from_vec(moved, original.shape(), &Device::Cpu)?)?;
            scalar(&value()?)?.to_dtype(DType::F64)?.to_scalar::<f64>()
        };
        let slope = ((probe(1.0)? - probe(-1.0)?) / (2.0 * f64::from(step))) as f32;
        input.set(&original)?;
        assert!(
            (slope - gradient[at]).abs() < 2e-2 * slope.abs().max(1.0),
            "{name}[{at}]: slope {slope}, gradient {}",
            gradient[at]
        );
    }
    Ok(())
}

#[test]
fn linear_agrees_with_the_plain_graph_and_with_finite_differences() -> Result<()> {
    let rng = &mut StdRng::seed_from_u64(1);
    for products in [Products::Candle, Products::f32()] {
        for (rows, inner, outer) in [(1, 16, 3), (37, 48, 29), (130, 64, 128)] {
            let (x, w, b) = (random(rng, rows, inner)?, random(rng, outer, inner)?, random_vector(rng, outer)?);
            assert_same("linear", &[&x, &w, &b], || ops::linear(&x, &w, &b, products), || plain::linear(&x, &w, &b))?;
            for input in [&x, &w, &b] {
                assert_finite_differences("linear", input, || ops::linear(&x, &w, &b, products))?;
            }
        }
    }
    Ok(())
}

/// bf16 keeps eight bits: each factor is off by at most 2^-9 of itself, each product by 2^-8, and errors of a sum partly cancel.
/// Allowed is 2^-7 of the largest value. Finite differences would measure the rounding, not the slope.
#[test]
fn linear_in_bf16_agrees_with_the_plain_graph_to_two_digits() -> Result<()> {
    let Some(products) = Products::bf16() else { return Ok(()) };
    let rng = &mut StdRng::seed_from_u64(7);
    for (rows, inner, outer) in [(1, 16, 3), (37, 48, 29), (1100, 64, 128)] {
        let (x, w, b) = (random(rng, rows, inner)?, random(rng, outer, inner)?, random_vector(rng, outer)?);
        let (ours, theirs) = (ops::linear(&x, &w, &b, products)?, plain::linear(&x, &w, &b)?);
        let mut pairs = vec![("y", ours.clone(), theirs.clone())];
        let (ours, theirs) = (scalar(&ours)?.backward()?, scalar(&theirs)?.backward()?);
        for (name, input) in [("x", &x), ("weight", &w), ("bias", &b)] {
            let gradient = |of: &candle_core::backprop::GradStore| of.get(input).expect("gradient").clone();
            pairs.push((name, gradient(&ours), gradient(&theirs)));
        }
        for (name, ours, theirs) in pairs {
            let scale = theirs.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>()?;
            let difference = largest_difference(&ours, &theirs)?;
            assert!(difference <= scale / 128.0, "{name} of {rows}x{inner}x{outer} differs by {difference} of {scale}");
        }
    }
    Ok(())
}

#[test]
fn layer_norm_agrees_with_the_plain_graph_and_with_finite_differences() -> Result<()> {
    let rng = &mut StdRng::seed_from_u64(2);
    for (rows, width) in [(1, 16), (77, 512), (9, 24)] {
        let (x, w, b) = (random(rng, rows, width)?, random_vector(rng, width)?, random_vector(rng, width)?);
        assert_same(
            "layer norm",
            &[&x, &w, &b],
            || ops::layer_norm(&x, &w, &b, 1e-12),
            || plain::layer_norm(&x, &w, &b, 1e-12),
        )?;
        for input in [&x, &w, &b] {
            assert_finite_differences("layer norm", input, || ops::layer_norm(&x, &w, &b, 1e-12))?;
        }
    }
    Ok(())
}

#[test]
fn gelu_agrees_with_the_plain_graph_and_with_finite_differences() -> Result<()> {
    let rng = &mut StdRng::seed_from_u64(3);
    let x = Var::from_tensor(&(random(rng, 40, 1000)?.as_tensor() * 6.0)?)?;
    assert_same("gelu", &[&x], || ops::gelu(&x), || plain::gelu(&x))?;
    assert_finite_differences("gelu", &x, || ops::gelu(&x))
}

fn shape(heads: usize, queries: &[usize], keys: &[usize], hidden: Vec<std::ops::Range<usize>>) -> Arc<AttentionShape> {
    let offsets = |lengths: &[usize]| {
        let mut offsets = vec![0];
        for length in lengths {
            offsets.push(offsets[offsets.len() - 1] + length);
        }
        offsets
    };
    Arc::new(AttentionShape { heads, query_offsets: offsets(queries), key_offsets: offsets(keys), hidden })
}

#[test]
fn attention_over_ragged_sequences_agrees_with_the_plain_graph() -> Result<()> {
    let rng = &mut StdRng::seed_from_u64(4);
    let cases = [
        shape(2, &[1], &[1], vec![]),
        shape(2, &[5, 1, 70, 16], &[5, 1, 70, 16], vec![]),
        shape(4, &[1, 1, 3], &[9, 33, 6], vec![]),
        shape(2, &[1, 2], &[9, 12], vec![0..0, 3..7, 1..12]),
    ];
    for shape in cases {
        let width = shape.heads * 16;
        let (queries, keys) = (shape.query_offsets[shape.sequences()], shape.key_offsets[shape.sequences()]);
        let (q, k, v) = (random(rng, queries, width)?, random(rng, keys, width)?, random(rng, keys, width)?);
        let fused = || ops::attention(&q, &k, &v, &shape, None);
        assert_same("attention", &[&q, &k, &v], fused, || plain::attention(&q, &k, &v, &shape))?;
        for input in [&q, &k, &v] {
            assert_finite_differences("attention", input, fused)?;
        }
    }
    Ok(())
}

#[test]
fn dropout_and_attention_with_dropout_have_the_gradient_of_the_mask_that_they_drew() -> Result<()> {
    let rng = &mut StdRng::seed_from_u64(5);
    let x = random(rng, 30, 32)?;
    assert_finite_differences("dropout", &x, || ops::dropout(&x, Some(&Dropout::new(0.3, 11))))?;
    let shape = shape(2, &[6, 20], &[6, 20], vec![]);
    let (q, k, v) = (random(rng, 26, 32)?, random(rng, 26, 32)?, random(rng, 26, 32)?);
    for input in [&q, &k, &v] {
        assert_finite_differences("attention", input, || ops::attention(&q, &k, &v, &shape, Some(&Dropout::new(0.3, 11))))?;
    }
    Ok(())
}

#[test]
fn offsets_that_do_not_fit_are_refused() -> Result<()> {
    let rng = &mut StdRng::seed_from_u64(6);
    let (q, k, v) = (random(rng, 4, 32)?, random(rng, 4, 32)?, random(rng, 4, 32)?);
    for wrong in [shape(2, &[3], &[4], vec![]), shape(2, &[4], &[2, 2], vec![]), shape(3, &[4], &[4], vec![])] {
        assert!(ops::attention(&q, &k, &v, &wrong, None).is_err(), "{wrong:?} was taken");
    }
    Ok(())
}
