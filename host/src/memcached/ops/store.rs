//! Storing: the one way by which clients' values come into the cache.
//!
//! # Invariants
//! - A value that may have been read before an invalidation is refused, and the entry that it was
//!   to replace is removed or marked stale: the client holds that entry to be out of date, and will
//!   not send the value again. So is one that had to be waited for, if the invalidation came after
//!   its request.
//! - Where a plugin decides about a key, nothing is stored under it without its decision.

use bytes::Bytes;

use crate::cache::{
    Basis, Bits, Cache, Cas, Change, Claim, Draft, Entry, ItemError, Revision, Sight, UpdateError,
};
use crate::memcached::exptime::{Exptime, exptime};
use crate::memcached::metrics::Count;
use crate::memcached::misses::Outcome;
use crate::memcached::session::Session;
use crate::model::{Key, StoreDecision, Tag};

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
    /// What is done where what is there has a higher one.
    pub(in crate::memcached) outrun: Outrun,
    /// Whether what is there counts also when it is stale.
    pub(in crate::memcached) sight: Sight,
    /// The CAS unique of the result.
    pub(in crate::memcached) cas: Cas,
    /// Its tags; a plugin may add to them.
    pub(in crate::memcached) tags: Vec<Tag>,
    /// What it is marked with.
    pub(in crate::memcached) bits: Bits,
    /// The expiry time, as sent, of what [`Verb::Append`] or [`Verb::Prepend`] is to create where
    /// nothing is; else they don't.
    pub(in crate::memcached) create_exptime: Option<i64>,
    /// How old the value may be: its claim, taken when it had to be waited for, because its first
    /// bytes may have come before an invalidation. `None` of one that came with its request.
    pub(in crate::memcached) begun: Option<Claim>,
}

/// What is done with a value whose CAS unique is lower than that of what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::memcached) enum Outrun {
    /// It is not stored.
    Refused,
    /// It is stored, and is stale.
    KeptStale,
}

impl Storing {
    /// A value without flags that never expires, stored without conditions; change what is
    /// different.
    pub(in crate::memcached) fn new(verb: Verb, key: Key) -> Self {
        Self {
            verb,
            key,
            flags: 0,
            exptime: 0,
            unique: None,
            outrun: Outrun::Refused,
            sight: Sight::Fresh,
            cas: Cas::Next,
            tags: Vec::new(),
            bits: Bits::NONE,
            create_exptime: None,
            begun: None,
        }
    }

    /// Whether it can become an entry without a predecessor's tags and times.
    fn is_creating(&self) -> bool {
        !self.verb.is_joining() || self.create_exptime.is_some()
    }

    /// What must be there with which unique; a `set` or `replace` with one is a `cas`.
    fn compared(&self) -> Option<u64> {
        self.unique.filter(|_| self.verb != Verb::Add)
    }

    fn is_cas(&self) -> bool {
        !self.verb.is_joining() && self.compared().is_some()
    }

    /// Whether it is older than what is there, and is to be kept as stale for that.
    fn is_outrun(&self, unique: u64, present: &Entry) -> bool {
        self.outrun == Outrun::KeptStale && self.is_cas() && unique < present.cas()
    }
}

/// What became of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::memcached) enum StoreOutcome {
    /// It is stored.
    Stored {
        /// Its CAS unique, 0 where it expired at once.
        unique: u64,
        /// How long it is, with what it was added to.
        value_bytes: usize,
    },
    /// The verb's condition does not hold, or the whole would be over the limit for items.
    NotStored,
    /// The value may be older than an invalidation, or a plugin does not want it.
    Refused,
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

