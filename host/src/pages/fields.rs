//! Reading field values: lists, quoted strings, dates and numbers (RFC 9110 §5.6).
//!
//! # Not here
//! What a field means.

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};

/// Members of a comma-separated list, quotes respected; `None` in place of what can't be read: a
/// quoted string without its end.
pub(crate) fn members(text: &str) -> impl Iterator<Item = Option<&str>> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        loop {
            let text = rest?;
            let Some((member, after)) = split_member(text) else {
                rest = None;
                return Some(None);
            };
            rest = after;
            let member = member.trim_matches([' ', '\t']);
            if !member.is_empty() {
                return Some(Some(member));
            }
        }
    })
}

fn split_member(text: &str) -> Option<(&str, Option<&str>)> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => return Some((text.get(..at)?, text.get(at + 1..))),
            _ => {}
        }
    }
    (!is_quoted).then_some((text, None))
}

/// A date in one of the three forms of RFC 9110 §5.6.7, as milliseconds since 1970; `None` if there
/// is not exactly one line, or not a date in it.
pub(crate) fn date_ms(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    let mut lines = headers.get_all(name).iter();
    let (first, second) = (lines.next()?, lines.next());
    if second.is_some() {
        return None;
    }
    let date = httpdate::parse_http_date(first.to_str().ok()?).ok()?;
    u64::try_from(date.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

/// A moment as an IMF-fixdate.
pub(crate) fn date_value(unix_ms: u64) -> Option<HeaderValue> {
    // The format ends with the year 9999, and so does the library, by a panic.
    let unix_ms = unix_ms.min(253_402_300_799_000);
    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(unix_ms));
    HeaderValue::from_str(&date).ok()
}

/// The announced length of a body; `None` if there is none, or lines that contradict each other.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    let mut lengths = headers.get_all(http::header::CONTENT_LENGTH).iter().map(|line| {
        line.to_str().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
    });
    let first: Option<u64> = lengths.next()?;
    lengths.all(|other| other == first).then_some(first).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<Option<&str>> {
        members(text).collect()
    }

    #[test]
    fn commas_inside_quotes_do_not_separate() {
        assert_eq!(list(r#"x="a, b", y"#), [Some(r#"x="a, b""#), Some("y")]);
        assert_eq!(list(r#"x="a\", b", y"#), [Some(r#"x="a\", b""#), Some("y")]);
    }

    #[test]
    fn empty_members_are_left_out() {
        assert_eq!(list(" , a ,,\tb, "), [Some("a"), Some("b")]);
        assert_eq!(list(""), []);
    }

    #[test]
    fn an_unfinished_quoted_string_can_not_be_read() {
        assert_eq!(list(r#"a, x="b, max-age=9"#), [Some("a"), None]);
    }

    #[test]
    fn dates_beyond_the_format_are_cut_to_it() {
        assert_eq!(date_value(u64::MAX).unwrap(), "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn two_lines_of_a_date_are_no_date() {
        let mut headers = HeaderMap::new();
        headers.append("expires", "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
        assert_eq!(date_ms(&headers, &http::header::EXPIRES), Some(784_111_777_000));
        headers.append("expires", "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
        assert_eq!(date_ms(&headers, &http::header::EXPIRES), None);
    }
}
