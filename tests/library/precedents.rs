//! The index of precedents beside the plain exhaustive search, and the book of rulings: who counts, who contradicts whom.

use std::collections::BTreeSet;
use std::sync::Arc;

use paidan::catalog::Place;
use paidan::rulings::{Occasion, PrecedentIndex, Ruling, RulingBook, RulingDraft};
use rand::{SeedableRng, rngs::StdRng};

use crate::drafts::{case, clustered, embedded, parsed, random, standing, unit};

const WIDTH: usize = 512;

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// One case ruling a point.
fn cases(points: &[Vec<f32>]) -> Vec<Arc<Ruling>> {
    (0..points.len()).map(|i| parsed(&case(&format!("r{i:06}"), "路灯坏了", "城管"))).collect()
}

fn index(rulings: &[Arc<Ruling>], points: &[Vec<f32>]) -> PrecedentIndex {
    PrecedentIndex::new(points[0].len(), &[]).with(rulings.iter().zip(points.iter().map(Vec::as_slice)))
}

/// Thirty departments, and around each a few dozen matters with their texts; the last `queries` are kept out.
fn departments_and_texts(rng: &mut StdRng, count: usize) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
    let departments: Vec<Vec<f32>> = (0..30).map(|_| random(rng, WIDTH)).collect();
    let near = |rng: &mut StdRng, point: &[f32], far: f32| {
        let stray = random(rng, WIDTH);
        unit(point.iter().zip(stray).map(|(x, stray)| x + far * stray).collect())
    };
    let matters: Vec<Vec<f32>> = (0..900).map(|i| near(rng, &departments[i % 30], 0.9)).collect();
    (departments, (0..count).map(|i| near(rng, &matters[i % 900], 0.5)).collect())
}

fn ids(found: &[paidan::rulings::Precedent]) -> Vec<&str> {
    found.iter().map(|one| one.ruling.id.as_str()).collect()
}

#[test]
fn the_search_finds_what_the_exhaustive_one_finds() {
    let rng = &mut StdRng::seed_from_u64(7);
    let points = clustered(rng, WIDTH, 20_050, 200);
    let (points, queries) = points.split_at(20_000);
    let rulings = cases(points);
    let index = index(&rulings, points);
    let queries: Vec<&[f32]> = queries.iter().map(Vec::as_slice).collect();
    let mut found = 0;
    for (query, precedents) in queries.iter().zip(index.search(&queries, 5, -1.0, |_, _| true)) {
        let mut all: Vec<(f32, usize)> = points.iter().enumerate().map(|(i, point)| (cosine(query, point), i)).collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        let nearest: BTreeSet<&str> = all[..5].iter().map(|(_, i)| rulings[*i].id.as_str()).collect();
        found += ids(&precedents).iter().filter(|id| nearest.contains(*id)).count();
        for one in &precedents {
            let place: usize = one.ruling.id[1..].parse().expect("a number");
            let exact = cosine(query, &points[place]);
            assert!((one.similarity - exact).abs() < 1e-3, "{} is not {exact}", one.similarity);
        }
        assert!(precedents.is_sorted_by(|a, b| a.similarity >= b.similarity));
    }
    // Of 250. Eight bits turn some neighbours round that are equally near to three places.
    assert!(found >= 238, "{found} of 250");
}

#[test]
fn among_so_many_that_only_the_nearest_cells_are_read_it_finds_nearly_all_the_same() {
    let rng = &mut StdRng::seed_from_u64(17);
    let (departments, points) = departments_and_texts(rng, 40_100);
    let (points, queries) = points.split_at(40_000);
    let rulings = cases(points);
    let texts = || rulings.iter().zip(points.iter().map(Vec::as_slice));
    let forward = PrecedentIndex::new(WIDTH, &departments).with(texts());
    let backward = PrecedentIndex::new(WIDTH, &departments).with(texts().rev());
    let whole = index(&rulings, points);
    let queries: Vec<&[f32]> = queries.iter().map(Vec::as_slice).collect();
    let found = forward.search(&queries, 5, -1.0, |_, _| true);
    assert_eq!(found, backward.search(&queries, 5, -1.0, |_, _| true), "the order in which they came does not matter");
    let whole = whole.search(&queries, 5, -1.0, |_, _| true);
    let same = whole.iter().zip(&found).map(|(all, some)| ids(all).iter().filter(|id| ids(some).contains(id)).count());
    let same: usize = same.sum();
    assert!(same >= 475, "{same} of 500");
    let without = forward.without(&BTreeSet::from([ids(&found[0])[0]]));
    assert_eq!(ids(&without.search(&queries[..1], 4, -1.0, |_, _| true)[0]), ids(&found[0])[1..]);
}

