//! Export to lines and import from them.
//!
//! # Invariants
//! - What is exported is valid by the rule at that moment; the rest is counted.
//! - What was invalidated after an export must not come back by an import, and an export can't know
//!   of it. So one that a server could go on changing is not imported, and one is imported only
//!   into a database that no server has used: what such a server invalidates is later than all of
//!   it, because everything imported is older than its first sequence.
//! - An import is one transaction: all lines or none.

use std::io::{BufRead, Read as _, Write};
use std::path::Path;

use sqlx::sqlite::{Sqlite, SqliteConnection};
use sqlx::{Connection as _, Transaction};

use super::line::{End, Header, Line, LineError, VERSION, line_of};
use super::scan::{Part, Scan};
use super::{InspectError, Inspector, OpenError, State, open, statements};
use crate::cache::tier::Row;
use crate::clock::Clock;
use crate::limits::VARIANTS_PER_KEY_MAX;
use crate::model::{Birth, Key, Kind, Sequence};

/// Longest line: a value of 512 MiB as base64, with the rest of its entry.
const LINE_BYTES_MAX: u64 = 768 * 1024 * 1024;

/// What an export left behind and took along.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Exported {
    /// Whether no server had the database open.
    pub sealed: bool,
    /// Written.
    pub entries: u64,
    /// Left out: purged softly or hard, expired, or damaged.
    pub left_out: u64,
}

/// What an import did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Written.
    pub entries: u64,
    /// Left out, as their time is over.
    pub expired: u64,
}

impl Inspector {
    /// Writes every valid entry as a line.
    ///
    /// # Errors
    /// What the database says, or the one who takes the lines.
    pub async fn export(&mut self, out: &mut impl Write) -> Result<Exported, InspectError> {
        // Held to the end: no server starts meanwhile. One that runs already holds it.
        let lock = match open::lock(&self.path) {
            Ok(lock) => Some(lock),
            Err(OpenError::InUse { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let sealed = lock.is_some();
        let exported_ms = self.clock.now_ms();
        let header = Header { version: VERSION, sealed, epoch: self.epoch, exported_ms };
        write(out, &Line::Header(header))?;
        let mut exported = Exported { sealed, ..Exported::default() };
        let mut scan = Scan::from(b"");
        loop {
            let rows = scan.next(self, Part::Whole).await?;
            if rows.is_empty() {
                break;
            }
            for listed in rows {
                match listed.row.filter(|_| listed.state == State::Valid) {
                    Some(row) => {
                        write(out, &line_of(&listed.key, &row))?;
                        exported.entries += 1;
                    }
                    None => exported.left_out += 1,
                }
            }
        }
        write(out, &Line::End(End { entries: exported.entries }))?;
        out.flush()?;
        Ok(exported)
    }
}

fn write(out: &mut impl Write, line: &Line) -> Result<(), InspectError> {
    serde_json::to_writer(&mut *out, line).map_err(std::io::Error::from)?;
    Ok(out.write_all(b"\n")?)
}

/// Reads all lines into the database at `url`, which is made where there is none and which no
/// server may have used.
///
/// # Errors
/// The database can't take them, or a line is bad, which is named; then nothing is imported.
pub async fn import(
    url: &str,
    clock: &Clock,
    lines: &mut impl BufRead,
) -> Result<Imported, InspectError> {
    let (path, _lock, mut connection) = open::open_to_fill(url).await?;
    let told = |error| open::explain(&path, error);
    let epoch = epoch_of(&mut connection).await.map_err(told)?;
    if epoch > 0 {
        return Err(InspectError::Used { path, epoch });
    }
    let mut importing = Importing {
        transaction: connection.begin_with("BEGIN IMMEDIATE").await.map_err(told)?,
        path: &path,
        imported: Imported::default(),
        now_ms: clock.now_ms(),
        lines: 0,
        key: None,
        variants: 0,
    };
    let read = importing.read(lines).await;
    let Importing { transaction, imported, lines: number, .. } = importing;
    match read {
        Ok(()) => {
            transaction.commit().await.map_err(told)?;
            connection.close().await.map_err(told)?;
            Ok(imported)
        }
        Err(Stop::Line(source)) => {
            transaction.rollback().await.map_err(told)?;
            Err(InspectError::Line { number, source })
        }
        Err(Stop::Other(error)) => Err(error),
    }
}

async fn epoch_of(connection: &mut SqliteConnection) -> Result<u32, sqlx::Error> {
    let epoch: i64 = sqlx::query_scalar("SELECT value FROM meta WHERE name = 'epoch'")
        .fetch_one(connection)
        .await?;
    Ok(u32::try_from(epoch).unwrap_or(u32::MAX))
}

/// Why reading ended early.
enum Stop {
    /// This line is bad.
    Line(LineError),
    Other(InspectError),
}

impl From<LineError> for Stop {
    fn from(error: LineError) -> Self {
        Self::Line(error)
    }
}

struct Importing<'a> {
    transaction: Transaction<'a, Sqlite>,
    path: &'a Path,
    imported: Imported,
    now_ms: u64,
    /// Read so far, with the one that is being read.
    lines: u64,
    /// The last line's key, and whether it was a page's.
    key: Option<(Key, bool)>,
    /// How many lines before it had the same.
    variants: usize,
}

impl Importing<'_> {
    async fn read(&mut self, lines: &mut impl BufRead) -> Result<(), Stop> {
        let Some(Line::Header(header)) = self.next(lines)? else {
            return Err(LineError::Order { expected: "a header" }.into());
        };
        if header.version != VERSION {
            return Err(LineError::Version { found: header.version }.into());
        }
        if !header.sealed {
            return Err(Stop::Other(InspectError::Unsealed));
        }
        let mut counted = 0;
        loop {
            let (key, row) = match self.next(lines)? {
                Some(Line::Item(item)) => item.row()?,
                Some(Line::Page(page)) => page.row()?,
                Some(Line::End(End { entries })) if entries == counted => break,
                Some(Line::End(End { entries })) => {
                    return Err(LineError::Count { said: entries, counted }.into());
                }
                Some(Line::Header(_)) => {
                    return Err(LineError::Order { expected: "an item, a page or the end" }.into());
                }
                None => return Err(LineError::Order { expected: "the end" }.into()),
            };
            counted += 1;
            self.write(key, row, counted).await?;
        }
        match self.next(lines)? {
            None => Ok(()),
            Some(_) => Err(LineError::Order { expected: "nothing behind the end" }.into()),
        }
    }

    /// The next line; `None` at the end of the file.
    fn next(&mut self, lines: &mut impl BufRead) -> Result<Option<Line>, Stop> {
        self.lines += 1;
        let mut bytes = Vec::new();
        let read = lines.take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut bytes);
        match read.map_err(|error| Stop::Other(error.into()))? as u64 {
            0 => Ok(None),
            read if read > LINE_BYTES_MAX => {
                Err(LineError::TooLong { limit: LINE_BYTES_MAX }.into())
            }
            _ => Ok(Some(serde_json::from_slice(&bytes).map_err(LineError::from)?)),
        }
    }

