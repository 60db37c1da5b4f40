//! Which keys a connection has looked for in vain, and how old the data of a store that follows
//! may therefore be.
//!
//! # Invariants
//! - A store is never given a claim younger than a miss of its key that may have caused it: many
//!   clients share one connection among callers, so a second miss does not replace the first.
//! - A store without a miss that follows a refused one of another key, before the next miss, is
//!   taken for as old: Django misses a page's list of fields, and stores the page right behind it.
//! - Keys are known by their seeded hash: one for which another's claim is taken is refused more
//!   often, never less.
//! - Bounded: the oldest of [`MEMCACHED_MISSES_MAX`] keys gives way; without misses, nothing is
//!   held.
//!
//! # Not here
//! Whether the data is still good: the cache asks its fence.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use crate::cache::Claim;
use crate::limits::MEMCACHED_MISSES_MAX;
use crate::model::Sequence;

/// Misses without a store so far of one key.
#[derive(Debug, Clone, Copy)]
struct Miss {
    oldest: Sequence,
    newest: Sequence,
    /// How many; as many stores may follow.
    outstanding: u32,
    /// The CAS unique of the lease that the last of them came with.
    lease: Option<u64>,
}

/// The recent misses of one connection.
#[derive(Debug, Default)]
pub(super) struct Misses {
    by_hash: HashMap<u64, Miss>,
    /// The same hashes, oldest first.
    order: VecDeque<u64>,
    hasher: RandomState,
    /// The key whose store was refused last, and how old its data was, if no miss came since.
    refused: Option<(u64, Sequence)>,
}

impl Misses {
    /// Notes a miss whose claim was taken before the look-up.
    pub(super) fn note(&mut self, key: &[u8], claim: Claim) {
        self.refused = None;
        let hash = self.hasher.hash_one(key);
        if let Some(miss) = self.by_hash.get_mut(&hash) {
            miss.newest = claim.since;
            miss.outstanding = miss.outstanding.saturating_add(1);
            return;
        }
        while self.order.len() >= MEMCACHED_MISSES_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.by_hash.remove(&oldest);
            }
        }
        self.order.push_back(hash);
        let miss = Miss { oldest: claim.since, newest: claim.since, outstanding: 1, lease: None };
        self.by_hash.insert(hash, miss);
    }

    /// Notes that a client was told to recache what has this CAS unique, or that it is stale, by a
    /// claim that was taken before the look-up.
    pub(super) fn note_lease(&mut self, key: &[u8], claim: Claim, unique: u64) {
        self.note(key, claim);
        if let Some(miss) = self.by_hash.get_mut(&self.hasher.hash_one(key)) {
            miss.lease = Some(unique);
        }
    }

    /// Whether a lease with this CAS unique was the last thing noted of this key.
    pub(super) fn has_lease(&self, key: &[u8], unique: u64) -> bool {
        let miss = self.by_hash.get(&self.hasher.hash_one(key));
        miss.is_some_and(|miss| miss.lease == Some(unique))
    }

    /// Notes that a store named the CAS unique of its lease: it needs no claim, as what is there
    /// tells how old its data may be.
    pub(super) fn settle_lease(&mut self, key: &[u8], unique: u64) {
        if self.has_lease(key, unique) {
            self.settle(key, Outcome::Accepted);
            if let Some(miss) = self.by_hash.get_mut(&self.hasher.hash_one(key)) {
                miss.lease = None;
            }
        }
    }

    /// The claim of a store of this key; `None` where no miss led to it. To be followed by
    /// [`Misses::settle`].
    pub(super) fn claim(&self, key: &[u8]) -> Option<Claim> {
        if self.by_hash.is_empty() && self.refused.is_none() {
            return None;
        }
        let hash = self.hasher.hash_one(key);
        let own = self.by_hash.get(&hash).map(|miss| miss.oldest);
        // Who stores a refused key again has read its data again.
        let refused = || self.refused.filter(|(other, _)| *other != hash).map(|(_, since)| since);
        own.or_else(refused).map(Claim::at)
    }

    /// Notes that a store with a claim was carried out or refused.
    pub(super) fn settle(&mut self, key: &[u8], outcome: Outcome) {
        let hash = self.hasher.hash_one(key);
        let Some(miss) = self.by_hash.get_mut(&hash) else { return };
        miss.outstanding = miss.outstanding.saturating_sub(1);
        if outcome == Outcome::Refused {
            self.refused = Some((hash, miss.oldest));
        }
        match (miss.outstanding, outcome) {
            (0, _) => self.forget(hash),
            // The store that was refused belonged to the oldest miss; the rest are younger.
            (_, Outcome::Refused) => miss.oldest = miss.newest,
            (_, Outcome::Accepted) => {}
        }
    }

    /// Usually the newest or the oldest: a client stores what it missed last, or in order.
    fn forget(&mut self, hash: u64) {
        self.by_hash.remove(&hash);
        if self.by_hash.is_empty() {
            self.by_hash = HashMap::new();
            self.order = VecDeque::new();
        } else if let Some(index) = self.order.iter().rposition(|other| *other == hash) {
            self.order.remove(index);
        }
    }
}

