//! Rows as a reading finds them, from whichever database.

use crate::cache::tier::Row;
use crate::tier::codec;
use crate::tier::rows::{self, Columns};

/// Rows read at once; each may be as large as the largest value.
pub(in crate::tier) const ROWS: i64 = 32;

/// Rows, bytes of their bodies, rows of the fence, records of the journal, intents.
pub(in crate::tier) type Counts = (i64, i64, i64, i64, i64);

/// What of a row is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tier) enum Part {
    /// All but the body, which may be large.
    Head,
    /// Everything.
    Whole,
}

/// One row.
pub(in crate::tier) struct Piece {
    /// Its key, whatever it is.
    pub key: Vec<u8>,
    /// Which of the key's rows.
    pub variant: i64,
    /// The rest; `None` where it is not as it was written.
    pub row: Option<Row>,
    /// Length of its body.
    pub body_bytes: i64,
}

/// Rows with the column `body_bytes`.
pub(in crate::tier) fn pieces(found: &[impl Columns]) -> Vec<Piece> {
    let piece = |row: &_| read(row);
    found.iter().map(piece).collect()
}

fn read(row: &impl Columns) -> Piece {
    Piece {
        // The schema has no nulls here, and no other types.
        key: row.bytes("key").unwrap_or_default(),
        variant: row.number("variant").unwrap_or_default(),
        row: rows::row(row),
        body_bytes: row.number("body_bytes").unwrap_or_default(),
    }
}

/// How many rows of the fence can't be read.
pub(in crate::tier) fn damaged_fence(found: &[impl Columns]) -> u64 {
    let is_readable = |row: &_| is_fence_row(row).is_some();
    found.iter().filter(|row| !is_readable(*row)).count() as u64
}

fn is_fence_row(row: &impl Columns) -> Option<()> {
    let kind = row.number("kind").filter(|kind| *kind != codec::TARGET_KEY)?;
    codec::target_of(kind, &row.bytes("name")?)?;
    let levels = [row.number("hard")?, row.number("soft")?];
    levels.iter().all(|level| *level >= 0).then_some(())
}

/// How many records of the journal can't be read.
pub(in crate::tier) fn damaged_journal(found: &[impl Columns]) -> u64 {
    let readable = |targets: Vec<u8>| codec::decode_targets(&targets).is_some();
    found.iter().filter(|row| !row.bytes("targets").is_some_and(readable)).count() as u64
}