#[test]
fn many_at_once_find_what_each_finds_alone_in_whatever_order_they_came() {
    let rng = &mut StdRng::seed_from_u64(8);
    let points = clustered(rng, WIDTH, 3_000, 30);
    let rulings = cases(&points);
    let forward = index(&rulings, &points);
    let backward = PrecedentIndex::new(WIDTH, &[]).with(rulings.iter().zip(points.iter().map(Vec::as_slice)).rev());
    let queries: Vec<&[f32]> = points[..20].iter().map(Vec::as_slice).collect();
    let together = forward.search(&queries, 5, 0.3, |_, _| true);
    assert_eq!(together, backward.search(&queries, 5, 0.3, |_, _| true));
    for (i, (query, found)) in queries.iter().zip(&together).enumerate() {
        assert_eq!(&forward.search(&[query], 5, 0.3, |_, _| true)[0], found);
        assert_eq!(found[0].ruling.id, rulings[i].id, "a text is most like itself");
        assert!(found[0].similarity > 0.999);
    }
}

#[test]
fn a_text_that_stands_a_thousand_times_is_found_by_the_lowest_numbers() {
    let point = random(&mut StdRng::seed_from_u64(9), WIDTH);
    let points = vec![point.clone(); 12_000];
    let found = index(&cases(&points), &points).search(&[&point], 3, 0.0, |_, _| true).remove(0);
    assert_eq!(ids(&found), ["r000000", "r000001", "r000002"]);
}

#[test]
fn rulings_that_have_run_out_do_not_hide_the_one_that_holds() {
    let point = random(&mut StdRng::seed_from_u64(19), WIDTH);
    let ended =
        |i| RulingDraft { effective_to: "2026-03-01".to_owned(), ..case(&format!("r{i:06}"), "路灯坏了", "城管") };
    let holds = parsed(&case("v-1", "路灯坏了", "城管"));
    let rulings: Vec<_> = (0..1_100).map(|i| parsed(&ended(i))).chain([holds]).collect();
    let index = index(&rulings, &vec![point.clone(); rulings.len()]);
    let on = |day: &str| {
        let day = day.parse().expect("a day");
        index.search(&[&point], 3, 0.9, |_, ruling| ruling.effective.contains(day)).remove(0)
    };
    assert_eq!(ids(&on("2026-03-02")), ["v-1"]);
    assert_eq!(ids(&on("2026-03-01")), ["r000000", "r000001", "r000002"]);
    assert!(on("2025-12-31").is_empty(), "none was decided yet");
}

#[test]
fn adding_and_taking_away_copies_no_more_than_it_must() {
    let rng = &mut StdRng::seed_from_u64(10);
    let points = clustered(rng, WIDTH, 2_100, 30);
    let rulings = cases(&points);
    let before = index(&rulings, &points);
    let after = before.without(&BTreeSet::from(["r001500", "r001501"]));
    assert_eq!((before.len(), after.len()), (2_100, 2_098));
    let search = |index: &PrecedentIndex| index.search(&[&points[1500]], 1, 0.99, |_, _| true).remove(0);
    assert_eq!(ids(&search(&before)), ["r001500"], "whoever reads the old one goes on reading it");
    assert_eq!(ids(&search(&after)), Vec::<&str>::new());
    let again = after.with([(&rulings[1500], points[1500].as_slice())]);
    assert_eq!(ids(&search(&again)), ["r001500"]);
    let copied = allocation_counter::measure(|| drop(before.with([(&rulings[1500], points[1500].as_slice())])));
    assert!(copied.bytes_total < 1 << 20, "{} bytes for one ruling", copied.bytes_total);
}

