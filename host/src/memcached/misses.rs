//! Which keys a connection has looked for in vain, and how old the data of a store that follows
//! may therefore be.
//!
//! # Invariants
//! - A store is never given a claim younger than a miss of its key that may have caused it: many
//!   clients share one connection among callers, so a second miss does not replace the first. After
//!   a refusal as many stores are taken for as old as misses were waiting for theirs, since nobody
//!   says whose comes first; not more than [`SUSPECTS_MAX`], as some misses are never followed by a
//!   store.
//! - A store without a miss that follows a refused one of another key, before the next miss, is
//!   taken for as old: Django misses a page's list of fields, and stores the page right behind it.
//! - Keys are known by their seeded hash: one for which another's claim is taken is refused more
//!   often, never less.
//! - Bounded: of [`MEMCACHED_MISSES_MAX`] keys, the one that was missed longest ago gives way. It
//!   leaves the age of its data behind for as long as a fill may take: until then every store whose
//!   key may have given way is taken for as old, and is refused if that key was invalidated since.
//!
//! # Not here
//! Whether the data is still good: the cache asks its fence.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use crate::cache::Claim;
use crate::limits::{FILL_MS_MAX, MEMCACHED_MISSES_MAX};
use crate::model::Sequence;

/// Stores that are taken for as old as the one that was refused, that one included.
const SUSPECTS_MAX: u32 = 16;

/// For so long a miss that gave way is remembered; times are rounded down.
const DROPPED_S: u32 = FILL_MS_MAX.div_ceil(1_000) as u32;

/// Misses without a store so far of one key.
#[derive(Debug, Clone, Copy)]
struct Miss {
    oldest: Sequence,
    newest: Sequence,
    /// Further stores that are taken for as old as one that was refused.
    suspects: u32,
    /// The oldest of the misses since then.
    younger: Option<Sequence>,
    /// When the newest was, seconds since 1970.
    at_s: u32,
    /// The number of the newest among all misses of the connection; says whether a place in the
    /// order is the last one.
    number: u32,
    /// How many; as many stores may follow.
    outstanding: u32,
    /// Whether a store of this key was refused while something was in `dropped`. That refusal
    /// settles what of this key may have given way: from then on only its own misses count, or
    /// later stores of it would be refused for the same again.
    is_past_dropped: bool,
    /// The CAS unique of the lease that the last of them came with.
    lease: Option<u64>,
}

/// Keys that gave way and were last missed within the same second.
#[derive(Debug, Clone, Copy)]
struct Dropped {
    oldest: Sequence,
    at_s: u32,
}

/// The recent misses of one connection.
#[derive(Debug, Default)]
pub(super) struct Misses {
    by_hash: HashMap<u64, Miss>,
    /// Hash and number of every miss, oldest first; also of those that a later one has replaced.
    order: VecDeque<(u64, u32)>,
    /// The number of the last miss.
    last: u32,
    /// What gave way, oldest first.
    dropped: VecDeque<Dropped>,
    hasher: RandomState,
    /// The key whose store was refused last, and how old its data was, if no miss came since.
    refused: Option<(u64, Sequence)>,
}

impl Misses {
    /// Notes a miss whose claim was taken before the look-up.
    pub(super) fn note(&mut self, key: &[u8], claim: Claim, now_ms: u64) {
        self.refused = None;
        let hash = self.hasher.hash_one(key);
        // Places in the order are too few for a number that is used again to be found among them.
        self.last = self.last.wrapping_add(1);
        let (number, at_s) = (self.last, seconds(now_ms));
        if let Some(miss) = self.by_hash.get_mut(&hash) {
            if miss.outstanding == 0 {
                (miss.oldest, miss.suspects, miss.younger) = (claim.since, 0, None);
            } else if miss.suspects > 0 {
                miss.younger.get_or_insert(claim.since);
            }
            miss.newest = claim.since;
            (miss.at_s, miss.number) = (at_s, number);
            miss.outstanding = miss.outstanding.saturating_add(1);
        } else {
            if self.by_hash.len() >= MEMCACHED_MISSES_MAX {
                self.drop_oldest(at_s);
            }
            let miss = Miss {
                oldest: claim.since,
                newest: claim.since,
                suspects: 0,
                younger: None,
                at_s,
                number,
                outstanding: 1,
                is_past_dropped: false,
                lease: None,
            };
            self.by_hash.insert(hash, miss);
        }
        if self.order.len() >= 2 * MEMCACHED_MISSES_MAX {
            let by_hash = &self.by_hash;
            self.order.retain(|place| is_current(by_hash, *place));
        }
        self.order.push_back((hash, number));
    }

