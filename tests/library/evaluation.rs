//! The measures against scikit-learn 1.9.1 (numpy 2.4.6), and where a measure is not defined.
//!
//! The numbers were made once by the script below; both sides draw the same orders from the same generator.
//!
//! ```python
//! import numpy as np
//! from sklearn.metrics import *
//! def lcg(s):
//!     while True:
//!         s = (s * 1664525 + 1013904223) % 2**32
//!         yield s / 2**32
//! g = lcg(12345); K, N = 5, 200; P, Y = [], []
//! for _ in range(N):
//!     w = [next(g) ** 3 + 0.01 for _ in range(K)]
//!     p = np.array(w) / sum(w); u, c, y = next(g), 0.0, K - 1
//!     for k in range(K):
//!         c += p[k]
//!         if u < c: y = k; break
//!     P.append(p); Y.append(y)
//! P, Y = np.array(P), np.array(Y); H = P.argmax(1); m = np.isin(Y, [0, 2, 3])
//! accuracy_score(Y, H); f1_score(Y, H, average='macro'); top_k_accuracy_score(Y, P, k=3, labels=range(K))
//! f1_score(Y[m], H[m], average='macro', labels=[0, 2, 3]); log_loss(Y, P, labels=range(K))
//! brier_score_loss(Y, P, labels=list(range(K)), scale_by_half=False); precision_recall_fscore_support(Y, H)
//! (1 / ((P > P[np.arange(N), Y][:, None]).sum(1) + 1)).mean()                    # mean reciprocal rank
//! def ece(c, ok):
//!     b = np.clip(np.ceil(c * 15).astype(int) - 1, 0, 14)
//!     return sum(abs(ok[b == i].mean() - c[b == i].mean()) * (b == i).mean() for i in range(15) if (b == i).any())
//! ece(P.max(1), H == Y)
//! o = np.argsort(-P.max(1)); prec = np.cumsum((H == Y)[o]) / np.arange(1, N + 1)  # coverage at .6: last index with prec >= .6
//! g = lcg(777); S, T = [], []
//! for _ in range(300):
//!     s = (int(next(g) * 20) + 0.5) / 20                                         # twenty values: many ties
//!     T.append(next(g) < s * 0.3); S.append(s)
//! roc_auc_score(T, S); average_precision_score(T, S); brier_score_loss(T, S); log_loss(T, S); ece(np.array(S), np.array(T))
//! ```

use paidan::evaluation::{
    DepartmentRow, DepartmentScores, Reliability, Report, RiskScores, Series, Truth, coverage_at, coverage_curve,
    coverage_points, department_bars, histogram, loss_curve, reliability_diagram,
};

struct Generator(u64);

impl Generator {
    fn next(&mut self) -> f64 {
        self.0 = (self.0 * 1_664_525 + 1_013_904_223) % (1 << 32);
        self.0 as f64 / (1_u64 << 32) as f64
    }
}

fn labels(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("d{i}")).collect()
}

fn two_hundred_orders() -> DepartmentScores {
    let mut draw = Generator(12345);
    let mut scores = DepartmentScores::new(labels(5));
    for _ in 0..200 {
        let weights: Vec<f64> = (0..5).map(|_| draw.next().powi(3) + 0.01).collect();
        let sum: f64 = weights.iter().sum();
        let u = draw.next();
        let mut reached = 0.0;
        let truth = weights.iter().position(|w| {
            reached += w / sum;
            u < reached
        });
        let probabilities: Vec<f32> = weights.iter().map(|w| (w / sum) as f32).collect();
        scores.push(&probabilities, Truth::Known(truth.unwrap_or(4)));
    }
    scores
}

fn three_hundred_risks() -> RiskScores {
    let mut draw = Generator(777);
    let mut scores = RiskScores::default();
    for _ in 0..300 {
        let risk = ((draw.next() * 20.0).floor() + 0.5) / 20.0;
        let happened = draw.next() < risk * 0.3;
        scores.push(risk as f32, happened);
    }
    scores
}

#[track_caller]
fn near(measured: Option<f64>, reference: f64) {
    let measured = measured.expect("the measure is defined");
    // Ours are made from f32 probabilities, the reference from f64 ones.
    assert!((measured - reference).abs() < 1e-6, "{measured} is not {reference}");
}

