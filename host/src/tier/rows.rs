//! Rows of the tables, read back as what the cache knows them as, from whichever database.
//!
//! # Invariants
//! - Decoding takes hostile rows: one that is not as it was written is left out and counted, or,
//!   where leaving it out would serve what was invalidated, counts as more than it says.
//!
//! # Not here
//! Bytes within columns (`codec`), and the statements of each database.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::StatusCode;

use super::codec;
use crate::cache::tier::{FenceRow, IntentRow, Record, Row};
use crate::model::{
    Birth, Cause, Content, Expiry, Intent, Invalidation, Kind, Mode, PageHead, Passage, Sequence,
    Tag, Target,
};

/// A row by its columns; `None` is a column that is missing or of another type.
pub(super) trait Columns {
    /// A number.
    fn number(&self, column: &str) -> Option<i64>;
    /// A number or null.
    fn optional_number(&self, column: &str) -> Option<Option<i64>>;
    /// Bytes.
    fn bytes(&self, column: &str) -> Option<Vec<u8>>;
    /// Text.
    fn text(&self, column: &str) -> Option<String>;
    /// Text or null.
    fn optional_text(&self, column: &str) -> Option<Option<String>>;
    /// The column `tags`.
    fn tags(&self) -> Option<Vec<Tag>>;
}

/// What the table has of a key.
#[derive(Default)]
pub(super) struct Found {
    /// The rows that could be read.
    pub rows: Vec<Row>,
    /// How many could not, because they are not as they were written.
    pub skipped: usize,
}

impl Found {
    /// Reads the rows of one key.
    pub(super) fn read(found: &[impl Columns]) -> Self {
        let rows: Vec<Row> = found.iter().filter_map(row).collect();
        let skipped = found.len() - rows.len();
        Self { rows, skipped }
    }

    /// Leaves out what can't be: `reached` is the last sequence there is, no honest row is born
    /// after it; and a key has one item or the variants of one page.
    pub(super) fn plausible(mut self, reached: Sequence) -> Self {
        let found = self.rows.len();
        self.rows.retain(|row| row.birth.sequence() <= reached);
        let is_item = |row: &Row| matches!(row.content.kind, Kind::Item { .. });
        if self.rows.len() > 1 && self.rows.iter().any(is_item) {
            self.rows.clear();
        }
        self.skipped += found - self.rows.len();
        self
    }
}

/// One row; `None` where it is not as it was written.
pub(super) fn row(row: &impl Columns) -> Option<Row> {
    let birth = u64::try_from(row.number("birth")?).map(Sequence::from_u64).ok()?;
    let expires = match row.optional_number("expires_ms")? {
        Some(ms) => Expiry::at_ms(u64::try_from(ms).ok()?),
        None => Expiry::NEVER,
    };
    let flags = u32::try_from(row.number("flags")?).ok()?;
    let kind = match row.number("kind")? {
        codec::KIND_ITEM => Kind::Item { flags },
        codec::KIND_PAGE => Kind::Page(Arc::new(head(row)?)),
        _ => return None,
    };
    let body = codec::unpack(row.optional_number("unpacked_bytes")?, row.bytes("body")?)?;
    let body = Bytes::from(body);
    Some(Row {
        content: Content { body, kind, expires, tags: row.tags()? },
        cas: row.number("cas")?.cast_unsigned(),
        birth: Birth::at(birth),
        stored_ms: row.number("stored_ms")?.cast_unsigned(),
    })
}

fn head(row: &impl Columns) -> Option<PageHead> {
    let millis = |column: &str| row.number(column).map(i64::cast_unsigned);
    let status = u16::try_from(row.number("status")?).ok()?;
    let url = row.text("url").filter(|url| !url.is_empty())?;
    Some(PageHead {
        url: url.into(),
        // Pages from before the column could not be invalidated by their site.
        site: row.optional_text("site").flatten()?.into(),
        status: StatusCode::from_u16(status).ok()?,
        headers: codec::decode_headers(&row.bytes("headers")?)?,
        vary: codec::decode_vary(&row.bytes("vary")?)?,
        received_ms: millis("received_ms")?,
        initial_age_ms: millis("initial_age_ms")?,
        lifetime_ms: millis("lifetime_ms")?,
        stale_while_revalidate_ms: millis("stale_while_revalidate_ms")?,
        stale_if_error_ms: row.optional_number("stale_if_error_ms")?.map_or(0, i64::cast_unsigned),
        staleness: codec::decode_staleness(row.optional_number("staleness")?)?,
        plugin: row.optional_text("plugin")?.map(Into::into),
        block: OnceLock::new(),
    })
}

