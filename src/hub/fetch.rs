//! Fetching a snapshot, so that what is in the cache afterwards is what the hub has.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};

use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};

use super::contents::{Listing, REQUIRED, is_whole, mark, sha256_of};
use super::{Hub, Progress};
use crate::model::file;

/// Why there is no folder.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The repository, the revision or the file does not exist, or is private.
    #[error(
        "{repository}@{revision}: the hub at {endpoint} has no {file}; check the name and the revision, or set HF_TOKEN if it is private"
    )]
    NotFound {
        /// `owner/name`.
        repository: String,
        /// Branch, tag or commit.
        revision: String,
        /// Whom we asked.
        endpoint: String,
        /// What it does not have.
        file: String,
    },
    /// We may not ask, and the cache does not have it.
    #[error("{repository}@{revision}: {file} is not in the cache {cache}; start once without HF_HUB_OFFLINE and --offline", cache = cache.display())]
    NotCached {
        /// `owner/name`.
        repository: String,
        /// Branch, tag or commit.
        revision: String,
        /// Where we looked.
        cache: PathBuf,
        /// What it does not have.
        file: String,
    },
    /// The hub could not be asked, or answered with an error.
    #[error(
        "{repository}@{revision}: {file} from {endpoint}: {reason}; try again later, name another hub with HF_ENDPOINT, or give a folder"
    )]
    Unavailable {
        /// `owner/name`.
        repository: String,
        /// Branch, tag or commit.
        revision: String,
        /// Whom we asked.
        endpoint: String,
        /// What we asked for.
        file: String,
        /// What happened.
        reason: String,
    },
    /// What arrived is not what the hub said it would send; it was removed.
    #[error("{repository}@{revision}: {file} arrived damaged ({reason}) and was removed; start again to fetch it anew")]
    Damaged {
        /// `owner/name`.
        repository: String,
        /// Branch, tag or commit.
        revision: String,
        /// The file.
        file: String,
        /// What differs.
        reason: String,
    },
    /// The manifest and the files beside it on the hub do not belong together.
    #[error("{repository}@{revision}: manifest.json {reason}; upload the folder anew, as paidan-train wrote it")]
    Manifest {
        /// `owner/name`.
        repository: String,
        /// Branch, tag or commit.
        revision: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The cache could not be written.
    #[error("cache {path}: {source}", path = path.display())]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Hub {
    /// The snapshot's folder. With its mark, or offline, without a word to the hub.
    pub(super) fn fetch(
        &self,
        repository: &str,
        revision: &str,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<PathBuf, FetchError> {
        let job = Job { hub: self.clone(), repository: repository.to_owned(), revision: revision.to_owned() };
        if let Some(folder) = job.cached_snapshot().filter(|folder| is_whole(folder)) {
            return Ok(folder);
        }
        if self.offline {
            return job.offline();
        }
        // hf-hub waits for ever for a hub that is silent: we listen to it from here and lose patience.
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let outcome = job.online(&sender);
            let _ = sender.send(News::Done(Box::new(outcome)));
        });
        let mut current: Arc<str> = REQUIRED[0].into();
        loop {
            match receiver.recv_timeout(self.patience) {
                Ok(News::Bytes { file, done, total }) => {
                    progress(Progress { file: &file, done, total });
                    current = file;
                }
                Ok(News::Done(outcome)) => return *outcome,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return Err(FetchError::Unavailable {
                        repository: repository.to_owned(),
                        revision: revision.to_owned(),
                        endpoint: self.endpoint.clone(),
                        file: current.to_string(),
                        reason: format!("nothing came for {} s", self.patience.as_secs_f32()),
                    });
                }
            }
        }
    }
}

/// What the fetching thread tells.
enum News {
    Bytes { file: Arc<str>, done: u64, total: u64 },
    Done(Box<Result<PathBuf, FetchError>>),
}

