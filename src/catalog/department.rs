//! Departments with their duties, each with the basis that it rests on and the days on which it holds.

use super::{Day, Words};

/// A department (承办单位, by function) for as long as it exists under one name with the same duties.
#[derive(Debug, Clone, PartialEq)]
pub struct CatalogDepartment {
    /// Stable id: the model's label.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Other names by which it is called.
    pub aliases: Vec<String>,
    /// What it answers for.
    pub duties: Vec<Duty>,
    /// When.
    pub validity: Validity,
    /// Ids of the departments that take over on the day after `valid_to`.
    pub successors: Vec<String>,
}

/// What a department answers for.
#[derive(Debug, Clone, PartialEq)]
pub struct Duty {
    /// In one line.
    pub text: String,
    /// When an appeal is taken to fall under it.
    pub words: Words,
    /// What it rests on; at least one.
    pub basis: Vec<Basis>,
}

/// A document that a duty or the split of a matter rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basis {
    /// Its rank.
    pub level: Level,
    /// Its name, and its number where it is known; may be empty for what has no name of its own, such as 三定.
    pub document: String,
    /// Article, such as 第十四条; may be empty.
    pub article: String,
}

impl std::fmt::Display for Basis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.document.is_empty() {
            return write!(f, "{}", self.level);
        }
        write!(f, "{}：{}{}", self.level, self.document, self.article)
    }
}

/// The rank of a document, as dispatchers name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Level(&'static str);

impl Level {
    /// All there are.
    pub const ALL: [&'static str; 8] = ["法律", "法规", "规章", "三定", "权责清单", "履职清单", "会议纪要", "先例"];

    /// Reads one.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| *level == name).map(Self)
    }

    /// True if a document of this rank cannot be cited without its name.
    pub fn needs_document(self) -> bool {
        matches!(self.0, "法律" | "法规" | "规章")
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

/// From a first to a last day, both included; open where none is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Validity {
    /// First day.
    pub from: Option<Day>,
    /// Last day.
    pub to: Option<Day>,
}

impl Validity {
    /// True if it holds on the day.
    pub fn contains(self, day: Day) -> bool {
        self.from.is_none_or(|from| from <= day) && self.to.is_none_or(|to| day <= to)
    }

    /// True if there is a day on which both hold.
    pub fn overlaps(self, other: Self) -> bool {
        let before = |a: Self, b: Self| a.to.zip(b.from).is_some_and(|(to, from)| to < from);
        !before(self, other) && !before(other, self)
    }
}
