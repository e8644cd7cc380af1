//! The standing rulings that nearly fit an appeal, each with what stands in its way: a committee that knows why a ruling did not
//! apply knows whether to widen it.

use std::sync::Arc;

use crate::catalog::Day;
use crate::model::Likeness;
use crate::rulings::{Occasion, Ruling, RulingBook};

/// Most that are told.
const MOST: usize = 5;
/// How far below its bound a ruling's likeness may lie to be called near, in cosine.
const NEAR: f32 = 0.15;

/// Why a standing ruling does not apply.
#[derive(Debug, Clone, PartialEq)]
pub enum Obstacle {
    /// The appeal was received outside of the days on which it holds.
    NotInForce {
        /// First and last day, as people write them.
        days: String,
    },
    /// It holds in other districts.
    OtherDistrict {
        /// Where it holds.
        districts: Vec<String>,
    },
    /// Words that it demands do not occur.
    WordsMissing {
        /// Each with its alternatives.
        words: Vec<String>,
    },
    /// Words that it forbids occur.
    WordsForbidden {
        /// Those that occur.
        words: Vec<String>,
    },
    /// The appeal is not as like it as was found necessary.
    NotLikeEnough {
        /// The least cosine; `None` if it was never measured, and no such ruling applies.
        least: Option<f32>,
    },
    /// Its lead returned the order.
    Contested,
    /// Another one that fits goes before it, or the model all but rules its lead out.
    Passed,
}

impl std::fmt::Display for Obstacle {
    /// In Chinese, for the committee.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotInForce { days } => write!(f, "受理日不在其有效期内（{days}）"),
            Self::OtherDistrict { districts } => write!(f, "适用区域为{}", districts.join("、")),
            Self::WordsMissing { words } => write!(f, "诉求中没有“{}”", words.join("”“")),
            Self::WordsForbidden { words } => write!(f, "诉求中出现排除词“{}”", words.join("”“")),
            Self::NotLikeEnough { least: Some(least) } => write!(f, "相似度未达到{least:.2}"),
            Self::NotLikeEnough { least: None } => f.write_str("本模型未测定相似度界限，类案认定不自动适用"),
            Self::Contested => f.write_str("其主办单位已退单，待裁定"),
            Self::Passed => f.write_str("另有认定优先，或模型认为其主办单位可能性过低"),
        }
    }
}

/// A standing ruling in force that is like the appeal and does not apply.
#[derive(Debug, Clone, PartialEq)]
pub struct NearRuling {
    /// Which.
    pub ruling: Arc<Ruling>,
    /// Cosine to the likest of its texts.
    pub similarity: f32,
    /// Never empty.
    pub obstacles: Vec<Obstacle>,
}

/// Standing rulings in force that are nearly as like the appeal as they must be, likest first. `applied` is the one that applies,
/// `contested` one whose lead returned the order: that one is always told.
pub fn near_rulings(
    book: &RulingBook,
    likeness: &Likeness,
    occasion: &Occasion<'_>,
    applied: Option<&str>,
    contested: Option<&str>,
) -> Vec<NearRuling> {
    let mut near: Vec<NearRuling> = Vec::new();
    for (ruling, similarity) in book.standing_by_likeness(occasion.embedding) {
        if applied == Some(ruling.id.as_str()) {
            continue;
        }
        let least = likeness.bound(!ruling.required_words.is_empty()).map(|bound| bound.similarity);
        let is_contested = contested == Some(ruling.id.as_str());
        if !is_contested && similarity < least.unwrap_or(likeness.precedent_similarity) - NEAR {
            continue;
        }
        let mut obstacles = obstacles(&ruling, occasion);
        if !is_contested && least.is_none_or(|least| similarity < least) {
            obstacles.push(Obstacle::NotLikeEnough { least });
        }
        if is_contested {
            obstacles.insert(0, Obstacle::Contested);
        } else if obstacles.is_empty() {
            obstacles.push(Obstacle::Passed);
        }
        near.push(NearRuling { ruling, similarity, obstacles });
    }
    near.sort_by(|a, b| {
        let contested = |one: &NearRuling| contested == Some(one.ruling.id.as_str());
        contested(b).cmp(&contested(a)).then(b.similarity.total_cmp(&a.similarity)).then_with(|| a.ruling.id.cmp(&b.ruling.id))
    });
    near.truncate(MOST);
    near
}

fn obstacles(ruling: &Ruling, occasion: &Occasion<'_>) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    if !ruling.effective.contains(occasion.day) {
        let day = |day: Option<Day>| day.map_or_else(|| "长期".to_owned(), |day| day.to_string());
        let days = format!("{}至{}", day(ruling.effective.from), day(ruling.effective.to));
        obstacles.push(Obstacle::NotInForce { days });
    }
    if !ruling.holds_in(occasion.district) {
        obstacles.push(Obstacle::OtherDistrict { districts: ruling.districts.clone() });
    }
    let missing = ruling.required_words.missing(occasion.words);
    if !missing.is_empty() {
        obstacles.push(Obstacle::WordsMissing { words: missing });
    }
    let forbidden = ruling.forbidden_words.occurring(occasion.words);
    if !forbidden.is_empty() {
        obstacles.push(Obstacle::WordsForbidden { words: forbidden });
    }
    obstacles
}
