//! Standing rulings beside a catalogue: districts by whatever name, and leads that were split since.

use std::sync::Arc;

use paidan::catalog::{DepartmentCatalog, Place, file};
use paidan::disputes::{Obstacle, near_rulings};
use paidan::model::Calibration;
use paidan::routing::{Decision, Ground, ReviewReason, Router};
use paidan::rulings::{Dispute, EmbeddedRuling, Known, Occasion, RulingDraft};
use paidan::text::{Appeal, AppealFields};

use crate::drafts::{overlaps, parsed, put, standing};
use crate::support::{APPEALS, DEPARTMENTS, calibrate, only_itself, tiny_model};

const HEAD: &str = "version = \"1\"\ncity = \"测试市\"\ndisclaimer = \"仅供测试\"\n\
                    [[district]]\nname = \"东区\"\naliases = [\"东\", \"旧东县\"]\n[[district]]\nname = \"西区\"\n";

/// The model's departments, of which 住建 was split into 住房 and 建设. 总局, which the model never knew, was split into 供电, which it
/// knows, and 数据.
fn catalogue() -> Arc<DepartmentCatalog> {
    let folder = tempfile::tempdir().expect("a place for a catalogue");
    let all = || DEPARTMENTS.into_iter().chain(["住房", "建设", "数据", "总局"]);
    let department = |id: &str| {
        let more = match id {
            "住建" => "valid_to = 2025-12-31\nsuccessors = [\"住房\", \"建设\"]",
            "总局" => "valid_to = 2025-12-31\nsuccessors = [\"供电\", \"数据\"]",
            "住房" | "建设" | "数据" => "valid_from = 2026-01-01",
            _ => "",
        };
        format!(
            "[[department]]\nid = \"{id}\"\nname = \"{id}局\"\n{more}\n[[department.duty]]\ntext = \"{id}管理\"\n\
             basis = [{{ level = \"三定\" }}]\n"
        )
    };
    let unit = |id: &str| {
        let of = |more: &str| format!("[[unit]]\nname = \"{id}\"\ndepartment = \"{id}\"\n{more}");
        of("") + &of("district = \"东区\"\n") + &of("district = \"西区\"\n")
    };
    let texts = [HEAD.to_owned(), all().map(department).collect(), all().map(unit).collect(), String::new()];
    for (name, text) in file::ALL.into_iter().zip(texts) {
        std::fs::write(folder.path().join(name), text).expect("a file of the test");
    }
    Arc::new(DepartmentCatalog::open(folder.path()).unwrap_or_else(|error| panic!("{error}")))
}

fn router() -> (tempfile::TempDir, Router) {
    let folder = tiny_model();
    calibrate(folder.path(), &Calibration { precedents: only_itself(), ..Calibration::default() });
    let router = Router::open(folder.path()).expect("a model").with_catalog(catalogue()).expect("its departments");
    (folder, router)
}

fn ask(router: &Router, district: &str, returned: &[&str]) -> Decision {
    let fields = AppealFields {
        id: "1".to_owned(),
        text: APPEALS[0].to_owned(),
        received_at: "2026-03-01".to_owned(),
        district: district.to_owned(),
        ..AppealFields::default()
    };
    let mut prepared = router.prepare(&Appeal::parse(fields).expect("an appeal")).expect("prepared");
    prepared.objections = returned.iter().map(|id| overlaps(id)).collect();
    router.route(&[prepared]).expect("routed").remove(0)
}

fn applies(decision: &Decision) -> bool {
    decision.basis.iter().any(|ground| matches!(ground, Ground::StandingRuling { .. }))
}

fn lead(decision: &Decision) -> &str {
    &decision.lead().department.id
}

