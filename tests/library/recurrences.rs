//! Disputes that come back, without a model: embeddings are given, so that what is alike is plain.

use std::sync::Arc;

use paidan::catalog::Day;
use paidan::model::{Likeness, StandingBound};
use paidan::rulings::{Dispute, MAX_DISPUTES, PositionDraft, Recurrences, RulingBook, RulingDraft, recurrences};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use crate::drafts::{case, clustered, embedded, parsed, standing, unit};

fn day(text: &str) -> Day {
    text.parse().expect("a day")
}

/// A dispute between 城管 and 供电, in the direction of an axis.
fn dispute(id: &str, axis: usize, text: &str, lead: &str) -> Dispute {
    let embedding = unit((0..8).map(|i| if i == axis { 1.0 } else { 0.05 }).collect());
    Dispute {
        id: id.to_owned(),
        order: format!("Q-{id}"),
        matter: Vec::new(),
        texts: vec![text.to_owned()],
        embedding,
        lead: Some(lead.to_owned()).filter(|lead| !lead.is_empty()),
        contesting: vec!["供电".to_owned(), "城管".to_owned()],
        district: String::new(),
        day: day("2026-01-05"),
    }
}

fn found(disputes: Vec<Dispute>) -> Recurrences {
    recurrences(disputes.into_iter().map(Arc::new).collect(), |_| false, 0.7)
}

fn members(found: &Recurrences) -> Vec<Vec<&str>> {
    found.groups.iter().map(|group| group.members.iter().map(String::as_str).collect()).collect()
}

/// Three about street lamps, two about water, one about nothing else.
fn lamps_and_water() -> Vec<Dispute> {
    vec![
        dispute("a", 0, "小区门口的路灯不亮，电话13812345678", "供电"),
        dispute("b", 0, "村里路灯坏了", "供电"),
        dispute("c", 0, "路灯晚上不亮", "城管"),
        dispute("d", 1, "家里停水两天", "水务"),
        dispute("e", 1, "早上又停水了", "水务"),
        dispute("f", 2, "公交车不来", "公交"),
    ]
}

#[test]
fn like_disputes_are_put_together_the_largest_group_first_with_what_is_known_of_it() {
    let mut disputes = lamps_and_water();
    disputes[1].day = day("2026-01-02");
    disputes[2].day = day("2026-03-09");
    let found = found(disputes);
    assert_eq!((found.disputes, found.covered, found.single, found.left_out), (6, 0, 1, 0));
    let [lamps, water] = found.groups.as_slice() else { panic!("{:?}", members(&found)) };
    assert_eq!((lamps.disputes, water.disputes), (3, 2));
    assert_eq!((lamps.first_day, lamps.last_day), (day("2026-01-02"), day("2026-03-09")));
    let counts: Vec<(&str, usize)> = lamps.leads.iter().map(|one| (one.department.as_str(), one.disputes)).collect();
    assert_eq!(counts, [("供电", 2), ("城管", 1)]);
    assert!((lamps.lead_share() - 2.0 / 3.0).abs() < 1e-6 && lamps.similarity > 0.99);
    assert!(lamps.matter.contains("路灯") && lamps.orders.len() == 3, "{lamps:?}");
}

#[test]
fn the_draft_is_a_standing_ruling_once_people_have_said_who_decided_and_when() {
    let lamps = found(lamps_and_water()).groups.remove(0).draft;
    assert_eq!((lamps.scope.as_str(), lamps.status.as_str(), lamps.lead.as_str()), ("standing", "draft", "供电"));
    assert_eq!(lamps.required_words, ["路灯"]);
    assert_eq!(lamps.examples.len(), 2, "the one that 城管 handled shows what the ruling may not cover: {lamps:?}");
    assert!(!lamps.examples.concat().contains("13812345678"), "{:?}", lamps.examples);
    let positions: Vec<(&str, &str)> =
        lamps.positions.iter().map(|one| (one.department.as_str(), one.statement.as_str())).collect();
    assert_eq!(positions, [("供电", ""), ("城管", "")]);
    let faults: Vec<String> = lamps.parse(None).expect_err("not yet").into_iter().map(|fault| fault.field).collect();
    assert_eq!(faults, ["body", "decided_on"]);
    parsed(&RulingDraft { body: "committee".to_owned(), decided_on: "2026-04-01".to_owned(), ..lamps });
}