/// What became of a store with a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The fence had not moved.
    Accepted,
    /// The fence had moved since the claim.
    Refused,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(at: u64) -> Claim {
        Claim::at(Sequence::from_u64(at))
    }

    #[test]
    fn a_second_miss_does_not_make_the_first_ones_data_younger() {
        let mut misses = Misses::default();
        misses.note(b"k", claim(1));
        misses.note(b"k", claim(2));
        assert_eq!(misses.claim(b"k"), Some(claim(1)));
        misses.settle(b"k", Outcome::Accepted);
        assert_eq!(misses.claim(b"k"), Some(claim(1)));
        misses.settle(b"k", Outcome::Accepted);
        assert_eq!(misses.claim(b"k"), None);
    }

    #[test]
    fn a_refused_store_leaves_the_younger_miss_to_the_next() {
        let mut misses = Misses::default();
        misses.note(b"k", claim(1));
        misses.note(b"k", claim(2));
        misses.settle(b"k", Outcome::Refused);
        assert_eq!(misses.claim(b"k"), Some(claim(2)));
        misses.settle(b"k", Outcome::Refused);
        assert_eq!(misses.claim(b"k"), None);
    }

    #[test]
    fn what_follows_a_refused_store_is_as_old_until_the_next_miss() {
        let mut misses = Misses::default();
        misses.note(b"list", claim(1));
        misses.note(b"own", claim(2));
        misses.settle(b"list", Outcome::Accepted);
        assert_eq!(misses.claim(b"page"), None);
        misses.note(b"list", claim(3));
        misses.settle(b"list", Outcome::Refused);
        assert_eq!((misses.claim(b"page"), misses.claim(b"own")), (Some(claim(3)), Some(claim(2))));
        misses.settle(b"own", Outcome::Accepted);
        assert_eq!(misses.claim(b"page"), Some(claim(3)));
        misses.note(b"next", claim(4));
        assert_eq!(misses.claim(b"page"), None);
    }

    #[test]
    fn a_store_that_names_its_lease_leaves_the_other_misses() {
        let mut misses = Misses::default();
        misses.note(b"k", claim(1));
        misses.note_lease(b"k", claim(2), 7);
        misses.settle_lease(b"k", 6);
        assert!(misses.has_lease(b"k", 7));
        misses.settle_lease(b"k", 7);
        assert!(!misses.has_lease(b"k", 7));
        assert_eq!(misses.claim(b"k"), Some(claim(1)));
        misses.settle_lease(b"k", 7);
        assert_eq!(misses.claim(b"k"), Some(claim(1)));
    }

    #[test]
    fn the_oldest_key_gives_way_when_there_are_too_many() {
        let mut misses = Misses::default();
        for number in 0..=MEMCACHED_MISSES_MAX {
            misses.note(number.to_string().as_bytes(), claim(number as u64));
        }
        assert_eq!(misses.claim(b"0"), None);
        assert_eq!(misses.claim(b"1"), Some(claim(1)));
        assert_eq!(misses.order.len(), MEMCACHED_MISSES_MAX);
        assert_eq!(misses.by_hash.len(), MEMCACHED_MISSES_MAX);
    }
}
