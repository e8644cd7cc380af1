//! What must not be lost: rulings, returns and cases, and the trail of who did what. In SQLite, one file beside the service, or in PostgreSQL for
//! many replicas, by URL; the same statements on both.
//!
//! - `rulings` records, changes, lists and searches them; `feed` tells replicas what changed; `filter` reads AIP-160 filters;
//! - `disputes` remembers orders, their returns and their cases;
//! - `audit` writes and verifies the trail;
//! - `exchange` reads and writes files of rulings: jsonl, csv, xlsx.
//!
//! A write is acknowledged when the database has it on disk, never before. Every write that depends on what was read says so by
//! its etag, so that two writers do not lose each other's change.

mod audit;
mod bytes;
mod disputes;
mod error;
pub mod exchange;
mod feed;
mod filter;
mod rulings;
mod search;

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::{Any, AnyConnection, AnyPool, AssertSqlSafe, Connection, Executor, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard};

pub use audit::{
    Action, ArchiveBounds, ArchiveError, Archived, AuditEntry, AuditFault, AuditHead, ChainCheck, NewEntry, read_archive,
    verify_chain,
};
pub use disputes::{CasePage, CaseRow, ChangedOrders};
pub use error::StoreError;
pub use feed::{Change, Changes, Embedded};
pub use filter::Filter;
pub use rulings::{Page, StoredRuling};
pub use search::Found;

/// How long a caller waits for a connection, and SQLite for another process that is writing.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most connections. SQLite has one writer at a time; readers do not wait for it.
const CONNECTIONS: u32 = 8;

/// For both: SQLite takes any name for a type, so `BYTEA` is as good as `BLOB`.
static TABLES: sqlx::migrate::Migrator = sqlx::migrate!("src/store/migrations");

/// The database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pool: AnyPool,
    kind: Kind,
    /// Whose turn it is to write, in SQLite.
    turn: Arc<Mutex<()>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sqlite,
    Postgres,
}

impl Store {
    /// Opens a database by its URL, `sqlite:PATH` or `postgres://USER@HOST/NAME`, and brings its tables up to date. A SQLite file
    /// that does not exist is created. Nothing of the URL but its kind is ever told: it may hold a password.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::connect(url, None).await
    }

    /// The same for somebody who only wants to read: a file that is not there is an error, since an empty database made by a slip of
    /// the pen would say that all is well.
    pub async fn open_existing(url: &str) -> Result<Self, StoreError> {
        let path = url.strip_prefix("sqlite:").map(|path| path.split('?').next().unwrap_or(path));
        let path = path.map(|path| path.strip_prefix("//").unwrap_or(path));
        match path.filter(|path| !std::path::Path::new(path).exists()) {
            Some(path) => Err(StoreError::NoFile { path: path.to_owned() }),
            None => Self::open(url).await,
        }
    }

    /// The same where SQLite's file may have at most so many pages, as on a disk that is full then. For tests.
    #[doc(hidden)]
    pub async fn open_limited(url: &str, pages: u32) -> Result<Self, StoreError> {
        Self::connect(url, Some(pages)).await
    }

    async fn connect(url: &str, pages: Option<u32>) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let (kind, url) = Self::kind_of(url)?;
        let options = AnyPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(PATIENCE);
        let pool = options
            .after_connect(move |connection, _| Box::pin(async move { prepare(connection, pages).await }))
            // Where the disk is full SQLite rolls back by itself, and sqlx, whose own rollback then fails, takes the connection to be in
            // a transaction for ever: whatever begins on it fails. Such a one is closed instead of being lent.
            .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
            .connect(&url)
            .await;
        let pool = match pool {
            // Whatever the trouble is, a pool says that it timed out: one connection by itself says what.
            Err(timed_out @ sqlx::Error::PoolTimedOut) => {
                let tried = tokio::time::timeout(PATIENCE, AnyConnection::connect(&url)).await;
                return Err(StoreError::Open(tried.ok().and_then(Result::err).unwrap_or(timed_out)));
            }
            pool => pool.map_err(StoreError::Open)?,
        };
        TABLES.run(&pool).await.map_err(StoreError::Migrate)?;
        Ok(Self { pool, kind, turn: Arc::default() })
    }

    /// Whether a URL is one that [`Self::open`] takes.
    pub fn check_url(url: &str) -> Result<(), StoreError> {
        Self::kind_of(url).map(drop)
    }

    fn kind_of(url: &str) -> Result<(Kind, String), StoreError> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok((Kind::Postgres, url.to_owned()));
        }
        match url.strip_prefix("sqlite:") {
            Some(path) if !path.trim_start_matches('/').is_empty() => {
                let mode = if path.contains('?') { "" } else { "?mode=rwc" };
                Ok((Kind::Sqlite, format!("sqlite:{path}{mode}")))
            }
            _ => Err(StoreError::Url),
        }
    }

    /// Ends all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// A transaction that is going to write. In SQLite it takes its turn at once: one that begins by reading could be refused in
    /// the middle. SQLite itself has no order among those who wait for it: they ask again and again, and whoever asks at the right
    /// moment is next. The trail's writer, under load, begins anew as soon as it has ended, and a ruling beside it could wait its
    /// five seconds in vain; so those of one process stand in line.
    async fn begin(&self) -> Result<Write, StoreError> {
        match self.kind {
            Kind::Sqlite => {
                let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.turn).lock_owned()).await;
                let turn = turn.map_err(|_| StoreError::Unavailable(sqlx::Error::PoolTimedOut))?;
                Ok(Write { transaction: self.pool.begin_with("BEGIN IMMEDIATE").await?, _turn: Some(turn) })
            }
            Kind::Postgres => Ok(Write { transaction: self.pool.begin().await?, _turn: None }),
        }
    }
}

/// A transaction that writes, and the turn to do so. Rolled back if it is dropped.
struct Write {
    transaction: Transaction<'static, Any>,
    /// After the transaction: who is next finds it ended.
    _turn: Option<OwnedMutexGuard<()>>,
}

impl Write {
    async fn commit(self) -> sqlx::Result<()> {
        self.transaction.commit().await
    }
}

impl Deref for Write {
    type Target = AnyConnection;

    fn deref(&self) -> &Self::Target {
        &self.transaction
    }
}

impl DerefMut for Write {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.transaction
    }
}

/// SQLite's settings are a connection's own.
async fn prepare(connection: &mut AnyConnection, pages: Option<u32>) -> sqlx::Result<()> {
    if connection.backend_name() == "SQLite" {
        // FULL: an acknowledged write is on disk even if the power fails.
        let settings =
            "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON";
        connection.execute(settings).await?;
        if let Some(pages) = pages {
            connection.execute(AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"))).await?;
        }
    }
    Ok(())
}
