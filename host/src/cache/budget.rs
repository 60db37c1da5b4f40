//! What an entry costs in resident memory, so that `--memory` means what the operator sees in
//! `top`.

use super::entry::Entry;
use super::store::Slot;
use crate::model::{Key, Kind, Tag};

/// moka's own nodes and hash slots, the key's and the handle's reference counts, and what the
/// allocator rounds up; measured as resident bytes of a million small items less their payload.
const SLOT_OVERHEAD_BYTES: usize = 400;

/// A tag's share in the entry: its name's handle and its cell's.
const TAG_BYTES: usize = 32;

/// A header field's share beyond its text.
const HEADER_OVERHEAD_BYTES: usize = 104;

/// The resident cost of everything under one key.
pub(crate) fn slot_bytes(key: &Key, slot: &Slot) -> u64 {
    let entries: usize = slot.entries().iter().map(|entry| entry_bytes(entry)).sum();
    (key.as_bytes().len() + SLOT_OVERHEAD_BYTES + entries) as u64
}

fn entry_bytes(entry: &Entry) -> usize {
    let content = entry.content();
    let head = match &content.kind {
        Kind::Item { .. } => 0,
        Kind::Page(head) => {
            let fields = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
            let fields: usize = fields.map(|text| text + HEADER_OVERHEAD_BYTES).sum();
            let vary = head.vary.iter().map(|(name, value)| {
                let value = value.as_ref().map_or(0, |value| value.len());
                name.as_str().len() + value + HEADER_OVERHEAD_BYTES
            });
            // Also before it is made: the cost is asked for at the store.
            let block: usize = head
                .headers
                .iter()
                .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
                .sum();
            size_of_val(head.as_ref()) + head.url.len() + fields + block + vary.sum::<usize>()
        }
    };
    size_of::<Entry>() + content.body.len() + head + tags_bytes(&content.tags)
}

fn tags_bytes(tags: &[Tag]) -> usize {
    tags.iter().map(|tag| TAG_BYTES + tag.as_str().len()).sum()
}
