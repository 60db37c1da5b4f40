//! The listener: accepting, HTTP/1.1, and draining.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

use super::Pages;
use crate::limits::{HTTP_HEAD_BYTES_MAX, HTTP_HEAD_MS_MAX, HTTP_HEADERS_MAX};
use crate::net::{Accept, Listener, Stream, accept_forever};

/// What a connection over the limit is told.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\
    Retry-After: 1\r\nContent-Length: 0\r\n\r\n";

/// Time to tell it, milliseconds.
const BUSY_MS_MAX: u64 = 1_000;

/// Serves pages on a listener until the group of tasks stops; connections then finish the request
/// they are at.
pub async fn serve(listener: Listener, pages: Pages) {
    let permits = Arc::new(Semaphore::new(pages.shared.settings.connections_max));
    let tasks = pages.shared.tasks.clone();
    let handle = move |accept| {
        let pages = pages.clone();
        async move {
            match accept {
                Accept::Serve(stream, permit) => {
                    converse(stream, pages).await;
                    drop(permit);
                }
                Accept::Refuse(stream) => refuse(stream, &pages).await,
            }
        }
    };
    accept_forever(listener, tasks, permits, handle).await;
}

async fn converse(stream: Stream, pages: Pages) {
    let ip = stream.peer().map(|peer| peer.ip());
    let stopping = pages.shared.tasks.stopping();
    let service = service_fn(move |request| {
        let pages = pages.clone();
        async move { Ok::<_, Infallible>(pages.answer(request, ip).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(HTTP_HEAD_MS_MAX))
        .max_headers(HTTP_HEADERS_MAX)
        .max_buf_size(HTTP_HEAD_BYTES_MAX)
        // Answers carry the origin's date.
        .auto_date_header(false)
        // A client that closes is gone: nothing is kept waiting for it.
        .half_close(false);
    let connection = http.serve_connection(TokioIo::new(stream), service);
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

async fn refuse(stream: Option<Stream>, pages: &Pages) {
    pages.shared.metrics.refused_connections.inc();
    let Some(mut stream) = stream else { return };
    let told = async {
        stream.write_all(BUSY).await?;
        stream.shutdown().await
    };
    // Whether it hears it or not, it is closed.
    let _ = tokio::time::timeout(Duration::from_millis(BUSY_MS_MAX), told).await;
}
