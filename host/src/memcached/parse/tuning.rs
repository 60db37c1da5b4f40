//! `lru_crawler`, `lru`, `slabs` and `cache_memlimit`.
//!
//! What only tunes memcached's own memory is checked as memcached does, and acknowledged: scripts
//! that send it to all servers go on, and nothing happens.

use super::stats::{CLASS, CLASSES, Classes};
use super::words::Words;
use super::{Answer, BAD_LINE, Fault, Request, UNKNOWN, number, signed_number};

const BAD_CRAWLED_CLASS: &[u8] = b"BADCLASS invalid class id\r\n";
const BAD_SLEEP: &[u8] = b"CLIENT_ERROR sleep must be one second or less\r\n";
const BAD_PERCENTS: &[u8] = b"ERROR hot and warm pcts must not exceed 80\r\n";
const BAD_FACTORS: &[u8] = b"ERROR hot/warm age factors must be greater than 0\r\n";
const NO_SLABS: &[u8] = b"CLIENT_ERROR slab reassignment disabled\r\n";
const BAD_WINDOW: &[u8] = b"CLIENT_ERROR automove window too low or too high\r\n";
const MEMORY_TOO_SMALL: &[u8] = b"MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\r\n";
const MEMORY_NOT_MIB: &[u8] = b"MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes\r\n";

/// Longest `lru_crawler sleep`, in microseconds.
const SLEEP_US_MAX: u32 = 1_000_000;

/// Most of the memory that hot and warm items may have, in percent.
const PERCENTS_MAX: u64 = 80;

/// `slabs automove window`, in seconds.
const WINDOW_S: std::ops::RangeInclusive<u32> = 3..=1800;

/// `cache_memlimit`: less is none, more is meant to be bytes.
const MEMORY_MIB: std::ops::RangeInclusive<u32> = 8..=1_000_000_000;

/// How keys are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::memcached) enum Dump {
    /// `lru_crawler metadump`
    Meta,
    /// `lru_crawler mgdump`
    MetaGet,
}

fn bad(text: &'static [u8]) -> Fault {
    Fault::new(text, Answer::Wanted)
}

/// Reads `<command> [argument]`.
pub(super) fn lru_crawler(mut words: Words<'_>) -> Result<Request<'_>, Fault> {
    match (words.next(), words.next(), words.next()) {
        (Some(b"enable" | b"disable"), None, None) => Ok(Request::Acknowledge(Answer::Wanted)),
        (Some(b"crawl"), Some(list), None) => classes(list).map(|_| Request::Crawl),
        (Some(b"metadump"), Some(list), None) => Ok(Request::Dump(Dump::Meta, classes(list)?)),
        (Some(b"mgdump"), Some(list), None) => Ok(Request::Dump(Dump::MetaGet, classes(list)?)),
        (Some(b"tocrawl"), Some(count), None) => match number_u32(count) {
            Some(_) => Ok(Request::Acknowledge(Answer::Wanted)),
            None => Err(bad(BAD_LINE)),
        },
        (Some(b"sleep"), Some(us), None) => match number_u32(us) {
            Some(0..=SLEEP_US_MAX) => Ok(Request::Acknowledge(Answer::Wanted)),
            Some(_) => Err(bad(BAD_SLEEP)),
            None => Err(bad(BAD_LINE)),
        },
        _ => Err(bad(UNKNOWN)),
    }
}

/// Reads `all`, `hash` or class numbers with commas between.
fn classes(list: &[u8]) -> Result<Classes, Fault> {
    if matches!(list, b"all" | b"hash") {
        return Ok(Classes::Stored);
    }
    let mut classes = Classes::Empty;
    for class in list.split(|byte| *byte == b',').filter(|class| !class.is_empty()) {
        match number(class) {
            Some(CLASS) => classes = Classes::Stored,
            Some(1..CLASSES) => {}
            _ => return Err(bad(BAD_CRAWLED_CLASS)),
        }
    }
    Ok(classes)
}

/// Reads `tune <hot %> <warm %> <hot factor> <warm factor>`, `mode flat|segmented` or
/// `temp_ttl <seconds>`.
pub(super) fn lru(mut words: Words<'_>) -> Result<Request<'_>, Fault> {
    let ok = Ok(Request::Acknowledge(words.answer()));
    match (words.next(), words.next()) {
        (Some(b"tune"), Some(hot)) => {
            let percents = [Some(hot), words.next()].map(|word| word.and_then(number_u32));
            let factors = [words.next(), words.next()].map(|word| word.and_then(fraction));
            match (percents, factors) {
                ([Some(hot), Some(warm)], [Some(_), Some(_)])
                    if u64::from(hot) + u64::from(warm) > PERCENTS_MAX =>
                {
                    Err(bad(BAD_PERCENTS))
                }
                ([Some(_), Some(_)], [Some(hot), Some(warm)]) if hot <= 0.0 || warm <= 0.0 => {
                    Err(bad(BAD_FACTORS))
                }
                ([Some(_), Some(_)], [Some(_), Some(_)]) => ok,
                _ => Err(bad(UNKNOWN)),
            }
        }
        (Some(b"mode"), Some(b"flat" | b"segmented")) => ok,
        (Some(b"temp_ttl"), Some(seconds)) if number_i32(seconds).is_some() => ok,
        _ => Err(bad(UNKNOWN)),
    }
}

/// Reads `reassign <from> <to>`, `automove 0|1|2`, `automove ratio|freeratio <ratio>` or
/// `automove window <seconds>`.
pub(super) fn slabs(mut words: Words<'_>) -> Result<Request<'_>, Fault> {
    let ok = Ok(Request::Acknowledge(words.answer()));
    match (words.next(), words.next(), words.next()) {
        // Said by a memcached that has it switched off, as `stats settings` says it is.
        (Some(b"reassign"), Some(_), Some(_)) => Err(bad(NO_SLABS)),
        (Some(b"automove"), Some(b"ratio" | b"freeratio"), ratio) => {
            ratio.and_then(fraction).map_or(Err(bad(UNKNOWN)), |_| ok)
        }
        (Some(b"automove"), Some(b"window"), window) => match window.and_then(number_u32) {
            Some(window) if WINDOW_S.contains(&window) => ok,
            Some(_) => Err(bad(BAD_WINDOW)),
            None => Err(bad(BAD_LINE)),
        },
        (Some(b"automove"), Some(level), _) => match number_u32(level) {
            Some(0..=2) => ok,
            Some(_) => Err(bad(UNKNOWN)),
            None => Err(bad(BAD_LINE)),
        },
        _ => Err(bad(UNKNOWN)),
    }
}

/// Reads `<MiB> [noreply]`.
pub(super) fn cache_memlimit(mut words: Words<'_>) -> Result<Request<'_>, Fault> {
    let answer = words.answer();
    let fault = |text| Err(Fault::new(text, answer));
    match words.next().and_then(number_u32) {
        None => fault(UNKNOWN),
        Some(mib) if mib < *MEMORY_MIB.start() => fault(MEMORY_TOO_SMALL),
        Some(mib) if mib > *MEMORY_MIB.end() => fault(MEMORY_NOT_MIB),
        Some(mib) => Ok(Request::CacheMemlimit(u64::from(mib) << 20, answer)),
    }
}

fn number_u32(word: &[u8]) -> Option<u32> {
    u32::try_from(number(word)?).ok()
}

fn number_i32(word: &[u8]) -> Option<i32> {
    i32::try_from(signed_number(word)?).ok()
}

fn fraction(word: &[u8]) -> Option<f64> {
    std::str::from_utf8(word).ok()?.parse().ok()
}