#[test]
fn the_order_in_which_disputes_come_changes_nothing() {
    let mut rng = StdRng::seed_from_u64(7);
    let points = clustered(&mut rng, 32, 120, 9);
    let one = |(i, embedding): (usize, Vec<f32>)| {
        let lead = ["城管", "供电", "水务"][i % 3];
        Dispute {
            embedding,
            day: day(&format!("2026-01-{:02}", 1 + i % 28)),
            ..dispute(&format!("{i:03}"), 0, "路灯坏了", lead)
        }
    };
    let mut disputes: Vec<Dispute> = points.into_iter().enumerate().map(one).collect();
    let before = found(disputes.clone());
    assert!(before.groups.len() > 3, "{:?}", members(&before));
    for _ in 0..5 {
        disputes.shuffle(&mut rng);
        assert_eq!(found(disputes.clone()), before);
    }
    // Once more what is there already is no other dispute.
    disputes.extend(disputes.clone());
    assert_eq!(found(disputes), before);
}

#[test]
fn of_equally_large_groups_the_one_that_came_up_last_is_first() {
    let mut disputes: Vec<Dispute> =
        ["a", "b", "c", "d", "e", "f"].iter().enumerate().map(|(i, id)| dispute(id, i / 2, "停水了", "水务")).collect();
    disputes[3].day = day("2026-02-01");
    assert_eq!(members(&found(disputes)), [["c", "d"], ["a", "b"], ["e", "f"]], "then by id");
}

#[test]
fn a_large_group_that_shares_no_word_is_looked_at_closer() {
    // Four matters of one department: as like each other as the bound, and each much liker to itself.
    let matters = ["路灯坏了", "井盖丢失", "垃圾成堆", "广告牌破损"];
    let one = |i: usize| {
        let mut embedding = vec![0.0; 8];
        (embedding[0], embedding[4 + i % 4]) = (3f32.sqrt(), 1.0);
        Dispute { embedding: unit(embedding), ..dispute(&format!("{i:02}"), 0, matters[i % 4], "城管") }
    };
    let others = (0..4).map(|i| dispute(&format!("x{i}"), 1, "停水了", "水务"));
    let found = found((0..12).map(one).chain(others).collect());
    assert_eq!(found.groups.iter().map(|group| group.disputes).collect::<Vec<_>>(), [4, 3, 3, 3, 3]);
    assert!(found.groups[1..].iter().all(|group| !group.draft.required_words.is_empty()), "{found:#?}");
    // Nine of three kinds are few enough to be read at a glance.
    let few = recurrences((0..12).filter(|i| i % 4 < 3).map(|i| Arc::new(one(i))).collect(), |_| false, 0.7);
    assert_eq!(few.groups.iter().map(|group| group.disputes).collect::<Vec<_>>(), [9]);
}

#[test]
fn where_none_handled_more_than_half_the_draft_leaves_the_lead_to_people() {
    let halves = found(vec![dispute("a", 0, "路灯", "供电"), dispute("b", 0, "路灯", "城管")]).groups.remove(0);
    assert_eq!((halves.draft.lead.as_str(), halves.draft.examples.len()), ("", 2));
    let open = found(vec![dispute("a", 0, "路灯", ""), dispute("b", 0, "路灯", "")]).groups.remove(0);
    assert_eq!((open.leads.len(), open.lead_share(), open.draft.lead.as_str()), (0, 0.0, ""));
}

