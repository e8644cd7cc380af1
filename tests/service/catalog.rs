//! A real server with a catalogue whose department list changes between two days: each answer is right for its day.

use std::collections::HashMap;
use std::sync::Arc;

use paidan::catalog::{DepartmentCatalog, file};
use paidan::model::{Calibration, DutyBound};
use paidan::routing::Router;
use paidan::rulings::{RulingBook, RulingDraft};
use paidan::server::proto::basis::Kind;
use paidan::server::proto::{ReviewReason, RouteAppealRequest, RouteAppealResponse, RouteAppealsRequest};
use prost_types::Timestamp;
use tokio_stream::StreamExt;

use crate::drafts::{embedded, standing};
use crate::service_support::{Running, config, text};
use crate::support::{APPEALS, DEPARTMENTS, calibrate, only_itself, tiny_model};

/// On 2026-03-01 环保 is renamed to 生态环境, 供电 and 水务 become 公用事业, 住建 is split into 住房 and 建设, 城管 keeps its id and
/// changes its name, 交警 stays as it is, and 数据 is founded.
const DEPARTMENTS_TOML: &str = r#"
department = [
  { id = "城管", name = "城管局", valid_to = 2026-02-28, duty = [{ text = "市容", words = ["垃圾|路灯|油烟"], basis = [{ level = "法规", document = "《市容条例》", article = "第二条" }] }] },
  { id = "城管", name = "综合执法局", valid_from = 2026-03-01, duty = [{ text = "市容", words = ["垃圾|路灯|油烟"], basis = [{ level = "三定" }] }] },
  { id = "交警", name = "交警支队", duty = [{ text = "交通", words = ["信号灯"], basis = [{ level = "三定" }] }] },
  { id = "住建", name = "住建局", valid_to = 2026-02-28, successors = ["住房", "建设"], duty = [{ text = "房屋", basis = [{ level = "三定" }] }] },
  { id = "住房", name = "住房局", valid_from = 2026-03-01, duty = [{ text = "住房", basis = [{ level = "三定" }] }] },
  { id = "建设", name = "建设局", valid_from = 2026-03-01, duty = [{ text = "工地", words = ["工地"], basis = [{ level = "三定" }] }] },
  { id = "环保", name = "环保局", valid_to = 2026-02-28, successors = ["生态环境"], duty = [{ text = "大气", basis = [{ level = "三定" }] }] },
  { id = "生态环境", name = "生态环境局", valid_from = 2026-03-01, duty = [{ text = "大气", basis = [{ level = "三定" }] }] },
  { id = "供电", name = "供电局", valid_to = 2026-02-28, successors = ["公用事业"], duty = [{ text = "供电", basis = [{ level = "三定" }] }] },
  { id = "水务", name = "水务局", valid_to = 2026-02-28, successors = ["公用事业"], duty = [{ text = "供水", basis = [{ level = "三定" }] }] },
  { id = "公用事业", name = "公用事业局", aliases = ["公用局"], valid_from = 2026-03-01, duty = [{ text = "水电", words = ["停水|停电"], basis = [{ level = "三定" }] }] },
  { id = "数据", name = "数据局", valid_from = 2026-03-01, duty = [{ text = "数据", basis = [{ level = "三定" }] }] },
]
"#;

const HEAD: &str = r#"
version = "7"
city = "测试市"
disclaimer = "仅供测试"
[[district]]
name = "东区"
[[district]]
name = "西区"
"#;

/// Any lead will do for these: the tiny model's weights are random. So each department leads a matter of its own.
fn matters() -> String {
    let all = DEPARTMENTS.map(|id| format!("\"{id}\"")).join(", ");
    format!(
        "[[matter]]\nid = \"施工\"\nname = \"施工噪声\"\nwords = [\"工地\", \"噪音|噪声\"]\nlead = \"住建\"\n\
         supporting = [\"环保\", \"水务\", \"供电\"]\ncontesting = [{all}]\n"
    )
}