#[test]
fn departments_are_measured_as_scikit_learn_does() {
    let scores = two_hundred_orders();
    let m = scores.measures();
    assert_eq!(m.orders, 200);
    near(m.accuracy, 0.475);
    near(m.macro_f1, 0.4767482296375657);
    near(m.top3, 0.915);
    near(m.negative_log_likelihood, 1.1544577495058985);
    near(m.brier, 0.6125911641650978);
    near(m.mean_reciprocal_rank, 0.6893333333333334);
    near(m.ece, 0.08260429635031047);
}

#[test]
fn a_subset_of_departments_is_measured_on_the_orders_that_went_there() {
    let m = two_hundred_orders().measures_within(|label| ["d0", "d2", "d3"].contains(&label));
    assert_eq!(m.orders, 128);
    near(m.accuracy, 0.4609375);
    near(m.macro_f1, 0.5266703724652663);
}

#[test]
fn each_department_has_the_precision_and_recall_of_scikit_learn() {
    let rows = two_hundred_orders().departments();
    let reference = [
        (0.475, 0.3958333333333333, 0.4318181818181818, 48),
        (0.6176470588235294, 0.5121951219512195, 0.56, 41),
        (0.46, 0.4791666666666667, 0.46938775510204084, 48),
        (0.4722222222222222, 0.53125, 0.5, 32),
        (0.375, 0.4838709677419355, 0.4225352112676056, 31),
    ];
    assert_eq!(rows.len(), reference.len());
    for (row, (precision, recall, f1, support)) in rows.iter().zip(reference) {
        near(Some(row.precision), precision);
        near(Some(row.recall), recall);
        near(Some(row.f1), f1);
        assert_eq!(row.support, support);
    }
}

#[test]
fn the_share_that_goes_out_alone_is_the_largest_that_keeps_the_precision() {
    let points = coverage_points(&two_hundred_orders().confidences());
    near(coverage_at(&points, 0.6).map(|c| c.share), 0.6);
    near(coverage_at(&points, 0.7).map(|c| c.share), 0.34);
    let never = coverage_at(&points, 1.1).expect("there are orders");
    assert_eq!((never.share, never.threshold), (0.0, None));
}

#[test]
fn orders_that_are_equally_sure_go_out_together_or_not_at_all() {
    let points = coverage_points(&[(0.9, true), (0.9, false), (0.5, true)]);
    assert_eq!(points.len(), 2);
    near(coverage_at(&points, 0.95).map(|c| c.share), 0.0);
    near(coverage_at(&points, 0.5).map(|c| c.share), 1.0);
}

#[test]
fn risks_with_ties_are_measured_as_scikit_learn_does() {
    let m = three_hundred_risks().measures();
    assert_eq!((m.orders, m.positives), (300, 37));
    near(m.auc, 0.6547117459664988);
    near(m.average_precision, 0.19479256384613888);
    near(m.brier, 0.2885583333333333);
    near(m.negative_log_likelihood, 0.8382272348287629);
    near(m.ece, 0.3661666666666667);
    let caught: Vec<f64> = m.review_budgets.iter().map(|b| b.caught).collect();
    for (caught, reference) in
        caught.iter().zip([0.02702702702702703, 0.08108108108108109, 0.12162162162162163, 0.18378378378378377])
    {
        near(Some(*caught), reference);
    }
}

#[test]
fn the_review_budget_does_not_depend_on_the_order_of_the_file() {
    let mut forward = RiskScores::default();
    let mut backward = RiskScores::default();
    let pairs: Vec<(f32, bool)> = (0..100).map(|i| (0.5, i % 10 == 0)).collect();
    pairs.iter().for_each(|&(r, t)| forward.push(r, t));
    pairs.iter().rev().for_each(|&(r, t)| backward.push(r, t));
    assert_eq!(forward.measures(), backward.measures());
    near(forward.measures().review_budgets.first().map(|b| b.caught), 0.01);
}

#[test]
fn without_orders_no_measure_is_invented() {
    let m = DepartmentScores::new(labels(3)).measures();
    assert_eq!((m.accuracy, m.macro_f1, m.top3, m.ece, m.brier), (None, None, None, None, None));
    assert_eq!(m.coverage_at_95, None);
    let r = RiskScores::default().measures();
    assert_eq!((r.auc, r.average_precision, r.brier, r.ece), (None, None, None, None));
    assert!(r.review_budgets.is_empty());
}

