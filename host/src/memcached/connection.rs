//! One client: reads, has every buffered request carried out, sends all replies by one write.
//!
//! # Invariants
//! - Requests are carried out and answered in the order in which they came.
//! - The first byte says which protocol is spoken, until the connection ends.
//! - A value is collected in memory of exactly its size, and only if it is within the item limit;
//!   a larger one is read past without being kept.
//! - When the server stops, the requests that were received are answered before the connection
//!   ends.

use std::io;
use std::ops::ControlFlow;

use bytes::BufMut;
use tokio::io::{AsyncRead, AsyncWrite};

use super::buffer::Buffer;
use super::connections::{Ends, State};
use super::metrics::Count;
use super::server::Door;
use super::session::Session;
use super::waiting::{Waiting, Woken};
use super::watchers::{CloseReason, Topics, connection};
use super::{binary, flush, text};

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// Lines.
    Text,
    /// Frames.
    Binary,
}

/// What is next on a connection.
#[derive(Debug)]
pub(super) enum Next {
    /// A request.
    Request,
    /// The value of a request. Boxed, so that a step without one is small.
    Value(Box<Pending>),
    /// So many bytes that nobody wants.
    Unwanted(usize),
    /// Nothing: it is to be closed when all replies are sent.
    Close,
}

/// What a request has taken from the buffer, and what is next.
#[derive(Debug)]
pub(super) struct Step {
    /// How many bytes.
    pub(super) consumed: usize,
    /// What is next.
    pub(super) next: Next,
}

impl Step {
    /// The end.
    pub(super) const CLOSE: Self = Self { consumed: 0, next: Next::Close };
}

/// A request whose value is on its way.
#[derive(Debug)]
pub(super) enum Pending {
    /// In a line.
    Text(text::Pending),
    /// In a frame.
    Binary(binary::Pending),
}

impl Pending {
    /// Length of the value.
    fn value_bytes(&self) -> usize {
        match self {
            Self::Text(pending) => pending.value_bytes(),
            Self::Binary(pending) => pending.value_bytes(),
        }
    }

    /// Length of what ends it.
    fn end_bytes(&self) -> usize {
        match self {
            Self::Text(_) => text::LINE_END_BYTES,
            Self::Binary(_) => 0,
        }
    }
}

/// What the next bytes are.
enum Expect {
    /// A request.
    Request,
    /// The rest of a value, and what ends it.
    Value(Box<Pending>, Vec<u8>),
    /// So many bytes that nobody wants.
    Unwanted(usize),
}

struct Connection<S> {
    stream: S,
    waiting: Waiting,
    buffer: Buffer,
    dialect: Option<Dialect>,
    expect: Expect,
    session: Session,
}

/// Serves a client until it goes, is idle for too long, or the server stops.
pub(super) async fn run<S>(stream: S, door: Door, ends: Ends)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    door.metrics().inc(Count::TotalConnections);
    let mut connection = Connection {
        stream,
        waiting: Waiting::new(door.tasks(), door.settings().idle_timeout),
        buffer: Buffer::default(),
        dialect: None,
        expect: Expect::Request,
        session: Session::new(door.clone(), ends),
    };
    connection.tell(None);
    let reason = match connection.serve().await {
        Ok(reason) => reason,
        Err(error) => {
            tracing::trace!(%error, "memcached connection");
            CloseReason::Error
        }
    };
    connection.tell(Some(reason));
    door.metrics().take(&mut connection.session.tally);
    door.metrics().inc(Count::ClosedConnections);
}

