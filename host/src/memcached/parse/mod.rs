//! The text protocol as a grammar: bytes in, one request out (protocol.txt).
//!
//! # Invariants
//! - Pure: no I/O, no clock, no state; keys are borrowed from the buffer.
//! - The outcome depends on the bytes alone, never on how they were split into reads.
//! - Whatever is not `Incomplete` consumes at least its line, so that a caller's loop ends.
//!
//! # Not here
//! The data block behind a storage command: it may be larger than the buffer, so the connection
//! collects it.

mod admin;
mod meta;
mod numeric;
mod retrieval;
mod single_key;
mod stats;
mod storage;
#[cfg(test)]
mod tests;
mod tuning;
mod words;

use memchr::memchr;

use super::ops::{Direction, StatsTopic, Verb};
use super::watchers::Topics;
use crate::limits::{MEMCACHED_LINE_BYTES_MAX, MEMCACHED_RETRIEVAL_LINE_BYTES_MAX};

pub(super) use admin::ShutdownMode;
pub(super) use meta::{Meta, MetaSet, MetaVerb};
pub(super) use numeric::{number, signed_number};
pub(super) use retrieval::{Cas, Retrieve};
pub(super) use single_key::{Arithmetic, Delete, Touch};
pub(super) use stats::{Classes, Detail};
pub(super) use storage::Store;
pub(super) use tuning::Dump;
use words::Words;

/// What memcached says to a line that it knows but can't read.
pub(super) const BAD_LINE: &[u8] = b"CLIENT_ERROR bad command line format\r\n";
/// What memcached says to a command that it doesn't know.
pub(super) const UNKNOWN: &[u8] = b"ERROR\r\n";
/// What memcached says to an expiry time that is not a number.
pub(super) const BAD_EXPTIME: &[u8] = b"CLIENT_ERROR invalid exptime argument\r\n";

/// Whether the client waits for an answer (`noreply`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It does.
    Wanted,
    /// It sent `noreply`.
    Unwanted,
}

