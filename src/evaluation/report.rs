//! A page that a person looks at before reading: one self-contained HTML file, no script, nothing fetched.

use std::fmt::Write as _;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1d2530;--soft:#66707c;--line:#d9dee4;--page:#fff;--one:#1f6fb2;--two:#c2571a;--three:#2c8a57;--four:#8a4fb0}\
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ed;--soft:#9aa5b1;--line:#39424d;--page:#151a20;--one:#63b0ee;--two:#f0965e;--three:#63c48f;--four:#c394e6}}\
body{font:15px/1.5 system-ui,'Noto Sans CJK SC','Microsoft YaHei',sans-serif;color:var(--ink);background:var(--page);max-width:1020px;margin:2em auto;padding:0 1em}\
h1{font-size:1.5em;margin-bottom:.1em}h2{font-size:1.1em;margin:1.8em 0 .4em}p{color:var(--soft);margin:.2em 0 .8em}\
.facts{display:flex;flex-wrap:wrap;gap:.6em 2em;margin:1.2em 0}.facts b{display:block;font-size:1.5em;font-variant-numeric:tabular-nums}.facts span{color:var(--soft)}\
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(380px,1fr));gap:1em 2em}\
figure{margin:0}figcaption{color:var(--soft);font-size:.9em}svg{width:100%;height:auto}\
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}td,th{border-bottom:1px solid var(--line);padding:.25em .6em;text-align:right}\
td:first-child,th:first-child{text-align:left}th{color:var(--soft);font-weight:600}\
.grid,.rail{stroke:var(--line);fill:var(--line)}.rail{stroke:none;opacity:.5}.tick,.axis,.legend{font-size:11px;fill:var(--soft)}.ideal{stroke:var(--soft);stroke-dasharray:4 4}\
.dot{fill:var(--one);opacity:.75}.bar{fill:var(--one)}.line{fill:none;stroke-width:2}\
.line0{stroke:var(--one)}.line1{stroke:var(--two)}.line2{stroke:var(--three)}.line3{stroke:var(--four)}\
.legend{stroke:none}.legend.line0{fill:var(--one)}.legend.line1{fill:var(--two)}.legend.line2{fill:var(--three)}.legend.line3{fill:var(--four)}";

/// A report under construction; everything that is put in is escaped, except the plots of this module.
///
/// ```
/// use paidan::evaluation::{Report, Reliability, reliability_diagram};
///
/// let page = Report::new("Replay 回放", "orders.jsonl")
///     .facts(&[("accuracy 准确率", "0.81".to_owned())])
///     .figures("Calibration 校准", &[("On the diagonal it means what it says.", reliability_diagram(&Reliability::default()))])
///     .render();
/// assert!(page.starts_with("<!doctype html>"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Report {
    title: String,
    body: String,
}

impl Report {
    /// A page with a title and a line under it.
    pub fn new(title: &str, subtitle: &str) -> Self {
        Self { title: escape(title), body: format!("<h1>{}</h1><p>{}</p>", escape(title), escape(subtitle)) }
    }

    /// The few figures that matter, large.
    #[must_use]
    pub fn facts(mut self, facts: &[(&str, String)]) -> Self {
        self.body.push_str(r#"<div class="facts">"#);
        for (name, value) in facts {
            let _ = write!(self.body, "<div><b>{}</b><span>{}</span></div>", escape(value), escape(name));
        }
        self.body.push_str("</div>");
        self
    }

    /// A heading with plots side by side, each with a caption. The plots are SVG made by this module: they go in as they are.
    #[must_use]
    pub fn figures(mut self, heading: &str, figures: &[(&str, String)]) -> Self {
        let _ = write!(self.body, r#"<h2>{}</h2><div class="figures">"#, escape(heading));
        for (caption, svg) in figures {
            let _ = write!(self.body, "<figure>{svg}<figcaption>{}</figcaption></figure>", escape(caption));
        }
        self.body.push_str("</div>");
        self
    }

    /// A heading with a table; the first column is text, the others are figures.
    #[must_use]
    pub fn table(mut self, heading: &str, columns: &[&str], rows: &[Vec<String>]) -> Self {
        let cells = |tag: &str, cells: &mut dyn Iterator<Item = &str>| {
            let inside: String = cells.map(|c| format!("<{tag}>{}</{tag}>", escape(c))).collect();
            format!("<tr>{inside}</tr>")
        };
        let _ = write!(self.body, "<h2>{}</h2><table>{}", escape(heading), cells("th", &mut columns.iter().copied()));
        for row in rows {
            self.body.push_str(&cells("td", &mut row.iter().map(String::as_str)));
        }
        self.body.push_str("</table>");
        self
    }

    /// A heading with a paragraph.
    #[must_use]
    pub fn note(mut self, heading: &str, text: &str) -> Self {
        let _ = write!(self.body, "<h2>{}</h2><p>{}</p>", escape(heading), escape(text));
        self
    }

    /// The page.
    pub fn render(&self) -> String {
        format!(
            "<!doctype html>\n<html lang=\"zh\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
             <title>{}</title><style>{STYLE}</style></head><body>{}</body></html>\n",
            self.title, self.body
        )
    }
}

/// Text as it may stand in HTML and SVG, in an attribute too.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}
