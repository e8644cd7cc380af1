//! What must not be lost: rulings, returns and cases, and the trail of who did what. In SQLite, one file beside the service, or in PostgreSQL for
//! many replicas, by URL; the same statements on both.
//!
//! - `opening` opens it, and says what is wrong with a file that it cannot open;
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
mod opening;
mod rulings;
mod search;

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Any, AnyConnection, AnyPool, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard};

pub use audit::{
    Action, ArchiveBounds, ArchiveError, Archived, AuditEntry, AuditFault, AuditHead, ChainCheck, NewEntry, read_archive,
    verify_chain,
};
pub use disputes::{CasePage, CaseRow, ChangedOrders};
pub use error::StoreError;
pub use feed::{Change, Changes, Embedded};
pub use filter::Filter;
pub use opening::FileTrouble;
pub use rulings::{Page, Recorded, StoredRuling};
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
