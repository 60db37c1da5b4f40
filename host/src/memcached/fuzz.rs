//! What must hold of the parsers for any bytes: the entries of `tests/fuzz`, and of a test here.
//!
//! # Invariants
//! - A target returns for every input; what does not hold is a panic.
//!
//! # Not here
//! What replies say: the connection's tests.

use super::parse::{Parse, parse};

/// Reads lines of the text protocol, meta commands included, to the end of `input`.
///
/// # Panics
/// Where an outcome depends on how the bytes were split, or does not move on by its line.
pub fn text(input: &[u8]) {
    let mut rest = input;
    loop {
        let consumed = match parse(rest, 0) {
            Parse::Incomplete | Parse::Foreign => return,
            Parse::Parsed(_, consumed) | Parse::Invalid(_, consumed) => consumed,
        };
        let Some((line, after)) = rest.split_at_checked(consumed) else {
            panic!("consumed {consumed} bytes of {}", rest.len());
        };
        assert_eq!(line.last(), Some(&b'\n'), "no line was consumed: {}", line.escape_ascii());
        // The same of the line alone, and of the line when all but its end was scanned before.
        for scanned in [0, line.len() - 1] {
            let alone = parse(line, scanned);
            assert_eq!(alone, parse(rest, 0), "split differently: {}", line.escape_ascii());
        }
        let part = line.get(..line.len() / 2).unwrap_or_default();
        assert!(matches!(parse(part, 0), Parse::Incomplete), "part: {}", part.escape_ascii());
        rest = after;
    }
}

/// Reads requests of the binary protocol to the end of `input`.
///
/// # Panics
/// Where an outcome depends on how the bytes were split.
pub fn binary(input: &[u8]) {
    super::binary::fuzz::requests(input);
}
