//! The words by which a ruling is found. Chinese has no spaces, so a tokenizer that knows its words cuts the text (jieba, search
//! mode: 油烟扰民 is found by 油烟 and by 扰民). Where it cuts depends on what stands beside a word, so every pair of neighbouring
//! Chinese characters is a word too: 路灯 is found in 路灯不亮 however that is cut. Single characters occur everywhere and are not.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jieba_rs::Jieba;

use super::Ruling;
use crate::text::{is_ideograph, normalize};

/// Most words of a query that are looked for.
pub const MAX_QUERY_WORDS: usize = 32;

/// Most words that one ruling is found by.
const MAX_WORDS: usize = 1_000;

/// Reading the dictionary takes a while and memory, so it is done when somebody first asks.
static JIEBA: LazyLock<Jieba> = LazyLock::new(Jieba::new);

/// The distinct words of a ruling: of its matter, description, examples and basis, its departments, districts and orders.
pub fn searchable_words(ruling: &Ruling) -> BTreeSet<String> {
    let basis = ruling.basis.iter().flat_map(|one| [&one.document, &one.article, &one.quote]);
    let positions = ruling.positions.iter().map(|position| &position.statement);
    let cut = [&ruling.matter, &ruling.description].into_iter().chain(basis).chain(positions).chain(&ruling.examples);
    // What is looked up as it stands. It comes first, so that a long example cannot crowd it out.
    let whole = ruling.departments().chain(&ruling.districts).chain(&ruling.orders);
    let mut words: BTreeSet<String> = whole.map(|word| normalize(word)).collect();
    for word in cut.flat_map(|text| cut_words(text).into_iter().chain(pairs(&normalize(text)))) {
        if words.len() >= MAX_WORDS {
            break;
        }
        words.insert(word);
    }
    words
}

/// The distinct words of a query, in its order.
pub fn query_words(query: &str) -> Vec<String> {
    let mut words = Vec::new();
    // A longer word may have been cut otherwise in a ruling, so its pairs are looked for as well.
    let longer = |word: String| {
        let pairs = if word.chars().count() > 2 { pairs(&word) } else { Vec::new() };
        std::iter::once(word).chain(pairs)
    };
    for word in cut_words(query).into_iter().flat_map(longer) {
        if words.len() < MAX_QUERY_WORDS && !words.contains(&word) {
            words.push(word);
        }
    }
    // Whoever looks for one character, or for a number, means just that.
    let whole = normalize(query.trim());
    if words.is_empty() && !whole.is_empty() {
        words.push(whole);
    }
    words
}

fn cut_words(text: &str) -> Vec<String> {
    let text = normalize(text);
    let words = JIEBA.cut_for_search(&text, true);
    let worth = |word: &str| word.chars().count() > 1 && word.chars().any(char::is_alphanumeric);
    words.into_iter().map(|token| token.word.to_owned()).filter(|word| worth(word)).collect()
}

/// Kinds of words, by the dictionary, that say what something is about: nouns, verbs, set phrases and short forms. Names of people
/// and places are none, and neither is a word that the dictionary does not know: it may be either.
const TELLING: [&str; 6] = ["n", "nt", "v", "vn", "l", "j"];

/// The distinct Chinese words of texts that may say what they are about, as they stand in the text.
pub(super) fn telling_words(texts: &[String]) -> BTreeSet<String> {
    let worth = |word: &str| word.chars().count() > 1 && word.chars().all(is_ideograph);
    let tagged = texts.iter().flat_map(|text| JIEBA.tag(text, false));
    tagged.filter(|token| TELLING.contains(&token.tag) && worth(token.word)).map(|token| token.word.to_owned()).collect()
}

/// Neighbouring Chinese characters.
fn pairs(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars.windows(2).filter(|pair| pair.iter().copied().all(is_ideograph)).map(|pair| pair.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chinese_is_cut_into_the_words_that_people_look_for() {
        let words = query_words("楼下餐馆油烟扰民，城管说归生态环境局管");
        for word in ["餐馆", "油烟", "扰民", "城管", "环境"] {
            assert!(words.iter().any(|one| one == word), "{word} is not among {words:?}");
        }
        assert!(!words.iter().any(|one| one == "，"), "{words:?}");
    }

    #[test]
    fn one_character_or_a_number_is_looked_for_as_it_stands() {
        assert_eq!(query_words("井"), ["井"]);
        assert_eq!(query_words("  "), Vec::<String>::new());
    }
}
