//! Transcripts as data: what is sent, what must come back, byte for byte.
//!
//! `> ` begins a line that is sent and `< ` one that is expected; both end with CR LF unless they
//! end with a backslash. `\xNN`, `\r`, `\n`, `\t` and `\\` are escapes; `<num>` and `<cas>` stand
//! for one or more digits. `#` begins a comment, `! ` a directive that moves the clock, which only
//! the runner beside the code can do.

use crate::Memcached;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// These bytes are sent.
    Send(Vec<u8>),
    /// This comes back, up to its line end.
    Line(String),
    /// These bytes come back, with no line end after them.
    Bytes(Vec<u8>),
}

/// The steps of a file, each with its line number; `None` where it has directives.
#[track_caller]
pub fn parse(text: &str) -> Option<Vec<(usize, Step)>> {
    let mut steps = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with("! ") {
            return None;
        }
        let (mark, rest) = line.split_at_checked(1).unwrap_or((line, ""));
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        let step = match (mark, unended(rest)) {
            (">", Some(part)) => Step::Send(unescape(part)),
            (">", None) => Step::Send([unescape(rest), b"\r\n".to_vec()].concat()),
            ("<", Some(part)) => Step::Bytes(unescape(part)),
            ("<", None) => Step::Line(rest.to_owned()),
            _ => panic!("line {number}: `{line}` is none of `> < # !`"),
        };
        steps.push((number, step));
    }
    Some(steps)
}

/// The line without its last backslash, if that is not itself escaped.
fn unended(line: &str) -> Option<&str> {
    let backslashes = line.bytes().rev().take_while(|&byte| byte == b'\\').count();
    if backslashes % 2 == 1 { line.strip_suffix('\\') } else { None }
}

/// Plays the steps, then checks that nothing else came back.
#[track_caller]
pub fn play(name: &str, steps: &[(usize, Step)], connection: &mut Memcached) {
    for (number, step) in steps {
        match step {
            Step::Send(bytes) => connection.send(bytes),
            Step::Bytes(expected) => {
                let seen = connection.bytes(expected.len());
                assert_eq!(show(&seen), show(expected), "{name}:{number}");
            }
            Step::Line(pattern) => {
                let seen = connection.line().unwrap_or_else(|| b"(end of stream)".to_vec());
                let is_same = is_match(pattern, &seen);
                assert!(is_same, "{name}:{number}: expected `{pattern}`, saw `{}`", show(&seen));
            }
        }
    }
    connection.finish();
    assert_eq!(show(&connection.rest()), "", "{name}: more came back");
}

fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// Whether the line is the pattern, digits standing where the pattern says so.
fn is_match(pattern: &str, line: &[u8]) -> bool {
    let masked = ["<num>", "<cas>"];
    let at = masked.iter().filter_map(|mask| Some((pattern.find(mask)?, mask.len()))).min();
    let Some((at, length)) = at else { return unescape(pattern) == line };
    let before = unescape(&pattern[..at]);
    let Some(rest) = line.strip_prefix(before.as_slice()) else { return false };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && is_match(&pattern[at + length..], &rest[digits..])
}

#[track_caller]
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let (&escape, tail) = rest.split_first().expect("something after a backslash");
        rest = tail;
        match escape {
            b'r' => bytes.push(b'\r'),
            b'n' => bytes.push(b'\n'),
            b't' => bytes.push(b'\t'),
            b'\\' => bytes.push(b'\\'),
            b'x' => {
                let digits = std::str::from_utf8(&rest[..2]).expect("two digits after \\x");
                bytes.push(u8::from_str_radix(digits, 16).expect("hexadecimal digits"));
                rest = &rest[2..];
            }
            other => panic!("unknown escape `\\{}`", other.escape_ascii()),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::{Step, is_match, parse};

    #[test]
    fn lines_end_with_cr_lf_unless_they_say_otherwise() {
        let steps = parse("# c\n> get a\n> \\x00b\\\n< END\n< ab\\\n").unwrap();
        let steps: Vec<Step> = steps.into_iter().map(|(_, step)| step).collect();
        assert_eq!(
            steps,
            [
                Step::Send(b"get a\r\n".to_vec()),
                Step::Send(b"\0b".to_vec()),
                Step::Line("END".into()),
                Step::Bytes(b"ab".to_vec()),
            ]
        );
        assert_eq!(parse("! advance 5s\n"), None);
    }

    #[test]
    fn masked_numbers_match_digits_and_nothing_else() {
        assert!(is_match("VALUE k 0 1 <cas>", b"VALUE k 0 1 77"));
        assert!(!is_match("VALUE k 0 1 <cas>", b"VALUE k 0 1 "));
        assert!(!is_match("VALUE k 0 1 <cas>", b"VALUE k 0 1 7x"));
        assert!(is_match("<num>.<num>\\\\", b"1.20\\"));
    }
}
