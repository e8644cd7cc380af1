//! What the text room promises, seen from outside; and, where the real orders are at hand, how well it keeps it.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a skipped test and a measured figure must be seen")]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use paidan::text::{Appeal, AppealTokenizer, MAX_APPEAL_CHARS, Reading, clean, normalize, parts};
use rand::{Rng, SeedableRng, rngs::StdRng};
use regex::Regex;

/// A file of the shared folder beside the checkout, or nothing, said aloud.
fn shared(path: &str) -> Option<PathBuf> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(path);
    if !file.exists() {
        eprintln!("SKIPPED: {} is absent", file.display());
        return None;
    }
    Some(file)
}

#[derive(serde::Deserialize)]
struct Order {
    content: String,
    appeal: String,
}

fn orders() -> Option<Vec<Order>> {
    let lines = std::fs::read_to_string(shared("data/haikou12345/train.jsonl")?).expect("a readable file");
    Some(lines.lines().map(|line| serde_json::from_str(line).expect("an order a line")).collect())
}

fn tokenizer() -> Option<AppealTokenizer> {
    let bytes = std::fs::read(shared("base-models/bge-small-zh-v1.5/tokenizer.json")?).expect("a readable file");
    Some(AppealTokenizer::from_bytes(&bytes).expect("a good tokenizer"))
}

fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

/// The operator's formula, anywhere; and any instruction at the end.
static FORMULA: LazyLock<Regex> = LazyLock::new(|| Regex::new("请[^请,。!?;:()]{1,30}核实处[理置]").expect("our own pattern"));
static TAIL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("请[^请,。!?;:()]{1,30}(核实|处理|处置|答复|回复|查处|解决|跟进)[^,。!?;:]{0,6}$").expect("our own pattern")
});

#[test]
fn no_real_order_keeps_its_dispatch_instruction() {
    let Some(orders) = orders() else { return };
    let cleaned: Vec<_> = orders.iter().map(|order| clean(&order.content)).collect();
    let formula_before = orders.iter().filter(|order| FORMULA.is_match(&normalize(&order.content))).count();
    let formula = cleaned.iter().filter(|text| FORMULA.is_match(text.as_str())).count();
    let tail = cleaned.iter().filter(|text| TAIL.is_match(text.as_str())).count();
    println!("formula anywhere: {formula_before} -> {formula}, instruction at the end: {tail} of {}", orders.len());
    assert!(formula_before > 4_000, "the pattern no longer sees what it looks for");
    assert_eq!(formula, 0);
    assert!(share(tail, orders.len()) < 0.005, "{tail}");
}

#[test]
fn the_operators_note_and_the_citizens_words_clean_to_the_same() {
    let Some(orders) = orders() else { return };
    let (mut same, mut similar) = (0, 0.0);
    for order in &orders {
        let (note, words) = (clean(&order.content), clean(&order.appeal));
        same += usize::from(note == words || note.as_str() == words.as_str());
        similar += similarity(note.as_str(), words.as_str());
    }
    let (same, similar) = (share(same, orders.len()), similar / orders.len() as f64);
    println!("equal: {same:.4}, mean similarity: {similar:.4}");
    assert!(same > 0.9, "{same}");
    assert!(similar > 0.99, "{similar}");
}

#[test]
fn cleaning_a_clean_real_order_changes_nothing() {
    let Some(orders) = orders() else { return };
    for order in &orders {
        let once = clean(&order.content);
        assert_eq!(clean(once.as_str()).as_str(), once.as_str());
    }
}

#[test]
fn token_spans_of_real_orders_hold_the_words_that_were_sent() {
    let (Some(orders), Some(tokenizer)) = (orders(), tokenizer()) else { return };
    let mut unknown = 0.0;
    for order in &orders {
        let appeal = Appeal::from_text(&order.content).expect("a good appeal");
        let sent: Vec<char> = appeal.fields().text.chars().collect();
        let text = clean(&appeal.fields().text);
        let encoding = tokenizer.encode(&text, Some("城市管理 路灯"), 512).expect("tokens");
        assert!(encoding.ids.len() <= 512);
        assert_eq!(encoding.reading == Reading::Whole, encoding.tokens_given <= 512);
        assert_eq!([encoding.type_ids.len(), encoding.spans.len()], [encoding.ids.len(); 2]);
        unknown += f64::from(tokenizer.unknown_share(&encoding));
        let spans: Vec<(usize, usize)> = encoding.spans.iter().flatten().map(|&(a, b)| (a as usize, b as usize)).collect();
        assert!(spans.iter().all(|&(start, end)| start < end && end <= sent.len()));
        assert!(spans.is_sorted_by(|one, next| one.0 <= next.0));
        for (character, &at) in text.as_str().chars().zip(text.source()) {
            let (from, chinese) = (sent[at as usize], |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c));
            assert!(!chinese(character) || !chinese(from) || character == from, "{character} is said to come from {from}");
        }
    }
    println!("unknown tokens, mean share: {:.5}", unknown / orders.len() as f64);
}

