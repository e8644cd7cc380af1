//! Plots as inline SVG, drawn by hand: a report must open anywhere, without a script and without a network.
//!
//! All share one frame. Colours come from the page's style sheet (`class`), so that a plot is legible on a light and a dark page.

use std::fmt::Write as _;

use super::calibration::{Bin, Reliability};
use super::departments::DepartmentRow;
use super::ranking::CoveragePoint;
use super::report::escape;

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 52.0;
const BOTTOM: f64 = 44.0;
const TOP: f64 = 12.0;
const RIGHT: f64 = 14.0;
/// A curve of a million points is drawn with this many: no screen shows more.
const MAX_CURVE_POINTS: usize = 400;

/// A named line of a curve plot.
#[derive(Debug, Clone, PartialEq)]
pub struct Series<'a> {
    /// What the legend says.
    pub name: &'a str,
    /// Points, left to right. Points that are not finite are left out.
    pub points: Vec<(f64, f64)>,
}

/// The frame of a plot: what its axes span and how they are named.
struct Axes<'a> {
    x: (f64, f64),
    y: (f64, f64),
    x_name: &'a str,
    y_name: &'a str,
}

impl Axes<'_> {
    fn place_x(&self, x: f64) -> f64 {
        LEFT + (x - self.x.0) / (self.x.1 - self.x.0) * (WIDTH - LEFT - RIGHT)
    }

    fn place_y(&self, y: f64) -> f64 {
        HEIGHT - BOTTOM - (y - self.y.0) / (self.y.1 - self.y.0) * (HEIGHT - BOTTOM - TOP)
    }

    /// The frame with five ticks on each axis around `inside`.
    fn draw(&self, inside: &str) -> String {
        let mut svg = format!(r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" class="plot">"#);
        for step in 0..=4 {
            let share = f64::from(step) / 4.0;
            let (x, y) = (self.x.0 + share * (self.x.1 - self.x.0), self.y.0 + share * (self.y.1 - self.y.0));
            let (px, py) = (self.place_x(x), self.place_y(y));
            let _ = write!(
                svg,
                r#"<line class="grid" x1="{LEFT}" x2="{}" y1="{py:.1}" y2="{py:.1}"/><text class="tick" x="{}" y="{:.1}" text-anchor="end">{}</text><text class="tick" x="{px:.1}" y="{}" text-anchor="middle">{}</text>"#,
                WIDTH - RIGHT,
                LEFT - 6.0,
                py + 4.0,
                tick(y, self.y.1 - self.y.0),
                HEIGHT - BOTTOM + 16.0,
                tick(x, self.x.1 - self.x.0),
            );
        }
        let middle = (TOP + HEIGHT - BOTTOM) / 2.0;
        let _ = write!(
            svg,
            r#"{inside}<text class="axis" x="{:.1}" y="{:.1}" text-anchor="middle">{}</text><text class="axis" transform="translate(12 {middle:.1}) rotate(-90)" text-anchor="middle">{}</text></svg>"#,
            (LEFT + WIDTH - RIGHT) / 2.0,
            HEIGHT - 8.0,
            escape(self.x_name),
            escape(self.y_name),
        );
        svg
    }
}

