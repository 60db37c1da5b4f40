//! Looking up by the meta protocol's rules: of all who find an entry missing, stale or about to
//! expire, one is told to recache it (protocol.txt, "Meta Get").
//!
//! # Invariants
//! - One client wins per generation of an entry: a win is taken by one atomic step, and what is
//!   found stale by the fence is put anew under its key's stripe, won by who does so.
//! - What is put anew as stale has a new CAS unique, born now. So a store that names that unique
//!   comes from a client that read after the purge, on whatever connection; and one that names the
//!   unique from before is refused.
//! - Who is told to recache, or is shown something stale, leaves a claim with the connection, taken
//!   before the look-up, for a store that names no unique.
//!
//! # Not here
//! The store that follows: `store`.

use super::observed;
use crate::cache::{
    Basis, Bits, Cache, Cas, Change, Claim, Draft, Entry, Revision, Sight, UpdateError, Verdict,
};
use crate::memcached::exptime::{Exptime, exptime};
use crate::memcached::metrics::Count;
use crate::memcached::session::Session;
use crate::model::{Expiry, Key};

/// What a look-up does beside looking, in the order in which it was asked for. Times are as sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::memcached) enum Step {
    /// Create an empty item where nothing is, expiring then.
    Vivify(i64),
    /// Have it expire then.
    Touch(i64),
    /// Win if it expires before then.
    Recache(i64),
}

/// What is looked up, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::memcached) struct LookUp<'a> {
    /// The key.
    pub(in crate::memcached) key: &'a [u8],
    /// What to do with what is found.
    pub(in crate::memcached) steps: Vec<Step>,
    /// The CAS unique of an item that is created.
    pub(in crate::memcached) cas: Cas,
    /// What an item that is created is marked with.
    pub(in crate::memcached) bits: Bits,
    /// Whether it counts as read.
    pub(in crate::memcached) reading: Reading,
}

/// Whether a look-up is to be seen in the entry's bookkeeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::memcached) enum Reading {
    /// It is.
    Noted,
    /// It leaves no trace.
    Unnoted,
}

/// Who is to recache an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::memcached) enum Recaching {
    /// Nobody yet.
    Nobody,
    /// This client, from now on.
    Won,
    /// Another client.
    Sent,
}

/// An entry as a look-up shows it.
#[derive(Debug, Clone)]
pub(in crate::memcached) struct Seen {
    /// The entry as it is now.
    pub(in crate::memcached) entry: Entry,
    /// Whether it had been read before.
    pub(in crate::memcached) was_fetched: bool,
    /// When it was last read before, in seconds since 1970.
    pub(in crate::memcached) accessed_s: u32,
    /// When it was to expire before.
    pub(in crate::memcached) expired: Expiry,
    /// Whether it is outdated.
    pub(in crate::memcached) is_stale: bool,
    /// Who recaches it.
    pub(in crate::memcached) recaching: Recaching,
}

impl LookUp<'_> {
    fn is_vivifying(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Vivify(_)))
    }

    fn is_touching(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Touch(_)))
    }

    /// The steps' effect on what expires at `expires`: when it does then, and whether it does so
    /// soon enough to be recached.
    fn walk(&self, mut expires: Expiry, now_ms: u64) -> (Expiry, bool) {
        let mut is_due = false;
        for step in &self.steps {
            match *step {
                Step::Touch(seconds) => expires = moment(seconds, now_ms),
                Step::Recache(seconds) => {
                    let window = moment(seconds, now_ms).as_ms();
                    is_due |= expires.as_ms().zip(window).is_some_and(|(at, end)| at < end);
                }
                Step::Vivify(_) => {}
            }
        }
        (expires, is_due)
    }

    /// When an item that is created expires: as the last step that says so has it.
    fn created_expires(&self, now_ms: u64) -> Expiry {
        let mut expires = Expiry::NEVER;
        for step in &self.steps {
            if let Step::Vivify(seconds) | Step::Touch(seconds) = *step {
                expires = moment(seconds, now_ms);
            }
        }
        expires
    }
}

/// When something expires; what is past is there for one answer only.
fn moment(seconds: i64, now_ms: u64) -> Expiry {
    match exptime(seconds, now_ms) {
        Exptime::Until(moment) => moment,
        Exptime::Past => Expiry::at_ms(now_ms),
    }
}

/// Looks a key up, and does what was asked for with what is found. Nothing, where memory is full
/// and may not be evicted from, or nothing is there and none is to be created.
pub(in crate::memcached) async fn look_up_leased(
    session: &mut Session,
    look_up: &LookUp<'_>,
) -> Result<Option<Seen>, UpdateError> {
    let cache = session.door.cache();
    let key = look_up.key;
    let now_ms = cache.clock().now_ms();
    // Before the look-up: what the client reads from its database because of it is newer.
    let claim = cache.claim();
    let found = match cache.peek_as_seen(key, Sight::WithStale) {
        None if session.door.has_tier() => cache.get_as_seen(key, Sight::WithStale).await,
        found => found,
    };
    let seen = match found {
        None if !look_up.is_vivifying() => None,
        Some(entry) if !look_up.is_touching() && cache.verdict(key, &entry) == Verdict::Fresh => {
            let (_, is_due) = look_up.walk(entry.expires(), now_ms);
            Some(see(&entry, is_due))
        }
        _ => match change(cache, look_up, now_ms).await {
            Err(UpdateError::Full) => {
                session.tally.inc(Count::StoreNoMemory);
                None
            }
            // A change of the key is announced: nothing is kept under it until that is done.
            Err(UpdateError::Fenced) => None,
            seen => seen?,
        },
    };
    if let Some(seen) = &seen
        && look_up.reading == Reading::Noted
    {
        seen.entry.note_read(now_ms);
    }
    note(session, look_up, claim, seen.as_ref());
    Ok(seen)
}

