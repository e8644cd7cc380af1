//! One answer of the router as JSON: what `paidan route --json` prints.

use std::sync::Arc;

use paidan::catalog::{Basis, Unit};
use paidan::model::Department;
use paidan::routing::{Decision, Ground, Part, RankedDepartment, RiskFactor, documents as cited};
use serde_json::{Value, json};

/// The whole answer, with the first `top` departments.
pub fn json(decision: &Decision, version: &str, top: usize) -> String {
    let ranking = |ranked: &[RankedDepartment]| -> Vec<Value> {
        let one = |ranked: &RankedDepartment| {
            let department = &ranked.department;
            json!({"department": department.id, "name": department.name, "probability": ranked.probability})
        };
        ranked.iter().take(top.max(1)).map(one).collect()
    };
    let evidence: Vec<Value> =
        decision.evidence.iter().map(|e| json!({"start": e.start, "end": e.end, "weight": e.weight})).collect();
    let unit = |unit: &Option<Arc<Unit>>| unit.as_ref().map(|unit| json!({"name": unit.name, "district": unit.district}));
    let part = |part: &Part| {
        json!({
            "start": part.chars.start,
            "end": part.chars.end,
            "departments": ranking(&part.departments),
            "unit": unit(&part.unit),
            "reason": part.reason,
        })
    };
    let answer = json!({
        "departments": ranking(&decision.departments),
        "unit": unit(&decision.unit),
        "supporting_departments": listed(&decision.supporting_departments),
        "reason": decision.reason,
        "basis": decision.basis.iter().map(ground).collect::<Vec<_>>(),
        "model_opinion": ranking(&decision.model_opinion),
        "dispute_risk": decision.dispute_risk,
        "proposed_dispatch_risk": decision.proposed_dispatch_risk,
        "unseen_proposals": listed(&decision.unseen_proposals),
        "risk_factors": decision.risk_factors.iter().map(factor).collect::<Vec<_>>(),
        "needs_review": decision.needs_review(),
        "reasons": decision.review_reasons,
        "parts": decision.parts.iter().map(part).collect::<Vec<_>>(),
        "evidence": evidence,
        "model_version": version,
        "catalog_version": decision.catalog_version,
        "tokens_read": decision.tokens_read,
        "tokens_given": decision.tokens_given,
    });
    format!("{answer:#}\n")
}

fn factor(factor: &RiskFactor) -> Value {
    json!({"risk": factor.risk, "kind": factor.witness, "contribution": factor.contribution, "text": factor.text})
}

fn named(department: &Department) -> Value {
    json!({"department": department.id, "name": department.name})
}

fn listed(departments: &[Arc<Department>]) -> Vec<Value> {
    departments.iter().map(|department| named(department)).collect()
}

fn documents(basis: &[Basis]) -> Vec<Value> {
    let document = |one: &Basis| json!({"level": one.level.to_string(), "document": one.document, "article": one.article});
    basis.iter().map(document).collect()
}

fn ground(ground: &Ground) -> Value {
    let mut value = match ground {
        Ground::StandingRuling { ruling, leads, similarity, precision, differs } => json!({
            "kind": "standing_ruling", "id": ruling.id, "matter": ruling.matter, "body": ruling.body,
            "decided_on": ruling.decided_on.to_string(), "leads": listed(leads), "similarity": similarity,
            "precision": precision, "differs": differs, "documents": documents(&cited(ruling)),
        }),
        Ground::RulingOnOrder { ruling, leads, differs } => json!({
            "kind": "ruling_on_order", "id": ruling.id, "matter": ruling.matter, "body": ruling.body,
            "decided_on": ruling.decided_on.to_string(), "leads": listed(leads), "differs": differs,
            "documents": documents(&cited(ruling)),
        }),
        Ground::Precedent { ruling, leads, similarity, agrees } => json!({
            "kind": "precedent", "id": ruling.id, "scope": ruling.scope, "matter": ruling.matter, "body": ruling.body,
            "decided_on": ruling.decided_on.to_string(), "leads": listed(leads), "similarity": similarity, "agrees": agrees,
        }),
        Ground::Succession { former, successors, since } => json!({
            "kind": "succession", "former": named(former), "successors": listed(successors),
            "since": since.map(|day| day.to_string()),
        }),
        Ground::Matter { id, name, leads, contesting, agrees, basis } => json!({
            "kind": "matter", "id": id, "name": name, "leads": listed(leads), "contesting": listed(contesting),
            "agrees": agrees, "documents": documents(basis),
        }),
        Ground::Duty { department, text, basis } => json!({
            "kind": "duty", "department": named(department), "duty": text, "documents": documents(basis),
        }),
        Ground::LikeDuty { department, text, basis, similarity, precision } => json!({
            "kind": "like_duty", "department": named(department), "duty": text, "documents": documents(basis),
            "similarity": similarity, "precision": precision,
        }),
        Ground::Returned { department, unit, reason, day, .. } => json!({
            "kind": "returned", "department": named(department), "unit": unit, "reason": reason, "day": day.to_string(),
        }),
        Ground::ContestedRuling { ruling, leads } => json!({
            "kind": "contested_ruling", "id": ruling.id, "matter": ruling.matter, "body": ruling.body,
            "decided_on": ruling.decided_on.to_string(), "leads": listed(leads), "documents": documents(&cited(ruling)),
        }),
        Ground::Model { version, department, probability, alone } => json!({
            "kind": "model", "version": version, "department": named(department), "probability": probability,
            "alone": alone,
        }),
    };
    value["text"] = ground.to_string().into();
    value
}
