//! Storing: the one way by which clients' values come into the cache.
//!
//! # Invariants
//! - A value that may have been read before an invalidation is refused, and what it was to replace
//!   is gone: the client may mean it to be outdated, and does not try again.
//! - Where a plugin decides about a key, nothing is stored under it without its decision.

use bytes::Bytes;

use crate::cache::{Basis, Cache, Change, Claim, Draft, Handle, Revision, UpdateError};
use crate::memcached::exptime::{Exptime, exptime};
use crate::memcached::metrics::Count;
use crate::memcached::misses::Outcome;
use crate::memcached::session::Session;
use crate::model::{Expiry, Key, StoreDecision};

/// When to store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::memcached) enum Verb {
    /// Always.
    Set,
    /// Only where nothing is.
    Add,
    /// Only where something is.
    Replace,
    /// Behind what is there.
    Append,
    /// Before what is there.
    Prepend,
}

impl Verb {
    /// Whether it adds to what is there, which keeps its tags and times.
    fn is_joining(self) -> bool {
        matches!(self, Self::Append | Self::Prepend)
    }
}

/// A value that is to be stored, apart from its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::memcached) struct Storing {
    /// When to store.
    pub(in crate::memcached) verb: Verb,
    /// Under which key.
    pub(in crate::memcached) key: Key,
    /// The client's opaque 32 bits.
    pub(in crate::memcached) flags: u32,
    /// The expiry time as sent.
    pub(in crate::memcached) exptime: i64,
    /// Only if what is there still has this CAS unique; [`Verb::Add`] has nothing to compare.
    pub(in crate::memcached) unique: Option<u64>,
}

impl Storing {
    /// What must be there with which unique; a `set` or `replace` with one is a `cas`.
    fn compared(&self) -> Option<u64> {
        self.unique.filter(|_| self.verb != Verb::Add)
    }

    fn is_cas(&self) -> bool {
        !self.verb.is_joining() && self.compared().is_some()
    }
}

/// What became of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::memcached) enum StoreOutcome {
    /// It is stored; its CAS unique, 0 where it expired at once.
    Stored(u64),
    /// The verb's condition does not hold, or the value may be older than an invalidation.
    NotStored,
    /// What is there has another CAS unique.
    Exists,
    /// There is nothing whose CAS unique could be compared.
    NotFound,
    /// It is over the limit for items.
    TooLarge,
    /// Memory is full, and nothing may be evicted.
    OutOfMemory,
    /// The cache could not.
    Failed(UpdateError),
}

/// What the closure of an update found.
enum Decided {
    Store,
    Refuse,
    Differs,
    Missing,
}

/// Notes that a value is over the limit for items, before it is there. Tells [`StoreOutcome::TooLarge`],
/// or that the older value could not be removed.
pub(in crate::memcached) async fn refuse_too_large(
    session: &mut Session,
    storing: &Storing,
) -> StoreOutcome {
    session.tally.inc(Count::StoreTooLarge);
    if storing.verb == Verb::Set && storing.unique.is_none() {
        return remove(session, &storing.key, StoreOutcome::TooLarge).await;
    }
    StoreOutcome::TooLarge
}

/// Stores a whole value.
pub(in crate::memcached) async fn store(
    session: &mut Session,
    storing: &Storing,
    value: Bytes,
) -> StoreOutcome {
    session.tally.inc(Count::CmdSet);
    let Storing { verb, key, .. } = storing;
    let arrival = session.door.cache().claim();
    // Else what is there says how old the result is; and a unique was read with the value, so that
    // an invalidation since then has taken away what it names.
    let needs_claim = !verb.is_joining() && !storing.is_cas();
    let missed = session.misses.claim(key.as_bytes()).filter(|_| needs_claim);
    let decision = match decision_on(session, storing, value.len()).await {
        Ok(decision) => decision,
        Err(NotKept) => {
            session.misses.settle(key.as_bytes(), Outcome::Accepted);
            return remove(session, key, StoreOutcome::NotStored).await;
        }
    };
    // While a plugin was asked, the data has grown no newer than it was when it came.
    let claim = missed.or(decision.as_ref().map(|_| arrival));
    let cache = session.door.cache();
    let outcome = cache
        .update(key, |current| decide(cache, storing, value, Terms { claim, decision }, current));
    let outcome = outcome.await;
    if missed.is_some() {
        session.misses.settle(key.as_bytes(), settlement(&outcome));
    }
    let told = match outcome {
        Ok((Decided::Store, entry)) => StoreOutcome::Stored(entry.map_or(0, |entry| entry.cas())),
        Ok((Decided::Refuse, _)) => StoreOutcome::NotStored,
        Ok((Decided::Differs, _)) => StoreOutcome::Exists,
        Ok((Decided::Missing, _)) => StoreOutcome::NotFound,
        Err(UpdateError::Fenced) => return refuse_fenced(session, storing).await,
        Err(UpdateError::Full) => {
            session.tally.inc(Count::StoreNoMemory);
            StoreOutcome::OutOfMemory
        }
        Err(error) => return StoreOutcome::Failed(error),
    };
    if storing.is_cas() && told != StoreOutcome::OutOfMemory {
        session.tally.inc(match told {
            StoreOutcome::NotFound => Count::CasMisses,
            StoreOutcome::Exists => Count::CasBadval,
            _ => Count::CasHits,
        });
    }
    told
}

