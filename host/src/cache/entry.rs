//! An entry as memory holds it: content plus the bookkeeping of freshness, small ones in one piece.
//!
//! # Invariants
//! - Immutable but for what readers leave behind: a change puts another entry in its place.
//! - Key and value of a small item lie behind the head in one allocation; a larger value and a
//!   page's body are [`Bytes`], so that they go out without being copied.

use crate::sync::{AtomicU32, Ordering};
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;
use triomphe::ThinArc;

use super::bits::{Bits, SharedBits};
use super::fence::Marks;
use crate::limits::MEMCACHED_KEY_BYTES_MAX;
use crate::model::{Birth, Content, Expiry, Kind, PageHead, Tag};

/// Values up to this length are kept beside their key: copying one on its way out is cheaper than
/// sharing it.
const INLINE_BYTES_MAX: usize = 1024;

/// A cheap, shared handle to a cached thing with its metadata; it stays readable after the entry
/// has left the cache.
#[derive(Debug, Clone)]
pub struct Entry(ThinArc<Head, u8>);

/// What lies before key and value.
#[derive(Debug)]
struct Head {
    marks: Marks,
    cas: u64,
    stored_ms: u64,
    expires: Expiry,
    /// What small items don't have.
    more: Option<Box<More>>,
    flags: u32,
    accessed_s: AtomicU32,
    key_bytes: u16,
    bits: SharedBits,
}

#[derive(Debug)]
struct More {
    tags: Box<[Tag]>,
    /// The value where it is not behind the key.
    body: Option<Bytes>,
    page: Option<Arc<PageHead>>,
}

/// What an entry is made of beside its content.
pub(super) struct Making {
    pub(super) marks: Marks,
    pub(super) cas: u64,
    pub(super) stored_ms: u64,
    pub(super) accessed_s: u32,
    pub(super) bits: Bits,
}

impl Making {
    /// Something new, stored now.
    pub(super) fn new(marks: Marks, cas: u64, now_ms: u64) -> Self {
        Self { marks, cas, stored_ms: now_ms, accessed_s: seconds(now_ms), bits: Bits::NONE }
    }
}

impl Entry {
    pub(super) fn new(key: &[u8], content: Content, making: Making) -> Self {
        let Content { body, kind, expires, tags } = content;
        let (flags, page) = match kind {
            Kind::Item { flags } => (flags, None),
            Kind::Page(head) => (0, Some(head)),
        };
        let is_inline = page.is_none() && body.len() <= INLINE_BYTES_MAX;
        let (inline, body) = if is_inline { (body, None) } else { (Bytes::new(), Some(body)) };
        let is_more = !tags.is_empty() || body.is_some() || page.is_some();
        let Making { marks, cas, stored_ms, accessed_s, bits } = making;
        let head = Head {
            marks,
            cas,
            stored_ms,
            expires,
            more: is_more.then(|| Box::new(More { tags: tags.into(), body, page })),
            flags,
            accessed_s: AtomicU32::new(accessed_s),
            // Keys are limited to much less, see `limits::KEY_BYTES_MAX`.
            key_bytes: u16::try_from(key.len()).unwrap_or(u16::MAX),
            bits: SharedBits::new(bits),
        };
        // Gathered on the stack, so that there is one allocation.
        let mut text: SmallVec<[u8; INLINE_BYTES_MAX + MEMCACHED_KEY_BYTES_MAX]> =
            SmallVec::from_slice(key);
        text.extend_from_slice(&inline);
        Self(ThinArc::from_header_and_slice(head, &text))
    }

    fn head(&self) -> &Head {
        &self.0.header.header
    }

    fn page_and_body(&self) -> Option<&More> {
        self.head().more.as_deref()
    }

    /// The name under which it is stored.
    pub fn key(&self) -> &[u8] {
        self.0.slice.get(..usize::from(self.head().key_bytes)).unwrap_or_default()
    }

