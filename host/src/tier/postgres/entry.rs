//! A row of entries as a parameter: all rows of a batch are one array of the table's row type, so
//! that a batch costs one way to the server and back, and each null four bytes.
//!
//! `COPY` would cost the server less, but ends with a message of its own, and the driver leaves
//! Nagle's algorithm on: over TCP that message waits for a delayed acknowledgement, 40 ms a batch.
//!
//! # Not here
//! What is written when (`batch`), and what is within columns (`codec`).

use std::borrow::Cow;

use sqlx::Postgres;
use sqlx::postgres::{PgHasArrayType, PgTypeInfo};

use crate::cache::tier::Row;
use crate::model::{Key, Kind, PageHead};
use crate::tier::codec::{self, Packed};

/// The statement that such an array is the only parameter of. `id` is the database's to give.
pub(super) const INSERT: &str = "INSERT INTO entries (key, variant, kind, flags, cas, birth, \
     stored_ms, expires_ms, tags, url, site, status, received_ms, initial_age_ms, lifetime_ms, \
     stale_while_revalidate_ms, stale_if_error_ms, staleness, plugin, vary, headers, \
     unpacked_bytes, body) \
     SELECT key, variant, kind, flags, cas, birth, stored_ms, expires_ms, tags, url, site, \
     status, received_ms, initial_age_ms, lifetime_ms, stale_while_revalidate_ms, \
     stale_if_error_ms, staleness, plugin, vary, headers, unpacked_bytes, body \
     FROM unnest($1::entries[])";

/// A row; its fields are the table's columns, in the table's order.
#[derive(sqlx::Encode)]
pub(super) struct EntryRow<'batch> {
    id: Option<i64>,
    key: &'batch [u8],
    variant: i64,
    kind: i64,
    flags: i64,
    cas: i64,
    birth: i64,
    stored_ms: i64,
    expires_ms: Option<i64>,
    tags: Vec<&'batch [u8]>,
    url: Option<&'batch [u8]>,
    site: Option<&'batch [u8]>,
    status: Option<i64>,
    received_ms: Option<i64>,
    initial_age_ms: Option<i64>,
    lifetime_ms: Option<i64>,
    stale_while_revalidate_ms: Option<i64>,
    stale_if_error_ms: Option<i64>,
    staleness: Option<i64>,
    plugin: Option<&'batch [u8]>,
    vary: Option<Vec<u8>>,
    headers: Option<Vec<u8>>,
    unpacked_bytes: Option<i64>,
    body: Cow<'batch, [u8]>,
}

impl sqlx::Type<Postgres> for EntryRow<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("entries")
    }
}

impl PgHasArrayType for EntryRow<'_> {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::array_of("entries")
    }
}

impl<'batch> EntryRow<'batch> {
    /// A row of a key, with its number among the key's.
    pub(super) fn of(
        key: &'batch Key,
        variant: usize,
        row: &'batch Row,
        packed: Packed<'batch>,
    ) -> Self {
        let (kind, flags, head) = match &row.content.kind {
            Kind::Item { flags } => (codec::KIND_ITEM, *flags, None),
            Kind::Page(head) => (codec::KIND_PAGE, 0, Some(head)),
        };
        let of_head = |column: fn(&PageHead) -> u64| head.map(|head| column(head).cast_signed());
        Self {
            id: None,
            key: key.as_bytes(),
            variant: variant as i64,
            kind,
            flags: flags.into(),
            cas: row.cas.cast_signed(),
            birth: codec::encode_sequence(row.birth.sequence()),
            stored_ms: row.stored_ms.cast_signed(),
            expires_ms: codec::encode_expiry(row.content.expires),
            tags: row.content.tags.iter().map(|tag| tag.as_str().as_bytes()).collect(),
            url: head.map(|head| head.url.as_bytes()),
            site: head.map(|head| head.site.as_bytes()),
            status: head.map(|head| head.status.as_u16().into()),
            received_ms: of_head(|head| head.received_ms),
            initial_age_ms: of_head(|head| head.initial_age_ms),
            lifetime_ms: of_head(|head| head.lifetime_ms),
            stale_while_revalidate_ms: of_head(|head| head.stale_while_revalidate_ms),
            stale_if_error_ms: of_head(|head| head.stale_if_error_ms),
            staleness: head.map(|head| codec::encode_staleness(head.staleness)),
            plugin: head.and_then(|head| head.plugin.as_deref().map(str::as_bytes)),
            vary: head.map(|head| codec::encode_vary(&head.vary)),
            headers: head.map(|head| codec::encode_headers(&head.headers)),
            unpacked_bytes: packed.unpacked_bytes,
            body: packed.body,
        }
    }
}
