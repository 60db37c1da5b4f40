//! The statements of the tier: a batch in one transaction, rows of a key, culling, the journal.
//!
//! # Invariants
//! - A batch is one transaction: rows first, then the journal, so that a removal by key takes out
//!   what the same batch has written of it.
//! - A row that is older than the published oldest birth is not written: rows of the fence up to it
//!   may already be gone. Its key then has no row.
//!
//! # Not here
//! When anything is done and what follows from an error (`writer`).

use sqlx::sqlite::{Sqlite, SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{Connection as _, Error, Row as _, Transaction};
use std::sync::Arc;

use super::codec;
use crate::cache::tier::{FenceRow, IntentRow, Record, Row};
use crate::fail_points::{Point, reach};
use crate::limits::VARIANTS_PER_KEY_MAX;
use crate::model::{
    Birth, Cause, Intent, Invalidation, Key, Kind, Mode, Passage, Sequence, Target,
};

/// Largest value that is written; SQLite takes 1 GB for a whole row.
const ROW_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Journal records kept for reading; what must survive of older ones is in the fence.
const JOURNAL_RECORDS_MAX: i64 = 10_000;

/// Rows that one step of culling removes, or looks at.
const CULL_ROWS: i64 = 500;

/// Rows of the fence that go in one step.
const FENCE_ROWS: i64 = 10_000;

/// The rows of one key as they are to be.
pub(super) struct KeyRows {
    /// The key.
    pub key: Key,
    /// What memory has of it.
    pub rows: Vec<Row>,
}

/// Writes a batch; when it returns `Ok`, it is durable.
pub(super) async fn write_batch(
    connection: &mut SqliteConnection,
    is_wiping: bool,
    keys: &[KeyRows],
    records: &[Record],
    oldest: Sequence,
) -> Result<(), Error> {
    // Immediate: a lock that can't be had is known before anything is done.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    reach(Point::BatchBegun);
    if is_wiping {
        sqlx::query("DELETE FROM entries").execute(&mut *transaction).await?;
    }
    for KeyRows { key, rows } in keys {
        delete_key(&mut transaction, key).await?;
        reach(Point::RowsDeleted);
        for (variant, row) in rows.iter().take(VARIANTS_PER_KEY_MAX).enumerate() {
            if row.birth >= Birth::at(oldest) && row.content.body.len() <= ROW_BYTES_MAX {
                insert_row(&mut transaction, key, variant, row).await?;
            }
        }
    }
    reach(Point::RowsWritten);
    for record in records {
        insert_record(&mut transaction, record).await?;
    }
    reach(Point::RecordsWritten);
    transaction.commit().await
}

async fn delete_key(transaction: &mut Transaction<'_, Sqlite>, key: &Key) -> Result<(), Error> {
    sqlx::query("DELETE FROM entries WHERE key = ?")
        .bind(key.as_bytes())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Adds a row.
pub(super) async fn insert_row(
    transaction: &mut Transaction<'_, Sqlite>,
    key: &Key,
    variant: usize,
    row: &Row,
) -> Result<(), Error> {
    let (kind, flags, head) = match &row.content.kind {
        Kind::Item { flags } => (codec::KIND_ITEM, *flags, None),
        Kind::Page(head) => (codec::KIND_PAGE, 0, Some(head)),
    };
    sqlx::query(
        "INSERT INTO entries (key, variant, kind, flags, cas, birth, stored_ms, expires_ms, tags, \
         url, status, received_ms, initial_age_ms, lifetime_ms, stale_while_revalidate_ms, plugin, \
         vary, headers, body, stale_if_error_ms, staleness, site) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(key.as_bytes())
    .bind(variant as i64)
    .bind(kind)
    .bind(i64::from(flags))
    .bind(row.cas.cast_signed())
    .bind(codec::encode_sequence(row.birth.sequence()))
    .bind(row.stored_ms.cast_signed())
    .bind(codec::encode_expiry(row.content.expires))
    .bind(codec::encode_tags(&row.content.tags))
    .bind(head.map(|head| &*head.url))
    .bind(head.map(|head| i64::from(head.status.as_u16())))
    .bind(head.map(|head| head.received_ms.cast_signed()))
    .bind(head.map(|head| head.initial_age_ms.cast_signed()))
    .bind(head.map(|head| head.lifetime_ms.cast_signed()))
    .bind(head.map(|head| head.stale_while_revalidate_ms.cast_signed()))
    .bind(head.and_then(|head| head.plugin.as_deref()))
    .bind(head.map(|head| codec::encode_vary(&head.vary)))
    .bind(head.map(|head| codec::encode_headers(&head.headers)))
    .bind(&*row.content.body)
    .bind(head.map(|head| head.stale_if_error_ms.cast_signed()))
    .bind(head.map(|head| codec::encode_staleness(head.staleness)))
    .bind(head.map(|head| &*head.site))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn insert_record(
    transaction: &mut Transaction<'_, Sqlite>,
    record: &Record,
) -> Result<(), Error> {
    let Record { sequence, invalidation, passage } = record;
    write_passage(transaction, passage, &invalidation.targets).await?;
    let sequence = codec::encode_sequence(*sequence);
    sqlx::query(
        // There already where it was refused for time and yet committed, and is owed.
        "INSERT INTO journal (sequence, source, event_id, at_ms, targets, is_again) \
         VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (sequence) DO NOTHING",
    )
    .bind(sequence)
    .bind(&*invalidation.cause.source)
    .bind(invalidation.cause.event_id.as_deref())
    .bind(invalidation.cause.at_ms.cast_signed())
    .bind(codec::encode_targets(&invalidation.targets))
    .bind(i64::from(invalidation.cause.is_again))
    .execute(&mut **transaction)
    .await?;
    if let Some(number) = invalidation.cause.number {
        note_number(transaction, &invalidation.cause.source, number).await?;
    }
    reach(Point::RecordInserted);
    for (target, mode) in &invalidation.targets {
        if let Target::Key(key) = target {
            delete_key(transaction, key).await?;
            continue;
        }
        let named = codec::name_of(target);
        let (hard, soft) = match mode {
            Mode::Hard => (sequence, 0),
            Mode::Soft => (0, sequence),
        };
        sqlx::query(
            "INSERT INTO fence (kind, name, hard, soft) VALUES (?, ?, ?, ?) \
             ON CONFLICT (kind, name) DO UPDATE SET \
             hard = max(hard, excluded.hard), soft = max(soft, excluded.soft)",
        )
        .bind(named.kind)
        .bind(named.name)
        .bind(hard)
        .bind(soft)
        .execute(&mut **transaction)
        .await?;
    }
    Ok(())
}

async fn note_number(
    transaction: &mut Transaction<'_, Sqlite>,
    source: &str,
    number: u64,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO numbers (source, number) VALUES (?, ?) \
         ON CONFLICT (source) DO UPDATE SET number = max(number, excluded.number)",
    )
    .bind(source)
    .bind(i64::try_from(number).unwrap_or(i64::MAX))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// The highest number of each source. One that the column can't hold was kept as its largest, and
/// after that no event is known to be newer.
pub(super) async fn numbers(
    connection: &mut SqliteConnection,
) -> Result<Vec<(String, u64)>, Error> {
    let found = sqlx::query("SELECT source, number FROM numbers").fetch_all(connection).await?;
    let numbers = found.iter().filter_map(|row| {
        let number = row.try_get::<i64, _>("number").ok()?;
        let number = if number == i64::MAX { u64::MAX } else { u64::try_from(number).ok()? };
        Some((row.try_get("source").ok()?, number))
    });
    Ok(numbers.collect())
}

/// Notes an intent with its targets, or that it has ended.
async fn write_passage(
    transaction: &mut Transaction<'_, Sqlite>,
    passage: &Passage,
    targets: &[(Target, Mode)],
) -> Result<(), Error> {
    let query = match passage {
        Passage::Unchanged => return Ok(()),
        // Announced again it grows: each piece is one row.
        Passage::Shut(intent) => {
            sqlx::query("INSERT INTO intents (name, until_ms, targets) VALUES (?, ?, ?)")
                .bind(&*intent.name)
                .bind(intent.until_ms.cast_signed())
                .bind(codec::encode_targets(targets))
        }
        Passage::Open(name) => sqlx::query("DELETE FROM intents WHERE name = ?").bind(&**name),
    };
    query.execute(&mut **transaction).await?;
    Ok(())
}

/// Intents that had not ended. What can't be read of one counts as everything.
pub(super) async fn intents(connection: &mut SqliteConnection) -> Result<Vec<IntentRow>, Error> {
    let found =
        sqlx::query("SELECT name, until_ms, targets FROM intents").fetch_all(connection).await?;
    let rows = found.iter().map(|row| {
        let name = row.try_get("name").unwrap_or_default();
        let until_ms = row.try_get("until_ms").map_or(0, i64::cast_unsigned);
        let targets = row.try_get::<Vec<u8>, _>("targets").ok();
        let targets = targets.and_then(|bytes| codec::decode_targets(&bytes));
        let targets = targets.map_or_else(
            || vec![Target::Everything],
            |targets| targets.into_iter().map(|(target, _)| target).collect(),
        );
        IntentRow { intent: Intent { name, until_ms }, targets }
    });
    Ok(rows.collect())
}

/// Finds out whether the journal can be written, and leaves it as it was.
pub(super) async fn probe(connection: &mut SqliteConnection) -> Result<(), Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query(
        "INSERT INTO journal (sequence, source, at_ms, targets) VALUES (0, 'probe', 0, x'')",
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query("DELETE FROM journal WHERE sequence = 0").execute(&mut *transaction).await?;
    transaction.commit().await
}

/// What the table has of a key, undecoded.
pub(super) async fn rows_of(pool: &SqlitePool, key: &Key) -> Result<Vec<SqliteRow>, Error> {
    sqlx::query("SELECT * FROM entries WHERE key = ? ORDER BY variant LIMIT ?")
        .bind(key.as_bytes())
        .bind(VARIANTS_PER_KEY_MAX as i64)
        .fetch_all(pool)
        .await
}

/// One step of culling: rows that are expired or that the fence has ended. Returns how many went.
///
/// Of the latter only the oldest are looked at: they hold [`oldest_birth`] down, and with it the
/// fence. Softly purged rows stay: they may still be served stale.
pub(super) async fn cull(connection: &mut SqliteConnection, now_ms: u64) -> Result<u64, Error> {
    let expired = sqlx::query(
        "DELETE FROM entries WHERE id IN \
         (SELECT id FROM entries WHERE expires_ms <= ? LIMIT ?)",
    )
    .bind(i64::try_from(now_ms).unwrap_or(i64::MAX))
    .bind(CULL_ROWS)
    .execute(&mut *connection)
    .await?;
    let ended = sqlx::query(
        "DELETE FROM entries WHERE id IN (\
           SELECT e.id FROM \
           (SELECT id, key, url, site, tags, birth FROM entries ORDER BY birth LIMIT ?1) e WHERE \
           EXISTS (SELECT 1 FROM fence f WHERE f.kind = ?2 AND f.hard > e.birth) OR \
           EXISTS (SELECT 1 FROM fence f WHERE f.kind = ?3 AND f.name = CAST(e.url AS BLOB) \
                   AND f.hard > e.birth) OR \
           EXISTS (SELECT 1 FROM fence f WHERE f.kind = ?6 AND f.name = CAST(e.site AS BLOB) \
                   AND f.hard > e.birth) OR \
           EXISTS (SELECT 1 FROM json_each(CASE WHEN json_valid(e.tags) THEN e.tags END) t \
                   JOIN fence f ON f.kind = ?4 AND f.name = CAST(t.value AS BLOB) \
                   WHERE f.hard > e.birth) OR \
           EXISTS (SELECT 1 FROM fence f WHERE f.kind = ?5 AND f.hard > e.birth \
                   AND substr(e.key, 1, length(f.name)) = f.name))",
    )
    .bind(CULL_ROWS)
    .bind(codec::TARGET_EVERYTHING)
    .bind(codec::TARGET_URL)
    .bind(codec::TARGET_TAG)
    .bind(codec::TARGET_PREFIX)
    .bind(codec::TARGET_SITE)
    .execute(&mut *connection)
    .await?;
    Ok(expired.rows_affected() + ended.rows_affected())
}

/// The smallest birth among all rows; `None` without rows.
pub(super) async fn oldest_birth(
    connection: &mut SqliteConnection,
) -> Result<Option<Sequence>, Error> {
    let oldest: Option<i64> =
        sqlx::query_scalar("SELECT min(birth) FROM entries").fetch_one(connection).await?;
    Ok(oldest.map(codec::decode_sequence))
}

/// Drops what no row needs any more of the fence, and the journal's tail.
pub(super) async fn compact(
    connection: &mut SqliteConnection,
    oldest: Sequence,
) -> Result<(), Error> {
    sqlx::query(
        "DELETE FROM fence WHERE (kind, name) IN \
         (SELECT kind, name FROM fence WHERE hard <= ?1 AND soft <= ?1 LIMIT ?2)",
    )
    .bind(codec::encode_sequence(oldest))
    .bind(FENCE_ROWS)
    .execute(&mut *connection)
    .await?;
    reach(Point::FenceCompacted);
    sqlx::query(
        "DELETE FROM journal WHERE sequence <= \
         (SELECT sequence FROM journal ORDER BY sequence DESC LIMIT 1 OFFSET ?)",
    )
    .bind(JOURNAL_RECORDS_MAX)
    .execute(&mut *connection)
    .await?;
    Ok(())
}

/// Raises the epoch for good and returns it.
pub(super) async fn raise_epoch(connection: &mut SqliteConnection) -> Result<i64, Error> {
    sqlx::query_scalar("UPDATE meta SET value = value + 1 WHERE name = 'epoch' RETURNING value")
        .fetch_one(connection)
        .await
}

/// The fence as it was left; all of it is older than `start`. What can't be read counts as an
/// invalidation of everything before `start`.
pub(super) async fn fence(
    connection: &mut SqliteConnection,
    start: Sequence,
) -> Result<Vec<FenceRow>, Error> {
    let found =
        sqlx::query("SELECT kind, name, hard, soft FROM fence").fetch_all(connection).await?;
    let mut rows = Vec::with_capacity(found.len());
    for row in found {
        let target = row
            .try_get::<i64, _>("kind")
            .ok()
            .zip(row.try_get::<Vec<u8>, _>("name").ok())
            .and_then(|(kind, name)| codec::target_of(kind, &name))
            .filter(|target| !matches!(target, Target::Key(_)));
        let levels = row.try_get::<i64, _>("hard").ok().zip(row.try_get::<i64, _>("soft").ok());
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
    Ok(rows)
}

/// The newest records of the journal, newest first. Records that can't be read are left out.
pub(super) async fn journal(pool: &SqlitePool, limit: usize) -> Result<Vec<Record>, Error> {
    let found = sqlx::query("SELECT * FROM journal ORDER BY sequence DESC LIMIT ?")
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(pool)
        .await?;
    let records = found.iter().filter_map(|row| {
        let cause = Cause {
            source: row.try_get("source").ok()?,
            event_id: row.try_get("event_id").ok()?,
            at_ms: row.try_get::<i64, _>("at_ms").ok()?.cast_unsigned(),
            number: None,
            // Records from before the column say nothing: then the event is applied once more.
            is_again: row.try_get::<Option<i64>, _>("is_again").ok()? == Some(1),
        };
        let targets = codec::decode_targets(&row.try_get::<Vec<u8>, _>("targets").ok()?)?;
        let sequence = codec::decode_sequence(row.try_get("sequence").ok()?);
        let invalidation = Arc::new(Invalidation { targets, cause });
        Some(Record { sequence, invalidation, passage: Passage::Unchanged })
    });
    Ok(records.collect())
}
