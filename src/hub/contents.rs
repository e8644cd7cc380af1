//! Which files a snapshot consists of, and the mark of one that is here whole.
//!
//! A folder that `paidan-train` wrote names all of its files in its manifest, and is refused where one of them is missing: so all
//! of them are fetched. Without a manifest it is a folder from elsewhere: what a model needs, and what we know besides, where it is.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::model::{FileRecord, file};

/// Needed. The first is fetched before all others: it is small, and tells that a repository holds something else.
pub(super) const REQUIRED: [&str; 3] = [file::CONFIG, file::TOKENIZER, file::WEIGHTS];
/// Taken where they are.
const OPTIONAL: [&str; 3] = [file::DEPARTMENTS, file::CALIBRATION, file::DISPUTE];
/// Lies in a snapshot of which every file was held against the hub, and names these files, one a line. An empty one is of days when
/// not all files were fetched.
const MARK: &str = ".paidan-complete";
/// Most files that a manifest may name: we write seven.
const MAX_FILES: usize = 64;
/// Longest name of a file, in bytes.
const MAX_NAME: usize = 128;
/// Largest manifest that is read.
const MAX_MANIFEST_BYTES: u64 = 16 << 20;

/// The files that a manifest names, with their checksums; what else it says is for whoever opens the model.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Listing {
    files: BTreeMap<String, FileRecord>,
}

impl Listing {
    /// Reads a manifest; the error says what is wrong with it.
    pub fn read(manifest: &Path) -> Result<Self, String> {
        let file = std::fs::File::open(manifest).map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        file.take(MAX_MANIFEST_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        if bytes.len() as u64 > MAX_MANIFEST_BYTES {
            return Err(format!("is larger than {MAX_MANIFEST_BYTES} bytes"));
        }
        let listing: Self = serde_json::from_slice(&bytes).map_err(|error| format!("cannot be read: {error}"))?;
        if listing.files.len() > MAX_FILES {
            return Err(format!("names {} files; at most {MAX_FILES} are fetched", listing.files.len()));
        }
        match listing.files.keys().find(|name| !is_plain(name)) {
            Some(name) => Err(format!("names {name:?}, which is no plain name of a file")),
            None => Ok(listing),
        }
    }

    /// True if it names the file: then the folder is not whole without it.
    pub fn names(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// What is fetched after the first file and the manifest.
    pub fn others(&self) -> Vec<&str> {
        let known = REQUIRED.into_iter().chain(OPTIONAL);
        let more = self.files.keys().map(String::as_str).filter(|name| !REQUIRED.contains(name) && !OPTIONAL.contains(name));
        known.chain(more).filter(|name| *name != REQUIRED[0] && *name != file::MANIFEST).collect()
    }

    /// Holds a file that the model is made of against its checksum. Others, such as the model card, may be edited on the hub.
    pub fn check(&self, name: &str, path: &Path) -> Result<(), String> {
        let Some(record) = self.files.get(name).filter(|_| REQUIRED.contains(&name) || OPTIONAL.contains(&name)) else {
            return Ok(());
        };
        let found = sha256_of(path).map_err(|error| format!("names {name}, which cannot be read: {error}"))?;
        if found == record.sha256.to_lowercase() {
            Ok(())
        } else {
            Err(format!("says sha-256 {} of {name}, but that of the file is {found}", record.sha256))
        }
    }

    /// The first file that a snapshot has not.
    pub fn missing(&self, folder: &Path) -> Option<&str> {
        self.files.keys().map(String::as_str).find(|name| !folder.join(name).is_file())
    }
}

/// Both become parts of a path and of an address, and hidden files are ours.
fn is_plain(name: &str) -> bool {
    let character = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= MAX_NAME && !name.starts_with('.') && !name.contains("..") && name.chars().all(character)
}

/// True for a snapshot with a mark that has all that the mark names.
pub(super) fn is_whole(folder: &Path) -> bool {
    let Ok(mark) = std::fs::read_to_string(folder.join(MARK)) else { return false };
    let named: Vec<&str> = mark.lines().collect();
    REQUIRED.iter().all(|name| named.contains(name)) && named.iter().all(|name| folder.join(name).is_file())
}

/// Puts the mark. It is there whole or not at all: a start that is killed meanwhile leaves none.
pub(super) fn mark(folder: &Path, names: &[String]) -> Result<(), (std::path::PathBuf, io::Error)> {
    let (path, new) = (folder.join(MARK), folder.join(format!("{MARK}.{}", std::process::id())));
    std::fs::write(&new, names.join("\n")).map_err(|source| (new.clone(), source))?;
    std::fs::rename(&new, &path).map_err(|source| (path, source))
}

/// In hexadecimal.
pub(super) fn sha256_of(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut std::fs::File::open(path)?, &mut hasher)?;
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(names: &[&str]) -> Result<Listing, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let record = serde_json::json!({ "sha256": "00", "bytes": 1 });
        let files: serde_json::Map<_, _> = names.iter().map(|name| ((*name).to_owned(), record.clone())).collect();
        let manifest = folder.path().join(file::MANIFEST);
        std::fs::write(&manifest, serde_json::json!({ "files": files }).to_string()).expect("written");
        Listing::read(&manifest)
    }

    #[test]
    fn every_file_that_a_manifest_names_is_fetched_once_and_so_are_those_that_we_know() {
        let listing = listing(&["README.md", "config.json", "manifest.json", "tokenizer.json"]).expect("a listing");
        let others =
            ["tokenizer.json", "model.safetensors", "departments.json", "calibration.json", "dispute.json", "README.md"];
        assert_eq!(listing.others(), others);
        assert!(listing.names("README.md") && !listing.names("dispute.json"));
        assert_eq!(Listing::default().others(), others[..5]);
    }

    #[test]
    fn a_name_that_would_climb_out_of_the_snapshot_is_refused() {
        for name in ["", "../x", "a/b", "/etc/passwd", "a\\b", "..", ".paidan-complete", "a..b", "c:x", "é", "a?b", "a b"] {
            let refused = listing(&[name]).expect_err(name);
            assert!(refused.contains("no plain name"), "{refused}");
        }
    }

    #[test]
    fn a_manifest_of_thousands_of_files_is_refused() {
        let names: Vec<String> = (0..=MAX_FILES).map(|i| format!("f{i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let refused = listing(&names).expect_err("too many");
        assert!(refused.contains("names 65 files"), "{refused}");
    }

    #[test]
    fn a_mark_counts_only_as_long_as_all_that_it_names_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let names: Vec<String> = REQUIRED.iter().chain(&["README.md"]).map(|name| (*name).to_owned()).collect();
        for name in &names {
            std::fs::write(folder.path().join(name), "").expect("written");
        }
        std::fs::write(folder.path().join(MARK), "").expect("a mark of former days");
        assert!(!is_whole(folder.path()));
        mark(folder.path(), &names).expect("marked");
        assert!(is_whole(folder.path()));
        std::fs::remove_file(folder.path().join("README.md")).expect("removed");
        assert!(!is_whole(folder.path()));
    }
}
