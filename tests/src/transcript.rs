//! Transcripts as data: what is sent, and what must come back, byte for byte.
//!
//! - `> bytes` are sent and `< bytes` are expected, in the order of the file. CR LF is added,
//!   unless the line ends with a single backslash. Successive `>` are one write.
//! - Escapes: `\r \n \t \\ \xNN`, and `\{COUNT c}` for COUNT times the character `c`.
//! - In `<`, `<num>` is any number and `<cas>` one that is remembered; in `>`, `<cas>` is that one.
//! - Seconds that are left or have gone by (`exp=30`, `la=0`, ` t30`, ` l0`) may differ by those
//!   that a busy machine took.
//! - `! connection NAME` goes on with this connection, opened when first named.
//! - `! closed` expects that the server has closed, and nothing before it.
//! - `! advance 5s` moves the clock, which only the runner beside the code can do.
//! - `! only wasmcached: REASON` marks what memcached itself answers differently.
//! - `#` begins a comment.
//!
//! # Not here
//! Files that move the clock: this runner's server has the real one, and nothing here waits.

use std::collections::BTreeMap;

use crate::Memcached;

/// So long a busy machine may take from one line to another.
const SECONDS_TAKEN_MAX: u64 = 10;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// These bytes are sent.
    Send(Vec<u8>),
    /// This pattern comes back.
    Expect(Vec<u8>),
    /// The steps that follow are this connection's.
    Connection(String),
    /// The server has closed.
    Closed,
}

/// The steps of a file, each with its line number; `None` where it moves the clock.
#[track_caller]
pub fn parse(text: &str) -> Option<Vec<(usize, Step)>> {
    let mut steps: Vec<(usize, Step)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let step = match line.split_at_checked(2).unwrap_or((line, "")) {
            ("> ", bytes) => Step::Send(unescape(bytes)),
            ("< ", bytes) => Step::Expect(unescape(bytes)),
            ("! ", "closed") => Step::Closed,
            ("! ", directive) => match directive.split_once(' ') {
                Some(("connection", name)) => Step::Connection(name.to_owned()),
                Some(("advance", _)) => return None,
                Some(("only", _)) => continue,
                _ => panic!("line {number}: unknown directive `{directive}`"),
            },
            (start, _) if start.is_empty() || start.starts_with('#') => continue,
            _ => panic!("line {number}: `{line}` is none of `> < # !`"),
        };
        match (steps.last_mut(), step) {
            (Some((_, Step::Send(before))), Step::Send(bytes)) => before.extend(bytes),
            (_, step) => steps.push((number, step)),
        }
    }
    Some(steps)
}

/// Plays the steps over connections that `connect` opens, then checks on each that is still open
/// that nothing more came back.
#[track_caller]
pub fn play(name: &str, steps: &[(usize, Step)], connect: impl Fn() -> Memcached) {
    let mut open: BTreeMap<&str, Memcached> = BTreeMap::new();
    let mut current = "first";
    let mut cas = Vec::new();
    for (number, step) in steps {
        let place = format!("{name}:{number}");
        if let Step::Connection(other) = step {
            current = other;
            continue;
        }
        let connection = open.entry(current).or_insert_with(&connect);
        match step {
            Step::Send(bytes) => connection.send(&replace(bytes, b"<cas>", &cas)),
            Step::Expect(pattern) => expect(connection, pattern, &mut cas, &place),
            Step::Closed => {
                assert_eq!(show(&connection.rest()), "", "{place}: more before the end");
                open.remove(current);
            }
            Step::Connection(_) => {}
        }
    }
    for (connection_name, mut connection) in open {
        // The answer to one more command is the next thing that comes.
        connection.send(b"verbosity 1\r\n");
        let place = format!("{name}: end of connection {connection_name}");
        expect(&mut connection, b"OK\r\n", &mut cas, &place);
    }
}