impl<S> Connection<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    async fn serve(&mut self) -> io::Result<CloseReason> {
        loop {
            self.session.seat.enter(match self.expect {
                Expect::Request => State::Read,
                Expect::Value(..) => State::Value,
                Expect::Unwanted(_) => State::Swallow,
            });
            match self.fill().await? {
                Woken::Read(0) => return Ok(CloseReason::Normal),
                Woken::Stop => return Ok(CloseReason::Shutdown),
                Woken::Read(count) => self.session.tally.add(Count::BytesRead, count as u64),
                Woken::Idle => {
                    self.session.tally.inc(Count::IdleKicks);
                    return Ok(CloseReason::Idle);
                }
            }
            self.session.seat.note_commands(self.session.door.cache().clock().now_ms());
            let flow = self.carry_out().await?;
            self.session.flush(&mut self.stream).await?;
            if flow.is_break() {
                return Ok(CloseReason::Normal);
            }
        }
    }

    /// Tells those who watch connections that this one begins, or why it ends.
    fn tell(&self, closed: Option<CloseReason>) {
        let Session { door, seat, .. } = &self.session;
        if door.watchers().is_watched(Topics::CONNEVENTS) {
            let now_ms = door.cache().clock().now_ms();
            let text = |line: &mut Vec<u8>| connection(line, seat, closed);
            door.watchers().tell(Topics::CONNEVENTS, now_ms, text);
        }
    }

    /// Reads once: the rest of a value straight to where it stays, all else into the buffer.
    async fn fill(&mut self) -> io::Result<Woken> {
        if let Expect::Value(pending, value) = &mut self.expect {
            let missing = pending.value_bytes() - value.len();
            if missing > 0 {
                return self.waiting.read(&mut self.stream, &mut value.limit(missing)).await;
            }
        }
        self.waiting.read_commands(&mut self.stream, &mut self.buffer).await
    }

    /// Carries out what is buffered, to the last whole command.
    async fn carry_out(&mut self) -> io::Result<ControlFlow<()>> {
        loop {
            if flush::is_pending(&self.session.door) {
                flush::run_due_flush(&self.session.door).await;
            }
            if self.session.out.is_due() {
                self.session.flush(&mut self.stream).await?;
            }
            let next = match &self.expect {
                Expect::Request => self.carry_out_request().await?,
                Expect::Value(..) => self.collect_value().await,
                Expect::Unwanted(_) => self.skip(),
            };
            self.expect = match next {
                None => return Ok(ControlFlow::Continue(())),
                Some(Next::Close) => return Ok(ControlFlow::Break(())),
                Some(Next::Request | Next::Unwanted(0)) => Expect::Request,
                Some(Next::Unwanted(bytes)) => Expect::Unwanted(bytes),
                Some(Next::Value(pending)) => {
                    let value = Vec::with_capacity(pending.value_bytes());
                    Expect::Value(pending, value)
                }
            };
        }
    }

    /// Carries out a request; `None` if there is no whole one.
    async fn carry_out_request(&mut self) -> io::Result<Option<Next>> {
        let Self { stream, buffer, session, dialect, .. } = self;
        let unread = buffer.unread();
        let Some(first) = unread.first() else { return Ok(None) };
        let dialect = *dialect.get_or_insert(match *first {
            binary::REQUEST_MAGIC => Dialect::Binary,
            _ => Dialect::Text,
        });
        let step = match dialect {
            Dialect::Text => text::step(session, stream, unread, buffer.scanned).await?,
            Dialect::Binary => binary::step(session, unread).await,
        };
        let Some(Step { consumed, next }) = step else {
            buffer.scanned = unread.len();
            return Ok(None);
        };
        buffer.consume(consumed);
        Ok(Some(next))
    }

    /// Takes what is buffered of a value; `None` until it is whole.
    async fn collect_value(&mut self) -> Option<Next> {
        let Expect::Value(pending, value) = &mut self.expect else { return None };
        let unread = self.buffer.unread();
        let missing = (pending.value_bytes() - value.len()).min(unread.len());
        let (taken, rest) = unread.split_at_checked(missing).unwrap_or_default();
        value.extend_from_slice(taken);
        let is_whole = value.len() == pending.value_bytes();
        let Some(end) = rest.get(..pending.end_bytes()).filter(|_| is_whole) else {
            self.buffer.consume(missing);
            return None;
        };
        let consumed = missing + end.len();
        let Expect::Value(pending, value) = std::mem::replace(&mut self.expect, Expect::Request)
        else {
            return None;
        };
        let next = match *pending {
            Pending::Text(pending) => text::finish(&mut self.session, pending, value, end).await,
            Pending::Binary(pending) => binary::finish(&mut self.session, pending, value).await,
        };
        self.buffer.consume(consumed);
        Some(next)
    }

    /// Reads past what nobody wants; `None` until that is done.
    fn skip(&mut self) -> Option<Next> {
        let Expect::Unwanted(left) = &mut self.expect else { return None };
        let skipped = (*left).min(self.buffer.unread().len());
        *left -= skipped;
        let is_done = *left == 0;
        self.buffer.consume(skipped);
        is_done.then_some(Next::Request)
    }
}