/// Counts a look-up, and leaves its claim to a store that may follow.
fn note(session: &mut Session, look_up: &LookUp<'_>, claim: Claim, seen: Option<&Seen>) {
    let key = look_up.key;
    observed::fetched(session, key, seen.map(|seen| &seen.entry));
    let Some(seen) = seen else {
        session.tally.inc(Count::CmdGet);
        session.tally.inc(Count::GetMisses);
        session.note_miss(key, claim);
        return;
    };
    let (command, hit) = match look_up.is_touching() {
        true => (Count::CmdTouch, Count::TouchHits),
        false => (Count::CmdGet, Count::GetHits),
    };
    session.tally.inc(command);
    session.tally.inc(hit);
    let unique = seen.entry.cas();
    let is_told = match seen.recaching {
        Recaching::Won => true,
        // Once, however often a client asks whether the other has done it.
        _ if session.misses.has_lease(key, unique) => false,
        Recaching::Sent => seen.is_stale || seen.entry.body().is_empty(),
        Recaching::Nobody => seen.is_stale,
    };
    if is_told {
        let now_ms = session.door.cache().clock().now_ms();
        session.misses.note_lease(key, claim, unique, now_ms);
    }
}

/// What a client is shown of an entry, which may thereby be won.
fn see(entry: &Entry, is_due: bool) -> Seen {
    let before = entry.bits();
    let is_stale = before.has(Bits::STALE);
    // A page is its origin's to recache.
    let is_wanted = (is_stale || is_due) && entry.page().is_none();
    let recaching = if is_wanted && entry.win() {
        Recaching::Won
    } else if entry.bits().has(Bits::WON) {
        Recaching::Sent
    } else {
        Recaching::Nobody
    };
    Seen {
        entry: entry.clone(),
        was_fetched: before.has(Bits::FETCHED),
        accessed_s: entry.accessed_s(),
        expired: entry.expires(),
        is_stale,
        recaching,
    }
}

/// Creates, touches, or puts anew what is stale by the fence.
async fn change(
    cache: &Cache,
    look_up: &LookUp<'_>,
    now_ms: u64,
) -> Result<Option<Seen>, UpdateError> {
    // There is no entry under what is no key.
    let Ok(key) = Key::new(look_up.key) else { return Ok(None) };
    let mut seen = None;
    let outcome = cache.update_as_seen(&key, Sight::WithStale, |current| {
        let (change, shown) = match current {
            None if look_up.is_vivifying() => return (vivified(look_up, now_ms), ()),
            None => return (Change::Keep, ()),
            Some(entry) => changed(cache, look_up, entry, now_ms),
        };
        seen = Some(shown);
        (change, ())
    });
    let stored = match outcome.await {
        Ok(((), stored)) => stored,
        // It is in memory, and that what a crash brings back is stale can be told then, too.
        Err(UpdateError::Tier(_)) if !look_up.is_touching() => {
            cache.peek_as_seen(look_up.key, Sight::WithStale)
        }
        Err(error) => return Err(error),
    };
    Ok(match (seen, stored) {
        (Some(seen), Some(entry)) => Some(Seen { entry, ..seen }),
        (None, Some(entry)) => Some(created(entry)),
        (seen, None) => seen,
    })
}

/// An empty item that its creator is to fill.
fn vivified(look_up: &LookUp<'_>, now_ms: u64) -> Change {
    Change::Put(Draft {
        expires: look_up.created_expires(now_ms),
        cas: look_up.cas,
        bits: look_up.bits.with(Bits::WON),
        ..Draft::new(bytes::Bytes::new())
    })
}

fn created(entry: Entry) -> Seen {
    Seen {
        was_fetched: false,
        accessed_s: entry.accessed_s(),
        expired: entry.expires(),
        is_stale: false,
        recaching: Recaching::Won,
        entry,
    }
}

fn changed(cache: &Cache, look_up: &LookUp<'_>, entry: &Entry, now_ms: u64) -> (Change, Seen) {
    let (expires, is_due) = look_up.walk(entry.expires(), now_ms);
    let is_outdated = entry.page().is_none() && cache.verdict(look_up.key, entry) == Verdict::Stale;
    if is_outdated {
        let bits = entry.bits();
        let seen = Seen { is_stale: true, recaching: Recaching::Won, ..see(entry, false) };
        let draft = Draft {
            flags: entry.flags(),
            expires,
            tags: entry.tags().to_vec(),
            basis: Basis::Now,
            bits: bits.with(Bits::STALE).with(Bits::WON),
            ..Draft::new(entry.body_bytes())
        };
        return (Change::Put(draft), seen);
    }
    let seen = see(entry, is_due);
    let change = if !look_up.is_touching() {
        Change::Keep
    } else if expires.is_past(now_ms) {
        Change::Remove
    } else {
        let (expires, cas) = (Some(expires), Cas::Same);
        Change::Revise(Revision { expires, cas, ..Revision::default() })
    };
    (change, seen)
}
