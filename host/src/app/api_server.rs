//! The listener of the API and the webhook.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::Semaphore;

use crate::limits::{API_CONNECTIONS_MAX, HTTP_HEAD_BYTES_MAX, HTTP_HEAD_MS_MAX, HTTP_HEADERS_MAX};
use crate::net::{Accept, Listener, Stream, accept_forever};
use crate::tasks::Tasks;

/// Serves until the group stops.
pub(super) async fn serve(listener: Listener, router: Router, tasks: Tasks) {
    let permits = Arc::new(Semaphore::new(API_CONNECTIONS_MAX));
    let handle = {
        let tasks = tasks.clone();
        move |accept| {
            let (router, stopping) = (router.clone(), tasks.stopping());
            async move {
                match accept {
                    Accept::Serve(stream, _permit) => connection(stream, router, stopping).await,
                    // Closing says enough: the API's clients try again.
                    Accept::Refuse(stream) => drop(stream),
                }
            }
        }
    };
    accept_forever(listener, tasks, permits, handle).await;
}

async fn connection(stream: Stream, router: Router, stopping: impl Future<Output = ()>) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(HTTP_HEAD_MS_MAX))
        .max_headers(HTTP_HEADERS_MAX)
        .max_buf_size(HTTP_HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection, stopping);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = &mut stopping => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "api connection");
    }
}
