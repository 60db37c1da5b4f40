//! `stats` and its topics.

use crate::config::Permission;
use crate::memcached::ops::{self, StatsTopic};
use crate::memcached::parse::Detail;
use crate::memcached::session::Session;

const NO_DETAIL: &[u8] = b"CLIENT_ERROR stats detail not allowed\r\n";

/// Answers a `stats` command.
pub(super) async fn carry_out(session: &mut Session, topic: StatsTopic) {
    for (name, value) in ops::stats(session, topic).await {
        for part in ["STAT ", &name, " ", &value, "\r\n"] {
            session.out.push(part.as_bytes());
        }
    }
    session.out.push(match topic {
        StatsTopic::Reset => b"RESET\r\n",
        _ => b"END\r\n",
    });
}

/// Answers `stats detail`: counts by key prefix.
pub(super) fn detail(session: &mut Session, detail: Detail) {
    let prefixes = session.door.prefixes();
    if session.door.settings().dumps == Permission::Forbidden {
        session.out.push(NO_DETAIL);
        return;
    }
    match detail {
        Detail::On => prefixes.switch_on(),
        Detail::Off => prefixes.switch_off(),
        Detail::Dump => return dump(session),
    }
    session.out.push(b"OK\r\n");
}

/// `PREFIX <prefix> get <n> hit <n> set <n> del <n>`.
fn dump(session: &mut Session) {
    for (prefix, uses) in session.door.prefixes().all() {
        session.out.push(b"PREFIX ");
        session.out.push(&prefix);
        let counts = [
            (" get ", uses.gets),
            (" hit ", uses.hits),
            (" set ", uses.sets),
            (" del ", uses.deletes),
        ];
        for (name, count) in counts {
            session.out.push(name.as_bytes());
            session.out.push_number(count);
        }
        session.out.push(b"\r\n");
    }
    session.out.push(b"END\r\n");
}
