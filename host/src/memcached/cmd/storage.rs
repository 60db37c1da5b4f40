//! `set`, `add`, `replace`, `append`, `prepend` and `cas`.

use bytes::Bytes;

use super::meta::set::{self, SetReply};
use crate::memcached::ops::{self, StoreOutcome, Storing};
use crate::memcached::parse::{Answer, Store};
use crate::memcached::session::Session;
use crate::model::Key;

/// What memcached says to a value over the limit for items.
pub(super) const TOO_LARGE: &[u8] = b"SERVER_ERROR object too large for cache\r\n";
/// What memcached says when it may not evict.
pub(super) const OUT_OF_MEMORY: &[u8] = b"SERVER_ERROR out of memory storing object\r\n";

/// A storage command whose data is on its way.
#[derive(Debug)]
pub(in crate::memcached) struct Pending {
    storing: Storing,
    /// Length of the value.
    pub(in crate::memcached) value_bytes: usize,
    reply: Reply,
}

impl Pending {
    /// The same, of a value that is to be waited for: it is no newer than its request.
    pub(in crate::memcached) fn begun(mut self, session: &Session) -> Self {
        self.storing.begun = Some(session.door.cache().claim());
        self
    }
}

/// In which words the client is to be told what became of its value.
#[derive(Debug)]
pub(super) enum Reply {
    /// Those of `set` and its like.
    Classic(Answer),
    /// Those of `ms`.
    Meta(SetReply),
}

/// Begins a storage command. `None` where its data is not wanted; the client has been told then.
pub(in crate::memcached) async fn expect(
    session: &mut Session,
    store: &Store<'_>,
) -> Option<Pending> {
    let key = match Key::new(store.key) {
        Ok(key) => key,
        Err(error) => {
            session.server_error(store.answer, &error);
            return None;
        }
    };
    let Store { verb, flags, exptime, unique, value_bytes, answer, .. } = *store;
    let storing = Storing { flags, exptime, unique, ..Storing::new(verb, key) };
    announce(session, storing, value_bytes, Reply::Classic(answer)).await
}

/// Decides whether a value is wanted. `None` where it is not; the client has been told then.
pub(super) async fn announce(
    session: &mut Session,
    storing: Storing,
    value_bytes: usize,
    reply: Reply,
) -> Option<Pending> {
    let pending = Pending { storing, value_bytes, reply };
    if value_bytes > session.door.cache().config().item_bytes_max {
        let told = ops::refuse_too_large(session, &pending.storing).await;
        tell(session, &pending, told);
        return None;
    }
    Some(pending)
}

/// Tells the client that what followed its value is not a line end.
pub(in crate::memcached) fn refuse_bad_data(session: &mut Session, pending: &Pending) {
    let answer = match &pending.reply {
        Reply::Classic(answer) => *answer,
        // Quiet or not: errors are always told.
        Reply::Meta(_) => Answer::Wanted,
    };
    session.answer(answer, b"CLIENT_ERROR bad data chunk\r\n");
}

/// Stores a whole value.
pub(in crate::memcached) async fn carry_out(session: &mut Session, pending: Pending, value: Bytes) {
    let told = ops::store(session, &pending.storing, value).await;
    tell(session, &pending, told);
}

fn tell(session: &mut Session, pending: &Pending, told: StoreOutcome) {
    let Pending { storing, value_bytes, reply } = pending;
    let answer = match reply {
        Reply::Classic(answer) => *answer,
        Reply::Meta(reply) => return set::tell(session, reply, storing, *value_bytes, told),
    };
    let line: &[u8] = match told {
        StoreOutcome::Stored { .. } => b"STORED\r\n",
        StoreOutcome::NotStored | StoreOutcome::Refused => b"NOT_STORED\r\n",
        StoreOutcome::Exists => b"EXISTS\r\n",
        StoreOutcome::NotFound => b"NOT_FOUND\r\n",
        StoreOutcome::TooLarge => TOO_LARGE,
        StoreOutcome::OutOfMemory => OUT_OF_MEMORY,
        StoreOutcome::Failed(error) => return session.server_error(answer, &error),
    };
    session.answer(answer, line);
}
