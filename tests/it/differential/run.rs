//! Sends a sequence to a server and takes its replies, batch by batch.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use wasmcached_tests::Random;
use wasmcached_tests::wait::LIMIT;

use super::binary;
use super::command::{Command, with_uniques};
use super::replies::mask;

/// Asked behind every batch: no other command has such an answer, and no value looks like it.
const END_OF_BATCH: &[u8] = b"version\r\n";
const END_OF_REPLIES: &[u8] = b"VERSION 1.6.";

/// After so long no reply comes any more.
const SILENCE: Duration = LIMIT;

/// Which memcached a server behaves like, and so which form of a command it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Takes the data of a bad line for commands.
    V1_6_18,
    /// Reads past the data of a bad line.
    V1_6_45,
}

/// How a sequence is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// Lines.
    Text,
    /// Headers and bodies.
    Binary,
}

/// Where a sequence is sent to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer<'a> {
    /// Address and port.
    pub(super) address: &'a str,
    /// Which form of the commands it gets.
    pub(super) dialect: Dialect,
    /// How it is spoken to.
    pub(super) protocol: Protocol,
}

/// How a sequence is cut into writes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Splits {
    /// Each batch at random points, repeated by this seed.
    Random(u64),
    /// Every command alone, after the answer to the one before.
    Commands,
}

/// The commands between two waits for replies.
pub(super) fn batches(commands: &[Command], splits: Splits) -> Vec<&[Command]> {
    let mut batches = Vec::new();
    let mut start = 0;
    for (index, command) in commands.iter().enumerate().skip(1) {
        let is_after_large = commands[index - 1].is_large();
        let is_alone = matches!(splits, Splits::Commands);
        if is_alone || is_after_large || command.is_large() || command.waits() {
            batches.push(&commands[start..index]);
            start = index;
        }
    }
    batches.push(&commands[start..]);
    batches
}

impl Peer<'_> {
    /// The masked replies to each batch. Both servers begin empty.
    #[track_caller]
    pub(super) fn converse(self, commands: &[Command], splits: Splits) -> Vec<Vec<u8>> {
        // Another connection, for what one has missed counts for what it stores later.
        let mut before = self.connect();
        before.write_all(b"flush_all\r\n").expect("send");
        assert_eq!(self.replies(&mut before, 4), b"OK\r\n");
        let mut stream = self.connect();
        let mut seen = Vec::new();
        let mut random = Random::new(match splits {
            Splits::Random(seed) => seed,
            Splits::Commands => 0,
        });
        let answer = |batch: &[Command]| {
            let mut bytes = Vec::new();
            for command in batch {
                let sent = match (&command.for_1_6_18, self.dialect) {
                    (Some(sent), Dialect::V1_6_18) => sent,
                    _ => &command.bytes,
                };
                bytes.extend(with_uniques(sent, &seen));
            }
            bytes.extend_from_slice(match self.protocol {
                Protocol::Text => END_OF_BATCH,
                Protocol::Binary => binary::END_OF_BATCH,
            });
            send(&mut stream, &bytes, splits, &mut random);
            let replies = self.replies(&mut stream, usize::MAX);
            match self.protocol {
                Protocol::Text => mask(&replies, &mut seen),
                Protocol::Binary => binary::mask(&replies, &mut seen),
            }
        };
        batches(commands, splits).into_iter().map(answer).collect()
    }

    #[track_caller]
    fn connect(self) -> TcpStream {
        let stream = TcpStream::connect(self.address)
            .unwrap_or_else(|error| panic!("connect to {}: {error}", self.address));
        stream.set_nodelay(true).expect("send at once");
        stream.set_read_timeout(Some(SILENCE)).expect("set a time limit");
        stream
    }

    /// Everything up to the answer to [`END_OF_BATCH`], to so many bytes, or to the end.
    #[track_caller]
    fn replies(self, stream: &mut TcpStream, bytes_max: usize) -> Vec<u8> {
        let mut replies = Vec::new();
        let mut chunk = [0; 64 * 1024];
        while replies.len() < bytes_max {
            let count = match stream.read(&mut chunk) {
                Ok(0) => return [&replies[..], b"<closed>\r\n"].concat(),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    return [&replies[..], b"<closed>\r\n"].concat();
                }
                // A reply is missing; which one shows when the two are compared.
                Err(_) => return [&replies[..], b"<silence>\r\n"].concat(),
            };
            replies.extend_from_slice(&chunk[..count]);
            if replies.ends_with(binary::END_OF_REPLIES) {
                replies.truncate(replies.len() - binary::END_OF_REPLIES.len());
                break;
            }
            let last_line = replies.strip_suffix(b"\r\n").map(|rest| {
                let start = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                (start, &rest[start..])
            });
            if let Some((start, line)) = last_line
                && line.starts_with(END_OF_REPLIES)
            {
                replies.truncate(start);
                break;
            }
        }
        replies
    }
}

/// Sends bytes in pieces. What a server that has closed does not take is not wanted either.
fn send(stream: &mut TcpStream, bytes: &[u8], splits: Splits, random: &mut Random) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let piece = match splits {
            Splits::Random(_) if bytes.len() > 64 * 1024 => 100_000,
            Splits::Random(_) if random.percent(50) => 1 + random.below(12),
            Splits::Random(_) => 1 + random.below(400),
            Splits::Commands => rest.len(),
        };
        let (sent, left) = rest.split_at(piece.min(rest.len()));
        if stream.write_all(sent).is_err() {
            return;
        }
        rest = left;
    }
}
