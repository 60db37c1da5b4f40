//! `mg`, `ms`, `md`, `ma`, `mn` and `me`: one key, and flags of one letter with or without a token
//! (protocol.txt, "Meta Commands").
//!
//! # Invariants
//! - Flags are one set for all commands, as in memcached: one that says nothing to a command is
//!   ignored by it, but its token is still checked.
//! - Errors are memcached's, in its order: of several bad tokens the last is told, but a flag that
//!   is unknown or sent twice ends the reading.
//! - What follows a bad `ms` line is swallowed if its length could be read.
//!
//! # Not here
//! Whether tags are good: the answer names the bad one, and so can't be a constant.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::retrieval::is_key;
use super::storage::VALUE_BYTES_MAX;
use super::words::Words;
use super::{Answer, BAD_LINE, Fault, number, signed_number};
use crate::limits::{MEMCACHED_META_WORDS_MAX, MEMCACHED_OPAQUE_BYTES_MAX};
use crate::memcached::ops::{Direction, Verb};

const BAD_TOKEN: &[u8] = b"CLIENT_ERROR bad token in command line format\r\n";
const BAD_KEY: &[u8] = b"CLIENT_ERROR error decoding key\r\n";
const BAD_INITIAL: &[u8] = b"CLIENT_ERROR invalid numeric initial value\r\n";
const BAD_DELTA: &[u8] = b"CLIENT_ERROR invalid numeric delta value\r\n";
const BAD_SET_MODE: &[u8] = b"CLIENT_ERROR invalid mode for ms M token\r\n";
const BAD_COUNT_MODE: &[u8] = b"CLIENT_ERROR invalid mode for ma M token\r\n";
const BAD_COUNT_FLAG: &[u8] = b"CLIENT_ERROR invalid or duplicate flag\r\n";
const DUPLICATE_FLAG: &[u8] = b"CLIENT_ERROR duplicate flag\r\n";
const UNKNOWN_FLAG: &[u8] = b"CLIENT_ERROR invalid flag\r\n";
const TOO_MANY_FLAGS: &[u8] = b"CLIENT_ERROR options flags are too long\r\n";
const LONG_OPAQUE: &[u8] = b"CLIENT_ERROR opaque token too long\r\n";

/// Words of an `mg`, `md` or `ma` line before its flags: the command and the key.
const WORDS_BEFORE_FLAGS: usize = 2;

/// What a meta command without a data block asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::memcached) enum MetaVerb {
    /// `mg`
    Get,
    /// `md`
    Delete,
    /// `ma`
    Count(Direction),
    /// `me`
    Debug,
}

/// A key and its flags; tokens have been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::memcached) struct Meta<'a> {
    /// The key, decoded if it was sent in base64.
    pub(in crate::memcached) key: Cow<'a, [u8]>,
    flags: Words<'a>,
    seen: Letters,
}

/// `ms`; the data block follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::memcached) struct MetaSet<'a> {
    /// When to store (`M`).
    pub(in crate::memcached) verb: Verb,
    /// Length of the value, without the line end behind it.
    pub(in crate::memcached) value_bytes: usize,
    /// The key and all flags.
    pub(in crate::memcached) meta: Meta<'a>,
}

impl<'a> Meta<'a> {
    /// Flags and their tokens in the order in which they were sent, which is that of the answer.
    pub(in crate::memcached) fn flags(&self) -> impl Iterator<Item = (u8, &'a [u8])> + use<'a> {
        self.flags.filter_map(|word| word.split_first().map(|(flag, token)| (*flag, token)))
    }

    /// Whether a flag was sent.
    pub(in crate::memcached) fn has(&self, flag: u8) -> bool {
        self.seen.has(flag)
    }

    /// The token of a flag that was sent.
    pub(in crate::memcached) fn token(&self, flag: u8) -> Option<&'a [u8]> {
        if !self.has(flag) {
            return None;
        }
        self.flags().find(|(sent, _)| *sent == flag).map(|(_, token)| token)
    }

