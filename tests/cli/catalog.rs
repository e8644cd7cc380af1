//! `paidan catalog`, and what `paidan route` and `paidan serve` make of a catalogue.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support;

const PLANTED: &str = "tests/catalog_faults";
const BUNDLED: &str = "catalog/haikou";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn paidan(args: &[&str], environment: &[(&str, PathBuf)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paidan"));
    command.current_dir(root()).args(args).stdin(Stdio::null()).env("NO_COLOR", "1");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PAIDAN_") {
            command.env_remove(&name);
        }
    }
    command.envs(environment.iter().map(|(name, value)| (name, value))).output().expect("paidan runs")
}

fn ended(output: Output, code: i32) -> (String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("what we print is UTF-8");
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    (out, err)
}

#[test]
fn check_names_each_planted_fault_by_file_and_line_and_exits_with_65() {
    let (_, err) = ended(paidan(&["catalog", "check", PLANTED], &[]), 65);
    let mut count = 0;
    for name in ["catalog.toml", "departments.toml", "units.toml", "matters.toml"] {
        let text = std::fs::read_to_string(root().join(PLANTED).join(name)).expect("a planted file");
        for (index, line) in text.lines().enumerate() {
            for words in line.split("#! ").skip(1) {
                let place = format!("{PLANTED}/{name}:{}: ", index + 1);
                let told = err.lines().any(|told| told.contains(&place) && told.contains(words.trim()));
                assert!(told, "{place}{words} is not in:\n{err}");
                count += 1;
            }
        }
    }
    assert!(count >= 20, "{count} faults are planted");
    assert_eq!(err.lines().count(), count, "one line a fault:\n{err}");
}

#[test]
fn check_says_what_a_sound_catalogue_holds_and_a_missing_one_exits_with_66() {
    let (out, _) = ended(paidan(&["catalog", "check", BUNDLED], &[]), 0);
    assert!(out.contains("is sound: 4 districts, 40 departments"), "{out}");
    assert_eq!(ended(paidan(&["catalog", "check"], &[]), 0).0, out, "the bundled one, unless another is named");
    let (_, err) = ended(paidan(&["catalog", "check", "no/such/folder"], &[]), 66);
    assert!(err.contains("no/such/folder"), "{err}");
}

#[test]
fn check_holds_a_catalogue_against_the_model_that_is_named_and_names_each_department_that_it_lacks() {
    let (model, folder) = (support::tiny_model(), tempfile::tempdir().expect("a place"));
    let named = model.path().to_str().expect("a path");
    let (out, _) = ended(paidan(&["catalog", "check", BUNDLED, "--model", named], &[]), 0);
    assert!(out.contains("is sound") && out.contains("it has all 6 departments of the model"), "{out}");
    for name in ["catalog.toml", "departments.toml", "units.toml", "matters.toml"] {
        let text = std::fs::read_to_string(root().join(BUNDLED).join(name)).expect("the bundled catalogue");
        let text = text.replace("\"供电\"", "\"电力\"").replace("\"水务\"", "\"供水\"");
        std::fs::write(folder.path().join(name), text).expect("a copy");
    }
    let other = folder.path().to_str().expect("a path");
    let (out, err) = ended(paidan(&["catalog", "check", other, "--model", named], &[]), 65);
    for id in ["供电", "水务"] {
        assert!(err.contains(&format!("the model's department \"{id}\" is not in it")), "{err}");
    }
    assert_eq!((out.as_str(), err.lines().count()), ("", 2), "one line a fault:\n{err}");
    // A model that is not there is told, one that is not named is not asked.
    ended(paidan(&["catalog", "check", other, "--model", "nowhere"], &[]), 66);
    ended(paidan(&["catalog", "check", other], &[]), 0);
    // One of its files for the folder.
    let (_, err) = ended(paidan(&["catalog", "check", &format!("{other}/units.toml")], &[]), 64);
    assert!(err.contains("units.toml: is a file; name the folder that has catalog.toml"), "{err}");
}

#[test]
fn show_prints_the_departments_of_a_day_with_the_disclaimer() {
    let (out, _) = ended(paidan(&["catalog", "show"], &[]), 0);
    assert!(out.contains("示例，不是官方文件"), "{out}");
    assert!(out.contains("市政设施管理"), "{out}");
    let (out, _) = ended(paidan(&["catalog", "show", "--on", "2018-01-31", "城管局"], &[]), 0);
    for words in ["2018-01-31", "城管 城市管理和综合执法", "龙华区城管局", "《城市市容和环境卫生管理条例》", "油烟  主办"]
    {
        assert!(out.contains(words), "{words} is not in {out}");
    }
    let (_, err) = ended(paidan(&["catalog", "show", "宇航局"], &[]), 65);
    assert!(err.contains("宇航局"), "{err}");
    ended(paidan(&["catalog", "show", "--on", "昨天"], &[]), 64);
}

