//! Random requests of the binary protocol: opcodes with their quiet forms, extras, uniques, and
//! lengths that are wrong (protocol-binary.txt).

use super::choices::{Choices, KEY_BYTES_MAX, Key};
use super::command::Command;

const REQUEST: u8 = 0x80;
const HEADER_BYTES: usize = 24;

/// `incr` and `decr` that create nothing.
const CREATE_NOTHING: u32 = u32::MAX;

/// The parts of a request.
#[derive(Default)]
struct Request {
    opcode: u8,
    key: Key,
    extras: Vec<u8>,
    value: Vec<u8>,
    has_unique: bool,
}

impl Request {
    fn command(self, choices: &mut Choices) -> Command {
        let lengths = (self.key.len() as u16, self.extras.len() as u8);
        self.with_lengths(choices, lengths)
    }

    /// With these lengths of key and extras, which may be wrong.
    fn with_lengths(self, choices: &mut Choices, (key, extras): (u16, u8)) -> Command {
        let body_bytes = (self.extras.len() + self.key.len() + self.value.len()) as u32;
        let mut bytes = vec![REQUEST, self.opcode];
        bytes.extend(key.to_be_bytes());
        bytes.extend([extras, 0, 0, 0]);
        bytes.extend(body_bytes.to_be_bytes());
        bytes.extend(choices.random.bytes(4));
        // As long as the field that it is put into.
        bytes.extend(if self.has_unique { *b"<cas 1> " } else { [0; 8] });
        bytes.extend([self.extras, self.key, self.value].concat());
        Command::new(bytes)
    }
}

/// The next request.
pub(super) fn commands(choices: &mut Choices) -> Vec<Command> {
    vec![match choices.random.below(100) {
        0..30 => store(choices),
        30..52 => read(choices),
        52..62 => count(choices),
        62..70 => delete(choices),
        70..78 => join(choices),
        78..88 => touch(choices),
        88..91 => flush(choices),
        91..95 => Request { opcode: 0x0a, ..Request::default() }.command(choices),
        _ => malformed(choices),
    }]
}

/// Not over at once: an item that never was has no unique here.
fn exptime(choices: &mut Choices) -> u32 {
    choices.random.pick(&[0, 0, 0, 100, 1_000, 2_592_000, 2_000_000_000])
}

fn store(choices: &mut Choices) -> Command {
    let keys: Vec<Key> = (0..8).map(|_| choices.binary_key()).collect();
    let Some(key) = keys.into_iter().find(|key| choices.may_store(key)) else {
        return read(choices);
    };
    let opcode = choices.random.pick(&[0x01, 0x01, 0x01, 0x02, 0x03, 0x11, 0x12, 0x13]);
    let flags: u32 = choices.flags().parse().expect("a number");
    let extras = [flags.to_be_bytes(), exptime(choices).to_be_bytes()].concat();
    let (value, has_unique) = (choices.value(&key), choices.random.percent(20));
    Request { opcode, key, extras, value, has_unique }.command(choices)
}

fn read(choices: &mut Choices) -> Command {
    let key = choices.binary_key();
    choices.note_read(&key);
    let opcode = choices.random.pick(&[0x00, 0x00, 0x09, 0x0c, 0x0d]);
    Request { opcode, key, ..Request::default() }.command(choices)
}

fn count(choices: &mut Choices) -> Command {
    let key = if choices.random.percent(70) { b"n".to_vec() } else { choices.binary_key() };
    let opcode = choices.random.pick(&[0x05, 0x05, 0x06, 0x15, 0x16]);
    let delta: u64 = choices.random.pick(&[0, 1, 10, 1_000_000]);
    let initial: u64 = choices.random.pick(&[0, 7, 1_000_000]);
    let mut extras = [delta.to_be_bytes(), initial.to_be_bytes()].concat();
    let creates = choices.may_store(&key) && choices.random.percent(60);
    let exptime = if creates { choices.random.pick(&[0, 100, 1_000]) } else { CREATE_NOTHING };
    extras.extend(exptime.to_be_bytes());
    Request { opcode, key, extras, ..Request::default() }.command(choices)
}

fn delete(choices: &mut Choices) -> Command {
    let key = choices.binary_key();
    choices.note_delete(&key);
    let (opcode, has_unique) = (choices.random.pick(&[0x04, 0x14]), choices.random.percent(20));
    Request { opcode, key, has_unique, ..Request::default() }.command(choices)
}

fn join(choices: &mut Choices) -> Command {
    let key = choices.binary_key();
    let (opcode, value) = (choices.random.pick(&[0x0e, 0x0f, 0x19, 0x1a]), choices.value(&key));
    Request { opcode, key, value, ..Request::default() }.command(choices)
}

fn touch(choices: &mut Choices) -> Command {
    let key = choices.binary_key();
    choices.note_read(&key);
    let opcode = choices.random.pick(&[0x1c, 0x1d, 0x1e, 0x23, 0x24]);
    let extras = exptime(choices).to_be_bytes().to_vec();
    Request { opcode, key, extras, ..Request::default() }.command(choices)
}

fn flush(choices: &mut Choices) -> Command {
    choices.note_flush();
    let opcode = choices.random.pick(&[0x08, 0x18]);
    Request { opcode, ..Request::default() }.command(choices)
}

/// Lengths that no request of this kind has, and opcodes that there are not.
fn malformed(choices: &mut Choices) -> Command {
    let key = choices.binary_key();
    let lengths = (key.len() as u16, 0);
    let extras = vec![0; 4];
    match choices.random.below(5) {
        0 => {
            let key = vec![b'L'; KEY_BYTES_MAX + 1];
            Request { key, ..Request::default() }.command(choices)
        }
        1 => Request { opcode: 0x01, key, extras, ..Request::default() }.command(choices),
        2 => Request { opcode: 0x00, key, extras, ..Request::default() }.command(choices),
        3 => Request { key, ..Request::default() }.with_lengths(choices, (lengths.0 + 1, 0)),
        _ => Request { opcode: 0x70, ..Request::default() }.command(choices),
    }
}

/// The request behind every batch: `noop` with an opaque that nothing else has.
pub(super) const END_OF_BATCH: &[u8; HEADER_BYTES] =
    b"\x80\x0a\0\0\0\0\0\0\0\0\0\0sync\0\0\0\0\0\0\0\0";
/// What it is answered with.
pub(super) const END_OF_REPLIES: &[u8; HEADER_BYTES] =
    b"\x81\x0a\0\0\0\0\0\0\0\0\0\0sync\0\0\0\0\0\0\0\0";

/// Puts the order of appearance for the uniques of responses, as `replies::mask` does for text.
pub(super) fn mask(mut replies: &[u8], seen: &mut Vec<String>) -> Vec<u8> {
    let mut masked = Vec::new();
    while let Some((header, rest)) = replies.split_first_chunk::<HEADER_BYTES>() {
        let body_bytes = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
        let (body, rest) = rest.split_at((body_bytes as usize).min(rest.len()));
        let (start, unique) = header.split_at(16);
        let unique = u64::from_be_bytes(unique.try_into().expect("8 bytes")).to_string();
        let shown = super::replies::order(unique.as_bytes(), seen);
        // One response is one line of a transcript.
        masked.extend([start, shown.as_bytes(), b" ", body, b"\r\n"].concat());
        replies = rest;
    }
    masked.extend_from_slice(replies);
    masked
}
