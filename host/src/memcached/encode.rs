//! Keys as memcached's dumps and logs write them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// Everything but the unreserved characters (RFC 3986 section 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Appends bytes with `%XX` for those that are reserved, so that any key is one word.
pub(super) fn push_uri_encoded(to: &mut Vec<u8>, bytes: &[u8]) {
    for part in percent_encode(bytes, ENCODED) {
        to.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_bytes_are_encoded_and_the_rest_is_as_it_was() {
        let mut text = Vec::new();
        push_uri_encoded(&mut text, b"aZ09-._~ %:\xff\r");
        assert_eq!(text, b"aZ09-._~%20%25%3A%FF%0D");
    }
}