fn units() -> String {
    let mut ids: Vec<&str> = DEPARTMENTS.to_vec();
    ids.extend(["住房", "建设", "生态环境", "公用事业", "数据"]);
    ids.iter()
        .map(|id| {
            format!(
                "[[unit]]\nname = \"市{id}中心\"\ndepartment = \"{id}\"\n\
                 [[unit]]\nname = \"东区{id}分局\"\ndepartment = \"{id}\"\ndistrict = \"东区\"\n\
                 [[unit]]\nname = \"西区{id}分局\"\ndepartment = \"{id}\"\ndistrict = \"西区\"\n"
            )
        })
        .collect()
}

fn catalogue() -> Arc<DepartmentCatalog> {
    catalogue_of(DEPARTMENTS_TOML)
}

fn catalogue_of(departments: &str) -> Arc<DepartmentCatalog> {
    let folder = tempfile::tempdir().expect("a place for a catalogue");
    for (name, text) in file::ALL.into_iter().zip([HEAD, departments, &units(), &matters()]) {
        std::fs::write(folder.path().join(name), text).expect("a file of the test");
    }
    Arc::new(DepartmentCatalog::open(folder.path()).unwrap_or_else(|error| panic!("{error}")))
}

async fn server() -> (tempfile::TempDir, Running) {
    let folder = tiny_model();
    let router = Router::open(folder.path()).expect("a model").with_catalog(catalogue()).expect("all are in it");
    let server = Running::start(&Arc::new(router), config()).await;
    (folder, server)
}

/// 2026-02-28 and 2026-03-01, 23:59:59 and 00:00:00 in China.
const EVE: i64 = 1_772_294_399;
const DAY: i64 = 1_772_294_400;

fn request(words: &str, seconds: i64, district: &str) -> RouteAppealRequest {
    let mut request = RouteAppealRequest { max_departments: 100, ..text(words) };
    let appeal = request.appeal.as_mut().expect("an appeal");
    appeal.receive_time = Some(Timestamp { seconds, nanos: 0 });
    appeal.district = district.to_owned();
    request
}

fn shares(answer: &RouteAppealResponse) -> HashMap<String, f32> {
    let share = |one: &paidan::server::proto::RankedDepartment| {
        (one.department.as_ref().expect("a department").id.clone(), one.probability)
    };
    answer.departments.iter().map(share).collect()
}

fn near(a: f32, b: f32) {
    assert!((a - b).abs() < 1e-4, "{a} is not {b}");
}

/// What must hold of an answer on the new day, given the one on the eve.
fn right_for_the_day(words: &str, before: &RouteAppealResponse, after: &RouteAppealResponse) {
    let (old, new) = (shares(before), shares(after));
    let names = |of: &HashMap<String, f32>| {
        let mut names: Vec<String> = of.keys().cloned().collect();
        names.sort();
        names
    };
    let mut known = DEPARTMENTS.map(str::to_owned).to_vec();
    known.sort();
    assert_eq!(names(&old), known, "{words}");
    let mut of_the_day = ["城管", "交警", "住房", "建设", "生态环境", "公用事业"].map(str::to_owned).to_vec();
    of_the_day.sort();
    assert_eq!(names(&new), of_the_day, "{words}: a new department that the model has never seen is not named");
    near(new["生态环境"], old["环保"]);
    near(new["公用事业"], old["供电"] + old["水务"]);
    near(new["住房"], old["住建"] / 2.0);
    near(new["建设"], old["住建"] / 2.0);
    near(new["交警"], old["交警"]);
    near(new.values().sum(), 1.0);
    assert!(after.departments.is_sorted_by(|a, b| a.probability >= b.probability));
    assert_eq!(after.lead_department.as_ref(), after.departments.first());

    let lead = after.lead_department.as_ref().and_then(|one| one.department.as_ref()).expect("a lead");
    let succession = after.basis.iter().find_map(|one| match &one.kind {
        Some(Kind::Succession(succession)) => Some((one.citation.as_str(), succession)),
        _ => None,
    });
    if lead.id == "交警" {
        assert_eq!(succession, None, "nothing happened to it");
    } else {
        let (citation, succession) = succession.unwrap_or_else(|| panic!("{words}: no succession in {after:#?}"));
        assert_eq!(succession.effective_date, "2026-03-01");
        assert!(succession.successors.iter().any(|successor| successor == lead), "{succession:?}");
        assert!(citation.contains("2026-03-01") && citation.contains(&lead.display_name), "{citation}");
        assert!(after.reason.contains("2026-03-01"), "{}", after.reason);
        if lead.id == "住房" || lead.id == "建设" {
            assert_eq!(succession.successors.len(), 2, "a split names all successors");
        }
    }
    assert!(!before.basis.iter().any(|one| matches!(one.kind, Some(Kind::Succession(_)))), "{words}: nothing happened yet");
    for (answer, district) in [(before, "东区"), (after, "东区")] {
        let lead = answer.lead_department.as_ref().and_then(|one| one.department.as_ref()).expect("a lead");
        let unit = answer.unit.as_ref().expect("a unit");
        assert_eq!((unit.display_name.clone(), unit.district.as_str()), (format!("{district}{}分局", lead.id), district));
        assert_eq!(answer.catalog_version, "7");
        assert!(matches!(answer.basis.last().and_then(|one| one.kind.as_ref()), Some(Kind::Model(_))));
    }
}

