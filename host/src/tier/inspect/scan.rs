//! Going through the rows of entries in the order of their keys.
//!
//! # Invariants
//! - Each piece begins behind the last row of the one before: a row that is there from the
//!   beginning to the end is seen once.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{InspectError, Inspector, Listed, ROWS, State, codec};
use crate::model::Key;

/// What of a row is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All but the body, which may be large.
    Head,
    /// Everything.
    Whole,
}

impl Part {
    fn sql(self) -> &'static str {
        match self {
            Self::Head => {
                "SELECT key, variant, kind, flags, cas, birth, stored_ms, expires_ms, tags, url, \
                 status, received_ms, initial_age_ms, lifetime_ms, stale_while_revalidate_ms, \
                 plugin, vary, headers, x'' AS body, stale_if_error_ms, staleness, site, \
                 length(body) AS body_bytes FROM entries \
                 WHERE (key, variant) > (?, ?) ORDER BY key, variant LIMIT ?"
            }
            Self::Whole => {
                "SELECT *, length(body) AS body_bytes FROM entries \
                 WHERE (key, variant) > (?, ?) ORDER BY key, variant LIMIT ?"
            }
        }
    }
}

/// How far it has come.
pub(super) struct Scan {
    key: Vec<u8>,
    variant: i64,
}

impl Scan {
    /// From the first key that is not below this one.
    pub(super) fn from(key: &[u8]) -> Self {
        Self { key: key.to_owned(), variant: i64::MIN }
    }

    /// From the first key above this one.
    pub(super) fn behind(key: &[u8]) -> Self {
        Self { key: key.to_owned(), variant: i64::MAX }
    }

    /// The next rows; none at the end.
    pub(super) async fn next(
        &mut self,
        inspector: &mut Inspector,
        part: Part,
    ) -> Result<Vec<Listed>, InspectError> {
        let found = sqlx::query(part.sql())
            .bind(self.key.as_slice())
            .bind(self.variant)
            .bind(ROWS)
            .fetch_all(&mut inspector.connection)
            .await
            .map_err(inspector.told())?;
        let rows: Result<Vec<Listed>, sqlx::Error> =
            found.iter().map(|row| listed(row, inspector)).collect();
        let rows = rows.map_err(inspector.told())?;
        if let Some(last) = rows.last() {
            self.key.clone_from(&last.key);
            self.variant = last.variant;
        }
        Ok(rows)
    }
}

fn listed(row: &SqliteRow, inspector: &Inspector) -> Result<Listed, sqlx::Error> {
    let key: Vec<u8> = row.try_get("key")?;
    let decoded = codec::decode_row(row, inspector.reached());
    let (state, decoded) = match (Key::new(&key), decoded) {
        (Ok(key), Some(row)) => (inspector.judge(&key, &row), Some(row)),
        _ => (State::Damaged, None),
    };
    Ok(Listed {
        key,
        variant: row.try_get("variant")?,
        state,
        row: decoded,
        body_bytes: row.try_get("body_bytes")?,
    })
}
