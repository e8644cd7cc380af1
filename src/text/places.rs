//! The places that a text names: roads, estates, villages, buildings, each with its house number where one follows.
//!
//! Nobody gives us a gazetteer, so a name is what stands before a word that ends names (路, 小区, 村, 花园, …), back to where a name
//! cannot begin earlier: a mark, a digit, a district, another name's end, or a word that only grammar needs. The left end is
//! therefore uncertain (投诉西溪里小区), the right end is not, and two names are the same if one is the end of the other.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::normalize::is_ideograph;

/// A named place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Name as it stands in the text, such as 西河七路.
    pub name: String,
    /// House, building or kilometre number behind it, such as 2号; empty if there is none.
    pub number: String,
}

/// Words that end the name of a place, longer ones first.
const ENDS: [&str; 53] = [
    "大道",
    "小区",
    "花园",
    "花苑",
    "新村",
    "新城",
    "大厦",
    "广场",
    "市场",
    "公寓",
    "宿舍",
    "公馆",
    "别墅",
    "家园",
    "商城",
    "中心",
    "学校",
    "小学",
    "中学",
    "大学",
    "学院",
    "幼儿园",
    "医院",
    "酒店",
    "饭店",
    "宾馆",
    "超市",
    "公园",
    "立交桥",
    "大桥",
    "天桥",
    "工地",
    "加油站",
    "车站",
    "码头",
    "机场",
    "社区",
    "村委会",
    "派出所",
    "服务站",
    "驾校",
    "酒吧",
    "餐厅",
    "烧烤店",
    "路",
    "街",
    "巷",
    "村",
    "苑",
    "庭",
    "湾",
    "城",
    "岛",
];

/// A name does not reach over these: districts and towns, and words of grammar. Most are no part of a proper name.
const STOPS: &str = "区县市镇乡的在是于到往从由与和及至向对把被将有位其该此这那我你他她们了着过号栋期座单元旁边前后面内外请望约每停堵占修挡走离出进条个";

/// How roads end.
const ROADS: &str = "路街巷道";

/// Ends that are as often in the middle of a longer name: 红城湖路.
const WEAK_ENDS: &str = "城岛湾庭苑";

/// How far behind a weak end the longer name may end, in characters.
const WEAK_REACH: usize = 2;

/// Longest name, without what ends it, in characters.
const LONGEST: usize = 8;

/// What looks like a name and says nothing of where.
const NO_NAMES: [&str; 11] = ["道路", "马路", "公路", "线路", "铁路", "网路", "电路", "本村", "全村", "上楼", "下楼"];

/// A storey, or the way in which one goes, is no name: 五楼, 一路.
const NUMERALS: &str = "一二三四五六七八九十";

/// Most places of a text that are kept: a limit, not a count that is met.
pub const MAX_PLACES: usize = 32;

/// The places that a clean text names, in its order, each once.
pub fn places(text: &str) -> Vec<Place> {
    let mut search = Search::of(text);
    search.until(search.characters.len());
    search.found
}

/// A search that goes through a text once, as far as it is asked to: whoever asks what was named before each sentence need not
/// begin anew for each.
pub(super) struct Search {
    characters: Vec<char>,
    /// What is looked at next, and how far back a name may begin.
    at: usize,
    free: usize,
    found: Vec<Place>,
}

impl Search {
    /// At the beginning of a text.
    pub(super) fn of(text: &str) -> Self {
        Self { characters: text.chars().collect(), at: 0, free: 0, found: Vec::new() }
    }

    /// The places of the text's first `end` characters; nobody asks for fewer than before. The text ends there, or begins, or the last
    /// of them is a mark or a space, over which no name and no number reaches: so these are the places of these characters alone.
    pub(super) fn until(&mut self, end: usize) -> &[Place] {
        while self.at < end && self.found.len() < MAX_PLACES {
            self.step();
        }
        &self.found
    }

    /// Looks at one character, or at the word that ends a name here.
    fn step(&mut self) {
        let (characters, at) = (&self.characters, self.at);
        let Some(length) = end_at(&characters[at..]) else {
            self.at += 1;
            return;
        };
        let begin = name_begin(characters, self.free, at);
        let end = at + length;
        let name: String = characters[begin..end].iter().collect();
        // 花园小区: the longer name counts, so what ends one may begin what ends the next. A road is one by itself.
        let more = !ROADS.contains(characters[end - 1]) && (end_at(&characters[end..]).is_some() || is_weak(characters, end));
        let numeral = characters[begin..at].iter().all(|c| NUMERALS.contains(*c));
        if !numeral && !more && !NO_NAMES.iter().any(|none| name == *none) {
            let number = number_behind(&characters[end..]);
            let place = Place { name, number };
            if !self.found.contains(&place) {
                self.found.push(place);
            }
        }
        if !more {
            self.free = end;
        }
        self.at = end;
    }
}

