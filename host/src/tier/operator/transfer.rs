//! Export to lines and import from them.
//!
//! # Invariants
//! - What is exported is valid by the rule at that moment; the rest is counted.
//! - A sealed export is read under the lock that keeps servers out, the fence and what is to come
//!   as well as entries; it has an end only where the lock was held to the end.
//! - What was invalidated after an export must not come back by an import, and an export can't know
//!   of it. So one that a server could go on changing is not imported, and one is imported only
//!   into a database that no server has used: what such a server invalidates is later than all of
//!   it, because everything imported is older than its first sequence.
//! - What a plugin has tagged is imported only with what tells that plugin from others.
//! - An import begins by taking out what earlier ones have left, and one that meets a bad line ends
//!   by that. In between the database is marked: where an import was killed, no server starts.

use std::io::{BufRead, Read as _, Write};
use std::sync::Arc;

use super::header::{Beside, Header, VERSION, VERSION_MIN};
use super::line::{End, Line, LineError, line_of};
use super::{Inspector, OperatorError, Part, State};
use crate::cache::tier::{Record, Row};
use crate::clock::Clock;
use crate::limits::{HELD_TARGETS_MAX, VARIANTS_PER_KEY_MAX};
use crate::model::{Birth, Invalidation, Key, Kind, Mode, Sequence, Target};
use crate::tier::address::Address;
use crate::tier::database::{DatabaseError, KeyRows, Session, Writes};
use crate::tier::error::OpenError;
use crate::tier::ran_plugins::{self as notes, Notes};
use crate::tier::{postgres, sqlite};

/// Keys, and bytes of their values, that are written together.
const BATCH_KEYS: usize = 256;
const BATCH_BYTES: usize = 4 * 1024 * 1024;

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
    /// Left out, as they are tagged by a plugin of which the export says nothing.
    pub strange: u64,
}

