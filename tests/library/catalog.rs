//! The dispatch catalogue: every fault is named by file and line, and a day decides who answers for an id.

use std::path::Path;

use paidan::catalog::{CatalogError, Day, DepartmentCatalog, InForce, file};

const HEAD: &str = r#"
version = "1"
city = "测试市"
disclaimer = "仅供测试"
[[district]]
name = "东区"
aliases = ["东"]
[[district]]
name = "西区"
"#;

const UNITS: &str = r#"
[[unit]]
name = "东区分局"
department = "甲"
district = "东区"
[[unit]]
name = "西区分局"
department = "甲"
district = "西区"
[[unit]]
name = "西区河边街道办"
department = "甲"
district = "西区"
words = ["河边"]
[[unit]]
name = "市局"
department = "甲"
"#;

fn folder(files: [&str; 4]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a place for a catalogue");
    for (name, text) in file::ALL.into_iter().zip(files) {
        std::fs::write(folder.path().join(name), text).expect("a file of the test");
    }
    folder
}

fn department(id: &str, more: &str) -> String {
    format!("[[department]]\nid = \"{id}\"\nname = \"{id}局\"\n{more}\n{DUTY}\n")
}

const DUTY: &str = "[[department.duty]]\ntext = \"做事\"\nbasis = [{ level = \"三定\" }]";

fn city_unit(department: &str) -> String {
    format!("[[unit]]\nname = \"市{department}局\"\ndepartment = \"{department}\"\n")
}

/// A catalogue with these departments, each with a unit for the whole city.
fn catalogue(departments: &[(&str, &str)]) -> DepartmentCatalog {
    let texts: String = departments.iter().map(|(id, more)| department(id, more)).collect();
    let mut ids: Vec<&str> = departments.iter().map(|(id, _)| *id).collect();
    ids.dedup();
    let units: String = ids.into_iter().map(city_unit).collect();
    // Districts need a unit of their own; these tests are not about them.
    let head = HEAD.split("[[district]]").next().expect("a head");
    DepartmentCatalog::open(folder([head, &texts, &units, ""]).path()).expect("a sound catalogue")
}

fn day(text: &str) -> Day {
    text.parse().expect("a day")
}

fn in_force(catalog: &DepartmentCatalog, id: &str, on: &str) -> Vec<String> {
    catalog.in_force(id, day(on)).departments().iter().map(|department| department.name.clone()).collect()
}

fn faults(folder: &Path) -> Vec<(String, usize, String)> {
    match DepartmentCatalog::open(folder) {
        Err(CatalogError::Faulty { faults, .. }) => faults
            .into_iter()
            .map(|fault| {
                let name = Path::new(&*fault.file).file_name().expect("a file").to_string_lossy().into_owned();
                (name, fault.line, fault.reason)
            })
            .collect(),
        other => panic!("no faults in {other:?}"),
    }
}

/// A comment `#! words` in a planted file says: this line has a fault, and it is told with these words.
fn planted(files: [&str; 4]) -> Vec<(String, usize, String)> {
    let mut all = Vec::new();
    for (name, text) in file::ALL.into_iter().zip(files) {
        for (index, line) in text.lines().enumerate() {
            for words in line.split("#! ").skip(1) {
                all.push((name.to_owned(), index + 1, words.trim().to_owned()));
            }
        }
    }
    all.sort();
    all
}

const PLANTED_HEAD: &str = include_str!("../catalog_faults/catalog.toml");
const PLANTED_DEPARTMENTS: &str = include_str!("../catalog_faults/departments.toml");
const PLANTED_UNITS: &str = include_str!("../catalog_faults/units.toml");
const PLANTED_MATTERS: &str = include_str!("../catalog_faults/matters.toml");

#[test]
fn twenty_planted_faults_are_all_named_by_file_and_line_and_nothing_else_is() {
    let files = [PLANTED_HEAD, PLANTED_DEPARTMENTS, PLANTED_UNITS, PLANTED_MATTERS];
    let planted = planted(files);
    assert!(planted.len() >= 20, "{} are planted", planted.len());
    let found = faults(folder(files).path());
    for (file, line, words) in &planted {
        let told = found.iter().any(|fault| &fault.0 == file && fault.1 == *line && fault.2.contains(words.as_str()));
        assert!(told, "{file}:{line}: {words:?} was not found; found were:\n{found:#?}");
    }
    for (file, line, reason) in &found {
        let meant = planted.iter().any(|fault| &fault.0 == file && fault.1 == *line && reason.contains(fault.2.as_str()));
        assert!(meant, "{file}:{line}: {reason} is not planted");
    }
    assert_eq!(found.len(), planted.len(), "{found:#?}");
}

