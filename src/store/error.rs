//! What can go wrong with the database, told so that a caller knows whether to try again.

use super::FileTrouble;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Not a URL that it knows.
    #[error("not a database; write sqlite:PATH or postgres://USER@HOST/NAME")]
    Url,
    /// There is no such file, and it was to be read.
    #[error("there is no database {path}; nothing was ever recorded there")]
    NoFile {
        /// Its path.
        path: String,
    },
    /// SQLite's file cannot be used.
    #[error("database {path}: {reason}")]
    File {
        /// Its path.
        path: String,
        /// What is the matter.
        trouble: FileTrouble,
        /// In words, with the way out.
        reason: String,
    },
    /// It cannot be opened.
    #[error("the database cannot be opened: {0}")]
    Open(sqlx::Error),
    /// Its tables cannot be brought up to date.
    #[error("the database's tables cannot be brought up to date: {0}")]
    Migrate(sqlx::migrate::MigrateError),
    /// There is no room left to write.
    #[error("the database has no room left; nothing was recorded")]
    Full,
    /// It does not answer, or refuses to write.
    #[error("the database is not available: {0}")]
    Unavailable(sqlx::Error),
    /// There is no such ruling.
    #[error("there is no ruling {id:?}")]
    NotFound {
        /// Its id.
        id: String,
    },
    /// There is a ruling of this id that says something else.
    #[error("there is a ruling {id:?} already, and it says something else; send its etag to change it")]
    Exists {
        /// Its id.
        id: String,
    },
    /// Somebody else changed it first.
    #[error("ruling {id:?} was changed in the meantime; read it again")]
    Conflict {
        /// Its id.
        id: String,
    },
    /// There is no such order.
    #[error("order {order_id:?} is not known here; send its appeal along")]
    NoOrder {
        /// Its number.
        order_id: String,
    },
    /// A ruling settled it.
    #[error("order {order_id:?} was settled by ruling {ruling:?}; withdraw that ruling to reopen the question")]
    Settled {
        /// Its number.
        order_id: String,
        /// The ruling.
        ruling: String,
    },
    /// It was closed.
    #[error("order {order_id:?} is closed")]
    OrderClosed {
        /// Its number.
        order_id: String,
    },
    /// Its case is open.
    #[error("order {order_id:?} has an open case; it is closed by a ruling")]
    CaseOpen {
        /// The order's number.
        order_id: String,
    },
    /// The id of a report stands for another one.
    #[error("there is another return {id:?} already; a request id stands for one report")]
    OtherReturn {
        /// The id.
        id: String,
    },
    /// There is no such case.
    #[error("there is no case {id:?}")]
    NoCase {
        /// Its id.
        id: String,
    },
    /// It is not in a state in which this can be done.
    #[error("ruling {id:?} is {status}, so it cannot be {asked}")]
    State {
        /// Its id.
        id: String,
        /// What it is.
        status: &'static str,
        /// What it should become.
        asked: &'static str,
    },
    /// It supersedes one that supersedes it.
    #[error("ruling {id:?} cannot supersede {former:?}, which itself comes after it; name another one, or none")]
    Circular {
        /// Its id.
        id: String,
        /// The one that it names.
        former: String,
    },
    /// A page token that was not given out for this question.
    #[error("the page token is not one that was given out")]
    PageToken,
    /// A row does not hold what it should.
    #[error("the database's record of {id:?} cannot be read: {reason}")]
    Damaged {
        /// Its id.
        id: String,
        /// What is wrong.
        reason: String,
    },
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let full = error.as_database_error().is_some_and(|error| {
            // SQLITE_FULL; disk_full of PostgreSQL.
            error.code().is_some_and(|code| code == "13" || code == "53100")
        });
        match error {
            _ if full => Self::Full,
            // It answered, and will not answer anything else when it is asked again.
            sqlx::Error::ColumnDecode { index, source } => Self::Damaged { id: index, reason: source.to_string() },
            error => Self::Unavailable(error),
        }
    }
}

/// What was read, where one damaged row must not hide all others: it is left out, and the log says so.
pub(super) fn unless_damaged<T>(read: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Err(error @ StoreError::Damaged { .. }) => {
            tracing::error!(%error, "what cannot be read is left out");
            Ok(None)
        }
        outcome => outcome.map(Some),
    }
}
