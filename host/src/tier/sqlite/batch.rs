//! One transaction: the rows of keys, then records of the journal.
//!
//! # Not here
//! What of a batch is written at all (`database::Writes`), and records (`journal`).

use sqlx::sqlite::{Sqlite, SqliteConnection};
use sqlx::{Connection as _, Error, Transaction};

use super::journal::insert_record;
use super::session::check_epoch;
use crate::cache::tier::Row;
use crate::fail_points::{Point, reach};
use crate::model::{Key, Kind};
use crate::tier::codec::{self, Packed};
use crate::tier::database::{DatabaseError, Writes};

/// Writes a batch in the name of a server of this epoch; when it returns `Ok`, it is durable.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    writes: &Writes<'_>,
    epoch: i64,
) -> Result<(), DatabaseError> {
    // Immediate: a lock that can't be had is known before anything is done.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    reach(Point::BatchBegun);
    // Within it: no server can begin between this and the commit.
    check_epoch(&mut transaction, epoch).await?;
    if writes.is_wiping {
        sqlx::query("DELETE FROM entries").execute(&mut *transaction).await?;
    }
    for rows in writes.keys {
        if !rows.is_new {
            delete_key(&mut transaction, &rows.key).await?;
        }
        reach(Point::RowsDeleted);
        for (variant, row) in writes.kept(rows) {
            let packed = writes.packed(row);
            insert_row(&mut transaction, &rows.key, variant, row, &packed).await?;
        }
    }
    reach(Point::RowsWritten);
    for record in writes.records {
        insert_record(&mut transaction, record).await?;
    }
    for key in writes.removed() {
        delete_key(&mut transaction, key).await?;
    }
    reach(Point::RecordsWritten);
    Ok(transaction.commit().await?)
}

/// Takes the rows of a key out.
pub(super) async fn delete_key(
    transaction: &mut Transaction<'_, Sqlite>,
    key: &Key,
) -> Result<(), Error> {
    sqlx::query("DELETE FROM entries WHERE key = ?")
        .bind(key.as_bytes())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

async fn insert_row(
    transaction: &mut Transaction<'_, Sqlite>,
    key: &Key,
    variant: usize,
    row: &Row,
    packed: &Packed<'_>,
) -> Result<(), Error> {
    let (kind, flags, head) = match &row.content.kind {
        Kind::Item { flags } => (codec::KIND_ITEM, *flags, None),
        Kind::Page(head) => (codec::KIND_PAGE, 0, Some(head)),
    };
    sqlx::query(
        "INSERT INTO entries (key, variant, kind, flags, cas, birth, stored_ms, expires_ms, tags, \
         url, status, received_ms, initial_age_ms, lifetime_ms, stale_while_revalidate_ms, plugin, \
         vary, headers, body, stale_if_error_ms, staleness, site, unpacked_bytes) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
    .bind(&*packed.body)
    .bind(head.map(|head| head.stale_if_error_ms.cast_signed()))
    .bind(head.map(|head| codec::encode_staleness(head.staleness)))
    .bind(head.map(|head| &*head.site))
    .bind(packed.unpacked_bytes)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
