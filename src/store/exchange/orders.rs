//! Past orders as rulings: where another department than the one first asked handled an order in the end, somebody decided so.
//! Such a case ruling is weak, and says on what it rests.

use super::{MARK, Row};
use crate::evaluation::WorkOrder;
use crate::rulings::{BasisDraft, RulingDraft, RulingFault};

/// Reads orders as the hotline exports them (jsonl). A row for each order that was re-dispatched, and for each that cannot be
/// read; orders that went where they were first sent say nothing and are left out.
pub fn from_orders(bytes: &[u8]) -> Vec<Row> {
    let bytes = bytes.strip_prefix(MARK).unwrap_or(bytes);
    let lines = bytes.split(|byte| *byte == b'\n').zip(1..);
    let lines = lines.filter(|(line, _)| !line.iter().all(u8::is_ascii_whitespace));
    lines.filter_map(|(line, number)| Some(Row { line: number, draft: ruling(line)? })).collect()
}

fn ruling(line: &[u8]) -> Option<Result<RulingDraft, Vec<RulingFault>>> {
    let fault = |field: &str, reason: String| Some(Err(vec![RulingFault { field: field.to_owned(), reason }]));
    let order = match WorkOrder::parse(line) {
        Ok(order) => order,
        // A field that is named is at fault, not the line.
        Err(reason) => match reason.split_once(": ").filter(|(field, _)| !field.contains(' ')) {
            Some((field, reason)) => return fault(field, reason.to_owned()),
            None => return fault("line", reason),
        },
    };
    if order.rerouted != Some(true) {
        return None;
    }
    let Some(lead) = order.department else {
        return fault("department", "is missing, so nobody knows who handled it in the end".to_owned());
    };
    let Some(day) = order.received_on else {
        return fault("received_on", "is missing; write the day on which the order came in as YYYY-MM-DD".to_owned());
    };
    let fields = order.appeal.fields();
    let matter = if fields.category.is_empty() { "改派工单".to_owned() } else { fields.category.join("/") };
    Some(Ok(RulingDraft {
        // The same order imported again is the same ruling.
        id: order_ruling_id(&order.order_id),
        scope: "case".to_owned(),
        matter,
        examples: vec![fields.text.chars().take(4_000).collect()],
        orders: vec![order.order_id],
        excluded: order.instructed.into_iter().filter(|name| *name != lead).collect(),
        lead,
        basis: vec![BasisDraft {
            level: "先例".to_owned(),
            document: "历史工单改派结果（自动导入，未经认定）".to_owned(),
            ..BasisDraft::default()
        }],
        body: "hotline_review".to_owned(),
        decided_on: day.to_string(),
        ..RulingDraft::default()
    }))
}

/// Letters and digits of the order's number where it has no others; otherwise a digest of it.
fn order_ruling_id(order_id: &str) -> String {
    use sha2::{Digest, Sha256};
    let plain = order_id.len() <= 50 && order_id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if plain {
        return format!("O-{order_id}");
    }
    let hex: String = Sha256::digest(order_id).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("O-{hex}")
}
