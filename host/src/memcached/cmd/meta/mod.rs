//! `mg`, `ms`, `md`, `ma` and `me` (protocol.txt, "Meta Commands"): what they ask for, and the
//! flags of their answers.
//!
//! # Invariants
//! - Answers carry their flags in the order in which they were asked for, then `Z`, `X` and `W`.
//! - `q` hides the one answer that a client expects: a miss of `mg`, the success of all others.
//! - A key that could not stand in a line is sent back in base64, however it was stored.
//!
//! # Not here
//! What the commands do: `ops`.

mod count;
mod debug;
mod get;
mod remove;
pub(in crate::memcached) mod set;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::cache::{Bits, Cas};
use crate::memcached::parse::{Meta, MetaVerb};
use crate::memcached::reply::Output;
use crate::memcached::session::Session;
use crate::model::Expiry;

/// Carries out a meta command without a data block.
pub(super) async fn carry_out(session: &mut Session, verb: MetaVerb, meta: &Meta<'_>) {
    match verb {
        MetaVerb::Get => get::carry_out(session, meta).await,
        MetaVerb::Delete => remove::carry_out(session, meta).await,
        MetaVerb::Count(direction) => count::carry_out(session, meta, direction).await,
        MetaVerb::Debug => debug::carry_out(session, meta).await,
    }
}

/// The CAS unique that the client wants a result to have (`E`).
fn cas(meta: &Meta<'_>) -> Cas {
    meta.number(b'E').map_or(Cas::Next, Cas::Given)
}

/// What an item is marked with from its creation.
fn bits(meta: &Meta<'_>) -> Bits {
    if meta.has(b'b') { Bits::BINARY_KEY } else { Bits::NONE }
}

/// Sends a code, the opaque and the key back: the answer that has nothing else to tell.
fn tell_code(out: &mut Output, meta: &Meta<'_>, code: &[u8]) {
    out.push(code);
    for (flag, token) in meta.flags() {
        match flag {
            b'O' => push_opaque(out, token),
            b'k' => push_key(out, &meta.key, bits(meta)),
            _ => {}
        }
    }
    out.push(b"\r\n");
}

fn push_opaque(out: &mut Output, token: &[u8]) {
    out.push(b" O");
    out.push(token);
}

/// Appends a flag with a number.
fn push_flag(out: &mut Output, flag: &[u8], number: u64) {
    out.push(b" ");
    out.push(flag);
    out.push_number(number);
}

/// Appends ` k` and the key.
fn push_key(out: &mut Output, key: &[u8], bits: Bits) {
    out.push(b" k");
    if is_encoded(key, bits) {
        out.push(STANDARD.encode(key).as_bytes());
        out.push(b" b");
    } else {
        out.push(key);
    }
}

/// Whether a key is shown in base64: it was sent so, or it would end its word or its line.
fn is_encoded(key: &[u8], bits: Bits) -> bool {
    bits.has(Bits::BINARY_KEY) || key.iter().any(|byte| matches!(byte, b' ' | b'\r' | b'\n'))
}

/// Appends ` t` and the seconds until then, a begun one counting as whole; -1 for never.
fn push_ttl(out: &mut Output, expires: Expiry, now_ms: u64) {
    match expires.as_ms() {
        None => out.push(b" t-1"),
        Some(at_ms) => push_flag(out, b"t", at_ms.saturating_sub(now_ms).div_ceil(1000)),
    }
}
