//! A body that is still arriving, read by any number of clients from its beginning.
//!
//! # Invariants
//! - Each reader has its own pace. While all of it is kept, a slow one holds nobody up: it lags
//!   behind what is kept anyway. Once it is not kept, the slowest reader sets the pace, and the
//!   time that a connection may be stalled bounds that.
//! - What was not ended as whole is broken off for every reader, also for those who have read all
//!   that came.
//! - Who comes when the beginning is gone gets no reader.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Bytes that a reader may lag behind a body that is not kept.
const BACKLOG_BYTES_MAX: u64 = 256 * 1024;

/// The body broke off before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("body of the origin is not whole")]
pub(crate) struct BrokenOff;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    Whole,
    Broken,
}

struct State {
    chunks: VecDeque<Bytes>,
    /// Chunks that are no longer here.
    dropped: usize,
    bytes: u64,
    is_kept: bool,
    end: End,
    readers: Vec<Place>,
    next_id: u64,
}

/// How far a reader has come.
struct Place {
    id: u64,
    chunks: usize,
    bytes: u64,
    waker: Option<Waker>,
}

/// A body as all who read it share it.
pub(crate) struct Growing {
    /// Known beforehand, or not.
    length: Option<u64>,
    state: Mutex<State>,
    /// Told when a reader has moved on or gone.
    moved: Notify,
}

/// The end that it grows at. Dropped before [`Writer::end`], the body is broken off.
pub(crate) struct Writer(Arc<Growing>);

/// One reader's place.
pub(crate) struct Reader {
    growing: Arc<Growing>,
    id: u64,
    left_bytes: Option<u64>,
    is_ended: bool,
}

/// A body of `length` bytes, where that is known.
pub(crate) fn growing(length: Option<u64>) -> (Writer, Arc<Growing>) {
    let state = State {
        chunks: VecDeque::new(),
        dropped: 0,
        bytes: 0,
        is_kept: true,
        end: End::Open,
        readers: Vec::new(),
        next_id: 0,
    };
    let growing = Arc::new(Growing { length, state: Mutex::new(state), moved: Notify::new() });
    (Writer(Arc::clone(&growing)), growing)
}

impl Growing {
    /// A place at the beginning; `None` if that is gone.
    pub(crate) fn reader(self: &Arc<Self>) -> Option<Reader> {
        let mut state = self.state.lock();
        if !state.is_kept {
            return None;
        }
        let id = state.next_id;
        state.next_id += 1;
        state.readers.push(Place { id, chunks: 0, bytes: 0, waker: None });
        let (growing, left_bytes) = (Arc::clone(self), self.length);
        Some(Reader { growing, id, left_bytes, is_ended: false })
    }

    fn finish(&self, end: End) {
        let mut state = self.state.lock();
        if state.end == End::Open {
            state.end = end;
        }
        state.wake_all();
    }
}

impl State {
    fn wake_all(&mut self) {
        for place in &mut self.readers {
            if let Some(waker) = place.waker.take() {
                waker.wake();
            }
        }
    }

    /// Lets go what every reader has had.
    fn trim(&mut self) {
        if self.is_kept {
            return;
        }
        let all = self.dropped + self.chunks.len();
        let slowest = self.readers.iter().map(|place| place.chunks).min().unwrap_or(all);
        let gone = slowest.saturating_sub(self.dropped).min(self.chunks.len());
        self.chunks.drain(..gone);
        self.dropped += gone;
    }
}

impl Writer {
    /// Adds some bytes.
    pub(crate) fn push(&self, data: Bytes) {
        let mut state = self.0.state.lock();
        state.bytes += data.len() as u64;
        state.chunks.push_back(data);
        state.wake_all();
        state.trim();
    }

    /// All that came and `last`, as one copy that keeps no network buffer alive. To be asked while
    /// it is kept.
    pub(crate) fn whole_with(&self, last: &[u8]) -> Bytes {
        let state = self.0.state.lock();
        let bytes = usize::try_from(state.bytes).unwrap_or(0) + last.len();
        let mut whole = Vec::with_capacity(bytes);
        for chunk in &state.chunks {
            whole.extend_from_slice(chunk);
        }
        whole.extend_from_slice(last);
        Bytes::from(whole)
    }

    /// It need not be kept any longer than its readers want it; nobody can begin to read it now.
    pub(crate) fn release(&self) {
        let mut state = self.0.state.lock();
        state.is_kept = false;
        state.trim();
    }

