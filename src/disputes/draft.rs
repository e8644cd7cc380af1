//! The drafted ruling: something to cross out rather than a blank page. Who it names and why is told in it; people decide.
//!
//! Its lead is, in this order: that of the standing ruling that is contested (a ruling holds until somebody changes it), that of the
//! catalogue's matter unless it objected and did so for good reason of its district or level, and otherwise whom the order would go
//! to next.

use std::fmt::Write;

use super::course::Course;
use super::sides::ContestingUnit;
use crate::catalog::{Basis, DepartmentCatalog};
use crate::routing::{Circumstances, Decision, Ground};
use crate::rulings::{BasisDraft, PositionDraft, RulingDraft};

/// Longest example, in characters: as long as a ruling's may be.
const MAX_EXAMPLE: usize = 4_000;

/// The draft as a record, and as a text.
pub fn drafted(
    course: &Course,
    sides: &[ContestingUnit],
    next: &Decision,
    catalog: Option<&DepartmentCatalog>,
    circumstances: &Circumstances,
) -> (RulingDraft, String) {
    let fields = &course.order.fields;
    let matter = catalog.and_then(|catalog| catalog.matter(&circumstances.words));
    let on_the_day = |id: &String| {
        let heirs = catalog.map(|catalog| catalog.in_force(id, circumstances.day).departments()).unwrap_or_default();
        heirs.first().map_or_else(|| id.clone(), |heir| heir.id.clone())
    };
    let (lead, why) = match (&next.contested_ruling, matter) {
        (Some(ruling), _) => {
            (on_the_day(&ruling.lead), format!("类案认定“{}”（{}）在变更前继续有效", ruling.matter, ruling.id))
        }
        (None, Some(matter)) => (on_the_day(&matter.lead), format!("派单目录事项“{}”列其主办", matter.name)),
        (None, None) => (next.lead().department.id.clone(), "无类案认定与目录事项可依，取排除退单单位后的首选".to_owned()),
    };
    let supporting: Vec<String> =
        matter.map(|matter| matter.supporting.iter().map(&on_the_day).filter(|id| *id != lead).collect()).unwrap_or_default();
    let basis = basis(&lead, matter.map(|matter| matter.basis.as_slice()).unwrap_or_default(), sides, next);
    let positions: Vec<PositionDraft> = sides
        .iter()
        .filter(|side| side.objects)
        .map(|side| PositionDraft { department: side.department.id.clone(), statement: statement(side), vote: String::new() })
        .collect();
    let title = match matter {
        Some(matter) => matter.name.clone(),
        None if fields.category.is_empty() => "责任不清事项".to_owned(),
        None => fields.category.join("/"),
    };
    let draft = RulingDraft {
        scope: "case".to_owned(),
        status: "draft".to_owned(),
        matter: title.chars().take(200).collect(),
        examples: vec![fields.text.chars().take(MAX_EXAMPLE).collect()],
        orders: vec![fields.id.clone()],
        lead: lead.clone(),
        supporting,
        positions,
        basis,
        body: "committee".to_owned(),
        ..RulingDraft::default()
    };
    let text = text(&draft, sides, &why, next);
    (draft, text)
}

/// What each side said, in one line.
fn statement(side: &ContestingUnit) -> String {
    let said = side.statements.iter().map(|one| match one.note.as_str() {
        "" => one.reason.name().to_owned(),
        note => format!("{}：{}", one.reason.name(), note.trim_end_matches(['。', '；', '.', ';'])),
    });
    said.collect::<Vec<_>>().join("；")
}

/// The matter's documents, the lead's duties that fit, and the precedents by which it led.
fn basis(lead: &str, matter: &[Basis], sides: &[ContestingUnit], next: &Decision) -> Vec<BasisDraft> {
    let document = |one: &Basis| BasisDraft {
        level: one.level.to_string(),
        document: one.document.clone(),
        article: one.article.clone(),
        ..BasisDraft::default()
    };
    let own = sides.iter().filter(|side| side.department.id == lead).flat_map(|side| &side.duties);
    let duties = own.filter(|duty| duty.fits).flat_map(|duty| &duty.basis);
    let mut basis: Vec<BasisDraft> = matter.iter().chain(duties).map(document).collect();
    basis.extend(next.basis.iter().filter_map(|ground| match ground {
        Ground::Precedent { ruling, leads, .. } if leads.iter().any(|one| one.id == lead) => Some(BasisDraft {
            level: "先例".to_owned(),
            document: format!("{}（{}）", ruling.matter, ruling.id),
            ..BasisDraft::default()
        }),
        _ => None,
    }));
    let mut seen = std::collections::BTreeSet::new();
    basis.retain(|one| seen.insert((one.level.clone(), one.document.clone(), one.article.clone())));
    basis
}

fn text(draft: &RulingDraft, sides: &[ContestingUnit], why: &str, next: &Decision) -> String {
    let name = |id: &String| {
        let side = sides.iter().map(|side| &side.department).find(|department| department.id == *id);
        let known = next.departments.iter().map(|one| &one.department).find(|department| department.id == *id);
        side.or(known).map_or_else(|| id.clone(), |department| department.name.clone())
    };
    let names = |ids: &[String]| ids.iter().map(name).collect::<Vec<_>>().join("、");
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "关于工单{}承办责任的认定意见（草案）", draft.orders.join("、"));
    let _ = writeln!(text, "一、事项：{}。", draft.matter);
    let supporting = if draft.supporting.is_empty() { String::new() } else { format!("，{}协办", names(&draft.supporting)) };
    let _ = writeln!(text, "二、认定：由{}主办{supporting}。（草拟理由：{why}，请核改。）", name(&draft.lead));
    text.push_str("三、依据：");
    if draft.basis.is_empty() {
        text.push_str("（请填写：法律、法规、三定或权责清单及条款）");
    }
    for (i, one) in draft.basis.iter().enumerate() {
        let named = if one.document.is_empty() {
            String::new()
        } else {
            format!("《{}》", one.document.trim_matches(['《', '》']))
        };
        let _ = write!(text, "{}{}{named}{}", if i == 0 { "" } else { "；" }, one.level, one.article);
    }
    text.push_str("。\n四、各方意见：");
    for (i, one) in draft.positions.iter().enumerate() {
        let _ = write!(text, "{}{}：{}", if i == 0 { "" } else { "；" }, name(&one.department), one.statement);
    }
    text.push_str("。\n五、表决：（请填写赞成、反对、弃权及不同意见）\n六、认定单位与日期：（请填写）\n");
    text
}
