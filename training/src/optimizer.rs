//! AdamW (Loshchilov and Hutter 2019): one pass over each variable, in place, on all cores.

use std::collections::BTreeMap;
use std::sync::Mutex;

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Storage, Tensor, Var, bail};
use rayon::prelude::*;

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-8;
const BLOCK: usize = 1 << 16;

/// What AdamW remembers of one variable: running means of the gradient and of its square.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// Of the gradient.
    pub first: Vec<f32>,
    /// Of its square.
    pub second: Vec<f32>,
}

/// How one variable learns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// Times the step's learning rate.
    pub factor: f64,
    /// Whether it decays: biases and norms do not.
    pub decays: bool,
}

/// The optimizer's state, by the variable's name.
pub struct AdamW {
    /// Moments of each variable.
    pub moments: BTreeMap<String, Moments>,
    /// Steps done.
    pub steps: usize,
    weight_decay: f64,
    max_norm: f64,
}

impl AdamW {
    /// Fresh moments for all variables.
    pub fn new(variables: &BTreeMap<String, Var>, weight_decay: f64, max_norm: f64) -> Self {
        let moments = variables
            .iter()
            .map(|(name, variable)| {
                let zeros = vec![0f32; variable.elem_count()];
                (name.clone(), Moments { first: zeros.clone(), second: zeros })
            })
            .collect();
        Self { moments, steps: 0, weight_decay, max_norm }
    }

    /// Moves every variable that has a gradient. Gradients are scaled down together if their norm is above the limit; the norm
    /// before is returned.
    pub fn step(
        &mut self,
        variables: &BTreeMap<String, Var>,
        gradients: &GradStore,
        learning_rate: f64,
        rule: impl Fn(&str) -> Rule,
    ) -> Result<f64> {
        let mut squares = 0f64;
        for variable in variables.values() {
            if let Some(gradient) = gradients.get(variable) {
                squares += sum_of_squares(gradient)?;
            }
        }
        let norm = squares.sqrt();
        if !norm.is_finite() {
            bail!("the gradient is no number at step {}; lower learning_rate", self.steps + 1);
        }
        self.steps += 1;
        let scale = if norm > self.max_norm { (self.max_norm / norm) as f32 } else { 1.0 };
        for (name, variable) in variables {
            let Some(gradient) = gradients.get(variable) else { continue };
            let Some(moments) = self.moments.get_mut(name) else {
                bail!("no moments of {name}: the checkpoint is of another model")
            };
            let rule = rule(name);
            let rate = learning_rate * rule.factor;
            let update = Update {
                scale,
                step_size: (rate / (1.0 - f64::from(BETA1).powi(self.steps as i32))) as f32,
                second_scale: (1.0 / (1.0 - f64::from(BETA2).powi(self.steps as i32))) as f32,
                keep: (1.0 - if rule.decays { rate * self.weight_decay } else { 0.0 }) as f32,
                moments: Mutex::new(moments),
            };
            variable.as_tensor().inplace_op2(&gradient.contiguous()?, &update)?;
        }
        Ok(norm)
    }
}

fn sum_of_squares(gradient: &Tensor) -> Result<f64> {
    let gradient = gradient.contiguous()?;
    let (storage, layout) = gradient.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else { bail!("training runs on the CPU") };
    let values = slice(storage, layout)?;
    let blocks: Vec<f64> = values
        .par_chunks(BLOCK)
        .map(|block| {
            let mut lanes = [0f32; 16];
            for (i, x) in block.iter().enumerate() {
                lanes[i % 16] += x * x;
            }
            lanes.iter().map(|lane| f64::from(*lane)).sum()
        })
        .collect();
    Ok(blocks.iter().sum())
}

fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("a gradient that is not contiguous"),
    }
}

/// One variable's update: its moments move towards the gradient, the variable against their quotient.
struct Update<'a> {
    scale: f32,
    step_size: f32,
    second_scale: f32,
    keep: f32,
    /// Behind a lock because candle hands the operation out by shared reference; never contended.
    moments: Mutex<&'a mut Moments>,
}

