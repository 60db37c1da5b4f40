//! Frames as a grammar: bytes in, one request out (memcached's protocol-binary, "Packet
//! Structure").
//!
//! # Invariants
//! - Pure: no I/O, no clock, no state; keys are borrowed from the buffer.
//! - Whether a header is sound is said by the header alone, so that the outcome never depends on
//!   how the bytes were split into reads.
//! - No more than header, extras and key need to be in the buffer: some 300 bytes.
//!
//! # Not here
//! The value behind the key: it may be larger than the buffer, so the connection collects it.

use super::opcode::{Command, Shown};
use crate::limits::MEMCACHED_KEY_BYTES_MAX;
use crate::memcached::ops::{Direction, Verb};

/// What a request begins with, and by which a connection speaks this protocol.
pub(in crate::memcached) const REQUEST_MAGIC: u8 = 0x80;

/// Length of a header.
pub(super) const HEADER_BYTES: usize = 24;

/// The expiration of an increment that creates nothing.
const NOT_CREATED: u32 = u32::MAX;

/// The head of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::memcached) struct Header {
    /// What is asked for.
    pub(super) opcode: u8,
    /// Sent back as it is.
    pub(super) opaque: [u8; 4],
    /// The CAS unique that what is there must still have.
    pub(super) unique: Option<u64>,
    extras_bytes: usize,
    key_bytes: usize,
    body_bytes: usize,
}

impl Header {
    /// Reads a header behind its magic byte; `None` if it is not whole.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let header: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        let [_, opcode, k1, k0, extras, _, _, _, b3, b2, b1, b0, o3, o2, o1, o0, cas @ ..] =
            *header;
        let unique = u64::from_be_bytes(cas);
        Some(Self {
            opcode,
            opaque: [o3, o2, o1, o0],
            // 0 compares nothing.
            unique: (unique != 0).then_some(unique),
            extras_bytes: usize::from(extras),
            key_bytes: usize::from(u16::from_be_bytes([k1, k0])),
            body_bytes: u32::from_be_bytes([b3, b2, b1, b0]) as usize,
        })
    }

    /// Whether key and extras fit into the body.
    pub(super) fn is_consistent(&self) -> bool {
        self.extras_bytes + self.key_bytes <= self.body_bytes
    }

    /// Length of extras, key and value.
    pub(super) fn body_bytes(&self) -> usize {
        self.body_bytes
    }

    /// Length of the value.
    pub(super) fn value_bytes(&self) -> usize {
        self.body_bytes.saturating_sub(self.extras_bytes + self.key_bytes)
    }

    /// Length of what stands before the value.
    pub(super) fn front_bytes(&self) -> usize {
        HEADER_BYTES + self.extras_bytes + self.key_bytes
    }

    /// Whether the parts of the body are those of the command.
    fn fits(&self, command: Command) -> bool {
        let (extras, key, value) = (self.extras_bytes, self.key_bytes, self.value_bytes());
        let has_key = (1..=MEMCACHED_KEY_BYTES_MAX).contains(&key);
        match command {
            Command::Get(_) | Command::Delete => extras == 0 && has_key && value == 0,
            Command::Store(Verb::Append | Verb::Prepend) => extras == 0 && has_key,
            Command::Store(_) => extras == 8 && has_key,
            Command::Arithmetic(_) => extras == 20 && has_key && value == 0,
            Command::Touch | Command::GetAndTouch(_) => extras == 4 && has_key && value == 0,
            Command::Flush => matches!(extras, 0 | 4) && key == 0 && value == 0,
            Command::Verbosity => extras == 4 && key == 0 && value == 0,
            Command::Stat => extras == 0 && key <= MEMCACHED_KEY_BYTES_MAX && value == 0,
            Command::SaslAuth | Command::SaslStep => extras == 0 && has_key,
            Command::Noop | Command::Version | Command::Quit | Command::SaslMechanisms => {
                self.body_bytes == 0
            }
        }
    }
}

