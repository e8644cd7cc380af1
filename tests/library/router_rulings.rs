//! What rulings do to an answer: a standing one that fits leads, visibly, and everything else stays as the model said it.

use std::sync::Arc;

use paidan::model::{Calibration, Likeness, StandingBound};
use paidan::routing::{Decision, Ground, ReviewReason, Router};
use paidan::rulings::{EmbeddedRuling, RulingBook, RulingDraft};
use paidan::text::{Appeal, AppealFields};

use crate::drafts::{self, case, embedded, standing};
use crate::support::{APPEALS, DEPARTMENTS, calibrate, tiny_model};

/// The tiny model's embeddings are random, and most texts are alike to it: only a text itself is as like as this.
const SIMILARITY: f32 = 0.995;

fn router_with(likeness: Likeness) -> (tempfile::TempDir, Router) {
    let folder = tiny_model();
    calibrate(folder.path(), &Calibration { precedents: likeness, ..Calibration::default() });
    let router = Router::open(folder.path()).expect("a model");
    (folder, router)
}

fn router() -> (tempfile::TempDir, Router) {
    let bound = |precision| Some(StandingBound { similarity: SIMILARITY, probability: 0.0, precision });
    router_with(Likeness { worded: bound(0.98), unworded: bound(0.97), precedent_similarity: SIMILARITY })
}

fn book(router: &Router, drafts: &[RulingDraft]) -> Arc<RulingBook> {
    let all: Vec<EmbeddedRuling> = drafts
        .iter()
        .map(|draft| {
            let ruling = drafts::parsed(draft);
            embedded(draft, &router.embed(&ruling.texts()).expect("embedded"))
        })
        .collect();
    Arc::new(router.empty_book().with(&all))
}

fn ask(router: &Router, text: &str, day: &str, district: &str) -> Decision {
    let fields = AppealFields {
        text: text.to_owned(),
        received_at: day.to_owned(),
        district: district.to_owned(),
        ..AppealFields::default()
    };
    let prepared = router.prepare(&Appeal::parse(fields).expect("an appeal")).expect("prepared");
    router.route(&[prepared]).expect("routed").remove(0)
}

fn decide(router: &Router, text: &str) -> Decision {
    ask(router, text, "2026-03-01", "东区")
}

/// Some department that the model does not put first for a text.
fn another(router: &Router, text: &str) -> String {
    decide(router, text).departments[2].department.id.clone()
}

fn standing_of(decision: &Decision) -> Option<&str> {
    decision.basis.iter().find_map(|ground| match ground {
        Ground::StandingRuling { ruling, .. } => Some(ruling.id.as_str()),
        _ => None,
    })
}

#[test]
fn a_standing_ruling_leads_and_the_models_opinion_stands_beside_it() {
    let (_folder, router) = router();
    let text = APPEALS[0];
    let without = decide(&router, text);
    let lead = another(&router, text);
    let support = DEPARTMENTS.iter().find(|id| **id != lead).expect("another").to_string();
    let draft = RulingDraft { supporting: vec![support.clone()], ..standing("R-1", text, &lead) };
    router.set_rulings(book(&router, &[draft])).expect("its own book");
    let with = decide(&router, text);
    assert_eq!(with.lead().department.id, lead);
    assert_eq!(with.lead().probability, without.departments[2].probability, "the model's probability, untouched");
    assert_eq!(with.model_opinion, without.departments);
    let others = |decision: &Decision| -> Vec<String> {
        decision.departments.iter().map(|one| one.department.id.clone()).filter(|id| *id != lead).collect()
    };
    assert_eq!(others(&with), others(&without), "the others stay in the model's order");
    assert!(with.needs_review() && with.review_reasons.contains(&ReviewReason::RulingDiffers));
    assert_eq!(with.supporting_departments[0].id, support);
    let Some(Ground::StandingRuling { ruling, similarity, precision, differs, .. }) = with.basis.first() else {
        panic!("the ruling is not told first: {:?}", with.basis)
    };
    assert_eq!((ruling.id.as_str(), *precision, *differs), ("R-1", 0.97, true));
    assert!(*similarity > 0.999);
    let Some(Ground::Model { alone, department, .. }) = with.basis.last() else { panic!("no model") };
    assert!(!alone);
    assert_eq!(department.id, without.lead().department.id);
    for told in ["按类案认定“事项R-1”", "认定委员会", "2026-01-10", "R-1", &lead, "与模型不一致", "模型首选"]
    {
        assert!(with.reason.contains(told), "{told} is not in {}", with.reason);
    }
    let citation = with.basis[0].to_string();
    assert!(citation.contains("相似度1.00") && citation.contains("97%"), "{citation}");
}

