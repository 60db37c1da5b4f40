//! `get`, `gets`, `gat` and `gats`.

use std::io;

use tokio::io::AsyncWrite;

use crate::cache::{Cas, Change, Handle, Revision, UpdateError};
use crate::memcached::exptime::{Exptime, exptime};
use crate::memcached::metrics::Count;
use crate::memcached::parse::{Answer, Retrieve};
use crate::memcached::session::Session;
use crate::model::{Key, KeyError};

/// Why a key could not be touched.
#[derive(Debug, thiserror::Error)]
pub(super) enum TouchError {
    /// The cache refused.
    #[error(transparent)]
    Update(#[from] UpdateError),
    /// The key is none.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Answers with the values found, in the order of the keys, and `END`.
pub(super) async fn carry_out<S>(
    session: &mut Session,
    stream: &mut S,
    request: Retrieve<'_>,
) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
{
    for key in request.keys() {
        session.tally.inc(Count::CmdGet);
        let found = match request.exptime {
            None => look_up(session, key).await,
            Some(seconds) => match look_up_and_touch(session, key, seconds).await {
                Ok(found) => found,
                Err(error) => {
                    session.server_error(Answer::Wanted, &error);
                    return Ok(());
                }
            },
        };
        if let Some(entry) = found {
            session.out.push_value(key, &entry, request.cas);
            if session.out.is_due() {
                session.flush(stream).await?;
            }
        }
    }
    session.out.push(b"END\r\n");
    Ok(())
}

async fn look_up(session: &mut Session, key: &[u8]) -> Option<Handle> {
    let cache = session.door.cache();
    // Before the look-up: what the client reads from its database because of a miss is newer.
    let claim = cache.claim();
    let found = match cache.peek(key) {
        None if session.door.has_tier() => cache.get(key).await,
        found => found,
    };
    match &found {
        Some(entry) => {
            entry.note_read(cache.clock().now_ms());
            session.tally.inc(Count::GetHits);
        }
        None => {
            session.tally.inc(Count::GetMisses);
            session.misses.note(key, claim);
        }
    }
    found
}

async fn look_up_and_touch(
    session: &mut Session,
    key: &[u8],
    seconds: i64,
) -> Result<Option<Handle>, TouchError> {
    let claim = session.door.cache().claim();
    let found = retime(session, key, seconds).await?;
    session.tally.inc(Count::CmdTouch);
    if found.is_some() {
        session.tally.inc(Count::TouchHits);
    } else {
        session.tally.inc(Count::TouchMisses);
        session.tally.inc(Count::GetMisses);
        session.misses.note(key, claim);
    }
    Ok(found)
}

/// Gives the entry of a key a new expiry time. Returns the entry as it was, if there was one.
pub(super) async fn retime(
    session: &Session,
    key: &[u8],
    seconds: i64,
) -> Result<Option<Handle>, TouchError> {
    let cache = session.door.cache();
    let key = Key::new(key)?;
    let now_ms = cache.clock().now_ms();
    let outcome = cache.update(&key, |current| {
        let change = match exptime(seconds, now_ms) {
            _ if current.is_none() => Change::Keep,
            Exptime::Until(expiry) => Change::Revise(Revision {
                expires: Some(expiry),
                cas: Cas::Same,
                ..Revision::default()
            }),
            Exptime::Past => Change::Remove,
        };
        (change, current.cloned())
    });
    let (found, _) = outcome.await?;
    Ok(found)
}
