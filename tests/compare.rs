//! `benches/compare/run`, as far as it goes without the runtimes that it compares: a slip costs a second, not a build. Where there is
//! no python3 there is no comparison either, and nothing is tested here.
#![cfg(unix)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

fn has_python() -> bool {
    let found = Command::new("python3").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let has = found.is_ok_and(|status| status.success());
    if !has {
        let _ = writeln!(std::io::stderr(), "there is no python3 here: the comparison is not tested");
    }
    has
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_built() {
    if !has_python() {
        return;
    }
    // A cargo, and an environment of Python's, that only say that they were asked.
    let folder = tempfile::tempdir().expect("a place");
    let asked = folder.path().join("asked");
    fs::create_dir(folder.path().join("bin")).expect("a folder");
    for name in ["cargo", "python"] {
        let program = folder.path().join("bin").join(name);
        fs::write(&program, format!("#!/bin/sh\necho {name} >> {}\n", asked.display())).expect("a program");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("runs");
    }
    let path = format!("{}:{}", folder.path().join("bin").display(), std::env::var("PATH").unwrap_or_default());
    let run = |arguments: &[&str]| {
        let mut command = Command::new(root().join("benches/compare/run"));
        command.args(arguments).env("PATH", &path).env("PAIDAN_COMPARE_VENV", folder.path()).stdin(Stdio::null());
        let output = command.output().expect("it runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    for (arguments, words) in [
        (["--rounds", "0"], "--rounds: '0' is no whole number from 1"),
        (["--threads", "0"], "--threads: '0' is no whole number from 1"),
        (["--rivals", "opnvino"], "--rivals: no name holds 'opnvino'"),
        (["--base", "nowhere"], "--base: there is no folder nowhere"),
    ] {
        let (code, _, said) = run(&arguments);
        assert!(code == Some(2) && said.contains(words) && !said.contains("Traceback"), "{arguments:?}: {said}");
    }
    let (code, said, _) = run(&["--quick", "--help"]);
    assert!(code == Some(0) && said.contains("--rivals"), "{said}");
    assert!(!asked.exists(), "{}", fs::read_to_string(&asked).unwrap_or_default());
    // What makes sense is built and run.
    let (code, _, said) = run(&["--threads", "1", "--only", "c"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(fs::read_to_string(&asked).expect("asked"), "cargo\ncargo\npython\n");
}

#[test]
fn the_tests_of_the_comparison_pass() {
    if !has_python() {
        return;
    }
    let output =
        Command::new("python3").args(["-B", "benches/compare/tests.py"]).current_dir(root()).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
