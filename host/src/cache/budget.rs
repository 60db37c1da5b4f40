//! What an entry costs in resident memory, so that `--memory` means what the operator sees in
//! `top`.

use super::entry::{Entry, allocated};
use super::fence::CELL_BYTES;
use super::store::{SLOT_BYTES, Slot};
use crate::model::PageHead;

/// A header field's share beyond its text.
const HEADER_OVERHEAD_BYTES: usize = 104;

/// The resident cost of everything under one key.
pub(crate) fn slot_bytes(slot: &Slot) -> u64 {
    let entries = match slot {
        Slot::Item(entry) => entry.own_bytes() + tags_bytes(entry),
        Slot::Pages(entries) => {
            let each = entries.iter().map(page_bytes);
            each.sum::<usize>() + allocated(size_of_val(entries.as_slice())) + 48
        }
    };
    (SLOT_BYTES + entries) as u64
}

/// The resident cost of an entry, with what the store takes for its key.
pub(super) fn entry_bytes(entry: &Entry) -> u64 {
    (SLOT_BYTES + page_bytes(entry)) as u64
}

fn page_bytes(entry: &Entry) -> usize {
    let head = entry.page().map_or(0, |head| head_bytes(head));
    entry.own_bytes() + tags_bytes(entry) + head
}

fn head_bytes(head: &PageHead) -> usize {
    let fields = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
    let fields: usize = fields.map(|text| text + HEADER_OVERHEAD_BYTES).sum();
    let vary = head.vary.iter().map(|(name, value)| {
        let value = value.as_ref().map_or(0, |value| value.len());
        name.as_str().len() + value + HEADER_OVERHEAD_BYTES
    });
    // Also before it is made: the cost is asked for at the store.
    let block: usize =
        head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    // Tags' cells are counted with nobody: most are shared by many.
    let cell = CELL_BYTES;
    size_of_val(head)
        + cell
        + head.url.len()
        + head.site.len()
        + fields
        + block
        + vary.sum::<usize>()
}

/// Tags as if no other entry had the same.
fn tags_bytes(entry: &Entry) -> usize {
    entry.tags().iter().map(|tag| allocated(tag.as_str().len() + 16)).sum()
}
