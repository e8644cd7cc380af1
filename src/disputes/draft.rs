//! The drafted ruling: something to cross out rather than a blank page. Who it names and why is told in it; people decide.
//!
//! Its lead is, in this order: that of the ruling that is contested, or that applies in spite of the returns, on this very order or on
//! its like (a ruling holds until somebody changes it), that of the catalogue's matter unless it objected and did so for good reason of its district
//! or level, and otherwise whom the order would go to next. Who supports it and which documents are cited comes from where the
//! lead does.

use std::fmt::Write;
use std::sync::Arc;

use super::course::Course;
use super::sides::{ContestingUnit, Offices};
use crate::catalog::{Basis, DepartmentCatalog, Matter};
use crate::model::Department;
use crate::routing::{Circumstances, Decision, Ground, ReturnReason};
use crate::rulings::{BasisDraft, PositionDraft, Ruling, RulingDraft, Scope};

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
    let offices = Offices { catalog, answer: next, circumstances };
    let matter = catalog.and_then(|catalog| catalog.matter(&circumstances.words));
    let standing = standing(next);
    let proposal = match standing {
        Some((ruling, lead)) => by_ruling(ruling, lead, &offices),
        None => matter
            .and_then(|matter| by_matter(matter, sides, &offices))
            .unwrap_or_else(|| by_exclusion(matter, sides, &offices)),
    };
    let basis = basis(&proposal, &offices);
    let positions: Vec<PositionDraft> = sides
        .iter()
        .filter(|side| side.objects)
        .map(|side| PositionDraft { department: side.department.id.clone(), statement: statement(side), vote: String::new() })
        .collect();
    let title = match (standing, matter) {
        (Some((ruling, _)), _) => ruling.matter.clone(),
        (None, Some(matter)) => matter.name.clone(),
        (None, None) if fields.category.is_empty() => "责任不清事项".to_owned(),
        (None, None) => fields.category.join("/"),
    };
    let draft = RulingDraft {
        scope: "case".to_owned(),
        status: "draft".to_owned(),
        matter: title.chars().take(200).collect(),
        examples: vec![fields.text.chars().take(MAX_EXAMPLE).collect()],
        orders: vec![fields.id.clone()],
        lead: proposal.lead.id.clone(),
        supporting: proposal.supporting.iter().map(|one| one.id.clone()).collect(),
        positions,
        basis,
        body: "committee".to_owned(),
        ..RulingDraft::default()
    };
    let text = text(&draft, &proposal, sides);
    (draft, text)
}

/// Whom the draft names, and why.
struct Proposal {
    lead: Arc<Department>,
    supporting: Vec<Arc<Department>>,
    /// What it rests on besides the lead's own duties and precedents.
    documents: Vec<BasisDraft>,
    why: String,
}

/// The ruling that is contested, or that applies in spite of the returns, with its lead of the day.
fn standing(next: &Decision) -> Option<(&Ruling, &Arc<Department>)> {
    next.basis.iter().find_map(|ground| match ground {
        Ground::ContestedRuling { ruling, leads }
        | Ground::StandingRuling { ruling, leads, .. }
        | Ground::RulingOnOrder { ruling, leads, .. } => {
            // If its lead was split since, one of the successors may still be willing.
            let willing = leads.iter().find(|lead| lead.id == next.lead().department.id);
            Some((&**ruling, willing.or(leads.first())?))
        }
        _ => None,
    })
}

fn by_ruling(ruling: &Ruling, lead: &Arc<Department>, offices: &Offices<'_>) -> Proposal {
    let kind = if ruling.scope == Scope::Case { "本工单认定" } else { "类案认定" };
    Proposal {
        lead: Arc::clone(lead),
        supporting: supporting(&ruling.supporting, lead, offices),
        documents: RulingDraft::from(ruling).basis,
        why: format!("{kind}“{}”（{}）在变更前继续有效", ruling.matter, ruling.id),
    }
}

/// `None` if its lead has objected for its district or level, or is no more on the day.
fn by_matter(matter: &Matter, sides: &[ContestingUnit], offices: &Offices<'_>) -> Option<Proposal> {
    let lead = offices.heirs(&matter.lead).into_iter().next()?;
    if misplaced(&lead, sides).is_some() {
        return None;
    }
    Some(Proposal {
        supporting: supporting(&matter.supporting, &lead, offices),
        lead,
        documents: matter.basis.iter().map(document).collect(),
        why: format!("派单目录事项“{}”列其主办", matter.name),
    })
}