#[test]
fn a_ruling_whose_district_is_written_by_an_alias_holds_in_that_district() {
    let (_folder, router) = router();
    let known = Known::of_catalog(&router.catalog().expect("a catalogue"));
    let draft = RulingDraft { districts: vec!["东".to_owned(), "东区".to_owned()], ..standing("R-1", APPEALS[0], "供电") };
    let ruling = draft.parse(Some(&known)).expect("an alias is a name");
    assert_eq!(ruling.districts, ["东区"], "it is kept by the catalogue's name, once");
    // Recorded where there was no catalogue, or before the district had its present name.
    let old = RulingDraft { districts: vec!["旧东县".to_owned()], ..draft.clone() }.parse(None).expect("any name will do");
    for ruling in [ruling, old] {
        put(&router, &[Arc::new(ruling)]);
        for (district, holds) in [("东区", true), ("东", true), ("旧东县", true), ("西区", false), ("", false), ("南区", false)]
        {
            let decision = ask(&router, district, &[]);
            assert_eq!(applies(&decision), holds, "{district:?}");
            assert!(!holds || lead(&decision) == "供电");
        }
    }
    let unknown =
        RulingDraft { districts: vec!["南区".to_owned()], ..draft }.parse(Some(&known)).expect_err("no such district");
    assert!(unknown[0].to_string().contains("there are 东区, 西区"), "{}", unknown[0]);
}

#[test]
fn a_ruling_whose_lead_was_split_never_goes_to_the_successor_that_returned_the_order() {
    let (_folder, router) = router();
    put(&router, &[parsed(&standing("R-1", APPEALS[0], "住建"))]);
    let first = ask(&router, "东区", &[]);
    assert!(applies(&first) && ["住房", "建设"].contains(&lead(&first)), "{}", lead(&first));
    for (returned, other) in [("住房", "建设"), ("建设", "住房")] {
        let next = ask(&router, "东区", &[returned]);
        assert!(applies(&next), "the ruling still has a successor that has not returned it");
        assert_eq!(lead(&next), other);
        assert!(next.departments.iter().all(|one| one.department.id != returned));
    }
    let both = ask(&router, "东区", &["住房", "建设"]);
    assert!(!applies(&both) && both.contested_ruling.is_some(), "nobody of it is left: that is for the committee");
    assert!(!["住房", "建设"].contains(&lead(&both)));
    let precedents = |decision: &Decision| -> Vec<String> {
        let of = |ground: &Ground| match ground {
            Ground::Precedent { ruling, .. } => Some(ruling.id.clone()),
            _ => None,
        };
        decision.basis.iter().filter_map(of).collect()
    };
    assert!(precedents(&both).is_empty() && precedents(&first).is_empty(), "it is no precedent beside itself");
    // Where everybody but one successor returned it, that one leads, also by the ruling alone.
    let everybody: Vec<&str> = DEPARTMENTS.into_iter().filter(|id| *id != "住建").chain(["住房"]).collect();
    assert_eq!(lead(&ask(&router, "东区", &everybody)), "建设");
}

#[test]
fn of_a_ruling_whose_lead_was_split_all_successors_are_named_for_a_person_to_choose() {
    let (_folder, router) = router();
    let on_order =
        RulingDraft { orders: vec!["1".to_owned()], scope: "case".to_owned(), ..standing("K-1", APPEALS[7], "住建") };
    for (draft, said) in [(standing("R-1", APPEALS[0], "住建"), "按类案认定"), (on_order, "本工单已认定")] {
        put(&router, &[parsed(&draft)]);
        let decision = ask(&router, "东区", &[]);
        let mut first: Vec<&str> = decision.departments[..2].iter().map(|one| one.department.id.as_str()).collect();
        let names = first.iter().map(|id| format!("“{id}局”")).collect::<Vec<_>>().join("、");
        assert!(decision.reason.starts_with(said), "{}", decision.reason);
        assert!(decision.reason.contains(&format!("由{names}主办，请选定")), "{}", decision.reason);
        assert!(decision.review_reasons.contains(&ReviewReason::CloseSecond));
        let words = decision.review_words().join("；");
        assert!(words.contains(&format!("认定的主办单位已拆分，请在{names}中选定")), "{words}");
        first.sort_unstable();
        assert_eq!(first, ["住房", "建设"], "they stand before all others");

        let next = ask(&router, "东区", &["建设"]);
        assert_eq!((lead(&next), next.split_leads.len()), ("住房", 0));
        assert!(next.reason.contains("由“住房局”主办") && !next.review_reasons.contains(&ReviewReason::CloseSecond));
        assert!(next.departments.iter().all(|one| one.department.id != "建设"));
        let sum: f32 = next.departments.iter().map(|one| one.probability).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    }
}

