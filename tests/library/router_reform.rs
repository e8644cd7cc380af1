//! Answers across a reform of institutions: whoever took over is meant by every name, old and new.

use std::path::Path;
use std::sync::Arc;

use paidan::catalog::DepartmentCatalog;
use paidan::routing::{Decision, Ground, Router};
use paidan::rulings::RulingDraft;
use paidan::text::{Appeal, AppealFields};

use crate::catalogs;
use crate::drafts::{case, parsed, put};
use crate::support::{APPEALS, tiny_model};

/// The second catalogue with a text in one of its files put in the place of another.
fn router(model: &Path, file: &str, from: &str, to: &str) -> Router {
    let folder = tempfile::tempdir().expect("a folder");
    catalogs::write(folder.path(), catalogs::SECOND);
    let path = folder.path().join(file);
    let text = std::fs::read_to_string(&path).expect("a file");
    assert!(text.contains(from), "{text}");
    std::fs::write(&path, text.replacen(from, to, 1)).expect("written");
    let catalog = DepartmentCatalog::open(folder.path()).unwrap_or_else(|error| panic!("{error}"));
    Router::open(model).expect("a model").with_catalog(Arc::new(catalog)).expect("its departments")
}

fn route(router: &Router, day: &str, text: &str, proposed: &str) -> Decision {
    let fields = AppealFields {
        id: "1".to_owned(),
        text: text.to_owned(),
        received_at: day.to_owned(),
        proposed_departments: if proposed.is_empty() { Vec::new() } else { vec![proposed.to_owned()] },
        ..AppealFields::default()
    };
    let prepared = router.prepare(&Appeal::parse(fields).expect("an appeal")).expect("prepared");
    router.route(&[prepared]).expect("routed").remove(0)
}

/// 环保 was merged into 城管 on 2020-01-01.
#[test]
fn a_dispatch_to_a_merged_department_is_judged_the_same_by_each_of_its_names() {
    let model = tiny_model();
    let router = router(model.path(), "departments.toml", "successors = [\"生态环境\"]", "successors = [\"城管\"]");
    let risk = |day: &str, name: &str| route(&router, day, APPEALS[1], name).proposed_dispatch_risk.expect("a risk");
    let merged = risk("2020-02-01", "城管");
    for name in ["城管局乙", "环保"] {
        assert!((risk("2020-02-01", name) - merged).abs() < 1e-6, "{name}");
    }
    let apart = [risk("2019-12-01", "城管"), risk("2019-12-01", "环保")];
    assert!(apart.iter().all(|apart| *apart > merged), "both together are likelier than each: {apart:?} and {merged}");
}

/// The matter 施工 is led by 生态环境, which took over from 环保 on 2020-01-01.
#[test]
fn a_matter_whose_lead_is_still_to_be_founded_is_led_by_whom_it_takes_over_from() {
    let model = tiny_model();
    let router = router(model.path(), "matters.toml", "lead = \"住建\"", "lead = \"生态环境\"");
    let leads = |day: &str| {
        let decision = route(&router, day, APPEALS[4], "");
        let leads = decision.basis.iter().find_map(|ground| match ground {
            Ground::Matter { leads, .. } => Some(leads.iter().map(|one| one.id.clone()).collect::<Vec<_>>()),
            _ => None,
        });
        leads.unwrap_or_else(|| panic!("{:?}", decision.basis))
    };
    assert_eq!((leads("2019-12-01"), leads("2020-02-01")), (vec!["环保".to_owned()], vec!["生态环境".to_owned()]));
}

/// An order of before the reform is ruled on after it: 生态环境, which took over from 环保 on 2020-01-01, is to lead it.
#[test]
fn a_ruled_lead_that_was_founded_since_does_not_stand_beside_whom_it_was_made_of() {
    let model = tiny_model();
    let router = router(model.path(), "departments.toml", "id = \"环保\"", "id = \"环保\"");
    let ask = |day: &str, proposed: &str| route(&router, day, APPEALS[1], proposed);
    let before = ask("2019-12-01", "");
    let given = before.departments.iter().find(|one| one.department.id == "环保").expect("ranked").probability;
    let on_it = |lead: &str| parsed(&RulingDraft { orders: vec!["1".to_owned()], ..case("K-1", APPEALS[7], lead) });
    put(&router, &[on_it("生态环境")]);
    let decision = ask("2019-12-01", "环保");
    let ids: Vec<&str> = decision.departments.iter().map(|one| one.department.id.as_str()).collect();
    assert_eq!((ids[0], ids.len()), ("生态环境", before.departments.len()));
    assert!(!ids.contains(&"环保"), "{ids:?}");
    assert!((decision.lead().probability - given).abs() < 1e-6, "it is the same office");
    assert_eq!(decision.refused_proposals, [], "nor is it another that was proposed");
    // Whoever is there on the day speaks for itself, though others became it later.
    let merged = self::router(model.path(), "departments.toml", "successors = [\"生态环境\"]", "successors = [\"城管\"]");
    put(&merged, &[on_it("城管")]);
    let apart = route(&merged, "2019-12-01", APPEALS[1], "环保");
    assert_eq!((apart.departments.len(), apart.refused_proposals.len()), (before.departments.len(), 1));
}
