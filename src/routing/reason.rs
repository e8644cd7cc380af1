//! The reason in one line of Chinese that a dispatcher reads in a second.

use std::sync::Arc;

use super::Decision;
use super::ground::{Ground, names};
use super::ruled::Ruled;
use crate::model::Department;

/// What there is to say of the unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnitNote {
    /// Nobody asked: there is no catalogue.
    NotAsked,
    /// It is the district's own.
    OfDistrict,
    /// The district has none of its own, so it is the city's.
    OfCity,
    /// No district was named, so it is the city's.
    DistrictMissing,
    /// A district was named that the catalogue does not know, so it is the city's.
    DistrictUnknown,
    /// The district's own has returned the order as not of its level, so it is the city's.
    OfCityAfterReturn,
    /// The district is not known, and the city's own is none, or has returned the order for want of a district.
    Unknown,
    /// The district's own has returned the order as of another district, and of which is not known.
    OtherDistrict,
    /// The district's own has returned the order, which is its department's all the same.
    DistrictReturned,
    /// The same of the city's own.
    CityReturned,
    /// The catalogue has none for the district, nor for the city.
    NotListed,
}

/// The line: who took over, what speaks for the lead, what contradicts it, and which unit it goes to.
pub(super) fn line(decision: &Decision, unit: UnitNote) -> String {
    let lead = &decision.lead().department;
    let mut parts = Vec::new();
    let mut percent = String::new();
    let says_more =
        |ground: &Ground| matches!(ground, Ground::Matter { agrees: true, .. }) || ground.leading_ruling().is_some();
    let (mut told, mut likened) = (decision.basis.iter().any(says_more), false);
    for ground in &decision.basis {
        match ground {
            Ground::StandingRuling { ruling, differs, .. } | Ground::RulingOnOrder { ruling, differs, .. } => {
                let by = if matches!(ground, Ground::RulingOnOrder { .. }) { "本工单已认定" } else { "按类案认定" };
                let end = if *differs { "，与模型不一致，请核对" } else { "" };
                let (matter, body, day, id) = (&ruling.matter, ruling.body.name(), ruling.decided_on, &ruling.id);
                // The body named whom they took over from: which of them it is now, it never said.
                let who = match decision.split_leads.as_slice() {
                    [] => format!("{}主办", names(std::slice::from_ref(lead))),
                    several => format!("{}主办，请选定", names(several)),
                };
                parts.push(format!("{by}“{matter}”（{body}，{day}，{id}）由{who}{end}"));
            }
            // The likest is enough for a line.
            Ground::Precedent { ruling, leads, agrees, .. } if !likened && !leads.is_empty() => {
                likened = true;
                let end = if *agrees { "" } else { "，供参考" };
                parts.push(format!("相似先例“{}”由{}主办{end}", ruling.matter, names(leads)));
            }
            Ground::Precedent { .. } => {}
            Ground::Succession { former, successors, since: Some(since) } if !successors.is_empty() => {
                let verb = if successors.len() > 1 { "拆分为" } else { "改由" };
                let end = if successors.len() > 1 { "，请选定" } else { "承接" };
                parts.push(format!("原“{}”自{since}起{verb}{}{end}", former.name, names(successors)));
            }
            Ground::Succession { former, .. } => parts.push(format!("当日目录中无“{}”", former.name)),
            Ground::Matter { name, leads, agrees, .. } => {
                let who = if *agrees { names(std::slice::from_ref(lead)) } else { names(leads) };
                let end = if *agrees { "" } else { "，与建议主办不一致，请核对" };
                parts.push(format!("事项“{name}”目录列{who}主办{end}"));
            }
            // A ruling or a matter that agrees says more, and one duty is enough for a line: all of them are in the basis.
            Ground::Duty { department, basis, .. } if !told => {
                told = true;
                let document = basis.first().map(|document| format!("（{document}）")).unwrap_or_default();
                parts.push(format!("属“{}”职责{document}", department.name));
            }
            Ground::Duty { .. } => {}
            Ground::LikeDuty { department, .. } => parts.push(new_department(department)),
            Ground::Returned { department, unit, reason, .. } => {
                parts.push(format!("“{}”已退单（{}）", unit.as_deref().unwrap_or(&department.name), reason.name()));
            }
            Ground::ContestedRuling { ruling, .. } => {
                parts.push(format!("类案认定“{}”的主办单位已退单，请提请裁定", ruling.matter));
            }
            Ground::Model { department, probability, alone, .. } => {
                let only = if *alone { "仅依据模型判断" } else { "模型把握" };
                percent = match decision.basis.first() {
                    Some(Ground::StandingRuling { differs: true, .. } | Ground::RulingOnOrder { differs: true, .. }) => {
                        format!("模型首选“{}”，把握{:.0}%", department.name, probability * 100.0)
                    }
                    // What the model said of the appeal itself is a share of what those who are out had as well.
                    _ if !decision.left_out().is_empty() => {
                        format!(
                            "排除退单单位后概率{:.0}%（原{:.0}%）",
                            decision.lead().probability * 100.0,
                            probability * 100.0
                        )
                    }
                    _ => format!("{only}{:.0}%", probability * 100.0),
                };
            }
        }
    }
    parts.push(percent);
    let name = decision.unit.as_ref().map_or("", |unit| unit.name.as_str());
    parts.extend(match unit {
        UnitNote::NotAsked => None,
        UnitNote::OfDistrict => Some(format!("派{name}")),
        UnitNote::OfCity => Some(format!("区级未列单位，派{name}")),
        UnitNote::DistrictMissing => Some(format!("未填区，派{name}")),
        UnitNote::DistrictUnknown => Some(format!("目录中无此区，派{name}")),
        UnitNote::OfCityAfterReturn => Some(format!("该区单位已退单，派{name}")),
        UnitNote::Unknown => Some("具体单位待定，请补充所在区".to_owned()),
        UnitNote::OtherDistrict => Some("该区单位已退单，请核实所在区".to_owned()),
        UnitNote::DistrictReturned => Some("该区单位已退单，具体单位待定".to_owned()),
        UnitNote::CityReturned => Some("市级单位已退单，具体单位待定".to_owned()),
        UnitNote::NotListed => Some("目录中该区未列单位，具体单位待定".to_owned()),
    });
    parts.join("；")
}

