//! What must hold of requests for any bytes.
//!
//! # Not here
//! Values, which the connection collects.

use super::opcode::command;
use super::parse::{HEADER_BYTES, Header, Parse, parse};

/// Reads requests to the end of `input`, each behind the body of the one before.
///
/// # Panics
/// Where an outcome depends on how the bytes were split.
pub(in crate::memcached) fn requests(input: &[u8]) {
    let mut rest = input;
    while let Some(header) = Header::read(rest) {
        if !header.is_consistent() {
            return;
        }
        assert!(header.front_bytes() + header.value_bytes() == HEADER_BYTES + header.body_bytes());
        if let Some((command, _)) = command(header.opcode) {
            let whole = parse(&header, command, rest);
            let front = rest.get(..header.front_bytes());
            match front {
                Some(front) => assert_eq!(parse(&header, command, front), whole, "its front alone"),
                None => assert!(!matches!(whole, Parse::Parsed(_)), "parsed what is not whole"),
            }
            let header_alone = rest.get(..HEADER_BYTES).unwrap_or_default();
            if header.front_bytes() > HEADER_BYTES && matches!(whole, Parse::Parsed(_)) {
                let early = parse(&header, command, header_alone);
                assert_eq!(early, Parse::Incomplete, "parsed before it was whole");
            }
        }
        rest = rest.get(HEADER_BYTES.saturating_add(header.body_bytes())..).unwrap_or_default();
    }
}
