//! What the house promises of itself: which room may name what, how a file looks, what never stands in one. Wishes that are not
//! tests come true for a month.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Rooms that know no runtime, no network, no database, no clock and nothing of the server.
const PURE: [&str; 8] =
    ["src/disputes", "src/text", "src/model", "src/catalog", "src/rulings", "src/routing", "src/evaluation", "src/repeats"];

/// What they may not name.
const OUTSIDE: [&str; 15] = [
    "tokio",
    "tonic",
    "sqlx",
    "rusqlite",
    "prost",
    "axum",
    "hf_hub",
    "crate::server",
    "crate::store",
    "crate::config",
    "crate::hub",
    "SystemTime::now",
    "Instant::now",
    "Utc::now",
    "Local::now",
];

/// Longest file, in lines.
const MAX_LINES: usize = 400;

/// Files that are longer, each with its reason. Keep it empty.
const LONGER: [&str; 0] = [];

struct Source {
    /// From the root, with slashes.
    name: String,
    text: String,
}

impl Source {
    fn below(&self, folder: &str) -> bool {
        self.name == format!("{folder}.rs") || self.name.starts_with(&format!("{folder}/"))
    }

    /// Lines with their numbers, without comments and test modules.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let (mut after_mark, mut in_tests) = (false, false);
        self.text.lines().enumerate().map(|(i, line)| (i + 1, line)).filter(move |(_, line)| {
            if after_mark && line.starts_with("mod ") && line.ends_with('{') {
                in_tests = true;
            }
            let own = !in_tests && !line.trim_start().starts_with("//");
            // rustfmt puts the end of a module where nothing else ends.
            in_tests &= *line != "}";
            after_mark = *line == "#[cfg(test)]";
            own
        })
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files that belong to the project: those git tracks and new ones that it does not ignore, or, without git, all but hidden
/// and built ones.
fn files() -> Vec<PathBuf> {
    let listed =
        Command::new("git").args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]).current_dir(root()).output();
    if let Ok(listed) = listed
        && listed.status.success()
    {
        let names = String::from_utf8(listed.stdout).expect("names are UTF-8");
        return names
            .split('\0')
            .filter(|name| !name.is_empty())
            .map(PathBuf::from)
            .filter(|p| root().join(p).is_file())
            .collect();
    }
    let (mut found, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).expect("a folder of the project").flatten() {
            let name = entry.file_name();
            let hidden = name.to_string_lossy().starts_with('.');
            let path = folder.join(&name);
            if entry.path().is_dir() {
                if !(hidden || name == "target") {
                    folders.push(path);
                }
            } else {
                found.push(path);
            }
        }
    }
    found
}

/// Text files; what is not UTF-8 is no text.
fn texts() -> Vec<Source> {
    files()
        .into_iter()
        .filter(|path| path.extension().is_none_or(|end| end != "safetensors"))
        .filter_map(|path| {
            let text = std::fs::read_to_string(root().join(&path)).ok()?;
            Some(Source { name: path.to_string_lossy().replace('\\', "/"), text })
        })
        .collect()
}

fn rust() -> Vec<Source> {
    texts().into_iter().filter(|source| source.name.ends_with(".rs")).collect()
}

#[track_caller]
fn none(faults: Vec<String>) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn the_pure_rooms_name_nothing_from_outside() {
    let mut faults = Vec::new();
    for source in rust().iter().filter(|source| PURE.iter().any(|room| source.below(room))) {
        for (number, line) in source.code() {
            for name in OUTSIDE {
                if names(line, name) {
                    faults.push(format!("{}:{number}: names {name}", source.name));
                }
            }
        }
    }
    none(faults);
}

