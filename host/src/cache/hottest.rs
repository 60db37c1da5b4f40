//! Which keys are used most: the order in which a later start brings entries back.
//!
//! Rounds end the more seldom the longer the server runs. At the end of each the store says how hot
//! its keys are (`store/usage.rs`), and the hottest are given to the tier, which keeps them.
//!
//! # Invariants
//! - It is an order of look-ups. Nothing becomes valid or stays valid by it.
//! - Bounded: [`KEYS_MAX`] keys of [`BYTES_MAX`] bytes together.
//! - Requests wait for a shard at most, for microseconds.
//! - No new order is written until warming up has ended: until then memory has only a part of the
//!   entries.
//!
//! # Not here
//! How the order is kept (`tier`), and followed (`warm`).

use std::cmp::Reverse;
use std::time::Duration;

use super::Cache;
use super::store::Hot;
use crate::model::Key;

/// Most keys in the order.
const KEYS_MAX: usize = 20_000;

/// What they may take together: the tier writes them in one transaction.
const BYTES_MAX: usize = 2 << 20;

/// The first round, so that a server that is killed early leaves an order behind.
const ROUND_MS_MIN: u64 = 5_000;

/// Each round is twice as long as the one before, up to this: how old the order may be after a
/// crash.
const ROUND_MS_MAX: u64 = 300_000;

impl Cache {
    /// Gives the order to the tier for ever. Begun when warming up has ended; the owner ends it by
    /// dropping the future.
    pub async fn note_hottest_forever(&self) {
        let mut round_ms = ROUND_MS_MIN;
        loop {
            tokio::time::sleep(Duration::from_millis(round_ms)).await;
            self.note_hottest().await;
            round_ms = (2 * round_ms).min(ROUND_MS_MAX);
        }
    }

    /// Ends a round, and gives the order to the tier.
    pub(crate) async fn note_hottest(&self) {
        let Some(tier) = &self.shared.tier else { return };
        tier.write_hottest(&self.end_round().await);
    }

    /// Ends a round. Returns the hottest keys in memory, the hottest first.
    async fn end_round(&self) -> Vec<Key> {
        let mut hottest = Hottest::new(KEYS_MAX);
        for number in 0..self.shared.store.shards() {
            self.shared.store.end_round(number, hottest.least, &mut hottest.found);
            hottest.trim();
            tokio::task::yield_now().await;
        }
        let mut bytes_left = BYTES_MAX;
        let found = hottest.into_keys().into_iter();
        let fitting = found.take_while(|key| {
            let left = bytes_left.checked_sub(key.as_bytes().len());
            bytes_left = left.unwrap_or(0);
            left.is_some()
        });
        fitting.collect()
    }
}

/// The hottest of the keys seen so far.
struct Hottest {
    keys_max: usize,
    found: Vec<Hot>,
    /// What is not hotter is not among them.
    least: u32,
}

impl Hottest {
    fn new(keys_max: usize) -> Self {
        Self { keys_max, found: Vec::new(), least: 0 }
    }

    /// Forgets what is not among the hottest, now and then: when there is twice as much.
    fn trim(&mut self) {
        if self.found.len() >= 2 * self.keys_max {
            self.forget();
        }
    }

    fn forget(&mut self) {
        if self.found.len() > self.keys_max {
            let by_heat = |hot: &Hot| Reverse(hot.heat);
            let (_, least, _) = self.found.select_nth_unstable_by_key(self.keys_max - 1, by_heat);
            self.least = least.heat;
            self.found.truncate(self.keys_max);
        }
    }