    /// Notes that a client was told to recache what has this CAS unique, or that it is stale, by a
    /// claim that was taken before the look-up.
    pub(super) fn note_lease(&mut self, key: &[u8], claim: Claim, unique: u64, now_ms: u64) {
        self.note(key, claim, now_ms);
        if let Some(miss) = self.by_hash.get_mut(&self.hasher.hash_one(key)) {
            miss.lease = Some(unique);
        }
    }

    /// Whether a lease with this CAS unique was the last thing noted of this key.
    pub(super) fn has_lease(&self, key: &[u8], unique: u64) -> bool {
        let miss = self.by_hash.get(&self.hasher.hash_one(key));
        miss.is_some_and(|miss| miss.lease == Some(unique))
    }

    /// Notes that a store is made on condition that the CAS unique of its lease is still there: it
    /// needs no claim, as what is there tells how old its data may be. Returns the claim that it
    /// would have needed; `None` where there is no such lease.
    pub(super) fn settle_lease(&mut self, key: &[u8], unique: u64) -> Option<Claim> {
        if !self.has_lease(key, unique) {
            return None;
        }
        let hash = self.hasher.hash_one(key);
        let since = self.since(hash);
        self.settle(key, Outcome::Accepted);
        if let Some(miss) = self.by_hash.get_mut(&hash) {
            miss.lease = None;
        }
        since.map(Claim::at)
    }

    /// The claim of a store of this key; `None` where no miss led to it. To be followed by
    /// [`Misses::settle`].
    pub(super) fn claim(&mut self, key: &[u8], now_ms: u64) -> Option<Claim> {
        if self.by_hash.is_empty() && self.refused.is_none() && self.dropped.is_empty() {
            return None;
        }
        self.expire_dropped(seconds(now_ms));
        let hash = self.hasher.hash_one(key);
        let has_own = self.by_hash.get(&hash).is_some_and(|miss| miss.outstanding > 0);
        // Who stores a refused key again has read its data again.
        let refused = self.refused.filter(|(other, _)| !has_own && *other != hash);
        let refused = refused.map(|(_, since)| since);
        self.since(hash).into_iter().chain(refused).min().map(Claim::at)
    }

    /// Notes that a store with a claim was carried out or refused.
    pub(super) fn settle(&mut self, key: &[u8], outcome: Outcome) {
        let hash = self.hasher.hash_one(key);
        let since = self.since(hash);
        let has_dropped = !self.dropped.is_empty();
        let Some(miss) = self.by_hash.get_mut(&hash) else { return };
        miss.settle(outcome);
        if outcome == Outcome::Refused {
            self.refused = since.map(|since| (hash, since));
            miss.is_past_dropped = has_dropped;
        }
        match (miss.outstanding, outcome) {
            (0, Outcome::Refused) if has_dropped => miss.lease = None,
            (0, _) => self.forget(hash),
            (1.., _) => {}
        }
    }

    /// How old the data of a key may be by its own misses, and by those that gave way.
    fn since(&self, hash: u64) -> Option<Sequence> {
        let miss = self.by_hash.get(&hash).filter(|miss| miss.outstanding > 0);
        let dropped = || self.dropped.iter().map(|dropped| dropped.oldest).min();
        match miss {
            Some(miss) if miss.is_past_dropped => Some(miss.oldest),
            Some(miss) => Some(dropped().map_or(miss.oldest, |dropped| dropped.min(miss.oldest))),
            None => dropped(),
        }
    }

    /// Makes room for a key.
    fn drop_oldest(&mut self, now_s: u32) {
        self.expire_dropped(now_s);
        while let Some(place) = self.order.pop_front() {
            if is_current(&self.by_hash, place)
                && let Some(miss) = self.by_hash.remove(&place.0)
            {
                if miss.outstanding > 0 {
                    self.note_dropped(miss, now_s);
                }
                return;
            }
        }
    }

    /// Remembers the age of a miss without its key. Keys give way in the order in which they were
    /// missed last.
    fn note_dropped(&mut self, miss: Miss, now_s: u32) {
        let Miss { oldest, at_s, .. } = miss;
        if is_over(at_s, now_s) {
            return;
        }
        match self.dropped.back_mut() {
            Some(last) if last.at_s == at_s => last.oldest = last.oldest.min(oldest),
            _ => self.dropped.push_back(Dropped { oldest, at_s }),
        }
    }

    /// Forgets what gave way so long ago that its fill has ended: a slower one is not kept.
    fn expire_dropped(&mut self, now_s: u32) {
        while self.dropped.front().is_some_and(|oldest| is_over(oldest.at_s, now_s)) {
            self.dropped.pop_front();
        }
    }