#[test]
fn a_ruling_of_several_texts_is_found_once_by_the_likest() {
    let rng = &mut StdRng::seed_from_u64(11);
    let texts = [random(rng, WIDTH), random(rng, WIDTH), random(rng, WIDTH)];
    let draft = RulingDraft { examples: ["甲", "乙", "丙"].map(str::to_owned).to_vec(), ..case("r1", "", "城管") };
    let book = RulingBook::new(WIDTH, &[]).with(&[embedded(&draft, &texts)]);
    assert_eq!((book.texts(), book.is_empty()), (3, false));
    let found = book.precedents(&[&texts[1]], 5, -1.0, |_, _| true).remove(0);
    assert_eq!(found.len(), 1);
    assert!(found[0].similarity > 0.999);
}

#[test]
fn the_standing_rulings_that_fit_are_those_that_a_look_at_each_finds() {
    let rng = &mut StdRng::seed_from_u64(18);
    // So that some texts of a ruling are near and others are not, and more than one block of signs is full.
    let points = clustered(rng, WIDTH, 200, 9);
    let example = |i: usize| (0..1 + i % 3).map(|n| format!("例{n}")).collect::<Vec<_>>();
    let ruling = |i: usize| {
        let draft = RulingDraft { examples: example(i), ..standing(&format!("s{i:02}"), "路灯坏了", "城管") };
        let count = parsed(&draft).texts().len();
        embedded(&draft, &(0..count).map(|n| points[(i * 4 + n * 7) % 200].clone()).collect::<Vec<_>>())
    };
    let book = RulingBook::new(WIDTH, &[]).with(&(0..50).map(ruling).collect::<Vec<_>>());
    let day = "2026-03-01".parse().expect("a day");
    let mut found = 0;
    for book in [&book, &book.without("s07"), &book.without("s07").with(&[ruling(7)])] {
        for (point, least) in points.iter().step_by(5).flat_map(|point| [(point, 0.5), (point, 0.7), (point, 0.95)]) {
            let fitting = book.fitting(&Occasion { day, district: Place::named(""), words: "", embedding: point }, least);
            let fitting: BTreeSet<_> = fitting.into_iter().map(|one| one.ruling.id.clone()).collect();
            let each = book.standing_by_likeness(point).filter(|(_, likeness)| *likeness >= least);
            assert_eq!(fitting, each.map(|(ruling, _)| ruling.id.clone()).collect());
            found += fitting.len();
        }
    }
    assert!(found > 500, "{found}");
}

#[test]
fn only_what_is_in_force_counts_and_a_later_word_on_an_id_stands() {
    let point = random(&mut StdRng::seed_from_u64(12), WIDTH);
    let with = |status: &str| {
        let draft = RulingDraft { status: status.to_owned(), ..standing("r1", "路灯坏了", "城管") };
        embedded(&draft, std::slice::from_ref(&point))
    };
    let book = RulingBook::new(WIDTH, &[]).with(&[with("in_force")]);
    assert_eq!((book.standing().len(), book.texts()), (1, 1));
    for status in ["draft", "superseded", "withdrawn"] {
        let book = book.with(&[with(status)]);
        assert_eq!((book.standing().len(), book.texts()), (0, 0), "{status}");
    }
    let book = book.with(&[with("withdrawn"), with("in_force")]).with(&[with("in_force"), with("in_force")]);
    assert_eq!((book.standing().len(), book.texts()), (1, 1), "one id, one ruling");
    assert!(book.without("r1").is_empty());
}

/// The standing rulings that fit on a day in a district, by their ids.
fn fitting(drafts: &[RulingDraft], day: &str, district: &str, words: &str) -> Vec<String> {
    let point = random(&mut StdRng::seed_from_u64(13), WIDTH);
    let all: Vec<_> = drafts.iter().map(|draft| embedded(draft, std::slice::from_ref(&point))).collect();
    let book = RulingBook::new(WIDTH, &[]).with(&all);
    let occasion = Occasion { day: day.parse().expect("a day"), district: Place::named(district), words, embedding: &point };
    book.fitting(&occasion, 0.9).into_iter().map(|one| one.ruling.id.clone()).collect()
}

