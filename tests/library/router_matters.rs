//! Several matters in one appeal, over a tiny model that is sure of itself: what the router promises of parts whatever the weights are.

use std::collections::BTreeSet;

use paidan::routing::{Decision, PreparedAppeal, ReviewReason, Router};
use paidan::text::Appeal;

use crate::support::{APPEALS, appeals_of_two_matters, sure_model};

/// A router whose answers are nearly certain, so that parts count.
fn router() -> (tempfile::TempDir, Router) {
    let folder = sure_model();
    let router = Router::open(folder.path()).expect("a model");
    (folder, router)
}

fn prepare(router: &Router, text: &str) -> PreparedAppeal {
    router.prepare(&Appeal::from_text(text).expect("an appeal")).expect("prepared")
}

fn decide(router: &Router, text: &str) -> Decision {
    router.route(&[prepare(router, text)]).expect("a decision").remove(0)
}

#[test]
fn an_appeal_of_two_matters_is_split_and_each_part_has_the_answer_that_it_has_alone() {
    let (_folder, router) = router();
    let mut split = 0;
    for text in appeals_of_two_matters() {
        let decision = decide(&router, &text);
        if decision.parts.is_empty() {
            assert!(!decision.review_reasons.contains(&ReviewReason::SeveralMatters));
            continue;
        }
        split += 1;
        assert_eq!(decision.review_reasons.last(), Some(&ReviewReason::SeveralMatters));
        let characters: Vec<char> = text.chars().collect();
        let leads: BTreeSet<&str> = decision.parts.iter().map(|part| part.departments[0].department.id.as_str()).collect();
        assert!(leads.len() == 2 && decision.parts.len() == 2, "{leads:?}");
        assert!(decision.parts.is_sorted_by(|a, b| a.chars.end <= b.chars.start));
        for part in &decision.parts {
            let own: String = characters[part.chars.start as usize..part.chars.end as usize].iter().collect();
            let alone = decide(&router, &own);
            assert_eq!(part.departments, alone.departments, "{own}");
            assert_eq!(part.reason, alone.reason);
        }
    }
    assert!(split > 5, "{split} of {}", appeals_of_two_matters().len());
}

#[test]
fn the_parts_of_an_appeal_do_not_depend_on_what_else_is_in_the_batch() {
    let (_folder, router) = router();
    let texts: Vec<String> = appeals_of_two_matters().into_iter().take(20).chain(APPEALS.map(str::to_owned)).collect();
    let together: Vec<PreparedAppeal> = texts.iter().map(|text| prepare(&router, text)).collect();
    let together = router.route(&together).expect("decisions");
    assert_eq!(together.len(), texts.len());
    for (text, decision) in texts.iter().zip(&together) {
        assert_eq!(*decision, decide(&router, text), "{text}");
    }
}

#[test]
fn only_a_text_that_may_fall_into_parts_costs_more_and_its_tokens_are_counted() {
    let (_folder, router) = router();
    for text in APPEALS {
        let appeal = prepare(&router, text);
        assert!(appeal.parts.is_empty());
        assert_eq!(appeal.tokens(), appeal.encoding.ids.len());
    }
    let appeal = prepare(&router, &appeals_of_two_matters()[0]);
    assert_eq!(appeal.parts.len(), 2);
    let parts: usize = appeal.parts.iter().map(|part| part.appeal.encoding.ids.len()).sum();
    assert_eq!(appeal.tokens(), appeal.encoding.ids.len() + parts);
    let long = prepare(&router, &format!("{}。另外，{}", APPEALS[0].repeat(200), APPEALS[1].repeat(200)));
    assert!(long.parts.iter().all(|part| part.appeal.encoding.ids.len() <= 128), "a long text is not paid for twice");
}

#[test]
fn the_whole_appeal_is_answered_as_if_it_had_no_parts() {
    let (_folder, router) = router();
    let with = prepare(&router, &appeals_of_two_matters()[0]);
    let without = PreparedAppeal { parts: Vec::new(), ..with.clone() };
    let (with, without) = (router.route(&[with]).expect("one").remove(0), router.route(&[without]).expect("one").remove(0));
    assert_eq!(with.departments, without.departments);
    assert_eq!((with.dispute_risk, &with.evidence), (without.dispute_risk, &without.evidence));
    assert!(without.parts.is_empty());
}
