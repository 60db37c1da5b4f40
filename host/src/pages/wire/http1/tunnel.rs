//! Another protocol on the connection, WebSocket (RFC 6455) above all: bytes both ways.
//!
//! # Invariants
//! - Neither side is read faster than the other takes it.
//! - A tunnel is closed when it has carried nothing for its idle time, and when the server stops.
//!   Their number is bounded where one is opened (`course::pass`).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::net::Stream;
use crate::pages::Pages;
use crate::pages::course::pass::Tunnel;
use crate::pages::metrics::Counted;

/// Bytes held in each direction.
const BUFFER_BYTES: usize = 8 * 1024;

/// Carries bytes until one side ends. `input` is what the client sent ahead.
pub(super) async fn run(stream: Stream, input: BytesMut, tunnel: Tunnel, pages: &Pages) {
    let _counted = Counted::on(&pages.shared.metrics.tunnels);
    let stopping = pages.shared.tasks.stopping();
    // What else is in it is held until the end.
    let Ok(origin) = tunnel.upgraded.clone().await else { return };
    let mut origin = TokioIo::new(origin);
    if !input.is_empty() && origin.write_all(&input).await.is_err() {
        return;
    }
    let carried = Arc::new(AtomicU64::new(input.len() as u64));
    let mut client = Counting { stream, carried: Arc::clone(&carried) };
    let idle = Duration::from_millis(pages.shared.settings.tunnel_idle_timeout_ms);
    {
        let both = tokio::io::copy_bidirectional_with_sizes(
            &mut client,
            &mut origin,
            BUFFER_BYTES,
            BUFFER_BYTES,
        );
        tokio::select! {
            // How it ended is between the two.
            _ = both => {}
            () = stopping => {}
            () = silence(&carried, idle) => {}
        }
    }
    pages.shared.metrics.tunnel_bytes.inc_by(carried.load(Ordering::Relaxed));
}

/// Returns when nothing was carried for a whole `idle`.
async fn silence(carried: &AtomicU64, idle: Duration) {
    let mut before = carried.load(Ordering::Relaxed);
    loop {
        tokio::time::sleep(idle).await;
        let now = carried.load(Ordering::Relaxed);
        if now == before {
            return;
        }
        before = now;
    }
}

/// The client's side, which counts what passes it in both directions.
struct Counting {
    stream: Stream,
    carried: Arc<AtomicU64>,
}

impl Counting {
    fn count(&self, bytes: usize) {
        self.carried.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl AsyncRead for Counting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.count(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counting {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.count(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
