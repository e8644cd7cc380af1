//! Opening a database. One connection by itself comes first: it brings the tables up to date, and where a file cannot be used it says
//! why, at once; a pool would try for as long as its callers have patience, and then say no more than that it timed out.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use sqlx::any::AnyPoolOptions;
use sqlx::migrate::MigrateError;
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Connection, Executor};

use super::{CONNECTIONS, Kind, PATIENCE, Store, StoreError, TABLES};

/// How long a process waits for another one that opens the same new file, before it looks again.
const AGAIN: std::time::Duration = std::time::Duration::from_millis(20);

/// What is the matter with SQLite's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileTrouble {
    /// It is no database, or a part of one.
    Damaged,
    /// It, or what SQLite keeps beside it, cannot be read or written: a full disk, a read-only file system, no permission.
    Unwritable,
    /// Another process has it, or anything else that may pass.
    Busy,
}

/// What a connection may do, and how large the file may grow.
#[derive(Debug, Clone, Copy)]
enum Access {
    Write { pages: Option<u32> },
    Read,
}

impl Store {
    /// Opens a database by its URL, `sqlite:PATH` or `postgres://USER@HOST/NAME`, and brings its tables up to date. A SQLite file
    /// that does not exist is created. Nothing of the URL but its kind and a file's path is ever told: it may hold a password.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::connect(url, None).await
    }

    /// The same for somebody who changes what is there: a file that is not there is an error, since an empty database made by a slip
    /// of the pen would say that all is well.
    pub async fn open_existing(url: &str) -> Result<Self, StoreError> {
        match sqlite_path(url).filter(|path| !Path::new(path).exists()) {
            Some(path) => Err(StoreError::NoFile { path: path.to_owned() }),
            None => Self::open(url).await,
        }
    }

    /// The same for somebody who only reads: a file where nothing can be written, such as evidence on a read-only disk, is read as it
    /// lies there.
    pub async fn open_to_read(url: &str) -> Result<Self, StoreError> {
        match Self::open_existing(url).await {
            Err(StoreError::File { path, trouble: FileTrouble::Unwritable, reason }) if !url.contains('?') => {
                Self::unwritable(&path, reason).await
            }
            outcome => outcome,
        }
    }

    /// The same where SQLite's file may have at most so many pages, as on a disk that is full then. For tests.
    #[doc(hidden)]
    pub async fn open_limited(url: &str, pages: u32) -> Result<Self, StoreError> {
        Self::connect(url, Some(pages)).await
    }

    /// Whether a URL is one that [`Self::open`] takes.
    pub fn check_url(url: &str) -> Result<(), StoreError> {
        kind_of(url).map(drop)
    }

    async fn connect(url: &str, pages: Option<u32>) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let (kind, url) = kind_of(url)?;
        let access = Access::Write { pages };
        let path = sqlite_path(&url).unwrap_or_default();
        // Kept until the pool has connected: SQLite tidies up when the last connection goes.
        let first = match kind {
            Kind::Sqlite => Some(first(&url, access).await.map_err(|error| error.of_file(path))?),
            Kind::Postgres => None,
        };
        let pool = match pool(&url, access).await {
            // Whatever the trouble is, a pool says that it timed out: one connection by itself says what.
            Err(timed_out @ sqlx::Error::PoolTimedOut) if kind == Kind::Postgres => {
                let tried = tokio::time::timeout(PATIENCE, AnyConnection::connect(&url)).await;
                return Err(StoreError::Open(tried.ok().and_then(Result::err).unwrap_or(timed_out)));
            }
            pool => pool.map_err(|error| StoreError::Open(error).of_file(path))?,
        };
        TABLES.run(&pool).await.map_err(|error| StoreError::Migrate(error).of_file(path))?;
        if let Some(first) = first {
            // It has done what it was for.
            let _ = first.close().await;
        }
        Ok(Self { pool, kind, turn: Arc::default() })
    }

    /// A file, and a folder, that cannot be written.
    async fn unwritable(path: &str, reason: String) -> Result<Self, StoreError> {
        let trouble = |reason: String| StoreError::File { path: path.to_owned(), trouble: FileTrouble::Unwritable, reason };
        let mut url = format!("sqlite:{path}?mode=ro");
        if first(&url, Access::Read).await.is_err() {
            // Taken for a file that nobody changes SQLite looks at nothing beside it: what a journal holds would be missed in silence.
            let left = ["-wal", "-journal"].map(|end| format!("{path}{end}"));
            if let Some(left) = left.iter().find(|left| std::fs::metadata(left).is_ok_and(|file| file.len() > 0)) {
                return Err(trouble(format!(
                    "{reason}; what {left} holds can be read only where both can be written: copy them there"
                )));
            }
            url.push_str("&immutable=1");
            first(&url, Access::Read).await.map_err(|error| error.of_file(path))?;
        }
        let pool = pool(&url, Access::Read).await.map_err(|error| StoreError::Open(error).of_file(path))?;
        let (there, needed) = (applied(&mut *pool.acquire().await?).await?, TABLES.iter().count());
        if there < needed {
            return Err(trouble(format!(
                "it has {there} of the {needed} steps that its tables were made in, and the others cannot be taken where nothing can be \
                 written; copy it where it can"
            )));
        }
        Ok(Self { pool, kind: Kind::Sqlite, turn: Arc::default() })
    }
}

