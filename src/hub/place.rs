//! What `--model` means.

use std::path::{Path, PathBuf};

/// Where the bundled model lies below the root of the project.
const BUNDLED: &str = "models/haikou12345";
/// The catalogue of the same city.
const BUNDLED_CATALOG: &str = "catalog/haikou";

/// A model's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelPlace {
    /// A folder here.
    Folder(PathBuf),
    /// A repository on the hub.
    Hub {
        /// `owner/name`.
        repository: String,
        /// Branch, tag or commit.
        revision: String,
    },
}

/// What was given is neither a folder nor the name of a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// No such folder, and no revision that would make it a name on the hub.
    #[error("model {0:?}: no such folder; give a model folder, or owner/name@revision for a model on the hub, such as {hint}", hint = hint(.0))]
    NoFolder(String),
    /// It has a revision but is not `owner/name@revision`.
    #[error("model {0:?}: not a name on the hub; write owner/name@revision in letters, digits, '-', '_' and '.'")]
    BadName(String),
    /// There is no bundled model to fall back on.
    #[error("no model was named and the bundled one ({BUNDLED}) was not found; name one with --model FOLDER or PAIDAN_MODEL")]
    NoBundledModel,
}

fn hint(given: &str) -> String {
    if given.matches('/').count() == 1 && given.chars().all(is_name_character) {
        format!("{given}@main")
    } else {
        "owner/name@main".to_owned()
    }
}

impl ModelPlace {
    /// Reads what `--model` or the configuration gives. What exists as a folder is a folder.
    pub fn parse(given: &str) -> Result<Self, PlaceError> {
        let folder = Path::new(given);
        if folder.is_dir() {
            return Ok(Self::Folder(folder.to_owned()));
        }
        let Some((repository, revision)) = given.rsplit_once('@') else {
            return Err(PlaceError::NoFolder(given.to_owned()));
        };
        // Both become parts of paths and of an address, so that nothing but plain names may pass.
        let plain = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && !part.contains("..")
                && part.chars().all(|c| c != '/' && is_name_character(c))
        };
        let owner_and_name = repository.split('/').count() == 2 && repository.split('/').all(plain);
        if !owner_and_name || !revision.split('/').all(plain) {
            return Err(PlaceError::BadName(given.to_owned()));
        }
        Ok(Self::Hub { repository: repository.to_owned(), revision: revision.to_owned() })
    }
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/')
}

/// The model that comes with the program: below the working directory, below a folder above the executable (a checkout, a
/// package), or where it was built.
pub fn bundled_model() -> Result<ModelPlace, PlaceError> {
    bundled(BUNDLED, "config.json").map(ModelPlace::Folder).ok_or(PlaceError::NoBundledModel)
}

/// The catalogue that comes with the bundled model, looked for in the same places.
pub fn bundled_catalog() -> Option<PathBuf> {
    bundled(BUNDLED_CATALOG, "catalog.toml")
}

fn bundled(name: &str, file: &str) -> Option<PathBuf> {
    let executable = std::env::current_exe().ok();
    let above = executable.iter().flat_map(|path| path.ancestors().skip(1));
    std::iter::once(Path::new(""))
        .chain(above)
        .chain([Path::new(env!("CARGO_MANIFEST_DIR"))])
        .map(|root| root.join(name))
        .find(|folder| folder.join(file).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_revision_is_on_the_hub_and_one_without_is_a_folder() {
        let hub = |repository: &str, revision: &str| {
            Ok(ModelPlace::Hub { repository: repository.to_owned(), revision: revision.to_owned() })
        };
        assert_eq!(ModelPlace::parse("city/router@v1.2"), hub("city/router", "v1.2"));
        assert_eq!(ModelPlace::parse("city/router@refs/pr/3"), hub("city/router", "refs/pr/3"));
        let error = ModelPlace::parse("city/router").expect_err("no such folder");
        assert!(error.to_string().contains("such as city/router@main"), "{error}");
        let here = env!("CARGO_MANIFEST_DIR");
        assert_eq!(ModelPlace::parse(here), Ok(ModelPlace::Folder(PathBuf::from(here))));
    }

    #[test]
    fn a_name_that_would_climb_out_of_the_cache_is_refused() {
        for given in [
            "../router@main",
            "a/b/c@main",
            "city/..@main",
            "city/router@../../x",
            "city/router@",
            "@main",
            "a b/c@main",
            "a/b@é",
        ] {
            assert_eq!(ModelPlace::parse(given), Err(PlaceError::BadName(given.to_owned())));
        }
    }
}