#[test]
fn a_standing_ruling_is_named_also_when_the_model_agrees_and_settles_a_close_race() {
    let (_folder, router) = router();
    let text = APPEALS[1];
    let without = decide(&router, text);
    assert!(without.review_reasons.contains(&ReviewReason::LowConfidence), "the tiny model is sure of nothing");
    router.set_rulings(book(&router, &[standing("R-1", text, &without.lead().department.id)])).expect("its own book");
    let with = decide(&router, text);
    assert_eq!(standing_of(&with), Some("R-1"));
    assert_eq!(with.departments, without.departments);
    assert_eq!(with.model_opinion, without.departments);
    let reasons = &with.review_reasons;
    assert!(!reasons.contains(&ReviewReason::RulingDiffers) && !reasons.contains(&ReviewReason::LowConfidence));
}

#[test]
fn a_ruling_for_a_department_that_the_model_was_never_taught_leads_too() {
    let (_folder, router) = router();
    router.set_rulings(book(&router, &[standing("R-1", APPEALS[0], "数据")])).expect("its own book");
    let decision = decide(&router, APPEALS[0]);
    assert_eq!((decision.lead().department.id.as_str(), decision.lead().probability), ("数据", 0.0));
    assert_eq!(decision.departments.len(), DEPARTMENTS.len() + 1);
}

#[test]
fn a_standing_ruling_keeps_to_its_days_and_its_districts() {
    let (_folder, router) = router();
    let text = APPEALS[0];
    let draft = RulingDraft {
        districts: vec!["东区".to_owned()],
        effective_to: "2026-06-30".to_owned(),
        ..standing("R-1", text, &another(&router, text))
    };
    router.set_rulings(book(&router, &[draft])).expect("its own book");
    for (day, district, applies) in [
        ("2026-03-01", "东区", true),
        ("2026-01-10", "东区", true),
        ("2026-01-09", "东区", false),
        ("2026-06-30", "东区", true),
        ("2026-07-01", "东区", false),
        ("2026-03-01", "西区", false),
        ("2026-03-01", "", false),
        ("", "东区", false),
    ] {
        let decision = ask(&router, text, day, district);
        assert_eq!(standing_of(&decision).is_some(), applies, "on {day:?} in {district:?}");
        assert_eq!(decision.model_opinion.is_empty(), !applies);
        let told = decision.basis.iter().any(|ground| matches!(ground, Ground::Precedent { .. }));
        let in_force = day.is_empty() || ("2026-01-10"..="2026-06-30").contains(&day);
        assert_eq!(told, in_force && !applies, "on {day:?} in {district:?} it is told as a precedent");
    }
}

#[test]
fn forbidden_words_keep_a_ruling_away_and_required_ones_let_it_in() {
    let (_folder, router) = router();
    let text = APPEALS[0];
    let lead = another(&router, text);
    for (required, forbidden, applies) in
        [("", "", true), ("路灯", "", true), ("信号灯", "", false), ("", "小区", false), ("路灯", "油烟", true)]
    {
        let words = |word: &str| Some(word.to_owned()).filter(|word| !word.is_empty()).into_iter().collect();
        let draft =
            RulingDraft { required_words: words(required), forbidden_words: words(forbidden), ..standing("R-1", text, &lead) };
        router.set_rulings(book(&router, &[draft])).expect("its own book");
        assert_eq!(standing_of(&decide(&router, text)).is_some(), applies, "required {required:?}, forbidden {forbidden:?}");
    }
}

#[test]
fn what_is_not_like_enough_changes_nothing() {
    let (_folder, router) = router();
    let (text, other) = (APPEALS[0], APPEALS[3]);
    let without = decide(&router, other);
    router.set_rulings(book(&router, &[standing("R-1", text, &another(&router, text))])).expect("its own book");
    assert_eq!(decide(&router, other), without);
}

