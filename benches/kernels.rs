//! Each kernel that this processor has, on the shape of a layer's products: 96 rows of 512 or 2048 by 512 columns, one core.
//! Throughput is multiply-adds a second; the ratio to the processor's peak is what a kernel is worth.

#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use paidan::model::kernels::{Aligned, Element, Isa, Kernel, Panels, Strip, Tile};

const ROWS: usize = 96;
const COLUMNS: usize = 512;

fn kernels(criterion: &mut Criterion) {
    for element in [Element::Int8, Element::Int16, Element::Bf16, Element::F32] {
        for isa in [Isa::Amx, Isa::Avx512, Isa::AvxVnni, Isa::Avx2, Isa::Plain] {
            // A family that this processor lacks gives the next one below it.
            let Some(kernel) = Kernel::up_to(element, isa).filter(|kernel| kernel.isa() == isa) else { continue };
            let mut group = criterion.benchmark_group(format!("{element:?} {isa}"));
            group.sample_size(10);
            for depth in [512, 2048] {
                group.throughput(Throughput::Elements((ROWS * COLUMNS * depth) as u64));
                group.bench_function(format!("{ROWS}x{depth}x{COLUMNS}"), |bencher| {
                    let (rows, panels) = operands(kernel, depth);
                    bencher.iter(|| product(kernel, black_box(&rows), &panels));
                });
            }
        }
    }
}

fn operands(kernel: Kernel, depth: usize) -> (Aligned, Panels) {
    let panels = match kernel.element() {
        Element::Int8 => Panels::from_codes(kernel, COLUMNS, depth, &vec![3; COLUMNS * depth]),
        _ => Panels::from_values(kernel, COLUMNS, depth, |column, at| ((column + at) % 7) as f32),
    };
    (Aligned::zeroed(ROWS * kernel.depth_bytes(depth)), panels)
}

fn product(kernel: Kernel, rows: &Aligned, panels: &Panels) -> i32 {
    let stride = kernel.depth_bytes(panels.inner());
    let (mut tile, mut sum) = (Tile::default(), 0);
    for panel in 0..panels.count() {
        for start in (0..ROWS).step_by(kernel.rows()) {
            let bytes = &rows.bytes()[start * stride..];
            panels.multiply(Strip { bytes, stride, rows: kernel.rows().min(ROWS - start) }, panel, &mut tile);
            sum += tile.integers()[0];
        }
    }
    sum
}

criterion_group!(benches, kernels);
criterion_main!(benches);
