//! Rows of entries as `COPY` takes them: it parses and plans nothing, and unlike arrays it costs
//! nothing for the columns that most rows leave empty.
//!
//! # Not here
//! What is written when (`batch`), and what is within columns (`codec`).

use crate::cache::tier::Row;
use crate::model::{Key, Kind, PageHead, Tag};
use crate::tier::codec::{self, Packed};

/// The statement that these rows follow.
pub(super) const STATEMENT: &str = "COPY entries (key, variant, kind, flags, cas, birth, \
     stored_ms, expires_ms, tags, unpacked_bytes, body, url, site, status, received_ms, \
     initial_age_ms, lifetime_ms, stale_while_revalidate_ms, stale_if_error_ms, staleness, plugin, \
     vary, headers) FROM STDIN (FORMAT binary)";

/// Columns of every row.
const COLUMNS_OF_ALL: u16 = 11;

/// Columns that are null for an item.
const COLUMNS_OF_PAGES: u16 = 12;

/// What the data begins with: a signature, no flags, no extension (PostgreSQL, COPY, "Binary
/// Format").
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// Stands in place of a row's number of columns at the end, and of a field's length where that is
/// null.
const TRAILER: i16 = -1;
const NULL: i32 = -1;

/// The type `bytea`.
const BYTEA: u32 = 17;

/// Rows of one `COPY`.
pub(super) struct Rows(Vec<u8>);

impl Rows {
    /// None yet.
    pub(super) fn new() -> Self {
        Self(HEADER.to_vec())
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.len() == HEADER.len()
    }

    /// Adds a row of a key, with its number among the key's.
    pub(super) fn push(&mut self, key: &Key, variant: usize, row: &Row, packed: &Packed<'_>) {
        let (kind, flags, head) = match &row.content.kind {
            Kind::Item { flags } => (codec::KIND_ITEM, *flags, None),
            Kind::Page(head) => (codec::KIND_PAGE, 0, Some(head)),
        };
        self.0.extend((COLUMNS_OF_ALL + COLUMNS_OF_PAGES).to_be_bytes());
        self.bytes(key.as_bytes());
        self.number(variant as i64);
        self.number(kind);
        self.number(flags.into());
        self.number(row.cas.cast_signed());
        self.number(codec::encode_sequence(row.birth.sequence()));
        self.number(row.stored_ms.cast_signed());
        self.optional_number(codec::encode_expiry(row.content.expires));
        self.tags(&row.content.tags);
        self.optional_number(packed.unpacked_bytes);
        self.bytes(&packed.body);
        match head {
            Some(head) => self.head(head),
            None => (0..COLUMNS_OF_PAGES).for_each(|_| self.null()),
        }
    }

    fn head(&mut self, head: &PageHead) {
        self.bytes(head.url.as_bytes());
        self.bytes(head.site.as_bytes());
        self.number(head.status.as_u16().into());
        self.number(head.received_ms.cast_signed());
        self.number(head.initial_age_ms.cast_signed());
        self.number(head.lifetime_ms.cast_signed());
        self.number(head.stale_while_revalidate_ms.cast_signed());
        self.number(head.stale_if_error_ms.cast_signed());
        self.number(codec::encode_staleness(head.staleness));
        match &head.plugin {
            Some(plugin) => self.bytes(plugin.as_bytes()),
            None => self.null(),
        }
        self.bytes(&codec::encode_vary(&head.vary));
        self.bytes(&codec::encode_headers(&head.headers));
    }

    /// All of it.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.0.extend(TRAILER.to_be_bytes());
        self.0
    }

    fn null(&mut self) {
        self.0.extend(NULL.to_be_bytes());
    }

    /// A `bigint`.
    fn number(&mut self, number: i64) {
        self.bytes(&number.to_be_bytes());
    }

    fn optional_number(&mut self, number: Option<i64>) {
        match number {
            Some(number) => self.number(number),
            None => self.null(),
        }
    }

    /// A `bytea`, or a piece of an array.
    fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.0.extend(bytes);
    }

    /// A `bytea[]`: dimensions, whether there are nulls, the type; then of the one dimension how
    /// many, and from which number on they count.
    fn tags(&mut self, tags: &[Tag]) {
        let dimensions = i32::from(!tags.is_empty());
        let pieces = tags.iter().map(|tag| 4 + tag.as_str().len());
        self.length(12 + if tags.is_empty() { 0 } else { 8 + pieces.sum::<usize>() });
        self.0.extend(dimensions.to_be_bytes());
        self.0.extend(0_i32.to_be_bytes());
        self.0.extend(BYTEA.to_be_bytes());
        if !tags.is_empty() {
            self.length(tags.len());
            self.0.extend(1_i32.to_be_bytes());
        }
        for tag in tags {
            self.bytes(tag.as_str().as_bytes());
        }
    }

    fn length(&mut self, length: usize) {
        // Values are bounded far below 2 GiB, by `ROW_BYTES_MAX`; the rest comes from names and
        // fields, whose limits lie far below that.
        self.0.extend(i32::try_from(length).unwrap_or(i32::MAX).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::model::{Birth, Content, Expiry, Sequence};

    #[test]
    fn item_is_written_as_the_manual_of_copy_has_it() {
        let tags = ["a", "bc"].map(|tag| Tag::new(tag).expect("a tag")).to_vec();
        let kind = Kind::Item { flags: 3 };
        let body = Bytes::from_static(b"value");
        let row = Row {
            content: Content { body, kind, expires: Expiry::NEVER, tags },
            cas: 4,
            birth: Birth::at(Sequence::from_u64(5)),
            stored_ms: 6,
        };
        let mut rows = Rows::new();
        assert!(rows.is_empty());
        let key = Key::new(b"key").expect("a key");
        rows.push(&key, 1, &row, &codec::plain(&row.content.body));
        assert!(!rows.is_empty());

        let mut expected = b"PGCOPY\n\xff\r\n\0".to_vec();
        expected.extend([0; 8]);
        expected.extend([0, 23]);
        expected.extend(b"\0\0\0\x03key");
        for number in [1, codec::KIND_ITEM, 3, 4, 5, 6] {
            expected.extend([0, 0, 0, 8]);
            expected.extend(number.to_be_bytes());
        }
        expected.extend([0xff; 4]);
        expected.extend([0, 0, 0, 31]);
        expected.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 2, 0, 0, 0, 1]);
        expected.extend(b"\0\0\0\x01a\0\0\0\x02bc");
        expected.extend([0xff; 4]);
        expected.extend(b"\0\0\0\x05value");
        expected.extend([0xff; 4 * 12]);
        expected.extend([0xff; 2]);
        assert_eq!(rows.finish(), expected);
    }

    #[test]
    fn row_without_tags_has_an_array_without_dimensions() {
        let mut rows = Rows(Vec::new());
        rows.tags(&[]);
        assert_eq!(rows.0, [0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 17]);
    }
}
