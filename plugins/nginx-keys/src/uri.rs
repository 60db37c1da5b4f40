//! nginx's `$uri` of a path, and the key that nginx asks a memcached server for.
//!
//! nginx decodes a path before it compares it, and escapes the key that it sends
//! (`ngx_http_memcached_module`: control characters, spaces and percent signs).
//!
//! # Invariants
//! - One path has one key, and one key has one path: of all ways to spell a path only the one that
//!   browsers and frameworks send has a key here. A visitor who writes it in another way, which
//!   the origin may read in another way, gets a page that nginx never asks for.
//!
//! # Not here
//! Queries: `$uri` has none.

use wasmcached_plugin::percent::encode_path;

/// Longest key of the memcached protocol (protocol.txt, "Keys"), bytes.
const KEY_BYTES_MAX: usize = 250;

/// nginx's `$uri` of a path as sent; `None` of one that is written in another than the usual way.
pub(crate) fn uri_of(path: &str) -> Option<String> {
    let uri = decoded(path)?;
    (is_plain(&uri) && encode_path(&uri) == path).then_some(uri)
}

/// What nginx asks for; `None` of a `$uri` that it never has, or whose key is too long to be asked
/// for.
pub(crate) fn key_of(prefix: &str, uri: &str) -> Option<String> {
    if !is_plain(uri) {
        return None;
    }
    let mut key = prefix.to_owned();
    for c in uri.chars() {
        match c {
            ' ' => key.push_str("%20"),
            '%' => key.push_str("%25"),
            other => key.push(other),
        }
    }
    (key.len() <= KEY_BYTES_MAX).then_some(key)
}

/// Whether nginx would leave it as it is: it merges slashes and resolves dots.
fn is_plain(uri: &str) -> bool {
    let is_dots = |segment: &str| matches!(segment, "." | "..");
    uri.starts_with('/')
        && !uri.contains("//")
        && !uri.split('/').any(is_dots)
        && !uri.contains(char::is_control)
}

fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        bytes.push(u8::try_from(high << 4 | low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_paths_have_the_key_that_nginx_asks_for() {
        for (path, key) in [
            ("/", "p-/"),
            ("/treks/annapurna/", "p-/treks/annapurna/"),
            ("/caf%C3%A9/", "p-/caf\u{e9}/"),
            ("/on%20top/50%25", "p-/on%20top/50%25"),
            ("/a;b=c,d/!$&'()*+@:~_-.x", "p-/a;b=c,d/!$&'()*+@:~_-.x"),
            ("/what%3F%23", "p-/what?#"),
        ] {
            let uri = uri_of(path).unwrap_or_else(|| panic!("{path} has no uri"));
            assert_eq!(key_of("p-", &uri).as_deref(), Some(key), "{path}");
        }
    }

    #[test]
    fn paths_that_may_be_read_in_another_way_have_none() {
        for path in [
            "",
            "a",
            "//a",
            "/a//b",
            "/./a",
            "/a/..",
            "/a%2Fb",
            "/%61",
            "/a%3bb",
            "/caf%c3%a9",
            "/caf\u{e9}",
            "/%00",
            "/%0A",
            "/%7F",
            "/%",
            "/%2",
            "/%zz",
            "/%FF",
            "/a|b",
            "/%2E%2E/a",
        ] {
            assert_eq!(uri_of(path), None, "{path}");
        }
    }

    #[test]
    fn keys_that_can_not_be_asked_for_are_none() {
        assert_eq!(key_of("p-", &format!("/{}", "x".repeat(247))).map(|key| key.len()), Some(250));
        assert_eq!(key_of("p-", &format!("/{}", "x".repeat(248))), None);
        assert_eq!(key_of("p-", &format!("/{}", " ".repeat(83))), None);
        assert_eq!(key_of("p-", "a"), None);
        assert_eq!(key_of("p-", "/a//b"), None);
    }
}