#[tokio::test]
async fn the_department_list_changes_overnight_and_every_answer_is_right_for_its_day() {
    let (_folder, server) = server().await;
    let mut client = server.client().await;
    for words in APPEALS {
        let before = client.route_appeal(request(words, EVE, "东区")).await.expect("an answer").into_inner();
        let after = client.route_appeal(request(words, DAY, "东区")).await.expect("an answer").into_inner();
        right_for_the_day(words, &before, &after);
    }
}

#[tokio::test]
async fn days_are_mixed_under_load_and_none_fails() {
    const ROUNDS: usize = 40;
    let (_folder, server) = server().await;
    let mut client = server.client().await;
    let items = (0..ROUNDS * APPEALS.len() * 2).map(|number| {
        let (words, seconds) = (APPEALS[number / 2 % APPEALS.len()], if number % 2 == 0 { EVE } else { DAY });
        RouteAppealsRequest { item_id: number.to_string(), request: Some(request(words, seconds, "东区")) }
    });
    let mut answers = client.route_appeals(tokio_stream::iter(items)).await.expect("a stream").into_inner();
    let mut by_number: HashMap<usize, RouteAppealResponse> = HashMap::new();
    while let Some(answer) = answers.next().await {
        let answer = answer.expect("the stream lives");
        match answer.result {
            Some(paidan::server::proto::route_appeals_response::Result::Response(response)) => {
                by_number.insert(answer.item_id.parse().expect("a number"), response);
            }
            other => panic!("{}: {other:?}", answer.item_id),
        }
    }
    assert_eq!(by_number.len(), ROUNDS * APPEALS.len() * 2, "every item is answered");
    for pair in 0..by_number.len() / 2 {
        right_for_the_day(APPEALS[pair % APPEALS.len()], &by_number[&(pair * 2)], &by_number[&(pair * 2 + 1)]);
    }
}

#[tokio::test]
async fn without_a_district_the_unit_is_the_citys_and_the_reason_says_why() {
    let (_folder, server) = server().await;
    let answer = server.client().await.route_appeal(request(APPEALS[0], EVE, "")).await.expect("an answer").into_inner();
    let unit = answer.unit.expect("a unit");
    assert!(unit.display_name.starts_with('市') && unit.district.is_empty(), "{unit:?}");
    assert!(answer.reason.contains("未填区，派市"), "{}", answer.reason);
}

#[tokio::test]
async fn a_matter_brings_supporting_departments_of_the_day_and_says_whether_it_agrees() {
    let (_folder, server) = server().await;
    let mut client = server.client().await;
    let words = "工地晚上施工噪音大,孩子没法睡";
    for (seconds, leads, support) in
        [(EVE, &["住建"][..], &["环保", "水务", "供电"][..]), (DAY, &["住房", "建设"], &["生态环境", "公用事业"])]
    {
        let answer = client.route_appeal(request(words, seconds, "东区")).await.expect("an answer").into_inner();
        let lead = answer.lead_department.and_then(|one| one.department).expect("a lead").id;
        let expected: Vec<&str> = support.iter().copied().filter(|id| *id != lead).collect();
        let got: Vec<&str> = answer.supporting_departments.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(got, expected, "the lead is {lead}");
        let matter = answer.basis.iter().find_map(|one| match &one.kind {
            Some(Kind::Matter(matter)) => Some(matter.clone()),
            _ => None,
        });
        let matter = matter.expect("the matter is cited");
        assert_eq!(matter.lead_departments.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), leads);
        assert_eq!(matter.lead_confirmed, leads.contains(&lead.as_str()));
        assert_eq!(answer.reason.contains("与建议主办不一致"), !matter.lead_confirmed, "{}", answer.reason);
    }
}

