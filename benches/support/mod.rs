//! For the benches: the bundled model, and invented appeals of any length.
#![allow(dead_code, reason = "each bench uses its own part")]
#![allow(clippy::print_stderr, reason = "a bench that does nothing must say so")]

use std::path::Path;

use paidan::model::Artifacts;

/// The median of real appeals is 45 characters, the 90th percentile 163, the 99th 596.
const APPEAL: &str = "小区门口的路灯坏了很久没人修，晚上出行不便，希望有关部门尽快派人来处理。\
    楼下烧烤店油烟很大，夜里十二点还在营业，吵得睡不着；邻居违章搭建，挡住了采光，物业说管不了，请核实。";

/// The bundled model; without it the bench says so and does nothing.
pub fn artifacts() -> Option<Artifacts> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/haikou12345");
    match Artifacts::open(&folder) {
        Ok(artifacts) => Some(artifacts),
        Err(error) => {
            eprintln!("NOTHING IS MEASURED: the benches need the bundled model: {error}");
            None
        }
    }
}

/// An invented appeal of so many characters.
pub fn text(characters: usize) -> String {
    APPEAL.chars().cycle().take(characters).collect()
}
