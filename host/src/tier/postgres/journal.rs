//! The journal with what follows from it: the fence, intents and the numbers of sources.

use sqlx::postgres::PgConnection;
use sqlx::{Error, Postgres, Transaction};

use crate::cache::tier::Record;
use crate::fail_points::{Point, reach};
use crate::model::{Intent, Mode, Passage, Sequence, Target};
use crate::tier::rows::Events;
use crate::tier::{codec, rows};

/// Writes records with their rows of the fence; keys have none.
pub(super) async fn insert(
    transaction: &mut Transaction<'_, Postgres>,
    records: &[Record],
) -> Result<(), Error> {
    for record in records {
        write_passage(transaction, record).await?;
    }
    insert_rows(transaction, records).await?;
    reach(Point::RecordInserted);
    note_numbers(transaction, records).await?;
    raise_fence(transaction, records).await
}

/// Writes the journal's rows of records, and nothing that follows from them.
pub(super) async fn insert_rows(
    transaction: &mut Transaction<'_, Postgres>,
    records: &[Record],
) -> Result<(), Error> {
    let causes = || records.iter().map(|record| &record.invalidation.cause);
    let sequences = records.iter().map(|record| codec::encode_sequence(record.sequence));
    let targets = records.iter().map(|record| codec::encode_targets(&record.invalidation.targets));
    let event_ids = causes().map(|cause| cause.event_id.as_deref().map(str::as_bytes));
    sqlx::query(
        // There already where it was refused for time and yet committed, and is owed.
        "INSERT INTO journal (sequence, source, event_id, at_ms, targets, is_again) \
         SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::bigint[], $5::bytea[], \
         $6::bigint[]) ON CONFLICT (sequence) DO NOTHING",
    )
    .bind(sequences.collect::<Vec<_>>())
    .bind(causes().map(|cause| cause.source.as_bytes()).collect::<Vec<_>>())
    .bind(event_ids.collect::<Vec<_>>())
    .bind(causes().map(|cause| cause.at_ms.cast_signed()).collect::<Vec<_>>())
    .bind(targets.collect::<Vec<_>>())
    .bind(causes().map(|cause| i64::from(cause.is_again)).collect::<Vec<_>>())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn raise_fence(
    transaction: &mut Transaction<'_, Postgres>,
    records: &[Record],
) -> Result<(), Error> {
    let (mut kinds, mut names, mut hard, mut soft) = (vec![], vec![], vec![], vec![]);
    for record in records {
        let sequence = codec::encode_sequence(record.sequence);
        for (target, mode) in &record.invalidation.targets {
            if matches!(target, Target::Key(_)) {
                continue;
            }
            let named = codec::name_of(target);
            kinds.push(named.kind);
            names.push(named.name);
            hard.push(if *mode == Mode::Hard { sequence } else { 0 });
            soft.push(if *mode == Mode::Soft { sequence } else { 0 });
        }
    }
    if kinds.is_empty() {
        return Ok(());
    }
    // One statement changes a row once: each target is named once.
    sqlx::query(
        "INSERT INTO fence (kind, name, hard, soft) \
         SELECT kind, name, max(hard), max(soft) \
         FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[]) \
         AS u (kind, name, hard, soft) GROUP BY kind, name \
         ON CONFLICT (kind, sha256(name)) DO UPDATE SET \
         hard = greatest(fence.hard, excluded.hard), soft = greatest(fence.soft, excluded.soft)",
    )
    .bind(kinds)
    .bind(names)
    .bind(hard)
    .bind(soft)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn note_numbers(
    transaction: &mut Transaction<'_, Postgres>,
    records: &[Record],
) -> Result<(), Error> {
    let causes = records.iter().map(|record| &record.invalidation.cause);
    let numbered = causes.filter_map(|cause| Some((cause.source.as_bytes(), cause.number?)));
    let (sources, numbers): (Vec<&[u8]>, Vec<i64>) = numbered
        .map(|(source, number)| (source, i64::try_from(number).unwrap_or(i64::MAX)))
        .unzip();
    if sources.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO numbers (source, number) SELECT source, max(number) \
         FROM unnest($1::bytea[], $2::bigint[]) AS u (source, number) GROUP BY source \
         ON CONFLICT (source) DO UPDATE SET number = greatest(numbers.number, excluded.number)",
    )
    .bind(sources)
    .bind(numbers)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Notes an intent with its targets, or a flush to come, or that it has ended. In order, one by
/// one: one may be shut and opened in the same batch.
async fn write_passage(
    transaction: &mut Transaction<'_, Postgres>,
    record: &Record,
) -> Result<(), Error> {
    let query = match &record.passage {
        Passage::Unchanged => return Ok(()),
        Passage::Shut(intent) => {
            return shut(transaction, intent, &record.invalidation.targets).await;
        }
        Passage::Open(name) => {
            sqlx::query("DELETE FROM intents WHERE name = $1").bind(name.as_bytes())
        }
        Passage::FlushAt(due_ms) => {
            sqlx::query("DELETE FROM intents WHERE name = $1")
                .bind(codec::FLUSH_NAME.as_bytes())
                .execute(&mut **transaction)
                .await?;
            sqlx::query("INSERT INTO intents (name, until_ms, targets) VALUES ($1, $2, '')")
                .bind(codec::FLUSH_NAME.as_bytes())
                .bind(due_ms.cast_signed())
        }
        // A later one may have been announced meanwhile.
        Passage::Flushed(due_ms) => {
            sqlx::query("DELETE FROM intents WHERE name = $1 AND until_ms <= $2")
                .bind(codec::FLUSH_NAME.as_bytes())
                .bind(due_ms.cast_signed())
        }
    };
    query.execute(&mut **transaction).await?;
    Ok(())
}

/// Notes an intent. Announced again it grows: what is new is one row.
async fn shut(
    transaction: &mut Transaction<'_, Postgres>,
    intent: &Intent,
    targets: &[(Target, Mode)],
) -> Result<(), Error> {
    let (name, until_ms) = (intent.name.as_bytes(), intent.until_ms.cast_signed());
    let found = sqlx::query("SELECT targets FROM intents WHERE name = $1").bind(name);
    let new = rows::new_targets(&found.fetch_all(&mut **transaction).await?, targets);
    let query = match new.is_empty() {
        true => sqlx::query("UPDATE intents SET until_ms = $2 WHERE name = $1 AND until_ms < $2")
            .bind(name)
            .bind(until_ms),
        false => sqlx::query("INSERT INTO intents (name, until_ms, targets) VALUES ($1, $2, $3)")
            .bind(name)
            .bind(until_ms)
            .bind(codec::encode_targets(&new)),
    };
    query.execute(&mut **transaction).await?;
    Ok(())
}

/// The next events after a sequence, in order, without what they named: that may be long.
pub(in crate::tier) async fn events_after(
    connection: &mut PgConnection,
    after: Sequence,
    limit: i64,
) -> Result<Events, Error> {
    let found = sqlx::query(
        "SELECT sequence, source, event_id, at_ms, is_again FROM journal \
         WHERE event_id IS NOT NULL AND sequence > $1 ORDER BY sequence LIMIT $2",
    )
    .bind(codec::encode_sequence(after))
    .bind(limit)
    .fetch_all(connection)
    .await?;
    Ok(rows::events(&found))
}

/// What a record named.
pub(in crate::tier) async fn targets_of(
    connection: &mut PgConnection,
    sequence: Sequence,
) -> Result<Vec<(Target, Mode)>, Error> {
    let found = sqlx::query_scalar("SELECT targets FROM journal WHERE sequence = $1")
        .bind(codec::encode_sequence(sequence))
        .fetch_optional(connection)
        .await?;
    Ok(rows::targets(found))
}