    async fn write(&mut self, key: Key, row: Row, number: u64) -> Result<(), Stop> {
        let variant = self.variant_of(&key, matches!(row.content.kind, Kind::Page(_)))?;
        if row.content.expires.is_past(self.now_ms) {
            self.imported.expired += 1;
            return Ok(());
        }
        // Older than whatever a server will invalidate here, and with a unique of its own.
        let row = Row { birth: Birth::at(Sequence::ZERO), cas: number, ..row };
        let written = statements::insert_row(&mut self.transaction, &key, variant, &row).await;
        written.map_err(|error| Stop::Other(open::explain(self.path, error).into()))?;
        self.imported.entries += 1;
        Ok(())
    }

    /// A key has one item, or the variants of one page one after another; keys come in order.
    fn variant_of(&mut self, key: &Key, is_page: bool) -> Result<usize, LineError> {
        let refuse = |reason: &str| LineError::Field { field: "key", reason: reason.to_owned() };
        match &self.key {
            Some((last, _)) if key < last => {
                return Err(refuse("comes before that of the line before"));
            }
            Some((last, was_page)) if key == last => {
                if !is_page || !was_page {
                    return Err(refuse("has an item and something else"));
                }
                self.variants += 1;
                if self.variants >= VARIANTS_PER_KEY_MAX {
                    return Err(refuse("has more variants than are kept"));
                }
            }
            _ => {
                self.key = Some((key.clone(), is_page));
                self.variants = 0;
            }
        }
        Ok(self.variants)
    }
}