/// True if the line has the word, not as a part of a longer one.
fn names(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (line[..at].chars().next_back(), line[at + word.len()..].chars().next());
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

#[test]
fn training_knows_the_library_but_not_its_server() {
    let named = ["paidan::server", "paidan::config", "paidan::hub"];
    let sources = rust();
    let lines = sources.iter().filter(|s| s.below("training/src")).flat_map(|s| s.code().map(move |(n, line)| (s, n, line)));
    none(
        lines
            .flat_map(|(s, n, line)| {
                named.into_iter().filter(|name| names(line, name)).map(move |name| format!("{}:{n}: names {name}", s.name))
            })
            .collect(),
    );
}

#[test]
fn every_file_says_first_what_it_is() {
    none(
        rust().iter().filter(|s| !s.text.starts_with("//!")).map(|s| format!("{}: does not begin with //!", s.name)).collect(),
    );
}

#[test]
fn no_file_is_too_long_to_be_read() {
    let long = |s: &&Source| s.text.lines().count() > MAX_LINES && !LONGER.contains(&s.name.as_str());
    // Tests are lists: they are read from where they fail.
    let sources = rust();
    let own = sources.iter().filter(|s| !s.name.starts_with("tests/") && !s.name.contains("/tests/"));
    none(own.filter(long).map(|s| format!("{}: {} lines, at most {MAX_LINES}", s.name, s.text.lines().count())).collect());
}

#[test]
fn nothing_is_unwrapped() {
    let sources = rust();
    let own = sources.iter().filter(|s| s.name.starts_with("src/") || s.name.starts_with("training/src/"));
    let found = own.flat_map(|s| s.code().filter(|(_, line)| line.contains(".unwrap()")).map(move |(n, _)| (s, n)));
    none(
        found
            .map(|(s, n)| format!("{}:{n}: .unwrap(); return an error, or .expect() that says why it cannot fail", s.name))
            .collect(),
    );
}

#[test]
fn only_the_kernels_are_unsafe() {
    // The word is put together so that this very line does not have it.
    let word = ["un", "safe"].concat();
    let sources = rust();
    let outside = sources.iter().filter(|s| !s.below("src/model/kernels"));
    let found = outside.flat_map(|s| {
        let word = word.as_str();
        s.code().filter(move |(_, line)| names(line, word)).map(move |(n, _)| format!("{}:{n}", s.name))
    });
    none(found.collect());
}

#[test]
fn no_file_names_a_machine_or_a_registry() {
    // Put together for the same reason.
    let forbidden: Vec<String> = [
        ["/wo", "rk/"],
        ["/ro", "ot/"],
        ["/ho", "me/"],
        ["crates", ".io"],
        ["pypi", ".org"],
        ["registry.npm", "js.org"],
        ["rsproxy", ".cn"],
        ["mirrors.tuna", ".tsinghua"],
    ]
    .iter()
    .map(|halves| halves.concat())
    .collect();
    let mut faults = Vec::new();
    // Cargo writes the lock files, and the name of its registry into them.
    for source in texts().iter().filter(|s| !s.name.ends_with("Cargo.lock")) {
        for (number, line) in source.text.lines().enumerate() {
            faults
                .extend(forbidden.iter().filter(|f| line.contains(*f)).map(|f| format!("{}:{}: {f}", source.name, number + 1)));
        }
    }
    none(faults);
}

/// The first line after a marker in a README's fenced block.
fn command_after(text: &str, marker: &str) -> String {
    let rest = text.split(marker).nth(1).unwrap_or_else(|| panic!("the README has no {marker}"));
    rest.lines().skip(1).find(|line| !line.is_empty() && !line.starts_with("```")).unwrap_or_default().to_owned()
}

#[test]
fn the_readme_tells_the_test_command_that_ci_runs() {
    let read = |name: &str| std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let ci = read(".ci/run");
    for readme in ["README.md", "README.zh.md"] {
        let command = command_after(&read(readme), "<!-- test -->");
        assert!(command.starts_with("cargo test"), "{readme}: {command}");
        assert!(ci.lines().any(|line| line.trim() == command), "{readme} says {command:?}, and .ci/run has no such line");
    }
    assert!(read("justfile").lines().any(|line| line.trim() == ".ci/run"), "`just check` does what CI does");
}

#[test]
fn both_readmes_have_the_same_commands() {
    let commands = |name: &str| -> Vec<String> {
        let text = std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let blocks = text.split("```").skip(1).step_by(2);
        blocks.filter(|block| block.starts_with("sh")).flat_map(|block| block.lines().skip(1)).map(str::to_owned).collect()
    };
    let (english, chinese) = (commands("README.md"), commands("README.zh.md"));
    assert!(!english.is_empty());
    assert_eq!(english, chinese);
}
