//! The way to the origins: pooled connections, time-outs, and one repetition where that is safe.
//!
//! # Invariants
//! - A request is repeated at most once, only if it has no body and repeating it changes nothing
//!   (RFC 9110 §9.2.2), and only if its connection ended before an answer began: an origin may
//!   close a pooled connection at the very moment it is used.

use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::upload::{Upload, UploadError};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Empty};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::Notify;

use super::settings::Settings;

/// Idle connections kept for one origin.
const IDLE_CONNECTIONS_MAX: usize = 64;

/// For how long they are kept: shorter than what usual origins keep them, seconds.
const IDLE_S_MAX: u64 = 20;

/// Bytes of a response's head: room for many cookies.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Why there is no answer from an origin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OriginError {
    /// No connection: it has not seen the request.
    #[error("cannot connect: {0}")]
    Connect(#[source] hyper_util::client::legacy::Error),
    /// No head in time.
    #[error("no answer within {timeout_ms} ms")]
    Timeout {
        /// The limit.
        timeout_ms: u64,
    },
    /// The exchange broke down, or what came is no HTTP.
    #[error("exchange broke down: {0}")]
    Broken(#[source] hyper_util::client::legacy::Error),
    /// An address that can't be asked for.
    #[error("target cannot be asked for: {0}")]
    Target(#[from] http::Error),
}

type RequestBody = Either<Watched, Empty<Bytes>>;

/// Connections to origins; clones share them.
#[derive(Clone)]
pub(crate) struct Origin {
    client: Client<HttpConnector, RequestBody>,
    head_timeout_ms: u64,
    /// Counts every attempt.
    requests: Counter,
}

impl Origin {
    pub(crate) fn new(settings: &Settings, requests: Counter) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_millis(settings.connect_timeout_ms)));
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(IDLE_S_MAX))
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .http1_max_buf_size(HEAD_BYTES_MAX)
            .build(connector);
        Self { client, head_timeout_ms: settings.head_timeout_ms, requests }
    }

    /// Sends a request and waits for the head of its answer; bodies stream. Dropping the future
    /// gives the request up.
    pub(crate) async fn send(
        &self,
        method: &Method,
        uri: &Uri,
        headers: HeaderMap,
        body: Option<Upload>,
    ) -> Result<Response<Incoming>, OriginError> {
        let again = (body.is_none() && method.is_idempotent()).then(|| headers.clone());
        match (self.attempt(method, uri, headers, body).await, again) {
            (Err(OriginError::Broken(error)), Some(headers)) if has_died_early(&error) => {
                self.attempt(method, uri, headers, None).await
            }
            (outcome, _) => outcome,
        }
    }

    async fn attempt(
        &self,
        method: &Method,
        uri: &Uri,
        headers: HeaderMap,
        body: Option<Upload>,
    ) -> Result<Response<Incoming>, OriginError> {
        self.requests.inc();
        let progress = Arc::new(Notify::new());
        let body = match body {
            Some(body) => Either::Left(Watched { body, progress: Arc::clone(&progress) }),
            None => Either::Right(Empty::new()),
        };
        let mut request = Request::builder().method(method).uri(uri).body(body)?;
        *request.headers_mut() = headers;
        let response = self.client.request(request);
        tokio::pin!(response);
        loop {
            // The time runs from the last byte of the request that was taken.
            let timeout = tokio::time::sleep(Duration::from_millis(self.head_timeout_ms));
            tokio::select! {
                answered = &mut response => {
                    return answered.map_err(|error| match error.is_connect() {
                        true => OriginError::Connect(error),
                        false => OriginError::Broken(error),
                    });
                }
                () = progress.notified() => {}
                () = timeout => {
                    return Err(OriginError::Timeout { timeout_ms: self.head_timeout_ms });
                }
            }
        }
    }
}

/// Whether the connection ended before an answer began.
fn has_died_early(error: &hyper_util::client::legacy::Error) -> bool {
    let mut cause: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<hyper::Error>()
            && (error.is_incomplete_message() || error.is_canceled() || error.is_closed())
        {
            return true;
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            let kind = error.kind();
            return matches!(kind, io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe);
        }
        cause = error.source();
    }
    false
}

/// A client's body whose progress is watched.
struct Watched {
    body: Upload,
    progress: Arc<Notify>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        if polled.is_ready() {
            this.progress.notify_one();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