    fn forget(&mut self, hash: u64) {
        self.by_hash.remove(&hash);
        if self.by_hash.is_empty() {
            self.by_hash = HashMap::new();
            self.order = VecDeque::new();
        }
    }
}

impl Miss {
    /// Counts a store.
    fn settle(&mut self, outcome: Outcome) {
        self.suspects = match (self.suspects, outcome) {
            (0, Outcome::Accepted) => {
                self.outstanding = self.outstanding.saturating_sub(1);
                return;
            }
            (0, Outcome::Refused) => self.outstanding.min(SUSPECTS_MAX),
            (left, _) => left,
        };
        self.suspects = self.suspects.saturating_sub(1);
        self.outstanding = self.outstanding.saturating_sub(1);
        if self.suspects == 0 {
            self.oldest = self.younger.take().unwrap_or(self.newest);
        }
    }
}

/// Whether a place in the order is that of its key's newest miss.
fn is_current(by_hash: &HashMap<u64, Miss>, (hash, number): (u64, u32)) -> bool {
    by_hash.get(&hash).is_some_and(|miss| miss.number == number)
}

/// Whether a fill that a miss led to has ended by now.
fn is_over(at_s: u32, now_s: u32) -> bool {
    now_s.saturating_sub(at_s) > DROPPED_S
}

