//! `watch`: the connection becomes a log until the client goes.
//!
//! # Invariants
//! - What the client sends from then on is read and ignored, as in memcached.
//! - A client that takes nothing of its lines for as long as any client may is disconnected; until
//!   then it misses lines, and is told how many.

use std::io;
use std::ops::ControlFlow;
use std::pin::pin;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use crate::config::Permission;
use crate::memcached::connections::State;
use crate::memcached::session::Session;
use crate::memcached::watchers::Topics;

const NOT_ALLOWED: &[u8] = b"CLIENT_ERROR watch commands not allowed\r\n";
const TOO_MANY: &[u8] = b"WATCHER_TOO_MANY log watcher limit reached\r\n";

/// Read of what is ignored at a time.
const IGNORED_BYTES: usize = 64;

/// Sends lines until the client goes or the server stops.
pub(super) async fn carry_out<S>(
    session: &mut Session,
    stream: &mut S,
    topics: Topics,
) -> io::Result<ControlFlow<()>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if session.door.settings().watch == Permission::Forbidden {
        session.out.push(NOT_ALLOWED);
        return Ok(ControlFlow::Continue(()));
    }
    let Some(watching) = session.door.watchers().watch(topics) else {
        session.out.push(TOO_MANY);
        return Ok(ControlFlow::Continue(()));
    };
    session.out.push(b"OK\r\n");
    session.seat.enter(State::Watch);
    session.flush(stream).await?;
    let mut stopping = pin!(session.door.tasks().stopping());
    let mut ignored = [0; IGNORED_BYTES];
    loop {
        tokio::select! {
            () = &mut stopping => return Ok(ControlFlow::Break(())),
            read = stream.read(&mut ignored) => {
                if read? == 0 {
                    return Ok(ControlFlow::Break(()));
                }
            }
            lines = watching.lines() => {
                session.out.push(&lines);
                session.flush(stream).await?;
            }
        }
    }
}
