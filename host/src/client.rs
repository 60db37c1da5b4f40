//! A small HTTP client for the demo and the commands: one request, one connection, one answer.
//!
//! # Invariants
//! - Connections are not kept: a server may have been restarted since, and a connection from before
//!   would tell about the old process.
//! - Every request has a time limit and every answer a size limit.
//!
//! # Not here
//! What is asked, and what the answers mean.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::Instant;

/// A cold page of the demo takes about two seconds; a busy machine may be making many of them.
const REQUEST_MS_MAX: u64 = 60_000;

/// The largest value that a server may be configured to keep is of this order.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A request without an answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The parts do not make a request.
    #[error("request is malformed")]
    Request(#[from] http::Error),
    /// Nobody there, or gone before the head of the answer.
    #[error("no answer")]
    Exchange(#[from] hyper_util::client::legacy::Error),
    /// The body broke off or is too large.
    #[error("answer is incomplete: {0}")]
    Body(String),
    /// Not in time.
    #[error("no answer within {REQUEST_MS_MAX} ms")]
    Late,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// From the first byte sent to the last byte received.
    pub took: Duration,
}

impl Answer {
    /// A field's value as text; empty where it is absent or not text.
    pub fn field(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Sends requests; cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    inner: hyper_util::client::legacy::Client<HttpConnector, Full<Bytes>>,
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// A client for HTTP without TLS. It must be made inside a runtime.
    pub fn new() -> Self {
        let inner = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build_http();
        Self { inner }
    }

    /// Asks for a page.
    pub async fn get(&self, url: &str) -> Result<Answer, ClientError> {
        self.send(Request::get(url).body(Full::default())?).await
    }

    /// Posts a form; `fields` is encoded already.
    pub async fn post_form(&self, url: &str, fields: String) -> Result<Answer, ClientError> {
        let request = Request::post(url)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::from(fields))?;
        self.send(request).await
    }

    /// Sends any request and collects the answer. Redirects are not followed.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, ClientError> {
        let start = Instant::now();
        let exchange = async {
            let (head, body) = self.inner.request(request).await?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| ClientError::Body(error.to_string()))?.to_bytes();
            let (status, headers) = (head.status, head.headers);
            Ok(Answer { status, headers, body, took: start.elapsed() })
        };
        tokio::time::timeout(Duration::from_millis(REQUEST_MS_MAX), exchange)
            .await
            .unwrap_or(Err(ClientError::Late))
    }
}

/// Percent-encodes everything that is not unreserved (RFC 3986 §2.3): safe in a path segment and in
/// a form field alike.
pub fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::percent_encode;

    #[test]
    fn a_url_becomes_one_path_segment() {
        assert_eq!(percent_encode("http://h:1/é?a=b c"), "http%3A%2F%2Fh%3A1%2F%C3%A9%3Fa%3Db%20c");
    }
}