#[test]
fn token_ids_are_those_of_the_library() {
    let Some(ours) = tokenizer() else { return };
    let file = shared("base-models/bge-small-zh-v1.5/tokenizer.json").expect("it was there a moment ago");
    let reference = tokenizers::Tokenizer::from_file(file).expect("a good tokenizer");
    let made_up = [
        "路灯坏了",
        "WiFi信号差，ＡＢＣ小区3栋12:30以后没网。",
        "🙂楼道堆物𠮷",
        "bus-stop no.5 sign broken!!",
        "㎡½…“引号”《书名》",
    ];
    let real = orders().into_iter().flatten().map(|order| order.content);
    for text in made_up.into_iter().map(str::to_owned).chain(real) {
        let text = clean(&text);
        let pair = reference.encode((text.as_str(), "城市管理 路灯 投诉类"), true).expect("tokens");
        let encoding = ours.encode(&text, Some("城市管理 路灯 投诉类"), usize::MAX).expect("tokens");
        assert_eq!(encoding.ids, pair.get_ids());
        assert_eq!(encoding.type_ids, pair.get_type_ids());
        let alone = reference.encode(text.as_str(), true).expect("tokens");
        assert_eq!(ours.encode(&text, None, usize::MAX).expect("tokens").ids, alone.get_ids());
    }
}

#[test]
fn the_longest_and_the_nastiest_texts_are_cleaned_in_linear_time() {
    let long = 20_000;
    let nasty = [
        "请",
        "请局",
        "请城管核实处",
        "请城管核实处理",
        "(请30分钟",
        "1 ",
        "1",
        "138 ",
        "京a1",
        "市民",
        "市民再次来电反映:",
        "谢谢",
        ",",
        "(",
        "[工单号]",
        "\u{301}",
        "e\u{301}",
        "a@",
        "路灯坏了,请某局核实处理,谢谢!(请职能局按规定在30分钟内联系市民,响应处置)",
        "请局尽快",
        "核实处理",
        "处理并",
        "请局处理、",
        "\u{fdfa}",
    ];
    for piece in nasty {
        let text: String = piece.chars().cycle().take(long).collect();
        let start = Instant::now();
        let cleaned = clean(&text);
        let elapsed = start.elapsed();
        println!("{elapsed:>9.1?} {piece}");
        assert!(elapsed < Duration::from_secs(2), "{piece}: {elapsed:?}");
        assert_eq!(cleaned.as_str().chars().count(), cleaned.source().len());
    }
}

/// Twice the common characters (as a multiset of pairs) over all: cheap, and 1 only for texts of the same pairs.
fn similarity(one: &str, other: &str) -> f64 {
    let pairs = |text: &str| {
        let chars: Vec<char> = text.chars().collect();
        let mut pairs: Vec<(char, char)> = chars.windows(2).map(|pair| (pair[0], pair[1])).collect();
        pairs.sort_unstable();
        pairs
    };
    let (one, other) = (pairs(one), pairs(other));
    let (mut i, mut j, mut common) = (0, 0, 0);
    while i < one.len() && j < other.len() {
        match one[i].cmp(&other[j]) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => (i, j, common) = (i + 1, j + 1, common + 1),
        }
    }
    if one.len() + other.len() == 0 { 1.0 } else { 2.0 * share(common, one.len() + other.len()) }
}

#[test]
fn tokens_are_the_librarys_own_whatever_the_text_holds() {
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/haikou12345/tokenizer.json");
    let bytes = std::fs::read(&bundled).expect("the bundled model");
    let ours = AppealTokenizer::from_bytes(&bytes).expect("a good tokenizer");
    let mut library = tokenizers::Tokenizer::from_bytes(&bytes).expect("a good tokenizer");
    library.set_encode_special_tokens(true);
    let known: Vec<String> = {
        let mut words: Vec<_> = library.get_vocab(true).into_keys().map(|word| word.replace("##", "")).collect();
        words.sort();
        words
    };
    let mut random = StdRng::seed_from_u64(12);
    let mut read = 0;
    for _ in 0..4_000 {
        let text: String = (0..random.random_range(1..30))
            .map(|_| match random.random_range(0..100) {
                0..80 => known[random.random_range(0..known.len())].clone(),
                80..90 => " ".to_owned(),
                90..98 => random.random_range('\u{21}'..'\u{2ff}').to_string(),
                _ => random.random_range('\0'..char::MAX).to_string(),
            })
            .collect();
        let text = clean(&text);
        let said = library.encode_char_offsets(text.as_str(), false).expect("tokens");
        let encoding = ours.encode(&text, None, 512).expect("tokens");
        assert_eq!(encoding.reading, Reading::Whole);
        let [_, ids @ .., _] = &encoding.ids[..] else { panic!("no special tokens around {:?}", text.as_str()) };
        assert_eq!(ids, said.get_ids(), "{:?}", text.as_str());
        for (span, &(start, end)) in encoding.spans[1..].iter().zip(said.get_offsets()) {
            let (first, last) = (text.source()[start], text.source()[end - 1]);
            assert_eq!(*span, Some((first, last.max(first) + 1)), "{:?}", text.as_str());
        }
        read += ids.len();
    }
    assert!(read > 20_000, "{read} tokens prove little");
}

#[test]
fn the_longest_text_is_taken_apart_at_once_whatever_it_says() {
    let one_short_of_the_limit: String = ('一'..).take(31).map(|name| format!("{name}某路。")).collect();
    for sentences in
        [&one_short_of_the_limit, "甲乙路坏了。", "在甲乙路。在丙丁路。", "请问甲乙路。", "。 ", "市民反映:坏", "1、坏了"]
    {
        let text: String = sentences.chars().cycle().take(MAX_APPEAL_CHARS).collect();
        let text = clean(&text);
        // A thousandth of a second, where looking back at each sentence took eight. One try of three is enough, so that it does not
        // matter what else the machine does.
        let time = |_| {
            let started = Instant::now();
            parts(&text);
            started.elapsed()
        };
        let least = (0..3).map(time).min().unwrap_or_default();
        assert!(least < Duration::from_secs(1), "{least:?} for {sentences}");
    }
}
