//! Bodies of answers: from memory, straight from the origin, or out of a fill that is under way.
//!
//! # Invariants
//! - A body that did not come whole ends in an error, so that the connection is cut off and the
//!   client knows.
//! - A fill is not held up by a slow reader while it collects: the reader lags behind what has been
//!   collected, which takes no more memory. Only what is not collected waits for the reader.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Bytes that a reader may lag behind a body that is not collected.
const BACKLOG_BYTES_MAX: usize = 256 * 1024;

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The origin's connection did.
    #[error("origin broke off: {0}")]
    Origin(#[from] hyper::Error),
    /// It ended early or went silent.
    #[error("body of the origin is not whole")]
    Truncated,
}

/// The body of an answer to a client.
pub(crate) enum Body {
    /// No bytes.
    Empty,
    /// All of it.
    Whole(Option<Bytes>),
    /// As the origin sends it.
    Origin(Incoming),
    /// As a fill hands it on.
    Fill(Reader),
}

/// The client's end of a fill.
pub(crate) struct Reader {
    chunks: UnboundedReceiver<Chunk>,
    backlog: Arc<Backlog>,
    left_bytes: Option<u64>,
    is_ended: bool,
}

/// The fill's end.
pub(crate) struct Sink {
    chunks: UnboundedSender<Chunk>,
    backlog: Arc<Backlog>,
}

enum Chunk {
    Data(Bytes),
    End,
}

#[derive(Default)]
struct Backlog {
    bytes: AtomicUsize,
    shrunk: Notify,
}

/// The two ends of a body of `announced_bytes`, where that is known.
pub(crate) fn fill(announced_bytes: Option<u64>) -> (Sink, Body) {
    let (sender, receiver) = unbounded_channel();
    let backlog = Arc::new(Backlog::default());
    let sink = Sink { chunks: sender, backlog: Arc::clone(&backlog) };
    let reader = Reader { chunks: receiver, backlog, left_bytes: announced_bytes, is_ended: false };
    (sink, Body::Fill(reader))
}

impl Sink {
    /// Hands on some bytes; `false` if nobody reads any more.
    pub(crate) fn send(&self, data: Bytes) -> bool {
        self.backlog.bytes.fetch_add(data.len(), Ordering::AcqRel);
        self.chunks.send(Chunk::Data(data)).is_ok()
    }

    /// Waits until the reader has caught up.
    pub(crate) async fn caught_up(&self) {
        while self.backlog.bytes.load(Ordering::Acquire) > BACKLOG_BYTES_MAX {
            tokio::select! {
                () = self.backlog.shrunk.notified() => {}
                () = self.chunks.closed() => return,
            }
        }
    }

    /// The body was whole. Without this, the reader takes it as broken off.
    pub(crate) fn end(self) {
        // The reader may be gone; then nobody is to be told.
        let _ = self.chunks.send(Chunk::End);
    }
}

impl Reader {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if self.is_ended {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.chunks.poll_recv(cx)) {
            Some(Chunk::Data(data)) => {
                self.backlog.bytes.fetch_sub(data.len(), Ordering::AcqRel);
                self.backlog.shrunk.notify_one();
                self.left_bytes =
                    self.left_bytes.map(|left| left.saturating_sub(data.len() as u64));
                Some(Ok(data))
            }
            Some(Chunk::End) => {
                self.is_ended = true;
                None
            }
            None => {
                self.is_ended = true;
                Some(Err(BodyError::Truncated))
            }
        })
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Origin(body) => Poll::Ready(match ready!(Pin::new(body).poll_frame(cx)) {
                // Trailers are dropped: what they say is not for everyone on the way.
                Some(Ok(frame)) => frame.into_data().ok().map(|data| Ok(Frame::data(data))),
                Some(Err(error)) => Some(Err(error.into())),
                None => None,
            }),
            Self::Fill(reader) => {
                reader.poll_chunk(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole(bytes) => bytes.is_none(),
            Self::Origin(body) => body.is_end_stream(),
            Self::Fill(reader) => reader.is_ended,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Origin(body) => body.size_hint(),
            Self::Fill(reader) => reader.left_bytes.map_or(SizeHint::new(), SizeHint::with_exact),
        }
    }
}
