//! The text protocol on a connection: lines, and the values behind them.
//!
//! # Invariants
//! - A line that is not understood has its data swallowed, so that the next line is a command.
//! - Before authentication, a `set` hands over credentials, and every other line is refused.
//!
//! # Not here
//! The grammar is in `parse`, what commands do in `cmd`.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use super::auth::{Admission, Credentials, admit};
use super::cmd;
use super::connection::{self, Next, Step};
use super::ops::Verb;
use super::parse::{Answer, Parse, Request, parse};
use super::session::Session;
use crate::limits::{MEMCACHED_LINE_BYTES_MAX, MEMCACHED_TOKEN_BYTES_MAX};

/// The line end behind a value.
pub(super) const LINE_END_BYTES: usize = 2;

/// Where the line of a client that is to authenticate ends at the latest, its line end included.
const STRANGERS_LINE_END: usize = MEMCACHED_LINE_BYTES_MAX + LINE_END_BYTES;

const UNAUTHENTICATED: &[u8] = b"CLIENT_ERROR unauthenticated\r\n";
const AUTH_FAILURE: &[u8] = b"CLIENT_ERROR authentication failure\r\n";
const BAD_TOKEN: &[u8] = b"CLIENT_ERROR bad authentication token format\r\n";
const BAD_TERMINATION: &[u8] = b"CLIENT_ERROR bad command line termination\r\n";

/// A command whose value is on its way.
#[derive(Debug)]
pub(super) enum Pending {
    /// A storage command.
    Store(cmd::storage::Pending),
    /// `set` of a client that is to authenticate: so many bytes.
    Token(usize),
}

impl Pending {
    /// Length of the value, without the line end behind it.
    pub(super) fn value_bytes(&self) -> usize {
        match self {
            Self::Store(pending) => pending.value_bytes,
            Self::Token(bytes) => *bytes,
        }
    }
}

/// Carries out the first line of what is unread, of which `scanned` bytes hold no line end; `None`
/// if it is not whole.
pub(super) async fn step<S>(
    session: &mut Session,
    stream: &mut S,
    unread: &[u8],
    scanned: usize,
) -> io::Result<Option<Step>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if !session.standing.is_trusted() {
        return Ok(knock(session, unread, scanned).await);
    }
    let step = match parse(unread, scanned) {
        Parse::Incomplete => return Ok(None),
        Parse::Foreign => Step::CLOSE,
        Parse::Invalid(fault, consumed) => {
            session.answer(fault.answer, fault.text);
            Step { consumed, next: Next::Unwanted(fault.swallow_bytes) }
        }
        Parse::Parsed(Request::Store(store), consumed) => {
            let behind = unread.get(consumed..).unwrap_or_default();
            let pending = cmd::storage::expect(session, &store).await;
            let (taken, next) = begin_store(session, pending, store.value_bytes, behind).await;
            Step { consumed: consumed + taken, next }
        }
        Parse::Parsed(Request::MetaSet(set), consumed) => {
            let behind = unread.get(consumed..).unwrap_or_default();
            let pending = cmd::meta::set::expect(session, &set).await;
            let (taken, next) = begin_store(session, pending, set.value_bytes, behind).await;
            Step { consumed: consumed + taken, next }
        }
        Parse::Parsed(request, consumed) => {
            match cmd::carry_out(session, stream, request).await?.is_break() {
                true => Step::CLOSE,
                false => Step { consumed, next: Next::Request },
            }
        }
    };
    Ok(Some(step))
}

/// Takes a whole value and the line end behind it, and says what is next.
pub(super) async fn finish(
    session: &mut Session,
    pending: Pending,
    value: Vec<u8>,
    end: &[u8],
) -> Next {
    match pending {
        Pending::Store(pending) => {
            store_value(session, pending, end, || Bytes::from(value)).await;
            Next::Request
        }
        Pending::Token(_) => authenticate(session, &value, end).await,
    }
}

/// Stores a value if all of it lies `behind` its line; one that is not pending is not wanted.
/// Returns how much of what is behind was taken, and what is next.
async fn begin_store(
    session: &mut Session,
    pending: Option<cmd::storage::Pending>,
    value_bytes: usize,
    behind: &[u8],
) -> (usize, Next) {
    let bytes = value_bytes + LINE_END_BYTES;
    let Some(pending) = pending else { return (0, Next::Unwanted(bytes)) };
    let Some((value, end)) = whole_value(behind, value_bytes) else {
        return (0, next_value(Pending::Store(pending.begun(session))));
    };
    store_value(session, pending, end, || Bytes::copy_from_slice(value)).await;
    (bytes, Next::Request)
}

