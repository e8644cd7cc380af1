//! A finished model, the orders that it learnt from and later ones, opened together to measure something on.
//!
//! Every measurement rests on two things: the training orders are the very ones that the model learnt from, and the later ones are
//! others. Nobody sees it in a figure if they are not, so both are asked here, once for all commands.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use paidan::model::{Artifacts, Manifest};

use crate::apart::ensure_apart;
use crate::dataset::Orders;

/// See the module.
pub struct Opened {
    /// The model folder.
    pub artifacts: Artifacts,
    /// The orders that it learnt from.
    pub training: Orders,
    /// Orders that it did not learn from.
    pub validation: Orders,
}

impl Opened {
    /// Reads all three. A folder without a manifest does not tell what it learnt from: there the orders are only held against each
    /// other.
    pub fn read(model: &Path, training: &Path, validation: &Path) -> Result<Self> {
        let artifacts = Artifacts::open(model).context("the model was refused")?;
        let (training, validation) = (Orders::read(training)?, Orders::read(validation)?);
        training.report_faults();
        validation.report_faults();
        match &artifacts.manifest {
            Some(manifest) => ensure_learnt_from(model, manifest, &training)?,
            None => {
                let model = model.display();
                crate::say(&format!(
                    "{model}: no manifest.json, so nobody can tell whether these are the orders it learnt from"
                ));
            }
        }
        ensure_apart(&training, &validation)?;
        Ok(Self { artifacts, training, validation })
    }
}

fn ensure_learnt_from(model: &Path, manifest: &Manifest, training: &Orders) -> Result<()> {
    ensure!(
        training.sha256 == manifest.data.training_sha256,
        "{}: the model in {} learnt from another file; its sha-256 is {}",
        training.path.display(),
        model.display(),
        manifest.data.training_sha256
    );
    Ok(())
}

/// Refuses to judge a model by the file that it learnt from, where only the later orders are known.
pub fn ensure_not_learnt_from(model: &Path, manifest: Option<&Manifest>, validation: &Orders) -> Result<()> {
    let learnt = manifest.is_some_and(|manifest| manifest.data.training_sha256 == validation.sha256);
    ensure!(
        !learnt,
        "{}: the model in {} learnt from this very file; validation needs orders that are not learnt from, best the latest ones",
        validation.path.display(),
        model.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use paidan::evaluation::WorkOrder;
    use paidan::model::sha256_hex;

    use super::*;

    fn orders(path: &Path, first: usize) -> String {
        let line = |i: usize| {
            let department = ["城管", "交警"][i % 2];
            format!("{}\n", serde_json::json!({"order_id": format!("T{i}"), "appeal": "路灯坏了", "department": department}))
        };
        let lines: String = (first..first + 4).map(line).collect();
        assert!(lines.lines().all(|line| WorkOrder::parse(line.as_bytes()).is_ok()));
        std::fs::write(path, &lines).expect("written");
        sha256_hex(lines.as_bytes())
    }

    fn manifest(training_sha256: &str) -> Manifest {
        let json = serde_json::json!({"format": 1, "name": "tiny", "version": "1", "created_at": "2026-01-01T00:00:00Z",
            "files": {}, "data": {"training_orders": 4, "training_sha256": training_sha256, "validation_orders": 0, "validation_sha256": ""},
            "git_commit": "", "configuration": {}, "metrics": {}});
        serde_json::from_value(json).expect("a manifest")
    }

    #[test]
    fn a_model_is_measured_with_its_own_orders_and_with_others_after_them_only() {
        let folder = tempfile::tempdir().expect("a folder");
        crate::support::write_tiny_model(folder.path(), 3);
        let path = |name: &str| folder.path().join(name);
        let learnt = orders(&path("train.jsonl"), 0);
        orders(&path("later.jsonl"), 100);
        orders(&path("shared.jsonl"), 2);
        std::fs::write(path("manifest.json"), serde_json::to_vec(&manifest(&learnt)).expect("json")).expect("written");
        let read = |training: &str, validation: &str| Opened::read(folder.path(), &path(training), &path(validation));
        let refused = |training, validation| read(training, validation).err().expect("refused").to_string();
        assert_eq!(read("train.jsonl", "later.jsonl").expect("its own, and later ones").training.orders.len(), 4);
        assert!(refused("later.jsonl", "train.jsonl").contains("learnt from another file"));
        assert!(refused("train.jsonl", "train.jsonl").contains("the same file as"));
        assert!(refused("train.jsonl", "shared.jsonl").contains("2 of its 4 orders are in"));
    }

    #[test]
    fn the_file_that_a_model_learnt_from_does_not_judge_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let learnt = orders(&folder.path().join("train.jsonl"), 0);
        let orders = Orders::read(&folder.path().join("train.jsonl")).expect("orders");
        let refused =
            ensure_not_learnt_from(folder.path(), Some(&manifest(&learnt)), &orders).expect_err("refused").to_string();
        assert!(refused.contains("learnt from this very file"), "{refused}");
        ensure_not_learnt_from(folder.path(), Some(&manifest("of another")), &orders).expect("another file");
        ensure_not_learnt_from(folder.path(), None, &orders).expect("nobody knows");
    }
}
