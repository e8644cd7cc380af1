//! The run's page: how the loss fell, how well probabilities mean what they say, which departments were learnt.

use paidan::evaluation::{
    Reliability, Report, Series, coverage_curve, coverage_points, department_bars, histogram, loss_curve, reliability_diagram,
};
use paidan::model::Manifest;

use crate::calibrate::Scores;
use crate::checkpoint::Progress;

/// Steps that one point of the training curve averages.
const SMOOTHING: usize = 20;

/// The loss over the steps, a few steps to a point.
pub(crate) fn smoothed(losses: &[f32]) -> Vec<(f64, f64)> {
    let mean = |losses: &[f32]| losses.iter().map(|loss| f64::from(*loss)).sum::<f64>() / losses.len() as f64;
    losses.chunks(SMOOTHING).enumerate().map(|(i, losses)| ((i * SMOOTHING) as f64, mean(losses))).collect()
}

/// Renders `report.html` of the run folder.
pub fn render(manifest: &Manifest, progress: &Progress, text_only: &Scores, with_category: &Scores) -> String {
    let by_epoch = |value: fn(&crate::checkpoint::EpochRecord) -> f64| -> Vec<(f64, f64)> {
        progress.history.iter().enumerate().map(|(epoch, record)| ((epoch + 1) as f64, value(record))).collect()
    };
    let quality = [
        Series { name: "accuracy, text alone", points: by_epoch(|record| record.accuracy) },
        Series { name: "macro-F1, text alone", points: by_epoch(|record| record.macro_f1) },
        Series { name: "accuracy, with category", points: by_epoch(|record| record.accuracy_with_category) },
        Series { name: "macro-F1, with category", points: by_epoch(|record| record.macro_f1_with_category) },
    ];
    let reliability = |scores: &Scores| Reliability::of(scores.departments.confidences());
    let figures: Vec<Vec<String>> =
        manifest.metrics.iter().map(|(name, value)| vec![name.clone(), format!("{value:.4}")]).collect();
    let title = format!("{} {}", manifest.name, manifest.version);
    // A mean did not learn by itself.
    let page = match progress.losses.is_empty() {
        true => Report::new(&title, "mean of several runs"),
        false => Report::new(&title, "training run").figures(
            "How it learnt",
            &[
                ("training loss", loss_curve(&[Series { name: "loss", points: smoothed(&progress.losses) }], "step", "loss")),
                ("validation after each epoch", loss_curve(&quality, "epoch", "share")),
            ],
        ),
    };
    page.figures(
        "What its probabilities mean",
        &[
            ("departments, text alone", reliability_diagram(&reliability(text_only))),
            ("departments, with category", reliability_diagram(&reliability(with_category))),
            ("confidence, text alone", histogram(&reliability(text_only))),
            ("dispute risk, text alone", reliability_diagram(&text_only.disputes.reliability())),
        ],
    )
    .figures(
        "What may go out alone",
        &[("precision by share, text alone", coverage_curve(&coverage_points(&text_only.departments.confidences())))],
    )
    .figures("Departments, text alone", &[("F1", department_bars(&text_only.departments.departments()))])
    .table("Figures", &["measure", "value"], &figures)
    .render()
}
