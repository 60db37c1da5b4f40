//! `md` (protocol.txt, "Meta Delete").

use super::{cas, tell_code};
use crate::memcached::ops::{self, DeleteOutcome, Outdating, Remnant};
use crate::memcached::parse::{Answer, Meta};
use crate::memcached::session::Session;
use crate::model::Key;

/// Deletes an item, marks it as outdated (`I`), or empties it (`x`).
pub(super) async fn carry_out(session: &mut Session, meta: &Meta<'_>) {
    let key = match Key::new(&meta.key) {
        Ok(key) => key,
        Err(error) => return session.server_error(Answer::Wanted, &error),
    };
    let unique = meta.number(b'C');
    let outcome = match remnant(meta) {
        None => ops::delete(session, &key, unique).await,
        Some(remnant) => {
            let (exptime, cas) = (meta.seconds(b'T'), cas(meta));
            ops::outdate(session, &Outdating { key, unique, remnant, exptime, cas }).await
        }
    };
    let code: &[u8] = match outcome {
        DeleteOutcome::Deleted if meta.has(b'q') => return,
        DeleteOutcome::Deleted => b"HD",
        DeleteOutcome::NotFound => b"NF",
        DeleteOutcome::Exists => b"EX",
        DeleteOutcome::NotDurable(error) => return session.server_error(Answer::Wanted, &error),
        DeleteOutcome::Failed(error) => return session.server_error(Answer::Wanted, &error),
    };
    tell_code(&mut session.out, meta, code);
}

/// What is to be left of the item; `None` for nothing.
fn remnant(meta: &Meta<'_>) -> Option<Remnant> {
    // The parser has seen to it that it fits.
    let flags = meta.number(b'F').and_then(|flags| u32::try_from(flags).ok()).unwrap_or_default();
    match (meta.has(b'I'), meta.has(b'x')) {
        (false, false) => None,
        (true, false) => Some(Remnant::Stale),
        (false, true) => Some(Remnant::Empty { flags }),
        (true, true) => Some(Remnant::StaleAndEmpty { flags }),
    }
}
