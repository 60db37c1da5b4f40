//! `stats` and its topics.

use crate::memcached::ops::{self, StatsTopic};
use crate::memcached::session::Session;

/// Answers a `stats` command.
pub(super) fn carry_out(session: &mut Session, topic: StatsTopic) {
    for (name, value) in ops::stats(session, topic) {
        for part in ["STAT ", name, " ", &value, "\r\n"] {
            session.out.push(part.as_bytes());
        }
    }
    session.out.push(match topic {
        StatsTopic::Reset => b"RESET\r\n",
        _ => b"END\r\n",
    });
}
