//! Validators and conditions, on both sides (RFC 9110 §8.8, §13; RFC 9111 §4.3).
//!
//! # Invariants
//! - `If-Match` and `If-Unmodified-Since` are for the origin: a cache ignores them (RFC 9110
//!   §13.1.1, §13.1.4), and a fill does not send them on.

use http::header::{
    DATE, ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
    LAST_MODIFIED, RANGE, SET_COOKIE,
};
use http::{HeaderMap, HeaderValue};

use super::fields;

/// By so much a date of the last change must lie before `Date` to be a strong validator
/// (RFC 9110 §8.8.2.2), milliseconds.
const STRONG_DATE_MS: u64 = 1_000;

/// An entity tag (RFC 9110 §8.8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EntityTag<'a> {
    pub(super) is_weak: bool,
    pub(super) opaque: &'a [u8],
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

/// The entity tag that a value is, whole.
pub(super) fn etag(value: &HeaderValue) -> Option<EntityTag<'_>> {
    let (tag, rest) = entity_tag(value.as_bytes())?;
    rest.is_empty().then_some(tag)
}

pub(super) fn etag_of(headers: &HeaderMap) -> Option<EntityTag<'_>> {
    etag(fields::only(headers, &ETAG)?)
}

/// Whether the client has what is stored: a successful response whose conditions call for 304.
/// `If-None-Match` beats `If-Modified-Since` (§13.2.2); tags are compared weakly (§13.1.2). Without
/// `Last-Modified`, the date of the response counts (RFC 9111 §4.3.2). What sets a cookie is sent
/// whole: the client has the body, but not the cookie.
pub(crate) fn is_not_modified(request: &HeaderMap, stored: &HeaderMap, now_ms: u64) -> bool {
    if stored.contains_key(SET_COOKIE) {
        return false;
    }
    if request.contains_key(IF_NONE_MATCH) {
        let lines = request.get_all(IF_NONE_MATCH).iter().map(HeaderValue::as_bytes);
        return names_current(lines, stored);
    }
    let Some(since_ms) = fields::date_ms(request, &IF_MODIFIED_SINCE, now_ms) else { return false };
    let changed = if stored.contains_key(LAST_MODIFIED) { LAST_MODIFIED } else { DATE };
    fields::date_ms(stored, &changed, now_ms).is_some_and(|changed_ms| changed_ms <= since_ms)
}

/// Whether the client has what is stored, by lines of `If-None-Match`; as [`is_not_modified`].
pub(crate) fn names_current<'a>(
    mut lines: impl Iterator<Item = &'a [u8]>,
    stored: &HeaderMap,
) -> bool {
    let current = etag_of(stored);
    !stored.contains_key(SET_COOKIE) && lines.any(|line| lists(line, current))
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

/// Whether a range may be answered with a part (§13.1.5): without `If-Range`, or with one that
/// strongly is what is stored.
pub(crate) fn allows_range(request: &HeaderMap, stored: &HeaderMap, now_ms: u64) -> bool {
    if !request.contains_key(IF_RANGE) {
        return true;
    }
    let Some(condition) = fields::only(request, &IF_RANGE) else { return false };
    if let Some(wanted) = etag(condition) {
        let is_same = |current: EntityTag<'_>| current == wanted && !current.is_weak;
        return etag_of(stored).is_some_and(is_same);
    }
    // A date is compared for being the very same, and only if it can't have two meanings.
    let modified_ms = fields::date_ms(stored, &LAST_MODIFIED, now_ms);
    let date_ms = fields::date_ms(stored, &DATE, now_ms);
    match (fields::date_ms(request, &IF_RANGE, now_ms), modified_ms, date_ms) {
        (Some(wanted_ms), Some(modified_ms), Some(date_ms)) => {
            wanted_ms == modified_ms && modified_ms + STRONG_DATE_MS <= date_ms
        }
        _ => false,
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
pub(crate) fn has_validator(stored: &HeaderMap, now_ms: u64) -> bool {
    etag_of(stored).is_some() || fields::date_ms(stored, &LAST_MODIFIED, now_ms).is_some()
}

/// Makes a request conditional on what is stored (RFC 9111 §4.3.1).
pub(crate) fn add_validators(request: &mut HeaderMap, stored: &HeaderMap, now_ms: u64) {
    if let (Some(_), Some(tag)) = (etag_of(stored), stored.get(ETAG)) {
        request.insert(IF_NONE_MATCH, tag.clone());
    }
    if let (Some(_), Some(date)) =
        (fields::date_ms(stored, &LAST_MODIFIED, now_ms), stored.get(LAST_MODIFIED))
    {
        request.insert(IF_MODIFIED_SINCE, date.clone());
    }
}

#[cfg(test)]
mod tests;
