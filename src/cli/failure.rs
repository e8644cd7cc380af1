//! Why a command ended: one line for a person, one number for a script.

use std::io::{self, Write};
use std::process::ExitCode;

use paidan::catalog::CatalogError;
use paidan::config::ConfigError;
use paidan::hub::{FetchError, PlaceError};
use paidan::model::ArtifactsError;
use paidan::routing::RouteError;
use paidan::server::ServeError;
use paidan::server::rulings::RulingError;
use paidan::store::{ArchiveError, FileTrouble, StoreError};
use paidan::text::AppealError;

/// The exit codes of sysexits.h that we use.
pub mod code {
    /// Wrong flags or configuration.
    pub const USAGE: u8 = 64;
    /// Input or model is not what it should be.
    pub const DATA: u8 = 65;
    /// An input is not there.
    pub const NO_INPUT: u8 = 66;
    /// A service or an address is not to be had.
    pub const UNAVAILABLE: u8 = 69;
    /// Our own fault.
    pub const SOFTWARE: u8 = 70;
    /// Reading or writing failed.
    pub const IO: u8 = 74;
    /// 128 + SIGINT, as shells expect it.
    pub const INTERRUPTED: u8 = 130;
}

/// An error with its exit code.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    error: anyhow::Error,
}

impl Failure {
    /// A failure with a code of [`code`].
    pub fn new(code: u8, error: impl Into<anyhow::Error>) -> Self {
        Self { code, error: error.into() }
    }

    /// A failure that is told in words.
    pub fn said(code: u8, words: impl Into<String>) -> Self {
        Self { code, error: anyhow::Error::msg(words.into()) }
    }

    /// Reading or writing a file failed.
    pub fn file(path: &std::path::Path, error: io::Error) -> Self {
        let code = if error.kind() == io::ErrorKind::NotFound { code::NO_INPUT } else { code::IO };
        Self::said(code, format!("{}: {error}", path.display()))
    }

    /// Tells it, once, and gives the number. A reader that went away (`paidan … | head`) is no failure: whoever has a verdict to give
    /// works it out first, and fails with that where something is wrong.
    pub fn report(&self) -> ExitCode {
        if self.error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
            return ExitCode::SUCCESS;
        }
        // If not even this can be written there is nobody left to tell.
        let _ = writeln!(io::stderr(), "paidan: {}", told(&self.error));
        ExitCode::from(self.code)
    }
}

/// An error with what it comes from. Most of ours tell their cause in their own words: then it is not told once more.
fn told(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !told.contains(&cause) {
            let colon = if told.is_empty() { "" } else { ": " };
            told.push_str(&format!("{colon}{cause}"));
        }
    }
    told
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        match &error {
            ConfigError::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Self::new(code::NO_INPUT, error)
            }
            ConfigError::Unreadable { .. } => Self::new(code::IO, error),
            ConfigError::NoText { .. } | ConfigError::Bad { .. } => Self::new(code::USAGE, error),
        }
    }
}

impl From<PlaceError> for Failure {
    fn from(error: PlaceError) -> Self {
        match &error {
            PlaceError::BadName(_) => Self::new(code::USAGE, error),
            PlaceError::NoFolder(_) | PlaceError::NoBundledModel => Self::new(code::NO_INPUT, error),
        }
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        match &error {
            FetchError::NotFound { .. } | FetchError::NotCached { .. } => Self::new(code::NO_INPUT, error),
            FetchError::Unavailable { .. } => Self::new(code::UNAVAILABLE, error),
            FetchError::Damaged { .. } | FetchError::Manifest { .. } => Self::new(code::DATA, error),
            FetchError::Cache { .. } => Self::new(code::IO, error),
        }
    }
}

impl From<ArtifactsError> for Failure {
    fn from(error: ArtifactsError) -> Self {
        match &error {
            ArtifactsError::MissingFile { .. } => Self::new(code::NO_INPUT, error),
            ArtifactsError::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Self::new(code::NO_INPUT, error)
            }
            ArtifactsError::Unreadable { .. } => Self::new(code::IO, error),
            _ => Self::new(code::DATA, error),
        }
    }
}

impl From<CatalogError> for Failure {
    fn from(error: CatalogError) -> Self {
        match &error {
            CatalogError::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Self::new(code::NO_INPUT, error)
            }
            CatalogError::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotADirectory => {
                Self::new(code::USAGE, error)
            }
            CatalogError::Unreadable { .. } => Self::new(code::IO, error),
            CatalogError::Faulty { .. } | CatalogError::Lacks { .. } | CatalogError::Duties { .. } => {
                Self::new(code::DATA, error)
            }
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Url => Self::new(code::USAGE, error),
            StoreError::NoFile { .. } => Self::new(code::NO_INPUT, error),
            StoreError::Open(_) | StoreError::Unavailable(_) => Self::new(code::UNAVAILABLE, error),
            StoreError::File { trouble: FileTrouble::Busy, .. } => Self::new(code::UNAVAILABLE, error),
            StoreError::Full | StoreError::File { trouble: FileTrouble::Unwritable, .. } => Self::new(code::IO, error),
            StoreError::Migrate(_) => Self::new(code::SOFTWARE, error),
            _ => Self::new(code::DATA, error),
        }
    }
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Store(error) => error.into(),
            ArchiveError::File { .. } => Self::new(code::IO, error),
            ArchiveError::Unfinished { .. } | ArchiveError::Done { .. } => Self::new(code::USAGE, error),
            ArchiveError::Line { .. }
            | ArchiveError::Cut { .. }
            | ArchiveError::Broken { .. }
            | ArchiveError::NotWhole { .. }
            | ArchiveError::Differs { .. } => Self::new(code::DATA, error),
        }
    }
}

impl From<RulingError> for Failure {
    fn from(error: RulingError) -> Self {
        match error {
            RulingError::Store(error) => error.into(),
            RulingError::Model(error) => error.into(),
            RulingError::Panicked => Self::new(code::SOFTWARE, error),
        }
    }
}

impl From<AppealError> for Failure {
    fn from(error: AppealError) -> Self {
        Self::new(code::DATA, error)
    }
}

impl From<RouteError> for Failure {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::Appeal(error) => error.into(),
            RouteError::Model(_) => Self::new(code::SOFTWARE, error),
        }
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        match &error {
            ServeError::Config(_) => Self::new(code::USAGE, error),
            ServeError::Transport(_) | ServeError::DrainTimedOut { .. } => Self::new(code::UNAVAILABLE, error),
            _ => Self::new(code::SOFTWARE, error),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(code::IO, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Example {
        #[error("orders.db: {source}; try again")]
        Telling { source: io::Error },
        #[error("orders.db cannot be opened")]
        Silent { source: io::Error },
    }

    #[test]
    fn a_cause_is_told_once_whether_or_not_the_error_tells_it_itself() {
        let source = || io::Error::other("the disk is gone");
        let words = |error: Example| told(&error.into());
        assert_eq!(words(Example::Telling { source: source() }), "orders.db: the disk is gone; try again");
        assert_eq!(words(Example::Silent { source: source() }), "orders.db cannot be opened: the disk is gone");
        assert_eq!(told(&anyhow::Error::msg("alone")), "alone");
    }
}