#[test]
fn what_a_standing_ruling_in_force_covers_is_left_out() {
    let bound = |similarity| Some(StandingBound { similarity, probability: 0.5, precision: 0.97 });
    let likeness = Likeness { worded: bound(0.8), unworded: bound(0.99), precedent_similarity: 0.7 };
    let disputes = lamps_and_water();
    let book = |draft: RulingDraft| RulingBook::new(8, &[]).with(&[embedded(&draft, &[disputes[0].embedding.clone()])]);
    let lamps = RulingDraft { required_words: vec!["路灯".to_owned()], ..standing("s1", "路灯坏了", "供电") };
    let covered = |book: &RulingBook, on: &str| {
        let all = disputes.iter().cloned().map(Arc::new).collect();
        recurrences(all, |dispute| dispute.is_covered(book, &likeness, None, day(on)), 0.7)
    };
    let after = covered(&book(lamps.clone()), "2026-02-01");
    assert_eq!((after.covered, after.groups.len(), after.disputes), (3, 1, 6));
    assert_eq!(covered(&book(lamps.clone()), "2026-01-09").covered, 0, "not in force yet");
    let elsewhere = RulingDraft { districts: vec!["龙华区".to_owned()], ..lamps.clone() };
    assert_eq!(
        covered(&book(elsewhere), "2026-02-01").covered,
        0,
        "where nobody knows the district only the whole city's count"
    );
    let others = RulingDraft { required_words: vec!["井盖".to_owned()], ..lamps.clone() };
    assert_eq!(covered(&book(others), "2026-02-01").covered, 0, "its words do not occur");
    let draft = RulingDraft { status: "draft".to_owned(), ..lamps };
    assert_eq!(covered(&book(draft), "2026-02-01").covered, 0, "a draft settles nothing");
}

#[test]
fn a_case_ruling_in_force_is_the_dispute_that_it_settled() {
    let draft = RulingDraft {
        matter: "市政/路灯".to_owned(),
        orders: vec!["Q1".to_owned()],
        excluded: vec!["城管".to_owned()],
        ..case("c1", "路灯坏了", "供电")
    };
    let axis = |i: usize| unit((0..8).map(|j| if i == j { 1.0 } else { 0.0 }).collect());
    let settled = Dispute::of(&embedded(&draft, &[axis(0)])).expect("a dispute");
    assert_eq!((settled.order.as_str(), settled.lead.as_deref(), settled.day), ("Q1", Some("供电"), day("2026-01-10")));
    assert_eq!(
        (settled.contesting, settled.matter),
        (vec!["城管".to_owned()], vec!["市政".to_owned(), "路灯".to_owned()]),
        "who was only ruled to lead contested nothing"
    );
    let said =
        ["水务", "供电"].map(|department| PositionDraft { department: department.to_owned(), ..PositionDraft::default() });
    let heard = RulingDraft { positions: said.to_vec(), ..draft.clone() };
    let heard = Dispute::of(&embedded(&heard, &[axis(0)])).expect("a dispute");
    assert_eq!(heard.contesting, ["水务", "供电", "城管"]);
    let withdrawn = RulingDraft { status: "withdrawn".to_owned(), ..draft.clone() };
    assert_eq!(Dispute::of(&embedded(&withdrawn, &[axis(0)])), None);
    assert_eq!(Dispute::of(&embedded(&standing("s1", "路灯坏了", "供电"), &[axis(0)])), None);
    assert_eq!(Dispute::of(&embedded(&draft, &[])), None, "nobody has read it yet");
}

#[test]
fn of_more_disputes_than_are_compared_the_latest_are() {
    let one = |i: usize| {
        let late = i.is_multiple_of(4_000);
        Dispute {
            day: day(if late { "2026-05-01" } else { "2026-01-01" }),
            ..dispute(&format!("{i:05}"), i % 8, "停水", "水务")
        }
    };
    // Two directions apart and few texts: what is measured here is only what is left out.
    let all = (0..MAX_DISPUTES + 3).map(|i| Arc::new(Dispute { embedding: vec![1.0], texts: Vec::new(), ..one(i) })).collect();
    let found = recurrences(all, |dispute| dispute.day < day("2026-05-01"), 0.9);
    assert_eq!((found.disputes, found.left_out, found.covered), (MAX_DISPUTES, 3, MAX_DISPUTES - 3));
    assert_eq!(members(&found), [["00000", "04000", "08000"]]);
}
