//! One answer of the router as JSON: what `paidan route --json` prints.

use std::sync::Arc;

use paidan::catalog::{Basis, Unit};
use paidan::model::Department;
use paidan::routing::{Decision, Ground, Part, RankedDepartment, Refusal, RefusedProposal, RiskFactor, documents as cited};
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
        "refused_proposals": decision.refused_proposals.iter().map(refused).collect::<Vec<_>>(),
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

/// Whom the order cannot be sent to, and why.
fn refused(proposal: &RefusedProposal) -> Value {
    let (kind, leads) = match &proposal.refusal {
        Refusal::Returned => ("returned", &[][..]),
        Refusal::Ruled { leads } => ("ruled", &leads[..]),
    };
    let departments = listed(&proposal.departments);
    json!({"kind": kind, "departments": departments, "leads": listed(leads), "text": proposal.to_string()})
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_proposal_is_told_with_who_was_meant_and_why() {
        let of = |id: &str| Arc::new(Department { id: id.to_owned(), name: format!("{id}局"), training_orders: 0 });
        let refused = |id: &str, refusal| RefusedProposal { departments: vec![of(id)], refusal };
        let ranked = vec![RankedDepartment { department: of("城管"), probability: 1.0 }];
        let ruled = Refusal::Ruled { leads: vec![of("城管")] };
        let refused_proposals = vec![refused("环保", Refusal::Returned), refused("住建", ruled)];
        let decision = Decision { refused_proposals, ..Decision::ranked(ranked) };
        let answer: Value = serde_json::from_str(&json(&decision, "v1", 5)).expect("json");
        let of = |id: &str| json!([{"department": id, "name": format!("{id}局")}]);
        assert_eq!(
            answer["refused_proposals"],
            json!([
                {"kind": "returned", "departments": of("环保"), "leads": [], "text": "拟派“环保局”已退过本单"},
                {
                    "kind": "ruled", "departments": of("住建"), "leads": of("城管"),
                    "text": "已认定由“城管局”主办，拟派“住建局”与认定不符",
                },
            ])
        );
    }
}
