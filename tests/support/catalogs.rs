//! A catalogue folder in two versions, for tests that exchange them: everything that the catalogue names ends with its version.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::Path;

use paidan::catalog::file;

use crate::support::{APPEALS, DEPARTMENTS};

/// The first version.
pub const FIRST: &str = "甲";
/// The second: 环保 has become 生态环境, and 数据 was founded, whose duty is the first appeal.
pub const SECOND: &str = "乙";

/// Writes a version into a folder.
pub fn write(folder: &Path, version: &str) {
    write_as(folder, version, version);
}

/// Writes what `of` says under another version.
pub fn write_as(folder: &Path, of: &str, version: &str) {
    let mut departments: Vec<(&str, String, &str)> = DEPARTMENTS.iter().map(|id| (*id, format!("{id}管理"), "")).collect();
    if of == SECOND {
        let former = departments.iter_mut().find(|one| one.0 == "环保").expect("a department of the model");
        former.2 = "valid_to = 2019-12-31\nsuccessors = [\"生态环境\"]";
        departments.push(("生态环境", "大气".to_owned(), "valid_from = 2020-01-01"));
        departments.push(("数据", APPEALS[0].to_owned(), "valid_from = 2020-01-01"));
    }
    let head =
        format!("version = \"{version}\"\ncity = \"测试市\"\ndisclaimer = \"仅供测试\"\n[[district]]\nname = \"东区\"\n");
    let department = |(id, duty, more): &(&str, String, &str)| {
        format!(
            "[[department]]\nid = \"{id}\"\nname = \"{id}局{of}\"\n{more}\n[[department.duty]]\ntext = \"{duty}\"\n\
             basis = [{{ level = \"三定\" }}]\n[[department.duty]]\ntext = \"受理{of}\"\nwords = [\"路灯|停水|工地|垃圾\"]\n\
             basis = [{{ level = \"三定\" }}]\n"
        )
    };
    let unit = |(id, ..): &(&str, String, &str)| {
        format!(
            "[[unit]]\nname = \"市{id}中心{of}\"\ndepartment = \"{id}\"\n\
             [[unit]]\nname = \"东区{id}分局{of}\"\ndepartment = \"{id}\"\ndistrict = \"东区\"\n"
        )
    };
    let matter = format!(
        "[[matter]]\nid = \"施工\"\nname = \"施工{of}\"\nwords = [\"工地\"]\nlead = \"住建\"\nsupporting = [\"环保\"]\ncontesting = [\"{}\"]\n",
        DEPARTMENTS.join("\", \"")
    );
    let texts = [head, departments.iter().map(department).collect(), departments.iter().map(unit).collect(), matter];
    for (name, text) in file::ALL.into_iter().zip(texts) {
        std::fs::write(folder.join(name), text).expect("a file of the test");
    }
}

/// Puts a fault into the folder; gives the place that it must be told by.
pub fn spoil(folder: &Path) -> String {
    let units = folder.join("units.toml");
    let text = std::fs::read_to_string(&units).expect("a file of the test");
    let line = text.lines().count() + 3;
    let fault = "[[unit]]\nname = \"天文台\"\ndepartment = \"天文\"\n";
    std::fs::write(&units, text + fault).expect("a file of the test");
    format!("units.toml:{line}")
}
