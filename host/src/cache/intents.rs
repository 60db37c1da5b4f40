//! Changes that are announced before they are made: from then on until they are done, nothing that
//! they name is served from memory or kept.
//!
//! # Invariants
//! - What [`Cache::shut`] has acknowledged holds until [`Cache::open`], also over a crash where
//!   there is a tier.
//! - Opening invalidates: what was read in between is as wrong as what was read before.
//!
//! # Not here
//! How stores are refused: `fence::shut`. When intents end: whoever announced them.

use super::Cache;
use super::invalidate::{Applied, InvalidateError};
use crate::model::{Intent, Invalidation, Passage, Target};

impl Cache {
    /// Makes everything named wrong, as [`Cache::invalidate`], and keeps nothing that depends on it
    /// until the intent ends. Nobody but the caller ends it, also not when its time is over. An
    /// intent of this name grows.
    ///
    /// # Errors
    /// Those of [`Cache::invalidate`]; what is not durable is shut all the same.
    pub async fn shut(
        &self,
        invalidation: Invalidation,
        intent: Intent,
    ) -> Result<Applied, InvalidateError> {
        self.pass(invalidation, Passage::Shut(intent)).await
    }

    /// Makes everything named wrong, and everything that the intent has shut, and ends the intent,
    /// if there is one of this name.
    ///
    /// # Errors
    /// Those of [`Cache::invalidate`]; what is not durable is open all the same.
    pub async fn open(
        &self,
        invalidation: Invalidation,
        intent: String,
    ) -> Result<Applied, InvalidateError> {
        self.pass(invalidation, Passage::Open(intent)).await
    }

    /// What an intent has shut; `None` for one that is unknown or has ended.
    pub fn shut_by(&self, intent: &str) -> Option<Vec<Target>> {
        self.shared.fence.shut_by(intent)
    }

    /// The intent whose time is over first.
    pub fn first_intent(&self) -> Option<Intent> {
        self.shared.fence.first_intent()
    }

    /// Ends when an intent has been announced since the last time, whoever waits for its outcome.
    pub async fn intent_announced(&self) {
        self.shared.intent_announced.notified().await;
    }

    /// How many intents there are, and how many targets they have shut.
    pub fn intents(&self) -> (usize, usize) {
        self.shared.fence.intents()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::{Basis, Change, Draft, UpdateError, WhenFull};
    use super::*;
    use crate::model::{Cause, Key, Mode, PageHead, Tag};

    fn cache() -> Cache {
        crate::cache::tests::cache(1 << 20, WhenFull::Evict)
    }

    fn key() -> Key {
        Key::new(b"p/k").unwrap()
    }

    fn tag(name: &str) -> Tag {
        Tag::new(name).unwrap()
    }

    fn head() -> PageHead {
        PageHead::of_test("http://h/", 1_000_000)
    }

    fn every_target() -> [Target; 4] {
        let prefix = Target::Prefix(Key::new(b"p/").unwrap());
        [Target::Tag(tag("t")), Target::Key(key()), prefix, Target::Everything]
    }

    fn naming(target: &Target) -> Invalidation {
        let targets = vec![(target.clone(), Mode::Hard)];
        Invalidation { targets, cause: Cause::default() }
    }

    async fn shut(cache: &Cache, name: &str, target: &Target) {
        let intent = Intent { name: name.into(), until_ms: 9 };
        cache.shut(naming(target), intent).await.unwrap();
    }

    async fn put(cache: &Cache, basis: Basis) -> Result<(), UpdateError> {
        let draft = Draft { basis, tags: vec![tag("t")], ..Draft::new(Bytes::from("v")) };
        cache.update(&key(), |_| (Change::Put(draft), ())).await.map(|_| ())
    }

    #[tokio::test]
    async fn between_shut_and_open_nothing_is_served_or_kept() {
        for target in every_target() {
            let cache = cache();
            put(&cache, Basis::Now).await.unwrap();
            shut(&cache, "one", &target).await;
            assert!(cache.peek(key().as_bytes()).is_none(), "{target:?}");
            let between = cache.claim();
            for basis in [Basis::Now, Basis::Claim(between), Basis::Present] {
                assert_eq!(put(&cache, basis).await, Err(UpdateError::Fenced), "{target:?}");
            }
            cache.open(naming(&target), "one".into()).await.unwrap();
            let late = put(&cache, Basis::Claim(between)).await;
            assert_eq!(late, Err(UpdateError::Fenced), "{target:?}: read before the commit");
            put(&cache, Basis::Claim(cache.claim())).await.unwrap();
            assert!(cache.peek(key().as_bytes()).is_some(), "{target:?}");
        }
    }

    #[tokio::test]
    async fn what_the_intent_has_shut_is_wrong_at_its_end_also_if_that_names_something_else() {
        for target in every_target() {
            let cache = cache();
            shut(&cache, "one", &target).await;
            let between = cache.claim();
            cache.open(naming(&Target::Tag(tag("other"))), "one".into()).await.unwrap();
            let late = put(&cache, Basis::Claim(between)).await;
            assert_eq!(late, Err(UpdateError::Fenced), "{target:?}");
            put(&cache, Basis::Now).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_target_that_two_intents_have_shut_opens_with_the_second() {
        let cache = cache();
        let target = Target::Tag(tag("t"));
        shut(&cache, "one", &target).await;
        shut(&cache, "two", &target).await;
        cache.open(naming(&target), "one".into()).await.unwrap();
        assert_eq!(put(&cache, Basis::Now).await, Err(UpdateError::Fenced));
        cache.open(naming(&target), "two".into()).await.unwrap();
        put(&cache, Basis::Now).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_shut_stays_so_when_rows_of_the_fence_go() {
        let cache = cache();
        shut(&cache, "one", &Target::Tag(tag("t"))).await;
        for _ in 0..3 {
            cache.sweep().await;
            cache.collect_fence(cache.applied());
        }
        assert_eq!(put(&cache, Basis::Claim(cache.claim())).await, Err(UpdateError::Fenced));
        assert_eq!(cache.shut_by("one"), Some(vec![Target::Tag(tag("t"))]));
    }

    #[tokio::test]
    async fn a_fill_that_is_under_way_is_not_handed_over_while_its_tag_is_shut() {
        let cache = cache();
        shut(&cache, "one", &Target::Tag(tag("t"))).await;
        let pending = cache.pending(&key(), cache.claim(), &head(), &[tag("t")]).unwrap();
        assert!(!cache.admits(&pending));
        let other = cache.pending(&key(), cache.claim(), &head(), &[tag("u")]).unwrap();
        assert!(cache.admits(&other));
    }
}