/// Passes hf-hub's progress on.
struct Reporter<'a> {
    file: Arc<str>,
    done: u64,
    total: u64,
    sender: &'a mpsc::Sender<News>,
}

impl hf_hub::api::Progress for Reporter<'_> {
    fn init(&mut self, size: usize, _filename: &str) {
        (self.done, self.total) = (0, size as u64);
    }

    fn update(&mut self, size: usize) {
        self.done += size as u64;
        let _ = self.sender.send(News::Bytes { file: Arc::clone(&self.file), done: self.done, total: self.total });
    }

    fn finish(&mut self) {}
}

struct Job {
    hub: Hub,
    repository: String,
    revision: String,
}

impl Job {
    fn repo(&self, revision: &str) -> Repo {
        Repo::with_revision(self.repository.clone(), RepoType::Model, revision.to_owned())
    }

    /// The folder of the revision, if the cache knows which commit it is.
    fn cached_snapshot(&self) -> Option<PathBuf> {
        let repo = self.repo(&self.revision);
        let root = self.hub.cache.join(repo.folder_name());
        let commit = std::fs::read_to_string(root.join("refs").join(&self.revision)).ok();
        let commit = commit.map_or_else(|| self.revision.clone(), |commit| commit.trim().to_owned());
        Some(root.join("snapshots").join(commit)).filter(|folder| folder.is_dir())
    }

    fn offline(&self) -> Result<PathBuf, FetchError> {
        let not_cached = |file: &str| FetchError::NotCached {
            repository: self.repository.clone(),
            revision: self.revision.clone(),
            cache: self.hub.cache.clone(),
            file: file.to_owned(),
        };
        let folder = self.cached_snapshot().ok_or_else(|| not_cached(REQUIRED[0]))?;
        if let Some(missing) = REQUIRED.into_iter().find(|name| !folder.join(name).is_file()) {
            return Err(not_cached(missing));
        }
        // A manifest that cannot be read is for whoever opens the model.
        let listing = Listing::read(&folder.join(file::MANIFEST)).unwrap_or_default();
        match listing.missing(&folder) {
            Some(missing) => Err(not_cached(missing)),
            None => Ok(folder),
        }
    }

    fn online(&self, sender: &mpsc::Sender<News>) -> Result<PathBuf, FetchError> {
        let builder = ApiBuilder::from_cache(Cache::new(self.hub.cache.clone()))
            .with_endpoint(self.hub.endpoint.clone())
            .with_token(self.hub.token.clone())
            .with_progress(false);
        let api = builder.build().map_err(|error| self.unavailable(REQUIRED[0], &error))?;
        let (path, commit) = self.one_file(&api, &self.repo(&self.revision), REQUIRED[0], sender)?;
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        // All files of one commit, even if somebody pushes to the branch meanwhile.
        let repo = self.repo(&commit);
        let mut names = vec![REQUIRED[0].to_owned()];
        let listing = match self.one_file(&api, &repo, file::MANIFEST, sender) {
            Ok((path, _)) => {
                names.push(file::MANIFEST.to_owned());
                Listing::read(&path).map_err(|reason| self.manifest(reason))?
            }
            Err(FetchError::NotFound { .. }) => Listing::default(),
            Err(error) => return Err(error),
        };
        listing.check(REQUIRED[0], &path).map_err(|reason| self.manifest(reason))?;
        for name in listing.others() {
            match self.one_file(&api, &repo, name, sender) {
                Ok((path, _)) => listing.check(name, &path).map_err(|reason| self.manifest(reason))?,
                Err(FetchError::NotFound { .. }) if listing.names(name) => {
                    return Err(self.manifest(format!("names {name}, which the hub at {} does not have", self.hub.endpoint)));
                }
                Err(FetchError::NotFound { .. }) if !REQUIRED.contains(&name) => continue,
                Err(error) => return Err(error),
            }
            names.push(name.to_owned());
        }
        mark(&folder, &names).map_err(|(path, source)| FetchError::Cache { path, source })?;
        Ok(folder)
    }

