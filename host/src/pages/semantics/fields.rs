//! Reading field values: lists, quoted strings, dates and lengths (RFC 9110 §5.6).
//!
//! # Not here
//! What a field means.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::dates;

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

/// The only line of a field; `None` if there are several, or none.
pub(crate) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next()?;
    lines.next().is_none().then_some(first)
}

/// A date, milliseconds since 1970; `None` if there is not exactly one line, or not a date in it.
/// `now_ms` tells the century of a year of two digits.
pub(crate) fn date_ms(headers: &HeaderMap, name: &HeaderName, now_ms: u64) -> Option<u64> {
    dates::parse(only(headers, name)?.as_bytes(), now_ms)
}

/// A moment as an IMF-fixdate.
pub(crate) fn date_value(unix_ms: u64) -> Option<HeaderValue> {
    HeaderValue::try_from(dates::format(unix_ms)).ok()
}

/// The announced length of a body; `None` if there is none, or lines that contradict each other.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    let mut lengths = headers.get_all(http::header::CONTENT_LENGTH).iter().map(|line| {
        line.to_str().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
    });
    let first: Option<u64> = lengths.next()?;
    lengths.all(|other| other == first).then_some(first).flatten()
}

/// A copy of all lines of a field as one value, which keeps no network buffer alive.
pub(crate) fn combined(headers: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    let mut all = lines.next()?.as_bytes().to_vec();
    for line in lines {
        all.extend_from_slice(b", ");
        all.extend_from_slice(line.as_bytes());
    }
    HeaderValue::from_bytes(&all).ok()
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
    fn two_lines_of_a_date_are_no_date() {
        let mut headers = HeaderMap::new();
        headers.append("expires", "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
        assert_eq!(date_ms(&headers, &http::header::EXPIRES, 0), Some(784_111_777_000));
        headers.append("expires", "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
        assert_eq!(date_ms(&headers, &http::header::EXPIRES, 0), None);
    }

    #[test]
    fn lines_of_one_field_are_one_value() {
        let mut headers = HeaderMap::new();
        headers.append("accept", "a".parse().unwrap());
        headers.append("accept", "b".parse().unwrap());
        assert_eq!(combined(&headers, &http::header::ACCEPT).unwrap(), "a, b");
        assert_eq!(combined(&headers, &http::header::COOKIE), None);
    }
}
