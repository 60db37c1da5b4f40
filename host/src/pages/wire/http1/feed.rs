//! Reading a connection while a request on it is being answered: its body first, then what the
//! client sends ahead.
//!
//! # Invariants
//! - A body is held to its framing, its largest size and its slowest pace; time that it waits for
//!   the origin does not count.
//! - Not more is read ahead than one head may have.
//! - A client that has sent all it wants to (half-closed) is still answered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;

use super::chunked::{Decoder, Step};
use super::head::{BAD, BODY_TOO_LARGE, Fault, Framing, SLOW};
use crate::limits::HTTP_HEAD_BYTES_MAX;
use crate::pages::origins::upload::Sender;
use crate::pages::settings::Settings;

/// Bytes asked for with one read of a body.
const READ_BYTES: usize = 16 * 1024;

/// Why reading has ended while the answer was awaited.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The client is gone.
    Gone,
    /// It sends what can't be taken.
    Fault(Fault),
}

impl From<std::io::Error> for Trouble {
    fn from(_: std::io::Error) -> Self {
        Self::Gone
    }
}

enum Coding {
    Length(u64),
    Chunked(Decoder),
}

/// A request's body, and where it goes.
pub(super) struct Feed<'s> {
    body: Option<(Coding, Sender)>,
    settings: &'s Settings,
    taken_bytes: u64,
    is_complete: AtomicBool,
}

impl<'s> Feed<'s> {
    /// `sender` is `None` for a request without a body.
    pub(super) fn new(framing: Framing, sender: Option<Sender>, settings: &'s Settings) -> Self {
        let coding = match framing {
            Framing::None => None,
            Framing::Length(bytes) => Some(Coding::Length(bytes)),
            Framing::Chunked => Some(Coding::Chunked(Decoder::new())),
        };
        let body = coding.zip(sender);
        let is_complete = AtomicBool::new(body.is_none());
        Self { body, settings, taken_bytes: 0, is_complete }
    }

    /// Says from now on whether the body has come whole.
    pub(super) fn split(&mut self) -> (Source<'_>, &AtomicBool) {
        let Self { body, settings, taken_bytes, is_complete } = self;
        (Source { body, settings, taken_bytes, is_complete }, is_complete)
    }
}

/// The part of a feed that reads.
pub(super) struct Source<'f> {
    body: &'f mut Option<(Coding, Sender)>,
    settings: &'f Settings,
    taken_bytes: &'f mut u64,
    is_complete: &'f AtomicBool,
}

impl Source<'_> {
    /// Reads until there is trouble; to be dropped when the answer is written. `has_ended` is set
    /// when the client will send no more.
    pub(super) async fn run(
        mut self,
        mut reader: impl AsyncRead + Unpin,
        input: &mut BytesMut,
        has_ended: &mut bool,
    ) -> Trouble {
        match self.read_all(&mut reader, input, has_ended).await {
            Err(trouble) => trouble,
            Ok(()) => match read_ahead(&mut reader, input, has_ended).await {
                Err(error) => error.into(),
                Ok(()) => std::future::pending().await,
            },
        }
    }

    async fn read_all(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        input: &mut BytesMut,
        has_ended: &mut bool,
    ) -> Result<(), Trouble> {
        let Some((coding, sender)) = self.body.as_mut() else { return Ok(()) };
        let idle = Duration::from_millis(self.settings.upload_idle_timeout_ms);
        let slow = tokio::time::sleep(idle);
        tokio::pin!(slow);
        loop {
            match coding.step(input)? {
                Step::Data(data) => {
                    *self.taken_bytes += data.len() as u64;
                    if *self.taken_bytes > self.settings.upload_bytes_max {
                        return Err(Trouble::Fault(BODY_TOO_LARGE));
                    }
                    let is_held_up = sender.is_full();
                    if !sender.send(data).await {
                        // The answer comes without it, and the connection ends with the answer.
                        return std::future::pending().await;
                    }
                    if is_held_up {
                        slow.as_mut().reset(Instant::now() + idle);
                    }
                }
                Step::End => {
                    // Before the end is told: the answer may be written right after.
                    self.is_complete.store(true, Ordering::Release);
                    sender.end().await;
                    return Ok(());
                }
                Step::More if *has_ended => return Err(Trouble::Gone),
                Step::More => {
                    input.reserve(READ_BYTES);
                    let read = tokio::select! {
                        read = reader.read_buf(input) => read?,
                        () = slow.as_mut() => return Err(Trouble::Fault(SLOW)),
                        () = tokio::time::sleep(idle) => return Err(Trouble::Fault(SLOW)),
                        () = sender.unwanted() => return std::future::pending().await,
                    };
                    *has_ended = read == 0;
                    let earned_ms = (read as u64) * 1000 / self.settings.upload_rate_min.max(1);
                    let until = slow.deadline() + Duration::from_millis(earned_ms);
                    slow.as_mut().reset(until);
                }
            }
        }
    }
}

impl Coding {
    fn step(&mut self, input: &mut BytesMut) -> Result<Step, Trouble> {
        match self {
            Self::Length(0) => Ok(Step::End),
            Self::Length(_) if input.is_empty() => Ok(Step::More),
            Self::Length(left) => {
                let taken = input.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                Ok(Step::Data(input.split_to(taken).freeze()))
            }
            Self::Chunked(decoder) => decoder.step(input).map_err(|_| Trouble::Fault(BAD)),
        }
    }
}

async fn read_ahead(
    reader: &mut (impl AsyncRead + Unpin),
    input: &mut BytesMut,
    has_ended: &mut bool,
) -> std::io::Result<()> {
    while !*has_ended && input.len() < HTTP_HEAD_BYTES_MAX {
        input.reserve(1024);
        *has_ended = reader.read_buf(input).await? == 0;
    }
    Ok(())
}