    /// The number of a flag that was sent: `C`, `D`, `E`, `F`, `J`.
    pub(in crate::memcached) fn number(&self, flag: u8) -> Option<u64> {
        self.token(flag).and_then(number)
    }

    /// The time of a flag that was sent, as sent: `N`, `R`, `T`.
    pub(in crate::memcached) fn seconds(&self, flag: u8) -> Option<i64> {
        self.token(flag).and_then(signed_number)
    }
}

/// Reads `<key> <flags>*` of `mg`, `md` and `ma`.
pub(super) fn command<'a>(words: Words<'a>, verb: MetaVerb) -> Result<(MetaVerb, Meta<'a>), Fault> {
    let is_count = matches!(verb, MetaVerb::Count(_));
    let meta = key_and_flags(words, WORDS_BEFORE_FLAGS).map_err(|text| match text {
        Bad::Line => BAD_LINE,
        Bad::Flags(_) if is_count => BAD_COUNT_FLAG,
        Bad::Flags(text) => text,
    });
    let meta = meta.map_err(|text| Fault::new(text, Answer::Wanted))?;
    let verb = match (verb, meta.mode()) {
        (MetaVerb::Count(_), Mode::Sent(b'I' | b'+')) => MetaVerb::Count(Direction::Up),
        (MetaVerb::Count(_), Mode::Sent(b'D' | b'-')) => MetaVerb::Count(Direction::Down),
        (MetaVerb::Count(_), Mode::Sent(_) | Mode::Empty) => {
            return Err(Fault::new(BAD_COUNT_MODE, Answer::Wanted));
        }
        (verb, _) => verb,
    };
    meta.check_opaque().map_err(|text| Fault::new(text, Answer::Wanted))?;
    Ok((verb, meta))
}

