//! Models that `paidan-train` wrote, from a hub: all that the manifest names comes along, and nothing that does not fit it is
//! believed.

use std::path::Path;

use paidan::hub::{FetchError, Hub};
use paidan::model::{Artifacts, FileRecord, Manifest, file, sha256_hex};

use crate::hub::{TestHub, cache, fetch};
use crate::support;

/// A hub with a model as paidan-train writes it, which the manifest of the bundled one shows.
fn trained() -> TestHub {
    let model = support::tiny_model();
    support::write_dispute_model(model.path());
    std::fs::write(model.path().join("README.md"), "# 模型卡片\n").expect("written");
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/haikou12345").join(file::MANIFEST);
    let bundled = std::fs::read(bundled).expect("the bundled model's manifest");
    let mut manifest: Manifest = serde_json::from_slice(&bundled).expect("a manifest");
    for (name, record) in &mut manifest.files {
        let bytes = std::fs::read(model.path().join(name)).expect("a file of the tiny model");
        *record = FileRecord { sha256: sha256_hex(&bytes), bytes: bytes.len() as u64 };
    }
    std::fs::write(model.path().join(file::MANIFEST), serde_json::to_vec(&manifest).expect("json")).expect("written");
    TestHub::of(model.path())
}

#[test]
fn a_model_that_paidan_train_wrote_is_fetched_with_every_file_that_its_manifest_names() {
    let (hub, cache) = (trained(), cache());
    let client = hub.client(cache.path());
    let folder = fetch(&client, "city/router@v1").expect("fetched");
    let artifacts = Artifacts::open(&folder).expect("whole");
    let manifest = artifacts.manifest.expect("its manifest");
    for name in ["README.md", file::DISPUTE] {
        assert!(manifest.files.contains_key(name), "the bundled manifest names {name}");
    }
    assert!(artifacts.dispute.is_some());
    let asked = hub.requests();
    assert_eq!(fetch(&client, "city/router@v1").expect("cached"), folder);
    assert_eq!(hub.requests(), asked, "the second start needs no network");
}

#[test]
fn the_witnesses_of_a_dispute_come_along_without_a_manifest_too() {
    let (hub, cache) = (trained(), cache());
    hub.remove(file::MANIFEST);
    let artifacts = Artifacts::open(&fetch(&hub.client(cache.path()), "city/router@v1").expect("fetched")).expect("it opens");
    assert!(artifacts.dispute.is_some() && artifacts.manifest.is_none());
}

#[test]
fn a_snapshot_that_an_older_program_left_incomplete_with_its_mark_is_completed() {
    let (hub, cache) = (trained(), cache());
    let client = hub.client(cache.path());
    let folder = fetch(&client, "city/router@v1").expect("fetched");
    for name in ["README.md", file::DISPUTE] {
        std::fs::remove_file(folder.join(name)).expect("a file");
    }
    std::fs::write(folder.join(".paidan-complete"), "").expect("the mark of that program");
    let offline = fetch(&Hub { offline: true, ..client.clone() }, "city/router@v1").expect_err("not whole");
    assert!(matches!(&offline, FetchError::NotCached { file, .. } if file == "README.md"), "{offline:?}");
    Artifacts::open(&fetch(&client, "city/router@v1").expect("completed")).expect("whole");
    fetch(&Hub { offline: true, ..client }, "city/router@v1").expect("whole by now");
}

#[test]
fn a_manifest_that_does_not_fit_what_lies_beside_it_is_never_believed() {
    let lacking = trained();
    lacking.remove("README.md");
    let climbing = trained();
    let bytes = climbing.bytes_of(file::MANIFEST);
    let mut manifest: Manifest = serde_json::from_slice(&bytes).expect("a manifest");
    manifest.files.insert("../../../refs/main".to_owned(), FileRecord { sha256: sha256_hex(b""), bytes: 0 });
    climbing.put(file::MANIFEST, &serde_json::to_vec(&manifest).expect("json"));
    let exchanged = trained();
    exchanged.put(file::CALIBRATION, b"{}");
    let torn = trained();
    torn.put(file::MANIFEST, b"{");
    for (hub, said) in [
        (lacking, "names README.md, which the hub at"),
        (climbing, "names \"../../../refs/main\", which is no plain name"),
        (exchanged, "of calibration.json, but that of the file is"),
        (torn, "cannot be read"),
    ] {
        let cache = cache();
        let client = hub.client(cache.path());
        for _ in 0..2 {
            let error = fetch(&client, "city/router@v1").expect_err(said);
            assert!(matches!(&error, FetchError::Manifest { .. }) && error.to_string().contains(said), "{error}");
        }
    }
}

#[test]
fn a_model_card_that_was_edited_on_the_hub_does_no_harm() {
    let (hub, cache) = (trained(), cache());
    hub.put("README.md", "# 另一张卡片\n".as_bytes());
    Artifacts::open(&fetch(&hub.client(cache.path()), "city/router@v1").expect("fetched")).expect("whole");
}