#[test]
fn the_higher_body_wins_then_the_later_decision_then_the_narrower_area() {
    let of = |id: &str, body: &str, day: &str, districts: &[&str]| RulingDraft {
        body: body.to_owned(),
        decided_on: day.to_owned(),
        districts: districts.iter().map(|one| (*one).to_owned()).collect(),
        ..standing(id, "路灯坏了", "城管")
    };
    let drafts = [
        of("city", "committee", "2026-01-02", &[]),
        of("two", "committee", "2026-01-02", &["东区", "西区"]),
        of("one", "committee", "2026-01-02", &["东区"]),
        of("later", "committee", "2026-01-03", &[]),
        of("higher", "government", "2026-01-01", &[]),
        of("meeting", "joint_meeting", "2026-02-01", &["东区"]),
    ];
    let found = fitting(&drafts, "2026-03-01", "东区", "路灯坏了");
    assert_eq!(found, ["higher", "later", "one", "two", "city", "meeting"]);
    assert_eq!(
        fitting(&drafts, "2026-03-01", "", "路灯坏了"),
        ["higher", "later", "city"],
        "no district, no district's ruling"
    );
    assert_eq!(fitting(&drafts, "2026-01-02", "南区", "路灯坏了"), ["higher", "city"], "none before its day");
}

#[test]
fn words_that_must_occur_and_words_that_must_not_keep_a_ruling_to_its_matter() {
    let words = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect();
    let draft = RulingDraft {
        required_words: words(&["路灯", "坏|不亮"]),
        forbidden_words: words(&["小区"]),
        ..standing("r1", "路灯坏了", "城管")
    };
    let fits = |text: &str| !fitting(std::slice::from_ref(&draft), "2026-03-01", "", text).is_empty();
    assert!(fits("门口的路灯不亮"));
    assert!(!fits("门口的路灯很亮"));
    assert!(!fits("小区的路灯坏了"));
}

#[test]
fn a_second_ruling_that_says_otherwise_is_reported() {
    let rng = &mut StdRng::seed_from_u64(14);
    let (here, far) = (random(rng, WIDTH), random(rng, WIDTH));
    let first = RulingDraft { districts: vec!["东区".to_owned()], ..standing("r1", "路灯坏了", "城管") };
    let book = RulingBook::new(WIDTH, &[]).with(&[embedded(&first, std::slice::from_ref(&here))]);
    let against = |draft: &RulingDraft, point: &Vec<f32>| {
        let found = book.contradictions(&embedded(draft, std::slice::from_ref(point)), None, 0.9);
        found.into_iter().map(|one| (one.ruling.id.clone(), one.wins)).collect::<Vec<_>>()
    };
    let second = RulingDraft { decided_on: "2026-02-01".to_owned(), ..standing("r2", "路灯不亮", "住建") };
    assert_eq!(against(&second, &here), [("r1".to_owned(), false)], "the later one would win");
    let lower = RulingDraft { body: "hotline_review".to_owned(), ..second.clone() };
    assert_eq!(against(&lower, &here), [("r1".to_owned(), true)]);
    let named = RulingDraft { matter: first.matter.clone(), ..second.clone() };
    assert_eq!(against(&named, &far), [("r1".to_owned(), false)], "the same matter by its name");
    for (why, harmless) in [
        ("the same lead", RulingDraft { lead: "城管".to_owned(), ..second.clone() }),
        ("another district", RulingDraft { districts: vec!["西区".to_owned()], ..second.clone() }),
        (
            "it ended before",
            RulingDraft { effective_from: "2025-01-01".to_owned(), effective_to: "2025-12-31".to_owned(), ..second.clone() },
        ),
        ("it takes its place", RulingDraft { supersedes: "r1".to_owned(), ..second.clone() }),
        ("a case", RulingDraft { scope: "case".to_owned(), ..second.clone() }),
        ("a draft", RulingDraft { status: "draft".to_owned(), ..second.clone() }),
    ] {
        assert_eq!(against(&harmless, &here), [], "{why}");
    }
    assert_eq!(against(&second, &far), [], "another matter");
}
