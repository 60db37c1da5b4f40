//! Conditions of clients and what they are answered with.

use super::*;
use crate::pages::tests::headers;

const NOW: u64 = 784_111_777_000;
const OLD: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const NEW: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

fn has_it(request: &[(&'static str, &str)], stored: &HeaderMap) -> bool {
    is_not_modified(&headers(request), stored, NOW)
}

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
        assert_eq!(has_it(&[("if-none-match", condition)], &stored), wanted, "{condition}");
    }
    let lines = [("if-none-match", r#""x""#), ("if-none-match", r#""a,b\""#)];
    assert!(has_it(&lines, &stored));
}

#[test]
fn a_tag_beats_a_date() {
    let stored = headers(&[("etag", r#""a""#), ("last-modified", OLD)]);
    assert!(!has_it(&[("if-none-match", r#""b""#), ("if-modified-since", NEW)], &stored));
    assert!(has_it(&[("if-none-match", r#""a""#), ("if-modified-since", "x")], &stored));
}

#[test]
fn dates_are_compared_as_times() {
    let stored = headers(&[("last-modified", OLD)]);
    let rows = [(OLD, true), (NEW, true), ("Sunday, 06-Nov-94 08:49:37 GMT", true), ("x", false)];
    for (since, wanted) in rows {
        assert_eq!(has_it(&[("if-modified-since", since)], &stored), wanted, "{since}");
    }
    let stored = headers(&[("last-modified", NEW)]);
    assert!(!has_it(&[("if-modified-since", OLD)], &stored));
}

#[test]
fn without_a_date_of_change_the_date_of_the_response_counts() {
    let stored = headers(&[("date", OLD)]);
    assert!(has_it(&[("if-modified-since", NEW)], &stored));
    assert!(!has_it(&[("if-modified-since", OLD)], &headers(&[("date", NEW)])));
    let unreadable = headers(&[("date", OLD), ("last-modified", "x")]);
    assert!(!has_it(&[("if-modified-since", NEW)], &unreadable));
}

#[test]
fn what_sets_a_cookie_is_sent_whole() {
    let stored = headers(&[("etag", r#""a""#), ("set-cookie", "a=b")]);
    assert!(!has_it(&[("if-none-match", r#""a""#)], &stored));
}

#[test]
fn a_part_is_given_only_of_what_the_client_strongly_has() {
    let stored = headers(&[("etag", r#""a""#), ("last-modified", OLD), ("date", NEW)]);
    let rows = [
        (r#""a""#, true),
        (r#"W/"a""#, false),
        (r#""b""#, false),
        (OLD, true),
        ("Sunday, 06-Nov-94 08:49:37 GMT", true),
        (NEW, false),
        ("x", false),
        (r#""a", "b""#, false),
    ];
    for (condition, wanted) in rows {
        let found = allows_range(&headers(&[("if-range", condition)]), &stored, NOW);
        assert_eq!(found, wanted, "{condition}");
    }
    assert!(allows_range(&headers(&[]), &stored, NOW));
    let weak = headers(&[("etag", r#"W/"a""#)]);
    assert!(!allows_range(&headers(&[("if-range", r#"W/"a""#)]), &weak, NOW));
    let young = headers(&[("last-modified", OLD), ("date", OLD)]);
    assert!(!allows_range(&headers(&[("if-range", OLD)]), &young, NOW), "may change once more");
    let twice = headers(&[("if-range", r#""a""#), ("if-range", r#""a""#)]);
    assert!(!allows_range(&twice, &stored, NOW));
}

#[test]
fn only_validators_that_can_be_read_are_sent() {
    let mut request = HeaderMap::new();
    let odd = headers(&[("etag", "bare"), ("last-modified", "never")]);
    add_validators(&mut request, &odd, NOW);
    assert!(request.is_empty());
    assert!(!has_validator(&odd, NOW));
    let twice = headers(&[("etag", r#""a""#), ("etag", r#""b""#)]);
    assert!(!has_validator(&twice, NOW));
}

#[test]
fn a_fill_asks_for_all_of_it() {
    let mut request = headers(&[
        ("if-match", "*"),
        ("if-none-match", "*"),
        ("if-modified-since", OLD),
        ("if-unmodified-since", OLD),
        ("if-range", OLD),
        ("range", "bytes=0-1"),
        ("accept", "*/*"),
    ]);
    remove_conditions(&mut request);
    assert_eq!(request.keys().collect::<Vec<_>>(), ["accept"]);
}
