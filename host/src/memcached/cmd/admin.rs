//! `flush_all`, `version`, `cache_memlimit`, `refresh_certs`, `lru_crawler crawl` and `shutdown`.

use std::ops::ControlFlow;

use crate::config::Permission;
use crate::memcached::ops::{self, FlushOutcome};
use crate::memcached::parse::{Answer, UNKNOWN};
use crate::memcached::server::RefreshError;
use crate::memcached::session::Session;

const NOT_ALLOWED: &[u8] = b"CLIENT_ERROR flush_all not allowed\r\n";
const NOT_ADJUSTED: &[u8] = b"MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust\r\n";
const NOT_ENABLED: &[u8] = b"SERVER_ERROR: shutdown not enabled\r\n";

/// Makes everything invalid, now or at a moment to come.
pub(super) async fn flush_all(session: &mut Session, delay: Option<i64>, answer: Answer) {
    match ops::flush(session, delay).await {
        FlushOutcome::Flushed => session.answer(answer, b"OK\r\n"),
        FlushOutcome::Forbidden => session.answer(answer, NOT_ALLOWED),
        FlushOutcome::NotDurable(error) => session.server_error(answer, &error),
    }
}

/// Says which memcached this server behaves like.
pub(super) fn version(session: &mut Session) {
    session.out.push(b"VERSION ");
    session.out.push(session.door.settings().version.as_bytes());
    session.out.push(b"\r\n");
}

/// Has expired and invalid entries reclaimed soon.
pub(super) fn crawl(session: &mut Session) {
    session.door.cache().want_sweep();
    session.out.push(b"OK\r\n");
}

/// Changes the budget for entries, and evicts down to it before it answers. As at the start, two
/// values of the largest size must fit.
pub(super) async fn cache_memlimit(session: &mut Session, memory_bytes: u64, answer: Answer) {
    let cache = session.door.cache().clone();
    let largest_bytes = cache.config().item_bytes_max as u64;
    if memory_bytes < 2 * largest_bytes {
        return session.answer(answer, NOT_ADJUSTED);
    }
    let adjusted = tokio::task::spawn_blocking(move || cache.set_memory_bytes(memory_bytes)).await;
    match adjusted {
        Ok(()) => session.answer(answer, b"OK\r\n"),
        // The server stops.
        Err(_) => session.answer(answer, NOT_ADJUSTED),
    }
}

/// Reads the files of the TLS listeners again. Without any, the command is as unknown as to a
/// memcached without TLS.
pub(super) async fn refresh_certificates(session: &mut Session) {
    let door = session.door.clone();
    match tokio::task::spawn_blocking(move || door.refresh_certificates()).await {
        Ok(Ok(())) => session.out.push(b"OK\r\n"),
        Ok(Err(RefreshError::NoTls)) => session.out.push(UNKNOWN),
        Ok(Err(error)) => session.server_error(Answer::Wanted, &error),
        // The server stops.
        Err(error) => session.server_error(Answer::Wanted, &error),
    }
}

/// Asks the application to stop, where that is enabled.
pub(super) fn shutdown(session: &mut Session) -> ControlFlow<()> {
    match session.door.settings().shutdown {
        Permission::Allowed => {
            session.door.request_shutdown();
            ControlFlow::Break(())
        }
        Permission::Forbidden => {
            session.out.push(NOT_ENABLED);
            ControlFlow::Continue(())
        }
    }
}
