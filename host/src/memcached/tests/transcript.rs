//! Runs `tests/transcripts/memcached/*.txt`, which also run against memcached itself.
//!
//! # The format
//!
//! - `> bytes` are sent, and `< bytes` are expected, byte for byte, in the order of the file.
//!   CR LF is added, unless the line ends with a single backslash. Successive `>` are one write.
//! - Escapes: `\r \n \t \\ \xNN`, and `\{COUNT c}` for COUNT times the character `c`.
//! - In `<`, `<num>` is any number and `<cas>` one that is remembered; in `>`, `<cas>` is that one.
//! - `! connection NAME` goes on with this connection, opened when first named.
//! - `! closed` expects that the server has closed, and nothing before it.
//! - `! advance 5s` moves the clock; for a server with a clock of its own, wait instead.
//! - `! only wasmcached: REASON` marks a file that memcached 1.6.18 answers differently.
//! - `#` begins a comment.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncReadExt;

use super::{Client, PATIENCE, Server, settings, text};

/// One step of a transcript.
enum Step {
    Send(Vec<u8>),
    Expect(Vec<u8>),
    Connection(String),
    Closed,
    Advance(Duration),
}

/// A connection and what has arrived on it.
struct Peer {
    client: Client,
    received: Vec<u8>,
}

#[tokio::test]
async fn transcripts_are_answered_byte_for_byte() {
    let mut files = transcripts();
    files.sort();
    assert!(files.len() >= 12, "found {files:?}");
    for file in files {
        let steps = read(&file);
        let server = Server::start(settings()).await;
        run(&server, &file, steps).await;
        server.stop().await;
    }
}

fn transcripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/transcripts/memcached");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|end| end == "txt")).collect()
}

async fn run(server: &Server, file: &Path, steps: Vec<(usize, Step)>) {
    let mut peers: HashMap<String, Peer> = HashMap::new();
    let mut name = "first".to_owned();
    let mut cas = Vec::new();
    for (line, step) in steps {
        let place = format!("{}:{line}", file.display());
        if !peers.contains_key(&name) {
            let client = server.connect().await;
            peers.insert(name.clone(), Peer { client, received: Vec::new() });
        }
        let peer = peers.get_mut(&name).unwrap();
        match step {
            Step::Connection(other) => name = other,
            Step::Advance(by) => server.cache.clock().advance(by),
            Step::Send(bytes) => peer.client.send(&replace(&bytes, b"<cas>", &cas)).await,
            Step::Expect(pattern) => peer.expect(&pattern, &mut cas, &place).await,
            Step::Closed => {
                peer.received.extend(peer.client.reply_until(b"no reply ends so").await);
                assert!(peer.received.is_empty(), "{place}: also got {}", text(&peer.received));
                peers.remove(&name);
            }
        }
    }
    for (name, mut peer) in peers {
        // Nothing more than expected may come: the answer to one more command is the next thing.
        peer.client.send(b"verbosity 1\r\n").await;
        let end = format!("{}: end of connection {name}", file.display());
        peer.expect(b"OK\r\n", &mut cas, &end).await;
    }
}

impl Peer {
    async fn expect(&mut self, pattern: &[u8], cas: &mut Vec<u8>, place: &str) {
        loop {
            match matching(pattern, &self.received, cas) {
                Matching::Whole(length) => {
                    self.received.drain(..length);
                    return;
                }
                Matching::Different => {
                    panic!("{place}: expected {:?}, got {:?}", text(pattern), text(&self.received))
                }
                Matching::Part => {}
            }
            let read = self.client.stream.read_buf(&mut self.received);
            let read = tokio::time::timeout(PATIENCE, read).await;
            let count = read.map(|read| read.unwrap_or(0)).unwrap_or(0);
            let received = text(&self.received);
            assert!(count > 0, "{place}: waited for {:?}, got {received:?}", text(pattern));
        }
    }
}

enum Matching {
    /// So many bytes are the pattern.
    Whole(usize),
    /// More may make it whole.
    Part,
    Different,
}

fn matching(pattern: &[u8], received: &[u8], cas: &mut Vec<u8>) -> Matching {
    let (mut pattern, mut rest) = (pattern, received);
    loop {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = [b"<num>", b"<cas>"].into_iter().find(|word| pattern.starts_with(*word));
        match (number, pattern, rest) {
            (_, [], _) => return Matching::Whole(received.len() - rest.len()),
            (_, _, []) => return Matching::Part,
            (Some(_), _, _) if digits == rest.len() => return Matching::Part,
            (Some(_), _, _) if digits == 0 => return Matching::Different,
            (Some(word), _, _) => {
                if word == b"<cas>" {
                    *cas = rest[..digits].to_vec();
                }
                (pattern, rest) = (&pattern[word.len()..], &rest[digits..]);
            }
            (None, [expected, ..], [got, ..]) if expected != got => return Matching::Different,
            (None, [_, next @ ..], [_, left @ ..]) => (pattern, rest) = (next, left),
        }
    }
}

fn read(file: &Path) -> Vec<(usize, Step)> {
    let mut steps: Vec<(usize, Step)> = Vec::new();
    for (index, line) in std::fs::read_to_string(file).unwrap().lines().enumerate() {
        let place = format!("{}:{}", file.display(), index + 1);
        let step = match line.split_at_checked(2).unwrap_or((line, "")) {
            ("> ", bytes) => Step::Send(unescape(bytes, &place)),
            ("< ", bytes) => Step::Expect(unescape(bytes, &place)),
            ("! ", directive) => match directive.split_once(' ').unwrap_or((directive, "")) {
                ("connection", name) => Step::Connection(name.to_owned()),
                ("closed", "") => Step::Closed,
                ("advance", time) => {
                    let seconds = time.strip_suffix('s').and_then(|count| count.parse().ok());
                    Step::Advance(Duration::from_secs(seconds.expect(&place)))
                }
                ("only", reason) if reason.starts_with("wasmcached: ") => continue,
                _ => panic!("{place}: unknown directive {directive:?}"),
            },
            (start, _) if start.is_empty() || start.starts_with('#') => continue,
            _ => panic!("{place}: unknown line {line:?}"),
        };
        match (steps.last_mut(), step) {
            (Some((_, Step::Send(before))), Step::Send(bytes)) => before.extend(bytes),
            (_, step) => steps.push((index + 1, step)),
        }
    }
    steps
}

fn unescape(line: &str, place: &str) -> Vec<u8> {
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
                bytes.push(u8::from_str_radix(&rest[..2], 16).expect(place));
                rest = &rest[2..];
            }
            '{' => {
                let (repeat, after) = rest.split_once('}').expect(place);
                let (count, what) = repeat.split_once(' ').expect(place);
                bytes.extend(what.repeat(count.parse().expect(place)).into_bytes());
                rest = after;
            }
            _ => panic!("{place}: unknown escape \\{kind}"),
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes.extend_from_slice(b"\r\n");
    bytes
}

fn replace(bytes: &[u8], word: &[u8], by: &[u8]) -> Vec<u8> {
    let Some(at) = bytes.windows(word.len()).position(|window| window == word) else {
        return bytes.to_vec();
    };
    [&bytes[..at], by, &replace(&bytes[at + word.len()..], word, by)].concat()
}
