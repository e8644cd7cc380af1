//! Old entries leave the database for a file: jsonl, one entry a line as it was written, and a last line that says which they are. The
//! file is a piece of the chain and is verified like the rest of it.
//!
//! Nothing can be lost on the way. The file is written under another name, forced to disk, renamed and read back whole before the
//! first entry is removed; entries are removed only as that file holds them, and in the same transaction the trail gets an entry that
//! says which they were, by whom and where they are. Whoever was interrupted asks for the same again: the file that is there is
//! verified, and what is left of it in the database is removed.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Row};

use super::{Action, AuditEntry, AuditFault, AuditHead, ChainCheck, NewEntry, PAGE, append, entry};
use crate::store::{Store, StoreError};

/// Entries that are removed in one transaction: a running service waits for no longer than that, a second or less.
const AT_ONCE: i64 = 20_000;

/// The longest line of an archive, in bytes.
const MAX_LINE: u64 = 1 << 20;

/// Why nothing was archived, or an archive cannot be believed. Entries that were not removed are all still in the database.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another run writes it, or one was killed at it.
    #[error("{path}: another run is writing it, or one was killed at it; if none is running, remove it", path = path.display())]
    Unfinished {
        /// The unfinished file.
        path: PathBuf,
    },
    /// A line is none of an archive's.
    #[error("{path}:{line}: {reason}", path = path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// It has no last line.
    #[error("{path}: its end is missing, behind entry {last}", path = path.display())]
    Cut {
        /// The file.
        path: PathBuf,
        /// The last entry that is there.
        last: i64,
    },
    /// An entry of it is at fault.
    #[error("{path}: {fault}", path = path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// The first fault.
        fault: AuditFault,
    },
    /// What is to be archived is at fault already.
    #[error("{fault}, so nothing is archived; `paidan audit verify` tells all")]
    NotWhole {
        /// The first fault.
        fault: AuditFault,
    },
    /// Its entries have left the database before.
    #[error("{path}: holds entries {first} to {last}, which were removed before; name another file", path = path.display())]
    Done {
        /// The file.
        path: PathBuf,
        /// Its first entry.
        first: i64,
        /// Its last.
        last: i64,
    },
    /// The database holds something else than the file.
    #[error("{path}: the database's entries {first} to {last} are not those of this file; nothing more was removed", path = path.display())]
    Differs {
        /// The file.
        path: PathBuf,
        /// The first that was to be removed.
        first: i64,
        /// The last.
        last: i64,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for ArchiveError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What an archive holds, as its last line says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveBounds {
    /// Number of its first entry.
    pub first: i64,
    /// Number of its last.
    pub last: i64,
    /// The hash of that one.
    pub hash: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LastLine {
    archive: ArchiveBounds,
}

/// What the trail says of the entries that left it last.
#[derive(Debug, Clone, PartialEq)]
pub struct Archived {
    /// The last one of them.
    pub end: AuditHead,
    /// Name of the file, without its folder.
    pub file: String,
    /// Who, when and all.
    pub entry: AuditEntry,
}

/// The detail of an entry [`Action::Archived`].
#[derive(Serialize, Deserialize)]
struct Detail {
    first: i64,
    last: i64,
    hash: String,
    file: String,
}

impl Store {
    /// Writes every entry from before a moment into a file and removes it here; `None`, and no file, if there is none so old. The
    /// first entry that is younger ends it, so that what stays has no gap.
    pub async fn archive_audit(
        &self,
        before: DateTime<Utc>,
        path: &Path,
        actor: &str,
    ) -> Result<Option<ArchiveBounds>, ArchiveError> {
        let exists = path.try_exists().map_err(|source| ArchiveError::File { path: path.to_owned(), source })?;
        if !exists && !self.write_archive(before, path).await? {
            return Ok(None);
        }
        settle(path)?;
        // Read back as it lies there: what is removed is what a later reader will find.
        let (mut check, mut pieces) = (None::<ChainCheck>, Vec::new());
        let bounds = read_archive(path, |entry| {
            let check = check.get_or_insert_with(|| ChainCheck::behind(before_it(&entry)));
            if let Some(fault) = check.entry(&entry).into_iter().next() {
                return Err(ArchiveError::Broken { path: path.to_owned(), fault });
            }
            if entry.number % AT_ONCE == 0 {
                pieces.push(AuditHead { number: entry.number, hash: entry.hash });
            }
            Ok(())
        })?;
        if pieces.last().is_none_or(|end: &AuditHead| end.number < bounds.last) {
            pieces.push(AuditHead { number: bounds.last, hash: bounds.hash.clone() });
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let (mut first, mut removed) = (bounds.first, false);
        for AuditHead { number: last, hash } in pieces {
            let detail = Detail { first, last, hash, file: name.clone() };
            removed |= self.remove_archived(&detail, path, actor).await?;
            first = last + 1;
        }
        if removed {
            return Ok(Some(bounds));
        }
        Err(ArchiveError::Done { path: path.to_owned(), first: bounds.first, last: bounds.last })
    }

    /// What left the trail last, as the trail itself says; `None` if nothing ever did.
    pub async fn last_archived(&self) -> Result<Option<Archived>, StoreError> {
        let statement = format!(
            "SELECT {} FROM audit_entries WHERE number <= (SELECT number FROM audit_head) AND action = 'archived' \
             ORDER BY number DESC LIMIT 1",
            self.entry_columns()
        );
        let row = sqlx::query(AssertSqlSafe(statement)).fetch_optional(&self.pool).await?;
        let Some(entry) = row.as_ref().map(entry).transpose()? else { return Ok(None) };
        // One that says nothing vouches for nothing: what is gone is missing then.
        let Ok(Detail { last, hash, file, .. }) = serde_json::from_str(&entry.detail) else { return Ok(None) };
        Ok(Some(Archived { end: AuditHead { number: last, hash }, file, entry }))
    }

    /// The entry that the first one here must follow.
    pub(super) async fn archived_end(&self) -> Result<AuditHead, StoreError> {
        Ok(self.last_archived().await?.map(|archived| archived.end).unwrap_or_default())
    }

    /// Writes the file, verifying what goes into it; false if nothing is so old.
    async fn write_archive(&self, before: DateTime<Utc>, path: &Path) -> Result<bool, ArchiveError> {
        let mut check = ChainCheck::behind(self.archived_end().await?);
        let base = check.last().number;
        let mut file: Option<Unfinished> = None;
        let mut done = false;
        while !done {
            let entries = self.audit_after(check.last().number, PAGE).await?;
            done = entries.len() < PAGE;
            for entry in entries {
                if !entry.is_before(before) {
                    done = true;
                    break;
                }
                if let Some(fault) = check.entry(&entry).into_iter().next() {
                    return Err(ArchiveError::NotWhole { fault });
                }
                let file = match &mut file {
                    Some(file) => file,
                    none => none.insert(Unfinished::create(path)?),
                };
                file.line(&entry)?;
            }
        }
        let Some(mut file) = file else { return Ok(false) };
        let AuditHead { number: last, hash } = check.last().clone();
        file.line(&LastLine { archive: ArchiveBounds { first: base + 1, last, hash } })?;
        file.finish()?;
        Ok(true)
    }

    /// Removes entries that lie in a file, and says so in the trail: both or neither. False if they are gone already.
    async fn remove_archived(&self, detail: &Detail, path: &Path, actor: &str) -> Result<bool, ArchiveError> {
        let &Detail { first, last, ref hash, .. } = detail;
        let differs = || ArchiveError::Differs { path: path.to_owned(), first, last };
        let mut transaction = self.begin().await?;
        let row = sqlx::query(
            "SELECT MIN(number) AS first, MAX(CASE WHEN number = $1 THEN hash ELSE '' END) AS hash \
             FROM audit_entries WHERE number <= $1",
        )
        .bind(last)
        .fetch_one(&mut *transaction)
        .await?;
        let Some(lowest) = row.try_get::<Option<i64>, _>("first")? else { return Ok(false) };
        if lowest != first || row.try_get::<String, _>("hash")? != *hash {
            return Err(differs());
        }
        let gone = sqlx::query("DELETE FROM audit_entries WHERE number >= $1 AND number <= $2")
            .bind(first)
            .bind(last)
            .execute(&mut *transaction)
            .await?;
        // Fewer: some were missing, or another run was at it in the meantime.
        if gone.rows_affected() != (last - first + 1).unsigned_abs() {
            return Err(differs());
        }
        let detail = serde_json::json!(detail).to_string();
        append(&mut transaction, &[NewEntry { detail, ..NewEntry::now(Action::Archived, actor) }]).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

/// What an archive's first entry says came before it.
fn before_it(entry: &AuditEntry) -> AuditHead {
    AuditHead { number: entry.number - 1, hash: entry.previous_hash.clone() }
}

/// Reads an archive entry by entry and says what it holds. Whether the entries are a chain is for the reader to check; that the file
/// is whole, and of nothing else, is checked here.
pub fn read_archive(
    path: &Path,
    mut each: impl FnMut(AuditEntry) -> Result<(), ArchiveError>,
) -> Result<ArchiveBounds, ArchiveError> {
    let unreadable = |source| ArchiveError::File { path: path.to_owned(), source };
    let mut reader = BufReader::with_capacity(1 << 18, File::open(path).map_err(unreadable)?);
    let (mut line, mut bytes) = (0, Vec::new());
    let (mut bounds, mut seen) = (None::<ArchiveBounds>, None::<ArchiveBounds>);
    loop {
        bytes.clear();
        line += 1;
        let wrong = |reason: String| ArchiveError::Line { path: path.to_owned(), line, reason };
        if reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes).map_err(unreadable)? == 0 {
            break;
        }
        if bounds.is_some() {
            return Err(wrong("stands behind the last line".to_owned()));
        }
        if !bytes.ends_with(b"\n") {
            return Err(wrong("is cut off, or too long for a line of an archive".to_owned()));
        }
        if bytes.starts_with(b"{\"archive\":") {
            let LastLine { archive } = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
            bounds = Some(archive);
            continue;
        }
        let entry: AuditEntry = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        let first = seen.as_ref().map_or(entry.number, |seen| seen.first);
        seen = Some(ArchiveBounds { first, last: entry.number, hash: entry.hash.clone() });
        each(entry)?;
    }
    match (bounds, seen) {
        (Some(bounds), Some(seen)) if bounds == seen => Ok(bounds),
        (Some(_), _) => {
            let reason = "names other entries than those that stand before it".to_owned();
            Err(ArchiveError::Line { path: path.to_owned(), line: line - 1, reason })
        }
        (None, seen) => Err(ArchiveError::Cut { path: path.to_owned(), last: seen.map_or(0, |seen| seen.last) }),
    }
}

/// A file under a name that nobody takes for an archive; gone if it is not finished.
struct Unfinished {
    temporary: PathBuf,
    path: PathBuf,
    writer: Option<BufWriter<File>>,
}

impl Unfinished {
    fn create(path: &Path) -> Result<Self, ArchiveError> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".part");
        let temporary = PathBuf::from(temporary);
        let file = File::create_new(&temporary).map_err(|source| match source.kind() {
            std::io::ErrorKind::AlreadyExists => ArchiveError::Unfinished { path: temporary.clone() },
            _ => ArchiveError::File { path: temporary.clone(), source },
        })?;
        Ok(Self { temporary, path: path.to_owned(), writer: Some(BufWriter::with_capacity(1 << 18, file)) })
    }

    fn line(&mut self, value: &impl Serialize) -> Result<(), ArchiveError> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let written = serde_json::to_writer(&mut *writer, value).map_err(Into::into).and_then(|()| writer.write_all(b"\n"));
        written.map_err(|source| ArchiveError::File { path: self.temporary.clone(), source })
    }

    /// Gives it its name, once all of it is on disk.
    fn finish(mut self) -> Result<(), ArchiveError> {
        let refused = |source| ArchiveError::File { path: self.path.clone(), source };
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let file = writer.into_inner().map_err(std::io::IntoInnerError::into_error);
        let named = file.and_then(|file| file.sync_all()).and_then(|()| fs::rename(&self.temporary, &self.path));
        if named.is_err() {
            let _ = fs::remove_file(&self.temporary);
        }
        named.map_err(refused)
    }
}

/// Returns when file and name would outlast a power failure, also those of a run that was interrupted before it could ask.
fn settle(path: &Path) -> Result<(), ArchiveError> {
    let settled = File::open(path).and_then(|file| file.sync_all()).and_then(|()| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // The name is the folder's; where a folder cannot be opened (Windows) the system looks after it itself.
        if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
    });
    settled.map_err(|source| ArchiveError::File { path: path.to_owned(), source })
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.writer.take().is_some() {
            // It has a name that nobody believes: if it cannot be removed nothing is lost.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}