#[tokio::test]
async fn what_rests_on_nothing_but_the_model_says_so() {
    let (_folder, server) = server().await;
    let answer = server.client().await.route_appeal(request("很危险", EVE, "东区")).await.expect("an answer").into_inner();
    let [only] = answer.basis.as_slice() else { panic!("one basis, got {:?}", answer.basis) };
    let Some(Kind::Model(model)) = &only.kind else { panic!("{only:?}") };
    assert!(model.sole_basis);
    assert!(only.citation.ends_with("除模型外无其他依据"), "{}", only.citation);
    assert!(answer.reason.starts_with("仅依据模型判断"), "{}", answer.reason);
}

#[tokio::test]
async fn without_a_catalogue_the_answer_rests_on_the_model_and_has_no_unit() {
    let folder = tiny_model();
    let server = Running::start(&Arc::new(Router::open(folder.path()).expect("a model")), config()).await;
    let answer = server.client().await.route_appeal(request(APPEALS[0], DAY, "东区")).await.expect("an answer").into_inner();
    assert_eq!((answer.unit.as_ref(), answer.catalog_version.as_str()), (None, ""));
    assert!(matches!(answer.basis[..], [ref only] if matches!(only.kind, Some(Kind::Model(ref m)) if m.sole_basis)));
    assert!(shares(&answer).contains_key("环保"), "the model's own departments");
}

#[tokio::test]
async fn a_successor_may_be_proposed_by_its_new_name_from_its_first_day_on() {
    let (_folder, server) = server().await;
    let mut client = server.client().await;
    for name in ["公用事业", "公用事业局", "公用局"] {
        let proposed =
            |seconds| RouteAppealRequest { proposed_department: name.to_owned(), ..request(APPEALS[1], seconds, "东区") };
        let answer = client.route_appeal(proposed(DAY)).await.expect("an answer").into_inner();
        assert!(answer.proposed_dispatch_risk.is_some(), "{name}");
        client.route_appeal(proposed(EVE)).await.expect_err("it is not founded yet");
    }
}

#[tokio::test]
async fn a_department_that_the_model_has_never_seen_may_be_proposed_and_its_risk_is_left_open() {
    let (_folder, server) = server().await;
    let mut client = server.client().await;
    let proposed = |name: &str, seconds| RouteAppealRequest {
        proposed_department: name.to_owned(),
        ..request(APPEALS[1], seconds, "东区")
    };
    let before = client.route_appeal(request(APPEALS[1], DAY, "东区")).await.expect("an answer").into_inner();
    for name in ["数据", "数据局"] {
        let answer = client.route_appeal(proposed(name, DAY)).await.expect("an answer").into_inner();
        assert_eq!(answer.proposed_dispatch_risk, None, "{name}");
        assert!(answer.needs_review && answer.review_reasons.contains(&ReviewReason::NewDepartment.into()));
        assert!(answer.review_note.ends_with("拟派“数据局”为模型训练后新设，无法估计其退单可能"), "{}", answer.review_note);
        assert_eq!((answer.departments, answer.basis), (before.departments.clone(), before.basis.clone()));
    }
    let refused = client.route_appeal(proposed("数据", EVE)).await.expect_err("it is not founded yet");
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
}

