//! The journal with what follows from it: the fence, intents and the numbers of sources.

use sqlx::sqlite::{Sqlite, SqliteConnection, SqliteExecutor};
use sqlx::{Connection as _, Error, Transaction};

use crate::cache::tier::Record;
use crate::fail_points::{Point, reach};
use crate::model::{Intent, Mode, Passage, Sequence, Target};
use crate::tier::rows::Events;
use crate::tier::{codec, rows};

/// Writes a record with its rows of the fence; keys have none.
pub(super) async fn insert_record(
    transaction: &mut Transaction<'_, Sqlite>,
    record: &Record,
) -> Result<(), Error> {
    let Record { sequence, invalidation, passage } = record;
    write_passage(transaction, passage, &invalidation.targets).await?;
    insert_row(transaction, record).await?;
    let sequence = codec::encode_sequence(*sequence);
    if let Some(number) = invalidation.cause.number {
        note_number(transaction, &invalidation.cause.source, number).await?;
    }
    reach(Point::RecordInserted);
    for (target, mode) in &invalidation.targets {
        if matches!(target, Target::Key(_)) {
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

/// Writes the journal's row of a record, and nothing that follows from it.
pub(super) async fn insert_row(
    transaction: &mut Transaction<'_, Sqlite>,
    record: &Record,
) -> Result<(), Error> {
    let Record { sequence, invalidation, .. } = record;
    sqlx::query(
        // There already where it was refused for time and yet committed, and is owed.
        "INSERT INTO journal (sequence, source, event_id, at_ms, targets, is_again) \
         VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (sequence) DO NOTHING",
    )
    .bind(codec::encode_sequence(*sequence))
    .bind(&*invalidation.cause.source)
    .bind(invalidation.cause.event_id.as_deref())
    .bind(invalidation.cause.at_ms.cast_signed())
    .bind(codec::encode_targets(&invalidation.targets))
    .bind(i64::from(invalidation.cause.is_again))
    .execute(&mut **transaction)
    .await?;
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

/// Notes an intent with its targets, or a flush to come, or that it has ended.
async fn write_passage(
    transaction: &mut Transaction<'_, Sqlite>,
    passage: &Passage,
    targets: &[(Target, Mode)],
) -> Result<(), Error> {
    let query = match passage {
        Passage::Unchanged => return Ok(()),
        Passage::Shut(intent) => return shut(transaction, intent, targets).await,
        Passage::Open(name) => sqlx::query("DELETE FROM intents WHERE name = ?").bind(&**name),
        Passage::FlushAt(due_ms) => {
            sqlx::query("DELETE FROM intents WHERE name = ?")
                .bind(codec::FLUSH_NAME)
                .execute(&mut **transaction)
                .await?;
            sqlx::query("INSERT INTO intents (name, until_ms, targets) VALUES (?, ?, x'')")
                .bind(codec::FLUSH_NAME)
                .bind(due_ms.cast_signed())
        }
        // A later one may have been announced meanwhile.
        Passage::Flushed(due_ms) => {
            sqlx::query("DELETE FROM intents WHERE name = ? AND until_ms <= ?")
                .bind(codec::FLUSH_NAME)
                .bind(due_ms.cast_signed())
        }
    };
    query.execute(&mut **transaction).await?;
    Ok(())
}

/// Notes an intent. Announced again it grows: what is new is one row.
async fn shut(
    transaction: &mut Transaction<'_, Sqlite>,
    intent: &Intent,
    targets: &[(Target, Mode)],
) -> Result<(), Error> {
    let (name, until_ms) = (&*intent.name, intent.until_ms.cast_signed());
    let found = sqlx::query("SELECT targets FROM intents WHERE name = ?").bind(name);
    let new = rows::new_targets(&found.fetch_all(&mut **transaction).await?, targets);
    let query = match new.is_empty() {
        true => sqlx::query("UPDATE intents SET until_ms = ?2 WHERE name = ?1 AND until_ms < ?2")
            .bind(name)
            .bind(until_ms),
        false => sqlx::query("INSERT INTO intents (name, until_ms, targets) VALUES (?, ?, ?)")
            .bind(name)
            .bind(until_ms)
            .bind(codec::encode_targets(&new)),
    };
    query.execute(&mut **transaction).await?;
    Ok(())
}

/// Finds out whether the journal can be written, and leaves it as it was.
pub(in crate::tier) async fn probe(connection: &mut SqliteConnection) -> Result<(), Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query(
        "INSERT INTO journal (sequence, source, at_ms, targets) VALUES (0, 'probe', 0, x'')",
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query("DELETE FROM journal WHERE sequence = 0").execute(&mut *transaction).await?;
    transaction.commit().await
}

/// The next events after a sequence, in order, without what they named: that may be long.
pub(in crate::tier) async fn events_after(
    reader: impl SqliteExecutor<'_>,
    after: Sequence,
    limit: i64,
) -> Result<Events, Error> {
    let found = sqlx::query(
        "SELECT sequence, source, event_id, at_ms, is_again FROM journal \
         WHERE event_id IS NOT NULL AND sequence > ? ORDER BY sequence LIMIT ?",
    )
    .bind(codec::encode_sequence(after))
    .bind(limit)
    .fetch_all(reader)
    .await?;
    Ok(rows::events(&found))
}

/// What a record named.
pub(in crate::tier) async fn targets_of(
    reader: impl SqliteExecutor<'_>,
    sequence: Sequence,
) -> Result<Vec<(Target, Mode)>, Error> {
    let found = sqlx::query_scalar("SELECT targets FROM journal WHERE sequence = ?")
        .bind(codec::encode_sequence(sequence))
        .fetch_optional(reader)
        .await?;
    Ok(rows::targets(found))
}
