//! `get`, `gets`, `gat` and `gats`.

use memchr::memchr;

use super::words::Words;
use super::{Answer, BAD_EXPTIME, BAD_LINE, Fault, signed_number};
use crate::limits::MEMCACHED_KEY_BYTES_MAX;

/// Whether the CAS unique is part of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::memcached) enum Cas {
    /// `gets`, `gats`
    Shown,
    /// `get`, `gat`
    Hidden,
}

/// A retrieval of one or more keys; all keys have been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::memcached) struct Retrieve<'a> {
    keys: Words<'a>,
    /// Whether the CAS unique is wanted.
    pub(in crate::memcached) cas: Cas,
    /// The new expiry time as sent, for `gat` and `gats`.
    pub(in crate::memcached) exptime: Option<i64>,
}

impl<'a> Retrieve<'a> {
    /// The keys in the order of the request, duplicates included.
    pub(in crate::memcached) fn keys(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.keys
    }
}

/// Reads `<key>+`.
pub(super) fn get(words: Words<'_>, cas: Cas) -> Result<Retrieve<'_>, Fault> {
    Ok(Retrieve { keys: keys(words)?, cas, exptime: None })
}

/// Reads `<exptime> <key>+`.
pub(super) fn get_and_touch(mut words: Words<'_>, cas: Cas) -> Result<Retrieve<'_>, Fault> {
    let exptime = words.next();
    let keys = keys(words)?;
    let exptime = exptime.and_then(signed_number);
    let exptime = exptime.ok_or(Fault::new(BAD_EXPTIME, Answer::Wanted))?;
    Ok(Retrieve { keys, cas, exptime: Some(exptime) })
}

/// Checks every key before any is looked up: a bad one makes the whole request an error, without
/// values before it.
fn keys(words: Words<'_>) -> Result<Words<'_>, Fault> {
    let mut keys = words;
    let is_good = match keys.next() {
        None => false,
        Some(first) => is_key(first) && keys.all(is_key),
    };
    if is_good { Ok(words) } else { Err(Fault::new(BAD_LINE, Answer::Wanted)) }
}

/// Whether a word may be a key: 1 to 250 bytes, no line end within; control characters and UTF-8
/// pass.
pub(super) fn is_key(word: &[u8]) -> bool {
    word.len() <= MEMCACHED_KEY_BYTES_MAX && memchr(b'\r', word).is_none()
}
