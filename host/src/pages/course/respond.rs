//! Building answers: heads from memory, `Cache-Status` (RFC 9211), 304, and the server's own pages.

use bytes::Bytes;
use http::header::{
    AGE, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG,
    EXPIRES, LAST_MODIFIED, RETRY_AFTER, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use super::body::Body;
use super::request::{Ask, Lookup};
use crate::model::{Key, PageHead};
use crate::pages::outcome::{Outcome, Reason};
use crate::pages::semantics::cache_status::{CACHE_STATUS, CacheStatus, Fate, Forward, Way};
use crate::pages::semantics::range::{self, Part};
use crate::pages::semantics::{conditional, fields, reuse};

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

/// Answers from memory: the page, a part of it, or 304 if the client has it.
pub(crate) fn from_memory(ask: &Ask, page: Page<'_>, outcome: Outcome, now_ms: u64) -> Answer {
    finished(ask, page.head, selected(ask, page, now_ms), outcome, now_ms)
}

/// Answers from memory with an item under this key, of whose time so much is left, seconds.
pub(crate) fn from_item(
    ask: &Ask,
    page: Page<'_>,
    key: &Key,
    ttl_s: Option<i64>,
    now_ms: u64,
) -> Answer {
    let (status, mut headers, body) = selected(ask, page, now_ms);
    // Not before: a date would be taken for that of the last change.
    ensure_date(&mut headers, now_ms);
    let detail = match status {
        StatusCode::RANGE_NOT_SATISFIABLE => Reason::RangeUnsatisfiable,
        _ => Reason::Item,
    };
    let key = ask.site.rules.shows_keys.then(|| key.as_bytes());
    let status_field = CacheStatus { way: Way::Hit, ttl_s, key, detail: Some(detail) };
    add_cache_status(&mut headers, status_field);
    let body = if ask.method == Method::HEAD { Body::Empty } else { body };
    Answer { response: assemble(status, headers, body), outcome: Outcome::Item, reason: None }
}

/// Answers with a page that is still arriving, or 304 if the client has it, to one
/// that was missed for this reason.
pub(crate) fn arriving(
    ask: &Ask,
    head: &PageHead,
    body: Body,
    why: Forward,
    now_ms: u64,
) -> Answer {
    let is_known = head.status.is_success()
        && conditional::is_not_modified(&ask.headers, &head.headers, now_ms);
    let selected = match is_known {
        true => (StatusCode::NOT_MODIFIED, not_modified_fields(&head.headers), Body::Empty),
        false => (head.status, head.headers.clone(), body),
    };
    finished(ask, head, selected, Outcome::Collapsed(why), now_ms)
}

/// Says of an answer how old it is and how it came about.
fn finished(
    ask: &Ask,
    head: &PageHead,
    (status, mut headers, body): (StatusCode, HeaderMap, Body),
    outcome: Outcome,
    now_ms: u64,
) -> Answer {
    headers.insert(AGE, HeaderValue::from(head.age_ms(now_ms) / 1000));
    let forwarded = |why, origin, fate| Way::Forwarded { why, origin, fate };
    let (way, detail) = match outcome {
        Outcome::Stale => (Way::Hit, Some(Reason::Refreshing)),
        Outcome::StaleIfError => {
            (forwarded(Forward::Stale, None, Fate::Passed), Some(Reason::StaleIfError))
        }
        Outcome::Collapsed(why) => (forwarded(why, None, Fate::Collapsed), None),
        Outcome::Revalidated => {
            let origin = Some(StatusCode::NOT_MODIFIED);
            (forwarded(Forward::Stale, origin, Fate::Passed), None)
        }
        _ => (Way::Hit, None),
    };
    let detail = match status {
        StatusCode::RANGE_NOT_SATISFIABLE => Some(Reason::RangeUnsatisfiable),
        _ => detail,
    };
    let ttl_s = Some(reuse::ttl_s(head, now_ms));
    add_cache_status(&mut headers, CacheStatus { way, ttl_s, key: shown_key(ask), detail });
    let body = if ask.method == Method::HEAD { Body::Empty } else { body };
    Answer { response: assemble(status, headers, body), outcome, reason: None }
}

/// Status, fields and body of what a request selects of a page (RFC 9110 §13.2.2, §14.2).
fn selected(ask: &Ask, page: Page<'_>, now_ms: u64) -> (StatusCode, HeaderMap, Body) {
    let head = page.head;
    if head.status.is_success() && conditional::is_not_modified(&ask.headers, &head.headers, now_ms)
    {
        return (StatusCode::NOT_MODIFIED, not_modified_fields(&head.headers), Body::Empty);
    }
    let has_parts = ask.method == Method::GET
        && head.status == StatusCode::OK
        && conditional::allows_range(&ask.headers, &head.headers, now_ms);
    let bytes = page.body.len();
    let part = if has_parts { range::part(&ask.headers, bytes) } else { Part::Whole };
    partial(page, part).unwrap_or_else(|| {
        let body = match page.body.is_empty() {
            true => Body::Empty,
            false => Body::Whole(Some(page.body.clone())),
        };
        (head.status, head.headers.clone(), body)
    })
}

/// What a part of a page is answered as; `None` for all of it.
fn partial(page: Page<'_>, part: Part) -> Option<(StatusCode, HeaderMap, Body)> {
    let bytes = page.body.len();
    let mut headers = page.head.headers.clone();
    let (status, body) = match part {
        Part::Whole => return None,
        Part::One(part) => {
            headers.insert(CONTENT_RANGE, range::content_range(&part, bytes)?);
            (StatusCode::PARTIAL_CONTENT, page.body.slice(part))
        }
        Part::Several(parts) => {
            // Not to be foreseen by those who write pages.
            let state = foldhash::fast::RandomState::default();
            let seed = std::hash::BuildHasher::hash_one(&state, page.body.as_ptr() as usize);
            let made =
                range::multipart(page.body, &parts, page.head.headers.get(CONTENT_TYPE), seed)?;
            headers.insert(CONTENT_TYPE, made.content_type);
            (StatusCode::PARTIAL_CONTENT, Bytes::from(made.body))
        }
        Part::Unsatisfiable => {
            headers = HeaderMap::new();
            headers.extend(page.head.headers.get(DATE).map(|date| (DATE, date.clone())));
            headers.insert(CONTENT_RANGE, range::unsatisfied_range(bytes)?);
            (StatusCode::RANGE_NOT_SATISFIABLE, Bytes::new())
        }
    };
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let body = if body.is_empty() { Body::Empty } else { Body::Whole(Some(body)) };
    Some((status, headers, body))
}

/// Answers with what the origin sends: past the cache, or by a fill for a request that missed the
/// page for the reason `missed`; `reason` is why it is not stored.
pub(crate) fn from_origin(
    ask: &Ask,
    status: StatusCode,
    mut headers: HeaderMap,
    body: Body,
    (missed, reason): (Option<Forward>, Option<Reason>),
    now_ms: u64,
) -> Answer {
    let origin_status = status;
    let is_known = status == StatusCode::OK
        && matches!(ask.method, Method::GET | Method::HEAD)
        && conditional::is_not_modified(&ask.headers, &headers, now_ms);
    let (status, body) = match is_known {
        true => {
            headers = not_modified_fields(&headers);
            (StatusCode::NOT_MODIFIED, Body::Empty)
        }
        false => (status, body),
    };
    let outcome = if reason.is_some() { Outcome::Pass } else { Outcome::Miss };
    let why = missed.or_else(|| reason.map(Forward::because_of)).unwrap_or(Forward::Miss);
    // A policy may still refuse it.
    let fate = match reason.is_none() && ask.policy.is_none() {
        true => Fate::Stored,
        false => Fate::Passed,
    };
    let way = Way::Forwarded { why, origin: is_known.then_some(origin_status), fate };
    let key = shown_key(ask);
    add_cache_status(&mut headers, CacheStatus { way, ttl_s: None, key, detail: reason });
    Answer { response: assemble(status, headers, body), outcome, reason }
}

/// The key of a request, where its site shows it.
fn shown_key(ask: &Ask) -> Option<&[u8]> {
    match &ask.lookup {
        Lookup::Under(key) if ask.site.rules.shows_keys => Some(key.as_bytes()),
        Lookup::Under(_) | Lookup::Not(_) => None,
    }
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
    let way = match outcome {
        Outcome::Failed => Way::Forwarded { why: Forward::Miss, origin: None, fate: Fate::Passed },
        _ => Way::Own,
    };
    let detail = Some(reason);
    add_cache_status(&mut headers, CacheStatus { way, ttl_s: None, key: None, detail });
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
pub(crate) fn not_modified_lines(
    stored: &HeaderMap,
) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    const NAMES: [HeaderName; 7] =
        [CACHE_CONTROL, CONTENT_LOCATION, DATE, ETAG, EXPIRES, VARY, CACHE_STATUS];
    let dates_count = !stored.contains_key(ETAG);
    let is_repeated =
        move |name: &HeaderName| NAMES.contains(name) || (dates_count && name == LAST_MODIFIED);
    stored.iter().filter(move |(name, _)| is_repeated(name))
}

fn not_modified_fields(stored: &HeaderMap) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in not_modified_lines(stored) {
        fields.append(name, value.clone());
    }
    fields
}

fn add_cache_status(headers: &mut HeaderMap, status: CacheStatus<'_>) {
    // Members that caches closer to the origin wrote stay in front (RFC 9211 §2).
    if let Some(value) = status.value() {
        headers.append(CACHE_STATUS, value);
    }
}

fn assemble(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