impl Inspector {
    /// Writes every valid entry as a line. It is sealed, which an import asks for, where this was
    /// opened by [`Self::open_alone`] while no server was in.
    ///
    /// # Errors
    /// What the database says, or the one who takes the lines; or the lock was lost meanwhile.
    pub async fn export(&mut self, out: &mut impl Write) -> Result<Exported, OperatorError> {
        let sealed = self.lock.is_some();
        let exported_ms = self.clock.now_ms();
        let (epoch, mut beside) = (self.epoch, self.beside.clone());
        beside.add_events(self.events().await?);
        let beside = Some(beside);
        let header = Header { version: VERSION, sealed, epoch, exported_ms, beside };
        write(out, &Line::Header(header))?;
        let mut exported = Exported { sealed, ..Exported::default() };
        self.begin(b"", Part::Whole).await?;
        loop {
            let rows = self.next(Part::Whole).await?;
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
        self.check_alone().await?;
        write(out, &Line::End(End { entries: exported.entries }))?;
        out.flush()?;
        Ok(exported)
    }

    /// The events of the journal with what they named: which of them are to be applied again, a
    /// server knows that has their sources.
    async fn events(&mut self) -> Result<Vec<Record>, OperatorError> {
        let (mut events, mut after) = (Vec::new(), Sequence::ZERO);
        loop {
            let found = self.reading.events_after(after).await?;
            events.extend(found.records);
            let Some(last) = found.last else { break };
            after = last;
        }
        // The latest first: those may have to wait still. Beyond what can wait each is everything.
        let mut count = 0;
        for event in events.iter_mut().rev().filter(|event| !event.invalidation.cause.is_again) {
            let targets = match count < HELD_TARGETS_MAX {
                true => self.reading.targets_of(event.sequence).await?,
                false => vec![(Target::Everything, Mode::Hard)],
            };
            count += targets.len();
            let cause = event.invalidation.cause.clone();
            event.invalidation = Arc::new(Invalidation { targets, cause });
        }
        Ok(events)
    }

    /// Finds out whether no server has been there since the lock was taken, also where somebody
    /// has removed the lock.
    async fn check_alone(&mut self) -> Result<(), OperatorError> {
        let Some(lock) = &mut self.lock else { return Ok(()) };
        let database = self.address.to_string();
        lock.check(database.clone()).await?;
        if self.reading.epoch().await? != i64::from(self.epoch) {
            let reason = "a server has used it meanwhile".to_owned();
            return Err(OperatorError::Unlocked { database, reason });
        }
        Ok(())
    }
}

fn write(out: &mut impl Write, line: &Line) -> Result<(), OperatorError> {
    serde_json::to_writer(&mut *out, line).map_err(std::io::Error::from)?;
    Ok(out.write_all(b"\n")?)
}

/// Reads all lines into a database, which is made where there is none and which no server may have
/// used, in place of what was imported before.
///
/// # Errors
/// The database can't take them, or a line is bad, which is named; then nothing is in the database,
/// or it is marked as that of an unfinished import.
pub async fn import(
    address: &Address,
    clock: &Clock,
    lines: &mut impl BufRead,
) -> Result<Imported, OperatorError> {
    let database = address.to_string();
    let told = |error: DatabaseError| {
        let database = database.clone();
        OperatorError::Open(OpenError::Database { database, reason: error.to_string() })
    };
    let (_lock, session, epoch) = match address {
        Address::Sqlite(path) => {
            let (lock, session, epoch) = sqlite::fill(path).await?;
            (Some(lock), Session::Sqlite(session), epoch)
        }
        Address::Postgres(address) => {
            let (session, epoch) = postgres::fill(address).await?;
            (None, Session::Postgres(Box::new(session)), epoch)
        }
    };
    if epoch != 0 {
        return Err(OperatorError::Used { database, epoch });
    }
    let mut importing = Importing {
        session,
        batch: Vec::new(),
        batch_bytes: 0,
        beside: Beside::default(),
        imported: Imported::default(),
        now_ms: clock.now_ms(),
        lines: 0,
        last: None,
        variants: 0,
    };
    let read = importing.read(lines).await;
    if read.is_err() {
        importing.wipe().await.map_err(told)?;
    }
    let Importing { session, imported, lines: number, .. } = importing;
    session.close().await;
    match read {
        Ok(()) => Ok(imported),
        Err(Stop::Line(source)) => Err(OperatorError::Line { number, source }),
        Err(Stop::Database(error)) => Err(told(error)),
        Err(Stop::Other(error)) => Err(error),
    }
}

/// Why reading ended early.
enum Stop {
    /// This line is bad.
    Line(LineError),
    Database(DatabaseError),
    Other(OperatorError),
}

impl From<LineError> for Stop {
    fn from(error: LineError) -> Self {
        Self::Line(error)
    }
}

struct Importing {
    session: Session,
    /// Read, and not written yet.
    batch: Vec<KeyRows>,
    batch_bytes: usize,
    beside: Beside,
    imported: Imported,
    now_ms: u64,
    /// Read so far, with the one that is being read.
    lines: u64,
    /// The last line's key, and whether it was a page's.
    last: Option<(Key, bool)>,
    /// How many lines before it had the same.
    variants: usize,
}

impl Importing {
    async fn read(&mut self, lines: &mut impl BufRead) -> Result<(), Stop> {
        let Some(Line::Header(header)) = self.next(lines)? else {
            return Err(LineError::Order { expected: "a header" }.into());
        };
        if !(VERSION_MIN..=VERSION).contains(&header.version) {
            return Err(LineError::Version { found: header.version }.into());
        }
        if !header.sealed {
            return Err(Stop::Other(OperatorError::Unsealed));
        }
        self.beside = match header.beside {
            Some(beside) => beside,
            None if header.version == VERSION_MIN => Beside::default(),
            None => return Err(LineError::Order { expected: "`beside` in the header" }.into()),
        };
        let (events, records) = (self.beside.events()?, self.beside.records()?);
        self.session.begin_import(&events).await.map_err(Stop::Database)?;
        // Before anything of theirs is there.
        let plugins = Notes::unawaited(self.beside.plugins(), notes::Beside::Kept);
        self.session.note_plugins(&plugins).await.map_err(Stop::Database)?;
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
            self.take(key, row, counted).await?;
        }
        match self.next(lines)? {
            None => self.write(&records).await,
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

    async fn take(&mut self, key: Key, row: Row, number: u64) -> Result<(), Stop> {
        let is_page = matches!(row.content.kind, Kind::Page(_));
        let is_another = self.is_another_variant(&key, is_page)?;
        if row.content.expires.is_past(self.now_ms) {
            self.imported.expired += 1;
            return Ok(());
        }
        if row.content.tags.iter().any(|tag| self.beside.is_strange(tag.as_str())) {
            self.imported.strange += 1;
            return Ok(());
        }
        self.batch_bytes += row.content.body.len();
        // Older than whatever a server will invalidate here, and with a unique of its own.
        let row = Row { birth: Birth::at(Sequence::ZERO), cas: number, ..row };
        match self.batch.last_mut() {
            Some(last) if is_another && last.key == key => last.rows.push(row),
            _ => {
                // Between keys: a batch has all rows of each of its keys.
                if self.batch.len() >= BATCH_KEYS || self.batch_bytes > BATCH_BYTES {
                    self.write(&[]).await?;
                }
                self.batch.push(KeyRows { key, rows: vec![row], is_new: false });
            }
        }
        self.imported.entries += 1;
        Ok(())
    }

    /// Writes what was taken, and these records.
    async fn write(&mut self, records: &[Record]) -> Result<(), Stop> {
        let keys = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        let writes = Writes { records, ..writes(&keys) };
        self.session.write(&writes).await.map_err(Stop::Database)
    }

    /// Takes out again what is there: nobody but imports has had the tables.
    async fn wipe(&mut self) -> Result<(), DatabaseError> {
        self.session.begin_import(&[]).await?;
        let records = [Beside::end(1)];
        self.session.write(&Writes { records: &records, ..writes(&[]) }).await
    }

    /// A key has one item, or the variants of one page one after another; keys come in order.
    fn is_another_variant(&mut self, key: &Key, is_page: bool) -> Result<bool, LineError> {
        let refuse = |reason: &str| LineError::Field { field: "key", reason: reason.to_owned() };
        match &self.last {
            Some((last, _)) if key < last => Err(refuse("comes before that of the line before")),
            Some((last, was_page)) if key == last => {
                self.variants += 1;
                if !is_page || !was_page {
                    Err(refuse("has an item and something else"))
                } else if self.variants >= VARIANTS_PER_KEY_MAX {
                    Err(refuse("has more variants than are kept"))
                } else {
                    Ok(true)
                }
            }
            _ => {
                self.last = Some((key.clone(), is_page));
                self.variants = 0;
                Ok(false)
            }
        }
    }
}

/// All of these, whatever the settings of the server that will serve them.
fn writes(keys: &[KeyRows]) -> Writes<'_> {
    let oldest = Sequence::ZERO;
    Writes {
        is_wiping: false,
        keys,
        records: &[],
        owed: 0,
        oldest,
        value_bytes_max: None,
        compress_bytes_min: None,
    }
}
