//! What the study says, for people: as lines.

use std::fmt::Write;

use super::{Agreement, Outcome, Report, Touched};

impl Report {
    /// For people. Writing to a string cannot fail.
    pub fn text(&self) -> String {
        let mut text =
            "groups of the training orders' disputes: mean cosine >=, groups of three and more, disputes in the ten \
                        largest; pairs that the same departments contest: precision, recall, F1\n"
                .to_owned();
        for Agreement { bound, groups, largest, precision, recall, f1 } in &self.choice {
            let mark = if *bound == self.bound { "  <- best" } else { "" };
            let _ = writeln!(text, "{bound:.2}  {groups:3}  {largest:3}  {precision:.3}  {recall:.3}  {f1:.3}{mark}");
        }
        let _ = writeln!(
            text,
            "{} re-dispatched training orders, {} of them in groups at a mean cosine of {}\n\
             the largest groups: disputes, days, who handled most and its share, contesting, matter, required words;\n\
             below, what its ruling does to the validation orders",
            self.disputes, self.grouped, self.bound
        );
        let at_best: Vec<&Outcome> = self.outcomes.iter().filter(|row| row.worded && row.bound == self.bound).collect();
        for (number, group) in self.groups.iter().enumerate() {
            let contesting: Vec<String> =
                group.contesting.iter().map(|one| format!("{} {}", one.department, one.disputes)).collect();
            let _ = writeln!(
                text,
                "{:4}  {} to {}  {} {:.2}  [{}]  {}  {:?}",
                group.disputes,
                group.first_day,
                group.last_day,
                group.leads.first().map_or("", |lead| &lead.department),
                group.lead_share(),
                contesting.join(", "),
                group.matter,
                group.draft.required_words,
            );
            for row in &at_best {
                let Some([all, disputed]) = row.by_group.get(number) else { continue };
                let said = |one: &Touched| format!("{} applied, {} right, model {}", one.applied, one.right, one.model_right);
                let _ = writeln!(text, "        {:14} disputed: {}; all: {}", row.input, said(disputed), said(all));
            }
        }
        let head = "bound, words, rulings (their disputes), then for disputed and for all orders: applied of all, right, \
                    the model's own right, mended / harmed";
        let _ = writeln!(text, "validation orders: input, {head}");
        // Without words only at the best bound: the others are in the JSON.
        let told = self.outcomes.iter().filter(|row| row.worded || row.bound == self.bound);
        told.for_each(|row| text.push_str(&self.line(row)));
        text
    }

    fn line(&self, row: &Outcome) -> String {
        let touched = |one: &Touched| {
            let Touched { orders, applied, right, model_right, mended, harmed } = one;
            format!("{applied:4} of {orders:4}  {right:4}  {model_right:4}  {mended:3}/{harmed:<3}")
        };
        let (words, mark) = (if row.worded { "words" } else { "none" }, if row.bound == self.bound { "  <- best" } else { "" });
        let (disputed, all) = (touched(&row.disputed), touched(&row.all));
        format!("{:14} {:.2} {words:5} {:2} ({:3})  {disputed} | {all}{mark}\n", row.input, row.bound, row.rulings, row.members)
    }
}
