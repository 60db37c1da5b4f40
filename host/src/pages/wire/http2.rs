//! HTTP/2 by clients that know beforehand (RFC 9113 §3.3), or have agreed on it over TLS (§3.2),
//! over the same phases.
//!
//! # Invariants
//! - A stream is answered as a request in HTTP/1.1 is: what names its host is `:authority`, and a
//!   `Host` that says something else is refused (RFC 9113 §8.3.1).
//!
//! # Not here
//! Interim responses and tunnels: they are for HTTP/1.1 clients only.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use http::header::HOST;
use http::{HeaderValue, Method, Request, Uri};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::limits::HTTP_HEAD_BYTES_MAX;
use crate::net::Stream;
use crate::pages::Pages;
use crate::pages::origins::upload::Upload;
use crate::tasks::Tasks;

/// What a client begins with (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Streams of one connection at a time.
const STREAMS_MAX: u32 = 128;

/// How much of the preface a connection begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Preface {
    /// All of it.
    Whole,
    /// What was read so far may become it.
    Part,
    /// It is something else.
    No,
}

/// Judges the first bytes of a connection.
pub(super) fn preface(input: &[u8]) -> Preface {
    match (input.starts_with(PREFACE), PREFACE.starts_with(input)) {
        (true, _) => Preface::Whole,
        (false, true) => Preface::Part,
        (false, false) => Preface::No,
    }
}

/// Serves a connection whose first bytes have been read.
pub(super) async fn serve(stream: Stream, input: BytesMut, pages: Pages) {
    let ip = stream.peer().map(|peer| peer.ip());
    let (tasks, settings) = (pages.shared.tasks.clone(), pages.shared.settings.clone());
    let stopping = tasks.stopping();
    let service = service_fn(move |request: Request<Incoming>| {
        let pages = pages.clone();
        async move { Ok::<_, Infallible>(pages.answer(with_host(request), ip).await) }
    });
    let idle = Duration::from_millis(settings.idle_timeout_ms);
    let mut builder = http2::Builder::new(OnTasks(tasks));
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HTTP_HEAD_BYTES_MAX as u32)
        .keep_alive_interval(idle)
        .keep_alive_timeout(idle)
        // Answers carry the origin's date.
        .auto_date_header(false);
    let connection = builder.serve_connection(TokioIo::new(Begun { input, stream }), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection");
    }
}

/// The request as HTTP/1.1 would have it: `Host` says what it is for.
fn with_host(request: Request<Incoming>) -> Request<Upload> {
    let (mut parts, body) = request.into_parts();
    let authority = parts.uri.authority().map(|authority| authority.as_str().to_owned());
    let host = authority.and_then(|text| HeaderValue::from_str(&text).ok());
    match (host, parts.headers.contains_key(HOST)) {
        (Some(host), false) => {
            parts.headers.insert(HOST, host);
        }
        // Two that differ are two fields for what comes next, and refused as such.
        (Some(host), true) if parts.headers.get(HOST) != Some(&host) => {
            parts.headers.append(HOST, host);
        }
        _ => {}
    }
    // The scheme is that of the connection, whatever the client says.
    if let Some(target) = parts.uri.path_and_query().filter(|_| parts.method != Method::CONNECT) {
        parts.uri = Uri::from(target.clone());
    }
    let body = if body.is_end_stream() { Upload::Empty } else { Upload::Http2(body) };
    Request::from_parts(parts, body)
}

/// Runs the streams of a connection in its group of tasks.
#[derive(Clone)]
struct OnTasks(Tasks);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for OnTasks {
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

/// A connection with what was read of it already.
struct Begun {
    input: BytesMut,
    stream: Stream,
}

impl AsyncRead for Begun {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let ready = self.input.len().min(buf.remaining());
        if ready > 0 {
            buf.put_slice(self.input.get(..ready).unwrap_or_default());
            self.input.advance(ready);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Begun {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
