//! The whole story on a real server: an appeal is answered, returned, answered again, returned again, becomes a case, is ruled on
//! by a standing ruling, and the next appeal like it goes right at once. The trail tells it all.

use paidan::server::proto::basis::Kind;
use paidan::server::proto::{
    CaseCause, DecidingBody, ListCasesRequest, RecordDispatchRequest, RecordRulingRequest, ReviewReason, RulingScope,
    RulingStatus, course_event,
};

use crate::database::databases;
use crate::disputes::{lead, place, reason, returned};
use crate::support::APPEALS;

#[tokio::test]
async fn an_appeal_that_nobody_wants_becomes_a_case_and_its_ruling_decides_the_next_one() {
    for database in databases().await {
        let place = place(&database.url).await;
        let first = place.route("20260302001", APPEALS[0]).await;
        let asked = lead(&first);
        let mut rulings = place.rulings().await;
        let dispatch = RecordDispatchRequest {
            order_id: "20260302001".to_owned(),
            department: asked.clone(),
            advised_department: asked.clone(),
            actor: "坐席一".to_owned(),
        };
        rulings.record_dispatch(dispatch).await.expect("recorded");

        let unit = first.unit.clone().expect("a unit").display_name;
        assert_eq!(unit, format!("东区{asked}分局"));
        let once = place.report(returned("20260302001", &unit, "2026-03-03T02:00:00Z")).await.expect("an answer");
        let next = once.next_answer.clone().expect("an answer");
        let second = lead(&next);
        assert_ne!(second, asked, "{}: whoever returned it does not get it again", database.name);
        assert!(next.departments.iter().all(|one| one.department.as_ref().expect("a department").id != asked));
        assert_eq!(once.excluded_departments.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), [asked.as_str()]);
        assert!(next.review_reasons.contains(&ReviewReason::Returned.into()) && next.needs_review);
        assert!(next.review_note.contains("已被退单"), "{}", next.review_note);
        assert!(next.reason.contains(&format!("“东区{asked}分局”已退单（职能交叉）")), "{}", next.reason);
        let sum: f32 = next.departments.iter().map(|one| one.probability).sum();
        assert!((sum - 1.0).abs() < 1e-4, "the rest share what there was: {sum}");
        assert_eq!((once.case_id.as_str(), once.return_count), ("", 1), "one return is no case");
        assert!(place.case_file("20260302001").await.expect("a course to look at").case_file.is_some());

        let twice = place.report(returned("20260302001", &second, "2026-03-05T02:00:00Z")).await.expect("an answer");
        assert_eq!(twice.case_cause(), CaseCause::ReturnedTwice);
        assert!(!twice.case_id.is_empty());
        let third = lead(twice.next_answer.as_ref().expect("an answer"));
        assert!(third != asked && third != second);

        let answer = place.case_file("20260302001").await.expect("a case file");
        let file = answer.case_file.expect("a case file");
        assert_eq!(file.case_id, twice.case_id);
        let sides: Vec<(String, bool)> =
            file.contesting_units.iter().map(|side| (side.department.clone().expect("whose").id, side.objecting)).collect();
        assert_eq!(sides, [(asked.clone(), true), (second.clone(), true), (third.clone(), false)], "no side is missing");
        assert_eq!(file.contesting_units[0].statements[0].note, "不是我单位职责");
        assert_eq!(file.contesting_units[0].duties[0].documents[0].article, "第二条", "each side with its article");
        assert_eq!(lead(file.opinion.as_ref().expect("the model's opinion")), asked);
        let draft = file.drafted_ruling.expect("a draft");
        assert_eq!((draft.scope(), draft.status()), (RulingScope::Case, RulingStatus::Draft));
        assert_eq!(draft.orders, ["20260302001"]);
        assert_eq!(draft.positions.len(), 2);
        assert!(file.draft_text.contains("认定意见（草案）") && file.draft_text.contains("不是我单位职责"));
        for part in ["责任认定案卷", "不是我单位职责", "第二条", "再次退单", "认定意见草案"] {
            assert!(answer.page_html.contains(part), "{part} is on the page");
        }
        let open = ListCasesRequest { open_only: true, ..ListCasesRequest::default() };
        let cases = place.disputes().await.list_cases(open.clone()).await.expect("cases").into_inner().cases;
        assert_eq!(cases.iter().map(|case| case.order_id.as_str()).collect::<Vec<_>>(), ["20260302001"]);

        // The committee takes the draft, makes it a standing ruling, and decides for the second unit.
        let ruling = paidan::server::proto::Ruling {
            scope: RulingScope::Standing.into(),
            status: RulingStatus::InForce.into(),
            lead_department: second.clone(),
            deciding_body: DecidingBody::Committee.into(),
            decision_date: "2026-03-09".to_owned(),
            effective_start_date: "2026-03-01".to_owned(),
            ..draft
        };
        let record = RecordRulingRequest {
            ruling: Some(ruling),
            actor: "认定办".to_owned(),
            case_id: file.case_id.clone(),
            ..RecordRulingRequest::default()
        };
        let recorded = rulings.record_ruling(record.clone()).await.expect("recorded").into_inner().ruling.expect("a ruling");
        let again = rulings.record_ruling(record).await.expect("said again").into_inner().ruling.expect("a ruling");
        assert_eq!(again.id, recorded.id, "a ruling that is recorded again is the same");
        assert!(place.disputes().await.list_cases(open).await.expect("cases").into_inner().cases.is_empty());

        // The next like appeal goes right at once, by the ruling.
        let like = place.route("20260310009", APPEALS[0]).await;
        assert_eq!(lead(&like), second);
        assert!(matches!(&like.basis[0].kind, Some(Kind::StandingRuling(basis)) if basis.ruling_id == recorded.id));

        // And whoever was settled cannot be disputed again by returning it.
        let late = place.report(returned("20260302001", &third, "2026-03-11T02:00:00Z")).await.expect_err("settled");
        assert_eq!((late.code(), reason(&late).as_str()), (tonic::Code::FailedPrecondition, "ORDER_SETTLED"));
        let known = place.report(returned("20260302001", &unit, "2026-03-03T02:00:00Z")).await.expect("known already");
        assert_eq!(known.return_count, 2, "a report that was heard before is answered as before");

        let closed = place.case_file("20260302001").await.expect("a case file").case_file.expect("a case file");
        assert_eq!(closed.closing_ruling.expect("the ruling").id, recorded.id);
        let kinds: Vec<course_event::Kind> = closed.events.iter().map(|event| event.kind()).collect();
        for kind in [
            course_event::Kind::Answered,
            course_event::Kind::Dispatched,
            course_event::Kind::Returned,
            course_event::Kind::CaseOpened,
            course_event::Kind::Ruled,
            course_event::Kind::Closed,
        ] {
            assert!(kinds.contains(&kind), "{kind:?} is missing from {kinds:?}");
        }

        // A return of an order that falls under the standing ruling, by its lead, is a case at once.
        let contest = place.report(returned("20260310009", &second, "2026-03-11T02:00:00Z")).await.expect("an answer");
        assert_eq!(
            (contest.case_cause(), contest.contested_ruling_id.as_str()),
            (CaseCause::ContestsRuling, recorded.id.as_str())
        );
        let next = contest.next_answer.expect("an answer");
        assert_ne!(lead(&next), second);
        assert!(
            next.basis
                .iter()
                .any(|basis| matches!(&basis.kind, Some(Kind::ContestedRuling(one)) if one.ruling_id == recorded.id))
        );
        let file = place.case_file("20260310009").await.expect("a case file").case_file.expect("a case file");
        assert_eq!(file.near_rulings[0].obstacles[0], "其主办单位已退单，待裁定");
        assert_eq!(file.drafted_ruling.expect("a draft").lead_department, second, "a ruling holds until somebody changes it");

        let trail = place.store.audit_of_order("20260302001").await.expect("a trail");
        let actions: Vec<&str> = trail.iter().map(|entry| entry.action.as_str()).collect();
        for action in ["answered", "dispatched", "returned", "case_opened", "ruling_recorded", "case_closed"] {
            assert!(actions.contains(&action), "{action} is missing from {actions:?}");
        }
        assert!(trail.iter().all(|entry| !entry.detail.contains("不是我单位职责")), "no words of anybody in the trail");
        assert_eq!(place.store.verify_audit(10, |_, _| {}).await.expect("a trail").1, []);
    }
}