/// The fence as it was left; all of it is older than `start`. What can't be read counts as an
/// invalidation of everything before `start`.
pub(super) fn fence(found: &[impl Columns], start: Sequence) -> Vec<FenceRow> {
    let mut rows = Vec::with_capacity(found.len());
    for row in found {
        let target = row
            .number("kind")
            .zip(row.bytes("name"))
            .and_then(|(kind, name)| codec::target_of(kind, &name))
            .filter(|target| !matches!(target, Target::Key(_)));
        let levels = row.number("hard").zip(row.number("soft"));
        let (Some(target), Some((hard, soft))) = (target, levels) else {
            tracing::warn!("fence has a row that can't be read; nothing stored before is served");
            rows.push(FenceRow { target: Target::Everything, mode: Mode::Hard, sequence: start });
            continue;
        };
        for (mode, level) in [(Mode::Hard, hard), (Mode::Soft, soft)] {
            if level != 0 {
                let sequence = u64::try_from(level).map_or(start, Sequence::from_u64).min(start);
                rows.push(FenceRow { target: target.clone(), mode, sequence });
            }
        }
    }
    rows
}

/// Intents that had not ended, and when a flush was to come. What can't be read of an intent counts
/// as everything.
pub(super) fn intents(found: &[impl Columns]) -> (Vec<IntentRow>, Option<u64>) {
    let intents = found.iter().map(|row| {
        let name = row.text("name").unwrap_or_default();
        let until_ms = row.number("until_ms").map_or(0, i64::cast_unsigned);
        let targets = row.bytes("targets").and_then(|bytes| codec::decode_targets(&bytes));
        let targets = targets.map_or_else(
            || vec![Target::Everything],
            |targets| targets.into_iter().map(|(target, _)| target).collect(),
        );
        IntentRow { intent: Intent { name, until_ms }, targets }
    });
    let (flushes, intents): (Vec<_>, Vec<_>) =
        intents.partition(|row| row.intent.name == codec::FLUSH_NAME);
    (intents, flushes.iter().map(|row| row.intent.until_ms).min())
}

/// Those of the targets that an intent names which its rows don't have, each once: announced again
/// and again, it takes no more room than all that it named.
pub(super) fn new_targets(rows: &[impl Columns], named: &[(Target, Mode)]) -> Vec<(Target, Mode)> {
    let known = rows.iter().flat_map(|row| targets(row.bytes("targets")));
    let known: HashSet<Target> = known.map(|(target, _)| target).collect();
    let new = named.iter().filter(|(target, _)| !known.contains(target));
    let new: BTreeMap<Target, Mode> = new.cloned().collect();
    new.into_iter().collect()
}

/// The highest number of each source. One that the column can't hold was kept as its largest, and
/// after that no event is known to be newer.
pub(super) fn numbers(found: &[impl Columns]) -> Vec<(String, u64)> {
    let numbers = found.iter().filter_map(|row| {
        let number = row.number("number")?;
        let number = if number == i64::MAX { u64::MAX } else { u64::try_from(number).ok()? };
        Some((row.text("source")?, number))
    });
    numbers.collect()
}

/// Events of the journal, in order.
pub(super) struct Events {
    /// Without what they named; those that can't be read are left out.
    pub records: Vec<Record>,
    /// The last of them, whether it could be read or not.
    pub last: Option<Sequence>,
}

/// Reads events of the journal.
pub(super) fn events(found: &[impl Columns]) -> Events {
    let last = found.last().and_then(|row| row.number("sequence")).map(codec::decode_sequence);
    let records = found.iter().filter_map(|row| {
        let cause = Cause {
            source: row.text("source")?,
            event_id: row.optional_text("event_id")?,
            at_ms: row.number("at_ms")?.cast_unsigned(),
            number: None,
            // Records from before the column say nothing: then the event is applied once more.
            is_again: row.optional_number("is_again")? == Some(1),
        };
        let sequence = codec::decode_sequence(row.number("sequence")?);
        let invalidation = Arc::new(Invalidation { targets: Vec::new(), cause });
        Some(Record { sequence, invalidation, passage: Passage::Unchanged })
    });
    Events { records: records.collect(), last }
}

/// What a record of the journal names. What can't be read counts as everything.
pub(super) fn targets(found: Option<Vec<u8>>) -> Vec<(Target, Mode)> {
    let targets = found.and_then(|bytes| codec::decode_targets(&bytes));
    targets.unwrap_or_else(|| vec![(Target::Everything, Mode::Hard)])
}
