//! `report.html`: the run as a person looks at it.

use std::path::Path;

use paidan::evaluation::{
    Reliability, Report, RiskMeasures, coverage_curve, coverage_points, department_bars, histogram, reliability_diagram,
};

use super::measures::Measures;
use super::tally::Tally;

/// The page.
pub fn render(measures: &Measures, tally: &Tally, orders: &Path) -> String {
    let what = if measures.text_only { "text only 仅正文" } else { "text, category and type 正文、分类与类型" };
    let subtitle = format!(
        "{} · {} {} · {what} · {} orders 工单, {} skipped 跳过",
        orders.file_name().unwrap_or_default().to_string_lossy(),
        measures.model,
        measures.model_version,
        measures.appeals,
        measures.skipped
    );
    let mut page = Report::new("Replay 回放评测", &subtitle).facts(&facts(measures));
    if let Some(all) = &measures.all_departments {
        let confidences = tally.departments.confidences();
        let reliability = Reliability::of(confidences.iter().copied());
        page = page.figures(
            "Departments 承办单位",
            &[
                (
                    "Stated against happened; on the diagonal a probability means what it says. 校准曲线",
                    reliability_diagram(&reliability),
                ),
                ("How sure the first answers are. 首选概率分布", histogram(&reliability)),
                (
                    "How many may go out alone, at which precision. 自动派单比例与准确率",
                    coverage_curve(&coverage_points(&confidences)),
                ),
                ("F1 and orders of each department. 各单位 F1 与工单数", department_bars(&measures.departments)),
            ],
        );
        let coverage: Vec<Vec<String>> = [all.coverage_at_95, all.coverage_at_98]
            .into_iter()
            .flatten()
            .map(|c| {
                vec![share(Some(c.precision)), share(Some(c.share)), c.threshold.map_or("–".to_owned(), |t| format!("{t:.3}"))]
            })
            .collect();
        page = page.table("May go out alone 可自动派单", &["precision 准确率", "share 比例", "threshold 阈值"], &coverage);
    }
    for (name, risks, scores) in [
        ("Dispute risk 争议风险", &measures.dispute, &tally.disputes),
        ("Return of the proposed dispatch 拟派退单风险", &measures.proposed_dispatch, &tally.proposals),
    ] {
        let Some(risks) = risks else { continue };
        let reliability = scores.reliability();
        page = page
            .figures(
                name,
                &[
                    ("Stated against happened. 校准曲线", reliability_diagram(&reliability)),
                    ("Stated risks. 风险分布", histogram(&reliability)),
                ],
            )
            .table("Caught by review 复核可发现", &["reviewed 复核比例", "caught 发现比例"], &budgets(risks));
    }
    let rows: Vec<Vec<String>> = measures
        .departments
        .iter()
        .map(|row| {
            let figure = |value: f64| format!("{value:.3}");
            vec![
                row.department.clone(),
                figure(row.precision),
                figure(row.recall),
                figure(row.f1),
                row.support.to_string(),
                row.predicted.to_string(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let columns = ["department 单位", "precision 精确率", "recall 召回率", "F1", "orders 实际", "answered 预测"];
        page = page.table("Each department 各单位", &columns, &rows);
    }
    page.render()
}

fn facts(measures: &Measures) -> Vec<(&'static str, String)> {
    let figure = |value: Option<f64>| value.map(|value| format!("{value:.3}"));
    let candidates = [
        ("accuracy 准确率", share(measures.accuracy)),
        ("macro-F1", figure(measures.macro_f1).unwrap_or_default()),
        ("top-3 前三命中", share(measures.top3)),
        ("calibration error 校准误差", figure(measures.ece).unwrap_or_default()),
        ("dispute AUC 争议", figure(measures.dispute_auc).unwrap_or_default()),
        ("proposal AUC 拟派", figure(measures.proposed_dispatch_auc).unwrap_or_default()),
        ("need a person 转人工", share(measures.needs_review)),
        ("appeals/s 每秒", measures.appeals_per_second.map(|rate| format!("{rate:.0}")).unwrap_or_default()),
    ];
    candidates.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

fn share(value: Option<f64>) -> String {
    value.map(|value| format!("{:.1} %", value * 100.0)).unwrap_or_default()
}

fn budgets(risks: &RiskMeasures) -> Vec<Vec<String>> {
    risks.review_budgets.iter().map(|budget| vec![share(Some(budget.reviewed)), share(Some(budget.caught))]).collect()
}
