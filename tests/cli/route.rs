//! `paidan route`: one appeal, one answer, for people and as JSON.

use paidan::model::file;
use paidan::routing::Router;
use paidan::text::Appeal;
use serde_json::Value;

use crate::place::{DATA, Place};
use crate::support;

#[test]
fn route_prints_the_ranked_departments_for_people() {
    let ended = Place::new().run(&["route", "小区门口的路灯坏了很久没人修", "--proposed", "供电"]).well();
    for word in ["承办单位", "  1  ", "%", "争议风险", "拟派供电", "模型"] {
        assert!(ended.out.contains(word), "{word} is not in {}", ended.out);
    }
    assert!(!ended.out.contains('\x1b'), "colours are for a terminal");
}

#[test]
fn route_reads_standard_input_and_prints_json() {
    let place = Place::new();
    for args in [&["route", "--json"][..], &["route", "-", "--json", "--top", "2"]] {
        let ended = place.run_with_input(args, "小区停电了,请问什么时候来电\n".as_bytes()).well();
        let answer: Value = serde_json::from_str(&ended.out).expect("JSON");
        let departments = answer["departments"].as_array().expect("a list");
        assert_eq!(departments.len(), if args.len() == 2 { 5 } else { 2 });
        let probabilities: Vec<f64> = departments.iter().filter_map(|d| d["probability"].as_f64()).collect();
        assert!(probabilities.is_sorted_by(|a, b| a >= b), "{probabilities:?}");
        assert_eq!(answer["parts"], serde_json::json!([]), "one matter");
        assert_eq!(answer["refused_proposals"], serde_json::json!([]), "nobody returned it, and no ruling is on it");
        assert!(
            answer["dispute_risk"].is_number() && answer["needs_review"].is_boolean() && answer["model_version"].is_string()
        );
    }
}

#[test]
fn route_prints_each_part_of_several_matters_as_json_and_for_people() {
    let (place, sure) = (Place::new(), support::sure_model());
    std::fs::copy(sure.path().join(file::WEIGHTS), place.path("model").join(file::WEIGHTS)).expect("copied");
    let router = Router::open(sure.path()).expect("a model");
    let parts = |text: &String| {
        let prepared = router.prepare(&Appeal::from_text(text).expect("an appeal")).expect("prepared");
        router.route(&[prepared]).expect("a decision").remove(0).parts
    };
    let texts = support::appeals_of_two_matters();
    let (text, parts) =
        texts.iter().map(|text| (text, parts(text))).find(|(_, parts)| !parts.is_empty()).expect("one is split");
    let answer: Value = serde_json::from_str(&place.run(&["route", "--json", text]).well().out).expect("JSON");
    let told = answer["parts"].as_array().expect("a list");
    assert_eq!(told.len(), parts.len());
    for (told, part) in told.iter().zip(&parts) {
        assert_eq!(told["start"], part.chars.start);
        assert_eq!(told["end"], part.chars.end);
        assert_eq!(told["departments"][0]["department"], part.departments[0].department.id.as_str());
        assert_eq!(told["reason"], part.reason.as_str());
    }
    let shown = place.run(&["route", text]).well().out;
    assert!(shown.contains("诉求1  ") && shown.contains("诉求2  "), "{shown}");
}

#[test]
fn route_refuses_what_is_no_appeal_and_says_the_way_out() {
    let place = Place::new();
    place.run(&["route", ""]).failed(DATA, &["text"]);
    place.run_with_input(&["route"], b"\xff\xfe").failed(DATA, &["UTF-8", "iconv"]);
    place.run_with_input(&["route"], &vec![b'a'; (1 << 20) + 1]).failed(DATA, &["replay"]);
    place.run_with_input(&["route"], "长".repeat(20_001).as_bytes()).failed(DATA, &["20"]);
    place.run(&["route", "路灯坏了", "--proposed", "城管局"]).failed(DATA, &["城管局", "did you mean"]);
}