/// That a department was found by its duties alone.
pub(super) fn new_department(department: &Department) -> String {
    format!("“{}”为模型训练后新设，按职责相似度列入，请核对", department.name)
}

/// What a router without a catalogue says.
pub(super) fn without_catalogue(decision: &mut Decision, mut model: Ground, ruled: Ruled) {
    if let Ground::Model { alone, .. } = &mut model {
        *alone = ruled.settled.is_none();
    }
    decision.supporting_departments = ruled.supporting;
    decision.basis = ruled.settled.into_iter().chain(ruled.returned).chain(ruled.precedents).chain([model]).collect();
    decision.reason = line(decision, UnitNote::NotAsked);
}

/// The model's own ground, before anything else is known.
pub(super) fn model_ground(version: &str, department: &Arc<Department>, probability: f32) -> Ground {
    Ground::Model { version: version.to_owned(), department: Arc::clone(department), probability, alone: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::ReturnReason;

    fn department(id: &str) -> Arc<Department> {
        Arc::new(Department { id: id.to_owned(), name: format!("{id}局"), training_orders: 9 })
    }

    fn decision(ranking: &[(&str, f32)], basis: Vec<Ground>) -> Decision {
        let model =
            Ground::Model { version: "1".to_owned(), department: department(ranking[0].0), probability: 0.6, alone: false };
        let ranked = ranking.iter().map(|(id, probability)| (department(id), *probability));
        Decision::example(ranked, basis.into_iter().chain([model]).collect())
    }

    fn returned(id: &str, unit: Option<&str>, reason: ReturnReason) -> Ground {
        let day = "2026-03-02".parse().expect("a day");
        Ground::Returned { department: department(id), heirs: vec![department(id)], unit: unit.map(str::to_owned), reason, day }
    }

    #[test]
    fn only_where_somebody_is_out_is_it_said_that_they_are() {
        let told = |ranked: &[(&str, f32)], ground| line(&decision(ranked, vec![ground]), UnitNote::NotAsked);
        let both = [("城管", 0.6), ("环保", 0.4)];
        let line = told(&both, returned("城管", None, ReturnReason::InformationMissing));
        assert_eq!(line, "“城管局”已退单（信息不全）；模型把握60%");
        let line = told(&both, returned("城管", Some("东区分局"), ReturnReason::WrongDistrict));
        assert_eq!(line, "“东区分局”已退单（属地不符）；模型把握60%");
        let line = told(&both, returned("城管", None, ReturnReason::DutiesOverlap));
        assert_eq!(line, "“城管局”已退单（职能交叉）；模型把握60%", "nobody else would have been left");
        let line = told(&[("环保", 0.9)], returned("城管", None, ReturnReason::DutiesOverlap));
        assert_eq!(line, "“城管局”已退单（职能交叉）；排除退单单位后概率90%（原60%）");
        let line = told(&[("环保", 0.9)], returned("数据", None, ReturnReason::NotAdmissible));
        assert!(line.ends_with("模型把握60%"), "it was never in the ranking, and took nobody out: {line}");
    }
}