#[test]
fn a_catalogue_without_a_department_of_the_model_is_refused_and_the_department_named() {
    let folder = tempfile::tempdir().expect("a place");
    let departments = "[[department]]\nid = \"城管\"\nname = \"城管\"\n[[department.duty]]\ntext = \"市容\"\nbasis = [{ level = \"三定\" }]\n";
    let head = HEAD.split("[[district]]").next().expect("a head");
    let unit = "[[unit]]\nname = \"市城管局\"\ndepartment = \"城管\"\n";
    for (name, text) in file::ALL.into_iter().zip([head, departments, unit, ""]) {
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    let catalog = Arc::new(DepartmentCatalog::open(folder.path()).expect("sound"));
    let model = tiny_model();
    let Err(error) = Router::open(model.path()).expect("a model").with_catalog(catalog) else { panic!("it is refused") };
    assert!(error.to_string().contains("the model's department \"交警\" is not in it"), "{error}");
}

#[tokio::test]
async fn a_ruling_names_who_its_departments_are_on_the_day_of_the_appeal() {
    let folder = tiny_model();
    calibrate(folder.path(), &Calibration { precedents: only_itself(), ..Calibration::default() });
    let router = Arc::new(Router::open(folder.path()).expect("a model").with_catalog(catalogue()).expect("all are in it"));
    let words = APPEALS[0];
    let embeddings = router.embed(&[words]).expect("embedded");
    let draft = RulingDraft { supporting: vec!["环保".to_owned()], ..standing("R-1", words, "水务") };
    router
        .set_rulings(Arc::new(RulingBook::new(embeddings[0].len(), &[]).with(&[embedded(&draft, &embeddings)])))
        .expect("set");
    let server = Running::start(&router, config()).await;
    let mut client = server.client().await;
    for (seconds, lead, unit, supporting) in
        [(EVE, "水务", "东区水务分局", "环保"), (DAY, "公用事业", "东区公用事业分局", "生态环境")]
    {
        let answer = client.route_appeal(request(words, seconds, "东区")).await.expect("an answer").into_inner();
        let first = answer.departments[0].department.as_ref().expect("a department");
        assert_eq!(first.id, lead);
        assert_eq!(answer.unit.expect("a unit").display_name, unit);
        assert_eq!(answer.supporting_departments[0].id, supporting);
        assert!(matches!(answer.basis[0].kind, Some(Kind::StandingRuling(_))), "{:?}", answer.basis);
        assert_eq!(
            shares(&RouteAppealResponse { departments: answer.model_opinion.clone(), ..RouteAppealResponse::default() }).len(),
            answer.departments.len()
        );
    }
}

#[tokio::test]
async fn a_founded_department_whose_duty_is_like_the_appeal_is_a_marked_candidate_from_its_first_day_on() {
    let folder = tiny_model();
    let duties = Some(DutyBound { similarity: 0.995, margin: 0.0, precision: 0.61 });
    calibrate(folder.path(), &Calibration { duties, ..Calibration::default() });
    let words = APPEALS[2];
    let catalogue = catalogue_of(&DEPARTMENTS_TOML.replace("text = \"数据\"", &format!("text = \"{words}\"")));
    let router = Router::open(folder.path()).expect("a model").with_catalog(catalogue).expect("all are in it");
    let server = Running::start(&Arc::new(router), config()).await;
    let mut client = server.client().await;
    let before = client.route_appeal(request(words, EVE, "东区")).await.expect("an answer").into_inner();
    let after = client.route_appeal(request(words, DAY, "东区")).await.expect("an answer").into_inner();
    assert!(!shares(&before).contains_key("数据"));
    let second = after.departments[1].clone();
    assert_eq!((second.department.expect("a department").id.as_str(), second.probability), ("数据", 0.0));
    assert_eq!(after.lead_department.as_ref(), after.departments.first());
    assert!(after.needs_review && after.review_reasons.contains(&ReviewReason::NewDepartment.into()));
    for line in [&after.review_note, &after.reason] {
        assert!(line.contains("“数据局”为模型训练后新设，按职责相似度列入，请核对"), "{line}");
    }
    let like = after.basis.iter().find_map(|one| match &one.kind {
        Some(Kind::LikeDuty(like)) => Some(like),
        _ => None,
    });
    let like = like.expect("it is told why");
    assert_eq!((like.duty.as_str(), like.measured_precision, like.documents.len()), (words, 0.61, 1));
    assert!(like.similarity > 0.999, "{like:?}");
}