/// One command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request<'a> {
    /// `get gets gat gats`
    Retrieve(Retrieve<'a>),
    /// `set add replace append prepend cas`; the data block follows.
    Store(Store<'a>),
    /// `incr decr`
    Arithmetic(Arithmetic<'a>),
    /// `delete`
    Delete(Delete<'a>),
    /// `touch`
    Touch(Touch<'a>),
    /// `mg md ma me`
    Meta(MetaVerb, Meta<'a>),
    /// `ms`; the data block follows.
    MetaSet(MetaSet<'a>),
    /// `mn`
    MetaNoOp,
    /// `flush_all`; the delay as sent, see [`super::exptime`].
    FlushAll(Option<i64>, Answer),
    /// `version`
    Version,
    /// `verbosity`
    Verbosity(Answer),
    /// `stats`
    Stats(StatsTopic),
    /// `stats detail`
    Detail(Detail),
    /// `stats cachedump`, and how many keys are wanted; 0 for all.
    CacheDump(Classes, u64),
    /// `lru_crawler metadump`, `lru_crawler mgdump`
    Dump(Dump, Classes),
    /// `lru_crawler crawl`
    Crawl,
    /// `watch`
    Watch(Topics),
    /// `cache_memlimit`, in bytes.
    CacheMemlimit(u64, Answer),
    /// `refresh_certs`
    RefreshCertificates,
    /// What tunes memcached's memory, and nothing here.
    Acknowledge(Answer),
    /// `shutdown`
    Shutdown(ShutdownMode),
    /// `quit`
    Quit,
}

/// A line that is not a request, and how to stay in step with the client.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The error line.
    pub(super) text: &'static [u8],
    /// Whether to send it.
    pub(super) answer: Answer,
    /// Bytes of a data block that follow and are not commands.
    pub(super) swallow_bytes: usize,
}

impl Fault {
    fn new(text: &'static [u8], answer: Answer) -> Self {
        Self { text, answer, swallow_bytes: 0 }
    }
}

/// What the beginning of a buffer is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parse<'a> {
    /// A request, and the length of its line.
    Parsed(Request<'a>, usize),
    /// Not a whole line yet.
    Incomplete,
    /// Not a request, and the length of its line.
    Invalid(Fault, usize),
    /// Not memcached: an HTTP request, or a line without end. The connection is to be closed.
    Foreign,
}

/// Reads the first line of `bytes`, of which the first `scanned` are known to hold no line end.
pub(super) fn parse(bytes: &[u8], scanned: usize) -> Parse<'_> {
    let unscanned = bytes.get(scanned..).unwrap_or_default();
    let Some(end) = memchr(b'\n', unscanned).map(|found| scanned + found) else {
        let is_hopeless = bytes.len() > line_bytes_max(bytes) + 1;
        return if is_hopeless { Parse::Foreign } else { Parse::Incomplete };
    };
    let line = bytes.get(..end).unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() > line_bytes_max(line) {
        return Parse::Foreign;
    }
    let mut words = Words::new(line);
    let parsed = match words.next() {
        // memcached takes a line of one letter for an empty one.
        Some(_) if line.len() < 2 => Err(Fault::new(BAD_LINE, Answer::Wanted)),
        None => Err(Fault::new(BAD_LINE, Answer::Wanted)),
        Some(command) => request(command, words),
    };
    match parsed {
        Ok(request) => Parse::Parsed(request, end + 1),
        Err(fault) if fault.text == UNKNOWN && is_http(line) => Parse::Foreign,
        Err(fault) => Parse::Invalid(fault, end + 1),
    }
}

fn request<'a>(command: &[u8], words: Words<'a>) -> Result<Request<'a>, Fault> {
    match command {
        b"get" => retrieval::get(words, Cas::Hidden).map(Request::Retrieve),
        b"gets" => retrieval::get(words, Cas::Shown).map(Request::Retrieve),
        b"set" => storage::store(words, Verb::Set).map(Request::Store),
        b"add" => storage::store(words, Verb::Add).map(Request::Store),
        b"replace" => storage::store(words, Verb::Replace).map(Request::Store),
        b"append" => storage::store(words, Verb::Append).map(Request::Store),
        b"prepend" => storage::store(words, Verb::Prepend).map(Request::Store),
        b"cas" => storage::cas(words).map(Request::Store),
        b"incr" => single_key::arithmetic(words, Direction::Up).map(Request::Arithmetic),
        b"decr" => single_key::arithmetic(words, Direction::Down).map(Request::Arithmetic),
        b"delete" => single_key::delete(words).map(Request::Delete),
        b"touch" => single_key::touch(words).map(Request::Touch),
        b"gat" => retrieval::get_and_touch(words, Cas::Hidden).map(Request::Retrieve),
        b"gats" => retrieval::get_and_touch(words, Cas::Shown).map(Request::Retrieve),
        b"mg" => meta_command(meta::command(words, MetaVerb::Get)),
        b"md" => meta_command(meta::command(words, MetaVerb::Delete)),
        b"ma" => meta_command(meta::command(words, MetaVerb::Count(Direction::Up))),
        b"me" => meta_command(meta::debug(words)),
        b"ms" => meta::set(words).map(Request::MetaSet),
        b"mn" => Ok(Request::MetaNoOp),
        b"flush_all" => admin::flush_all(words),
        b"verbosity" => admin::verbosity(words),
        b"stats" => stats::stats(words),
        b"watch" => stats::watch(words),
        b"lru_crawler" => tuning::lru_crawler(words),
        b"lru" => tuning::lru(words),
        b"slabs" => tuning::slabs(words),
        b"cache_memlimit" => tuning::cache_memlimit(words),
        b"shutdown" => admin::shutdown(words),
        b"refresh_certs" => Ok(Request::RefreshCertificates),
        b"version" => Ok(Request::Version),
        b"quit" => Ok(Request::Quit),
        // Told in any case: whether an unknown command knows `noreply` is not known either.
        _ => Err(Fault::new(UNKNOWN, Answer::Wanted)),
    }
}

fn meta_command<'a>(parsed: Result<(MetaVerb, Meta<'a>), Fault>) -> Result<Request<'a>, Fault> {
    parsed.map(|(verb, meta)| Request::Meta(verb, meta))
}

/// The longest that a line beginning like this may be, without its end.
fn line_bytes_max(line: &[u8]) -> usize {
    // Only so much of it is looked at, so that the answer is the same for a part and the whole.
    let Some(start) = line.get(..MEMCACHED_LINE_BYTES_MAX) else { return MEMCACHED_LINE_BYTES_MAX };
    match Words::new(start).next() {
        Some(b"get" | b"gets" | b"gat" | b"gats") => MEMCACHED_RETRIEVAL_LINE_BYTES_MAX,
        _ => MEMCACHED_LINE_BYTES_MAX,
    }
}

/// Whether the last word is an HTTP version: a browser that was led here by a hostile page must
/// not get its next lines obeyed.
fn is_http(line: &[u8]) -> bool {
    Words::new(line).last().is_some_and(|word| word.starts_with(b"HTTP/"))
}