#[test]
fn a_file_that_is_no_toml_is_one_fault_and_the_other_files_are_read_nevertheless() {
    let broken = department("甲", "").replace("name = ", "name ");
    let units = UNITS.replace("words = ", "wrods = [\"桥\"]\nwords = ");
    let found = faults(folder([HEAD, &broken, &units, ""]).path());
    let names: Vec<(&str, usize)> = found.iter().map(|(name, line, _)| (name.as_str(), *line)).collect();
    assert_eq!(names, [("departments.toml", 3), ("units.toml", 14)], "{found:#?}");
    assert!(found[0].2.starts_with("no TOML"), "{found:#?}");
}

#[test]
fn a_file_that_is_missing_or_misspelt_is_named() {
    let folder = folder([HEAD, &department("甲", ""), UNITS, ""]);
    std::fs::rename(folder.path().join("matters.toml"), folder.path().join("maters.toml")).expect("renamed");
    let found = faults(folder.path());
    assert_eq!(found[0].2, "no file of a catalogue (did you mean \"matters.toml\"?)");
    assert_eq!((found[1].0.as_str(), found[1].2.as_str()), ("matters.toml", "the file is missing"));
    let nowhere = DepartmentCatalog::open(&folder.path().join("nowhere"));
    assert!(matches!(nowhere, Err(CatalogError::Unreadable { .. })), "{nowhere:?}");
}

#[test]
fn the_unit_is_the_districts_own_and_without_a_district_the_citys() {
    let catalog = DepartmentCatalog::open(folder([HEAD, &department("甲", ""), UNITS, ""]).path()).expect("sound");
    let unit = |district: &str, text: &str| {
        let on = day("2026-01-01");
        catalog.unit("甲", catalog.district(district), text, on).map(|unit| unit.name.as_str())
    };
    assert_eq!(unit("东区", "路灯坏了"), Some("东区分局"));
    assert_eq!(unit("东", "路灯坏了"), Some("东区分局"), "an alias will do");
    assert_eq!(unit("西区", "路灯坏了"), Some("西区分局"));
    assert_eq!(unit("西区", "河边路灯坏了"), Some("西区河边街道办"), "the street is named");
    assert_eq!(unit("", "路灯坏了"), Some("市局"));
    assert_eq!(unit("南区", "路灯坏了"), Some("市局"), "a district that nobody knows");
    assert_eq!(unit("", "河边路灯坏了"), Some("西区河边街道办"), "no district, but a street that only one unit has");
    assert_eq!(unit("东区", "河边路灯坏了"), Some("东区分局"), "a street of another district does not count");
}

#[test]
fn a_name_may_pass_to_another_department_but_never_mean_two_at_once() {
    let departments = department("规划", "valid_to = 2018-12-31\nsuccessors = [\"自规\"]")
        + &department("自规", "valid_from = 2019-01-01\naliases = [\"规划\", \"规划局\", \"自规\"]");
    let units = ["规划", "自规"].map(city_unit).concat();
    let head = HEAD.split("[[district]]").next().expect("a head");
    DepartmentCatalog::open(folder([head, &departments, &units, ""]).path()).expect("one after the other");
    let found = faults(folder([head, &departments.replace("2018-12-31", "2019-01-01"), &units, ""]).path());
    let told: Vec<(usize, &str)> = found.iter().map(|(_, line, reason)| (*line, reason.as_str())).collect();
    let line = 1 + department("规划", "valid_to = 2018-12-31\nsuccessors = [\"自规\"]").lines().count();
    assert_eq!(
        told,
        [
            (line, "ambiguous alias: \"规划\" is also the id of department \"规划\" on line 1 at the same time"),
            (line, "ambiguous alias: \"规划局\" is also the name of department \"规划\" on line 1 at the same time"),
        ]
    );
}

#[test]
fn a_rename_holds_from_its_day_on() {
    let catalog = catalogue(&[("规划", "valid_to = 2018-12-31\nsuccessors = [\"自规\"]"), ("自规", "valid_from = 2019-01-01")]);
    assert_eq!(in_force(&catalog, "规划", "2018-12-31"), ["规划局"]);
    assert_eq!(in_force(&catalog, "规划", "2019-01-01"), ["自规局"]);
    let InForce::Successors { since, former, .. } = catalog.in_force("规划", day("2026-01-01")) else { panic!("renamed") };
    assert_eq!((since, former.name.as_str()), (day("2019-01-01"), "规划局"));
    assert_eq!(catalog.in_force("自规", day("2018-12-31")), InForce::Nobody, "not founded yet");
}

