//! A sequence of commands as data, so that it can be cut down and shown.

/// One command with its data, as it is sent.
///
/// `<cas 1>` in it stands for the unique that was seen last, `<cas 2>` for the one before it, and
/// so on; each server has its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    /// What this server is sent, and memcached 1.6.45.
    pub(super) bytes: Vec<u8>,
    /// What memcached 1.6.18 is sent instead, where it would lose its step.
    pub(super) for_1_6_18: Option<Vec<u8>>,
}

impl Command {
    /// The same for both.
    pub(super) fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), for_1_6_18: None }
    }

    /// A line without data.
    pub(super) fn line(text: &str) -> Self {
        Self::new(format!("{text}\r\n"))
    }

    /// A line with its data.
    pub(super) fn with_data(line: &str, data: &[u8]) -> Self {
        Self::new([line.as_bytes(), b"\r\n", data, b"\r\n"].concat())
    }

    /// A line that is refused, with data that memcached 1.6.18 would take for a command.
    pub(super) fn with_refused_data(line: &str, data: &[u8]) -> Self {
        let for_1_6_18 = Some(format!("{line}\r\n").into_bytes());
        Self { for_1_6_18, ..Self::with_data(line, data) }
    }

    /// Whether what was sent before it has to be answered first: it names a unique that must have
    /// been seen; or it counts, which memcached does in place, with the old length, only where no
    /// reply is on its way from there.
    pub(super) fn waits(&self) -> bool {
        let counting =
            [&b"incr "[..], b"decr ", b"ma ", b"\x80\x05", b"\x80\x06", b"\x80\x15", b"\x80\x16"];
        let counts = counting.iter().any(|start| self.bytes.starts_with(start));
        counts || self.bytes.windows(UNIQUE.len()).any(|window| window == UNIQUE)
    }

    /// Whether it is so large that both sides could wait for each other to read.
    pub(super) fn is_large(&self) -> bool {
        self.bytes.len() > 64 * 1024
    }
}

/// How the place of a unique begins.
const UNIQUE: &[u8] = b"<cas ";

/// How a request of the binary protocol begins.
const BINARY: u8 = 0x80;

/// A unique that no item has.
const ABSENT_UNIQUE: &str = "987654321987654321";

/// Puts the uniques that a server has given, oldest first, into their places.
pub(super) fn with_uniques(bytes: &[u8], seen: &[String]) -> Vec<u8> {
    let Some(start) = bytes.windows(UNIQUE.len()).position(|window| window == UNIQUE) else {
        return bytes.to_vec();
    };
    let after = &bytes[start + UNIQUE.len()..];
    let end = after.iter().position(|byte| *byte == b'>').expect("an end of `<cas `");
    let age: usize = String::from_utf8_lossy(&after[..end]).parse().expect("an age");
    let unique = seen.len().checked_sub(age).map_or(ABSENT_UNIQUE, |index| &seen[index]);
    if bytes.first() == Some(&BINARY) {
        let number: u64 = unique.parse().expect("a number");
        // The space behind fills up the field.
        return [&bytes[..start], &number.to_be_bytes(), &after[end + 2..]].concat();
    }
    [&bytes[..start], unique.as_bytes(), &with_uniques(&after[end + 1..], seen)].concat()
}

/// Standard base64 with padding (RFC 4648, section 4), as memcached's `b` flag reads it.
pub(super) fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[test]
fn uniques_are_put_into_their_places_by_age() {
    let seen = ["7".to_owned(), "9".to_owned()];
    assert_eq!(with_uniques(b"cas a 0 0 1 <cas 1> <cas 2>", &seen), b"cas a 0 0 1 9 7");
    assert_eq!(with_uniques(b"<cas 3>", &seen), ABSENT_UNIQUE.as_bytes());
}
