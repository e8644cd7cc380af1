//! What the tests of `paidan-train` work on: a folder with a tiny base model, orders and a configuration.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::support;

/// A folder with a base model, training and validation orders and a configuration.
pub struct Workshop {
    pub folder: tempfile::TempDir,
}

const SUBJECTS: [(&str, &str); 4] = [
    ("城管", "门口的垃圾很久没人清,味道很大"),
    ("交警", "路口的信号灯坏了,车很多很乱"),
    ("供电", "小区停电了,请问什么时候来电"),
    ("水务", "家里停水两天了,什么时候来水"),
];

/// Easy orders, numbered from `first`; every seventh was disputed.
pub fn orders(count: usize, first: usize) -> String {
    let mut lines = String::new();
    for i in first..first + count {
        let (department, text) = SUBJECTS[i % SUBJECTS.len()];
        let disputed = i.is_multiple_of(7);
        let row = serde_json::json!({"order_id": format!("T{i}"), "appeal": format!("{text}{}号", i % 10), "department": department,
            "category": ["公共设施", "其他"], "appeal_type": null, "rerouted": disputed, "instructed": [department]});
        lines.push_str(&format!("{row}\n"));
    }
    lines
}

impl Workshop {
    pub fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("base")).expect("a folder");
        support::write_base_model(&folder.path().join("base"), 3);
        let workshop = Self { folder };
        workshop.write("train.jsonl", orders(64, 0).as_bytes());
        workshop.write("validation.jsonl", orders(40, 1000).as_bytes());
        workshop.write("config.toml", config.as_bytes());
        workshop
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).expect("written");
    }

    pub fn command(&self, out: &str, more: &[&str]) -> Command {
        self.any_command("train", out, more)
    }

    pub fn any_command(&self, name: &str, out: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_paidan-train"));
        command.arg(name).arg("--orders").arg(self.path("train.jsonl")).arg("--validation").arg(self.path("validation.jsonl"));
        command.arg("--base").arg(self.path("base")).arg("--config").arg(self.path("config.toml"));
        command.arg("--out").arg(self.path(out)).args(more);
        command
    }

    pub fn train(&self, out: &str, more: &[&str]) -> Output {
        self.command(out, more).output().expect("paidan-train runs")
    }

    /// Runs a command four times, each killed as soon as a new checkpoint of `out` is there: at many places of the run, without
    /// waiting for a clock.
    pub fn kill_again_and_again(&self, out: &str, mut command: impl FnMut() -> Command) {
        let checkpoint = self.path(&format!("{out}.run")).join("checkpoint/progress.json");
        let mut seen = None;
        for _ in 0..4 {
            let mut child = command().stderr(Stdio::null()).spawn().expect("runs");
            loop {
                let now = std::fs::read(&checkpoint).ok();
                if now.is_some() && now != seen {
                    seen = now;
                    break;
                }
                if child.try_wait().expect("a child").is_some() {
                    break;
                }
                std::thread::yield_now();
            }
            child.kill().ok();
            child.wait().expect("a child");
        }
    }

    pub fn losses(&self, out: &str) -> Vec<f64> {
        let path = self.path(&format!("{out}.run")).join("checkpoint/progress.json");
        let progress: serde_json::Value = serde_json::from_slice(&std::fs::read(path).expect("a checkpoint")).expect("json");
        progress["losses"].as_array().expect("losses").iter().map(|loss| loss.as_f64().expect("a number")).collect()
    }

    pub fn weights(&self, out: &str) -> Vec<u8> {
        std::fs::read(self.path(out).join("model.safetensors")).expect("weights")
    }
}

pub const QUICK: &str = "name = \"tiny\"\nepochs = 3\nbatch_size = 8\nmax_tokens = 64\nlearning_rate = 1e-3\ncheckpoint_steps = 2\n\
                     min_orders = 4\nwarmup = 0.1\n";

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn assert_success(output: &Output) {
    assert!(output.status.success(), "{}", stderr(output));
}
