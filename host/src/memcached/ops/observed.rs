//! What clients do, as watchers and the prefix statistics are told of it.
//!
//! # Invariants
//! - While nobody watches and prefixes are not counted, a command pays two relaxed loads.
//!
//! # Not here
//! What is done: `store`, `removal`, `retrieval`.

use bytes::Bytes;

use super::removal::{self, DeleteOutcome};
use super::store::{self, StoreOutcome, Storing, Verb};
use crate::cache::Entry;
use crate::memcached::exptime::{Exptime, exptime};
use crate::memcached::prefixes::Use;
use crate::memcached::session::Session;
use crate::memcached::watchers::{Deletion, Fetch, Mutation, Topics};
use crate::model::Key;

/// Stores a whole value.
pub(in crate::memcached) async fn store(
    session: &mut Session,
    storing: &Storing,
    value: Bytes,
) -> StoreOutcome {
    let value_bytes = value.len();
    let told = store::store(session, storing, value).await;
    stored(session, storing, value_bytes, &told);
    told
}

/// Notes that a value is over the limit for items, before it is there. Tells
/// [`StoreOutcome::TooLarge`], or that the older value could not be removed.
pub(in crate::memcached) async fn refuse_too_large(
    session: &mut Session,
    storing: &Storing,
) -> StoreOutcome {
    let told = store::refuse_too_large(session, storing).await;
    stored(session, storing, 0, &told);
    told
}

/// Invalidates a key, if its entry has this CAS unique: fills that are under way are refused, too,
/// also those of this connection, which may have several callers.
pub(in crate::memcached) async fn delete(
    session: &mut Session,
    key: &Key,
    unique: Option<u64>,
) -> DeleteOutcome {
    session.door.prefixes().note(key.as_bytes(), Use::Delete);
    if !session.door.watchers().is_watched(Topics::DELETIONS) {
        return removal::delete(session, key, unique).await;
    }
    let present = session.door.cache().peek(key.as_bytes());
    let deleted = removal::delete(session, key, unique).await;
    if matches!(deleted, DeleteOutcome::Deleted) {
        let value_bytes = present.map_or(0, |entry| entry.body().len());
        let deletion = Deletion { key: key.as_bytes(), value_bytes };
        tell(session, Topics::DELETIONS, |line| deletion.push(line));
    }
    deleted
}

/// Tells of a look-up.
pub(super) fn fetched(session: &Session, key: &[u8], found: Option<&Entry>) {
    let door = &session.door;
    door.prefixes().note(key, if found.is_some() { Use::Hit } else { Use::Miss });
    if door.watchers().is_watched(Topics::FETCHERS) {
        let fetch = Fetch { key, found, connection: session.seat.number() };
        tell(session, Topics::FETCHERS, |line| fetch.push(line));
    }
}

fn stored(session: &Session, storing: &Storing, value_bytes: usize, told: &StoreOutcome) {
    let door = &session.door;
    door.prefixes().note(storing.key.as_bytes(), Use::Store);
    if !door.watchers().is_watched(Topics::MUTATIONS) {
        return;
    }
    let (mut value_bytes, mut status) = (value_bytes, "stored");
    match told {
        // With what it was added to.
        StoreOutcome::Stored { value_bytes: whole, .. } => value_bytes = *whole,
        // A failure is told the client as an error.
        StoreOutcome::NotStored | StoreOutcome::Refused | StoreOutcome::Failed(_) => {
            status = "not_stored"
        }
        StoreOutcome::Exists => status = "exists",
        StoreOutcome::NotFound => status = "not_found",
        StoreOutcome::TooLarge => status = "too_large",
        StoreOutcome::OutOfMemory => status = "no_memory",
    }
    let command = match storing.verb {
        Verb::Set if storing.unique.is_some() => "cas",
        Verb::Set => "set",
        Verb::Add => "add",
        Verb::Replace => "replace",
        Verb::Append => "append",
        Verb::Prepend => "prepend",
    };
    let now_ms = door.cache().clock().now_ms();
    let ttl_s = match exptime(storing.exptime, now_ms) {
        Exptime::Until(expires) => expires.as_ms().map_or(0, |ms| ms.saturating_sub(now_ms) / 1000),
        Exptime::Past => 0,
    };
    let (key, connection) = (storing.key.as_bytes(), session.seat.number());
    let mutation = Mutation { key, status, command, ttl_s, connection, value_bytes };
    tell(session, Topics::MUTATIONS, |line| mutation.push(line));
}

#[cold]
fn tell(session: &Session, topic: Topics, text: impl FnOnce(&mut Vec<u8>)) {
    let now_ms = session.door.cache().clock().now_ms();
    session.door.watchers().tell(topic, now_ms, text);
}
