//! What an answer rests on: each ground typed, so that a program can branch on it, and citable, so that a person can.

use std::sync::Arc;

use super::returned::ReturnReason;
use crate::catalog::{Basis, Day};
use crate::model::Department;
use crate::rulings::{Ruling, Scope};

/// One ground of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Ground {
    /// A standing ruling that the appeal falls under: its lead is the answer's. Always first.
    StandingRuling {
        /// Which.
        ruling: Arc<Ruling>,
        /// Who its lead is on the day; several if that department was split since.
        leads: Vec<Arc<Department>>,
        /// Cosine of the appeal to the likest of its texts.
        similarity: f32,
        /// How often such rulings were right on held-out orders.
        precision: f32,
        /// True if the model would have put another department first.
        differs: bool,
    },
    /// A ruling decided this very order: its lead is the answer's, however like the appeal is to anything. Always first.
    RulingOnOrder {
        /// Which.
        ruling: Arc<Ruling>,
        /// Who its lead is on the day, or as it was ruled; several if that department was split since.
        leads: Vec<Arc<Department>>,
        /// True if the model would have put another department first.
        differs: bool,
    },
    /// The model no longer names who is responsible: a reform of institutions came between.
    Succession {
        /// The department that the model named.
        former: Arc<Department>,
        /// Who took over: one after a rename or a merger, several after a split. Empty if nobody answers on that day.
        successors: Vec<Arc<Department>>,
        /// The first day without the former department; `None` if it does not exist yet.
        since: Option<Day>,
    },
    /// The appeal falls under a matter of the catalogue: all its words occur.
    Matter {
        /// Id of the matter.
        id: String,
        /// Its name.
        name: String,
        /// Who leads by the catalogue; several if that department was split.
        leads: Vec<Arc<Department>>,
        /// Who usually contests it.
        contesting: Vec<Arc<Department>>,
        /// True if the answer's lead is among `leads`.
        agrees: bool,
        /// What the split rests on; may be empty.
        basis: Vec<Basis>,
    },
    /// The lead department has a duty whose words occur in the appeal.
    Duty {
        /// Whose.
        department: Arc<Department>,
        /// The duty, in one line.
        text: String,
        /// What it rests on.
        basis: Vec<Basis>,
    },
    /// A department that the model has never seen has a duty that is like the appeal. It stands second: it never leads by this.
    LikeDuty {
        /// Whose.
        department: Arc<Department>,
        /// The duty, in one line.
        text: String,
        /// What it rests on.
        basis: Vec<Basis>,
        /// Cosine of the appeal to the duty.
        similarity: f32,
        /// How often a department that was found so was the right one on held-out orders.
        precision: f32,
    },
    /// A ruling that is like the appeal. It moves nothing.
    Precedent {
        /// Which.
        ruling: Arc<Ruling>,
        /// Who its lead is on the day; empty if nobody is.
        leads: Vec<Arc<Department>>,
        /// Cosine of the appeal to the likest of its texts.
        similarity: f32,
        /// True if the answer's lead is among `leads`.
        agrees: bool,
    },
    /// A unit returned the order: it is not named again where its reason says so.
    Returned {
        /// Whose function it has; by its last name if it was split since.
        department: Arc<Department>,
        /// Who answers for that department on the day: itself, several if it was split since, nobody if it is not there yet.
        heirs: Vec<Arc<Department>>,
        /// The unit by name, if one was named.
        unit: Option<String>,
        /// Why.
        reason: ReturnReason,
        /// When.
        day: Day,
    },
    /// A standing ruling that would apply, had its lead not returned the order. It moves nothing until the case is ruled on.
    ContestedRuling {
        /// Which.
        ruling: Arc<Ruling>,
        /// Who its lead is on the day.
        leads: Vec<Arc<Department>>,
    },
    /// What the model says: always there, always last.
    Model {
        /// Its version.
        version: String,
        /// The department that it named, by its own list.
        department: Arc<Department>,
        /// Calibrated probability of that department.
        probability: f32,
        /// True if the choice of the lead rests on nothing else: no standing ruling, no duty, and no matter that agrees.
        alone: bool,
    },
}

impl Ground {
    /// The ruling that settles who leads, if it is one.
    pub fn leading_ruling(&self) -> Option<&Arc<Ruling>> {
        match self {
            Self::StandingRuling { ruling, .. } | Self::RulingOnOrder { ruling, .. } => Some(ruling),
            _ => None,
        }
    }
}