/// Digits that suit the span of the axis.
fn tick(value: f64, span: f64) -> String {
    if span > 20.0 {
        format!("{value:.0}")
    } else if span > 2.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// Stated probability against the share that turned out true. On the diagonal the model means what it says.
pub fn reliability_diagram(reliability: &Reliability) -> String {
    let axes = Axes { x: (0.0, 1.0), y: (0.0, 1.0), x_name: "stated 预测概率", y_name: "happened 实际比例" };
    let mut inside = format!(
        r#"<line class="ideal" x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}"/>"#,
        axes.place_x(0.0),
        axes.place_y(0.0),
        axes.place_x(1.0),
        axes.place_y(1.0)
    );
    let most = reliability.bins().iter().map(|b| b.orders).max().unwrap_or(0).max(1) as f64;
    for bin in reliability.bins() {
        let (Some(stated), Some(happened)) = (bin.mean_stated(), bin.share_happened()) else { continue };
        // The area of a dot is the number of orders, so that a stray bin does not look like a finding.
        let radius = 3.0 + 9.0 * (bin.orders as f64 / most).sqrt();
        let _ = write!(
            inside,
            r#"<circle class="dot" cx="{:.1}" cy="{:.1}" r="{radius:.1}"><title>{stated:.3} → {happened:.3}, n = {}</title></circle>"#,
            axes.place_x(stated),
            axes.place_y(happened),
            bin.orders
        );
    }
    axes.draw(&inside)
}

/// How many orders were answered with which probability.
pub fn histogram(reliability: &Reliability) -> String {
    let bins = reliability.bins();
    let most = bins.iter().map(|b| b.orders).max().unwrap_or(0).max(1) as f64;
    let axes = Axes { x: (0.0, 1.0), y: (0.0, most), x_name: "stated 预测概率", y_name: "orders 工单数" };
    let width = 1.0 / bins.len() as f64;
    let bar = |(index, bin): (usize, &Bin)| {
        let left = axes.place_x(index as f64 * width);
        let top = axes.place_y(bin.orders as f64);
        format!(
            r#"<rect class="bar" x="{:.1}" y="{top:.1}" width="{:.1}" height="{:.1}"><title>n = {}</title></rect>"#,
            left + 1.0,
            axes.place_x(width) - axes.place_x(0.0) - 2.0,
            axes.place_y(0.0) - top,
            bin.orders
        )
    };
    axes.draw(&bins.iter().enumerate().map(bar).collect::<String>())
}

/// Share of orders that go out alone against how many of them are right, the surest first.
pub fn coverage_curve(points: &[CoveragePoint]) -> String {
    let lowest = points.iter().map(|p| p.precision).fold(1.0, f64::min);
    let floor = ((lowest * 10.0).floor() / 10.0).min(0.9);
    let axes = Axes { x: (0.0, 1.0), y: (floor, 1.0), x_name: "go out alone 自动派单比例", y_name: "right 准确率" };
    let line: Vec<(f64, f64)> = points.iter().map(|p| (p.share, p.precision)).collect();
    axes.draw(&polyline(&axes, &line, 0))
}

/// Loss over steps, or any lines over a common axis.
pub fn loss_curve(series: &[Series<'_>], x_name: &str, y_name: &str) -> String {
    let finite = |p: &&(f64, f64)| p.0.is_finite() && p.1.is_finite();
    let all: Vec<(f64, f64)> = series.iter().flat_map(|s| s.points.iter().filter(finite).copied()).collect();
    let axes = Axes { x: span(all.iter().map(|p| p.0)), y: span(all.iter().map(|p| p.1)), x_name, y_name };
    let mut inside = String::new();
    for (index, one) in series.iter().enumerate() {
        let points: Vec<(f64, f64)> = one.points.iter().filter(finite).copied().collect();
        inside.push_str(&polyline(&axes, &points, index));
        let y = TOP + 14.0 + 16.0 * index as f64;
        let _ = write!(
            inside,
            r#"<text class="legend line{}" x="{}" y="{y}" text-anchor="end">— {}</text>"#,
            index % 4,
            WIDTH - RIGHT - 4.0,
            escape(one.name)
        );
    }
    axes.draw(&inside)
}

/// F1 of each department, most orders first, with its number of orders.
pub fn department_bars(rows: &[DepartmentRow]) -> String {
    const ROW: f64 = 20.0;
    const NAME: f64 = 130.0;
    let mut sorted: Vec<&DepartmentRow> = rows.iter().collect();
    sorted.sort_by(|a, b| b.support.cmp(&a.support).then_with(|| a.department.cmp(&b.department)));
    let height = ROW * sorted.len() as f64 + 8.0;
    let mut svg = format!(r#"<svg viewBox="0 0 {WIDTH} {height}" role="img" class="plot tall">"#);
    for (index, row) in sorted.iter().enumerate() {
        let y = ROW * index as f64 + 4.0;
        let full = WIDTH - NAME - 90.0;
        let _ = write!(
            svg,
            r#"<text class="tick" x="{}" y="{:.1}" text-anchor="end">{}</text><rect class="rail" x="{NAME}" y="{y:.1}" width="{full:.1}" height="14"/><rect class="bar" x="{NAME}" y="{y:.1}" width="{:.1}" height="14"/><text class="tick" x="{:.1}" y="{:.1}">{:.2} · {}</text>"#,
            NAME - 6.0,
            y + 11.0,
            escape(&shortened(&row.department)),
            full * row.f1.clamp(0.0, 1.0),
            NAME + full + 6.0,
            y + 11.0,
            row.f1,
            row.support
        );
    }
    svg.push_str("</svg>");
    svg
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= 10 { name.to_owned() } else { name.chars().take(9).chain(['…']).collect() }
}

fn span(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low > high {
        (0.0, 1.0)
    } else if high - low < 1e-9 {
        (low - 0.5, high + 0.5)
    } else {
        (low, high)
    }
}

fn polyline(axes: &Axes<'_>, points: &[(f64, f64)], class: usize) -> String {
    let step = points.len().div_ceil(MAX_CURVE_POINTS).max(1);
    // The last point is always drawn: it is where the curve ends.
    let kept = points.iter().step_by(step).chain(points.last().filter(|_| points.len() % step != 1 && step > 1));
    let mut path = String::new();
    for &(x, y) in kept {
        let _ = write!(path, "{:.1},{:.1} ", axes.place_x(x), axes.place_y(y.clamp(axes.y.0, axes.y.1)));
    }
    format!(r#"<polyline class="line line{}" points="{}"/>"#, class % 4, path.trim_end())
}
