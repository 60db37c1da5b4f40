//! Building answers: heads from memory, `Cache-Status` (RFC 9211), 304, and the server's own pages.

use bytes::Bytes;
use http::header::{
    AGE, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE, DATE, ETAG, EXPIRES,
    LAST_MODIFIED, RETRY_AFTER, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use super::body::Body;
use super::conditional;
use super::fields;
use super::outcome::{Outcome, Reason};
use super::request::Ask;
use crate::model::PageHead;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// When to come again where there is too much to do, seconds.
const RETRY_AFTER_S: u64 = 1;

/// An answer and how it came about.
pub(crate) struct Answer {
    pub(crate) response: Response<Body>,
    pub(crate) outcome: Outcome,
    pub(crate) reason: Option<Reason>,
}

/// A page from memory: head and body of one variant.
#[derive(Clone, Copy)]
pub(crate) struct Page<'a> {
    pub(crate) head: &'a PageHead,
    pub(crate) body: &'a Bytes,
}

/// Answers from memory: the page, or 304 if the client has it.
pub(crate) fn from_memory(ask: &Ask, page: Page<'_>, outcome: Outcome, now_ms: u64) -> Answer {
    let body = match page.body.is_empty() {
        true => Body::Empty,
        false => Body::Whole(Some(page.body.clone())),
    };
    shared(ask, page.head, body, outcome, now_ms)
}

/// Answers with a page that others share, whether its body is there or still arriving.
pub(crate) fn shared(
    ask: &Ask,
    head: &PageHead,
    body: Body,
    outcome: Outcome,
    now_ms: u64,
) -> Answer {
    let is_known =
        head.status.is_success() && conditional::is_not_modified(&ask.headers, &head.headers);
    let (status, mut headers) = match is_known {
        true => (StatusCode::NOT_MODIFIED, not_modified_fields(&head.headers)),
        false => (head.status, head.headers.clone()),
    };
    let age_ms = head.age_ms(now_ms);
    headers.insert(AGE, HeaderValue::from(age_ms / 1000));
    let ttl_s = (head.lifetime_ms as i64 - age_ms as i64) / 1000;
    let text = match outcome {
        Outcome::Stale => format!("wasmcached; hit; ttl={ttl_s}; detail=stale"),
        Outcome::Collapsed => format!("wasmcached; fwd=miss; collapsed; ttl={ttl_s}"),
        Outcome::Revalidated => format!("wasmcached; fwd=stale; fwd-status=304; ttl={ttl_s}"),
        _ => format!("wasmcached; hit; ttl={ttl_s}"),
    };
    add_cache_status(&mut headers, &text);
    let body = if is_known || ask.method == Method::HEAD { Body::Empty } else { body };
    Answer { response: assemble(status, headers, body), outcome, reason: None }
}

/// Answers with what the origin sends, by a fill or past the cache.
pub(crate) fn from_origin(
    ask: &Ask,
    status: StatusCode,
    mut headers: HeaderMap,
    body: Body,
    reason: Option<Reason>,
) -> Answer {
    let text = match reason {
        Some(reason) => format!("wasmcached; fwd={}; detail={reason}", reason.forward()),
        None => "wasmcached; fwd=miss".to_owned(),
    };
    let outcome = match reason {
        Some(_) => Outcome::Pass,
        None => Outcome::Miss,
    };
    let is_known = status == StatusCode::OK
        && matches!(ask.method, Method::GET | Method::HEAD)
        && conditional::is_not_modified(&ask.headers, &headers);
    let (status, body) = match is_known {
        true => {
            headers = not_modified_fields(&headers);
            (StatusCode::NOT_MODIFIED, Body::Empty)
        }
        false => (status, body),
    };
    add_cache_status(&mut headers, &text);
    Answer { response: assemble(status, headers, body), outcome, reason }
}

/// A page of the server's own that tells nothing about what is behind it.
pub(crate) fn own(status: StatusCode, outcome: Outcome, reason: Reason, now_ms: u64) -> Answer {
    let title = status.canonical_reason().unwrap_or("Error");
    let code = status.as_u16();
    let html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>{code} {title}</title>\
         <h1>{title}</h1>\n"
    );
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(html.len()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
    }
    ensure_date(&mut headers, now_ms);
    let text = match outcome {
        Outcome::Failed => format!("wasmcached; fwd=miss; detail={reason}"),
        _ => format!("wasmcached; detail={reason}"),
    };
    add_cache_status(&mut headers, &text);
    let response = assemble(status, headers, Body::Whole(Some(Bytes::from(html))));
    Answer { response, outcome, reason: Some(reason) }
}

/// Notes when a message was received, where its origin did not say when it was made
/// (RFC 9110 §6.6.1).
pub(crate) fn ensure_date(headers: &mut HeaderMap, received_ms: u64) {
    if !headers.contains_key(DATE)
        && let Some(date) = fields::date_value(received_ms)
    {
        headers.insert(DATE, date);
    }
}

/// What a 304 repeats of the head (RFC 9110 §15.4.5).
fn not_modified_fields(stored: &HeaderMap) -> HeaderMap {
    let mut fields = HeaderMap::new();
    let mut copy = |name: HeaderName| {
        for value in stored.get_all(&name) {
            fields.append(name.clone(), value.clone());
        }
    };
    for name in [CACHE_CONTROL, CONTENT_LOCATION, DATE, ETAG, EXPIRES, VARY, CACHE_STATUS] {
        copy(name);
    }
    if !stored.contains_key(ETAG) {
        copy(LAST_MODIFIED);
    }
    fields
}

fn add_cache_status(headers: &mut HeaderMap, text: &str) {
    // Members that caches closer to the origin wrote stay in front (RFC 9211 §2).
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.append(CACHE_STATUS, value);
    }
}

fn assemble(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