impl std::fmt::Display for Ground {
    /// One line of Chinese, to be cited.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::StandingRuling { ruling, leads, similarity, precision, differs } => {
                write!(f, "类案认定“{}”（{}）：{}主办", ruling.matter, source(ruling), names(leads))?;
                write!(f, "，相似度{similarity:.2}，留出工单实测准确率{:.0}%", precision * 100.0)?;
                if *differs {
                    f.write_str("，与模型不一致")?;
                }
                cited(f, &documents(ruling))
            }
            Self::RulingOnOrder { ruling, leads, differs } => {
                write!(f, "本工单已认定“{}”（{}）：{}主办", ruling.matter, source(ruling), names(leads))?;
                if *differs {
                    f.write_str("，与模型不一致")?;
                }
                cited(f, &documents(ruling))
            }
            Self::Precedent { ruling, leads, similarity, agrees } => {
                let who = if leads.is_empty() { "当日无承接单位".to_owned() } else { format!("{}主办", names(leads)) };
                let end = if *agrees { "" } else { "，与本答复不一致" };
                write!(f, "先例“{}”（{}）：{who}，相似度{similarity:.2}{end}", ruling.matter, source(ruling))
            }
            Self::Succession { former, successors, since: Some(since) } if !successors.is_empty() => {
                let split = if successors.len() > 1 { "拆分为" } else { "改由" };
                let end = if successors.len() > 1 { "，均列为候选" } else { "承接" };
                write!(f, "机构沿革：自{since}起，原“{}”{split}{}{end}", former.name, names(successors))
            }
            Self::Succession { former, .. } => write!(f, "机构沿革：受理当日“{}”未设立或已撤销，目录未列承接单位", former.name),
            Self::Matter { name, leads, agrees, contesting, basis, .. } => {
                write!(f, "事项“{name}”：目录列{}主办", names(leads))?;
                if !contesting.is_empty() {
                    write!(f, "，常见争议单位{}", names(contesting))?;
                }
                if !agrees {
                    f.write_str("，与建议主办不一致")?;
                }
                cited(f, basis)
            }
            Self::Duty { department, text, basis } => {
                write!(f, "职责“{}：{text}”", department.name)?;
                cited(f, basis)
            }
            Self::LikeDuty { department, text, basis, similarity, precision } => {
                write!(f, "新设单位“{}”：职责“{text}”与诉求相似度{similarity:.2}", department.name)?;
                write!(f, "，模型未学习过该单位，留出工单实测准确率{:.0}%", precision * 100.0)?;
                cited(f, basis)
            }
            Self::Returned { department, unit, reason, day, .. } => {
                let who = unit.as_deref().unwrap_or(&department.name);
                write!(f, "退单：“{who}”于{day}以“{}”退回", reason.name())
            }
            Self::ContestedRuling { ruling, leads } => {
                write!(f, "类案认定“{}”（{}）：{}主办，但其已退单，待裁定", ruling.matter, source(ruling), names(leads))?;
                cited(f, &documents(ruling))
            }
            Self::Model { version, department, probability, alone } => {
                let alone = if *alone { "；除模型外无其他依据" } else { "" };
                write!(f, "模型{version}：“{}”概率{:.0}%{alone}", department.name, probability * 100.0)
            }
        }
    }
}

/// Who decided a ruling, when, and by which number it is found.
fn source(ruling: &Ruling) -> String {
    let scope = if ruling.scope == Scope::Standing { "类案" } else { "个案" };
    format!("{}{scope}，{}，{}", ruling.body.name(), ruling.decided_on, ruling.id)
}

/// What a ruling rests on, as the catalogue cites it.
pub fn documents(ruling: &Ruling) -> Vec<Basis> {
    let document = |one: &crate::rulings::Authority| Basis {
        level: one.level,
        document: one.document.clone(),
        article: one.article.clone(),
    };
    ruling.basis.iter().map(document).collect()
}

/// Names for a sentence: “甲”、“乙”.
pub(super) fn names(departments: &[Arc<Department>]) -> String {
    departments.iter().map(|department| format!("“{}”", department.name)).collect::<Vec<_>>().join("、")
}

fn cited(f: &mut std::fmt::Formatter<'_>, basis: &[Basis]) -> std::fmt::Result {
    if basis.is_empty() {
        return Ok(());
    }
    let documents: Vec<String> = basis.iter().map(Basis::to_string).collect();
    write!(f, "（{}）", documents.join("；"))
}
