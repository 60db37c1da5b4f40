//! `set`, `add`, `replace`, `append`, `prepend` and `cas`.

use bytes::Bytes;

use crate::memcached::ops::{self, StoreOutcome, Storing};
use crate::memcached::parse::{Answer, Store};
use crate::memcached::session::Session;
use crate::model::Key;

/// A storage command whose data is on its way.
#[derive(Debug)]
pub(in crate::memcached) struct Pending {
    storing: Storing,
    /// Length of the value.
    pub(in crate::memcached) value_bytes: usize,
    answer: Answer,
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
    let storing = Storing { verb, key, flags, exptime, unique };
    if value_bytes > session.door.cache().config().item_bytes_max {
        let told = ops::refuse_too_large(session, &storing).await;
        tell(session, told, answer);
        return None;
    }
    Some(Pending { storing, value_bytes, answer })
}

/// Tells the client that what followed its value is not a line end.
pub(in crate::memcached) fn refuse_bad_data(session: &mut Session, pending: &Pending) {
    session.answer(pending.answer, b"CLIENT_ERROR bad data chunk\r\n");
}

/// Stores a whole value.
pub(in crate::memcached) async fn carry_out(session: &mut Session, pending: Pending, value: Bytes) {
    let told = ops::store(session, &pending.storing, value).await;
    tell(session, told, pending.answer);
}

fn tell(session: &mut Session, told: StoreOutcome, answer: Answer) {
    let line: &[u8] = match told {
        StoreOutcome::Stored(_) => b"STORED\r\n",
        StoreOutcome::NotStored => b"NOT_STORED\r\n",
        StoreOutcome::Exists => b"EXISTS\r\n",
        StoreOutcome::NotFound => b"NOT_FOUND\r\n",
        StoreOutcome::TooLarge => b"SERVER_ERROR object too large for cache\r\n",
        StoreOutcome::OutOfMemory => b"SERVER_ERROR out of memory storing object\r\n",
        StoreOutcome::Failed(error) => return session.server_error(answer, &error),
    };
    session.answer(answer, line);
}
