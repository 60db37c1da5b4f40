//! Counting up and down.

use bytes::Bytes;

use super::store::{NotKept, item_decision, put_until, settlement, wants_decision};
use crate::cache::{
    Basis, Bits, Cache, Cas, Change, Claim, Draft, Entry, Revision, Sight, UpdateError,
};
use crate::memcached::exptime::{Exptime, exptime};
use crate::memcached::metrics::Count;
use crate::memcached::misses::Outcome;
use crate::memcached::parse::number;
use crate::memcached::session::Session;
use crate::model::{Key, StoreDecision};

/// Which way to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::memcached) enum Direction {
    /// Up, wrapping at 2^64.
    Up,
    /// Down, stopping at 0.
    Down,
}

/// What is counted, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::memcached) struct Arithmetic {
    /// The key of the number.
    pub(in crate::memcached) key: Key,
    /// Which way.
    pub(in crate::memcached) direction: Direction,
    /// By how much.
    pub(in crate::memcached) delta: u64,
    /// What to store where nothing is.
    pub(in crate::memcached) initial: Option<Initial>,
    /// Only if what is there still has this CAS unique.
    pub(in crate::memcached) unique: Option<u64>,
    /// A new expiry time for what is there, as sent.
    pub(in crate::memcached) exptime: Option<i64>,
    /// The CAS unique of the result.
    pub(in crate::memcached) cas: Cas,
    /// Whether what is there counts also when it is stale, which it then remains.
    pub(in crate::memcached) sight: Sight,
    /// What an initial number is marked with.
    pub(in crate::memcached) bits: Bits,
}

impl Arithmetic {
    /// Counts what is there, without conditions; change what is different.
    pub(in crate::memcached) fn new(key: Key, direction: Direction, delta: u64) -> Self {
        let (initial, unique, exptime) = (None, None, None);
        Self {
            key,
            direction,
            delta,
            initial,
            unique,
            exptime,
            cas: Cas::Next,
            sight: Sight::Fresh,
            bits: Bits::NONE,
        }
    }
}

/// The number to begin with, where nothing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::memcached) struct Initial {
    /// It is stored and told as it is; the delta counts from the next time on.
    pub(in crate::memcached) value: u64,
    /// Its expiry time as sent.
    pub(in crate::memcached) exptime: i64,
}

/// What became of a number.
#[derive(Debug, Clone)]
pub(in crate::memcached) enum CountOutcome {
    /// It is this now; its entry, unless that expired at once.
    To(u64, Option<Entry>),
    /// There is nothing.
    NotFound,
    /// What is there has another CAS unique.
    Exists,
    /// The value is not a number.
    NotANumber,
    /// The initial number is refused: its key was invalidated since it was looked for, or a plugin
    /// does not want it.
    NotStored,
    /// Memory is full, and nothing may be evicted.
    OutOfMemory,
    /// The cache could not.
    Failed(UpdateError),
}

/// What the closure of an update found.
enum Decided {
    To(u64, Presence),
    Missing,
    Differs,
    NotANumber,
    /// An initial number is to be stored; a plugin has not been asked yet.
    Undecided,
}

enum Presence {
    Present,
    Created,
}

/// Counts up or down.
pub(in crate::memcached) async fn count(
    session: &mut Session,
    arithmetic: &Arithmetic,
) -> CountOutcome {
    let Arithmetic { key, initial, .. } = arithmetic;
    let missed = session.missed(key.as_bytes()).filter(|_| initial.is_some());
    let arrival = session.door.cache().claim();
    let is_decided = initial.is_none() || !wants_decision(session, key);
    let mut terms = Terms { claim: missed, decision: None, is_decided };
    let mut outcome = attempt(session, arithmetic, &terms).await;
    if let (Ok((Decided::Undecided, _)), Some(initial)) = (&outcome, initial) {
        let digits = itoa::Buffer::new().format(initial.value).len();
        // While a plugin is asked, the number grows no newer.
        let claim = missed.unwrap_or(arrival);
        match item_decision(session, key, 0, digits, claim).await {
            Ok(decision) => {
                terms = Terms { claim: Some(claim), decision, is_decided: true };
                outcome = attempt(session, arithmetic, &terms).await;
            }
            Err(NotKept::Unwanted) => {
                session.misses.settle(key.as_bytes(), Outcome::Accepted);
                return CountOutcome::NotStored;
            }
            Err(NotKept::Outdated) => outcome = Err(UpdateError::Fenced),
        }
    }
    let is_created = matches!(outcome, Ok((Decided::To(_, Presence::Created), _)));
    if missed.is_some() && (is_created || outcome.is_err()) {
        session.misses.settle(key.as_bytes(), settlement(&outcome));
    }
    tell(session, arithmetic.direction, outcome)
}