/// Notes that a value is over the limit for items, before it is there. Tells
/// [`StoreOutcome::TooLarge`], or that the older value could not be removed.
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
    let (key, value_bytes) = (&storing.key, value.len());
    let unique = storing.compared().filter(|_| storing.is_cas());
    let leased = unique.and_then(|unique| session.misses.settle_lease(key.as_bytes(), unique));
    let arrival = storing.begun.unwrap_or_else(|| session.door.cache().claim());
    // Else what is there says how old the result is; and a unique was read with the value, so that
    // an invalidation since then has taken away what it names.
    let needs_claim = storing.is_creating() && !storing.is_cas();
    let missed = session.missed(key.as_bytes()).filter(|_| needs_claim);
    // But a plugin that came since then knows nothing of what was invalidated before.
    let data = missed.or(leased).unwrap_or(arrival);
    let decision = match decision_on(session, storing, value_bytes, data).await {
        Ok(decision) => decision,
        Err(NotKept::Unwanted) => {
            session.misses.settle(key.as_bytes(), Outcome::Accepted);
            return remove(session, key, StoreOutcome::Refused).await;
        }
        Err(NotKept::Outdated) => {
            session.misses.settle(key.as_bytes(), Outcome::Refused);
            return refuse_fenced(session, storing).await;
        }
    };
    // While a plugin was asked, the data has grown no newer than it was when it came.
    let claim = missed.or(storing.begun).or(decision.as_ref().map(|_| arrival));
    let cache = session.door.cache();
    let terms = Terms { claim, decision };
    let outcome = cache.update_as_seen(key, storing.sight, |current| {
        decide(cache, storing, value, terms, current)
    });
    let outcome = outcome.await;
    if missed.is_some() {
        session.misses.settle(key.as_bytes(), settlement(&outcome));
    }
    let told = match outcome {
        Ok((Decided::Store, entry)) => StoreOutcome::Stored {
            unique: entry.as_ref().map_or(0, |entry| entry.cas()),
            value_bytes: entry.map_or(value_bytes, |entry| entry.body().len()),
        },
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
        Verb::Set | Verb::Replace => outdate(session, storing).await,
        _ => StoreOutcome::Refused,
    }
}

/// Leaves nothing that counts as fresh where a value was refused. What is stale already stays so,
/// and may be won anew: else all who are shown it would miss at once.
async fn outdate(session: &Session, storing: &Storing) -> StoreOutcome {
    let (cache, key) = (session.door.cache(), &storing.key);
    let outcome = cache.update_as_seen(key, storing.sight, |current| match current {
        Some(entry) if cache.is_stale(key.as_bytes(), entry) => {
            let bits = Some(entry.bits().with(Bits::STALE).without(Bits::WON));
            (Change::Revise(Revision { bits, ..Revision::default() }), ())
        }
        _ => (Change::Remove, ()),
    });
    match outcome.await {
        Ok(_) => StoreOutcome::Refused,
        Err(error) => StoreOutcome::Failed(error),
    }
}

/// Removes what a refused value was to replace.
async fn remove(session: &Session, key: &Key, told: StoreOutcome) -> StoreOutcome {
    match session.door.cache().update(key, |_| (Change::Remove, ())).await {
        Ok(_) => told,
        Err(error) => StoreOutcome::Failed(error),
    }
}

/// Why an item about which a plugin decides is not kept.
pub(super) enum NotKept {
    /// The plugin said so, or could say nothing.
    Unwanted,
    /// Its data may be older than an event about which the plugin was not asked.
    Outdated,
}

async fn decision_on(
    session: &Session,
    storing: &Storing,
    value_bytes: usize,
    claim: Claim,
) -> Result<Option<StoreDecision>, NotKept> {
    // What is added to an item leaves its tags and times as they are.
    if !storing.is_creating() {
        return Ok(None);
    }
    item_decision(session, &storing.key, storing.flags, value_bytes, claim).await
}

/// Whether a plugin wants to be asked about the items of a key.
pub(super) fn wants_decision(session: &Session, key: &Key) -> bool {
    let policy = session.door.settings().items.as_ref();
    policy.is_some_and(|policy| policy.concerns(key.as_bytes()))
}

