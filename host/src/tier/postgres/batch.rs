//! One transaction: the rows of keys, then records of the journal; each table in one statement,
//! because each statement is a way to the server and back.
//!
//! # Not here
//! What of a batch is written at all (`database::Writes`), and records (`journal`).

use std::borrow::Cow;
use std::collections::HashMap;

use sha2::{Digest as _, Sha256};
use sqlx::{Error, Postgres, Transaction};

use super::Session;
use super::journal;
use crate::fail_points::{Point, reach};
use crate::model::{Key, Kind};
use crate::tier::codec;
use crate::tier::database::{KeyRows, Writes};

/// Writes a batch; when it returns `Ok`, it is durable.
pub(in crate::tier) async fn write(
    session: &mut Session,
    writes: &Writes<'_>,
) -> Result<(), Error> {
    let mut transaction = session.begin().await?;
    reach(Point::BatchBegun);
    if writes.is_wiping {
        sqlx::query("TRUNCATE entries").execute(&mut *transaction).await?;
    }
    // A key that was overwritten while the batch was gathered is in it twice; the last counts.
    let keys: HashMap<&Key, &KeyRows> = writes.keys.iter().map(|rows| (&rows.key, rows)).collect();
    if !keys.is_empty() {
        let names: Vec<&Key> = keys.keys().copied().collect();
        delete_keys(&mut transaction, &names).await?;
        reach(Point::RowsDeleted);
        insert_rows(&mut transaction, Rows::of(writes, keys.into_values())).await?;
    }
    reach(Point::RowsWritten);
    if !writes.records.is_empty() {
        journal::insert(&mut transaction, writes.records).await?;
    }
    reach(Point::RecordsWritten);
    transaction.commit().await?;
    session.note_commit();
    Ok(())
}

/// Takes the rows of keys out.
pub(super) async fn delete_keys(
    transaction: &mut Transaction<'_, Postgres>,
    keys: &[&Key],
) -> Result<(), Error> {
    // Hashed here, so that it is no join: the plan is made while the table is small, and kept.
    let keys: Vec<[u8; 32]> = keys.iter().map(|key| hash_of(key)).collect();
    sqlx::query("DELETE FROM entries WHERE sha256(key) = ANY($1)")
        .bind(keys)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// What the index has of a key.
fn hash_of(key: &Key) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// The columns of rows that are inserted together; those of a page are null for an item.
#[derive(Default)]
struct Rows<'batch> {
    keys: Vec<&'batch [u8]>,
    variants: Vec<i64>,
    kinds: Vec<i64>,
    flags: Vec<i64>,
    cas: Vec<i64>,
    births: Vec<i64>,
    stored_ms: Vec<i64>,
    expires_ms: Vec<Option<i64>>,
    /// JSON: arrays of arrays are flattened on the way.
    tags: Vec<String>,
    urls: Vec<Option<&'batch [u8]>>,
    sites: Vec<Option<&'batch [u8]>>,
    statuses: Vec<Option<i64>>,
    received_ms: Vec<Option<i64>>,
    initial_age_ms: Vec<Option<i64>>,
    lifetime_ms: Vec<Option<i64>>,
    stale_while_revalidate_ms: Vec<Option<i64>>,
    stale_if_error_ms: Vec<Option<i64>>,
    staleness: Vec<Option<i64>>,
    plugins: Vec<Option<&'batch [u8]>>,
    vary: Vec<Option<Vec<u8>>>,
    headers: Vec<Option<Vec<u8>>>,
    unpacked_bytes: Vec<Option<i64>>,
    bodies: Vec<Cow<'batch, [u8]>>,
}

