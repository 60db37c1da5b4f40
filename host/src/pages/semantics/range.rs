//! Parts of a complete page (RFC 9110 §14): which of its bytes a request is answered with.
//!
//! # Invariants
//! - An answer never has more bytes of the page than the page: ranges that overlap, too many ranges
//!   and what can't be read are answered with all of it, as if nobody had asked for a part (§14.2
//!   allows to ignore the field).
//!
//! # Not here
//! Whether the condition of `If-Range` holds: `conditional`. Partial answers of origins are passed
//! on and never stored.

use std::ops::Range;

use http::header::RANGE;
use http::{HeaderMap, HeaderValue};

use super::fields;

/// Ranges that one request may name; a player asks for one, a viewer of documents for some.
const RANGES_MAX: usize = 16;

/// The bytes of a page that a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of them.
    Whole,
    /// These.
    One(Range<usize>),
    /// These, in the order that the request has them.
    Several(Vec<Range<usize>>),
    /// None that exist: 416.
    Unsatisfiable,
}

/// The part of a page of `bytes` that a GET asks for.
pub(crate) fn part(request: &HeaderMap, bytes: usize) -> Part {
    let specifier = fields::only(request, &RANGE).and_then(|line| line.to_str().ok());
    let Some(ranges) = specifier.and_then(in_bytes) else { return Part::Whole };
    let (mut found, mut named) = (Vec::new(), 0);
    for text in ranges.split(',').map(|text| text.trim_matches([' ', '\t'])) {
        if text.is_empty() {
            continue;
        }
        named += 1;
        match one(text, bytes) {
            Some(Some(range)) if named <= RANGES_MAX => found.push(range),
            Some(None) if named <= RANGES_MAX => {}
            _ => return Part::Whole,
        }
    }
    if named == 0 || overlap(&found) {
        return Part::Whole;
    }
    // There is no way to say that all bytes of nothing are sent.
    match (found.len(), bytes) {
        (0, _) => Part::Unsatisfiable,
        (_, 0) => Part::Whole,
        (1, _) => found.pop().map_or(Part::Whole, Part::One),
        _ => Part::Several(found),
    }
}

/// What follows the unit, if that is bytes; the name of a unit has no case (§14.1).
fn in_bytes(specifier: &str) -> Option<&str> {
    let (unit, ranges) = specifier.split_once('=')?;
    unit.trim().eq_ignore_ascii_case("bytes").then_some(ranges)
}

/// One range of a page; `Some(None)` if it has no byte of it, `None` if it is no range.
fn one(text: &str, bytes: usize) -> Option<Option<Range<usize>>> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (position(first)?, position(last)?);
    Some(match (first, last) {
        (None, None) => return None,
        (Some(first), Some(last)) if last < first => return None,
        (Some(first), _) if first >= bytes => None,
        (Some(first), Some(last)) => Some(first..last.saturating_add(1).min(bytes)),
        (Some(first), None) => Some(first..bytes),
        (None, Some(0)) => None,
        (None, Some(suffix)) => Some(bytes.saturating_sub(suffix)..bytes),
    })
}

/// A number, or that there is none; `None` if it is something else. Larger than any page is as good
/// as the largest.
fn position(text: &str) -> Option<Option<usize>> {
    match text {
        "" => Some(None),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(Some(digits.parse().unwrap_or(usize::MAX)))
        }
        _ => None,
    }
}

fn overlap(ranges: &[Range<usize>]) -> bool {
    let mut sorted: Vec<&Range<usize>> = ranges.iter().collect();
    sorted.sort_by_key(|range| range.start);
    sorted.windows(2).any(|pair| matches!(pair, [one, next] if next.start < one.end))
}

/// `Content-Range` of a part (§14.4).
pub(crate) fn content_range(part: &Range<usize>, bytes: usize) -> Option<HeaderValue> {
    let last = part.end.saturating_sub(1);
    HeaderValue::try_from(format!("bytes {}-{last}/{bytes}", part.start)).ok()
}

/// `Content-Range` of 416 (§15.5.17).
pub(crate) fn unsatisfied_range(bytes: usize) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("bytes */{bytes}")).ok()
}

/// A body of several parts (§14.6).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Multipart {
    /// Its type, with the boundary.
    pub(crate) content_type: HeaderValue,
    /// All of it.
    pub(crate) body: Vec<u8>,
}