/// Reads as far as the pattern goes, byte by byte of it, numbers as far as their digits go.
#[track_caller]
fn expect(connection: &mut Memcached, pattern: &[u8], cas: &mut Vec<u8>, place: &str) {
    let mut seen = Vec::new();
    let mut rest = pattern;
    while let Some(first) = rest.first() {
        let word = [b"<num>", b"<cas>"].into_iter().find(|word| rest.starts_with(*word));
        if let Some(word) = word {
            let digits = connection.digits();
            seen.extend_from_slice(&digits);
            let expected = show(pattern);
            assert!(!digits.is_empty(), "{place}: expected {expected}, got {}", show(&seen));
            if word == b"<cas>" {
                *cas = digits;
            }
            rest = &rest[word.len()..];
            continue;
        }
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > 0 && [&b"exp="[..], b"la=", b" t", b" l"].iter().any(|of| seen.ends_with(of)) {
            let told = connection.digits();
            let (expected, number) = (number_of(&rest[..digits]), number_of(&told));
            seen.extend_from_slice(&told);
            let is_near = number.abs_diff(expected) <= SECONDS_TAKEN_MAX;
            assert!(is_near, "{place}: expected `{}`, got `{}`…", show(pattern), show(&seen));
            rest = &rest[digits..];
            continue;
        }
        let byte = connection.bytes(1);
        seen.extend_from_slice(&byte);
        let is_same = byte.first() == Some(first);
        assert!(is_same, "{place}: expected `{}`, got `{}`…", show(pattern), show(&seen));
        rest = &rest[1..];
    }
}

fn number_of(digits: &[u8]) -> u64 {
    String::from_utf8_lossy(digits).parse().expect("a number of seconds")
}

fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn replace(bytes: &[u8], word: &[u8], by: &[u8]) -> Vec<u8> {
    match bytes.windows(word.len()).position(|window| window == word) {
        Some(at) => [&bytes[..at], by, &replace(&bytes[at + word.len()..], word, by)].concat(),
        None => bytes.to_vec(),
    }
}

#[track_caller]
fn unescape(line: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = line;
    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        let Some(kind) = escape.chars().next() else { return bytes };
        rest = &escape[kind.len_utf8()..];
        match kind {
            'r' => bytes.push(b'\r'),
            'n' => bytes.push(b'\n'),
            't' => bytes.push(b'\t'),
            '\\' => bytes.push(b'\\'),
            'x' => {
                let digits = rest.get(..2).expect("two digits after \\x");
                bytes.push(u8::from_str_radix(digits, 16).expect("hexadecimal digits"));
                rest = &rest[2..];
            }
            '{' => {
                let (repeat, after) = rest.split_once('}').expect("an end of \\{");
                let (count, what) = repeat.split_once(' ').expect("a count and what to repeat");
                bytes.extend(what.repeat(count.parse().expect("a count")).into_bytes());
                rest = after;
            }
            other => panic!("unknown escape `\\{other}`"),
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes.extend_from_slice(b"\r\n");
    bytes
}

#[cfg(test)]
mod tests {
    use super::{Step, parse, replace};

    #[test]
    fn lines_end_with_cr_lf_unless_they_say_otherwise() {
        let text = "# c\n> get \\{3 a}\n> \\x00b\\\n< END\n\n! connection b\n! closed\n";
        let steps: Vec<Step> = parse(text).unwrap().into_iter().map(|(_, step)| step).collect();
        assert_eq!(
            steps,
            [
                Step::Send(b"get aaa\r\n\0b".to_vec()),
                Step::Expect(b"END\r\n".to_vec()),
                Step::Connection("b".into()),
                Step::Closed,
            ]
        );
        assert_eq!(parse("! advance 5s\n"), None);
    }

    #[test]
    fn remembered_number_is_put_wherever_it_is_named() {
        assert_eq!(replace(b"cas a 0 0 1 <cas> <cas>", b"<cas>", b"77"), b"cas a 0 0 1 77 77");
    }
}
