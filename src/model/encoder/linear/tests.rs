//! A linear layer by one core and by several.

use super::*;
use crate::model::kernels::Isa;

#[test]
fn cores_that_share_the_columns_compute_what_one_computes() {
    // The last panel is not whole; four cores share four panels of AVX-512's, or two share them unequally.
    let (outer, inner, rows) = (216, 40, 5);
    let value = |at: usize| ((at * 37) % 101) as f32 / 50.0 - 1.0;
    let weight: Vec<f32> = (0..outer * inner).map(value).collect();
    let bias: Vec<f32> = (0..outer).map(value).collect();
    let values: Vec<f32> = (0..rows * inner).map(|at| value(at + 7)).collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("a pool");
    for element in [Element::F32, Element::Bf16, Element::Int8] {
        for isa in [Isa::Plain, Isa::Avx2, Isa::AvxVnni, Isa::Avx512, Isa::Amx] {
            let Some(kernel) = Kernel::up_to(element, isa) else { continue };
            let layer = PackedLinear::pack(kernel, &weight, &bias);
            let (mut prepared, mut alone) = (Rows::default(), vec![0.0; rows * outer]);
            layer.prepare(&mut prepared, &values);
            for then in [Then::Keep, Then::Gelu] {
                layer.run(&prepared, then, &mut alone);
                for cores in [1, 2, 3, 4, 100] {
                    let mut shares: Vec<Aligned> = (0..cores).map(|_| Aligned::default()).collect();
                    let mut out = vec![f32::NAN; rows * outer];
                    pool.install(|| layer.run_shared(&prepared, then, &mut out, &mut shares));
                    assert_eq!(out, alone, "{element:?} on {isa}, {cores} cores");
                }
            }
        }
    }
}
