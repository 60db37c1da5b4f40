//! An entry as memory holds it: content plus the bookkeeping of freshness.

use std::sync::Arc;

use super::fence::Marks;
use crate::model::{Birth, Content, Expiry, Kind, PageHead, Tag};

/// A cheap, shared handle to an entry; it stays readable after the entry has left the cache.
pub type Handle = Arc<Entry>;

/// A cached thing with its metadata. Immutable: a change puts another entry in its place.
#[derive(Debug)]
pub struct Entry {
    content: Content,
    cas: u64,
    stored_ms: u64,
    pub(super) marks: Marks,
}

impl Entry {
    pub(super) fn new(content: Content, cas: u64, stored_ms: u64, marks: Marks) -> Self {
        Self { content, cas, stored_ms, marks }
    }

    /// The value and what belongs to it.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// The value's bytes; cloning them copies nothing.
    pub fn body(&self) -> &bytes::Bytes {
        &self.content.body
    }

    /// memcached's client flags; 0 for pages.
    pub fn flags(&self) -> u32 {
        match self.content.kind {
            Kind::Item { flags } => flags,
            Kind::Page(_) => 0,
        }
    }

    /// The head of a page; `None` for items.
    pub fn page(&self) -> Option<&Arc<PageHead>> {
        match &self.content.kind {
            Kind::Item { .. } => None,
            Kind::Page(head) => Some(head),
        }
    }

    /// memcached's CAS unique: differs for every store.
    pub fn cas(&self) -> u64 {
        self.cas
    }

    /// When it was stored, milliseconds since 1970.
    pub fn stored_ms(&self) -> u64 {
        self.stored_ms
    }

    /// When it expires.
    pub fn expires(&self) -> Expiry {
        self.content.expires
    }

    /// Its tags.
    pub fn tags(&self) -> &[Tag] {
        &self.content.tags
    }

    /// The sequence its data is at least as new as.
    pub fn birth(&self) -> Birth {
        self.marks.birth()
    }
}