/// What an outcome says about the claim that the value had.
pub(super) fn settlement<R>(outcome: &Result<R, UpdateError>) -> Outcome {
    match outcome {
        Err(UpdateError::Fenced) => Outcome::Refused,
        _ => Outcome::Accepted,
    }
}

async fn refuse_fenced(session: &mut Session, storing: &Storing) -> StoreOutcome {
    session.tally.inc(Count::StoreFenced);
    match storing.verb {
        Verb::Set | Verb::Replace => remove(session, &storing.key, StoreOutcome::NotStored).await,
        _ => StoreOutcome::NotStored,
    }
}

/// Removes what a refused value was to replace.
async fn remove(session: &Session, key: &Key, told: StoreOutcome) -> StoreOutcome {
    match session.door.cache().update(key, |_| (Change::Remove, ())).await {
        Ok(_) => told,
        Err(error) => StoreOutcome::Failed(error),
    }
}

/// A plugin said, or could not say, that the item is not to be kept.
pub(super) struct NotKept;

async fn decision_on(
    session: &Session,
    storing: &Storing,
    value_bytes: usize,
) -> Result<Option<StoreDecision>, NotKept> {
    // What is added to an item leaves its tags and times as they are.
    if storing.verb.is_joining() {
        return Ok(None);
    }
    item_decision(session, &storing.key, storing.flags, value_bytes).await
}

/// Whether a plugin wants to be asked about the items of a key.
pub(super) fn wants_decision(session: &Session, key: &Key) -> bool {
    let policy = session.door.settings().items.as_ref();
    policy.is_some_and(|policy| policy.concerns(key.as_bytes()))
}

/// What a plugin says about an item, where one wants to be asked.
pub(super) async fn item_decision(
    session: &Session,
    key: &Key,
    flags: u32,
    value_bytes: usize,
) -> Result<Option<StoreDecision>, NotKept> {
    let Some(policy) = &session.door.settings().items else { return Ok(None) };
    if !wants_decision(session, key) {
        return Ok(None);
    }
    let body_bytes = u32::try_from(value_bytes).unwrap_or(u32::MAX);
    match policy.on_item(key, flags, body_bytes).await {
        Ok(decision) if decision.store => Ok(Some(decision)),
        Ok(_) => Err(NotKept),
        Err(error) => {
            tracing::warn!(%error, "item not stored");
            Err(NotKept)
        }
    }
}

/// Under which terms a value is stored.
struct Terms {
    claim: Option<Claim>,
    decision: Option<StoreDecision>,
}

/// What a storage command does to the present entry.
fn decide(
    cache: &Cache,
    storing: &Storing,
    value: Bytes,
    terms: Terms,
    current: Option<&Handle>,
) -> (Change, Decided) {
    let Terms { claim, decision } = terms;
    let put = |body| {
        let draft = Draft {
            flags: storing.flags,
            basis: match storing.is_cas() {
                true => Basis::Present,
                false => claim.map_or(Basis::Now, Basis::Claim),
            },
            ..Draft::new(body)
        };
        (put_until(cache, draft, storing.exptime, decision), Decided::Store)
    };
    let joined = |first: &[u8], second: &[u8]| {
        if first.len() + second.len() > cache.config().item_bytes_max {
            return (Change::Keep, Decided::Refuse);
        }
        let mut body = Vec::with_capacity(first.len() + second.len());
        body.extend_from_slice(first);
        body.extend_from_slice(second);
        let revision = Revision { body: Some(Bytes::from(body)), ..Revision::default() };
        (Change::Revise(revision), Decided::Store)
    };
    // A page is its origin's; a client can replace it, not add to it.
    let current = current.filter(|entry| !storing.verb.is_joining() || entry.page().is_none());
    match (storing.verb, storing.compared(), current) {
        (_, Some(unique), Some(entry)) if entry.cas() != unique => (Change::Keep, Decided::Differs),
        (Verb::Set | Verb::Replace, Some(_), None) => (Change::Keep, Decided::Missing),
        (Verb::Set, ..) | (Verb::Add, _, None) | (Verb::Replace, _, Some(_)) => put(value),
        (Verb::Add, _, Some(_)) | (Verb::Replace | Verb::Append | Verb::Prepend, _, None) => {
            (Change::Keep, Decided::Refuse)
        }
        (Verb::Append, _, Some(entry)) => joined(entry.body(), &value),
        (Verb::Prepend, _, Some(entry)) => joined(&value, entry.body()),
    }
}

/// Stores a draft until its time, the client's or a plugin's, and with a plugin's tags.
pub(super) fn put_until(
    cache: &Cache,
    draft: Draft,
    seconds: i64,
    decision: Option<StoreDecision>,
) -> Change {
    let now_ms = cache.clock().now_ms();
    let decision = decision.unwrap_or_default();
    match exptime(seconds, now_ms) {
        Exptime::Past => Change::Remove,
        Exptime::Until(expires) => {
            let by_plugin = decision.ttl_s.map(|s| Expiry::at_ms(now_ms + u64::from(s) * 1000));
            let expires = by_plugin.unwrap_or(expires);
            Change::Put(Draft { expires, tags: decision.tags, ..draft })
        }
    }
}