#[test]
fn a_ruling_without_words_needs_a_model_that_holds_its_lead_possible() {
    let bound = |probability| Some(StandingBound { similarity: SIMILARITY, probability, precision: 0.97 });
    let (_folder, router) =
        router_with(Likeness { worded: bound(0.0), unworded: bound(0.9), precedent_similarity: SIMILARITY });
    let text = APPEALS[0];
    let bare = standing("R-1", text, &another(&router, text));
    let worded = RulingDraft { required_words: vec!["路灯".to_owned()], ..bare.clone() };
    for (draft, applies) in [(bare, false), (worded, true)] {
        router.set_rulings(book(&router, &[draft])).expect("its own book");
        assert_eq!(standing_of(&decide(&router, text)).is_some(), applies);
    }
}

#[test]
fn a_model_whose_likeness_was_never_measured_lets_no_ruling_apply_but_tells_precedents() {
    let (_folder, router) = router_with(Likeness::default());
    let text = APPEALS[0];
    let without = decide(&router, text);
    router.set_rulings(book(&router, &[standing("R-1", text, &another(&router, text))])).expect("its own book");
    let with = decide(&router, text);
    assert_eq!((standing_of(&with), &with.departments), (None, &without.departments));
    assert!(matches!(with.basis[0], Ground::Precedent { similarity, .. } if similarity > 0.999));
}

#[test]
fn a_precedent_is_told_and_moves_nothing() {
    let (_folder, router) = router();
    let text = APPEALS[4];
    let without = decide(&router, text);
    let drafts: Vec<RulingDraft> = (0..8).map(|i| case(&format!("C-{i}"), text, &another(&router, text))).collect();
    router.set_rulings(book(&router, &drafts)).expect("its own book");
    let with = decide(&router, text);
    assert_eq!(with.departments, without.departments);
    assert_eq!(with.review_reasons, without.review_reasons);
    let told: Vec<&str> = with
        .basis
        .iter()
        .filter_map(|ground| match ground {
            Ground::Precedent { ruling, agrees: false, .. } => Some(ruling.id.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(told, ["C-0", "C-1", "C-2", "C-3", "C-4"], "the likest five");
    assert!(with.reason.contains("相似先例“事项C-0”"), "{}", with.reason);
    assert!(matches!(with.basis.last(), Some(Ground::Model { alone: true, .. })));
    let earlier = ask(&router, text, "2026-01-09", "");
    assert_eq!(earlier.basis.len(), 1, "what was ruled later was not known yet");
}

#[test]
fn a_withdrawn_ruling_no_longer_counts_in_the_very_next_answer() {
    let (_folder, router) = router();
    let text = APPEALS[0];
    let without = decide(&router, text);
    let draft = standing("R-1", text, &another(&router, text));
    let first = book(&router, std::slice::from_ref(&draft));
    router.set_rulings(Arc::clone(&first)).expect("its own book");
    assert_eq!(standing_of(&decide(&router, text)), Some("R-1"));
    let withdrawn = RulingDraft { status: "withdrawn".to_owned(), ..draft };
    let texts = router.embed(&[text]).expect("embedded");
    router.set_rulings(Arc::new(first.with(&[embedded(&withdrawn, &texts)]))).expect("its own book");
    assert_eq!(decide(&router, text), without);
}

#[test]
fn a_ruling_is_embedded_as_an_appeal_is_and_an_appeal_is_embedded_once() {
    let (_folder, router) = router();
    let embeddings = router.embed(&APPEALS).expect("embedded");
    for (text, embedding) in APPEALS.iter().zip(&embeddings) {
        let routed = decide(&router, text).embedding;
        let cosine: f32 = routed.iter().zip(embedding).map(|(a, b)| a * b).sum();
        assert!(cosine > 0.9999, "{cosine}");
    }
    assert_eq!(router.embed(&[]).expect("nothing"), Vec::<Vec<f32>>::new());
}

#[test]
fn a_book_of_another_model_is_refused() {
    let (_folder, router) = router();
    let error = router.set_rulings(Arc::new(RulingBook::new(7, &[]))).expect_err("7 is not 32").to_string();
    assert!(error.contains("7 long"), "{error}");
}
