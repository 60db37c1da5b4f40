//! The text of watchers' lines (memcached's logger.c): `name=value` pairs, keys URI-encoded.
//!
//! # Not here
//! Slab classes: there is one for everything, `clsid=1`; what is not stored has none, `clsid=0`.

use std::io::Write;

use crate::cache::Entry;
use crate::memcached::connections::Seat;
use crate::memcached::encode::push_uri_encoded;

/// Appends the time, in seconds with microseconds, and the number of a line.
pub(super) fn begin(line: &mut Vec<u8>, now_ms: u64, number: u64) {
    let (seconds, ms) = (now_ms / 1000, now_ms % 1000);
    push(line, format_args!("ts={seconds}.{ms:03}000 gid={number} "));
}

/// Appending to memory can't fail.
fn push(line: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let _ = line.write_fmt(text);
}

fn push_key(line: &mut Vec<u8>, kind: &str, key: &[u8]) {
    push(line, format_args!("type={kind} key="));
    push_uri_encoded(line, key);
}

/// A client looked a key up.
#[derive(Debug)]
pub(in crate::memcached) struct Fetch<'a> {
    /// The key.
    pub(in crate::memcached) key: &'a [u8],
    /// What was found.
    pub(in crate::memcached) found: Option<&'a Entry>,
    /// The connection's number.
    pub(in crate::memcached) connection: usize,
}

impl Fetch<'_> {
    /// Appends `type=item_get`.
    pub(in crate::memcached) fn push(&self, line: &mut Vec<u8>) {
        push_key(line, "item_get", self.key);
        let (status, class) = match self.found {
            Some(_) => ("found", 1),
            None => ("not_found", 0),
        };
        let (cfd, size) = (self.connection, self.found.map_or(0, |entry| entry.body().len()));
        push(line, format_args!(" status={status} clsid={class} cfd={cfd} size={size}"));
    }
}

/// A client stored a value, or tried to.
#[derive(Debug)]
pub(in crate::memcached) struct Mutation<'a> {
    /// The key.
    pub(in crate::memcached) key: &'a [u8],
    /// What became of it: `stored not_stored exists not_found too_large no_memory`.
    pub(in crate::memcached) status: &'static str,
    /// The command: `set add replace append prepend cas`.
    pub(in crate::memcached) command: &'static str,
    /// Seconds until it expires; 0 for never.
    pub(in crate::memcached) ttl_s: u64,
    /// The connection's number.
    pub(in crate::memcached) connection: usize,
    /// Length of the value.
    pub(in crate::memcached) value_bytes: usize,
}

impl Mutation<'_> {
    /// Appends `type=item_store`.
    pub(in crate::memcached) fn push(&self, line: &mut Vec<u8>) {
        let Self { key, status, command, ttl_s, connection, value_bytes } = self;
        push_key(line, "item_store", key);
        push(line, format_args!(" status={status} cmd={command} ttl={ttl_s} clsid=1"));
        push(line, format_args!(" cfd={connection} size={value_bytes}"));
    }
}

/// A client deleted what was there.
#[derive(Debug)]
pub(in crate::memcached) struct Deletion<'a> {
    /// The key.
    pub(in crate::memcached) key: &'a [u8],
    /// Length of the value that was there.
    pub(in crate::memcached) value_bytes: usize,
}

impl Deletion<'_> {
    /// Appends `type=deleted`.
    pub(in crate::memcached) fn push(&self, line: &mut Vec<u8>) {
        push_key(line, "deleted", self.key);
        push(line, format_args!(" cmd=delete clsid=1 size={}", self.value_bytes));
    }
}

/// Appends `type=eviction`.
pub(in crate::memcached) fn eviction(line: &mut Vec<u8>, entry: &Entry, now_ms: u64) {
    push_key(line, "eviction", entry.key());
    let fetch = match entry.bits().has(crate::cache::Bits::FETCHED) {
        true => "yes",
        false => "no",
    };
    push(line, format_args!(" fetch={fetch} ttl="));
    match entry.expires().as_ms() {
        Some(until_ms) => push(line, format_args!("{}", until_ms.saturating_sub(now_ms) / 1000)),
        None => push(line, format_args!("-1")),
    }
    let idle_s = (now_ms / 1000).saturating_sub(u64::from(entry.accessed_s()));
    push(line, format_args!(" la={idle_s} clsid=1 size={}", entry.body().len()));
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::memcached) enum CloseReason {
    /// Reading or writing failed.
    Error,
    /// The client went, or was not memcached's.
    Normal,
    /// The client was idle.
    Idle,
    /// The server stops.
    Shutdown,
}

impl CloseReason {
    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Normal => "normal",
            Self::Idle => "idle_timeout",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Appends `type=conn_new`, or `type=conn_close` where there is a reason.
pub(in crate::memcached) fn connection(
    line: &mut Vec<u8>,
    seat: &Seat,
    closed: Option<CloseReason>,
) {
    let (ends, number) = (seat.ends(), seat.number());
    let kind = if closed.is_some() { "conn_close" } else { "conn_new" };
    push(line, format_args!("type={kind} "));
    match ends.peer {
        Some(peer) => push(line, format_args!("rip={} rport={}", peer.ip(), peer.port())),
        None => push(line, format_args!("rip=unix rport=0")),
    }
    push(line, format_args!(" transport={}", ends.transport()));
    if let Some(reason) = closed {
        push(line, format_args!(" reason={}", reason.name()));
    }
    push(line, format_args!(" cfd={number}"));
}