/// Reads `<key> <datalen> <flags>*`.
pub(super) fn set(mut words: Words<'_>) -> Result<MetaSet<'_>, Fault> {
    let (key, value_bytes) = (words.next(), words.next());
    let value_bytes = value_bytes
        .and_then(number)
        .filter(|bytes| *bytes <= VALUE_BYTES_MAX)
        .and_then(|bytes| usize::try_from(bytes).ok());
    let (Some(key), Some(value_bytes)) = (key, value_bytes) else {
        return Err(Fault::new(BAD_LINE, Answer::Wanted));
    };
    let read = || {
        let meta = flags(key, words, WORDS_BEFORE_FLAGS + 1).map_err(Bad::text)?;
        let verb = match meta.mode() {
            Mode::Unsent | Mode::Sent(b'S') => Verb::Set,
            Mode::Sent(b'E') => Verb::Add,
            Mode::Sent(b'A') => Verb::Append,
            Mode::Sent(b'P') => Verb::Prepend,
            Mode::Sent(b'R') => Verb::Replace,
            Mode::Sent(_) | Mode::Empty => return Err(BAD_SET_MODE),
        };
        meta.check_opaque()?;
        Ok(MetaSet { verb, value_bytes, meta })
    };
    // The client sends its data whatever the line looked like; it is not to be obeyed.
    let swallow_bytes = value_bytes + 2;
    read().map_err(|text| Fault { text, answer: Answer::Wanted, swallow_bytes })
}

/// Reads `<key> [b]`. memcached looks at no other flag.
pub(super) fn debug(mut words: Words<'_>) -> Result<(MetaVerb, Meta<'_>), Fault> {
    let bad_line = Fault::new(BAD_LINE, Answer::Wanted);
    let Some(key) = words.next().filter(|key| is_key(key)) else { return Err(bad_line) };
    let mut seen = Letters::default();
    let key = match words.next() {
        Some(b"b") => {
            seen.add(b'b');
            decoded(key).ok_or(bad_line)?
        }
        _ => Cow::Borrowed(key),
    };
    Ok((MetaVerb::Debug, Meta { key, flags: Words::new(b""), seen }))
}

/// Why a line can't be read.
enum Bad {
    /// It is not of the form of a meta command.
    Line,
    /// Its key or its flags are wrong.
    Flags(&'static [u8]),
}

impl Bad {
    fn text(self) -> &'static [u8] {
        match self {
            Self::Line => BAD_LINE,
            Self::Flags(text) => text,
        }
    }
}

fn key_and_flags(mut words: Words<'_>, words_before: usize) -> Result<Meta<'_>, Bad> {
    let key = words.next().ok_or(Bad::Line)?;
    flags(key, words, words_before)
}

/// Checks a key and the flags behind it. In the line, they come after so many words.
fn flags<'a>(key: &'a [u8], words: Words<'a>, words_before: usize) -> Result<Meta<'a>, Bad> {
    let is_letter = |word: &[u8]| matches!(word.first(), Some(b'0'..=b'9' | b'A'..=b'z'));
    let mut rest = words;
    if !rest.all(is_letter) {
        return Err(Bad::Line);
    }
    if !is_key(key) {
        return Err(Bad::Flags(BAD_LINE));
    }
    if words_before + words.count() > MEMCACHED_META_WORDS_MAX {
        return Err(Bad::Flags(TOO_MANY_FLAGS));
    }
    let mut meta = Meta { key: Cow::Borrowed(key), flags: words, seen: Letters::default() };
    let mut bad = None;
    for (flag, token) in meta.flags() {
        if meta.has(flag) {
            return Err(Bad::Flags(DUPLICATE_FLAG));
        }
        meta.seen.add(flag);
        let is_bad = match flag {
            b'b' => match decoded(key) {
                Some(decoded) => {
                    meta.key = decoded;
                    false
                }
                None => true,
            },
            b'N' | b'R' | b'T' => signed_number(token).is_none(),
            b'C' | b'E' | b'D' | b'J' => number(token).is_none(),
            b'F' => number(token).is_none_or(|flags| u32::try_from(flags).is_err()),
            b'I' | b'L' | b'M' | b'O' | b'P' | b'c' | b'f' | b'h' | b'k' | b'l' | b'q' | b's'
            | b't' | b'u' | b'v' | b'x' => false,
            _ => return Err(Bad::Flags(UNKNOWN_FLAG)),
        };
        if is_bad {
            bad = Some(match flag {
                b'b' => BAD_KEY,
                b'D' => BAD_DELTA,
                b'J' => BAD_INITIAL,
                // It has no text of its own, and takes nobody's.
                b'F' => bad.unwrap_or(BAD_LINE),
                _ => BAD_TOKEN,
            });
        }
    }
    match bad {
        None => Ok(meta),
        Some(text) => Err(Bad::Flags(text)),
    }
}

/// A key that was sent in base64; every key has one spelling.
fn decoded(key: &[u8]) -> Option<Cow<'static, [u8]>> {
    STANDARD.decode(key).ok().filter(|key| !key.is_empty()).map(Cow::Owned)
}

/// The token of `M`.
enum Mode {
    /// There is none.
    Unsent,
    /// `M` alone.
    Empty,
    /// Its first letter; memcached looks no further.
    Sent(u8),
}

impl Meta<'_> {
    fn mode(&self) -> Mode {
        match self.token(b'M') {
            None => Mode::Unsent,
            Some([]) => Mode::Empty,
            Some([letter, ..]) => Mode::Sent(*letter),
        }
    }

    fn check_opaque(&self) -> Result<(), &'static [u8]> {
        match self.token(b'O') {
            Some(opaque) if opaque.len() > MEMCACHED_OPAQUE_BYTES_MAX => Err(LONG_OPAQUE),
            _ => Ok(()),
        }
    }
}

/// Which letters were seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Letters(u64);

impl Letters {
    fn add(&mut self, letter: u8) {
        self.0 |= Self::bit(letter);
    }

    fn has(self, letter: u8) -> bool {
        self.0 & Self::bit(letter) != 0
    }

    /// No bit for what is before `A`; it is no flag.
    fn bit(letter: u8) -> u64 {
        letter.checked_sub(b'A').map_or(0, |index| 1_u64.checked_shl(index.into()).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests;
