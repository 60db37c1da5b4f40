//! What a connection knows while its commands are carried out.
//!
//! # Invariants
//! - Replies leave in the order in which they were appended.
//! - A client that takes none of its replies is disconnected; until then it holds one batch at
//!   most.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Buf;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::auth::Standing;
use super::metrics::{Count, Tally};
use super::misses::Misses;
use super::parse::Answer;
use super::reply::Output;
use super::server::Door;
use crate::limits::MEMCACHED_STALL_MS_MAX;

/// One client's state: its replies, its misses, its counts and its standing.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) door: Door,
    pub(super) out: Output,
    pub(super) misses: Misses,
    pub(super) tally: Tally,
    pub(super) standing: Standing,
}

impl Session {
    pub(super) fn new(door: Door) -> Self {
        let tally = door.metrics().tally();
        let standing = Standing::new(door.settings().users.as_ref());
        Self { door, out: Output::default(), misses: Misses::default(), tally, standing }
    }

    /// Appends a reply line if the client waits for one.
    pub(super) fn answer(&mut self, answer: Answer, line: &[u8]) {
        if answer == Answer::Wanted {
            self.out.push(line);
        }
    }

    /// Appends a `SERVER_ERROR` line if the client waits for one.
    pub(super) fn server_error(&mut self, answer: Answer, error: &dyn std::error::Error) {
        if answer == Answer::Wanted {
            // A line end within an error of the database must not end the reply.
            let text = error.to_string().replace(['\r', '\n'], " ");
            self.out.push(b"SERVER_ERROR ");
            self.out.push(text.as_bytes());
            self.out.push(b"\r\n");
        }
    }

    /// Hands over the counts and sends the replies.
    ///
    /// Nothing more is read from a client meanwhile, so that what it makes the server hold is
    /// bounded; one that takes nothing for [`MEMCACHED_STALL_MS_MAX`] is disconnected.
    pub(super) async fn flush<S>(&mut self, stream: &mut S) -> io::Result<()>
    where
        S: AsyncWrite + Unpin,
    {
        self.tally.add(Count::BytesWritten, self.out.remaining() as u64);
        self.door.metrics().take(&mut self.tally);
        while self.out.has_remaining() {
            let written = match self.out.is_one_slice() {
                true => send_slice(stream, &mut self.out).await,
                false => unless_stalled(stream.write_buf(&mut self.out)).await,
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) => {
                    if error.kind() == io::ErrorKind::TimedOut {
                        self.tally.inc(Count::StalledKicks);
                    }
                    return Err(error);
                }
            }
        }
        self.out.clear();
        Ok(())
    }
}

/// Sends what is one slice without setting up a vector.
async fn send_slice<S>(stream: &mut S, out: &mut Output) -> io::Result<usize>
where
    S: AsyncWrite + Unpin,
{
    let sent = unless_stalled(stream.write(out.chunk())).await?;
    out.advance(sent);
    Ok(sent)
}

/// Waits for a write, but not for ever. No timer is set up for a write that ends at once.
async fn unless_stalled(write: impl Future<Output = io::Result<usize>>) -> io::Result<usize> {
    let mut write = pin!(write);
    if let Poll::Ready(written) = poll_fn(|cx| Poll::Ready(write.as_mut().poll(cx))).await {
        return written;
    }
    let limit = Duration::from_millis(MEMCACHED_STALL_MS_MAX);
    match tokio::time::timeout(limit, write).await {
        Ok(written) => written,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}
