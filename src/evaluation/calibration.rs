//! How far a stated probability is from what happens: reliability bins and the expected calibration error.
//!
//! Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equation 3: the unit interval is cut into bins of equal
//! width, `((m-1)/M, m/M]`, and the error is the mean over orders of `|accuracy(bin) - confidence(bin)|`.

use serde::{Deserialize, Serialize};

/// The number of bins that every figure of ours uses.
pub const CALIBRATION_BINS: usize = 15;

/// One bin of the unit interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Orders whose stated probability fell into it.
    pub orders: u64,
    /// Sum of the stated probabilities.
    pub stated: f64,
    /// How many turned out true.
    pub happened: u64,
}

impl Bin {
    /// Mean stated probability; `None` if empty.
    pub fn mean_stated(&self) -> Option<f64> {
        (self.orders > 0).then(|| self.stated / self.orders as f64)
    }

    /// Share that turned out true; `None` if empty.
    pub fn share_happened(&self) -> Option<f64> {
        (self.orders > 0).then(|| self.happened as f64 / self.orders as f64)
    }
}

/// Stated probabilities against what happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    bins: Vec<Bin>,
}

impl Default for Reliability {
    fn default() -> Self {
        Self { bins: vec![Bin::default(); CALIBRATION_BINS] }
    }
}

impl Reliability {
    /// From pairs of stated probability and outcome.
    pub fn of(pairs: impl IntoIterator<Item = (f32, bool)>) -> Self {
        let mut all = Self::default();
        for (stated, happened) in pairs {
            all.push(stated, happened);
        }
        all
    }

    /// Adds one order. What is outside [0, 1] is counted in the nearest bin; NaN in the first, as a probability of 0.
    pub fn push(&mut self, stated: f32, happened: bool) {
        let stated = if stated.is_nan() { 0.0 } else { f64::from(stated).clamp(0.0, 1.0) };
        let last = self.bins.len() - 1;
        // The bins are open below: 0.2 of five bins belongs to the first, so that the ceiling is taken.
        let index = ((stated * self.bins.len() as f64).ceil() as usize).saturating_sub(1).min(last);
        let bin = &mut self.bins[index];
        bin.orders += 1;
        bin.stated += stated;
        bin.happened += u64::from(happened);
    }

    /// The bins, lowest probabilities first.
    pub fn bins(&self) -> &[Bin] {
        &self.bins
    }

    /// How many orders were pushed.
    pub fn orders(&self) -> u64 {
        self.bins.iter().map(|b| b.orders).sum()
    }

    /// Expected calibration error; `None` without orders.
    pub fn expected_calibration_error(&self) -> Option<f64> {
        let orders = self.orders();
        (orders > 0).then(|| self.bins.iter().map(|b| (b.happened as f64 - b.stated).abs()).sum::<f64>() / orders as f64)
    }
}
