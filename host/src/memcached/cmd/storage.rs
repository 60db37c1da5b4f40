//! `set`, `add`, `replace`, `append`, `prepend` and `cas`.

use bytes::Bytes;

use crate::cache::{Basis, Cache, Change, Claim, Draft, Handle, Revision, UpdateError};
use crate::memcached::exptime::{Exptime, exptime};
use crate::memcached::metrics::Count;
use crate::memcached::misses::Outcome;
use crate::memcached::parse::{Answer, Store, Verb};
use crate::memcached::session::Session;
use crate::model::{Expiry, Key, StoreDecision};

const STORED: &[u8] = b"STORED\r\n";
const NOT_STORED: &[u8] = b"NOT_STORED\r\n";
const EXISTS: &[u8] = b"EXISTS\r\n";
const NOT_FOUND: &[u8] = b"NOT_FOUND\r\n";
const TOO_LARGE: &[u8] = b"SERVER_ERROR object too large for cache\r\n";
const OUT_OF_MEMORY: &[u8] = b"SERVER_ERROR out of memory storing object\r\n";

/// A storage command whose data is on its way.
#[derive(Debug)]
pub(in crate::memcached) struct Pending {
    verb: Verb,
    key: Key,
    flags: u32,
    exptime: i64,
    /// Length of the value.
    pub(in crate::memcached) value_bytes: usize,
    answer: Answer,
}

/// Begins a storage command. `None` where its data is not wanted; the client has been told then.
pub(in crate::memcached) async fn expect(
    session: &mut Session,
    store: &Store<'_>,
) -> Option<Pending> {
    let key = match Key::new(store.key) {
        Ok(key) => key,
        Err(error) => {
            session.server_error(store.answer, &error);
            return None;
        }
    };
    let Store { verb, flags, exptime, value_bytes, answer, .. } = *store;
    let pending = Pending { verb, key, flags, exptime, value_bytes, answer };
    if value_bytes > session.door.cache().config().item_bytes_max {
        refuse_too_large(session, &pending).await;
        return None;
    }
    Some(pending)
}

/// Tells the client that its value is too large.
async fn refuse_too_large(session: &mut Session, pending: &Pending) {
    session.tally.inc(Count::StoreTooLarge);
    match pending.verb {
        Verb::Set => remove_and_answer(session, pending, TOO_LARGE).await,
        _ => session.answer(pending.answer, TOO_LARGE),
    }
}

/// Tells the client that its value may have been read before an invalidation.
async fn refuse_fenced(session: &mut Session, pending: &Pending) {
    session.tally.inc(Count::StoreFenced);
    match pending.verb {
        Verb::Set | Verb::Replace => remove_and_answer(session, pending, NOT_STORED).await,
        _ => session.answer(pending.answer, NOT_STORED),
    }
}

/// Answers a store that was not carried out. What it was to replace is gone: the client may mean
/// it to be outdated, and does not try again.
async fn remove_and_answer(session: &mut Session, pending: &Pending, line: &[u8]) {
    let removed = session.door.cache().update(&pending.key, |_| (Change::Remove, ()));
    match removed.await {
        Ok(_) => session.answer(pending.answer, line),
        Err(error) => session.server_error(pending.answer, &error),
    }
}

/// Tells the client that what followed its value is not a line end.
pub(in crate::memcached) fn refuse_bad_data(session: &mut Session, pending: &Pending) {
    session.answer(pending.answer, b"CLIENT_ERROR bad data chunk\r\n");
}

/// Stores a whole value: the one way by which clients' values come into the cache.
pub(in crate::memcached) async fn carry_out(session: &mut Session, pending: Pending, value: Bytes) {
    session.tally.inc(Count::CmdSet);
    let arrival = session.door.cache().claim();
    let missed = match pending.verb {
        Verb::Set | Verb::Add | Verb::Replace => session.misses.claim(pending.key.as_bytes()),
        // What is there says how old the result is; and a unique was read with the value, so that
        // an invalidation since then has taken away what it names.
        Verb::Append | Verb::Prepend | Verb::Cas(_) => None,
    };
    let decision = match item_decision(session, &pending, value.len()).await {
        Ok(decision) => decision,
        Err(NotKept) => {
            session.misses.settle(pending.key.as_bytes(), Outcome::Accepted);
            return remove_and_answer(session, &pending, NOT_STORED).await;
        }
    };
    // While a plugin was asked, the data has grown no newer than it was when it came.
    let claim = missed.or(decision.as_ref().map(|_| arrival));
    let cache = session.door.cache();
    let outcome = cache.update(&pending.key, |current| {
        decide(cache, &pending, value, Terms { claim, decision }, current)
    });
    let outcome = outcome.await.map(|(told, _)| told);
    if missed.is_some() {
        let settled = match &outcome {
            Err(UpdateError::Fenced) => Outcome::Refused,
            _ => Outcome::Accepted,
        };
        session.misses.settle(pending.key.as_bytes(), settled);
    }
    match outcome {
        Ok(told) => {
            count_cas(session, pending.verb, told);
            session.answer(pending.answer, told);
        }
        Err(UpdateError::Fenced) => refuse_fenced(session, &pending).await,
        Err(UpdateError::Full) => {
            session.tally.inc(Count::StoreNoMemory);
            session.answer(pending.answer, OUT_OF_MEMORY);
        }
        Err(error) => session.server_error(pending.answer, &error),
    }
}