/// [`ENDS`] by their first characters, in the same order: one look tells of most characters that nothing ends there.
static BY_FIRST: LazyLock<HashMap<char, Vec<Vec<char>>>> = LazyLock::new(|| {
    let mut by_first: HashMap<char, Vec<Vec<char>>> = HashMap::new();
    for end in ENDS.iter().map(|end| end.chars().collect::<Vec<char>>()) {
        by_first.entry(end[0]).or_default().push(end);
    }
    by_first
});

/// How long the word is that ends a name here.
fn end_at(rest: &[char]) -> Option<usize> {
    BY_FIRST.get(rest.first()?)?.iter().find(|end| rest.starts_with(end)).map(Vec::len)
}

/// Whether the name that ends here may be the beginning of a longer one.
fn is_weak(characters: &[char], end: usize) -> bool {
    let reach = characters[end..].iter().take(WEAK_REACH).take_while(|c| is_ideograph(**c) && !STOPS.contains(**c));
    WEAK_ENDS.contains(characters[end - 1]) && (1..=reach.count()).any(|further| end_at(&characters[end + further..]).is_some())
}

/// Where the name begins that ends before `end`, not before `free`.
fn name_begin(characters: &[char], free: usize, end: usize) -> usize {
    let mut begin = end;
    while begin > free && end - begin < LONGEST {
        let before = characters[begin - 1];
        if !is_ideograph(before) || STOPS.contains(before) {
            break;
        }
        begin -= 1;
    }
    begin
}

/// 2号, 8栋, 62号: digits and what counts them.
fn number_behind(rest: &[char]) -> String {
    let digits = rest.iter().take_while(|c| c.is_ascii_alphanumeric() || **c == '-').count();
    let counted = rest.get(digits).is_some_and(|c| "号栋期座".contains(*c));
    if digits == 0 || digits > 8 || !counted { String::new() } else { rest[..digits].iter().collect() }
}

impl Place {
    /// Whether it is the same place, as far as names can tell: one name is the end of the other, and the numbers, where both have
    /// one, are the same.
    pub fn is(&self, other: &Self) -> bool {
        self.is_named_like(other) && (self.number.is_empty() || other.number.is_empty() || self.number == other.number)
    }

    /// The same, whatever the numbers.
    pub fn is_named_like(&self, other: &Self) -> bool {
        self.name.ends_with(other.name.as_str()) || other.name.ends_with(self.name.as_str())
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.name)?;
        if self.number.is_empty() { Ok(()) } else { write!(f, "{}号", self.number) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Vec<String> {
        places(text).iter().map(Place::to_string).collect()
    }

    #[test]
    fn roads_estates_and_numbers_are_found() {
        assert_eq!(named("某区西河七路2号五楼正在施工"), ["西河七路2号"]);
        assert_eq!(named("其是某区文明东路滨江花园小区8栋的业主"), ["文明东路", "滨江花园小区8号"]);
        assert_eq!(named("甲乙路烧烤店"), ["甲乙路"]);
        assert_eq!(named("红城湖路全季酒店门口"), ["红城湖路", "全季酒店"]);
        assert_eq!(named("某镇瑶山村和平大道交叉口"), ["瑶山村", "平大道"], "the left end is uncertain");
        assert_eq!(named("路灯坏了,小区停电,这条路很黑,有人违停路口"), Vec::<String>::new());
    }

    #[test]
    fn two_names_are_the_same_if_one_is_the_end_of_the_other() {
        let place = |text: &str| places(text).remove(0);
        assert!(place("投诉西溪里小区").is(&place("某区西溪里小区")));
        assert!(place("西河七路2号").is(&place("西河七路")));
        assert!(!place("西河七路2号").is(&place("西河七路4号")));
        assert!(!place("西河七路").is(&place("西河二路")));
    }

    #[test]
    fn there_are_never_more_places_than_the_limit() {
        let many: String = (0..100).map(|i| format!("甲{}路{i}号,", ["乙", "丙", "丁"][i % 3])).collect();
        assert_eq!(places(&many).len(), MAX_PLACES);
    }
}