async fn pool(url: &str, access: Access) -> sqlx::Result<AnyPool> {
    let options = AnyPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(PATIENCE);
    options
        .after_connect(move |connection, _| Box::pin(async move { prepare(connection, access).await }))
        // Where the disk is full SQLite rolls back by itself, and sqlx, whose own rollback then fails, takes the connection to be in
        // a transaction for ever: whatever begins on it fails. Such a one is closed instead of being lent.
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
        .connect(url)
        .await
}

/// The first connection to a file of SQLite. Another process may be opening the same new file: it is waited for.
async fn first(url: &str, access: Access) -> Result<AnyConnection, StoreError> {
    let began = Instant::now();
    loop {
        match settled(url, access).await {
            Err(error) if error.code() == Some(BUSY) && began.elapsed() < PATIENCE => tokio::time::sleep(AGAIN).await,
            outcome => return outcome,
        }
    }
}

async fn settled(url: &str, access: Access) -> Result<AnyConnection, StoreError> {
    let mut connection = AnyConnection::connect(url).await.map_err(StoreError::Open)?;
    prepare(&mut connection, access).await.map_err(StoreError::Open)?;
    let there = applied(&mut connection).await.map_err(StoreError::Open)?;
    if matches!(access, Access::Write { .. }) && there < TABLES.iter().count() {
        // sqlx takes no lock for this on SQLite: of two processes both would make the tables, and one fail.
        let mut turn = connection.begin_with("BEGIN IMMEDIATE").await.map_err(StoreError::Open)?;
        TABLES.run(&mut *turn).await.map_err(StoreError::Migrate)?;
        turn.commit().await.map_err(StoreError::Open)?;
    }
    Ok(connection)
}

/// Steps that the tables of a file of SQLite were brought up to date in.
async fn applied(connection: &mut AnyConnection) -> sqlx::Result<usize> {
    let any = "SELECT count(*) FROM sqlite_master WHERE name = '_sqlx_migrations'";
    if sqlx::query_scalar::<_, i64>(any).fetch_one(&mut *connection).await? == 0 {
        return Ok(0);
    }
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations").fetch_one(connection).await?;
    Ok(usize::try_from(count).unwrap_or_default())
}

/// SQLite's settings are a connection's own.
async fn prepare(connection: &mut AnyConnection, access: Access) -> sqlx::Result<()> {
    if connection.backend_name() != "SQLite" {
        return Ok(());
    }
    let Access::Write { pages } = access else {
        connection.execute("PRAGMA busy_timeout = 5000; PRAGMA query_only = ON").await?;
        return Ok(());
    };
    // FULL: an acknowledged write is on disk even if the power fails.
    let settings = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON";
    connection.execute(settings).await?;
    if let Some(pages) = pages {
        connection.execute(AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"))).await?;
    }
    Ok(())
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

/// Path of SQLite's file; `None` for another kind.
fn sqlite_path(url: &str) -> Option<&str> {
    let path = url.strip_prefix("sqlite:")?;
    let path = path.split('?').next().unwrap_or(path);
    Some(path.strip_prefix("//").unwrap_or(path))
}

/// SQLite's codes, without what they say beyond their kind.
const BUSY: u32 = 5;
const READONLY: u32 = 8;
const IOERR: u32 = 10;
const CORRUPT: u32 = 11;
const FULL: u32 = 13;
const CANTOPEN: u32 = 14;
const NOTADB: u32 = 26;

impl StoreError {
    fn database_error(&self) -> Option<&sqlx::Error> {
        match self {
            Self::Open(error) => Some(error),
            Self::Migrate(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => Some(error),
            _ => None,
        }
    }

    /// SQLite's code, if it is SQLite that said it.
    fn code(&self) -> Option<u32> {
        let code = self.database_error()?.as_database_error()?.code()?;
        code.parse::<u32>().ok().map(|code| code & 0xff)
    }

    /// The same said of a file: which, and whether it is the file that is at fault.
    fn of_file(self, path: &str) -> Self {
        let Some(code) = self.code().filter(|_| !path.is_empty()) else { return self };
        let said = self.database_error().and_then(sqlx::Error::as_database_error).map(|error| error.message().to_owned());
        let said = said.unwrap_or_default();
        let file = Path::new(path);
        let (trouble, reason) = match code {
            CORRUPT | NOTADB => {
                (FileTrouble::Damaged, format!("is no database, or a damaged one ({said}); put back one that is whole"))
            }
            FULL => (FileTrouble::Unwritable, "there is no room left on its disk".to_owned()),
            READONLY => (FileTrouble::Unwritable, format!("cannot be written ({said})")),
            CANTOPEN if file.is_dir() => (FileTrouble::Unwritable, "is a folder, not a file".to_owned()),
            CANTOPEN if file.parent().is_some_and(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) => {
                (FileTrouble::Unwritable, "its folder is not there".to_owned())
            }
            CANTOPEN => {
                (FileTrouble::Unwritable, format!("it, or the journal beside it, cannot be opened for writing ({said})"))
            }
            IOERR => (FileTrouble::Unwritable, format!("reading or writing failed; is its disk full? ({said})")),
            BUSY => (FileTrouble::Busy, format!("another process has it ({said}); try again")),
            _ => return self,
        };
        Self::File { path: path.to_owned(), trouble, reason }
    }
}
