//! Who may use the front door: users from a file, and what a connection has shown of itself.
//!
//! # Invariants
//! - Where there are users, a connection that has not authenticated reads and changes nothing.
//! - After [`MEMCACHED_AUTH_FAILURES_MAX`] failures, a connection is closed.
//! - No name, password or hash is ever logged, told or shown by `Debug`.
//!
//! # Not here
//! How credentials come in: text's first `set` is in `text`, SASL in `binary`.

mod file;
mod password;
mod plain;
mod users;

pub(super) use plain::plain;
pub use users::{Users, UsersError};

use super::metrics::Count;
use super::session::Session;
use crate::limits::MEMCACHED_AUTH_FAILURES_MAX;

/// What a client says to be let in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Credentials<'a> {
    /// Who it is.
    pub(super) user: &'a [u8],
    /// What only this user knows.
    pub(super) password: &'a [u8],
}

/// What a connection has shown of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    is_trusted: bool,
    failures: u32,
    /// A SASL exchange has begun and waits for its next step.
    pub(super) is_in_exchange: bool,
}

impl Standing {
    /// At the beginning; without users, everybody is trusted.
    pub(super) fn new(users: Option<&Users>) -> Self {
        Self { is_trusted: users.is_none(), failures: 0, is_in_exchange: false }
    }

    /// Whether the client may use the cache.
    pub(super) fn is_trusted(self) -> bool {
        self.is_trusted
    }
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// The client may use the cache from now on.
    Admitted,
    /// It may not, but may try again.
    Refused,
    /// It may not, and has tried often enough: the connection is to be closed.
    Banned,
}

/// Judges an attempt; `None` is one that could not be understood. Whatever the connection was
/// before, it is now what this attempt shows.
pub(super) async fn admit(
    session: &mut Session,
    credentials: Option<Credentials<'_>>,
) -> Admission {
    session.standing.is_in_exchange = false;
    session.standing.is_trusted = match (&session.door.settings().users, credentials) {
        (Some(users), Some(credentials)) => users.verify(credentials).await,
        (_, None) | (None, _) => false,
    };
    session.tally.inc(Count::AuthCmds);
    if session.standing.is_trusted {
        return Admission::Admitted;
    }
    session.tally.inc(Count::AuthErrors);
    session.standing.failures += 1;
    match session.standing.failures {
        MEMCACHED_AUTH_FAILURES_MAX.. => Admission::Banned,
        _ => Admission::Refused,
    }
}
