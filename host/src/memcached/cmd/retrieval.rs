//! `get`, `gets`, `gat` and `gats`.

use std::io;

use tokio::io::AsyncWrite;

use crate::cache::{Entry, UpdateError};
use crate::memcached::ops;
use crate::memcached::parse::{Answer, Retrieve};
use crate::memcached::session::Session;
use crate::model::{Key, KeyError};

/// Why a key could not be touched.
#[derive(Debug, thiserror::Error)]
enum TouchError {
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
        let found = match request.exptime {
            None => ops::look_up(session, key).await,
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

async fn look_up_and_touch(
    session: &mut Session,
    key: &[u8],
    seconds: i64,
) -> Result<Option<Entry>, TouchError> {
    Ok(ops::look_up_and_touch(session, &Key::new(key)?, seconds).await?)
}
