//! Authentication by SASL (memcached's protocol-binary, "SASL"), with the mechanism PLAIN.

use super::parse::Header;
use super::reply::{self, Status};
use super::{Pending, auth};
use crate::limits::MEMCACHED_TOKEN_BYTES_MAX;
use crate::memcached::auth::{Admission, plain};
use crate::memcached::connection::Next;
use crate::memcached::session::Session;

/// The mechanism there is.
const PLAIN: &[u8] = b"PLAIN";

/// Tells the mechanisms; without users, the request is as unknown as in memcached without SASL.
pub(super) fn mechanisms(session: &mut Session, header: &Header) {
    if session.door.settings().users.is_some() {
        reply::success(&mut session.out, header, 0, PLAIN);
    } else {
        reply::error(&mut session.out, header, Status::UnknownCommand);
    }
}

/// Begins an exchange, and ends it if the response is in the first message.
pub(super) async fn begin(
    session: &mut Session,
    header: &Header,
    mechanism: &[u8],
    behind: &[u8],
) -> (usize, Next) {
    session.standing.is_in_exchange = false;
    if session.door.settings().users.is_some() && mechanism == PLAIN && header.value_bytes() == 0 {
        // The client waits for the challenge, which is empty (RFC 4616 §2, RFC 4422 §3.3).
        session.standing.is_in_exchange = true;
        reply::auth_continue(&mut session.out, header);
        return (0, Next::Request);
    }
    receive(session, header, mechanism, behind).await
}

/// Goes on with an exchange that has begun.
pub(super) async fn go_on(
    session: &mut Session,
    header: &Header,
    mechanism: &[u8],
    behind: &[u8],
) -> (usize, Next) {
    let mechanism = if session.standing.is_in_exchange { mechanism } else { b"" };
    receive(session, header, mechanism, behind).await
}

/// Reads a response, or past it where it can't be one.
async fn receive(
    session: &mut Session,
    header: &Header,
    mechanism: &[u8],
    behind: &[u8],
) -> (usize, Next) {
    let value_bytes = header.value_bytes();
    if session.door.settings().users.is_none() {
        reply::error(&mut session.out, header, Status::UnknownCommand);
        return (0, Next::Unwanted(value_bytes));
    }
    if mechanism != PLAIN || value_bytes > MEMCACHED_TOKEN_BYTES_MAX {
        let admission = auth::admit(session, None).await;
        return match tell(session, header, admission) {
            Next::Request => (0, Next::Unwanted(value_bytes)),
            next => (0, next),
        };
    }
    match behind.get(..value_bytes) {
        Some(response) => (value_bytes, respond(session, header, response).await),
        None => (0, Pending::Sasl(*header).next()),
    }
}

/// Judges a whole response.
pub(super) async fn respond(session: &mut Session, header: &Header, response: &[u8]) -> Next {
    let admission = auth::admit(session, plain(response)).await;
    tell(session, header, admission)
}

fn tell(session: &mut Session, header: &Header, admission: Admission) -> Next {
    match admission {
        Admission::Admitted => {
            reply::success(&mut session.out, header, 0, b"Authenticated");
            Next::Request
        }
        Admission::Refused => {
            reply::error(&mut session.out, header, Status::AuthFailure);
            Next::Request
        }
        Admission::Banned => {
            reply::error(&mut session.out, header, Status::AuthFailure);
            Next::Close
        }
    }
}
