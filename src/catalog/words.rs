//! By which words a matter, a duty or a unit is recognised. One rule for all three, simple enough to be told to the people whose
//! orders it decides: every entry must occur in the appeal's text or category; `|` separates alternatives within an entry.

use crate::text::normalize;

/// Words that must occur. None at all fit nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words(Vec<Vec<Word>>);

/// A word as it stands in the file, and as it is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    written: String,
    plain: String,
}

impl Word {
    fn occurs(&self, text: &str) -> bool {
        text.contains(self.plain.as_str())
    }
}

impl Words {
    /// Reads entries such as `油烟` and `餐馆|饭店|烧烤`. An error names an entry with nothing in it.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut words = Vec::new();
        for entry in entries {
            let word = |word: &str| Word { written: word.trim().to_owned(), plain: normalize(word.trim()) };
            let alternatives: Vec<Word> = entry.split('|').map(word).collect();
            if alternatives.iter().any(|word| word.plain.is_empty()) {
                return Err(format!("{entry:?} has an empty word, which would occur everywhere"));
            }
            words.push(alternatives);
        }
        Ok(Self(words))
    }

    /// If every entry occurs: how many characters of the longest alternatives do. `None` if not, or if there are no entries. The text
    /// is [normalised](normalize), as the words are, so that KTV, ｋｔｖ and ktv are one.
    pub fn fit(&self, text: &str) -> Option<usize> {
        if self.0.is_empty() {
            return None;
        }
        let longest = |alternatives: &Vec<Word>| {
            alternatives.iter().filter(|word| word.occurs(text)).map(|word| word.plain.chars().count()).max()
        };
        self.0.iter().map(longest).sum()
    }

    /// True if any word of any entry occurs in a normalised text.
    pub fn any_occurs(&self, text: &str) -> bool {
        self.0.iter().flatten().any(|word| word.occurs(text))
    }

    /// The entries of which no alternative occurs, as they stand in the file.
    pub fn missing(&self, text: &str) -> Vec<String> {
        let absent = |alternatives: &&Vec<Word>| !alternatives.iter().any(|word| word.occurs(text));
        self.0.iter().filter(absent).map(|alternatives| entry(alternatives)).collect()
    }

    /// The words of any entry that occur.
    pub fn occurring(&self, text: &str) -> Vec<String> {
        self.0.iter().flatten().filter(|word| word.occurs(text)).map(|word| word.written.clone()).collect()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As they stand in the file.
    pub fn entries(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|alternatives| entry(alternatives))
    }
}

fn entry(alternatives: &[Word]) -> String {
    let written: Vec<&str> = alternatives.iter().map(|word| word.written.as_str()).collect();
    written.join("|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_however_wide_or_large_it_is_written_and_told_as_it_stands_in_the_file() {
        let words = Words::parse(["KTV|棋牌室", "Ｗｉｆｉ"]).expect("words");
        for text in ["楼下KTV的wifi", "楼下ｋｔｖ的ＷＩＦＩ"] {
            let text = normalize(text);
            assert_eq!(words.fit(&text), Some(7), "{text}");
            assert_eq!(words.occurring(&text), ["KTV", "Ｗｉｆｉ"]);
        }
        assert_eq!(words.entries().collect::<Vec<_>>(), ["KTV|棋牌室", "Ｗｉｆｉ"]);
    }

    #[test]
    fn every_entry_must_occur_in_one_of_its_alternatives() {
        let words = Words::parse(["油烟", "餐馆|饭店|烧烤店"]).expect("words");
        assert_eq!(words.fit("楼下烧烤店油烟大"), Some(5));
        assert_eq!(words.fit("楼下油烟大"), None);
        assert_eq!(Words::default().fit("楼下油烟大"), None, "no words fit nothing");
        assert!(Words::parse(["油烟|"]).is_err());
    }
}
