//! `ma` (protocol.txt, "Meta Arithmetic").

use super::{bits, cas, push_flag, push_key, push_opaque, push_ttl, tell_code};
use crate::cache::{Entry, Sight};
use crate::memcached::ops::{self, Arithmetic, CountOutcome, Direction, Initial};
use crate::memcached::parse::{Answer, Meta, signed_number};
use crate::memcached::session::Session;
use crate::model::{Expiry, Key};

const NOT_A_NUMBER: &[u8] = b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n";
const OUT_OF_MEMORY: &[u8] = b"SERVER_ERROR out of memory\r\n";

/// Counts up or down.
pub(super) async fn carry_out(session: &mut Session, meta: &Meta<'_>, direction: Direction) {
    let key = match Key::new(&meta.key) {
        Ok(key) => key,
        Err(error) => return session.server_error(Answer::Wanted, &error),
    };
    let arithmetic = Arithmetic {
        initial: initial(meta),
        // Zero compares nothing.
        unique: meta.number(b'C').filter(|unique| *unique != 0),
        exptime: meta.seconds(b'T'),
        cas: cas(meta),
        sight: Sight::WithStale,
        bits: bits(meta),
        ..Arithmetic::new(key, direction, meta.number(b'D').unwrap_or(1))
    };
    let code: &[u8] = match ops::count(session, &arithmetic).await {
        CountOutcome::To(..) if meta.has(b'q') => return,
        CountOutcome::To(value, entry) => return show(session, meta, value, entry.as_ref()),
        CountOutcome::NotFound => b"NF",
        CountOutcome::Exists => b"EX",
        CountOutcome::NotStored => b"NS",
        CountOutcome::NotANumber => return session.out.push(NOT_A_NUMBER),
        CountOutcome::OutOfMemory => return session.out.push(OUT_OF_MEMORY),
        CountOutcome::Failed(error) => return session.server_error(Answer::Wanted, &error),
    };
    tell_code(&mut session.out, meta, code);
}

/// What to begin with where nothing is; of `N` and `T`, the last says for how long.
fn initial(meta: &Meta<'_>) -> Option<Initial> {
    if !meta.has(b'N') {
        return None;
    }
    let (_, token) = meta.flags().filter(|(flag, _)| matches!(flag, b'N' | b'T')).last()?;
    let value = meta.number(b'J').unwrap_or_default();
    Some(Initial { value, exptime: signed_number(token)? })
}

/// Shows a number, and its entry unless that expired at once.
fn show(session: &mut Session, meta: &Meta<'_>, value: u64, entry: Option<&Entry>) {
    let now_ms = session.door.cache().clock().now_ms();
    let out = &mut session.out;
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value).as_bytes();
    if meta.has(b'v') {
        out.push(b"VA ");
        out.push_number(digits.len() as u64);
    } else {
        out.push(b"HD");
    }
    for (flag, token) in meta.flags() {
        match flag {
            b'c' => push_flag(out, b"c", entry.map_or(0, |entry| entry.cas())),
            b't' => {
                let expires = entry.map_or(Expiry::at_ms(now_ms), |entry| entry.expires());
                push_ttl(out, expires, now_ms);
            }
            b'k' => push_key(out, &meta.key, bits(meta)),
            b'O' => push_opaque(out, token),
            _ => {}
        }
    }
    out.push(b"\r\n");
    if meta.has(b'v') {
        out.push(digits);
        out.push(b"\r\n");
    }
}
