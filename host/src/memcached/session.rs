//! What a connection knows while its commands are carried out.
//!
//! # Invariants
//! - Replies leave in the order in which they were appended.
//! - A client that takes none of its replies is disconnected; until then it holds one batch at
//!   most.

use std::io;

use bytes::Buf;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::auth::Standing;
use super::metrics::{Count, Tally};
use super::misses::Misses;
use super::parse::Answer;
use super::reply::Output;
use super::server::Door;

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
    /// bounded: a batch of [`crate::limits::MEMCACHED_OUTPUT_BYTES_MAX`], and the value that made
    /// it full. One that takes nothing of it for as long as the stream allows is disconnected.
    pub(super) async fn flush<S>(&mut self, stream: &mut S) -> io::Result<()>
    where
        S: AsyncWrite + Unpin,
    {
        self.tally.add(Count::BytesWritten, self.out.remaining() as u64);
        self.door.metrics().take(&mut self.tally);
        let sent = send(stream, &mut self.out).await;
        if sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            self.tally.inc(Count::StalledKicks);
        }
        sent?;
        self.out.clear();
        Ok(())
    }
}

async fn send<S>(stream: &mut S, out: &mut Output) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
{
    if !out.has_remaining() {
        return Ok(());
    }
    while out.has_remaining() {
        // What is one slice is sent without setting up a vector.
        let sent = match out.is_one_slice() {
            true => {
                let sent = stream.write(out.chunk()).await?;
                out.advance(sent);
                sent
            }
            false => stream.write_buf(out).await?,
        };
        if sent == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    // TLS keeps records back until then.
    stream.flush().await
}
