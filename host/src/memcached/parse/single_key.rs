//! `incr`, `decr`, `delete` and `touch`.

use super::retrieval::is_key;
use super::words::Words;
use super::{Answer, BAD_EXPTIME, BAD_LINE, Fault, number, signed_number};
use crate::memcached::ops::Direction;

const BAD_DELTA: &[u8] = b"CLIENT_ERROR invalid numeric delta argument\r\n";
const BAD_DELETE: &[u8] =
    b"CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n";

/// `incr <key> <delta> [noreply]` or `decr`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::memcached) struct Arithmetic<'a> {
    /// The key.
    pub(in crate::memcached) key: &'a [u8],
    /// By how much.
    pub(in crate::memcached) delta: u64,
    /// Which way.
    pub(in crate::memcached) direction: Direction,
    /// Whether to answer.
    pub(in crate::memcached) answer: Answer,
}

/// `delete <key> [0] [noreply]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::memcached) struct Delete<'a> {
    /// The key.
    pub(in crate::memcached) key: &'a [u8],
    /// Whether to answer.
    pub(in crate::memcached) answer: Answer,
}

/// `touch <key> <exptime> [noreply]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::memcached) struct Touch<'a> {
    /// The key.
    pub(in crate::memcached) key: &'a [u8],
    /// The expiry time as sent.
    pub(in crate::memcached) exptime: i64,
    /// Whether to answer.
    pub(in crate::memcached) answer: Answer,
}

/// Reads `<key> <delta> [noreply]`.
pub(super) fn arithmetic(
    mut words: Words<'_>,
    direction: Direction,
) -> Result<Arithmetic<'_>, Fault> {
    let (key, delta, answer) = key_and_word(&mut words)?;
    let delta = number(delta).ok_or(Fault::new(BAD_DELTA, answer))?;
    Ok(Arithmetic { key, delta, direction, answer })
}

/// Reads `<key> <exptime> [noreply]`.
pub(super) fn touch(mut words: Words<'_>) -> Result<Touch<'_>, Fault> {
    let (key, exptime, answer) = key_and_word(&mut words)?;
    let exptime = signed_number(exptime).ok_or(Fault::new(BAD_EXPTIME, answer))?;
    Ok(Touch { key, exptime, answer })
}

/// Reads `<key> [0] [noreply]`. A hold time other than 0 is an error, which memcapable tests, as
/// clients of old servers must not believe that it is obeyed.
pub(super) fn delete(mut words: Words<'_>) -> Result<Delete<'_>, Fault> {
    let key = words.next().filter(|key| is_key(key));
    let answer = words.answer();
    let key = key.ok_or(Fault::new(BAD_LINE, answer))?;
    let usage = Err(Fault::new(BAD_DELETE, answer));
    match (words.next(), words.next(), words.next()) {
        (None | Some(b"0" | b"noreply"), None, None) => Ok(Delete { key, answer }),
        (Some(b"0"), Some(b"noreply"), None) => Ok(Delete { key, answer }),
        _ => usage,
    }
}

fn key_and_word<'a>(words: &mut Words<'a>) -> Result<(&'a [u8], &'a [u8], Answer), Fault> {
    let (key, word) = (words.next().filter(|key| is_key(key)), words.next());
    let answer = words.answer();
    match (key, word) {
        (Some(key), Some(word)) => Ok((key, word, answer)),
        _ => Err(Fault::new(BAD_LINE, answer)),
    }
}
