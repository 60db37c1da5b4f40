//! Validators and conditions, on both sides (RFC 9110 §8.8, §13; RFC 9111 §4.3).

use http::HeaderMap;
use http::header::{
    ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED,
    RANGE, SET_COOKIE,
};

use super::fields;

/// An entity tag (RFC 9110 §8.8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct EntityTag<'a> {
    is_weak: bool,
    opaque: &'a [u8],
}

/// Reads one entity tag; returns it and what follows. A backslash is an ordinary character in it.
fn entity_tag(bytes: &[u8]) -> Option<(EntityTag<'_>, &[u8])> {
    let (is_weak, quoted) = match bytes.strip_prefix(b"W/") {
        Some(quoted) => (true, quoted),
        None => (false, bytes),
    };
    let inside = quoted.strip_prefix(b"\"")?;
    let end = inside.iter().position(|byte| *byte == b'"')?;
    let (opaque, rest) = inside.split_at_checked(end)?;
    Some((EntityTag { is_weak, opaque }, rest.get(1..)?))
}

fn etag_of(headers: &HeaderMap) -> Option<EntityTag<'_>> {
    let (tag, rest) = entity_tag(headers.get(ETAG)?.as_bytes())?;
    rest.is_empty().then_some(tag)
}

/// Whether the client has what is stored: a successful response whose conditions call for 304.
/// `If-None-Match` beats `If-Modified-Since` (§13.2.2); tags are compared weakly (§13.1.2).
/// What sets a cookie is sent whole: the client has the body, but not the cookie.
pub(crate) fn is_not_modified(request: &HeaderMap, stored: &HeaderMap) -> bool {
    if stored.contains_key(SET_COOKIE) {
        return false;
    }
    if request.contains_key(IF_NONE_MATCH) {
        let current = etag_of(stored);
        return request.get_all(IF_NONE_MATCH).iter().any(|line| lists(line.as_bytes(), current));
    }
    let since_ms = fields::date_ms(request, &IF_MODIFIED_SINCE);
    let modified_ms = fields::date_ms(stored, &LAST_MODIFIED);
    matches!((since_ms, modified_ms), (Some(since), Some(modified)) if modified <= since)
}

/// Whether a line of `If-None-Match` names the current tag.
fn lists(line: &[u8], current: Option<EntityTag<'_>>) -> bool {
    if line.trim_ascii() == b"*" {
        return true;
    }
    let Some(current) = current else { return false };
    let mut rest = line;
    loop {
        let gap = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b',')).count();
        rest = rest.get(gap..).unwrap_or_default();
        match entity_tag(rest) {
            Some((tag, _)) if tag.opaque == current.opaque => return true,
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
}

/// Takes out of a request what asks for less than the whole representation: a fill wants all of it
/// (RFC 9111 §4.3.2).
pub(crate) fn remove_conditions(request: &mut HeaderMap) {
    let conditions =
        [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE, RANGE];
    for name in conditions {
        request.remove(name);
    }
}

/// Whether what is stored can be asked about instead of fetched again.
pub(crate) fn has_validator(stored: &HeaderMap) -> bool {
    etag_of(stored).is_some() || fields::date_ms(stored, &LAST_MODIFIED).is_some()
}

/// Makes a request conditional on what is stored (RFC 9111 §4.3.1).
pub(crate) fn add_validators(request: &mut HeaderMap, stored: &HeaderMap) {
    if let (Some(_), Some(tag)) = (etag_of(stored), stored.get(ETAG)) {
        request.insert(IF_NONE_MATCH, tag.clone());
    }
    if let (Some(_), Some(date)) =
        (fields::date_ms(stored, &LAST_MODIFIED), stored.get(LAST_MODIFIED))
    {
        request.insert(IF_MODIFIED_SINCE, date.clone());
    }
}

/// Whether a 304 speaks of what is stored (RFC 9111 §4.3.4): by strong tag, then weak tag, then
/// date; without any, by there having been one to ask about.
pub(crate) fn confirms(not_modified: &HeaderMap, stored: &HeaderMap) -> bool {
    if not_modified.contains_key(ETAG) {
        return match (etag_of(not_modified), etag_of(stored)) {
            (Some(new), Some(old)) => new.opaque == old.opaque && (new.is_weak || !old.is_weak),
            _ => false,
        };
    }
    match not_modified.get(LAST_MODIFIED) {
        Some(date) => stored.get(LAST_MODIFIED) == Some(date),
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    const OLD: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const NEW: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    #[test]
    fn tags_of_clients_are_compared_weakly_and_as_lists() {
        let stored = headers(&[("etag", r#"W/"a,\"b"#)]);
        assert!(etag_of(&stored).is_none(), "what follows the tag spoils it");
        let stored = headers(&[("etag", r#"W/"a,b\""#)]);
        let rows = [
            (r#""a,b\""#, true),
            (r#"W/"a,b\""#, true),
            (r#""x", "a,b\""#, true),
            (r#""x","y""#, false),
            ("*", true),
            (r#""a"#, false),
            ("a,b", false),
            ("", false),
        ];
        for (condition, wanted) in rows {
            let request = headers(&[("if-none-match", condition)]);
            assert_eq!(is_not_modified(&request, &stored), wanted, "{condition}");
        }
        let second_line = headers(&[("if-none-match", r#""x""#), ("if-none-match", r#""a,b\""#)]);
        assert!(is_not_modified(&second_line, &stored));
    }

    #[test]
    fn a_tag_beats_a_date() {
        let stored = headers(&[("etag", r#""a""#), ("last-modified", OLD)]);
        let request = headers(&[("if-none-match", r#""b""#), ("if-modified-since", NEW)]);
        assert!(!is_not_modified(&request, &stored));
    }

    #[test]
    fn dates_are_compared_as_times() {
        let stored = headers(&[("last-modified", OLD)]);
        for (since, wanted) in [(OLD, true), (NEW, true), ("x", false)] {
            let request = headers(&[("if-modified-since", since)]);
            assert_eq!(is_not_modified(&request, &stored), wanted, "{since}");
        }
        let stored = headers(&[("last-modified", NEW)]);
        assert!(!is_not_modified(&headers(&[("if-modified-since", OLD)]), &stored));
    }

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
    fn only_validators_that_can_be_read_are_sent() {
        let mut request = HeaderMap::new();
        add_validators(&mut request, &headers(&[("etag", "bare"), ("last-modified", "never")]));
        assert!(request.is_empty());
        assert!(!has_validator(&headers(&[("etag", "bare")])));
    }
}
