//! Where a model comes from: a folder here, or a repository on a Hugging Face hub.
//!
//! A hub's model is named `owner/name@revision`, always with its revision: a name without one is a folder, so that a mistyped
//! path never goes out to a network, and a service does not change its model because somebody pushed to a branch. Files lie in
//! the hub's usual cache (`HF_HOME`); `HF_ENDPOINT` names another hub, `HF_TOKEN` opens a private repository, and
//! `HF_HUB_OFFLINE=1` keeps us from asking at all.
//!
//! A file in the cache is believed only if its length, and where the hub tells it its sha-256, is what the hub says; a snapshot
//! that was checked whole gets a mark, and a later start with the mark needs no network. `contents` says which files those are,
//! `fetch` gets them.

mod contents;
mod fetch;
mod place;

use std::path::PathBuf;
use std::time::Duration;

pub use fetch::FetchError;
pub use place::{ModelPlace, PlaceError, bundled_catalog, bundled_model};

/// What the environment says of the hub.
#[derive(Clone)]
pub struct Hub {
    /// Where snapshots are kept.
    pub cache: PathBuf,
    /// Address of the hub, without a slash at the end.
    pub endpoint: String,
    /// For private repositories. Never logged, never in an error.
    pub token: Option<String>,
    /// Never ask the hub.
    pub offline: bool,
    /// A hub that sends nothing for so long is given up.
    pub patience: Duration,
}

impl Hub {
    /// As `HF_HOME`, `HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_OFFLINE` say.
    pub fn from_env() -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let cache = hf_hub::Cache::from_env();
        Self {
            endpoint: variable("HF_ENDPOINT")
                .map_or_else(|| "https://huggingface.co".to_owned(), |endpoint| endpoint.trim_end_matches('/').to_owned()),
            token: variable("HF_TOKEN").or_else(|| cache.token()),
            offline: variable("HF_HUB_OFFLINE")
                .is_some_and(|value| !["0", "false", "no", "off"].contains(&value.to_lowercase().as_str())),
            cache: cache.path().clone(),
            patience: Duration::from_secs(60),
        }
    }

    /// The folder with the model's files: as it stands, or fetched. `progress` hears of bytes that arrived.
    pub fn folder(&self, place: &ModelPlace, progress: &mut dyn FnMut(Progress<'_>)) -> Result<PathBuf, FetchError> {
        match place {
            ModelPlace::Folder(folder) => Ok(folder.clone()),
            ModelPlace::Hub { repository, revision } => self.fetch(repository, revision, progress),
        }
    }
}

/// What is under way while a model is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The file.
    pub file: &'a str,
    /// Bytes that are here.
    pub done: u64,
    /// Bytes that it has.
    pub total: u64,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let token = self.token.as_ref().map(|_| "(set)");
        f.debug_struct("Hub").field("cache", &self.cache).field("endpoint", &self.endpoint).field("token", &token).finish()
    }
}
