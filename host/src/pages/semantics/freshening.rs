//! What an answer to a conditional request, or to HEAD, says about the page that is stored
//! (RFC 9111 §3.2, §4.3.4, §4.3.5).
//!
//! # Invariants
//! - A page is made fresh only by an answer that speaks of it, by the strongest validator there is.
//! - What describes the body that is kept stays; every other field becomes what the answer says.

use http::header::{AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, StatusCode};

use super::{conditional, fields};
use crate::model::PageHead;

/// Whether a 304 speaks of what is stored: by strong tag, then weak tag, then date. One without any
/// validator is believed: it answers a question about this very page.
pub(crate) fn confirms(not_modified: &HeaderMap, stored: &HeaderMap) -> bool {
    if not_modified.contains_key(ETAG) {
        return match (conditional::etag_of(not_modified), conditional::etag_of(stored)) {
            (Some(new), Some(old)) => new.opaque == old.opaque && (new.is_weak || !old.is_weak),
            _ => false,
        };
    }
    match not_modified.get(LAST_MODIFIED) {
        Some(date) => stored.get(LAST_MODIFIED) == Some(date),
        None => true,
    }
}

/// The fields of a page after an answer that confirms it: those of the answer replace those that
/// are stored and are added to them; the age that was stored is over.
pub(crate) fn merged(stored: &HeaderMap, update: &HeaderMap) -> HeaderMap {
    let mut headers = stored.clone();
    headers.remove(AGE);
    for name in update.keys().filter(|name| !is_of_the_body(name)) {
        headers.remove(name);
        for value in update.get_all(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    headers
}

/// Fields that describe the body that is kept, not the answer without one (§3.2).
fn is_of_the_body(name: &HeaderName) -> bool {
    [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_RANGE].contains(name)
}

/// What an answer to HEAD says about the stored answer to GET.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadSays {
    /// It is still the same.
    Same,
    /// It is another one: what is stored is stale.
    Another,
    /// Nothing.
    Nothing,
}

/// §4.3.5: a 200 whose validators and length, as far as it has them, are those that are stored
/// speaks of the same; any other 200 does not.
pub(crate) fn head_says(stored: &PageHead, status: StatusCode, headers: &HeaderMap) -> HeadSays {
    if status != StatusCode::OK || stored.status != StatusCode::OK {
        return HeadSays::Nothing;
    }
    let is_same = |name: &HeaderName| match headers.get(name) {
        Some(value) => stored.headers.get(name) == Some(value),
        None => true,
    };
    let is_same_length = match fields::content_length(headers) {
        Some(bytes) => fields::content_length(&stored.headers) == Some(bytes),
        None => true,
    };
    let is_named = headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED);
    match is_same(&ETAG) && is_same(&LAST_MODIFIED) && is_same_length {
        true if is_named => HeadSays::Same,
        // Nothing says otherwise, but nothing says so either.
        true => HeadSays::Nothing,
        false => HeadSays::Another,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Staleness;
    use crate::pages::tests::headers;

    const OLD: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const NEW: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    #[test]
    fn a_304_with_another_validator_confirms_nothing() {
        let stored = headers(&[("etag", r#""a""#), ("last-modified", OLD)]);
        assert!(confirms(&headers(&[("etag", r#""a""#)]), &stored));
        assert!(confirms(&headers(&[("etag", r#"W/"a""#)]), &stored));
        assert!(!confirms(&headers(&[("etag", r#""b""#), ("last-modified", OLD)]), &stored));
        assert!(!confirms(&headers(&[("last-modified", NEW)]), &stored));
        assert!(confirms(&headers(&[]), &stored));
        let weak = headers(&[("etag", r#"W/"a""#)]);
        assert!(!confirms(&headers(&[("etag", r#""a""#)]), &weak));
    }

    #[test]
    fn a_304_replaces_and_adds_all_fields_but_those_of_the_body() {
        let stored = headers(&[
            ("link", "a"),
            ("link", "b"),
            ("content-length", "5"),
            ("content-encoding", "gzip"),
            ("age", "9"),
            ("x-kept", "1"),
        ]);
        let update = headers(&[
            ("link", "c"),
            ("link", "d"),
            ("content-length", "0"),
            ("content-encoding", "br"),
            ("content-range", "bytes 0-1/2"),
            ("x-new", "2"),
        ]);
        let merged = merged(&stored, &update);
        let of = |name: &str| merged.get_all(name).iter().cloned().collect::<Vec<_>>();
        assert_eq!(of("link"), ["c", "d"]);
        assert_eq!(of("x-new"), ["2"]);
        assert_eq!(of("x-kept"), ["1"]);
        assert_eq!(of("content-length"), ["5"]);
        assert_eq!(of("content-encoding"), ["gzip"]);
        assert!(of("content-range").is_empty() && of("age").is_empty());
    }

    #[test]
    fn head_says_whether_the_stored_page_is_still_the_same() {
        let stored = PageHead {
            url: "http://a/".into(),
            site: "a".into(),
            status: StatusCode::OK,
            headers: headers(&[("etag", r#""a""#), ("content-length", "5")]),
            vary: Vec::new(),
            received_ms: 0,
            initial_age_ms: 0,
            lifetime_ms: 0,
            stale_while_revalidate_ms: 0,
            stale_if_error_ms: 0,
            staleness: Staleness::Allowed,
            plugin: None,
            block: std::sync::OnceLock::new(),
        };
        let says = |status: u16, fields: &[(&'static str, &str)]| {
            head_says(&stored, StatusCode::from_u16(status).unwrap(), &headers(fields))
        };
        assert_eq!(says(200, &[("etag", r#""a""#), ("content-length", "5")]), HeadSays::Same);
        assert_eq!(says(200, &[]), HeadSays::Nothing);
        assert_eq!(says(200, &[("etag", r#""b""#)]), HeadSays::Another);
        assert_eq!(says(200, &[("content-length", "6")]), HeadSays::Another);
        assert_eq!(says(200, &[("last-modified", OLD)]), HeadSays::Another);
        assert_eq!(says(503, &[("etag", r#""b""#)]), HeadSays::Nothing);
    }
}
