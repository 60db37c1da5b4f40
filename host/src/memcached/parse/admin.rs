//! `flush_all`, `verbosity`, `stats` and `shutdown`.

use super::words::Words;
use super::{Answer, BAD_EXPTIME, BAD_LINE, Fault, Request, UNKNOWN, number, signed_number};
use crate::memcached::ops::StatsTopic;

const BAD_SHUTDOWN: &[u8] = b"CLIENT_ERROR invalid shutdown mode\r\n";

/// How `shutdown` is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::memcached) enum ShutdownMode {
    /// `shutdown`
    Plain,
    /// `shutdown graceful`: every shutdown of this server is.
    Graceful,
}

/// Reads `[delay] [noreply]`.
pub(super) fn flush_all(mut words: Words<'_>) -> Result<Request<'_>, Fault> {
    let answer = words.answer();
    match words.next() {
        None | Some(b"noreply") => Ok(Request::FlushAll(None, answer)),
        Some(delay) => match signed_number(delay) {
            Some(delay) => Ok(Request::FlushAll(Some(delay), answer)),
            None => Err(Fault::new(BAD_EXPTIME, answer)),
        },
    }
}

/// Reads `<level> [noreply]`.
pub(super) fn verbosity(mut words: Words<'_>) -> Result<Request<'_>, Fault> {
    let answer = words.answer();
    match words.next() {
        None => Err(Fault::new(UNKNOWN, Answer::Wanted)),
        // memcached takes it, and memcapable sends it.
        Some(b"noreply") => Ok(Request::Verbosity(answer)),
        Some(level) if number(level).is_some() => Ok(Request::Verbosity(answer)),
        Some(_) => Err(Fault::new(BAD_LINE, answer)),
    }
}

/// Reads `[topic]`. Topics about memcached's own insides are unknown here; naive clients hang
/// without an answer that ends, and `ERROR` is one.
pub(super) fn stats(mut words: Words<'_>) -> Result<Request<'_>, Fault> {
    let topic = match words.next() {
        None => Some(StatsTopic::General),
        Some(name) => StatsTopic::named(name),
    };
    topic.map(Request::Stats).ok_or(Fault::new(UNKNOWN, Answer::Wanted))
}

/// Reads `[graceful]`.
pub(super) fn shutdown(mut words: Words<'_>) -> Result<Request<'_>, Fault> {
    match words.next() {
        None => Ok(Request::Shutdown(ShutdownMode::Plain)),
        Some(b"graceful") => Ok(Request::Shutdown(ShutdownMode::Graceful)),
        Some(_) => Err(Fault::new(BAD_SHUTDOWN, Answer::Wanted)),
    }
}
