//! Notes from which commit the program is built, for the manifest and the card of the models that it makes. To ask when a model is
//! exported would be too late: the source folder may have moved on by then, or be another's.

use std::path::Path;
use std::process::Command;

/// What the program is made of, from this folder. A change elsewhere does not make it another program.
const SOURCES: [&str; 7] = ["build.rs", "src", "Cargo.toml", "../src", "../build.rs", "../Cargo.toml", "../Cargo.lock"];

fn main() {
    for source in SOURCES {
        println!("cargo:rerun-if-changed={source}");
    }
    // A commit moves the ref that HEAD names, a checkout HEAD itself; where refs are packed only the log tells of it.
    let head = git(&["rev-parse", "--symbolic-full-name", "HEAD"]).unwrap_or_default();
    for name in ["HEAD", "logs/HEAD", "packed-refs", &head] {
        // A file that is not there would have this run each time.
        if let Some(path) = git(&["rev-parse", "--git-path", name]).filter(|path| !name.is_empty() && Path::new(path).is_file())
        {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    println!("cargo:rustc-env=PAIDAN_COMMIT={}", commit());
}

/// The commit, with `-dirty` if what the program is made of has changes; empty where no git knows this folder.
fn commit() -> String {
    let is_known = git(&["ls-files", "--error-unmatch", "Cargo.toml"]).is_some();
    let Some(commit) = git(&["rev-parse", "HEAD"]).filter(|_| is_known) else { return String::new() };
    let status: Vec<&str> = ["status", "--porcelain", "--untracked-files=no", "--"].into_iter().chain(SOURCES).collect();
    match git(&status) {
        Some(changes) if changes.is_empty() => commit,
        _ => format!("{commit}-dirty"),
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