#[test]
fn what_was_split_after_it_returned_the_order_goes_by_its_own_name_and_takes_nobody_along() {
    let (_folder, router) = router();
    let decision = ask(&router, "东区", &["住建"]);
    let Some(Ground::Returned { department, heirs, .. }) = decision.basis.first() else { panic!("{:?}", decision.basis) };
    assert_eq!((department.id.as_str(), department.name.as_str(), heirs.len()), ("住建", "住建局", 2));
    assert!(decision.reason.contains("“住建局”已退单"), "{}", decision.reason);
    assert!(decision.left_out().is_empty() && !decision.reason.contains("排除退单单位"), "{}", decision.reason);
    assert_eq!(decision.departments, ask(&router, "东区", &[]).departments);
}

#[test]
fn where_everybody_the_model_knows_returned_the_order_a_ruling_goes_to_who_has_not() {
    let (_folder, router) = router();
    let everybody: Vec<&str> = DEPARTMENTS.into_iter().filter(|id| *id != "住建").chain(["住房", "建设"]).collect();
    for ruled in ["数据", "总局"] {
        put(&router, &[parsed(&standing("R-1", APPEALS[0], ruled))]);
        let decision = ask(&router, "东区", &everybody);
        assert_eq!((lead(&decision), applies(&decision)), ("数据", true), "{ruled}: not to 供电, which returned it");
    }
}

/// A case file of an order from 旧东县, and a second ruling for 东区.
#[test]
fn whoever_asks_what_stands_in_a_rulings_way_knows_its_district_by_any_name_too() {
    let (_folder, router) = router();
    let catalog = router.catalog().expect("a catalogue");
    let of = |id: &str, district: &str, lead: &str| {
        let draft = RulingDraft { districts: vec![district.to_owned()], ..standing(id, APPEALS[0], lead) };
        EmbeddedRuling {
            ruling: Arc::new(draft.parse(None).expect("any name will do")),
            embeddings: router.embed(&[APPEALS[0]]).expect("embedded"),
        }
    };
    let old = of("R-1", "旧东县", "供电");
    let embedding = old.embeddings[0].clone();
    let book = router.empty_book().with(&[old]);
    let obstacles = |district: &str, catalog: Option<&DepartmentCatalog>| {
        let day = "2026-03-01".parse().expect("a day");
        let occasion = Occasion { day, district: Place::of(catalog, district), words: "", embedding: &embedding };
        near_rulings(&book, router.likeness(), &occasion, None, None).remove(0).obstacles
    };
    let elsewhere = [Obstacle::OtherDistrict { districts: vec!["旧东县".to_owned()] }];
    assert_eq!(obstacles("东", Some(&catalog)), [Obstacle::Passed], "it is no other district");
    assert_eq!(obstacles("西区", Some(&catalog)), elsewhere);
    assert_eq!(obstacles("东", None), elsewhere, "nobody knows that it is the same");

    let against = |district: &str| book.contradictions(&of("R-2", district, "城管"), Some(&catalog), 0.9).len();
    assert_eq!([against("东区"), against("旧东县"), against("西区")], [1, 1, 0]);

    let dispute = |district: &str| Dispute {
        id: "Q".to_owned(),
        order: "Q".to_owned(),
        matter: Vec::new(),
        texts: vec![APPEALS[0].to_owned()],
        embedding: embedding.clone(),
        lead: None,
        contesting: Vec::new(),
        district: district.to_owned(),
        day: "2026-02-01".parse().expect("a day"),
    };
    let today = "2026-03-01".parse().expect("a day");
    let covered = |district: &str| dispute(district).is_covered(&book, router.likeness(), Some(&catalog), today);
    assert_eq!([covered("东区"), covered("旧东县"), covered("西区"), covered("")], [true, true, false, false]);
}
