//! Bodies of answers: from memory, straight from the origin, or out of a fill that is under way.
//!
//! # Invariants
//! - A body that did not come whole ends in an error, so that the connection is cut off and the
//!   client knows.
//! - An origin that goes silent ends a body, passed through or not; a slow reader does not.
//!
//! # Not here
//! How a fill is shared: `fills::growing`.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Sleep;

use crate::pages::access::Line;
use crate::pages::fills::growing::{BrokenOff, Reader};
use crate::pages::origins::OriginBody;

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The origin's connection did.
    #[error("origin broke off: {0}")]
    Origin(#[from] hyper::Error),
    /// It ended early or went silent in a fill.
    #[error(transparent)]
    Fill(#[from] BrokenOff),
    /// It went silent.
    #[error("body of the origin is silent for {idle_timeout_ms} ms")]
    Silent {
        /// The limit.
        idle_timeout_ms: u64,
    },
}

/// The body of an answer to a client.
pub(crate) enum Body {
    /// No bytes.
    Empty,
    /// All of it.
    Whole(Option<Bytes>),
    /// As the origin sends it.
    Origin(Passing),
    /// As a fill hands it on.
    Fill(Reader),
    /// Any of them, with the line that is written about it at its end.
    Logged(Box<Self>, Box<Line>),
}

/// A body that is passed through, for as long as its origin is not silent.
pub(crate) struct Passing {
    body: OriginBody,
    idle_timeout_ms: u64,
    /// Runs while the origin is waited for, and only then.
    silence: Option<Pin<Box<Sleep>>>,
}

impl Body {
    /// All of it, where it is held.
    pub(crate) fn into_whole(self) -> Option<Bytes> {
        match self {
            Self::Whole(bytes) => bytes,
            Self::Empty | Self::Origin(_) | Self::Fill(_) | Self::Logged(..) => None,
        }
    }
}

/// A body as the origin sends it; one that is silent for so long is broken off.
pub(crate) fn passing(body: OriginBody, idle_timeout_ms: u64) -> Body {
    match body.is_end_stream() {
        true => Body::Empty,
        false => Body::Origin(Passing { body, idle_timeout_ms, silence: None }),
    }
}

impl Passing {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.silence = None;
            return Poll::Ready(match frame {
                // Trailers are dropped: what they say is not for everyone on the way.
                Some(Ok(frame)) => frame.into_data().ok().map(Ok),
                Some(Err(error)) => Some(Err(error.into())),
                None => None,
            });
        }
        let idle_timeout_ms = self.idle_timeout_ms;
        let silence = self.silence.get_or_insert_with(|| {
            Box::pin(tokio::time::sleep(Duration::from_millis(idle_timeout_ms)))
        });
        ready!(silence.as_mut().poll(cx));
        Poll::Ready(Some(Err(BodyError::Silent { idle_timeout_ms })))
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
            Self::Origin(passing) => {
                passing.poll_data(cx).map(|data| data.map(|data| data.map(Frame::data)))
            }
            Self::Fill(reader) => {
                let data = reader.poll_next(cx);
                data.map(|data| data.map(|data| data.map(Frame::data).map_err(Into::into)))
            }
            Self::Logged(body, line) => {
                let frame = ready!(Pin::new(&mut **body).poll_frame(cx));
                if let Some(Ok(frame)) = &frame {
                    line.bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole(bytes) => bytes.is_none(),
            Self::Origin(passing) => passing.body.is_end_stream(),
            Self::Fill(reader) => reader.is_ended(),
            Self::Logged(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Origin(passing) => passing.body.size_hint(),
            Self::Fill(reader) => reader.left_bytes().map_or(SizeHint::new(), SizeHint::with_exact),
            Self::Logged(body, _) => body.size_hint(),
        }
    }
}
