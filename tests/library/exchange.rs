//! Files of rulings: what a ruling says is what its file says, in every format, whatever stands in it.

use paidan::rulings::{BasisDraft, PositionDraft, Ruling, RulingDraft};
use paidan::store::exchange::{self, Format};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

const FORMATS: [Format; 3] = [Format::Jsonl, Format::Csv, Format::Xlsx];

/// What people write, what tables and formulas are made of, and what looks like something else.
const PIECES: [&str; 40] = [
    "路灯",
    "占道",
    "A",
    "1",
    "000",
    "、",
    "，",
    ",",
    "；",
    ";",
    "|",
    "｜",
    "\"",
    "\"\"",
    "'",
    "“",
    "”",
    "[",
    "]",
    "{",
    "}",
    "\\",
    "=",
    "+",
    "-",
    "@",
    " ",
    "　",
    "\t",
    "《条例》",
    "E+13",
    "2E+13",
    "[\"",
    "\"]",
    "/",
    "2026-1-2",
    "True",
    "个案",
    "赞成",
    "#REF!",
];

fn line(random: &mut StdRng, without: &str) -> String {
    let pieces = (0..random.random_range(0..6)).filter_map(|_| PIECES.choose(random));
    let made: String = pieces.filter(|piece| !piece.contains(|c| without.contains(c))).copied().collect();
    if random.random_bool(0.1) { String::new() } else { format!("{made}油烟{}", line_end(random)) }
}

fn line_end(random: &mut StdRng) -> &'static str {
    ["", "；", "]", "\"", "'"].choose(random).copied().unwrap_or("")
}

fn text(random: &mut StdRng) -> String {
    let lines: Vec<String> = (0..random.random_range(1..4)).map(|_| line(random, "")).collect();
    lines.join(["\n", "\n\n", "\r\n"].choose(random).copied().unwrap_or("\n"))
}

fn many(random: &mut StdRng, one: impl Fn(&mut StdRng) -> String) -> Vec<String> {
    (0..random.random_range(0..4)).map(|_| one(random)).collect()
}

/// Any ruling that is taken.
fn ruling(random: &mut StdRng, number: usize) -> Ruling {
    let words = |random: &mut StdRng| {
        let alternatives: Vec<String> = (0..random.random_range(1..3)).map(|_| format!("词{}", line(random, "|"))).collect();
        alternatives.join("|")
    };
    let draft = RulingDraft {
        id: format!("R-{number}"),
        scope: ["case", "standing"].choose(random).copied().unwrap_or("case").to_owned(),
        status: ["draft", "in_force", "superseded", "withdrawn"].choose(random).copied().unwrap_or_default().to_owned(),
        matter: format!("{}事项", line(random, "")),
        description: format!("{}说明", text(random)),
        examples: many(random, |random| format!("{}诉求", text(random))),
        required_words: many(random, words),
        forbidden_words: many(random, words),
        orders: many(random, |random| line(random, "")),
        districts: many(random, |random| line(random, "")),
        lead: "城管".to_owned(),
        supporting: many(random, |random| format!("协办{}", line(random, ""))),
        last_resort: line(random, ""),
        excluded: many(random, |random| format!("排除{}", line(random, ""))),
        basis: (0..random.random_range(0..3))
            .map(|_| BasisDraft {
                level: "三定".to_owned(),
                document: line(random, ""),
                article: line(random, ""),
                quote: text(random),
                valid_from: ["", "2020-01-01"].choose(random).copied().unwrap_or_default().to_owned(),
            })
            .collect(),
        positions: (0..random.random_range(0..3))
            .map(|_| PositionDraft {
                department: format!("单位{}", line(random, "")),
                statement: text(random),
                vote: ["", "for", "against", "abstained"].choose(random).copied().unwrap_or_default().to_owned(),
            })
            .collect(),
        body: "committee".to_owned(),
        decided_on: "2026-03-01".to_owned(),
        effective_from: "2026-03-02".to_owned(),
        effective_to: ["", "2027-01-31"].choose(random).copied().unwrap_or_default().to_owned(),
        supersedes: ["", "R-old"].choose(random).copied().unwrap_or_default().to_owned(),
    };
    draft.parse(None).unwrap_or_else(|faults| panic!("{faults:?}: {draft:?}"))
}

#[test]
fn every_ruling_comes_out_of_its_file_as_it_went_in_whatever_stands_in_it() {
    let random = &mut StdRng::seed_from_u64(12_345);
    let rulings: Vec<Ruling> = (0..500).map(|number| ruling(random, number)).collect();
    let drafts: Vec<RulingDraft> = rulings.iter().map(RulingDraft::from).collect();
    for format in FORMATS {
        let bytes = exchange::write(format, &drafts).expect("a file");
        let rows = exchange::read(format, &bytes).expect("our own file");
        assert_eq!(rows.len(), rulings.len());
        for (row, before) in rows.into_iter().zip(&rulings) {
            let draft = row.draft.unwrap_or_else(|faults| panic!("{format:?}: {faults:?}: {before:#?}"));
            assert_eq!(draft.parse(None).as_ref(), Ok(before), "{format:?}");
        }
    }
}

#[test]
fn a_word_with_a_separator_stays_one_and_a_cell_that_people_wrote_is_read_as_ever() {
    let words = ["占道、经营", "1,000元", "路灯|照明"].map(str::to_owned).to_vec();
    let draft = RulingDraft { required_words: words.clone(), ..RulingDraft::default() };
    for format in FORMATS {
        let bytes = exchange::write(format, std::slice::from_ref(&draft)).expect("a file");
        let row = exchange::read(format, &bytes).expect("our own file").remove(0);
        assert_eq!(row.draft.map(|draft| draft.required_words), Ok(words.clone()), "{format:?}");
    }
    let table = "类型,事项,主办单位,必含词,依据\n个案,占道,城管,\"占道、经营；路灯|照明\",三定||第二条|引文\n";
    let row = exchange::read(Format::Csv, table.as_bytes()).expect("a table").remove(0).draft.expect("a row");
    assert_eq!(row.required_words, ["占道", "经营", "路灯|照明"]);
    assert_eq!((row.basis[0].article.as_str(), row.basis[0].quote.as_str()), ("第二条", "引文"));
}
