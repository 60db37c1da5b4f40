//! `incr` and `decr`.

use crate::memcached::ops::{self, CountOutcome};
use crate::memcached::parse::{Answer, Arithmetic};
use crate::memcached::session::Session;
use crate::model::Key;

const NOT_A_NUMBER: &[u8] = b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n";

/// Counts up or down.
pub(super) async fn carry_out(session: &mut Session, request: Arithmetic<'_>) {
    let Arithmetic { key, delta, direction, answer } = request;
    let key = match Key::new(key) {
        Ok(key) => key,
        Err(error) => return session.server_error(answer, &error),
    };
    let line: &[u8] = match ops::count(session, &ops::Arithmetic::new(key, direction, delta)).await
    {
        CountOutcome::To(value, _) => {
            if answer == Answer::Wanted {
                session.out.push_number(value);
                session.out.push(b"\r\n");
            }
            return;
        }
        CountOutcome::NotFound => b"NOT_FOUND\r\n",
        CountOutcome::NotANumber => NOT_A_NUMBER,
        CountOutcome::OutOfMemory => b"SERVER_ERROR out of memory in incr\r\n",
        // Not without a condition or an initial number.
        CountOutcome::Exists | CountOutcome::NotStored => b"NOT_STORED\r\n",
        CountOutcome::Failed(error) => return session.server_error(answer, &error),
    };
    session.answer(answer, line);
}