#[test]
fn without_positives_or_negatives_there_is_no_area_under_the_curve() {
    let of = |happened: bool| {
        let mut scores = RiskScores::default();
        scores.push(0.2, happened);
        scores.push(0.7, happened);
        scores.measures()
    };
    assert_eq!((of(false).auc, of(false).average_precision), (None, None));
    assert_eq!(of(true).auc, None);
    near(of(true).average_precision, 1.0);
}

#[test]
fn a_department_the_model_does_not_know_is_wrong_and_named() {
    let mut scores = DepartmentScores::new(labels(2));
    scores.push(&[0.9, 0.1], Truth::Known(0));
    let truth = scores.truth("海事");
    assert_eq!(truth, Truth::Unknown("海事"));
    scores.push(&[0.9, 0.1], Truth::Unknown("海事"));
    let m = scores.measures();
    near(m.accuracy, 0.5);
    near(m.top3, 0.5);
    // d0 has F1 2/3, the unknown one 0; d1 was never seen.
    near(m.macro_f1, 1.0 / 3.0);
    assert_eq!(scores.unknown_names().collect::<Vec<_>>(), ["海事"]);
    assert_eq!(scores.departments().last().map(|d| (d.department.as_str(), d.support)), Some(("海事", 1)));
}

#[test]
fn probabilities_that_are_not_numbers_are_ranked_last_and_spoil_nothing() {
    let mut scores = DepartmentScores::new(labels(3));
    scores.push(&[f32::NAN, 0.2, 0.3], Truth::Known(2));
    scores.push(&[f32::NAN, f32::NAN, f32::NAN], Truth::Known(1));
    let m = scores.measures();
    near(m.accuracy, 0.5);
    assert!(m.ece.is_some_and(f64::is_finite) && m.negative_log_likelihood.is_some_and(f64::is_finite));
    assert_eq!(m.brier, None);
    let mut risks = RiskScores::default();
    risks.push(f32::NAN, true);
    risks.push(0.4, false);
    near(risks.measures().auc, 0.0);
    assert_eq!(risks.measures().brier, None);
}

#[test]
fn a_report_is_one_file_without_scripts_and_escapes_what_it_is_given() {
    let scores = two_hundred_orders();
    let reliability = Reliability::of(scores.confidences());
    let row =
        DepartmentRow {
            department: "<b>城管</b>".to_owned(), precision: 1.0, recall: 1.0, f1: 1.0, support: 3, predicted: 3
        };
    let page = Report::new("Replay <回放>", "a & b")
        .facts(&[("accuracy", "0.475".to_owned())])
        .figures(
            "Figures",
            &[
                ("reliability", reliability_diagram(&reliability)),
                ("histogram", histogram(&reliability)),
                ("coverage", coverage_curve(&coverage_points(&scores.confidences()))),
                ("departments", department_bars(&[row])),
                (
                    "loss",
                    loss_curve(
                        &[Series { name: "train", points: vec![(0.0, 2.0), (1.0, f64::NAN), (2.0, 1.0)] }],
                        "step",
                        "loss",
                    ),
                ),
            ],
        )
        .table("Departments", &["name", "F1"], &[vec!["<script>".to_owned(), "0.5".to_owned()]])
        .render();
    assert!(page.contains("Replay &lt;回放&gt;") && page.contains("a &amp; b") && page.contains("&lt;script&gt;"));
    for forbidden in ["<script", "<b>城", "http:", "https:", "NaN", "inf"] {
        assert!(!page.contains(forbidden), "the page has {forbidden}");
    }
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
}

#[test]
fn plots_of_nothing_are_still_plots() {
    let empty = Reliability::default();
    for svg in [
        reliability_diagram(&empty),
        histogram(&empty),
        coverage_curve(&[]),
        department_bars(&[]),
        loss_curve(&[], "step", "loss"),
    ] {
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}

#[test]
fn a_long_curve_is_thinned_but_ends_where_it_ends() {
    let points: Vec<(f64, f64)> = (0..10_001).map(|i| (f64::from(i), f64::from(i))).collect();
    let svg = loss_curve(&[Series { name: "all", points }], "step", "loss");
    assert!(svg.len() < 20_000);
    // The right upper corner of the frame.
    assert!(svg.contains("446.0,12.0"), "{svg}");
}