    /// The value's bytes.
    pub fn body(&self) -> &[u8] {
        match self.page_and_body().and_then(|more| more.body.as_ref()) {
            Some(body) => body,
            None => self.0.slice.get(usize::from(self.head().key_bytes)..).unwrap_or_default(),
        }
    }

    /// The value's bytes where they can be shared without being copied: all but small items'.
    pub fn shared_body(&self) -> Option<&Bytes> {
        self.page_and_body().and_then(|more| more.body.as_ref())
    }

    /// The value's bytes to keep; those of a small item are copied.
    pub fn body_bytes(&self) -> Bytes {
        self.shared_body().cloned().unwrap_or_else(|| Bytes::copy_from_slice(self.body()))
    }

    /// The value and what belongs to it.
    pub fn content(&self) -> Content {
        let kind = match self.page() {
            Some(head) => Kind::Page(Arc::clone(head)),
            None => Kind::Item { flags: self.flags() },
        };
        let (body, tags) = (self.body_bytes(), self.tags().to_vec());
        Content { body, kind, expires: self.expires(), tags }
    }

    /// memcached's client flags; 0 for pages.
    pub fn flags(&self) -> u32 {
        self.head().flags
    }

    /// The head of a page; `None` for items.
    pub fn page(&self) -> Option<&Arc<PageHead>> {
        self.page_and_body().and_then(|more| more.page.as_ref())
    }

    /// memcached's CAS unique: differs for every store.
    pub fn cas(&self) -> u64 {
        self.head().cas
    }

    /// When it was stored, milliseconds since 1970.
    pub fn stored_ms(&self) -> u64 {
        self.head().stored_ms
    }

    /// When it expires.
    pub fn expires(&self) -> Expiry {
        self.head().expires
    }

    /// Its tags.
    pub fn tags(&self) -> &[Tag] {
        self.page_and_body().map_or(&[], |more| &more.tags)
    }

    /// The sequence its data is at least as new as.
    pub fn birth(&self) -> Birth {
        self.marks().birth()
    }

    pub(super) fn marks(&self) -> &Marks {
        &self.head().marks
    }

    /// What clients of the meta protocol see beside the value.
    pub fn bits(&self) -> Bits {
        self.head().bits.get()
    }

    /// When it was last read, or stored: seconds since 1970.
    pub fn accessed_s(&self) -> u32 {
        self.head().accessed_s.load(Ordering::Relaxed)
    }

    /// Notes that a client reads it.
    pub fn note_read(&self, now_ms: u64) {
        self.head().bits.add(Bits::FETCHED);
        let now_s = seconds(now_ms);
        if self.accessed_s() != now_s {
            self.head().accessed_s.store(now_s, Ordering::Relaxed);
        }
    }

    /// Takes the right to recache it. `true` for the first who asks.
    pub fn win(&self) -> bool {
        !self.head().bits.add(Bits::WON).has(Bits::WON)
    }

    /// Resident bytes of the entry itself, without what its page's head and its tags take.
    pub(super) fn own_bytes(&self) -> usize {
        let counts = 2 * size_of::<usize>();
        let own = allocated(counts + size_of::<Head>() + self.0.slice.len());
        let more = self.page_and_body().map_or(0, |more| {
            allocated(size_of::<More>())
                + allocated(size_of_val::<[Tag]>(&more.tags))
                + more.body.as_ref().map_or(0, |body| allocated(body.len()))
        });
        own + more + self.marks().allocated_bytes()
    }
}

/// What the allocator takes for so many bytes.
pub(super) fn allocated(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        bytes => (bytes + size_of::<usize>()).next_multiple_of(16).max(32),
    }
}

fn seconds(unix_ms: u64) -> u32 {
    u32::try_from(unix_ms / 1000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_an_entry_stays_small() {
        assert!(size_of::<Head>() <= 72, "{} bytes", size_of::<Head>());
    }
}