/// Whom the order would go to next, which knows who is left.
fn by_exclusion(matter: Option<&Matter>, sides: &[ContestingUnit], offices: &Offices<'_>) -> Proposal {
    let next = offices.answer;
    let lead = &next.lead().department;
    let leads = |matter: &Matter| offices.heirs(&matter.lead);
    let objection = matter.and_then(|matter| leads(matter).iter().find_map(|lead| misplaced(lead, sides)));
    let passed = match (matter, objection) {
        (Some(matter), Some(reason)) => format!("派单目录事项“{}”所列主办单位以“{}”退单", matter.name, reason.name()),
        _ => "无类案认定与目录事项可依".to_owned(),
    };
    // It may be the same department in another district or at another level.
    let own = matter.filter(|matter| leads(matter).iter().any(|one| one.id == lead.id));
    Proposal {
        lead: Arc::clone(lead),
        supporting: next.supporting_departments.clone(),
        documents: own.iter().flat_map(|matter| &matter.basis).map(document).collect(),
        why: format!("{passed}，取排除退单单位后的首选"),
    }
}

/// Why a department returned the order, if it was for its district or level.
fn misplaced(department: &Department, sides: &[ContestingUnit]) -> Option<ReturnReason> {
    let statements =
        sides.iter().filter(|side| side.objects && side.department.id == department.id).flat_map(|side| &side.statements);
    let mut reasons = statements.map(|one| one.reason);
    reasons.find(|reason| matches!(reason, ReturnReason::WrongDistrict | ReturnReason::WrongLevel))
}

/// Those who support a lead on the day, each once.
fn supporting(ids: &[String], lead: &Department, offices: &Offices<'_>) -> Vec<Arc<Department>> {
    let mut seen = std::collections::BTreeSet::from([lead.id.clone()]);
    ids.iter().flat_map(|id| offices.heirs(id)).filter(|one| seen.insert(one.id.clone())).collect()
}

fn document(one: &Basis) -> BasisDraft {
    BasisDraft {
        level: one.level.to_string(),
        document: one.document.clone(),
        article: one.article.clone(),
        ..BasisDraft::default()
    }
}

/// What each side said, in one line.
fn statement(side: &ContestingUnit) -> String {
    let said = side.statements.iter().map(|one| match one.note.as_str() {
        "" => one.reason.name().to_owned(),
        note => format!("{}：{}", one.reason.name(), note.trim_end_matches(['。', '；', '.', ';'])),
    });
    said.collect::<Vec<_>>().join("；")
}

/// The proposal's documents, the lead's duties that fit, and the precedents by which it led.
fn basis(proposal: &Proposal, offices: &Offices<'_>) -> Vec<BasisDraft> {
    let lead = &proposal.lead.id;
    let mut basis = proposal.documents.clone();
    let duties = offices.duties(lead);
    basis.extend(duties.iter().filter(|duty| duty.fits).flat_map(|duty| &duty.basis).map(document));
    basis.extend(offices.answer.basis.iter().filter_map(|ground| match ground {
        Ground::Precedent { ruling, leads, .. } if leads.iter().any(|one| one.id == *lead) => Some(BasisDraft {
            level: "先例".to_owned(),
            document: format!("{}（{}）", ruling.matter, ruling.id),
            ..BasisDraft::default()
        }),
        _ => None,
    }));
    // A ruling and the catalogue may write the same law with its marks and without.
    let mut seen = std::collections::BTreeSet::new();
    basis.retain(|one| seen.insert((one.level.clone(), bare(&one.document).to_owned(), one.article.clone())));
    basis
}

/// A document's name without 《》.
fn bare(document: &str) -> &str {
    document.trim_matches(['《', '》'])
}

fn text(draft: &RulingDraft, proposal: &Proposal, sides: &[ContestingUnit]) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "关于工单{}承办责任的认定意见（草案）", draft.orders.join("、"));
    let _ = writeln!(text, "一、事项：{}。", draft.matter);
    let names: Vec<&str> = proposal.supporting.iter().map(|one| one.name.as_str()).collect();
    let supporting = if names.is_empty() { String::new() } else { format!("，{}协办", names.join("、")) };
    let (lead, why) = (&proposal.lead.name, &proposal.why);
    let _ = writeln!(text, "二、认定：由{lead}主办{supporting}。（草拟理由：{why}，请核改。）");
    text.push_str("三、依据：");
    if draft.basis.is_empty() {
        text.push_str("（请填写：法律、法规、三定或权责清单及条款）");
    }
    for (i, one) in draft.basis.iter().enumerate() {
        let named = if one.document.is_empty() { String::new() } else { format!("《{}》", bare(&one.document)) };
        let _ = write!(text, "{}{}{named}{}", if i == 0 { "" } else { "；" }, one.level, one.article);
    }
    text.push_str("。\n四、各方意见：");
    for (i, side) in sides.iter().filter(|side| side.objects).enumerate() {
        let _ = write!(text, "{}{}：{}", if i == 0 { "" } else { "；" }, side.department.name, statement(side));
    }
    text.push_str("。\n五、表决：（请填写赞成、反对、弃权及不同意见）\n六、认定单位与日期：（请填写）\n");
    text
}
