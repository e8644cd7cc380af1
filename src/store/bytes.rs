//! Texts that may have been damaged. SQLite keeps whatever bytes come to stand in a text, and for one that is no UTF-8 its driver gives
//! up on all rows that were asked for; read as bytes it is one row that was changed. PostgreSQL keeps no text that is none.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Kind, Store, StoreError};

impl Store {
    /// How a text's column is asked for, to be read by [`text`].
    pub(super) fn text_column(&self, column: &str) -> String {
        match self.kind {
            Kind::Sqlite => format!("CAST({column} AS BLOB) AS {column}"),
            Kind::Postgres => column.to_owned(),
        }
    }
}

/// What stands in a text that was asked for so, or as it is.
pub(super) fn bytes(row: &AnyRow, column: &str) -> Result<Vec<u8>, StoreError> {
    match row.try_get(column) {
        Ok(bytes) => Ok(bytes),
        Err(_) => Ok(row.try_get::<String, _>(column)?.into_bytes()),
    }
}

/// The same as a text. What is no UTF-8 in it is told apart from all that was ever written.
pub(super) fn text(row: &AnyRow, column: &str) -> Result<String, StoreError> {
    Ok(String::from_utf8_lossy(&bytes(row, column)?).into_owned())
}