#[test]
fn one_id_may_change_its_name_and_keep_its_history() {
    let catalog = catalogue(&[("甲", "valid_to = 2018-12-31"), ("甲", "valid_from = 2019-01-01\naliases = [\"新甲\"]")]);
    assert!(matches!(catalog.in_force("甲", day("2019-01-01")), InForce::Itself(_)));
    assert!(catalog.find("新甲", day("2018-12-31")).is_none());
    assert!(catalog.find("新甲", day("2019-01-01")).is_some());
}

#[test]
fn successors_are_followed_over_several_reforms_through_mergers_and_splits() {
    let catalog = catalogue(&[
        ("工商", "valid_to = 2018-12-31\nsuccessors = [\"市监\"]"),
        ("食药", "valid_to = 2018-12-31\nsuccessors = [\"市监\"]"),
        ("市监", "valid_from = 2019-01-01\nvalid_to = 2023-12-31\nsuccessors = [\"市场\", \"药监\"]"),
        ("市场", "valid_from = 2024-01-01"),
        ("药监", "valid_from = 2024-01-01"),
        ("办公室", "valid_to = 2020-01-01"),
    ]);
    assert_eq!(in_force(&catalog, "工商", "2018-06-01"), ["工商局"]);
    assert_eq!(in_force(&catalog, "工商", "2023-12-31"), ["市监局"]);
    assert_eq!(in_force(&catalog, "食药", "2023-12-31"), ["市监局"]);
    assert_eq!(in_force(&catalog, "食药", "2024-01-01"), ["市场局", "药监局"]);
    assert_eq!(in_force(&catalog, "办公室", "2024-01-01"), Vec::<String>::new(), "dissolved, and nobody took over");
}

#[test]
fn of_several_matters_the_one_that_says_most_fits() {
    let matters = r#"
[[matter]]
id = "油烟"
name = "油烟"
words = ["油烟"]
lead = "甲"
[[matter]]
id = "餐饮油烟"
name = "餐饮油烟"
words = ["油烟", "饭店|烧烤"]
without = ["居民自家"]
lead = "甲"
"#;
    let catalog = DepartmentCatalog::open(folder([HEAD, &department("甲", ""), UNITS, matters]).path()).expect("sound");
    let matter = |text: &str| catalog.matter(text).map(|matter| matter.id.as_str());
    assert_eq!(matter("楼下烧烤店油烟大"), Some("餐饮油烟"));
    assert_eq!(matter("油烟大"), Some("油烟"));
    assert_eq!(matter("居民自家烧烤油烟大"), Some("油烟"));
    assert_eq!(matter("路灯坏了"), None);
}

#[test]
fn a_department_of_the_model_that_is_not_in_the_catalogue_is_named() {
    let catalog = catalogue(&[("甲乙", ""), ("丙", "")]);
    catalog.must_have(["丙", "甲乙"]).expect("both are there");
    let error = catalog.must_have(["丙", "甲已"]).expect_err("one is not").to_string();
    assert_eq!(error, "catalogue 测试市 1: the model's department \"甲已\" is not in it (did you mean \"甲乙\"?)");
}

#[test]
fn the_bundled_catalogue_is_sound_says_what_it_is_and_has_every_department_of_the_bundled_model() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let catalog = DepartmentCatalog::open(&root.join("catalog/haikou")).unwrap_or_else(|error| panic!("\n{error}"));
    assert!(catalog.disclaimer.contains("示例，不是官方文件"));
    let text = std::fs::read_to_string(root.join("models/haikou12345/departments.json")).expect("the bundled model");
    let departments: Vec<paidan::model::Department> = serde_json::from_str(&text).expect("a list of departments");
    assert_eq!(departments.len(), 40);
    catalog.must_have(departments.iter().map(|department| department.id.as_str())).expect("all are in it");
    assert_eq!(catalog.matters.len(), 25);
    let districts: Vec<&str> = catalog.districts.iter().map(|district| district.name.as_str()).collect();
    assert_eq!(districts, ["秀英区", "龙华区", "琼山区", "美兰区"]);
    for file in file::ALL {
        let text = std::fs::read_to_string(root.join("catalog/haikou").join(file)).expect("a file of the catalogue");
        assert!(text.starts_with("# 示例，不是官方文件。"), "{file} says so too, to whoever opens it alone");
    }
}
