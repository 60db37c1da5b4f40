//! Looking up and touching.

use super::observed;
use crate::cache::{Bits, Cas, Change, Entry, Revision, Sight, UpdateError};
use crate::memcached::exptime::{Exptime, exptime};
use crate::memcached::metrics::Count;
use crate::memcached::session::Session;
use crate::model::Key;

/// Looks a key up for a client that reads its value. A miss is noted for the store that may follow
/// on this connection.
pub(in crate::memcached) async fn look_up(session: &mut Session, key: &[u8]) -> Option<Entry> {
    let found = find(session, key, Sight::Fresh).await;
    if let Some(entry) = &found {
        entry.note_read(session.door.cache().clock().now_ms());
    }
    found
}

/// Like [`look_up`], but leaves it to the caller to call [`crate::cache::Entry::note_read`].
pub(in crate::memcached) async fn find(
    session: &mut Session,
    key: &[u8],
    sight: Sight,
) -> Option<Entry> {
    let cache = session.door.cache();
    // Before the look-up: what the client reads from its database because of a miss is newer.
    let claim = cache.claim();
    let found = match cache.peek_as_seen(key, sight) {
        None if session.door.has_tier() => cache.get_as_seen(key, sight).await,
        found => found,
    };
    session.tally.inc(Count::CmdGet);
    if found.is_some() {
        session.tally.inc(Count::GetHits);
    } else {
        session.tally.inc(Count::GetMisses);
        session.note_miss(key, claim);
    }
    observed::fetched(session, key, found.as_ref());
    found
}

/// The entry of a key, also a stale one, without a trace of having been looked at.
pub(in crate::memcached) async fn inspect(session: &mut Session, key: &[u8]) -> Option<Entry> {
    session.tally.inc(Count::CmdMeta);
    session.door.cache().get_as_seen(key, Sight::WithStale).await
}

/// Looks a key up and gives its entry a new expiry time, `seconds` as the client sent them. Returns
/// the entry as it was.
pub(in crate::memcached) async fn look_up_and_touch(
    session: &mut Session,
    key: &Key,
    seconds: i64,
) -> Result<Option<Entry>, UpdateError> {
    let claim = session.door.cache().claim();
    session.tally.inc(Count::CmdGet);
    let found = touch(session, key, seconds).await?;
    if found.is_none() {
        session.tally.inc(Count::GetMisses);
        session.note_miss(key.as_bytes(), claim);
    }
    observed::fetched(session, key.as_bytes(), found.as_ref());
    Ok(found)
}

/// Gives the entry of a key a new expiry time. Returns the entry as it was, if there was one.
pub(in crate::memcached) async fn touch(
    session: &mut Session,
    key: &Key,
    seconds: i64,
) -> Result<Option<Entry>, UpdateError> {
    session.tally.inc(Count::CmdTouch);
    let cache = session.door.cache();
    let now_ms = cache.clock().now_ms();
    let outcome = cache.update(key, |current| {
        let change = match (current, exptime(seconds, now_ms)) {
            (None, _) => Change::Keep,
            (Some(entry), Exptime::Until(expiry)) => Change::Revise(Revision {
                expires: Some(expiry),
                cas: Cas::Same,
                // memcached counts it as a read.
                bits: Some(entry.bits().with(Bits::FETCHED)),
                ..Revision::default()
            }),
            (Some(_), Exptime::Past) => Change::Remove,
        };
        (change, current.cloned())
    });
    let (found, _) = outcome.await?;
    session.tally.inc(match found {
        Some(_) => Count::TouchHits,
        None => Count::TouchMisses,
    });
    Ok(found)
}
