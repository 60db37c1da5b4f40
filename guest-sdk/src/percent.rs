//! Percent-encoding (RFC 3986 §2.1), with upper-case digits.
//!
//! # Invariants
//! - What is written is ASCII.
//!
//! # Not here
//! What is safe where, but for paths: that differs from framework to framework.

const DIGITS: &[u8; 16] = b"0123456789ABCDEF";

/// A path as browsers and frameworks send it: what a URL can't have is encoded, slashes stay
/// (RFC 3986 §3.3; the "path percent-encode set" of the URL standard, and `%`).
///
/// ```
/// use wasmcached_plugin::percent::encode_path;
/// assert_eq!(encode_path("/on top/50%/é"), "/on%20top/50%25/%C3%A9");
/// ```
pub fn encode_path(path: &str) -> String {
    let is_unsafe = |byte| {
        matches!(
            byte,
            b'%' | b'?' | b'#' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}'
        )
    };
    let mut encoded = String::with_capacity(path.len());
    push(&mut encoded, path, |byte| byte.is_ascii_graphic() && !is_unsafe(byte));
    encoded
}

/// Appends the text; of it only those ASCII characters as they are that are safe.
pub(crate) fn push(to: &mut String, text: &str, is_safe: impl Fn(u8) -> bool) {
    for c in text.chars() {
        match u8::try_from(c) {
            Ok(byte) if byte.is_ascii() && is_safe(byte) => to.push(c),
            _ => push_char(to, c),
        }
    }
}

/// Appends a character encoded, whatever it is.
pub(crate) fn push_char(to: &mut String, c: char) {
    let mut bytes = [0; 4];
    for byte in c.encode_utf8(&mut bytes).bytes() {
        to.push('%');
        for half in [byte >> 4, byte & 0xf] {
            to.push(DIGITS.get(usize::from(half)).copied().map_or('0', char::from));
        }
    }
}