impl<'batch> Rows<'batch> {
    fn of(writes: &Writes<'_>, keys: impl Iterator<Item = &'batch KeyRows>) -> Self {
        let mut rows = Self::default();
        for of_key in keys {
            for (variant, row) in writes.kept(of_key) {
                let (kind, flags, head) = match &row.content.kind {
                    Kind::Item { flags } => (codec::KIND_ITEM, *flags, None),
                    Kind::Page(head) => (codec::KIND_PAGE, 0, Some(head)),
                };
                rows.keys.push(of_key.key.as_bytes());
                rows.variants.push(variant as i64);
                rows.kinds.push(kind);
                rows.flags.push(i64::from(flags));
                rows.cas.push(row.cas.cast_signed());
                rows.births.push(codec::encode_sequence(row.birth.sequence()));
                rows.stored_ms.push(row.stored_ms.cast_signed());
                rows.expires_ms.push(codec::encode_expiry(row.content.expires));
                rows.tags.push(codec::encode_tags(&row.content.tags));
                rows.urls.push(head.map(|head| head.url.as_bytes()));
                rows.sites.push(head.map(|head| head.site.as_bytes()));
                rows.statuses.push(head.map(|head| i64::from(head.status.as_u16())));
                rows.received_ms.push(head.map(|head| head.received_ms.cast_signed()));
                rows.initial_age_ms.push(head.map(|head| head.initial_age_ms.cast_signed()));
                rows.lifetime_ms.push(head.map(|head| head.lifetime_ms.cast_signed()));
                let stale_ms = head.map(|head| head.stale_while_revalidate_ms.cast_signed());
                rows.stale_while_revalidate_ms.push(stale_ms);
                let stale_ms = head.map(|head| head.stale_if_error_ms.cast_signed());
                rows.stale_if_error_ms.push(stale_ms);
                rows.staleness.push(head.map(|head| codec::encode_staleness(head.staleness)));
                rows.plugins.push(head.and_then(|head| head.plugin.as_deref().map(str::as_bytes)));
                rows.vary.push(head.map(|head| codec::encode_vary(&head.vary)));
                rows.headers.push(head.map(|head| codec::encode_headers(&head.headers)));
                let packed = writes.packed(row);
                rows.unpacked_bytes.push(packed.unpacked_bytes);
                rows.bodies.push(packed.body);
            }
        }
        rows
    }
}

async fn insert_rows(
    transaction: &mut Transaction<'_, Postgres>,
    rows: Rows<'_>,
) -> Result<(), Error> {
    if rows.keys.is_empty() {
        return Ok(());
    }
    let bodies: Vec<&[u8]> = rows.bodies.iter().map(|body| &**body).collect();
    sqlx::query(
        "INSERT INTO entries (key, variant, kind, flags, cas, birth, stored_ms, expires_ms, tags, \
         url, site, status, received_ms, initial_age_ms, lifetime_ms, stale_while_revalidate_ms, \
         stale_if_error_ms, staleness, plugin, vary, headers, unpacked_bytes, body) \
         SELECT key, variant, kind, flags, cas, birth, stored_ms, expires_ms, \
         ARRAY(SELECT convert_to(tag, 'UTF8') FROM json_array_elements_text(tags::json) tag), \
         url, site, status, received_ms, initial_age_ms, lifetime_ms, stale_while_revalidate_ms, \
         stale_if_error_ms, staleness, plugin, vary, headers, unpacked_bytes, body \
         FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], \
         $6::bigint[], $7::bigint[], $8::bigint[], $9::text[], $10::bytea[], $11::bytea[], \
         $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], \
         $17::bigint[], $18::bigint[], $19::bytea[], $20::bytea[], $21::bytea[], $22::bigint[], \
         $23::bytea[]) \
         AS u (key, variant, kind, flags, cas, birth, stored_ms, expires_ms, tags, url, site, \
         status, received_ms, initial_age_ms, lifetime_ms, stale_while_revalidate_ms, \
         stale_if_error_ms, staleness, plugin, vary, headers, unpacked_bytes, body)",
    )
    .bind(rows.keys)
    .bind(rows.variants)
    .bind(rows.kinds)
    .bind(rows.flags)
    .bind(rows.cas)
    .bind(rows.births)
    .bind(rows.stored_ms)
    .bind(rows.expires_ms)
    .bind(rows.tags)
    .bind(rows.urls)
    .bind(rows.sites)
    .bind(rows.statuses)
    .bind(rows.received_ms)
    .bind(rows.initial_age_ms)
    .bind(rows.lifetime_ms)
    .bind(rows.stale_while_revalidate_ms)
    .bind(rows.stale_if_error_ms)
    .bind(rows.staleness)
    .bind(rows.plugins)
    .bind(rows.vary)
    .bind(rows.headers)
    .bind(rows.unpacked_bytes)
    .bind(bodies)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
