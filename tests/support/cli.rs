//! `paidan` as a program, in a folder of its own with a tiny model: what it printed where, and which number it ended with.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::support;

pub const USAGE: i32 = 64;
pub const DATA: i32 = 65;
pub const NO_INPUT: i32 = 66;
pub const UNAVAILABLE: i32 = 69;

/// A folder of its own, with a tiny model in it.
pub struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a place for the test");
        std::fs::create_dir(folder.path().join("model")).expect("a folder");
        support::write_tiny_model(&folder.path().join("model"), 1);
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), bytes).expect("a file of the test");
        self.path(name)
    }

    /// `paidan` in this folder, free of the environment's settings, with the tiny model.
    pub fn paidan(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_paidan"));
        command.current_dir(self.folder.path()).args(args).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let name_text = name.to_string_lossy();
            if name_text.starts_with("PAIDAN_") || name_text.starts_with("HF_") {
                command.env_remove(&name);
            }
        }
        command
            .env("PAIDAN_MODEL", self.path("model"))
            .env("XDG_DATA_HOME", self.path("data"))
            .env("HF_HOME", self.path("hf"))
            .env("NO_COLOR", "1");
        command
    }

    pub fn run(&self, args: &[&str]) -> Ended {
        Ended::of(self.paidan(args).output().expect("paidan runs"))
    }

    pub fn run_with_input(&self, args: &[&str], input: &[u8]) -> Ended {
        let mut child =
            self.paidan(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("paidan runs");
        // It may end before it has read everything.
        let _ = child.stdin.take().expect("a pipe").write_all(input);
        Ended::of(child.wait_with_output().expect("it ends"))
    }
}

#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ended {
    pub fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("what we print is UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    #[track_caller]
    pub fn well(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    #[track_caller]
    pub fn failed(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "{word:?} is not in {self:?}");
        }
        self
    }
}

#[cfg(unix)]
pub fn signal(process: u32, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), process.to_string()]).status().expect("kill");
    assert!(status.success());
}