/// Puts parts of a body of this type together. `seed` makes the boundary and is not to be foreseen
/// by those who write the page. `None` if a part lies outside the body.
pub(crate) fn multipart(
    body: &[u8],
    parts: &[Range<usize>],
    content_type: Option<&HeaderValue>,
    seed: u64,
) -> Option<Multipart> {
    let boundary = format!("{seed:016x}");
    let mut text = Vec::with_capacity(parts.iter().map(|part| part.len() + 128).sum());
    for part in parts {
        text.extend_from_slice(b"\r\n--");
        text.extend_from_slice(boundary.as_bytes());
        if let Some(content_type) = content_type {
            text.extend_from_slice(b"\r\nContent-Type: ");
            text.extend_from_slice(content_type.as_bytes());
        }
        text.extend_from_slice(b"\r\nContent-Range: ");
        text.extend_from_slice(content_range(part, body.len())?.as_bytes());
        text.extend_from_slice(b"\r\n\r\n");
        text.extend_from_slice(body.get(part.clone())?);
    }
    text.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let content_type = format!("multipart/byteranges; boundary={boundary}");
    Some(Multipart { content_type: HeaderValue::try_from(content_type).ok()?, body: text })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(value: &str, bytes: usize) -> Part {
        let mut request = HeaderMap::new();
        request.insert(RANGE, value.parse().unwrap());
        part(&request, bytes)
    }

    #[test]
    fn one_range_is_one_part() {
        let rows = [
            ("bytes=0-4", 0..5),
            ("bytes=5-", 5..10),
            ("bytes=-3", 7..10),
            ("bytes=-30", 0..10),
            ("bytes=8-99", 8..10),
            ("BYTES=9-9", 9..10),
            ("bytes= 1-2 , ", 1..3),
            ("bytes=0-99999999999999999999999", 0..10),
            ("bytes=0-0, 50-60", 0..1),
        ];
        for (value, wanted) in rows {
            assert_eq!(of(value, 10), Part::One(wanted), "{value}");
        }
    }

    #[test]
    fn several_ranges_keep_their_order() {
        assert_eq!(of("bytes=8-9, 0-1", 10), Part::Several(vec![8..10, 0..2]));
        assert_eq!(of("bytes=0-1,-2,20-30", 10), Part::Several(vec![0..2, 8..10]));
    }

    #[test]
    fn a_range_behind_the_end_is_unsatisfiable() {
        for value in ["bytes=10-", "bytes=10-20, 30-", "bytes=-0", "bytes=99999999999999999999-"] {
            assert_eq!(of(value, 10), Part::Unsatisfiable, "{value}");
        }
        assert_eq!(of("bytes=0-", 0), Part::Unsatisfiable);
        assert_eq!(of("bytes=-5", 0), Part::Whole);
    }

    #[test]
    fn what_is_no_range_is_answered_with_all_of_it() {
        for value in [
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=4-2",
            "bytes=+1-2",
            "bytes=1-2-3",
            "items=0-1",
            "0-1",
            "bytes=0-1;2-3",
            "bytes=0x1-2",
        ] {
            assert_eq!(of(value, 10), Part::Whole, "{value}");
        }
        let mut twice = HeaderMap::new();
        twice.append(RANGE, "bytes=0-1".parse().unwrap());
        twice.append(RANGE, "bytes=2-3".parse().unwrap());
        assert_eq!(part(&twice, 10), Part::Whole);
        assert_eq!(part(&HeaderMap::new(), 10), Part::Whole);
    }

    #[test]
    fn many_or_overlapping_ranges_are_answered_with_all_of_it() {
        assert_eq!(of("bytes=0-5, 3-8", 10), Part::Whole);
        assert_eq!(of("bytes=0-,0-,0-", 10), Part::Whole);
        let ranges: Vec<String> =
            (0..=RANGES_MAX).map(|n| format!("{}-{}", n * 2, n * 2)).collect();
        assert_eq!(of(&format!("bytes={}", ranges.join(",")), 1000), Part::Whole);
        let few = ranges[..RANGES_MAX].join(",");
        assert!(matches!(of(&format!("bytes={few}"), 1000), Part::Several(all) if all.len() == 16));
    }

    #[test]
    fn parts_are_put_together_with_their_places() {
        let html = HeaderValue::from_static("text/html");
        let made = multipart(b"0123456789", &[0..2, 8..10], Some(&html), 0xabc).unwrap();
        assert_eq!(made.content_type, "multipart/byteranges; boundary=0000000000000abc");
        assert_eq!(
            String::from_utf8(made.body).unwrap(),
            "\r\n--0000000000000abc\r\nContent-Type: text/html\r\nContent-Range: bytes 0-1/10\
             \r\n\r\n01\r\n--0000000000000abc\r\nContent-Type: text/html\r\nContent-Range: bytes \
             8-9/10\r\n\r\n89\r\n--0000000000000abc--\r\n"
        );
        assert_eq!(multipart(b"0", &[0..1, 3..4], None, 0), None);
        assert_eq!(unsatisfied_range(10).unwrap(), "bytes */10");
    }

    proptest! {
        #[test]
        fn parts_lie_within_the_page_and_do_not_overlap(
            value in "bytes=([0-9]{0,3}-[0-9]{0,3},){0,6}[0-9]{0,3}-[0-9]{0,3}",
            bytes in 0..300_usize,
        ) {
            let parts = match of(&value, bytes) {
                Part::One(range) => vec![range],
                Part::Several(ranges) => ranges,
                Part::Whole | Part::Unsatisfiable => Vec::new(),
            };
            prop_assert!(parts.iter().all(|range| range.start < range.end && range.end <= bytes));
            prop_assert!(parts.iter().map(Range::len).sum::<usize>() <= bytes);
        }
    }
}
