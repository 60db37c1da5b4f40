//! Fills of pages that are under way: what a client stores under their key meanwhile is newer.
//!
//! # Invariants
//! - A fill is under way from the moment at which its claim is taken until it is dropped; what an
//!   item under its key was changed to in between is not replaced by its page, also if that item
//!   has gone again.
//! - Both sides hold the key's stripe: a change is either seen by the fill or comes after its page.
//!
//! # Not here
//! Invalidations: those the fence knows.

use super::Cache;
use super::fence::Claim;
use crate::model::Key;

/// The fills under way whose keys are of one stripe; seldom more than one.
#[derive(Default)]
pub(super) struct Stripe(Vec<Running>);

/// A key that is being filled.
struct Running {
    key: Key,
    /// How many fills.
    fills: usize,
    /// How often its item was changed since the first of them began.
    changes: u64,
}

impl Stripe {
    /// Notes that a client has changed, stored or removed an item.
    pub(super) fn note_change(&mut self, key: &Key) {
        if let Some(running) = self.0.iter_mut().find(|running| running.key == *key) {
            running.changes += 1;
        }
    }

    /// Whether a client has changed the item of its key since the fill began.
    pub(super) fn is_superseded(&self, filling: &Filling) -> bool {
        let running = self.0.iter().find(|running| running.key == filling.key);
        running.is_none_or(|running| running.changes != filling.changes_before)
    }

    /// Returns how often the item was changed up to now.
    fn enter(&mut self, key: &Key) -> u64 {
        if let Some(running) = self.0.iter_mut().find(|running| running.key == *key) {
            running.fills += 1;
            return running.changes;
        }
        self.0.push(Running { key: key.clone(), fills: 1, changes: 0 });
        0
    }

    fn leave(&mut self, key: &Key) {
        let Some(index) = self.0.iter().position(|running| running.key == *key) else { return };
        if let Some(running) = self.0.get_mut(index) {
            running.fills -= 1;
            if running.fills == 0 {
                self.0.swap_remove(index);
            }
        }
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
    }
}

/// A fill of a page that is under way, with the claim of its data. Ends when it is dropped.
pub struct Filling {
    cache: Cache,
    key: Key,
    claim: Claim,
    changes_before: u64,
}

impl Filling {
    /// Its key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The claim of its data.
    pub fn claim(&self) -> Claim {
        self.claim
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        self.cache.shared.stripe(self.key.as_bytes()).leave(&self.key);
    }
}

impl Cache {
    /// Begins to fill a page: its data is read from now on. To be called when a miss is decided,
    /// before the origin is asked.
    pub fn begin_fill(&self, key: &Key) -> Filling {
        let changes_before = self.shared.stripe(key.as_bytes()).enter(key);
        let (cache, key) = (self.clone(), key.clone());
        // After it is noted: what is changed before the claim is taken only counts as newer.
        Filling { claim: self.claim(), cache, key, changes_before }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Change, Draft, Refusal, WhenFull};
    use super::*;
    use crate::model::{Content, Expiry, Kind, PageHead};

    fn cache() -> Cache {
        crate::cache::tests::cache(1 << 20, WhenFull::Evict)
    }

    fn key(name: &str) -> Key {
        Key::new(name.as_bytes()).unwrap()
    }

    fn page() -> Content {
        let head = PageHead::of_test("http://example.org/a", 1_000_000);
        let kind = Kind::Page(head.into());
        Content { body: "page".into(), kind, expires: Expiry::NEVER, tags: Vec::new() }
    }

    async fn change(cache: &Cache, name: &str, change: Change) {
        cache.update(&key(name), |_| (change, ())).await.unwrap();
    }

    fn item() -> Change {
        Change::Put(Draft::new("item".into()))
    }

    async fn body(cache: &Cache) -> Option<Vec<u8>> {
        cache.get(b"k").await.map(|entry| entry.body().to_vec())
    }

    #[tokio::test]
    async fn a_page_does_not_replace_what_a_client_stored_while_it_was_filled() {
        let cache = cache();
        let filling = cache.begin_fill(&key("k"));
        change(&cache, "k", item()).await;
        assert!(matches!(cache.store_page(&filling, page()), Err(Refusal::Older)));
        assert_eq!(body(&cache).await.as_deref(), Some(&b"item"[..]));
        // A fill that begins now has read newer data.
        cache.store_page(&cache.begin_fill(&key("k")), page()).unwrap();
        assert_eq!(body(&cache).await.as_deref(), Some(&b"page"[..]));
    }

    #[tokio::test]
    async fn a_page_is_not_kept_also_when_what_was_stored_meanwhile_has_gone_again() {
        let cache = cache();
        let filling = cache.begin_fill(&key("k"));
        change(&cache, "k", item()).await;
        change(&cache, "k", Change::Remove).await;
        assert!(matches!(cache.store_page(&filling, page()), Err(Refusal::Older)));
        assert_eq!(body(&cache).await, None);
    }

    #[tokio::test]
    async fn a_page_is_kept_when_other_keys_are_changed_and_other_fills_begin_and_end() {
        let cache = cache();
        change(&cache, "k", item()).await;
        let filling = cache.begin_fill(&key("k"));
        drop(cache.begin_fill(&key("k")));
        for n in 0..5_000 {
            change(&cache, &format!("other {n}"), item()).await;
        }
        cache.store_page(&filling, page()).unwrap();
        assert_eq!(body(&cache).await.as_deref(), Some(&b"page"[..]));
        drop(filling);
        assert!(cache.shared.stripes.iter().all(|stripe| stripe.lock().0.is_empty()));
    }
}