    fn into_keys(mut self) -> Vec<Key> {
        self.forget();
        self.found.sort_by_key(|hot| Reverse(hot.heat));
        self.found.into_iter().map(|hot| hot.key).collect()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::cache::{Change, Draft, WhenFull};
    use crate::model::{Cause, Invalidation, Mode, Target};

    fn cache_that_counts_nothing() -> Cache {
        crate::cache::tests::cache(64 << 20, WhenFull::Evict)
    }

    fn cache() -> Cache {
        let cache = cache_that_counts_nothing();
        cache.shared.store.count_uses();
        cache
    }

    fn key(name: &str) -> Key {
        Key::new(name.as_bytes()).unwrap()
    }

    async fn set(cache: &Cache, name: &str) {
        let draft = Draft::new(Bytes::from_static(b"value"));
        cache.update(&key(name), |_| (Change::Put(draft), ())).await.unwrap();
    }

    async fn set_and_read(cache: &Cache, name: &str, times: usize) {
        set(cache, name).await;
        for _ in 0..times {
            assert!(cache.get(name.as_bytes()).await.is_some());
        }
    }

    async fn order(cache: &Cache) -> Vec<String> {
        cache.end_round().await.iter().map(Key::to_text).collect()
    }

    #[tokio::test]
    async fn what_was_read_most_comes_first_and_what_was_never_read_not_at_all() {
        let cache = cache();
        set_and_read(&cache, "some", 5).await;
        set_and_read(&cache, "never", 0).await;
        set_and_read(&cache, "most", 300).await;
        set_and_read(&cache, "once", 1).await;
        assert_eq!(order(&cache).await, ["most", "some", "once"]);
    }

    #[tokio::test]
    async fn what_was_read_rounds_ago_falls_behind_what_is_read_now() {
        let cache = cache();
        set_and_read(&cache, "then", 20).await;
        set_and_read(&cache, "now", 1).await;
        assert_eq!(order(&cache).await, ["then", "now"]);
        for _ in 0..8 {
            cache.get(b"now").await;
            cache.get(b"now").await;
            cache.end_round().await;
        }
        assert_eq!(order(&cache).await, ["now", "then"]);
    }

    #[tokio::test]
    async fn overwritten_key_stays_as_hot_and_a_removed_one_begins_anew() {
        let cache = cache();
        set_and_read(&cache, "overwritten", 10).await;
        set_and_read(&cache, "removed", 10).await;
        set_and_read(&cache, "other", 5).await;
        set(&cache, "overwritten").await;
        let targets = vec![(Target::Key(key("removed")), Mode::Hard)];
        let invalidation = Invalidation { targets, cause: Cause::default() };
        cache.invalidate(invalidation).await.unwrap();
        set_and_read(&cache, "removed", 1).await;
        assert_eq!(order(&cache).await, ["overwritten", "other", "removed"]);
    }

    #[tokio::test]
    async fn uses_before_somebody_wanted_to_know_count_for_nothing() {
        let cache = cache_that_counts_nothing();
        set_and_read(&cache, "before", 10).await;
        set_and_read(&cache, "also after", 10).await;
        cache.shared.store.count_uses();
        assert!(cache.get(b"also after").await.is_some());
        assert_eq!(order(&cache).await, ["also after"]);
    }

    #[tokio::test]
    async fn order_is_bounded_in_bytes() {
        let cache = cache();
        for n in 0..400 {
            set_and_read(&cache, &format!("{n:08000}"), 1).await;
        }
        set_and_read(&cache, "short and hot", 2).await;
        let order = cache.end_round().await;
        let bytes: usize = order.iter().map(|key| key.as_bytes().len()).sum();
        assert!(bytes <= BYTES_MAX && bytes > BYTES_MAX - 8_000, "{bytes}");
        assert_eq!(order.first(), Some(&key("short and hot")));
    }

    #[test]
    fn hottest_of_many_are_found_whatever_their_order() {
        for step in [1, 7, 99_999] {
            let mut hottest = Hottest::new(100);
            let heats: Vec<u32> = (0..100_000_u64).map(|n| (n * step % 100_003) as u32).collect();
            for heat in heats.iter().copied() {
                if heat > hottest.least {
                    hottest.found.push(Hot { heat, key: key(&heat.to_string()) });
                }
                hottest.trim();
                assert!(hottest.found.len() <= 200);
            }
            let mut heats = heats;
            heats.sort_by_key(|heat| Reverse(*heat));
            let expected = heats.iter().take(100).map(|heat| key(&heat.to_string()));
            assert_eq!(hottest.into_keys(), expected.collect::<Vec<_>>(), "{step}");
        }
    }
}
