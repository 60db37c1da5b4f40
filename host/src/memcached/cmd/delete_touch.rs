//! `delete` and `touch`.

use super::retrieval::retime;
use crate::memcached::flush::invalidate;
use crate::memcached::metrics::Count;
use crate::memcached::parse::{Delete, Touch};
use crate::memcached::session::Session;
use crate::model::{Key, Target};

/// Invalidates a key: fills that are under way are refused, too, also those of this connection,
/// which may have several callers. `DELETED` if something was there.
pub(super) async fn delete(session: &mut Session, request: Delete<'_>) {
    let Delete { key, answer } = request;
    let key = match Key::new(key) {
        Ok(key) => key,
        Err(error) => return session.server_error(answer, &error),
    };
    let cache = session.door.cache();
    if session.door.has_tier() && cache.peek(key.as_bytes()).is_none() {
        // So that what only the tier has counts as there.
        let _ = cache.get(key.as_bytes()).await;
    }
    match invalidate(&session.door, Target::Key(key)).await {
        Ok(applied) if applied.affected > 0 => {
            session.tally.inc(Count::DeleteHits);
            session.answer(answer, b"DELETED\r\n");
        }
        Ok(_) => {
            session.tally.inc(Count::DeleteMisses);
            session.answer(answer, b"NOT_FOUND\r\n");
        }
        Err(error) => session.server_error(answer, &error),
    }
}

/// Gives an entry a new expiry time.
pub(super) async fn touch(session: &mut Session, request: Touch<'_>) {
    let Touch { key, exptime, answer } = request;
    session.tally.inc(Count::CmdTouch);
    match retime(session, key, exptime).await {
        Ok(Some(_)) => {
            session.tally.inc(Count::TouchHits);
            session.answer(answer, b"TOUCHED\r\n");
        }
        Ok(None) => {
            session.tally.inc(Count::TouchMisses);
            session.answer(answer, b"NOT_FOUND\r\n");
        }
        Err(error) => session.server_error(answer, &error),
    }
}
