//! Deleting a key, and flushing everything.

use crate::cache::{Change, InvalidateError, Sight, UpdateError};
use crate::config::Permission;
use crate::memcached::exptime::{Exptime, exptime};
use crate::memcached::flush::{flush_at, flush_now, invalidate};
use crate::memcached::metrics::Count;
use crate::memcached::session::Session;
use crate::model::{Key, Target};

/// What became of a key that was to be deleted.
#[derive(Debug)]
pub(in crate::memcached) enum DeleteOutcome {
    /// Something was there.
    Deleted,
    /// Nothing was.
    NotFound,
    /// What is there has another CAS unique.
    Exists,
    /// Not made durable.
    NotDurable(InvalidateError),
    /// The cache could not.
    Failed(UpdateError),
}

/// Invalidates a key, if its entry has this CAS unique: fills that are under way are refused, too,
/// also those of this connection, which may have several callers.
pub(in crate::memcached) async fn delete(
    session: &mut Session,
    key: &Key,
    unique: Option<u64>,
) -> DeleteOutcome {
    let deleted = match unique {
        None => delete_any(session, key).await,
        Some(unique) => delete_compared(session, key, unique).await,
    };
    match deleted {
        DeleteOutcome::Deleted => session.tally.inc(Count::DeleteHits),
        DeleteOutcome::NotFound | DeleteOutcome::Exists => session.tally.inc(Count::DeleteMisses),
        DeleteOutcome::NotDurable(_) | DeleteOutcome::Failed(_) => {}
    }
    deleted
}

async fn delete_any(session: &Session, key: &Key) -> DeleteOutcome {
    let cache = session.door.cache();
    // What only the tier has counts as there, also where memory has no room for it.
    let is_below = session.door.has_tier()
        && cache.peek(key.as_bytes()).is_none()
        && cache.get(key.as_bytes()).await.is_some();
    match invalidate(&session.door, Target::Key(key.clone())).await {
        Ok(applied) if applied.affected > 0 || is_below => DeleteOutcome::Deleted,
        Ok(_) => DeleteOutcome::NotFound,
        Err(error) => DeleteOutcome::NotDurable(error),
    }
}

async fn delete_compared(session: &Session, key: &Key, unique: u64) -> DeleteOutcome {
    // Also if it is stale: the client may have read it before.
    let cache = session.door.cache();
    let outcome = cache.update_as_seen(key, Sight::WithStale, |current| match current {
        None => (Change::Keep, DeleteOutcome::NotFound),
        Some(entry) if entry.cas() != unique => (Change::Keep, DeleteOutcome::Exists),
        Some(_) => (Change::Remove, DeleteOutcome::Deleted),
    });
    match outcome.await {
        Ok((DeleteOutcome::Deleted, _)) => {}
        Ok((other, _)) => return other,
        Err(error) => return DeleteOutcome::Failed(error),
    }
    // The entry is gone; now for the fills that began before. What another client has stored in
    // between goes, too, as if it were evicted.
    match invalidate(&session.door, Target::Key(key.clone())).await {
        Ok(_) => DeleteOutcome::Deleted,
        Err(error) => DeleteOutcome::NotDurable(error),
    }
}

/// What became of a flush.
#[derive(Debug)]
pub(in crate::memcached) enum FlushOutcome {
    /// Everything is invalid, or will be at its moment.
    Flushed,
    /// The operator forbids it.
    Forbidden,
    /// Not made durable.
    NotDurable(InvalidateError),
}

/// Makes everything invalid, now or at a moment to come; the delay as sent.
pub(in crate::memcached) async fn flush(session: &mut Session, delay: Option<i64>) -> FlushOutcome {
    if session.door.settings().flush_all == Permission::Forbidden {
        return FlushOutcome::Forbidden;
    }
    session.tally.inc(Count::CmdFlush);
    let now_ms = session.door.cache().clock().now_ms();
    // No delay and a delay of 0 are the same, and what is past is now.
    let due_ms = match delay.filter(|seconds| *seconds != 0).map(|delay| exptime(delay, now_ms)) {
        None | Some(Exptime::Past) => None,
        Some(Exptime::Until(moment)) => moment.as_ms(),
    };
    if let Some(due_ms) = due_ms {
        return match flush_at(&session.door, due_ms).await {
            Ok(()) => FlushOutcome::Flushed,
            Err(error) => FlushOutcome::NotDurable(error),
        };
    }
    match flush_now(&session.door).await {
        Ok(_) => FlushOutcome::Flushed,
        Err(error) => FlushOutcome::NotDurable(error),
    }
}
