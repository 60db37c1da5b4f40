//! `delete` and `touch`.

use crate::memcached::ops::{self, DeleteOutcome};
use crate::memcached::parse::{Delete, Touch};
use crate::memcached::session::Session;
use crate::model::Key;

const NOT_FOUND: &[u8] = b"NOT_FOUND\r\n";

/// Invalidates a key.
pub(super) async fn delete(session: &mut Session, request: Delete<'_>) {
    let Delete { key, answer } = request;
    let key = match Key::new(key) {
        Ok(key) => key,
        Err(error) => return session.server_error(answer, &error),
    };
    match ops::delete(session, &key, None).await {
        DeleteOutcome::Deleted => session.answer(answer, b"DELETED\r\n"),
        DeleteOutcome::NotFound => session.answer(answer, NOT_FOUND),
        // Not without a condition.
        DeleteOutcome::Exists => session.answer(answer, b"EXISTS\r\n"),
        DeleteOutcome::NotDurable(error) => session.server_error(answer, &error),
        DeleteOutcome::Failed(error) => session.server_error(answer, &error),
    }
}

/// Gives an entry a new expiry time.
pub(super) async fn touch(session: &mut Session, request: Touch<'_>) {
    let Touch { key, exptime, answer } = request;
    let key = match Key::new(key) {
        Ok(key) => key,
        Err(error) => return session.server_error(answer, &error),
    };
    match ops::touch(session, &key, exptime).await {
        Ok(Some(_)) => session.answer(answer, b"TOUCHED\r\n"),
        Ok(None) => session.answer(answer, NOT_FOUND),
        Err(error) => session.server_error(answer, &error),
    }
}
