//! Listing keys: `lru_crawler metadump`, `lru_crawler mgdump` and `stats cachedump`.
//!
//! Commands that came before on the connection are answered before, and those behind after; where
//! memcached refuses a dump that is not the first command, this server does not.
//!
//! # Invariants
//! - Goes through memory part by part, and waits for the client between: neither the memory is held
//!   up, nor is more of a listing kept than one batch of replies.
//! - Lists what was stored throughout; may or may not list the rest. A key is listed once, also
//!   where a page has several variants.
//! - What is listed by `mgdump` and `cachedump` can be asked for: keys that are too long for
//!   memcached (pages have such) are left to `metadump`.

use std::io;
use std::ops::ControlFlow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tokio::io::AsyncWrite;

use crate::cache::{Bits, Cache, Entry};
use crate::config::Permission;
use crate::limits::MEMCACHED_KEY_BYTES_MAX;
use crate::memcached::connections::State;
use crate::memcached::encode::push_uri_encoded;
use crate::memcached::parse::{Classes, Dump};
use crate::memcached::reply::Output;
use crate::memcached::session::Session;

const NO_METADUMP: &[u8] = b"ERROR metadump not allowed\r\n";
const NO_MGDUMP: &[u8] = b"ERROR key dump not allowed\r\n";
const NO_CACHEDUMP: &[u8] = b"CLIENT_ERROR stats cachedump not allowed\r\n";

/// Whether a key is to be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Pushed,
    LeftOut,
}

/// Appends the line of an entry.
type PushLine = fn(&mut Vec<u8>, &Entry) -> Line;

/// Answers `lru_crawler metadump` or `mgdump`. Breaks when the server stops.
pub(super) async fn carry_out<S>(
    session: &mut Session,
    stream: &mut S,
    dump: Dump,
    classes: Classes,
) -> io::Result<ControlFlow<()>>
where
    S: AsyncWrite + Unpin,
{
    let (refusal, push_line, end): (_, PushLine, &[u8]) = match dump {
        Dump::Meta => (NO_METADUMP, push_meta, b"END\r\n"),
        Dump::MetaGet => (NO_MGDUMP, push_meta_get, b"EN\r\n"),
    };
    if session.door.settings().dumps == Permission::Forbidden {
        session.out.push(refusal);
        return Ok(ControlFlow::Continue(()));
    }
    session.out.push(b"OK\r\n");
    let flow = match classes {
        Classes::Stored => list(session, stream, u64::MAX, push_line).await?,
        Classes::Empty => ControlFlow::Continue(()),
    };
    session.out.push(end);
    Ok(flow)
}

/// Answers `stats cachedump`, `limit` keys at most, or all for 0. Breaks when the server stops.
pub(super) async fn cache_dump<S>(
    session: &mut Session,
    stream: &mut S,
    classes: Classes,
    limit: u64,
) -> io::Result<ControlFlow<()>>
where
    S: AsyncWrite + Unpin,
{
    if session.door.settings().dumps == Permission::Forbidden {
        session.out.push(NO_CACHEDUMP);
        return Ok(ControlFlow::Continue(()));
    }
    let limit = if limit == 0 { u64::MAX } else { limit };
    let flow = match classes {
        Classes::Stored => list(session, stream, limit, push_item).await?,
        Classes::Empty => ControlFlow::Continue(()),
    };
    session.out.push(b"END\r\n");
    Ok(flow)
}

async fn list<S>(
    session: &mut Session,
    stream: &mut S,
    limit: u64,
    push_line: PushLine,
) -> io::Result<ControlFlow<()>>
where
    S: AsyncWrite + Unpin,
{
    let state = session.seat.enter(State::Watch);
    let cache = session.door.cache().clone();
    let mut left = limit;
    let mut line = Vec::new();
    for part in 0..cache.shards() {
        if session.door.tasks().is_stopping() {
            return Ok(ControlFlow::Break(()));
        }
        let mut last: Option<Entry> = None;
        for entry in cache.shard_entries(part) {
            if left == 0 {
                break;
            }
            // Variants of a page stand one behind the other.
            if last.as_ref().is_some_and(|last| last.key() == entry.key()) {
                continue;
            }
            line.clear();
            if push_line(&mut line, &entry) == Line::Pushed {
                left -= 1;
                push_due(session, stream, &line).await?;
            }
            last = Some(entry);
        }
        tokio::task::yield_now().await;
    }
    session.seat.enter(state);
    Ok(ControlFlow::Continue(()))
}

async fn push_due<S>(session: &mut Session, stream: &mut S, line: &[u8]) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
{
    let out: &mut Output = &mut session.out;
    out.push(line);
    if out.is_due() {
        session.flush(stream).await?;
    }
    Ok(())
}

/// `key= exp= la= cas= fetch= cls= size= flags=`, as memcached's crawler.c: lines end without `\r`.
fn push_meta(line: &mut Vec<u8>, entry: &Entry) -> Line {
    line.extend_from_slice(b"key=");
    push_uri_encoded(line, entry.key());
    line.extend_from_slice(b" exp=");
    match entry.expires().as_ms() {
        None => line.extend_from_slice(b"-1"),
        Some(at_ms) => push_number(line, at_ms / 1000),
    }
    let is_fetched = entry.bits().has(Bits::FETCHED);
    for (name, value) in [(" la=", u64::from(entry.accessed_s())), (" cas=", entry.cas())] {
        line.extend_from_slice(name.as_bytes());
        push_number(line, value);
    }
    line.extend_from_slice(if is_fetched { b" fetch=yes" } else { b" fetch=no" });
    line.extend_from_slice(b" cls=1 size=");
    push_number(line, Cache::charged_bytes(entry));
    line.extend_from_slice(b" flags=");
    push_number(line, u64::from(entry.flags()));
    line.extend_from_slice(b" \n");
    Line::Pushed
}

/// `mg <key>`, or `mg <base64> b` for a key that was sent so or is no word.
fn push_meta_get(line: &mut Vec<u8>, entry: &Entry) -> Line {
    let key = entry.key();
    if key.len() > MEMCACHED_KEY_BYTES_MAX {
        return Line::LeftOut;
    }
    line.extend_from_slice(b"mg ");
    if entry.bits().has(Bits::BINARY_KEY) || !is_word(key) {
        line.extend_from_slice(BASE64_STANDARD.encode(key).as_bytes());
        line.extend_from_slice(b" b");
    } else {
        line.extend_from_slice(key);
    }
    line.extend_from_slice(b"\r\n");
    Line::Pushed
}

/// `ITEM <key> [<bytes> b; <expiry> s]`, with an expiry of 0 for never.
fn push_item(line: &mut Vec<u8>, entry: &Entry) -> Line {
    let key = entry.key();
    if key.len() > MEMCACHED_KEY_BYTES_MAX || !is_word(key) {
        return Line::LeftOut;
    }
    line.extend_from_slice(b"ITEM ");
    line.extend_from_slice(key);
    line.extend_from_slice(b" [");
    push_number(line, entry.body().len() as u64);
    line.extend_from_slice(b" b; ");
    push_number(line, entry.expires().as_ms().unwrap_or(0) / 1000);
    line.extend_from_slice(b" s]\r\n");
    Line::Pushed
}

fn push_number(line: &mut Vec<u8>, number: u64) {
    line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Whether a key can stand in a command line.
fn is_word(key: &[u8]) -> bool {
    !key.iter().any(|byte| matches!(byte, b' ' | b'\r' | b'\n' | 0))
}
