//! An entry as memory holds it: content plus the bookkeeping of freshness.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::bits::{Bits, SharedBits};
use super::fence::Marks;
use crate::model::{Birth, Content, Expiry, Kind, PageHead, Tag};

/// A cheap, shared handle to an entry; it stays readable after the entry has left the cache.
pub type Handle = Arc<Entry>;

/// A cached thing with its metadata. Immutable but for what readers leave behind: a change puts
/// another entry in its place.
#[derive(Debug)]
pub struct Entry {
    content: Content,
    cas: u64,
    stored_ms: u64,
    bits: SharedBits,
    accessed_s: AtomicU32,
    pub(super) marks: Marks,
}

impl Entry {
    pub(super) fn new(content: Content, cas: u64, stored_ms: u64, marks: Marks) -> Self {
        let (bits, accessed_s) = (SharedBits::default(), AtomicU32::new(seconds(stored_ms)));
        Self { content, cas, stored_ms, bits, accessed_s, marks }
    }

    pub(super) fn with_bits(self, bits: Bits) -> Self {
        Self { bits: SharedBits::new(bits), ..self }
    }

    pub(super) fn with_accessed_s(self, accessed_s: u32) -> Self {
        Self { accessed_s: AtomicU32::new(accessed_s), ..self }
    }

    /// What clients of the meta protocol see beside the value.
    pub fn bits(&self) -> Bits {
        self.bits.get()
    }

    /// When it was last read, or stored: seconds since 1970.
    pub fn accessed_s(&self) -> u32 {
        self.accessed_s.load(Ordering::Relaxed)
    }

    /// Notes that a client reads it.
    pub fn note_read(&self, now_ms: u64) {
        self.bits.add(Bits::FETCHED);
        let now_s = seconds(now_ms);
        if self.accessed_s() != now_s {
            self.accessed_s.store(now_s, Ordering::Relaxed);
        }
    }

    /// Takes the right to recache it. `true` for the first who asks.
    pub fn win(&self) -> bool {
        !self.bits.add(Bits::WON).has(Bits::WON)
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

fn seconds(unix_ms: u64) -> u32 {
    u32::try_from(unix_ms / 1000).unwrap_or(u32::MAX)
}
