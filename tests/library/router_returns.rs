//! What returns make of the router's ranking: who used to take over becomes likelier, by as much as was counted, and a department stays
//! as long as one of its units may still be the right one.

use std::sync::Arc;

use paidan::catalog::DepartmentCatalog;
use paidan::model::{Artifacts, Redispatches, Setting, Takeover};
use paidan::routing::{Decision, Ground, Objection, ReturnReason, Router};
use paidan::text::{Appeal, AppealFields};

use crate::catalogs;
use crate::drafts::overlaps;
use crate::support::{APPEALS, tiny_model};

/// The answer to the first appeal after its lead returned it, by a model that has counted so.
fn after_return(folder: &std::path::Path, counts: Redispatches) -> Decision {
    let mut artifacts = Artifacts::open(folder).expect("a model");
    artifacts.calibration.redispatches = counts;
    let router = Router::from_artifacts(artifacts, Setting::default()).expect("a router");
    let mut prepared = router.prepare(&Appeal::from_text(APPEALS[0]).expect("an appeal")).expect("prepared");
    let lead = router.route(std::slice::from_ref(&prepared)).expect("routed")[0].lead().department.id.clone();
    prepared.objections = vec![overlaps(&lead)];
    router.route(&[prepared]).expect("routed").remove(0)
}

#[test]
fn who_used_to_take_over_becomes_likelier_by_what_was_counted() {
    let folder = tiny_model();
    let plain = after_return(folder.path(), Redispatches::default());
    let Some(Ground::Returned { department: objector, .. }) = plain.basis.first() else { panic!("{:?}", plain.basis) };
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
        let returned = prepared.clone().returned(vec![overlaps(said)], None);
        let decisions = router.route(&[prepared, returned]).expect("routed");
        let named = |decision: &Decision| decision.departments.iter().any(|one| one.department.id == ranked);
        assert_eq!(decisions.iter().map(named).collect::<Vec<_>>(), [true, false], "{day}");
    }
}

/// A router with the first catalogue, and the department that leads the first appeal. Where its `file` has `from`, it has `to` instead,
/// of that department.
fn with_units(from: &str, to: &str) -> (tempfile::TempDir, Router, String) {
    let (model, folder) = (tiny_model(), tempfile::tempdir().expect("a folder"));
    catalogs::write(folder.path(), catalogs::FIRST);
    let router = Router::open(model.path()).expect("a model");
    let prepared = router.prepare(&Appeal::from_text(APPEALS[0]).expect("an appeal")).expect("prepared");
    let lead = router.route(&[prepared]).expect("routed")[0].lead().department.id.clone();
    let (path, of_lead) = (folder.path().join("units.toml"), |text: &str| text.replace("LEAD", &lead));
    let units = std::fs::read_to_string(&path).expect("a file");
    assert!(units.contains(&of_lead(from)), "{units}");
    std::fs::write(&path, units.replace(&of_lead(from), &of_lead(to))).expect("written");
    let catalog = DepartmentCatalog::open(folder.path()).unwrap_or_else(|error| panic!("{error}"));
    (model, router.with_catalog(Arc::new(catalog)).expect("its departments"), lead)
}

/// The first appeal from a district after returns: each by a unit, or by none of the lead's, and why.
fn from_district(router: &Router, district: &str, lead: &str, returns: &[(&str, ReturnReason)]) -> Decision {
    let fields = AppealFields {
        text: APPEALS[0].into(),
        received_at: "2026-03-01".into(),
        district: district.into(),
        ..AppealFields::default()
    };
    let prepared = router.prepare(&Appeal::parse(fields).expect("an appeal")).expect("prepared");
    let objection = |(unit, reason): &(&str, ReturnReason)| Objection {
        unit: Some(unit.replace("LEAD", lead)).filter(|unit| !unit.is_empty()),
        reason: *reason,
        ..overlaps(lead)
    };
    router.route(&[prepared.returned(returns.iter().map(objection).collect(), None)]).expect("routed").remove(0)
}

const CITY: &str = "市LEAD中心甲";
const EAST: &str = "东区LEAD分局甲";

#[test]
fn where_nobody_knows_the_district_a_department_of_several_is_asked_for_it_and_not_given_up() {
    let (_model, router, lead) = with_units("", "");
    let ask = |district: &str, returns: &[(&str, ReturnReason)]| from_district(&router, district, &lead, returns);
    let name = format!("{lead}局甲");
    let wrong = ReturnReason::WrongDistrict;
    for (district, unit, reason, who) in [
        ("", "", wrong, &name),
        ("南区", "", wrong, &name),
        ("", CITY, wrong, &CITY.replace("LEAD", &lead)),
        ("", CITY, ReturnReason::WrongLevel, &CITY.replace("LEAD", &lead)),
    ] {
        let next = ask(district, &[(unit, reason)]);
        assert_eq!((&next.lead().department.id, &next.unit), (&lead, &None), "{district:?} {unit:?} {reason:?}");
        assert!(next.left_out().is_empty());
        let told = format!("“{who}”已退单（{}）", reason.name());
        assert!(next.reason.contains(&told), "whom nobody reported did not return it: {}", next.reason);
        assert!(next.reason.ends_with("；具体单位待定，请补充所在区"), "{}", next.reason);
        let known = ask("东区", &[(unit, reason)]).unit.expect("it is known now");
        assert_eq!(known.name, EAST.replace("LEAD", &lead));
    }
    let all = ask("", &[("", wrong), (EAST, wrong)]);
    assert_ne!(all.lead().department.id, lead, "no district is left to be asked for");
    assert_eq!(all.left_out().len(), 1);
}

#[test]
fn a_department_of_the_whole_city_alone_has_no_other_district_to_be_asked_for() {
    let (_model, router, lead) =
        with_units("[[unit]]\nname = \"东区LEAD分局甲\"\ndepartment = \"LEAD\"\ndistrict = \"东区\"\n", "");
    for unit in ["", CITY] {
        let next = from_district(&router, "", &lead, &[(unit, ReturnReason::WrongDistrict)]);
        assert_ne!(next.lead().department.id, lead, "{unit:?}");
    }
    let known = from_district(&router, "东区", &lead, &[("", ReturnReason::WrongDistrict)]);
    assert!(known.reason.contains(&format!("；区级未列单位，派市{lead}中心甲")), "{}", known.reason);
}

#[test]
fn that_a_district_has_no_unit_is_not_said_where_its_unit_returned_the_order() {
    let (_model, router, lead) = with_units("", "");
    let ask = |reason| from_district(&router, "东区", &lead, &[(EAST, reason)]);
    let level = ask(ReturnReason::WrongLevel);
    assert_eq!(level.unit.as_ref().map(|unit| unit.name.clone()), Some(CITY.replace("LEAD", &lead)));
    assert!(level.reason.ends_with(&format!("；该区单位已退单，派市{lead}中心甲")), "{}", level.reason);
    let district = ask(ReturnReason::WrongDistrict);
    assert_eq!((&district.lead().department.id, &district.unit), (&lead, &None));
    assert!(district.reason.ends_with("；该区单位已退单，请核实所在区"), "{}", district.reason);
}
