//! What returns make of the router's ranking, beyond who is out: who used to take over becomes likelier, by as much as was counted.

use std::sync::Arc;

use paidan::catalog::{Day, DepartmentCatalog};
use paidan::model::{Artifacts, Redispatches, Setting, Takeover};
use paidan::routing::{Decision, Objection, ReturnReason, Router};
use paidan::text::{Appeal, AppealFields};

use crate::catalogs;
use crate::support::{APPEALS, tiny_model};

/// The answer to the first appeal after its lead returned it, by a model that has counted so.
fn after_return(folder: &std::path::Path, counts: Redispatches) -> Decision {
    let mut artifacts = Artifacts::open(folder).expect("a model");
    artifacts.calibration.redispatches = counts;
    let router = Router::from_artifacts(artifacts, Setting::default()).expect("a router");
    let mut prepared = router.prepare(&Appeal::from_text(APPEALS[0]).expect("an appeal")).expect("prepared");
    let lead = router.route(std::slice::from_ref(&prepared)).expect("routed")[0].lead().department.id.clone();
    let reason = ReturnReason::DutiesOverlap;
    prepared.objections =
        vec![Objection { department: lead, other_names: Vec::new(), unit: None, reason, day: Day::default() }];
    router.route(&[prepared]).expect("routed").remove(0)
}

#[test]
fn who_used_to_take_over_becomes_likelier_by_what_was_counted() {
    let folder = tiny_model();
    let plain = after_return(folder.path(), Redispatches::default());
    let Some(paidan::routing::Ground::Returned { department: objector, .. }) = plain.basis.first() else {
        panic!("{:?}", plain.basis)
    };
    let [first, .., last] = &plain.departments[..] else { panic!("several") };
    let mut counts = Redispatches::default();
    (0..30).for_each(|_| counts.add(&objector.id, &last.department.id));
    let info = Router::open(folder.path()).expect("a model").info().departments.clone();
    let takeover = Takeover::of(&counts, &info).expect("counted");
    let factor = |id: &str| takeover.factor(&[objector.id.as_str()], id);
    let counted = after_return(folder.path(), counts.clone());
    let odds = |decision: &Decision| {
        let of = |id: &str| decision.departments.iter().find(|one| one.department.id == id).expect("ranked").probability;
        of(&last.department.id) / of(&first.department.id)
    };
    let expected = odds(&plain) * factor(&last.department.id) / factor(&first.department.id);
    assert!(factor(&last.department.id) > 1.5, "there is something to see");
    assert!((odds(&counted) / expected - 1.0).abs() < 1e-3, "{} and not {expected}", odds(&counted));
    let sum: f32 = counted.departments.iter().map(|one| one.probability).sum();
    assert!((sum - 1.0).abs() < 1e-4, "{sum}");
}

/// 环保 became 生态环境 on 2020-01-01: whichever of the two an order's day has, it is one office that returns it.
#[test]
fn an_office_that_was_renamed_does_not_get_back_what_it_returned_under_its_other_name() {
    let (model, folder) = (tiny_model(), tempfile::tempdir().expect("a folder"));
    catalogs::write(folder.path(), catalogs::SECOND);
    let catalog = DepartmentCatalog::open(folder.path()).expect("a catalogue");
    let router = Router::open(model.path()).expect("a model").with_catalog(Arc::new(catalog)).expect("its departments");
    for (day, ranked, said) in [("2019-12-01", "环保", "生态环境"), ("2020-02-01", "生态环境", "环保")] {
        let fields = AppealFields { text: APPEALS[0].into(), received_at: day.into(), ..AppealFields::default() };
        let prepared = router.prepare(&Appeal::parse(fields).expect("an appeal")).expect("prepared");
        let objection = Objection {
            department: said.to_owned(),
            other_names: Vec::new(),
            unit: None,
            reason: ReturnReason::DutiesOverlap,
            day: Day::default(),
        };
        let returned = prepared.clone().returned(vec![objection], None);
        let decisions = router.route(&[prepared, returned]).expect("routed");
        let named = |decision: &Decision| decision.departments.iter().any(|one| one.department.id == ranked);
        assert_eq!(decisions.iter().map(named).collect::<Vec<_>>(), [true, false], "{day}");
    }
}