impl InplaceOp2 for Update<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(
        &self,
        variable: &mut CpuStorage,
        layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<()> {
        let gradient = slice(gradient, gradient_layout)?;
        let Some((start, end)) = layout.contiguous_offsets() else { bail!("a variable that is not contiguous") };
        let CpuStorage::F32(variable) = variable else { bail!("variables are f32") };
        let Ok(mut moments) = self.moments.lock() else { bail!("another update of the same variable failed") };
        let Moments { first, second } = &mut **moments;
        if first.len() != end - start || gradient.len() != end - start {
            bail!("moments, gradient and variable are of different sizes: the checkpoint is of another model");
        }
        let Self { scale, step_size, second_scale, keep, .. } = *self;
        variable[start..end]
            .par_chunks_mut(BLOCK)
            .zip(first.par_chunks_mut(BLOCK))
            .zip(second.par_chunks_mut(BLOCK))
            .zip(gradient.par_chunks(BLOCK))
            .for_each(|(((variable, first), second), gradient)| {
                for (((x, m), v), g) in variable.iter_mut().zip(first).zip(second).zip(gradient) {
                    let g = g * scale;
                    *m = BETA1 * *m + (1.0 - BETA1) * g;
                    *v = BETA2 * *v + (1.0 - BETA2) * g * g;
                    *x = *x * keep - step_size * *m / ((*v * second_scale).sqrt() + EPSILON);
                }
            });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// Ten steps on 0.5 * sum(c * x^2), beside torch.optim.AdamW(lr=0.1, weight_decay=0.01) in double precision, written out.
    #[test]
    fn ten_steps_are_those_of_the_written_out_formula() -> Result<()> {
        let variable = Var::new(&[1.0f32, -2.0, 3.0], &Device::Cpu)?;
        let curvature = Tensor::new(&[1.0f32, 0.5, 2.0], &Device::Cpu)?;
        let variables = BTreeMap::from([("x".to_owned(), variable.clone())]);
        let mut adamw = AdamW::new(&variables, 0.01, f64::MAX);
        let mut plain: [(f64, f64, f64, f64); 3] = [(1.0, 1.0, 0.0, 0.0), (-2.0, 0.5, 0.0, 0.0), (3.0, 2.0, 0.0, 0.0)];
        for step in 1..=10 {
            let loss = ((variable.as_tensor().sqr()? * &curvature)?.sum_all()? * 0.5)?;
            adamw.step(&variables, &loss.backward()?, 0.1, |_| Rule { factor: 1.0, decays: true })?;
            for (x, c, m, v) in &mut plain {
                let g = *c * *x;
                *m = 0.9 * *m + 0.1 * g;
                *v = 0.999 * *v + 0.001 * g * g;
                let (m_hat, v_hat) = (*m / (1.0 - 0.9f64.powi(step)), *v / (1.0 - 0.999f64.powi(step)));
                *x = *x * (1.0 - 0.1 * 0.01) - 0.1 * m_hat / (v_hat.sqrt() + 1e-8);
            }
        }
        for (ours, (plain, ..)) in variable.as_tensor().to_vec1::<f32>()?.iter().zip(plain) {
            assert!((f64::from(*ours) - plain).abs() < 1e-5, "{ours} is not {plain}");
        }
        Ok(())
    }

    #[test]
    fn a_long_gradient_is_cut_to_the_limit() -> Result<()> {
        let variable = Var::new(&[0.0f32, 0.0], &Device::Cpu)?;
        let variables = BTreeMap::from([("x".to_owned(), variable.clone())]);
        let slope = Tensor::new(&[30.0f32, 40.0], &Device::Cpu)?;
        let mut adamw = AdamW::new(&variables, 0.0, 5.0);
        let loss = (variable.as_tensor() * slope)?.sum_all()?;
        let norm = adamw.step(&variables, &loss.backward()?, 0.1, |_| Rule { factor: 1.0, decays: false })?;
        assert!((norm - 50.0).abs() < 1e-4);
        assert!((adamw.moments["x"].first[0] - 0.3).abs() < 1e-6, "a tenth of 30 * 5 / 50");
        Ok(())
    }
}
