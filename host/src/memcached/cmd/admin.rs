//! `flush_all`, `version` and `shutdown`.

use std::ops::ControlFlow;

use crate::memcached::exptime::{Exptime, exptime};
use crate::memcached::flush::{flush_at, flush_now};
use crate::memcached::metrics::Count;
use crate::memcached::parse::Answer;
use crate::memcached::server::{FlushAll, Shutdown};
use crate::memcached::session::Session;

const NOT_ALLOWED: &[u8] = b"CLIENT_ERROR flush_all not allowed\r\n";
const NOT_ENABLED: &[u8] = b"SERVER_ERROR: shutdown not enabled\r\n";

/// Makes everything invalid, now or at a moment to come.
pub(super) async fn flush_all(session: &mut Session, delay: Option<i64>, answer: Answer) {
    if session.door.settings().flush_all == FlushAll::Forbidden {
        return session.answer(answer, NOT_ALLOWED);
    }
    session.tally.inc(Count::CmdFlush);
    let now_ms = session.door.cache().clock().now_ms();
    // No delay and a delay of 0 are the same, and what is past is now.
    let due_ms = match delay.filter(|seconds| *seconds != 0).map(|delay| exptime(delay, now_ms)) {
        None | Some(Exptime::Past) => None,
        Some(Exptime::Until(moment)) => moment.as_ms(),
    };
    match due_ms {
        Some(due_ms) => flush_at(&session.door, due_ms),
        None => {
            if let Err(error) = flush_now(&session.door).await {
                return session.server_error(answer, &error);
            }
        }
    }
    session.answer(answer, b"OK\r\n");
}

/// Says which memcached this server behaves like.
pub(super) fn version(session: &mut Session) {
    session.out.push(b"VERSION ");
    session.out.push(session.door.settings().version.as_bytes());
    session.out.push(b"\r\n");
}

/// Asks the application to stop, where that is enabled.
pub(super) fn shutdown(session: &mut Session) -> ControlFlow<()> {
    match session.door.settings().shutdown {
        Shutdown::Allowed => {
            session.door.request_shutdown();
            ControlFlow::Break(())
        }
        Shutdown::Forbidden => {
            session.out.push(NOT_ENABLED);
            ControlFlow::Continue(())
        }
    }
}
