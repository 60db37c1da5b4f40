//! A page's address as `request.build_absolute_uri()` returns it.
//!
//! # Invariants
//! - The result is ASCII.
//!
//! # Not here
//! Host names that are not ASCII: browsers send them as Punycode.

use crate::percent;

/// Besides letters, digits and `_.-~`: what `escape_uri_path` leaves as it is.
const PATH_SAFE: &str = "/:@&+$,!*'()";
/// The same of `iri_to_uri`, through which the query goes.
const QUERY_SAFE: &str = "/#%[]=:;$&()+,!?*@'";

/// The address of a path that is not percent-encoded yet, as views see it in `request.path`, on an
/// origin such as `https://example.org:8000`. The query is taken as the visitor sends it.
///
/// ```
/// use wasmcached_plugin::django::absolute_uri;
/// let url = absolute_uri("http://ex.org:8000", "/p/é/", Some("b=2&a=1"));
/// assert_eq!(url, "http://ex.org:8000/p/%C3%A9/?b=2&a=1");
/// ```
pub fn absolute_uri(origin: &str, path: &str, query: Option<&str>) -> String {
    let mut uri = origin.to_owned();
    push_quoted(path, PATH_SAFE, &mut uri);
    // An empty query is none: Django has lost the question mark by then.
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        uri.push('?');
        push_quoted(query, QUERY_SAFE, &mut uri);
    }
    uri
}

/// A value as it stands in a query: percent-encoded but for letters, digits and `_.-~`, as by
/// Django's filter `urlencode` with nothing safe. A browser's form writes `+` for a space instead.
pub fn quote(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len());
    push_quoted(value, "", &mut quoted);
    quoted
}

/// Python's `urllib.parse.quote`.
fn push_quoted(text: &str, safe: &str, into: &mut String) {
    percent::push(into, text, |byte| {
        byte.is_ascii_alphanumeric() || b"_.-~".contains(&byte) || safe.as_bytes().contains(&byte)
    });
}
