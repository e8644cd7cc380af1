//! The two losses: cross-entropy with label smoothing for departments, a masked binary one for disputes.

use candle_core::{D, DType, Result, Tensor};
use candle_nn::ops::log_softmax;

/// Cross-entropy of `logits` [orders, departments] against `targets` [orders, departments], each row a distribution; the mean
/// over the orders.
pub fn department_loss(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let orders = logits.dim(0)?.max(1) as f64;
    (log_softmax(logits, D::Minus1)? * targets)?.sum_all()? * (-1.0 / orders)
}

/// What an order's row should say: `1 - smoothing` on its department and the rest spread evenly over all (label smoothing,
/// Szegedy et al. 2016); of that, `share` gives way to what a teacher says of it (Hinton et al. 2015), where there is one.
pub fn target(department: usize, departments: usize, smoothing: f64, teacher: Option<(&[f32], f64)>) -> Vec<f32> {
    let mut target = vec![(smoothing / departments as f64) as f32; departments];
    if let Some(value) = target.get_mut(department) {
        *value += (1.0 - smoothing) as f32;
    }
    if let Some((teacher, share)) = teacher {
        let share = share as f32;
        target.iter_mut().zip(teacher).for_each(|(value, said)| *value += share * (said - *value));
    }
    target
}

/// Binary cross-entropy of `logits` [orders] against `labels` [orders] (0 or 1), over the orders where `known` [orders] is 1;
/// the mean over those. max(x, 0) - x y + ln(1 + e^-|x|): finite for every finite logit, where candle-nn's own gives infinity
/// beyond 88.
pub fn dispute_loss(logits: &Tensor, labels: &Tensor, known: &Tensor) -> Result<Tensor> {
    let logits = logits.to_dtype(DType::F32)?;
    let softplus = ((logits.abs()?.neg()?.exp()? + 1.0)?).log()?;
    let each = ((logits.relu()? - (&logits * labels)?)? + softplus)?;
    let count = known.sum_all()?.to_scalar::<f32>()?.max(1.0);
    (each * known)?.sum_all()? / f64::from(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    /// Values of torch.nn.functional.cross_entropy(logits, labels, label_smoothing=...).
    #[test]
    fn department_loss_is_that_of_pytorch() -> Result<()> {
        let logits = Tensor::new(&[[1.0f32, 2.0, 3.0], [0.5, -1.0, 0.0]], &Device::Cpu)?;
        let loss = |smoothing| {
            let targets = Tensor::new(vec![target(2, 3, smoothing, None), target(1, 3, smoothing, None)], &Device::Cpu)?;
            department_loss(&logits, &targets)?.to_scalar::<f32>()
        };
        assert!((loss(0.0)? - 1.255_868_3).abs() < 1e-5, "{}", loss(0.0)?);
        assert!((loss(0.1)? - 1.264_201_6).abs() < 1e-5, "{}", loss(0.1)?);
        Ok(())
    }

    #[test]
    fn a_teacher_takes_its_share_of_the_target() {
        assert_eq!(target(1, 2, 0.0, Some((&[0.75, 0.25], 0.5))), [0.375, 0.625]);
        assert_eq!(target(1, 2, 0.0, Some((&[0.75, 0.25], 0.0))), [0.0, 1.0]);
    }

    #[test]
    fn dispute_loss_is_finite_at_huge_logits_and_has_a_gradient() -> Result<()> {
        let logits = Var::new(&[200.0f32, -200.0, 0.0, 200.0], &Device::Cpu)?;
        let labels = Tensor::new(&[1.0f32, 0.0, 1.0, 0.0], &Device::Cpu)?;
        let known = Tensor::new(&[1.0f32, 1.0, 1.0, 1.0], &Device::Cpu)?;
        let loss = dispute_loss(&logits, &labels, &known)?;
        assert!((loss.to_scalar::<f32>()? - (std::f32::consts::LN_2 + 200.0) / 4.0).abs() < 1e-4);
        let gradient = loss.backward()?.get(&logits).expect("a gradient").to_vec1::<f32>()?;
        assert!(gradient.iter().all(|g| g.is_finite()), "{gradient:?}");
        assert!((gradient[2] + 0.125).abs() < 1e-6 && (gradient[3] - 0.25).abs() < 1e-6, "{gradient:?}");
        Ok(())
    }

    #[test]
    fn orders_whose_course_is_unknown_teach_nothing_about_disputes() -> Result<()> {
        let logits = Tensor::new(&[3.0f32, -1.0], &Device::Cpu)?;
        let labels = Tensor::new(&[0.0f32, 0.0], &Device::Cpu)?;
        let only_second = Tensor::new(&[0.0f32, 1.0], &Device::Cpu)?;
        let none = Tensor::new(&[0.0f32, 0.0], &Device::Cpu)?;
        let loss = dispute_loss(&logits, &labels, &only_second)?.to_scalar::<f32>()?;
        assert!((loss - (1.0 + (-1.0f32).exp()).ln()).abs() < 1e-6);
        assert_eq!(dispute_loss(&logits, &labels, &none)?.to_scalar::<f32>()?, 0.0);
        Ok(())
    }
}
