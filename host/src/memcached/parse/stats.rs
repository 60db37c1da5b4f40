//! `stats` and `watch`.

use super::words::Words;
use super::{Answer, BAD_LINE, Fault, Request, UNKNOWN, number};
use crate::memcached::ops::StatsTopic;
use crate::memcached::watchers::Topics;

const BAD_DETAIL: &[u8] = b"CLIENT_ERROR usage: stats detail on|off|dump\r\n";
const SHORT_DUMP: &[u8] = b"CLIENT_ERROR bad command line\r\n";
const BAD_CLASS: &[u8] = b"CLIENT_ERROR Illegal slab id\r\n";

/// memcached's slab classes have numbers below this.
pub(super) const CLASSES: u64 = 64;

/// The class that stands for all of memory.
pub(super) const CLASS: u64 = 1;

/// What to do with the counts by prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::memcached) enum Detail {
    /// `stats detail on`
    On,
    /// `stats detail off`
    Off,
    /// `stats detail dump`
    Dump,
}

/// Slab classes, as far as they differ here: one has everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::memcached) enum Classes {
    /// That one is among them.
    Stored,
    /// It is not.
    Empty,
}

/// Reads `[topic]`. Topics about memcached's own insides are unknown here; naive clients hang
/// without an answer that ends, and `ERROR` is one.
pub(super) fn stats(mut words: Words<'_>) -> Result<Request<'_>, Fault> {
    let topic = match words.next() {
        None => Some(StatsTopic::General),
        Some(b"detail") => return detail(words),
        Some(b"cachedump") => return cache_dump(words),
        Some(name) => StatsTopic::named(name),
    };
    topic.map(Request::Stats).ok_or(Fault::new(UNKNOWN, Answer::Wanted))
}

fn detail(mut words: Words<'_>) -> Result<Request<'_>, Fault> {
    match words.next() {
        Some(b"on") => Ok(Request::Detail(Detail::On)),
        Some(b"off") => Ok(Request::Detail(Detail::Off)),
        Some(b"dump") => Ok(Request::Detail(Detail::Dump)),
        _ => Err(Fault::new(BAD_DETAIL, Answer::Wanted)),
    }
}

/// Reads `<class> <limit>`; a limit of 0 is none.
fn cache_dump(mut words: Words<'_>) -> Result<Request<'_>, Fault> {
    let fault = |text| Fault::new(text, Answer::Wanted);
    let (Some(class), Some(limit)) = (words.next(), words.next()) else {
        return Err(fault(SHORT_DUMP));
    };
    match (number(class), number(limit)) {
        (Some(CLASSES..), Some(_)) => Err(fault(BAD_CLASS)),
        (Some(CLASS), Some(limit)) => Ok(Request::CacheDump(Classes::Stored, limit)),
        (Some(_), Some(limit)) => Ok(Request::CacheDump(Classes::Empty, limit)),
        _ => Err(fault(BAD_LINE)),
    }
}

/// Reads `[topic]*`; none is `fetchers`.
pub(super) fn watch(mut words: Words<'_>) -> Result<Request<'_>, Fault> {
    let topics =
        words.try_fold(Topics::default(), |all, name| Some(all.with(Topics::named(name)?)));
    match topics.ok_or(Fault::new(UNKNOWN, Answer::Wanted))? {
        none if none == Topics::default() => Ok(Request::Watch(Topics::FETCHERS)),
        topics => Ok(Request::Watch(topics)),
    }
}