fn next_value(pending: Pending) -> Next {
    Next::Value(Box::new(connection::Pending::Text(pending)))
}

/// A value and the bytes of the line end behind it, if all of it is there.
fn whole_value(bytes: &[u8], value_bytes: usize) -> Option<(&[u8], &[u8])> {
    let (value, rest) = bytes.split_at_checked(value_bytes)?;
    Some((value, rest.get(..LINE_END_BYTES)?))
}

/// Stores a whole value, if what follows it is a line end.
async fn store_value(
    session: &mut Session,
    pending: cmd::storage::Pending,
    end: &[u8],
    value: impl FnOnce() -> Bytes,
) {
    if end == b"\r\n" {
        cmd::storage::carry_out(session, pending, value()).await;
    } else {
        cmd::storage::refuse_bad_data(session, &pending);
    }
}

/// A line before authentication (memcached's `try_read_command_asciiauth`). Answered in any case:
/// a client that is not let in must not believe that it was.
async fn knock(session: &mut Session, unread: &[u8], scanned: usize) -> Option<Step> {
    let (consumed, swallowed) = match parse(unread, scanned) {
        // Not even a long retrieval is waited for, nor taken if it is there: how the bytes were
        // split makes no difference.
        Parse::Incomplete if unread.len() >= STRANGERS_LINE_END => return Some(Step::CLOSE),
        Parse::Parsed(_, end) | Parse::Invalid(_, end) if end > STRANGERS_LINE_END => {
            return Some(Step::CLOSE);
        }
        Parse::Incomplete => return None,
        Parse::Foreign => return Some(Step::CLOSE),
        Parse::Invalid(fault, consumed) => (consumed, fault.swallow_bytes),
        Parse::Parsed(Request::Store(store), consumed) => {
            if store.verb == Verb::Set && store.unique.is_none() {
                let behind = unread.get(consumed..).unwrap_or_default();
                let (taken, next) = expect_token(session, store.value_bytes, behind).await;
                return Some(Step { consumed: consumed + taken, next });
            }
            (consumed, store.value_bytes + LINE_END_BYTES)
        }
        Parse::Parsed(Request::MetaSet(set), consumed) => {
            (consumed, set.value_bytes + LINE_END_BYTES)
        }
        Parse::Parsed(_, consumed) => (consumed, 0),
    };
    session.answer(Answer::Wanted, UNAUTHENTICATED);
    Some(Step { consumed, next: Next::Unwanted(swallowed) })
}

/// Reads credentials if all of them lie `behind` their line.
async fn expect_token(session: &mut Session, value_bytes: usize, behind: &[u8]) -> (usize, Next) {
    let bytes = value_bytes + LINE_END_BYTES;
    if value_bytes > MEMCACHED_TOKEN_BYTES_MAX {
        return match refuse(session, BAD_TOKEN).await {
            Next::Request => (0, Next::Unwanted(bytes)),
            next => (0, next),
        };
    }
    match whole_value(behind, value_bytes) {
        Some((value, end)) => (bytes, authenticate(session, value, end).await),
        None => (0, next_value(Pending::Token(value_bytes))),
    }
}

/// Judges `user password`.
async fn authenticate(session: &mut Session, token: &[u8], end: &[u8]) -> Next {
    if end != b"\r\n" {
        return refuse(session, BAD_TERMINATION).await;
    }
    let mut words = token.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let (Some(user), Some(password)) = (words.next(), words.next()) else {
        return refuse(session, BAD_TOKEN).await;
    };
    let admission = admit(session, Some(Credentials { user, password })).await;
    tell(session, admission, AUTH_FAILURE)
}

/// Notes an attempt that was not understood.
async fn refuse(session: &mut Session, line: &[u8]) -> Next {
    let admission = admit(session, None).await;
    tell(session, admission, line)
}

fn tell(session: &mut Session, admission: Admission, failure: &[u8]) -> Next {
    let (line, next): (&[u8], _) = match admission {
        Admission::Admitted => (b"STORED\r\n", Next::Request),
        Admission::Refused => (failure, Next::Request),
        Admission::Banned => (failure, Next::Close),
    };
    session.answer(Answer::Wanted, line);
    next
}
