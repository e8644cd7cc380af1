//! The two losses: cross-entropy with label smoothing for departments, a masked binary one for disputes.

use candle_core::{D, DType, Result, Tensor};
use candle_nn::ops::log_softmax;

/// Cross-entropy with label smoothing (Szegedy et al. 2016): the truth is `1 - smoothing` on the label and the rest spread
/// evenly over all departments. `logits` [orders, departments], `labels` u32 [orders]; the mean over the orders.
pub fn department_loss(logits: &Tensor, labels: &Tensor, smoothing: f64) -> Result<Tensor> {
    let log_probabilities = log_softmax(logits, D::Minus1)?;
    let label = log_probabilities.gather(&labels.unsqueeze(1)?, 1)?.mean_all()?;
    let even = log_probabilities.mean_all()?;
    ((label * -(1.0 - smoothing))? + (even * -smoothing)?)?.contiguous()
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
        let labels = Tensor::new(&[2u32, 1], &Device::Cpu)?;
        let loss = |smoothing| department_loss(&logits, &labels, smoothing)?.to_scalar::<f32>();
        assert!((loss(0.0)? - 1.255_868_3).abs() < 1e-5, "{}", loss(0.0)?);
        assert!((loss(0.1)? - 1.264_201_6).abs() < 1e-5, "{}", loss(0.1)?);
        Ok(())
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