/// A plugin said, or could not say, that the item is not to be kept.
struct NotKept;

/// What a plugin says about an item, where one wants to be asked.
async fn item_decision(
    session: &Session,
    pending: &Pending,
    value_bytes: usize,
) -> Result<Option<StoreDecision>, NotKept> {
    let Some(policy) = &session.door.settings().items else { return Ok(None) };
    // What is added to an item leaves its tags and times as they are.
    let is_joined = matches!(pending.verb, Verb::Append | Verb::Prepend);
    if is_joined || !policy.concerns(pending.key.as_bytes()) {
        return Ok(None);
    }
    let body_bytes = u32::try_from(value_bytes).unwrap_or(u32::MAX);
    match policy.on_item(&pending.key, pending.flags, body_bytes).await {
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

/// What a storage command does to the present entry, and its answer.
fn decide(
    cache: &Cache,
    pending: &Pending,
    value: Bytes,
    terms: Terms,
    current: Option<&Handle>,
) -> (Change, &'static [u8]) {
    let Terms { claim, decision } = terms;
    let put = |body| {
        let now_ms = cache.clock().now_ms();
        let decision = decision.unwrap_or_default();
        let change = match (exptime(pending.exptime, now_ms), decision.ttl_s) {
            (Exptime::Past, _) => Change::Remove,
            (Exptime::Until(expires), ttl_s) => {
                let by_plugin = ttl_s.map(|s| Expiry::at_ms(now_ms + u64::from(s) * 1000));
                Change::Put(Draft {
                    flags: pending.flags,
                    expires: by_plugin.unwrap_or(expires),
                    tags: decision.tags,
                    basis: match pending.verb {
                        Verb::Cas(_) => Basis::Present,
                        _ => claim.map_or(Basis::Now, Basis::Claim),
                    },
                    ..Draft::new(body)
                })
            }
        };
        (change, STORED)
    };
    let joined = |first: &[u8], second: &[u8]| {
        if first.len() + second.len() > cache.config().item_bytes_max {
            return (Change::Keep, NOT_STORED);
        }
        let mut body = Vec::with_capacity(first.len() + second.len());
        body.extend_from_slice(first);
        body.extend_from_slice(second);
        (Change::Revise(Revision { body: Some(Bytes::from(body)), ..Revision::default() }), STORED)
    };
    let is_joined = matches!(pending.verb, Verb::Append | Verb::Prepend);
    // A page is its origin's; a client can replace it, not add to it.
    let current = current.filter(|entry| !is_joined || entry.page().is_none());
    match (pending.verb, current) {
        (Verb::Set, _) | (Verb::Add, None) | (Verb::Replace, Some(_)) => put(value),
        (Verb::Add, Some(_)) | (Verb::Replace | Verb::Append | Verb::Prepend, None) => {
            (Change::Keep, NOT_STORED)
        }
        (Verb::Append, Some(entry)) => joined(entry.body(), &value),
        (Verb::Prepend, Some(entry)) => joined(&value, entry.body()),
        (Verb::Cas(_), None) => (Change::Keep, NOT_FOUND),
        (Verb::Cas(unique), Some(entry)) if entry.cas() == unique => put(value),
        (Verb::Cas(_), Some(_)) => (Change::Keep, EXISTS),
    }
}

fn count_cas(session: &mut Session, verb: Verb, told: &[u8]) {
    if let Verb::Cas(_) = verb {
        session.tally.inc(match told {
            NOT_FOUND => Count::CasMisses,
            EXISTS => Count::CasBadval,
            _ => Count::CasHits,
        });
    }
}