#[test]
fn a_successor_is_shown_from_its_day_on() {
    let folder = tempfile::tempdir().expect("a place");
    let department = |id: &str, more: &str| {
        format!(
            "[[department]]\nid = \"{id}\"\nname = \"{id}局\"\n{more}\n[[department.duty]]\ntext = \"规划\"\nbasis = [{{ level = \"三定\" }}]\n"
        )
    };
    let departments =
        department("规划", "valid_to = 2018-12-31\nsuccessors = [\"自规\"]") + &department("自规", "valid_from = 2019-01-01");
    let unit = |id: &str| format!("[[unit]]\nname = \"市{id}局\"\ndepartment = \"{id}\"\n");
    let head = "version = \"1\"\ncity = \"测试市\"\ndisclaimer = \"仅供测试\"\n";
    for (name, text) in [
        ("catalog.toml", head.to_owned()),
        ("departments.toml", departments),
        ("units.toml", unit("规划") + &unit("自规")),
        ("matters.toml", String::new()),
    ] {
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    let environment = [("PAIDAN_CATALOG_PATH", folder.path().to_owned())];
    let show = |on: &str| ended(paidan(&["catalog", "show", "--on", on, "规划"], &environment), 0).0;
    assert!(show("2018-12-31").contains("规划 规划局"), "{}", show("2018-12-31"));
    let after = show("2019-01-01");
    assert!(after.contains("“规划局”自 2019-01-01 起由下列单位承接") && after.contains("自规 自规局"), "{after}");
}

#[test]
fn route_shows_reason_unit_and_basis_to_people_and_to_programs() {
    let args = ["route", "小区门口的路灯坏了很久没人修", "--district", "龙华区", "--received", "2018-03-01"];
    let (out, _) = ended(paidan(&args, &[]), 0);
    for words in ["理由  ", "派往  海口市龙华区市政维修管理中心", "依据  事项“路灯”", "依据  职责“市政设施管理"]
    {
        assert!(out.contains(words), "{words} is not in {out}");
    }
    let (out, _) = ended(paidan(&[&args[..], &["--json"]].concat(), &[]), 0);
    let answer: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(answer["unit"]["name"], "海口市龙华区市政维修管理中心");
    let kinds: Vec<&str> = answer["basis"].as_array().expect("a list").iter().filter_map(|one| one["kind"].as_str()).collect();
    assert_eq!(kinds, ["matter", "duty", "model"]);
    assert_eq!(answer["basis"][2]["alone"], false);
    assert!(answer["reason"].as_str().is_some_and(|reason| reason.contains("市政")), "{answer}");
}

#[test]
fn another_model_answers_without_a_catalogue_unless_one_is_named_and_then_each_of_its_departments_must_be_in_it() {
    let model = support::tiny_model();
    let environment = [("PAIDAN_MODEL", model.path().to_owned())];
    let (out, _) = ended(paidan(&["route", "路灯坏了", "--json"], &environment), 0);
    let answer: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((answer["unit"].is_null(), answer["catalog_version"].is_null()), (true, true));
    assert!(answer["reason"].as_str().is_some_and(|reason| reason.starts_with("仅依据模型判断")), "{answer}");
    let args = ["route", "路灯坏了", "--set", "catalog.path=tests/catalog_faults"];
    ended(paidan(&args, &environment), 65);
    let folder = tempfile::tempdir().expect("a place");
    for name in ["catalog.toml", "departments.toml", "units.toml", "matters.toml"] {
        let text = std::fs::read_to_string(root().join(BUNDLED).join(name)).expect("the bundled catalogue");
        std::fs::write(folder.path().join(name), text.replace("\"供电\"", "\"电力\"")).expect("a copy");
    }
    let path = format!("catalog.path={}", folder.path().display());
    let (_, err) = ended(paidan(&["serve", "--set", &path, "--address", "127.0.0.1:0"], &environment), 65);
    assert!(err.contains("the model's department \"供电\" is not in it"), "{err}");
}

#[test]
fn the_bundled_model_may_answer_without_its_catalogue() {
    let (out, _) = ended(paidan(&["route", "路灯坏了", "--set", "catalog.path=none"], &[]), 0);
    assert!(out.contains("理由  仅依据模型判断"), "{out}");
}
