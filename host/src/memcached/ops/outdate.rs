//! Marking an item as outdated, or emptying it, while it stays (protocol.txt, "Meta Delete").
//!
//! # Invariants
//! - It is an invalidation like any other: durable before it is answered, and fills of the key that
//!   began before are refused.
//! - The item gets another CAS unique: what was computed from it before is not stored by the old
//!   one.

use bytes::Bytes;

use super::removal::DeleteOutcome;
use crate::cache::{Basis, Bits, Cas, Change, Draft, Entry, Revision, Sight};
use crate::memcached::exptime::{Exptime, exptime};
use crate::memcached::flush::soften;
use crate::memcached::metrics::Count;
use crate::memcached::session::Session;
use crate::model::{Expiry, Key, Target};

/// An item that is to stay, though not as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::memcached) struct Outdating {
    /// The key.
    pub(in crate::memcached) key: Key,
    /// Only if what is there still has this CAS unique.
    pub(in crate::memcached) unique: Option<u64>,
    /// What becomes of it.
    pub(in crate::memcached) remnant: Remnant,
    /// Its new expiry time, as sent.
    pub(in crate::memcached) exptime: Option<i64>,
    /// Its new CAS unique; [`Cas::Same`] is not kept.
    pub(in crate::memcached) cas: Cas,
}

/// What is left of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::memcached) enum Remnant {
    /// Itself, as stale.
    Stale,
    /// An empty item with these client flags.
    Empty {
        /// memcached's client flags.
        flags: u32,
    },
    /// An empty item with these client flags, as stale.
    StaleAndEmpty {
        /// memcached's client flags.
        flags: u32,
    },
}

/// Marks an item as outdated, empties it, or both.
pub(in crate::memcached) async fn outdate(
    session: &mut Session,
    outdating: &Outdating,
) -> DeleteOutcome {
    let outcome = attempt(session, outdating).await;
    match outcome {
        // memcached counts no hit of what it only marks.
        DeleteOutcome::Deleted if outdating.remnant != Remnant::Stale => {
            session.tally.inc(Count::DeleteHits);
        }
        DeleteOutcome::NotFound | DeleteOutcome::Exists => session.tally.inc(Count::DeleteMisses),
        DeleteOutcome::Deleted | DeleteOutcome::NotDurable(_) | DeleteOutcome::Failed(_) => {}
    }
    outcome
}

async fn attempt(session: &Session, outdating: &Outdating) -> DeleteOutcome {
    let cache = session.door.cache();
    let Outdating { key, unique, .. } = outdating;
    // Into memory, so that it can be marked.
    let found = cache.get_as_seen(key.as_bytes(), Sight::WithStale).await;
    // What another client stores from here on is outdated, too, which is more than was asked for.
    match (unique, found) {
        (Some(_), None) => return DeleteOutcome::NotFound,
        (Some(unique), Some(entry)) if entry.cas() != *unique => return DeleteOutcome::Exists,
        _ => {}
    }
    match soften(&session.door, Target::Key(key.clone())).await {
        Ok(applied) if applied.affected > 0 => {}
        Ok(_) => return DeleteOutcome::NotFound,
        Err(error) => return DeleteOutcome::NotDurable(error),
    }
    let is_marked = outdating.remnant == Remnant::Stale
        && outdating.exptime.is_none()
        && outdating.cas == Cas::Next;
    if is_marked {
        return DeleteOutcome::Deleted;
    }
    let now_ms = cache.clock().now_ms();
    let revised = cache.update_as_seen(key, Sight::WithStale, |current| match current {
        // Else it was recached meanwhile.
        Some(entry) if entry.bits().has(Bits::STALE) => (remains(outdating, entry, now_ms), ()),
        _ => (Change::Keep, ()),
    });
    match revised.await {
        Ok(_) => DeleteOutcome::Deleted,
        Err(error) => DeleteOutcome::Failed(error),
    }
}

/// What is left of an item that has just been marked.
fn remains(outdating: &Outdating, entry: &Entry, now_ms: u64) -> Change {
    let expires = match outdating.exptime.map(|seconds| exptime(seconds, now_ms)) {
        Some(Exptime::Past) => return Change::Remove,
        Some(Exptime::Until(expires)) => Some(expires),
        None => None,
    };
    // The mark has given it a new one.
    let cas = match outdating.cas {
        Cas::Given(unique) => Cas::Given(unique),
        Cas::Next | Cas::Same => Cas::Same,
    };
    let (flags, bits) = match outdating.remnant {
        Remnant::Stale => {
            return Change::Revise(Revision { expires, cas, ..Revision::default() });
        }
        Remnant::Empty { flags } => (flags, Bits::NONE),
        Remnant::StaleAndEmpty { flags } => (flags, Bits::STALE),
    };
    let binary_key = entry.bits().has(Bits::BINARY_KEY);
    Change::Put(Draft {
        flags,
        expires: expires.unwrap_or(Expiry::NEVER),
        tags: entry.tags().to_vec(),
        basis: Basis::Present,
        cas,
        bits: if binary_key { bits.with(Bits::BINARY_KEY) } else { bits },
        ..Draft::new(Bytes::new())
    })
}
