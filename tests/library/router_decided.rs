//! A ruling on the very order: which one counts of several that name it, and whether what was objected to the order still does.

use paidan::model::{Calibration, Likeness};
use paidan::routing::{Decision, Ground, Router};
use paidan::rulings::RulingDraft;
use paidan::text::{Appeal, AppealFields};

use crate::drafts::{case, overlaps, parsed, put, standing};
use crate::support::{APPEALS, DEPARTMENTS, calibrate, tiny_model};

fn router() -> (tempfile::TempDir, Router) {
    let folder = tiny_model();
    // Nothing is like enough: what is decided here is decided by the order's number.
    calibrate(folder.path(), &Calibration { precedents: Likeness::default(), ..Calibration::default() });
    let router = Router::open(folder.path()).expect("a model");
    (folder, router)
}

/// Order 1 of 东区, received on 1 March, which these returned, and whose case a ruling settled.
fn ask(router: &Router, returned: &[&str], settled_by: Option<&str>) -> Decision {
    let fields = AppealFields {
        id: "1".to_owned(),
        text: APPEALS[0].to_owned(),
        received_at: "2026-03-01".to_owned(),
        district: "东区".to_owned(),
        ..AppealFields::default()
    };
    let prepared = router.prepare(&Appeal::parse(fields).expect("an appeal")).expect("prepared");
    let objections = returned.iter().map(|id| overlaps(id)).collect();
    router.route(&[prepared.returned(objections, settled_by.map(str::to_owned))]).expect("routed").remove(0)
}

fn own(decision: &Decision) -> Option<&str> {
    match decision.basis.first() {
        Some(Ground::RulingOnOrder { ruling, .. }) => Some(&ruling.id),
        _ => None,
    }
}

fn ranked(decision: &Decision) -> Vec<&str> {
    decision.departments.iter().map(|one| one.department.id.as_str()).collect()
}

/// On order 1.
fn on_it(draft: RulingDraft) -> RulingDraft {
    RulingDraft { orders: vec!["1".to_owned()], ..draft }
}

#[test]
fn a_standing_ruling_that_was_made_of_an_order_does_not_undo_what_was_ruled_on_that_order() {
    let (_folder, router) = router();
    let own_case = on_it(case("K-1", APPEALS[1], "供电"));
    let later = RulingDraft { decided_on: "2026-06-01".to_owned(), ..on_it(standing("S-1", APPEALS[2], "水务")) };
    put(&router, &[parsed(&own_case), parsed(&later)]);
    let decision = ask(&router, &[], None);
    assert_eq!((own(&decision), ranked(&decision)[0]), (Some("K-1"), "供电"));
}

#[test]
fn a_standing_ruling_decides_an_order_that_it_was_made_of_on_its_days_and_in_its_place_or_if_it_settled_the_case() {
    let (_folder, router) = router();
    let made_of = || on_it(standing("S-1", APPEALS[2], "水务"));
    let later = || RulingDraft { effective_from: "2026-06-01".to_owned(), ..made_of() };
    let elsewhere = || RulingDraft { districts: vec!["西区".to_owned()], ..made_of() };
    for (draft, alone) in [(made_of(), true), (later(), false), (elsewhere(), false)] {
        put(&router, &[parsed(&draft)]);
        assert_eq!(own(&ask(&router, &[], None)).is_some(), alone);
        assert_eq!(own(&ask(&router, &[], Some("S-1"))), Some("S-1"), "it settled the case");
    }
}

#[test]
fn objections_are_settled_as_long_as_a_ruling_decides_the_order_and_count_again_when_none_does() {
    let (_folder, router) = router();
    let first = ranked(&ask(&router, &[], None))[0].to_owned();
    let lead = DEPARTMENTS.into_iter().find(|id| *id != first).expect("another");
    put(&router, &[parsed(&on_it(case("K-1", APPEALS[1], lead)))]);
    let settled = ask(&router, &[&first], Some("K-1"));
    assert_eq!((own(&settled), ranked(&settled)[0]), (Some("K-1"), lead));
    assert!(ranked(&settled).contains(&first.as_str()), "it stands among the others again");
    assert!(!settled.basis.iter().any(|ground| matches!(ground, Ground::Returned { .. })), "and is told no more");
    // Another took its place, and this server has not heard yet which one settles the case now.
    put(&router, &[parsed(&on_it(case("K-2", APPEALS[1], lead)))]);
    assert_eq!(own(&ask(&router, &[&first], Some("K-1"))), Some("K-2"));
    // It was withdrawn.
    put(&router, &[]);
    let open = ask(&router, &[&first], Some("K-1"));
    assert!(own(&open).is_none() && !ranked(&open).contains(&first.as_str()), "never to whoever had returned it");
}
