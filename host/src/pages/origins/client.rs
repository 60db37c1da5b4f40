//! One HTTP/1.1 client for all origins: connections, their pool, and the limits of one attempt.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Empty};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::Notify;

use super::{OriginError, Question};
use crate::pages::origins::upload::{Upload, UploadError};
use crate::pages::settings::Settings;

/// Idle connections kept for one origin.
const IDLE_CONNECTIONS_MAX: usize = 64;

/// For how long they are kept: shorter than what usual origins keep them, seconds.
const IDLE_S_MAX: u64 = 20;

type RequestBody = Either<Watched, Empty<Bytes>>;

/// Pooled connections to origins.
pub(super) struct Client {
    client: legacy::Client<HttpConnector, RequestBody>,
    head_timeout_ms: u64,
    /// Counts every attempt.
    requests: Counter,
}

impl Client {
    pub(super) fn new(settings: &Settings, requests: Counter) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_millis(settings.connect_timeout_ms)));
        let client = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(IDLE_S_MAX))
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .http1_max_buf_size(settings.origin_head_bytes_max)
            .http1_max_headers(settings.origin_fields_max)
            .build(connector);
        Self { client, head_timeout_ms: settings.head_timeout_ms, requests }
    }

    /// One attempt that is counted.
    pub(super) async fn send(
        &self,
        uri: &Uri,
        question: Question<'_>,
        body: Option<Upload>,
    ) -> Result<Response<Incoming>, OriginError> {
        self.requests.inc();
        self.attempt(uri, question, body).await
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn attempt(
        &self,
        uri: &Uri,
        question: Question<'_>,
        body: Option<Upload>,
    ) -> Result<Response<Incoming>, OriginError> {
        let progress = Arc::new(Notify::new());
        let body = match body {
            Some(body) => Either::Left(Watched { body, progress: Arc::clone(&progress) }),
            None => Either::Right(Empty::new()),
        };
        let mut request = Request::builder().method(question.method).uri(uri).body(body)?;
        *request.headers_mut() = question.headers;
        if let Some(interim) = question.interim.cloned() {
            hyper::ext::on_informational(&mut request, move |response| {
                interim.note(response.status(), response.headers());
            });
        }
        let response = self.client.request(request);
        tokio::pin!(response);
        loop {
            // The time runs from the last byte of the request that was taken.
            let timeout = tokio::time::sleep(Duration::from_millis(self.head_timeout_ms));
            tokio::select! {
                answered = &mut response => {
                    return answered.map_err(|error| match error.is_connect() {
                        true => OriginError::Connect(error),
                        false if is_head_too_large(&error) => OriginError::HeadTooLarge(error),
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

fn is_head_too_large(error: &legacy::Error) -> bool {
    let cause = std::error::Error::source(error);
    cause.and_then(|cause| cause.downcast_ref()).is_some_and(hyper::Error::is_parse_too_large)
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
