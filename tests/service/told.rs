//! How the case file tells what happened: each ruling by its kind and its state, and a case only where there is one.

use paidan::server::proto::{
    DecidingBody, RecordRulingRequest, Ruling, RulingScope, RulingStatus, SupersedeRulingRequest, course_event,
};

use crate::database::databases;
use crate::disputes::{Place, lead, place, returned};
use crate::support::{APPEALS, DEPARTMENTS};

fn ruling(id: &str, scope: RulingScope, status: RulingStatus, order: &str) -> Ruling {
    Ruling {
        id: id.to_owned(),
        scope: scope.into(),
        status: status.into(),
        matter: "路灯".to_owned(),
        examples: vec![APPEALS[0].to_owned()],
        lead_department: DEPARTMENTS[0].to_owned(),
        orders: if order.is_empty() { Vec::new() } else { vec![order.to_owned()] },
        deciding_body: DecidingBody::Committee.into(),
        decision_date: "2026-03-01".to_owned(),
        ..Ruling::default()
    }
}

async fn record(place: &Place, ruling: Ruling, etag: &str) {
    let (ruling, etag, actor) = (Some(ruling), etag.to_owned(), "认定办".to_owned());
    let request = RecordRulingRequest { ruling, etag, actor, ..RecordRulingRequest::default() };
    place.rulings().await.record_ruling(request).await.expect("recorded");
}

/// What the file says of this kind, in its order.
async fn told(place: &Place, order: &str, kind: course_event::Kind) -> Vec<String> {
    let events = place.case_file(order).await.expect("a case file").case_file.expect("a file").events;
    events.into_iter().filter(|event| event.kind() == kind).map(|event| event.display_text).collect()
}

#[tokio::test]
async fn a_draft_is_no_decision_and_what_was_withdrawn_or_replaced_is_told_so() {
    use RulingStatus::{Draft, InForce, Withdrawn};
    for database in databases().await {
        let place = place(&database.url).await;
        place.route("Q1", APPEALS[1]).await;
        place.report(returned("Q1", DEPARTMENTS[1], "2026-03-02T02:00:00Z")).await.expect("an answer");
        for (status, etag) in [(Draft, ""), (InForce, "r1"), (Withdrawn, "r2")] {
            record(&place, ruling("K1", RulingScope::Case, status, "Q1"), etag).await;
        }
        record(&place, ruling("K2", RulingScope::Standing, InForce, "Q1"), "").await;
        let changed = Ruling { matter: "路灯不亮".to_owned(), ..ruling("K2", RulingScope::Standing, InForce, "Q1") };
        record(&place, changed, "r1").await;
        let successor = Some(ruling("K3", RulingScope::Case, InForce, "Q1"));
        let (id, etag, actor) = ("K2".to_owned(), "r2".to_owned(), "认定办".to_owned());
        let supersede = SupersedeRulingRequest { id, etag, successor, actor };
        place.rulings().await.supersede_ruling(supersede).await.expect("superseded");
        let lead = format!("：“{}局”主办", DEPARTMENTS[0]);
        let wanted = [
            format!("起草个案认定K1（未生效）{lead}"),
            format!("作出个案认定K1{lead}"),
            "撤回个案认定K1".to_owned(),
            format!("作出类案认定K2{lead}"),
            format!("修改类案认定K2{lead}"),
            "认定K2由K3替代，不再生效".to_owned(),
            format!("作出个案认定K3{lead}"),
        ];
        assert_eq!(told(&place, "Q1", course_event::Kind::Ruled).await, wanted, "{}", database.name);
    }
}

#[tokio::test]
async fn an_answer_is_told_by_the_kind_of_ruling_that_it_rests_on() {
    for database in databases().await {
        let place = place(&database.url).await;
        let model = lead(&place.route("Q1", APPEALS[0]).await);
        record(&place, ruling("S1", RulingScope::Standing, RulingStatus::InForce, ""), "").await;
        place.route("Q1", APPEALS[0]).await;
        record(&place, ruling("K1", RulingScope::Case, RulingStatus::InForce, "Q1"), "").await;
        place.route("Q1", APPEALS[0]).await;
        place.report(returned("Q1", DEPARTMENTS[1], "2026-03-02T02:00:00Z")).await.expect("an answer");
        // The trail is written behind the answers.
        let mut answers = Vec::new();
        while answers.len() < 3 {
            tokio::task::yield_now().await;
            answers = told(&place, "Q1", course_event::Kind::Answered).await;
        }
        let [plain, standing, own] = &answers[..] else { panic!("{answers:?}") };
        assert!(plain.starts_with(&format!("系统建议“{model}局”（概率")), "{}: {plain}", database.name);
        assert!(standing.starts_with(&format!("系统建议“{}局”（依类案认定S1", DEPARTMENTS[0])), "{standing}");
        assert!(own.starts_with(&format!("系统建议“{}局”（依本工单认定K1", DEPARTMENTS[0])), "{own}");
    }
}

#[tokio::test]
async fn an_order_that_came_back_once_shows_no_case_id_and_one_that_came_back_twice_shows_the_one_that_closes_it() {
    for database in databases().await {
        let place = place(&database.url).await;
        place.route("Q1", APPEALS[0]).await;
        place.report(returned("Q1", DEPARTMENTS[1], "2026-03-02T02:00:00Z")).await.expect("an answer");
        let once = place.case_file("Q1").await.expect("a case file");
        assert_eq!(once.case_file.expect("a file").case_id, "", "{}", database.name);
        assert!(once.page_html.contains("尚未成案") && !once.page_html.contains("案号"), "nor on the page");
        place.report(returned("Q1", DEPARTMENTS[2], "2026-03-02T03:00:00Z")).await.expect("an answer");
        let twice = place.case_file("Q1").await.expect("a case file");
        let case_id = twice.case_file.expect("a file").case_id;
        assert!(twice.page_html.contains(&format!("案号 {case_id}")));
        let ruling = Some(ruling("K1", RulingScope::Case, RulingStatus::InForce, ""));
        let request = RecordRulingRequest { ruling, case_id, actor: "认定办".to_owned(), ..RecordRulingRequest::default() };
        place.rulings().await.record_ruling(request).await.expect("it closes the case");
    }
}