fn seconds(unix_ms: u64) -> u32 {
    u32::try_from(unix_ms / 1_000).unwrap_or(u32::MAX)
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

    const NOW_MS: u64 = 1_000_000;

    fn claim(at: u64) -> Claim {
        Claim::at(Sequence::from_u64(at))
    }

    #[test]
    fn a_second_miss_does_not_make_the_first_ones_data_younger() {
        let mut misses = Misses::default();
        misses.note(b"k", claim(1), NOW_MS);
        misses.note(b"k", claim(2), NOW_MS);
        assert_eq!(misses.claim(b"k", NOW_MS), Some(claim(1)));
        misses.settle(b"k", Outcome::Accepted);
        assert_eq!(misses.claim(b"k", NOW_MS), Some(claim(1)));
        misses.settle(b"k", Outcome::Accepted);
        assert_eq!(misses.claim(b"k", NOW_MS), None);
    }

    #[test]
    fn whoever_stores_first_every_store_that_may_be_the_oldest_miss_is_as_old() {
        let mut misses = Misses::default();
        for at in [1, 1, 2] {
            misses.note(b"k", claim(at), NOW_MS);
        }
        for left in (0..3).rev() {
            assert_eq!(misses.claim(b"k", NOW_MS), Some(claim(1)), "{left}");
            misses.settle(b"k", Outcome::Refused);
        }
        assert_eq!(misses.claim(b"k", NOW_MS), None);
    }

    #[test]
    fn misses_since_a_refusal_are_as_old_as_they_are_once_those_before_have_had_their_stores() {
        let mut misses = Misses::default();
        for at in [1, 2] {
            misses.note(b"k", claim(at), NOW_MS);
        }
        misses.settle(b"k", Outcome::Refused);
        for at in [5, 6] {
            misses.note(b"k", claim(at), NOW_MS);
        }
        assert_eq!(misses.claim(b"k", NOW_MS), Some(claim(1)));
        misses.settle(b"k", Outcome::Refused);
        assert_eq!(misses.claim(b"k", NOW_MS), Some(claim(5)));
        misses.settle(b"k", Outcome::Accepted);
        assert_eq!(misses.claim(b"k", NOW_MS), Some(claim(5)));
    }

    #[test]
    fn misses_without_a_store_do_not_have_a_key_refused_for_ever() {
        let mut misses = Misses::default();
        for _ in 0..1_000 {
            misses.note(b"k", claim(1), NOW_MS);
        }
        let mut refused = 0;
        for at in 10..100 {
            misses.note(b"k", claim(at), NOW_MS);
            if misses.claim(b"k", NOW_MS).is_some_and(|claim| claim.since.as_u64() < 10) {
                refused += 1;
                misses.settle(b"k", Outcome::Refused);
            } else {
                misses.settle(b"k", Outcome::Accepted);
            }
        }
        assert_eq!(refused, SUSPECTS_MAX);
    }

    #[test]
    fn what_follows_a_refused_store_is_as_old_until_the_next_miss() {
        let mut misses = Misses::default();
        misses.note(b"list", claim(1), NOW_MS);
        misses.note(b"own", claim(2), NOW_MS);
        misses.settle(b"list", Outcome::Accepted);
        assert_eq!(misses.claim(b"page", NOW_MS), None);
        misses.note(b"list", claim(3), NOW_MS);
        misses.settle(b"list", Outcome::Refused);
        assert_eq!(
            (misses.claim(b"page", NOW_MS), misses.claim(b"own", NOW_MS)),
            (Some(claim(3)), Some(claim(2)))
        );
        misses.settle(b"own", Outcome::Accepted);
        assert_eq!(misses.claim(b"page", NOW_MS), Some(claim(3)));
        misses.note(b"next", claim(4), NOW_MS);
        assert_eq!(misses.claim(b"page", NOW_MS), None);
    }

    #[test]
    fn a_store_that_names_its_lease_leaves_the_other_misses() {
        let mut misses = Misses::default();
        misses.note(b"k", claim(1), NOW_MS);
        misses.note_lease(b"k", claim(2), 7, NOW_MS);
        misses.settle_lease(b"k", 6);
        assert!(misses.has_lease(b"k", 7));
        misses.settle_lease(b"k", 7);
        assert!(!misses.has_lease(b"k", 7));
        assert_eq!(misses.claim(b"k", NOW_MS), Some(claim(1)));
        misses.settle_lease(b"k", 7);
        assert_eq!(misses.claim(b"k", NOW_MS), Some(claim(1)));
    }

    /// Misses of as many other keys as are remembered, `step_ms` apart. Returns the time after it.
    fn miss_others(misses: &mut Misses, since: u64, step_ms: u64) -> u64 {
        let mut now_ms = NOW_MS;
        for number in 0..MEMCACHED_MISSES_MAX {
            now_ms += step_ms;
            misses.note(format!("other {number}").as_bytes(), claim(since), now_ms);
        }
        now_ms
    }

    #[test]
    fn a_key_that_gives_way_leaves_its_age_behind_for_as_long_as_a_fill_may_take() {
        let mut misses = Misses::default();
        misses.note(b"k", claim(1), NOW_MS);
        miss_others(&mut misses, 2, 0);
        for key in [b"k", b"x"] {
            assert_eq!(misses.claim(key, NOW_MS + FILL_MS_MAX), Some(claim(1)));
            misses.settle(key, Outcome::Accepted);
        }
        assert_eq!(misses.claim(b"k", NOW_MS + FILL_MS_MAX + 1_000), None);
        assert_eq!(misses.by_hash.len(), MEMCACHED_MISSES_MAX);
        assert!(misses.dropped.is_empty());
    }

    #[test]
    fn a_key_that_is_missed_again_after_it_gave_way_is_as_old_as_before_until_one_is_refused() {
        let mut misses = Misses::default();
        misses.note(b"k", claim(1), NOW_MS);
        miss_others(&mut misses, 2, 0);
        misses.note(b"k", claim(3), NOW_MS);
        assert_eq!(misses.claim(b"k", NOW_MS), Some(claim(1)));
        misses.settle(b"k", Outcome::Refused);
        assert_eq!(misses.claim(b"k", NOW_MS), Some(claim(1)));
        misses.settle(b"k", Outcome::Refused);
        misses.note(b"k", claim(4), NOW_MS);
        assert_eq!(misses.claim(b"k", NOW_MS), Some(claim(4)));
    }

    #[test]
    fn a_key_that_is_missed_again_and_again_does_not_give_way_and_stays_as_old() {
        let mut misses = Misses::default();
        misses.note(b"k", claim(1), NOW_MS);
        for number in 0..4 * MEMCACHED_MISSES_MAX {
            misses.note(b"k", claim(2), NOW_MS);
            misses.note(format!("other {number}").as_bytes(), claim(2), NOW_MS);
            assert!(misses.order.len() <= 2 * MEMCACHED_MISSES_MAX);
        }
        assert_eq!(misses.claim(b"k", NOW_MS), Some(claim(1)));
        assert_eq!(misses.claim(b"x", NOW_MS), Some(claim(2)));
        assert_eq!(misses.by_hash.len(), MEMCACHED_MISSES_MAX);
    }

    #[test]
    fn misses_that_never_lead_to_a_store_make_no_store_older_than_the_longest_fill() {
        for (step_ms, is_any_dropped) in [(1_000, false), (10, true)] {
            let mut misses = Misses::default();
            for number in 0..100_000_u64 {
                let now_ms = NOW_MS + number * step_ms;
                misses.note(number.to_string().as_bytes(), claim(now_ms), now_ms);
            }
            let now_ms = NOW_MS + 100_000 * step_ms;
            let since = misses.claim(b"x", now_ms);
            assert_eq!(since.is_some(), is_any_dropped);
            let oldest = since.map_or(now_ms, |claim| claim.since.as_u64());
            assert!(now_ms - oldest <= FILL_MS_MAX + 1_000, "{}", now_ms - oldest);
            assert!(misses.dropped.len() <= DROPPED_S as usize + 1);
        }
    }
}
