//! The body of a request on its way to an origin, from either wire.
//!
//! # Invariants
//! - What did not come whole ends in an error, so that the origin is not told that it was.
//! - Little is held between the two: a slow origin slows the client down.
//! - Trailers are dropped: what they say is not for everyone on the way.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::{Notify, mpsc};

/// Pieces between a client and an origin, each of one read.
const PIECES_MAX: usize = 4;

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    /// The client of HTTP/1.1 did not send it whole, or not as it should.
    #[error("body of the request is not whole")]
    Broken,
    /// The stream of HTTP/2 ended.
    #[error("stream of the request broke off: {0}")]
    Stream(#[from] hyper::Error),
}

/// The body of a request.
pub(crate) enum Upload {
    /// There is none.
    Empty,
    /// Out of the connection's own loop.
    Http1(Received),
    /// Of a stream.
    Http2(Incoming),
}

/// A piece of a body.
enum Piece {
    Data(Bytes),
    End,
}

/// The receiving end of a body in HTTP/1.1.
pub(crate) struct Received {
    pieces: mpsc::Receiver<Piece>,
    left_bytes: Option<u64>,
    is_ended: bool,
    wanted: Arc<Notify>,
}

/// The connection's end of it.
pub(in crate::pages) struct Sender {
    pieces: mpsc::Sender<Piece>,
}

/// The two ends of a body of `length` bytes, where that is known. `wanted` is told when somebody
/// begins to read it.
pub(in crate::pages) fn channel(length: Option<u64>, wanted: Arc<Notify>) -> (Sender, Upload) {
    let (sender, pieces) = mpsc::channel(PIECES_MAX);
    let received = Received { pieces, left_bytes: length, is_ended: false, wanted };
    (Sender { pieces: sender }, Upload::Http1(received))
}

impl Sender {
    /// Hands a piece on; `false` if nobody wants it.
    pub(in crate::pages) async fn send(&self, data: Bytes) -> bool {
        self.pieces.send(Piece::Data(data)).await.is_ok()
    }

    /// Whether the next piece has to wait for the origin.
    pub(in crate::pages) fn is_full(&self) -> bool {
        self.pieces.capacity() == 0
    }

    /// The body was whole.
    pub(in crate::pages) async fn end(&self) {
        // Who does not want it need not know.
        let _ = self.pieces.send(Piece::End).await;
    }

    /// Returns when nobody wants more of it.
    pub(in crate::pages) async fn unwanted(&self) {
        self.pieces.closed().await;
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Http1(received) => received.poll_piece(cx),
            Self::Http2(stream) => Poll::Ready(match ready!(Pin::new(stream).poll_frame(cx)) {
                Some(Ok(frame)) => frame.into_data().ok().map(|data| Ok(Frame::data(data))),
                Some(Err(error)) => Some(Err(error.into())),
                None => None,
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Http1(received) => received.is_ended,
            Self::Http2(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Http1(received) => {
                received.left_bytes.map_or(SizeHint::new(), SizeHint::with_exact)
            }
            Self::Http2(stream) => stream.size_hint(),
        }
    }
}

impl Received {
    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        if self.is_ended {
            return Poll::Ready(None);
        }
        self.wanted.notify_one();
        Poll::Ready(match ready!(self.pieces.poll_recv(cx)) {
            Some(Piece::Data(data)) => {
                let taken = data.len() as u64;
                self.left_bytes = self.left_bytes.map(|left| left.saturating_sub(taken));
                Some(Ok(Frame::data(data)))
            }
            Some(Piece::End) => {
                self.is_ended = true;
                None
            }
            None => {
                self.is_ended = true;
                Some(Err(UploadError::Broken))
            }
        })
    }
}
