//! The encoder's operations, each with its own backward pass.
//!
//! Candle's ready-made layer norm has no backward pass (gradients stop there without an error), and its plain graph spends more
//! time outside the matrix products than in them. So each operation is one pass over memory here, for training and serving alike.
//! [`plain`] says the same in candle's own operations: it is the reference that the tests hold these against, and what runs on
//! a device other than the CPU.
//!
//! Matrix products are candle's or, in training, our kernels' ([`Products`]).
//!
//! All tensors are f32 and contiguous; a batch is its tokens laid end to end, so no operation ever sees padding.

mod attention;
mod dropout;
mod gelu;
mod layer_norm;
mod linear;
pub mod plain;
mod products;

pub use attention::{AttentionShape, attention};
pub use dropout::{Dropout, dropout};
pub use gelu::gelu;
pub use layer_norm::layer_norm;
pub use linear::linear;
pub use products::Products;

use candle_core::{CpuStorage, Layout, Result, Storage, Tensor, bail};

/// Whether the fused operations can run on this tensor; otherwise the plain graph does.
fn fused(x: &Tensor) -> bool {
    x.device().is_cpu() && x.dtype() == candle_core::DType::F32
}

/// The f32 values of a contiguous CPU storage.
fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => {
            bail!("the fused operations need contiguous tensors, got {:?} with strides {:?}", layout.shape(), layout.stride())
        }
    }
}

/// Hands the f32 values of a tensor to `read`.
fn with_values<R>(tensor: &Tensor, read: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(cpu) => Ok(read(values(cpu, layout)?)),
        _ => bail!("the fused operations run on the CPU only"),
    }
}

/// Rows per task when a pass over `[rows, width]` is split among the cores: about 64 KiB, so that a task's rows stay in cache.
fn rows_per_task(width: usize) -> usize {
    (16_384 / width.max(1)).max(1)
}
