//! Set, Add, Replace, Append and Prepend.

use bytes::Bytes;

use super::Exchange;
use super::parse::Header;
use super::reply::{self, Status};
use crate::memcached::connection::{self, Next};
use crate::memcached::ops::{self, StoreOutcome, Storing, Verb};
use crate::memcached::session::Session;

/// A request whose value is on its way.
#[derive(Debug)]
pub(in crate::memcached) enum Pending {
    /// Set, Add, Replace, Append, Prepend.
    Store(PendingStore),
    /// SASL auth or step.
    Sasl(Header),
}

impl Pending {
    /// Length of the value.
    pub(in crate::memcached) fn value_bytes(&self) -> usize {
        match self {
            Self::Store(pending) => pending.exchange.header.value_bytes(),
            Self::Sasl(header) => header.value_bytes(),
        }
    }

    /// What is next, so that it gets its value.
    pub(super) fn next(self) -> Next {
        Next::Value(Box::new(connection::Pending::Binary(self)))
    }
}

/// A storage request whose value is on its way.
#[derive(Debug)]
pub(in crate::memcached) struct PendingStore {
    exchange: Exchange,
    verb: Verb,
    storing: Storing,
}

impl Exchange {
    /// Stores a value if all of it is `behind`; the pair is flags and expiry time.
    pub(super) async fn store(
        self,
        session: &mut Session,
        verb: Verb,
        key: &[u8],
        (flags, exptime): (u32, i64),
        behind: &[u8],
    ) -> (usize, Next) {
        let value_bytes = self.header.value_bytes();
        let Some(key) = self.key(session, key) else { return (0, Next::Unwanted(value_bytes)) };
        let unique = self.header.unique;
        let stored_as = match (verb, unique) {
            // As in memcached, every storage request with a unique is a `cas`.
            (Verb::Add, Some(_)) => Verb::Set,
            _ => verb,
        };
        let storing = Storing { flags, exptime, unique, ..Storing::new(stored_as, key) };
        let pending = PendingStore { exchange: self, verb, storing };
        if value_bytes > session.door.cache().config().item_bytes_max {
            let told = ops::refuse_too_large(session, &pending.storing).await;
            pending.tell(session, told);
            return (0, Next::Unwanted(value_bytes));
        }
        match behind.get(..value_bytes) {
            Some(value) => {
                pending.store(session, Bytes::copy_from_slice(value)).await;
                (value_bytes, Next::Request)
            }
            None => (0, Pending::Store(pending.begun(session)).next()),
        }
    }
}

impl PendingStore {
    /// The same, of a value that is to be waited for: it is no newer than its request.
    fn begun(mut self, session: &Session) -> Self {
        self.storing.begun = Some(session.door.cache().claim());
        self
    }

    /// Stores the whole value.
    pub(super) async fn store(&self, session: &mut Session, value: Bytes) {
        let told = ops::store(session, &self.storing, value).await;
        self.tell(session, told);
    }

    fn tell(&self, session: &mut Session, told: StoreOutcome) {
        let status = match told {
            StoreOutcome::Stored { unique, .. } => {
                return self.exchange.succeed(session, unique, b"");
            }
            StoreOutcome::NotStored => match self.verb {
                Verb::Add => Status::Exists,
                Verb::Replace => Status::NotFound,
                Verb::Set | Verb::Append | Verb::Prepend => Status::NotStored,
            },
            StoreOutcome::Refused => Status::NotStored,
            StoreOutcome::Exists => Status::Exists,
            StoreOutcome::NotFound => Status::NotFound,
            StoreOutcome::TooLarge => Status::TooLarge,
            StoreOutcome::OutOfMemory => Status::OutOfMemory,
            StoreOutcome::Failed(error) => {
                return reply::internal_error(&mut session.out, &self.exchange.header, &error);
            }
        };
        self.exchange.fail(session, status);
    }
}