/// What a plugin says about an item whose data is as old as the claim says, where one wants to be
/// asked.
pub(super) async fn item_decision(
    session: &Session,
    key: &Key,
    flags: u32,
    value_bytes: usize,
    claim: Claim,
) -> Result<Option<StoreDecision>, NotKept> {
    let Some(policy) = &session.door.settings().items else { return Ok(None) };
    if !wants_decision(session, key) {
        return Ok(None);
    }
    let body_bytes = u32::try_from(value_bytes).unwrap_or(u32::MAX);
    match policy.on_item(key, flags, body_bytes, claim).await {
        Ok(decision) if decision.store => Ok(Some(decision)),
        Ok(_) => Err(NotKept::Unwanted),
        Err(error) => {
            tracing::debug!(%error, "item not stored");
            Err(match error {
                ItemError::Outdated => NotKept::Outdated,
                ItemError::NoAnswer(_) => NotKept::Unwanted,
            })
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
    current: Option<&Entry>,
) -> (Change, Decided) {
    let Terms { claim, decision } = terms;
    let draft = |body| Draft {
        flags: storing.flags,
        basis: match storing.is_cas() {
            true => Basis::Present,
            false => claim.map_or(Basis::Now, Basis::Claim),
        },
        tags: storing.tags.clone(),
        cas: storing.cas,
        bits: storing.bits,
        ..Draft::new(body)
    };
    let put = |body, exptime, decision| {
        (put_until(cache, draft(body), exptime, decision), Decided::Store)
    };
    let joined = |entry: &Entry, first: &[u8], second: &[u8]| {
        if first.len() + second.len() > cache.config().item_bytes_max {
            return (Change::Keep, Decided::Refuse);
        }
        let mut body = Vec::with_capacity(first.len() + second.len());
        body.extend_from_slice(first);
        body.extend_from_slice(second);
        let (body, cas) = (Some(Bytes::from(body)), storing.cas);
        let bits = Some(bits_of_joined(entry.bits()));
        (Change::Revise(Revision { body, cas, bits, ..Revision::default() }), Decided::Store)
    };
    // A page is its origin's; a client can replace it, not add to it.
    let current = current.filter(|entry| !storing.verb.is_joining() || entry.page().is_none());
    match (storing.verb, storing.compared(), current) {
        (_, Some(unique), Some(entry)) if storing.is_outrun(unique, entry) => {
            // It is expected to be recached as what was there was, and in the time that had.
            let bits = storing.bits.with(Bits::STALE);
            let bits = if entry.bits().has(Bits::WON) { bits.with(Bits::WON) } else { bits };
            let stale = Draft { bits, expires: entry.expires(), ..draft(value) };
            let tagging = StoreDecision { ttl_s: None, ..decision.unwrap_or_default() };
            (Change::Put(stale.decided(tagging, 0)), Decided::Store)
        }
        (_, Some(unique), Some(entry)) if entry.cas() != unique => (Change::Keep, Decided::Differs),
        (Verb::Set | Verb::Replace, Some(_), None) => (Change::Keep, Decided::Missing),
        (Verb::Set, ..) | (Verb::Add, _, None) | (Verb::Replace, _, Some(_)) => {
            put(value, storing.exptime, decision)
        }
        (Verb::Append, _, Some(entry)) => joined(entry, entry.body(), &value),
        (Verb::Prepend, _, Some(entry)) => joined(entry, &value, entry.body()),
        (Verb::Append | Verb::Prepend, _, None) => match storing.create_exptime {
            Some(exptime) => put(value, exptime, decision),
            None => (Change::Keep, Decided::Refuse),
        },
        (Verb::Add, _, Some(_)) | (Verb::Replace, _, None) => (Change::Keep, Decided::Refuse),
    }
}

/// What was added to is new and unread, and nobody is to recache it any more; a stale item stays
/// one, because what was there before is still in it.
fn bits_of_joined(bits: Bits) -> Bits {
    let bits = bits.without(Bits::FETCHED);
    if bits.has(Bits::STALE) { bits } else { bits.without(Bits::WON) }
}

/// Stores a draft until its time, the client's or a plugin's, and with a plugin's tags.
pub(super) fn put_until(
    cache: &Cache,
    draft: Draft,
    seconds: i64,
    decision: Option<StoreDecision>,
) -> Change {
    let now_ms = cache.clock().now_ms();
    match exptime(seconds, now_ms) {
        Exptime::Past => Change::Remove,
        Exptime::Until(expires) => {
            let draft = Draft { expires, ..draft };
            Change::Put(draft.decided(decision.unwrap_or_default(), now_ms))
        }
    }
}
