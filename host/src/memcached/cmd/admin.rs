//! `flush_all`, `version` and `shutdown`.

use std::ops::ControlFlow;

use crate::memcached::ops::{self, FlushOutcome};
use crate::memcached::parse::Answer;
use crate::memcached::server::Shutdown;
use crate::memcached::session::Session;

const NOT_ALLOWED: &[u8] = b"CLIENT_ERROR flush_all not allowed\r\n";
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
