//! One client: reads, has every buffered command carried out, sends all replies by one write.
//!
//! # Invariants
//! - Commands are carried out and answered in the order in which they came.
//! - A value is collected in memory of exactly its size, and only if it is within the item limit;
//!   a larger one is read past without being kept.
//! - When the server stops, the commands that were received are answered before the connection
//!   ends.

use std::io;
use std::ops::ControlFlow;

use bytes::{BufMut, Bytes};
use tokio::io::{AsyncRead, AsyncWrite};

use super::buffer::Buffer;
use super::cmd;
use super::cmd::storage::Pending;
use super::flush;
use super::metrics::Count;
use super::parse::{Parse, Request, parse};
use super::server::Door;
use super::session::Session;
use super::watch::{Watch, Woken};

/// The line end behind a value.
const LINE_END_BYTES: usize = 2;

/// What the next bytes are.
enum Expect {
    /// A command line.
    Line,
    /// The rest of a value, and the line end behind it.
    Value(Pending, Vec<u8>),
    /// So many bytes that nobody wants.
    Unwanted(usize),
}

struct Connection<S> {
    stream: S,
    watch: Watch,
    buffer: Buffer,
    expect: Expect,
    session: Session,
}

/// Serves a client until it goes, is idle for too long, or the server stops.
pub(super) async fn run<S>(stream: S, door: Door)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    door.metrics().inc(Count::TotalConnections);
    let mut connection = Connection {
        stream,
        watch: Watch::new(door.tasks(), door.settings().idle_timeout),
        buffer: Buffer::default(),
        expect: Expect::Line,
        session: Session::new(door.clone()),
    };
    if let Err(error) = connection.serve().await {
        tracing::trace!(%error, "memcached connection");
    }
    door.metrics().take(&mut connection.session.tally);
    door.metrics().inc(Count::ClosedConnections);
}

impl<S> Connection<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    async fn serve(&mut self) -> io::Result<()> {
        loop {
            match self.fill().await? {
                Woken::Read(0) | Woken::Stop => return Ok(()),
                Woken::Read(count) => self.session.tally.add(Count::BytesRead, count as u64),
                Woken::Idle => {
                    self.session.tally.inc(Count::IdleKicks);
                    return Ok(());
                }
            }
            let flow = self.carry_out().await?;
            self.session.flush(&mut self.stream).await?;
            if flow.is_break() {
                return Ok(());
            }
        }
    }

    /// Reads once: the rest of a value straight to where it stays, all else into the buffer.
    async fn fill(&mut self) -> io::Result<Woken> {
        if let Expect::Value(pending, value) = &mut self.expect {
            let missing = pending.value_bytes - value.len();
            if missing > 0 {
                return self.watch.read(&mut self.stream, &mut value.limit(missing)).await;
            }
        }
        self.watch.read_commands(&mut self.stream, &mut self.buffer).await
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
            let is_whole = match &self.expect {
                Expect::Line => match self.carry_out_line().await? {
                    ControlFlow::Continue(is_whole) => is_whole,
                    ControlFlow::Break(()) => return Ok(ControlFlow::Break(())),
                },
                Expect::Value(..) => self.collect_value().await,
                Expect::Unwanted(_) => self.skip(),
            };
            if !is_whole {
                return Ok(ControlFlow::Continue(()));
            }
        }
    }

    /// Reads a line and carries it out. Continues with whether there was a whole one.
    async fn carry_out_line(&mut self) -> io::Result<ControlFlow<(), bool>> {
        let Self { stream, buffer, session, expect, .. } = self;
        let unread = buffer.unread();
        let consumed = match parse(unread, buffer.scanned) {
            Parse::Incomplete => {
                buffer.scanned = unread.len();
                return Ok(ControlFlow::Continue(false));
            }
            Parse::Foreign => return Ok(ControlFlow::Break(())),
            Parse::Invalid(fault, consumed) => {
                session.answer(fault.answer, fault.text);
                if fault.swallow_bytes > 0 {
                    *expect = Expect::Unwanted(fault.swallow_bytes);
                }
                consumed
            }
            Parse::Parsed(Request::Store(store), consumed) => {
                let behind = unread.get(consumed..).unwrap_or_default();
                let pending = cmd::storage::expect(session, &store).await;
                consumed + begin_store(session, expect, pending, store.value_bytes, behind).await
            }
            Parse::Parsed(Request::MetaSet(set), consumed) => {
                let behind = unread.get(consumed..).unwrap_or_default();
                let pending = cmd::meta::set::expect(session, &set).await;
                consumed + begin_store(session, expect, pending, set.value_bytes, behind).await
            }
            Parse::Parsed(request, consumed) => {
                if cmd::carry_out(session, stream, request).await?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                consumed
            }
        };
        buffer.consume(consumed);
        Ok(ControlFlow::Continue(true))
    }

    /// Takes what is buffered of a value, and stores it when it is whole.
    async fn collect_value(&mut self) -> bool {
        let Expect::Value(pending, value) = &mut self.expect else { return false };
        let unread = self.buffer.unread();
        let missing = (pending.value_bytes - value.len()).min(unread.len());
        let (taken, rest) = unread.split_at_checked(missing).unwrap_or_default();
        value.extend_from_slice(taken);
        let is_whole = value.len() == pending.value_bytes;
        let Some(end) = rest.first_chunk::<LINE_END_BYTES>().filter(|_| is_whole) else {
            self.buffer.consume(missing);
            return false;
        };
        let end = *end;
        self.buffer.consume(missing + LINE_END_BYTES);
        if let Expect::Value(pending, value) = std::mem::replace(&mut self.expect, Expect::Line) {
            store_value(&mut self.session, pending, end, || Bytes::from(value)).await;
        }
        true
    }

    /// Reads past what nobody wants. Returns whether that is done.
    fn skip(&mut self) -> bool {
        let Expect::Unwanted(left) = &mut self.expect else { return false };
        let skipped = (*left).min(self.buffer.unread().len());
        *left -= skipped;
        let is_done = *left == 0;
        self.buffer.consume(skipped);
        if is_done {
            self.expect = Expect::Line;
        }
        is_done
    }
}

/// Stores a value if all of it lies `behind` its line, else says what to expect; a value that is
/// not pending is not wanted. Returns how many bytes behind the line were taken.
async fn begin_store(
    session: &mut Session,
    expect: &mut Expect,
    pending: Option<Pending>,
    value_bytes: usize,
    behind: &[u8],
) -> usize {
    let bytes = value_bytes + LINE_END_BYTES;
    let Some(pending) = pending else {
        *expect = Expect::Unwanted(bytes);
        return 0;
    };
    let Some((value, end)) = whole_value(behind, value_bytes) else {
        *expect = Expect::Value(pending, Vec::with_capacity(value_bytes));
        return 0;
    };
    store_value(session, pending, end, || Bytes::copy_from_slice(value)).await;
    bytes
}

/// The value of a storage command and the two bytes behind it, if all of it is there.
fn whole_value(bytes: &[u8], value_bytes: usize) -> Option<(&[u8], [u8; LINE_END_BYTES])> {
    let (value, rest) = bytes.split_at_checked(value_bytes)?;
    Some((value, *rest.first_chunk::<LINE_END_BYTES>()?))
}

/// Stores a whole value, if what follows it is a line end.
async fn store_value(
    session: &mut Session,
    pending: Pending,
    end: [u8; LINE_END_BYTES],
    value: impl FnOnce() -> Bytes,
) {
    if end == *b"\r\n" {
        cmd::storage::carry_out(session, pending, value()).await;
    } else {
        cmd::storage::refuse_bad_data(session, &pending);
    }
}
