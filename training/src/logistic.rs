//! Logistic regression with a handful of features, by Newton's method: what calibration is fitted with.

/// Weights of the features, the bias last.
pub type Weights = Vec<f64>;

/// Fits `log-odds = weights * features + bias` to outcomes by maximum likelihood, with a small ridge on the weights (not the
/// bias) that keeps separable data finite. `None` without both outcomes, or if the features are no numbers.
pub fn fit(features: &[Vec<f64>], outcomes: &[bool], ridge: f64) -> Option<Weights> {
    let width = features.first()?.len() + 1;
    if outcomes.iter().all(|o| *o) || outcomes.iter().all(|o| !*o) || features.iter().flatten().any(|x| !x.is_finite()) {
        return None;
    }
    let mut weights = vec![0f64; width];
    for _ in 0..100 {
        let mut gradient = vec![0f64; width];
        let mut hessian = vec![vec![0f64; width]; width];
        for (row, outcome) in features.iter().zip(outcomes) {
            let x = |i: usize| row.get(i).copied().unwrap_or(1.0);
            let p = 1.0 / (1.0 + (-(0..width).map(|i| weights[i] * x(i)).sum::<f64>()).exp());
            let error = p - f64::from(u8::from(*outcome));
            for i in 0..width {
                gradient[i] += error * x(i);
                for (j, cell) in hessian[i].iter_mut().enumerate() {
                    *cell += p * (1.0 - p) * x(i) * x(j);
                }
            }
        }
        for i in 0..width {
            if i + 1 < width {
                gradient[i] += ridge * weights[i];
                hessian[i][i] += ridge;
            }
            hessian[i][i] += 1e-9;
        }
        let step = solve(hessian, gradient)?;
        // Far from the optimum a full Newton step can overshoot.
        let longest = step.iter().fold(0f64, |a, b| a.max(b.abs()));
        let scale = if longest > 4.0 { 4.0 / longest } else { 1.0 };
        for (weight, step) in weights.iter_mut().zip(&step) {
            *weight -= scale * step;
        }
        if longest < 1e-9 {
            break;
        }
    }
    weights.iter().all(|w| w.is_finite()).then_some(weights)
}

/// Solves a small linear system by Gaussian elimination with pivoting.
fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Option<Vec<f64>> {
    let n = b.len();
    for column in 0..n {
        let pivot = (column..n).max_by(|i, j| a[*i][column].abs().total_cmp(&a[*j][column].abs()))?;
        if a[pivot][column].abs() < 1e-14 {
            return None;
        }
        a.swap(column, pivot);
        b.swap(column, pivot);
        let (above, below) = a.split_at_mut(column + 1);
        let pivot_row = &above[column];
        for (offset, row) in below.iter_mut().enumerate() {
            let factor = row[column] / pivot_row[column];
            for (x, p) in row.iter_mut().zip(pivot_row).skip(column) {
                *x -= factor * p;
            }
            b[column + 1 + offset] -= factor * b[column];
        }
    }
    for row in (0..n).rev() {
        let known: f64 = (row + 1..n).map(|k| a[row][k] * b[k]).sum();
        b[row] = (b[row] - known) / a[row][row];
    }
    Some(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scikit-learn: LogisticRegression(penalty=None, tol=1e-10).fit([[0], [1], [2], [3], [4], [5]], [0, 0, 1, 0, 1, 1]).
    #[test]
    fn weights_are_those_of_maximum_likelihood() {
        let features: Vec<Vec<f64>> = (0..6).map(|i| vec![f64::from(i)]).collect();
        let weights = fit(&features, &[false, false, true, false, true, true], 0.0).expect("a fit");
        // At the maximum the residuals are orthogonal to every feature.
        let residual = |x: f64, y: f64| y - 1.0 / (1.0 + (-(weights[0] * x + weights[1])).exp());
        let outcomes = [0.0, 0.0, 1.0, 0.0, 1.0, 1.0];
        let sum: f64 = outcomes.iter().enumerate().map(|(x, y)| residual(x as f64, *y)).sum();
        let moment: f64 = outcomes.iter().enumerate().map(|(x, y)| x as f64 * residual(x as f64, *y)).sum();
        assert!(sum.abs() < 1e-6 && moment.abs() < 1e-6, "{weights:?}");
        assert!(weights[0] > 0.0);
    }

    #[test]
    fn one_outcome_only_gives_no_fit_and_separable_data_a_finite_one() {
        assert_eq!(fit(&[vec![1.0], vec![2.0]], &[true, true], 0.1), None);
        let weights = fit(&[vec![-1.0], vec![1.0]], &[false, true], 0.1).expect("a fit");
        assert!(weights[0].is_finite() && weights[0] > 0.0);
    }
}
