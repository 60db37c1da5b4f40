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
use super::connections::{Ends, Seat, State};
use super::metrics::{Count, Tally};
use super::misses::Misses;
use super::parse::Answer;
use super::reply::Output;
use super::server::Door;
use crate::cache::Claim;

/// One client's state: its replies, its misses, its counts and its standing.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) door: Door,
    pub(super) out: Output,
    pub(super) misses: Misses,
    pub(super) tally: Tally,
    pub(super) standing: Standing,
    pub(super) seat: Seat,
}

impl Session {
    pub(super) fn new(door: Door, ends: Ends) -> Self {
        let tally = door.metrics().tally();
        let standing = Standing::new(door.settings().users.as_ref());
        let seat = door.connections().open(ends, door.cache().clock().now_ms());
        let (out, misses) = (Output::default(), Misses::default());
        Self { door, out, misses, tally, standing, seat }
    }

    /// Notes that a key was missed by a claim that was taken before the look-up.
    pub(super) fn note_miss(&mut self, key: &[u8], claim: Claim) {
        self.misses.note(key, claim, self.door.cache().clock().now_ms());
    }

    /// The claim of a store of this key; `None` where no miss led to it.
    pub(super) fn missed(&mut self, key: &[u8]) -> Option<Claim> {
        self.misses.claim(key, self.door.cache().clock().now_ms())
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
        let state = self.seat.enter(State::Write);
        let sent = send(stream, &mut self.out).await;
        if sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            self.tally.inc(Count::StalledKicks);
        }
        sent?;
        self.out.clear();
        self.seat.enter(state);
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