    /// Waits until the slowest reader has come near the end; `false` if there is no reader.
    pub(crate) async fn caught_up(&self) -> bool {
        loop {
            let moved = self.0.moved.notified();
            {
                let state = self.0.state.lock();
                let slowest = state.readers.iter().map(|place| place.bytes).min();
                match slowest {
                    None => return false,
                    Some(read) if state.bytes - read <= BACKLOG_BYTES_MAX => return true,
                    Some(_) => {}
                }
            }
            moved.await;
        }
    }

    /// The body was whole.
    pub(crate) fn end(self) {
        self.0.finish(End::Whole);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.finish(End::Broken);
    }
}

impl Reader {
    /// What is left, where the length was announced.
    pub(crate) fn left_bytes(&self) -> Option<u64> {
        self.left_bytes
    }

    /// Whether the end has been told.
    pub(crate) fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// The next bytes; `None` at the end of a whole body.
    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        if self.is_ended {
            return Poll::Ready(None);
        }
        let mut state = self.growing.state.lock();
        let State { chunks, dropped, end, readers, .. } = &mut *state;
        let Some(place) = readers.iter_mut().find(|place| place.id == self.id) else {
            return Poll::Ready(Some(Err(BrokenOff)));
        };
        let next = place.chunks.checked_sub(*dropped).and_then(|at| chunks.get(at)).cloned();
        match (next, *end) {
            (Some(data), _) => {
                place.chunks += 1;
                place.bytes += data.len() as u64;
                let taken = data.len() as u64;
                self.left_bytes = self.left_bytes.map(|left| left.saturating_sub(taken));
                state.trim();
                drop(state);
                self.growing.moved.notify_one();
                Poll::Ready(Some(Ok(data)))
            }
            (None, End::Open) => {
                place.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            (None, End::Whole) => {
                self.is_ended = true;
                Poll::Ready(None)
            }
            (None, End::Broken) => {
                self.is_ended = true;
                Poll::Ready(Some(Err(BrokenOff)))
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.growing.state.lock();
        state.readers.retain(|place| place.id != self.id);
        state.trim();
        drop(state);
        self.growing.moved.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn read(reader: &mut Reader) -> Option<Result<Bytes, BrokenOff>> {
        poll_fn(|cx| reader.poll_next(cx)).await
    }

    fn data(text: &'static str) -> Option<Result<Bytes, BrokenOff>> {
        Some(Ok(Bytes::from_static(text.as_bytes())))
    }

    #[tokio::test]
    async fn who_comes_late_reads_from_the_beginning() {
        let (writer, growing) = growing(Some(6));
        let mut early = growing.reader().unwrap();
        writer.push(Bytes::from_static(b"one"));
        assert_eq!(read(&mut early).await, data("one"));
        let mut late = growing.reader().unwrap();
        writer.push(Bytes::from_static(b"two"));
        assert_eq!(writer.whole_with(b"!"), "onetwo!");
        writer.end();
        for wanted in [data("one"), data("two"), None] {
            assert_eq!(read(&mut late).await, wanted);
        }
        assert_eq!((read(&mut early).await, late.left_bytes()), (data("two"), Some(0)));
    }

    #[tokio::test]
    async fn what_is_not_ended_is_broken_off_for_everybody() {
        let (writer, growing) = growing(None);
        let mut readers = [growing.reader().unwrap(), growing.reader().unwrap()];
        writer.push(Bytes::from_static(b"one"));
        drop(writer);
        for reader in &mut readers {
            assert_eq!(read(reader).await, data("one"));
            assert_eq!(read(reader).await, Some(Err(BrokenOff)));
        }
    }

    #[tokio::test]
    async fn what_is_not_kept_waits_for_the_slowest_reader_and_is_let_go() {
        let (writer, growing) = growing(None);
        let mut fast = growing.reader().unwrap();
        let mut slow = growing.reader().unwrap();
        writer.release();
        assert!(growing.reader().is_none(), "the beginning may be gone");
        let large = Bytes::from(vec![0; BACKLOG_BYTES_MAX as usize]);
        writer.push(large);
        writer.push(Bytes::from_static(b"more"));
        read(&mut fast).await;
        {
            let mut waiting = std::pin::pin!(writer.caught_up());
            let waker = Waker::noop();
            assert!(waiting.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
            read(&mut slow).await;
            assert!(waiting.await);
        }
        assert_eq!(growing.state.lock().chunks.len(), 1);
        drop((fast, slow));
        assert!(!writer.caught_up().await, "nobody reads it");
    }
}
