//! `set`, `add`, `replace`, `append`, `prepend` and `cas`: the line before the data block.

use super::retrieval::is_key;
use super::words::Words;
use super::{Answer, BAD_LINE, Fault, number, signed_number};
use crate::memcached::ops::Verb;

/// Largest length that memcached can announce; beyond it, the line is not a storage command.
pub(super) const VALUE_BYTES_MAX: u64 = i32::MAX as u64 - 2;

/// A storage command whose data block is to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::memcached) struct Store<'a> {
    /// When to store.
    pub(in crate::memcached) verb: Verb,
    /// Under which key.
    pub(in crate::memcached) key: &'a [u8],
    /// The client's opaque 32 bits.
    pub(in crate::memcached) flags: u32,
    /// The expiry time as sent.
    pub(in crate::memcached) exptime: i64,
    /// The CAS unique that what is there must still have.
    pub(in crate::memcached) unique: Option<u64>,
    /// Length of the value, without the line end behind it.
    pub(in crate::memcached) value_bytes: usize,
    /// Whether to answer.
    pub(in crate::memcached) answer: Answer,
}

/// Reads `<key> <flags> <exptime> <bytes> [noreply]`.
pub(super) fn store(words: Words<'_>, verb: Verb) -> Result<Store<'_>, Fault> {
    fields(words, verb, |_| Some(None))
}

/// Reads `<key> <flags> <exptime> <bytes> <cas unique> [noreply]`.
pub(super) fn cas(words: Words<'_>) -> Result<Store<'_>, Fault> {
    fields(words, Verb::Set, |words| words.next().and_then(number).map(Some))
}

fn fields<'a>(
    mut words: Words<'a>,
    verb: Verb,
    unique: impl FnOnce(&mut Words<'a>) -> Option<Option<u64>>,
) -> Result<Store<'a>, Fault> {
    let answer = words.answer();
    let (key, flags) = (words.next(), words.next());
    let (exptime, value_bytes) = (words.next(), words.next());
    let value_bytes = value_bytes
        .and_then(number)
        .filter(|bytes| *bytes <= VALUE_BYTES_MAX)
        .and_then(|bytes| usize::try_from(bytes).ok());
    let unique = unique(&mut words);
    let store = || {
        Some(Store {
            verb,
            key: key.filter(|key| is_key(key))?,
            // memcached takes 2^32 and above, too, and keeps the low 32 bits.
            flags: flags.and_then(number)? as u32,
            exptime: exptime.and_then(signed_number)?,
            unique: unique?,
            value_bytes: value_bytes?,
            answer,
        })
    };
    store().ok_or(Fault {
        text: BAD_LINE,
        answer,
        // The client sends its data whatever the line looked like; it is not to be obeyed.
        swallow_bytes: value_bytes.map_or(0, |bytes| bytes + 2),
    })
}
