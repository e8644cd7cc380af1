//! By which words a matter, a duty or a unit is recognised. One rule for all three, simple enough to be told to the people whose
//! orders it decides: every entry must occur in the appeal's text or category; `|` separates alternatives within an entry.

/// Words that must occur. None at all fit nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words(Vec<Vec<String>>);

impl Words {
    /// Reads entries such as `油烟` and `餐馆|饭店|烧烤`. An error names an entry with nothing in it.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut words = Vec::new();
        for entry in entries {
            let alternatives: Vec<String> = entry.split('|').map(|word| word.trim().to_owned()).collect();
            if alternatives.iter().any(String::is_empty) {
                return Err(format!("{entry:?} has an empty word, which would occur everywhere"));
            }
            words.push(alternatives);
        }
        Ok(Self(words))
    }

    /// If every entry occurs: how many characters of the longest alternatives do. `None` if not, or if there are no entries.
    pub fn fit(&self, text: &str) -> Option<usize> {
        if self.0.is_empty() {
            return None;
        }
        let longest = |alternatives: &Vec<String>| {
            alternatives.iter().filter(|word| text.contains(word.as_str())).map(|word| word.chars().count()).max()
        };
        self.0.iter().map(longest).sum()
    }

    /// True if any word of any entry occurs.
    pub fn any_occurs(&self, text: &str) -> bool {
        self.0.iter().flatten().any(|word| text.contains(word.as_str()))
    }

    /// The entries of which no alternative occurs, as they stand in the file.
    pub fn missing(&self, text: &str) -> Vec<String> {
        let absent = |alternatives: &&Vec<String>| !alternatives.iter().any(|word| text.contains(word.as_str()));
        self.0.iter().filter(absent).map(|alternatives| alternatives.join("|")).collect()
    }

    /// The words of any entry that occur.
    pub fn occurring(&self, text: &str) -> Vec<String> {
        self.0.iter().flatten().filter(|word| text.contains(word.as_str())).cloned().collect()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As they stand in the file.
    pub fn entries(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|alternatives| alternatives.join("|"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_must_occur_in_one_of_its_alternatives() {
        let words = Words::parse(["油烟", "餐馆|饭店|烧烤店"]).expect("words");
        assert_eq!(words.fit("楼下烧烤店油烟大"), Some(5));
        assert_eq!(words.fit("楼下油烟大"), None);
        assert_eq!(Words::default().fit("楼下油烟大"), None, "no words fit nothing");
        assert!(Words::parse(["油烟|"]).is_err());
    }
}
