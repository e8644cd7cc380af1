//! A real server with a router whose book of rulings is exchanged while it serves.

use std::sync::Arc;

use paidan::model::Calibration;
use paidan::routing::Router;
use paidan::server::proto::basis::Kind;
use paidan::server::proto::{ReviewReason, RouteAppealResponse};

use crate::drafts::{case, embedded, standing};
use crate::service_support::{Running, config, text};
use crate::support::{APPEALS, calibrate, only_itself, tiny_model};

#[tokio::test]
async fn a_ruling_is_in_the_next_answer_with_the_models_opinion_beside_it_and_gone_in_the_one_after() {
    let folder = tiny_model();
    calibrate(folder.path(), &Calibration { precedents: only_itself(), ..Calibration::default() });
    let router = Arc::new(Router::open(folder.path()).expect("a model"));
    let server = Running::start(&router, config()).await;
    let mut client = server.client().await;
    let mut ask =
        async || -> RouteAppealResponse { client.route_appeal(text(APPEALS[0])).await.expect("an answer").into_inner() };

    let before = ask().await;
    assert!(before.model_opinion.is_empty());
    let lead = before.departments[1].department.clone().expect("a department").id;
    let embeddings = router.embed(&[APPEALS[0]]).expect("embedded");
    let all =
        [embedded(&standing("R-1", APPEALS[0], &lead), &embeddings), embedded(&case("C-1", APPEALS[0], &lead), &embeddings)];
    let book = router.empty_book().with(&all);
    router.set_rulings(Arc::new(book.clone())).expect("its own book");

    let with = ask().await;
    assert_eq!(with.lead_department, with.departments.first().cloned());
    assert_eq!(with.lead_department.expect("a lead").department.expect("a department").id, lead);
    assert_eq!(with.model_opinion, before.departments);
    assert!(with.review_reasons.contains(&ReviewReason::RulingDiffers.into()) && with.needs_review);
    assert!(with.review_note.contains("认定与模型不一致"), "{}", with.review_note);
    let Some(Kind::StandingRuling(ruling)) = with.basis[0].kind.clone() else { panic!("{:?}", with.basis) };
    assert_eq!((ruling.ruling_id.as_str(), ruling.deciding_body.as_str()), ("R-1", "认定委员会"));
    assert_eq!((ruling.decided_date.as_str(), ruling.measured_precision, ruling.model_differs), ("2026-01-10", 0.97, true));
    let Some(Kind::Precedent(precedent)) = with.basis[1].kind.clone() else { panic!("{:?}", with.basis) };
    assert_eq!((precedent.ruling_id.as_str(), precedent.standing, precedent.lead_confirmed), ("C-1", false, true));

    router.set_rulings(Arc::new(book.without("R-1").without("C-1"))).expect("its own book");
    let after = ask().await;
    assert_eq!((after.departments, after.basis, after.reason), (before.departments, before.basis, before.reason));
}