/// One request, but for the value behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request<'a> {
    /// Get, GetK.
    Get { key: &'a [u8], shown: Shown },
    /// Set, Add, Replace, Append, Prepend; the value follows.
    Store { verb: Verb, key: &'a [u8], flags: u32, exptime: i64 },
    /// Increment, Decrement; what to begin with, and its expiry time.
    Arithmetic { direction: Direction, key: &'a [u8], delta: u64, initial: Option<(u64, i64)> },
    /// Delete.
    Delete { key: &'a [u8] },
    /// Touch.
    Touch { key: &'a [u8], exptime: i64 },
    /// GAT, GATK.
    GetAndTouch { key: &'a [u8], exptime: i64, shown: Shown },
    /// Flush; the delay as sent.
    Flush { delay: i64 },
    /// Noop.
    Noop,
    /// Version.
    Version,
    /// Stat; the topic, or nothing.
    Stat { topic: &'a [u8] },
    /// Verbosity.
    Verbosity,
    /// Quit.
    Quit,
    /// SASL list mechs.
    SaslMechanisms,
    /// SASL auth; the initial response follows.
    SaslAuth { mechanism: &'a [u8] },
    /// SASL step; the response follows.
    SaslStep { mechanism: &'a [u8] },
}

/// What follows a header.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parse<'a> {
    /// A request of [`Header::front_bytes`].
    Parsed(Request<'a>),
    /// Extras and key are not whole.
    Incomplete,
    /// The parts of the body are not those of the command.
    Invalid,
}

/// Reads what follows a consistent header of `command` in `bytes`, header included.
pub(super) fn parse<'a>(header: &Header, command: Command, bytes: &'a [u8]) -> Parse<'a> {
    if !header.fits(command) {
        return Parse::Invalid;
    }
    let Some(front) = bytes.get(HEADER_BYTES..header.front_bytes()) else {
        return Parse::Incomplete;
    };
    let (extras, key) = front.split_at_checked(header.extras_bytes).unwrap_or_default();
    request(command, extras, key).map_or(Parse::Invalid, Parse::Parsed)
}

fn request<'a>(command: Command, extras: &[u8], key: &'a [u8]) -> Option<Request<'a>> {
    Some(match command {
        Command::Get(shown) => Request::Get { key, shown },
        Command::Store(verb @ (Verb::Append | Verb::Prepend)) => {
            Request::Store { verb, key, flags: 0, exptime: 0 }
        }
        Command::Store(verb) => {
            let (flags, exptime) = (extras.first_chunk()?, extras.last_chunk()?);
            let flags = u32::from_be_bytes(*flags);
            Request::Store { verb, key, flags, exptime: seconds(*exptime) }
        }
        Command::Arithmetic(direction) => {
            let (delta, rest) = extras.split_first_chunk()?;
            let (initial, exptime): (_, &[u8; 4]) = (rest.first_chunk()?, rest.last_chunk()?);
            let initial = (u64::from_be_bytes(*initial), seconds(*exptime));
            let is_created = u32::from_be_bytes(*exptime) != NOT_CREATED;
            let initial = Some(initial).filter(|_| is_created);
            Request::Arithmetic { direction, key, delta: u64::from_be_bytes(*delta), initial }
        }
        Command::Delete => Request::Delete { key },
        Command::Touch => Request::Touch { key, exptime: seconds(*extras.first_chunk()?) },
        Command::GetAndTouch(shown) => {
            Request::GetAndTouch { key, exptime: seconds(*extras.first_chunk()?), shown }
        }
        Command::Flush => Request::Flush { delay: extras.first_chunk().map_or(0, |d| seconds(*d)) },
        Command::Noop => Request::Noop,
        Command::Version => Request::Version,
        Command::Stat => Request::Stat { topic: key },
        Command::Verbosity => Request::Verbosity,
        Command::Quit => Request::Quit,
        Command::SaslMechanisms => Request::SaslMechanisms,
        Command::SaslAuth => Request::SaslAuth { mechanism: key },
        Command::SaslStep => Request::SaslStep { mechanism: key },
    })
}

/// An expiry time, as the text protocol has them: 32 bits without a sign.
fn seconds(bytes: [u8; 4]) -> i64 {
    i64::from(u32::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::super::opcode::command;
    use super::*;

    fn frame(opcode: u8, extras: &[u8], key: &[u8], value: &[u8]) -> Vec<u8> {
        let body = [extras, key, value].concat();
        let mut frame = vec![REQUEST_MAGIC, opcode];
        frame.extend((key.len() as u16).to_be_bytes());
        frame.extend([extras.len() as u8, 0, 0, 0]);
        frame.extend((body.len() as u32).to_be_bytes());
        frame.extend([0xde, 0xad, 0xbe, 0xef]);
        frame.extend(7_u64.to_be_bytes());
        [frame, body].concat()
    }

    fn parsed(frame: &[u8]) -> Parse<'_> {
        let header = Header::read(frame).unwrap();
        parse(&header, command(header.opcode).unwrap().0, frame)
    }

    #[test]
    fn fields_are_big_endian() {
        let extras = [0, 0, 0, 1, 0, 0, 2, 0];
        let frame = frame(0x01, &extras, b"key", b"value");
        let header = Header::read(&frame).unwrap();
        assert_eq!((header.opaque, header.unique), ([0xde, 0xad, 0xbe, 0xef], Some(7)));
        assert_eq!((header.value_bytes(), header.front_bytes()), (5, 35));
        let expected = Request::Store { verb: Verb::Set, key: b"key", flags: 1, exptime: 512 };
        assert_eq!(parsed(&frame), Parse::Parsed(expected));
    }

    #[test]
    fn request_is_incomplete_until_its_key_is_there() {
        let frame = frame(0x01, &[0; 8], b"key", b"value");
        assert_eq!(Header::read(&frame[..HEADER_BYTES - 1]), None);
        for length in HEADER_BYTES..HEADER_BYTES + 11 {
            assert_eq!(parsed(&frame[..length]), Parse::Incomplete, "{length}");
        }
        assert!(matches!(parsed(&frame[..HEADER_BYTES + 11]), Parse::Parsed(_)));
    }

    #[test]
    fn initial_number_is_left_out_for_the_highest_expiration() {
        let initial_of = |exptime: [u8; 4]| {
            let extras = [&1_u64.to_be_bytes()[..], &9_u64.to_be_bytes(), &exptime].concat();
            match parsed(&frame(0x05, &extras, b"n", b"")) {
                Parse::Parsed(Request::Arithmetic { delta: 1, initial, .. }) => initial,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(initial_of([0; 4]), Some((9, 0)));
        assert_eq!(initial_of([0xff, 0xff, 0xff, 0xfe]), Some((9, 0xffff_fffe)));
        assert_eq!(initial_of([0xff; 4]), None);
    }

    #[test]
    fn bodies_of_another_command_are_invalid() {
        let long = [b'k'; MEMCACHED_KEY_BYTES_MAX + 1];
        for frame in [
            frame(0x00, b"", b"", b""),
            frame(0x00, b"", &long, b""),
            frame(0x00, b"", b"k", b"value"),
            frame(0x01, &[0; 4], b"k", b"value"),
            frame(0x05, &[0; 8], b"k", b""),
            frame(0x08, &[0; 2], b"", b""),
            frame(0x0a, b"", b"k", b""),
            frame(0x0e, &[0; 8], b"k", b"value"),
            frame(0x1c, b"", b"k", b""),
            frame(0x21, b"", b"", b"value"),
        ] {
            assert_eq!(parsed(&frame), Parse::Invalid, "{:02x?}", &frame);
        }
    }

    #[test]
    fn key_longer_than_the_body_is_inconsistent() {
        let mut frame = frame(0x00, b"", b"key", b"");
        frame[11] = 2;
        assert!(!Header::read(&frame).unwrap().is_consistent());
        frame[11] = 3;
        assert!(Header::read(&frame).unwrap().is_consistent());
    }
}
