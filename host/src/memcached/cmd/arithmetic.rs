//! `incr` and `decr`.

use bytes::Bytes;

use crate::cache::{Change, Handle, UpdateError};
use crate::memcached::metrics::Count;
use crate::memcached::parse::{Answer, Arithmetic, Direction, number};
use crate::memcached::session::Session;
use crate::model::Key;

const NOT_FOUND: &[u8] = b"NOT_FOUND\r\n";
const NOT_A_NUMBER: &[u8] = b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n";
const OUT_OF_MEMORY: &[u8] = b"SERVER_ERROR out of memory in incr\r\n";

/// What became of a number.
enum Counted {
    /// It is this now.
    To(u64),
    /// There is nothing.
    Missing,
    /// The value is not a number.
    NotANumber,
}

/// Counts up, wrapping at 2^64, or down, stopping at 0.
pub(super) async fn carry_out(session: &mut Session, request: Arithmetic<'_>) {
    let Arithmetic { key, delta, direction, answer } = request;
    let key = match Key::new(key) {
        Ok(key) => key,
        Err(error) => return session.server_error(answer, &error),
    };
    let outcome = session.door.cache().update(&key, |current| count(current, delta, direction));
    match outcome.await {
        Ok((counted, _)) => tell(session, counted, direction, answer),
        Err(UpdateError::Full) => {
            session.tally.inc(Count::StoreNoMemory);
            session.answer(answer, OUT_OF_MEMORY);
        }
        Err(error) => session.server_error(answer, &error),
    }
}

fn tell(session: &mut Session, counted: Counted, direction: Direction, answer: Answer) {
    let (hits, misses) = match direction {
        Direction::Up => (Count::IncrHits, Count::IncrMisses),
        Direction::Down => (Count::DecrHits, Count::DecrMisses),
    };
    match counted {
        Counted::To(value) => {
            session.tally.inc(hits);
            if answer == Answer::Wanted {
                session.out.push_number(value);
                session.out.push(b"\r\n");
            }
        }
        Counted::Missing => {
            session.tally.inc(misses);
            session.answer(answer, NOT_FOUND);
        }
        Counted::NotANumber => session.answer(answer, NOT_A_NUMBER),
    }
}

fn count(current: Option<&Handle>, delta: u64, direction: Direction) -> (Change, Counted) {
    // A page is its origin's; a client can replace it, not compute with it.
    let Some(entry) = current.filter(|entry| entry.page().is_none()) else {
        return (Change::Keep, Counted::Missing);
    };
    let Some(value) = stored_number(entry.body()) else {
        return (Change::Keep, Counted::NotANumber);
    };
    let value = match direction {
        Direction::Up => value.wrapping_add(delta),
        Direction::Down => value.saturating_sub(delta),
    };
    (Change::Derive(digits(value, entry.body().len())), Counted::To(value))
}

/// The number that a value begins with, as memcached reads it (by `strtoull`): white space may come
/// before it, then a plus; what follows it must be white space or nothing.
fn stored_number(body: &[u8]) -> Option<u64> {
    let body = body.trim_ascii_start();
    let digits = body.strip_prefix(b"+").unwrap_or(body);
    number(digits.split(u8::is_ascii_whitespace).next()?)
}

/// A number as stored: as long as the value before it at least, filled up with spaces, because
/// memcached writes it in place.
fn digits(value: u64, len_min: usize) -> Bytes {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value).as_bytes();
    let mut body = Vec::with_capacity(digits.len().max(len_min));
    body.extend_from_slice(digits);
    body.resize(digits.len().max(len_min), b' ');
    Bytes::from(body)
}