    /// The file's place in the cache and its commit, after it was held against what the hub says of it.
    fn one_file(
        &self,
        api: &Api,
        repo: &Repo,
        name: &str,
        sender: &mpsc::Sender<News>,
    ) -> Result<(PathBuf, String), FetchError> {
        let _ = sender.send(News::Bytes { file: name.into(), done: 0, total: 0 });
        let remote: ApiRepo = api.repo(repo.clone());
        let told = api.metadata(&remote.url(name)).map_err(|error| self.explain(name, &error))?;
        let cache = Cache::new(self.hub.cache.clone()).repo(repo.clone());
        let blob = cache.blob_path(told.etag());
        let pointer = cache.pointer_path(told.commit_hash()).join(name);
        let expected = Expected { bytes: told.size() as u64, etag: told.etag() };
        if pointer.is_file() && expected.check(&pointer).is_ok() {
            // hf-hub writes the reference with a download only.
            cache.create_ref(told.commit_hash()).map_err(|source| FetchError::Cache { path: pointer.clone(), source })?;
            return Ok((pointer, told.commit_hash().to_owned()));
        }
        for stale in [&pointer, &blob] {
            remove(stale)?;
        }
        // A remainder as long as the file or longer cannot be gone on with.
        let part = blob.with_extension("part");
        if part.metadata().is_ok_and(|metadata| metadata.len() >= expected.bytes) {
            remove(&part)?;
        }
        let reporter = Reporter { file: name.into(), done: 0, total: 0, sender };
        let path = remote.download_with_progress(name, reporter).map_err(|error| self.explain(name, &error))?;
        if let Err(reason) = expected.check(&path) {
            for damaged in [&path, &blob] {
                remove(damaged)?;
            }
            let (repository, revision) = (self.repository.clone(), self.revision.clone());
            return Err(FetchError::Damaged { repository, revision, file: name.to_owned(), reason });
        }
        Ok((path, told.commit_hash().to_owned()))
    }

    fn explain(&self, file: &str, error: &ApiError) -> FetchError {
        match error {
            ApiError::RequestError(request) if matches!(**request, ureq::Error::StatusCode(401 | 403 | 404)) => {
                FetchError::NotFound {
                    repository: self.repository.clone(),
                    revision: self.revision.clone(),
                    endpoint: self.hub.endpoint.clone(),
                    file: file.to_owned(),
                }
            }
            _ => self.unavailable(file, error),
        }
    }

    fn manifest(&self, reason: String) -> FetchError {
        FetchError::Manifest { repository: self.repository.clone(), revision: self.revision.clone(), reason }
    }

    fn unavailable(&self, file: &str, error: &ApiError) -> FetchError {
        FetchError::Unavailable {
            repository: self.repository.clone(),
            revision: self.revision.clone(),
            endpoint: self.hub.endpoint.clone(),
            file: file.to_owned(),
            reason: error.to_string(),
        }
    }
}

/// What the hub says of a file.
struct Expected<'a> {
    bytes: u64,
    /// For a large file its sha-256.
    etag: &'a str,
}

impl Expected<'_> {
    fn check(&self, path: &Path) -> Result<(), String> {
        let bytes = path.metadata().map_err(|error| error.to_string())?.len();
        if bytes != self.bytes {
            return Err(format!("{bytes} bytes in place of {}", self.bytes));
        }
        if self.etag.len() == 64 && self.etag.bytes().all(|b| b.is_ascii_hexdigit()) {
            let found = sha256_of(path).map_err(|error| error.to_string())?;
            if found != self.etag.to_lowercase() {
                return Err(format!("sha-256 is {found} in place of {}", self.etag));
            }
        }
        Ok(())
    }
}

fn remove(path: &Path) -> Result<(), FetchError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(FetchError::Cache { path: path.to_owned(), source }),
        _ => Ok(()),
    }
}