fn tell(
    session: &mut Session,
    direction: Direction,
    outcome: Result<(Decided, Option<Entry>), UpdateError>,
) -> CountOutcome {
    let (hits, misses) = match direction {
        Direction::Up => (Count::IncrHits, Count::IncrMisses),
        Direction::Down => (Count::DecrHits, Count::DecrMisses),
    };
    match outcome {
        Ok((Decided::To(value, presence), entry)) => {
            // Neither: memcached counts a number that is created as no miss, and it is no hit.
            if let Presence::Present = presence {
                session.tally.inc(hits);
            }
            CountOutcome::To(value, entry)
        }
        Ok((Decided::Missing, _)) => {
            session.tally.inc(misses);
            CountOutcome::NotFound
        }
        Ok((Decided::Differs, _)) => CountOutcome::Exists,
        Ok((Decided::NotANumber, _)) => CountOutcome::NotANumber,
        Ok((Decided::Undecided, _)) => CountOutcome::NotStored,
        Err(UpdateError::Fenced) => {
            session.tally.inc(Count::StoreFenced);
            CountOutcome::NotStored
        }
        Err(UpdateError::Full) => {
            session.tally.inc(Count::StoreNoMemory);
            CountOutcome::OutOfMemory
        }
        Err(error) => CountOutcome::Failed(error),
    }
}

/// Under which terms an initial number is stored.
struct Terms {
    claim: Option<Claim>,
    decision: Option<StoreDecision>,
    is_decided: bool,
}

async fn attempt(
    session: &Session,
    arithmetic: &Arithmetic,
    terms: &Terms,
) -> Result<(Decided, Option<Entry>), UpdateError> {
    let cache = session.door.cache();
    let Arithmetic { key, sight, .. } = arithmetic;
    cache.update_as_seen(key, *sight, |current| decide(cache, arithmetic, terms, current)).await
}

fn decide(
    cache: &Cache,
    arithmetic: &Arithmetic,
    terms: &Terms,
    current: Option<&Entry>,
) -> (Change, Decided) {
    let Arithmetic { direction, delta, cas, bits, .. } = *arithmetic;
    let entry = match (current, arithmetic.initial) {
        // A page is its origin's; a client can replace it, not compute with it.
        (Some(entry), _) if entry.page().is_some() => return (Change::Keep, Decided::Missing),
        (Some(entry), _) => entry,
        (None, None) => return (Change::Keep, Decided::Missing),
        (None, Some(_)) if !terms.is_decided => return (Change::Keep, Decided::Undecided),
        (None, Some(Initial { value, exptime })) => {
            let basis = terms.claim.map_or(Basis::Now, Basis::Claim);
            let draft = Draft { basis, cas, bits, ..Draft::new(digits(value, 0)) };
            let change = put_until(cache, draft, exptime, terms.decision.clone());
            return (change, Decided::To(value, Presence::Created));
        }
    };
    // As in memcached: an empty value, such as a lease's, is no number whatever its unique is.
    if entry.body().is_empty() {
        return (Change::Keep, Decided::NotANumber);
    }
    if arithmetic.unique.is_some_and(|unique| unique != entry.cas()) {
        return (Change::Keep, Decided::Differs);
    }
    let Some(value) = stored_number(entry.body()) else {
        return (Change::Keep, Decided::NotANumber);
    };
    let value = match direction {
        Direction::Up => value.wrapping_add(delta),
        Direction::Down => value.saturating_sub(delta),
    };
    let body = Some(digits(value, entry.body().len()));
    let now_ms = cache.clock().now_ms();
    let change = match arithmetic.exptime.map(|seconds| exptime(seconds, now_ms)) {
        Some(Exptime::Past) => Change::Remove,
        Some(Exptime::Until(until)) => {
            Change::Revise(Revision { body, expires: Some(until), cas, ..Revision::default() })
        }
        None => Change::Revise(Revision { body, cas, ..Revision::default() }),
    };
    (change, Decided::To(value, Presence::Present))
}

/// The number that a value begins with, as memcached reads it (by `strtoull`): white space may come
/// before it, then a plus; what follows it must be white space or nothing.
fn stored_number(body: &[u8]) -> Option<u64> {
    let start = body.iter().position(|byte| !is_space(*byte))?;
    let (_, body) = body.split_at_checked(start)?;
    let digits = body.strip_prefix(b"+").unwrap_or(body);
    number(digits.split(|byte| is_space(*byte)).next()?)
}

/// White space of C: Rust's has no vertical tab.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == b'\x0b'
}

/// A number as stored: as long as the value before it at least, filled up with spaces, because
/// memcached writes it in place.
fn digits(value: u64, len_min: usize) -> Bytes {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value).as_bytes();
    let mut body = Vec::with_capacity(digits.len().max(len_min));
    body.extend_from_slice(digits);
    body.resize(digits.len().max(len_min), b' ');
    Bytes::from(body)
}
