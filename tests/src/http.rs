//! An HTTP client that follows nothing, keeps nothing and takes every status as an answer.

use ureq::Agent;
use ureq::http::{HeaderMap, Request};

use crate::wait::{LIMIT, eventually};

/// Larger than any value that the suites store.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status code.
    pub status: u16,
    /// Its fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in the body `{}`", self.text()))
    }

    /// A field's value; empty where it is absent.
    pub fn field(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Whether the page cache says that it had the page (RFC 9211 §2.1).
    pub fn is_hit(&self) -> bool {
        self.field("cache-status").split(';').any(|part| part.trim() == "hit")
    }
}

/// `GET url`.
#[track_caller]
pub fn get(url: &str) -> Answer {
    send("GET", url, &[], b"")
}

/// `GET` of a page that the database has, and memory need not: a look-up there that a busy machine
/// holds up is answered as a miss. No origin is asked (RFC 9111 §5.2.1.7).
#[track_caller]
pub fn get_kept(url: &str) -> Answer {
    let mut found = None;
    eventually(&format!("{url} is found"), || {
        let answer = send("GET", url, &[("cache-control", "only-if-cached")], b"");
        found = (answer.status != 504).then_some(answer);
        found.is_some()
    });
    found.expect("an answer")
}

/// `POST url` with a JSON body.
#[track_caller]
pub fn post_json(url: &str, body: &serde_json::Value) -> Answer {
    send("POST", url, &[("content-type", "application/json")], body.to_string().as_bytes())
}

/// Any request; panics where there is no answer.
#[track_caller]
pub fn send(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    try_send(method, url, headers, body).unwrap_or_else(|error| panic!("{method} {url}: {error}"))
}

/// Any request, where no answer is an answer too.
pub fn try_send(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer, ureq::Error> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut answer = if body.is_empty() && method != "POST" && method != "PUT" {
        agent().run(request.body(())?)?
    } else {
        agent().run(request.body(body)?)?
    };
    let limited = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
    let body = limited.read_to_vec()?;
    Ok(Answer { status: answer.status().as_u16(), headers: answer.headers().clone(), body })
}

fn agent() -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_idle_connections(0)
        .timeout_global(Some(LIMIT));
    config.build().into()
}

/// Percent-encodes everything that is not unreserved (RFC 3986 §2.3).
pub fn percent_encode(text: &str) -> String {
    let mut encoded = String::new();
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
