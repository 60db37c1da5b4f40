//! The cache as the front doors use it: budget, fills in flight, counts, explanations.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;

use super::*;
use crate::model::{Cause, Expiry, Invalidation, Key, Mode, Tag, Target};

/// A memory of so many bytes, without a tier, at a moment that stands still.
pub(super) fn cache(memory_bytes: u64, when_full: WhenFull) -> Cache {
    let config = CacheConfig { memory_bytes, item_bytes_max: 1 << 20, when_full };
    Cache::new(config, Clock::manual(1_000_000), None, Recovered::default())
}

fn key(name: &str) -> Key {
    Key::new(name.as_bytes()).unwrap()
}

fn draft(body: impl Into<Bytes>, tags: &[&str]) -> Draft {
    let tags = tags.iter().map(|tag| Tag::new(tag).unwrap()).collect();
    Draft { tags, ..Draft::new(body.into()) }
}

async fn set(cache: &Cache, name: &str, draft: Draft) -> Result<(), UpdateError> {
    cache.update(&key(name), |_| (Change::Put(draft), ())).await.map(|_| ())
}

async fn purge(cache: &Cache, target: Target) -> Applied {
    let cause =
        Cause { source: "test".into(), event_id: Some("e1".into()), at_ms: 5, ..Cause::default() };
    let invalidation = Invalidation { targets: vec![(target, Mode::Hard)], cause };
    cache.invalidate(invalidation).await.unwrap()
}

#[tokio::test]
async fn a_value_just_stored_is_readable_also_when_memory_is_full() {
    let cache = cache(48 << 20, WhenFull::Evict);
    for n in 0..400 {
        let name = format!("k{n}");
        set(&cache, &name, draft(vec![0u8; 544 << 10], &[])).await.unwrap();
        assert!(cache.peek(name.as_bytes()).is_some(), "{name} was acknowledged as stored");
    }
    assert!(cache.evictions() > 0);
    assert!(cache.bytes() <= 48 << 20, "{} bytes are charged", cache.bytes());
}

#[tokio::test]
async fn with_eviction_off_the_newcomer_is_refused_and_the_rest_stays() {
    let cache = cache(1 << 20, WhenFull::Refuse);
    let mut stored = 0;
    let refused = loop {
        match set(&cache, &format!("k{stored}"), draft(vec![0u8; 64 << 10], &[])).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 100, "the budget is never used up");
    };
    assert_eq!(refused, UpdateError::Full);
    for n in 0..stored {
        assert!(cache.peek(format!("k{n}").as_bytes()).is_some());
    }
}

#[tokio::test]
async fn a_fill_in_flight_during_a_removal_of_its_key_is_not_kept() {
    let cache = cache(1 << 20, WhenFull::Evict);
    let claim = cache.claim();
    purge(&cache, Target::Key(key("k"))).await;
    let fill = Draft { basis: Basis::Claim(claim), ..draft("old", &[]) };
    assert_eq!(set(&cache, "k", fill).await, Err(UpdateError::Fenced));
    assert!(cache.peek(b"k").is_none());
    assert_eq!(cache.stats().refused_fills.get(), 1);
}

#[tokio::test]
async fn affected_counts_the_entries_of_a_tag() {
    let cache = cache(1 << 20, WhenFull::Evict);
    for n in 0..7 {
        set(&cache, &format!("k{n}"), draft("v", &["a"])).await.unwrap();
    }
    set(&cache, "other", draft("v", &["b"])).await.unwrap();
    let tag = |name: &str| Target::Tag(Tag::new(name).unwrap());
    assert_eq!(purge(&cache, tag("a")).await.affected, 7);
    assert_eq!(purge(&cache, tag("a")).await.affected, 0);
    assert_eq!(purge(&cache, Target::Key(key("other"))).await.affected, 1);
}

#[tokio::test]
async fn a_dry_run_counts_each_entry_once_and_changes_nothing() {
    let cache = cache(1 << 20, WhenFull::Evict);
    for (name, tags) in [("p:1", &["a", "b"][..]), ("p:2", &["a"]), ("q", &["b"])] {
        set(&cache, name, draft("v", tags)).await.unwrap();
    }
    let before = (cache.applied(), cache.fence_rows(), cache.bytes(), cache.len());
    let tag = |name: &str| Target::Tag(Tag::new(name).unwrap());
    let targets =
        [tag("a"), tag("b"), tag("none"), Target::Prefix(key("p:")), Target::Key(key("q"))];
    let targets: Vec<_> = targets.into_iter().map(|target| (target, Mode::Hard)).collect();
    let affected = cache.would_affect(&targets);
    assert_eq!(affected, Affected { entries: 3, by_target: vec![2, 2, 0, 2, 1] });
    assert_eq!((cache.applied(), cache.fence_rows(), cache.bytes(), cache.len()), before);
    assert!(cache.peek(b"p:1").is_some());
    // What is invalid already is not affected again.
    purge(&cache, tag("a")).await;
    assert_eq!(cache.would_affect(&targets).entries, 1);
}

#[tokio::test]
async fn prefixes_and_everything_are_counted_exactly() {
    let cache = cache(1 << 20, WhenFull::Evict);
    for (name, tags) in [("p:1", &["a"][..]), ("p:2", &[]), ("q", &[])] {
        set(&cache, name, draft("v", tags)).await.unwrap();
    }
    let tag = Target::Tag(Tag::new("a").unwrap());
    let counted = async |targets: &[Target]| {
        let targets = targets.iter().map(|target| (target.clone(), Mode::Hard)).collect();
        let invalidation = Invalidation { targets, cause: Cause::default() };
        cache.invalidate_counted(invalidation).await.unwrap().affected
    };
    assert_eq!(counted(&[tag, Target::Prefix(key("p:"))]).await, 2);
    assert_eq!(counted(&[Target::Everything]).await, 1);
    assert_eq!(counted(&[Target::Everything]).await, 0);
}

#[tokio::test]
async fn of_many_keys_a_prefix_is_estimated_and_a_few_tagged_ones_are_known() {
    let cache = cache(64 << 20, WhenFull::Evict);
    for n in 0..60_000 {
        let tags: &[&str] = if n < 3 { &["few"] } else { &[] };
        let name = if n % 3 == 0 { format!("p:{n}") } else { format!("q:{n}") };
        set(&cache, &name, draft("v", tags)).await.unwrap();
    }
    let counted = async |targets: &[Target]| {
        let targets = targets.iter().map(|target| (target.clone(), Mode::Hard)).collect();
        let invalidation = Invalidation { targets, cause: Cause::default() };
        let applied = cache.invalidate_counted(invalidation).await.unwrap();
        (applied.affected, applied.counted)
    };
    let few = Target::Tag(Tag::new("few").unwrap());
    let none = Target::Prefix(key("no such prefix"));
    let (affected, how) = counted(&[few, none]).await;
    // All of them may lie in the third that is looked at.
    assert!((3..=10).contains(&affected) && how == Counted::Estimated, "{affected}");
    // Six standard deviations of a sample of a third.
    let is_near = |affected: u64, truth: u64| affected.abs_diff(truth) < truth / 30;
    let (affected, how) = counted(&[Target::Prefix(key("p:"))]).await;
    assert!(is_near(affected, 20_000) && how == Counted::Estimated, "{affected}");
    let (affected, how) = counted(&[Target::Everything]).await;
    assert!(is_near(affected, 40_000) && how == Counted::Estimated, "{affected}");
    cache.sweep().await;
    assert_eq!(cache.len(), 0);
}

#[tokio::test]
async fn a_wide_invalidation_has_a_sweep_begin_at_once_and_a_narrow_one_has_it_wait() {
    let cache = cache(64 << 20, WhenFull::Evict);
    for n in 0..1_000 {
        let tag = if n < 10 { "few" } else { "many" };
        set(&cache, &format!("k{n}"), draft("v", &[tag])).await.unwrap();
    }
    let is_urgent = || cache.shared.sweep_urgent.notified().now_or_never().is_some();
    purge(&cache, Target::Tag(Tag::new("few").unwrap())).await;
    assert!(cache.bytes_invalid() > 0 && !is_urgent());
    purge(&cache, Target::Tag(Tag::new("many").unwrap())).await;
    assert!(cache.bytes_invalid() <= cache.bytes() && is_urgent());
    cache.sweep().await;
    assert_eq!((cache.bytes_invalid(), cache.bytes(), cache.len()), (0, 0, 0));
}

#[test]
fn a_sweep_is_wanted_when_the_invalidation_is_in_force_and_not_before() {
    const ROUNDS: u64 = 5_000;
    let cache = cache(64 << 20, WhenFull::Evict);
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (sender, seen) = std::sync::mpsc::channel();
    let early = std::thread::scope(|scope| {
        scope.spawn(|| {
            let runtime = runtime();
            for _ in 0..ROUNDS {
                runtime.block_on(cache.shared.sweep_wanted.notified());
                sender.send(cache.claim().since.as_u64()).unwrap();
            }
        });
        let runtime = runtime();
        let is_early = |round: &u64| {
            runtime.block_on(purge(&cache, Target::Tag(Tag::new("a").unwrap())));
            seen.recv().unwrap() < *round
        };
        (1..=ROUNDS).filter(is_early).count()
    });
    assert_eq!(early, 0);
}

#[tokio::test]
async fn one_sweep_gives_back_all_of_a_hundred_thousand_invalid_entries() {
    let cache = cache(256 << 20, WhenFull::Evict);
    set(&cache, "kept", draft("v", &["b"])).await.unwrap();
    let bytes_kept = cache.bytes();
    for n in 0..100_000 {
        set(&cache, &format!("k{n}"), draft("v", &["a"])).await.unwrap();
    }
    let applied = purge(&cache, Target::Tag(Tag::new("a").unwrap())).await;
    assert_eq!(applied.affected, 100_000);
    assert!(cache.bytes_invalid() > (cache.bytes() - bytes_kept) / 2);
    assert_eq!(cache.sweep().await.buried, 100_000);
    assert_eq!((cache.bytes(), cache.bytes_invalid(), cache.len()), (bytes_kept, 0, 1));
}

#[tokio::test]
async fn explain_names_the_event_that_ended_an_entry() {
    let cache = cache(1 << 20, WhenFull::Evict);
    set(&cache, "k", draft("v", &["a"])).await.unwrap();
    let applied = purge(&cache, Target::Tag(Tag::new("a").unwrap())).await;
    for _ in 0..2 {
        let death = cache.explain(&key("k")).death.unwrap();
        assert_eq!(death.sequence, applied.sequence);
        assert_eq!(death.cause.unwrap().event_id.as_deref(), Some("e1"));
        // The second round explains an entry that a read has removed meanwhile.
        assert!(cache.peek(b"k").is_none());
    }
}

#[tokio::test]
async fn a_sweep_gives_back_what_an_invalidation_made_useless() {
    let cache = cache(64 << 20, WhenFull::Evict);
    for n in 0..1_000 {
        set(&cache, &format!("k{n}"), draft(vec![0u8; 1_000], &["a"])).await.unwrap();
    }
    set(&cache, "kept", draft("v", &["b"])).await.unwrap();
    purge(&cache, Target::Tag(Tag::new("a").unwrap())).await;
    assert_eq!(cache.sweep().await.buried, 1_000);
    assert_eq!(cache.len(), 1);
    assert!(cache.peek(b"kept").is_some());
}

#[tokio::test]
async fn a_softly_purged_prefix_stays_purged_when_its_row_could_be_collected() {
    let cache = cache(1 << 20, WhenFull::Evict);
    set(&cache, "p:k", draft("old", &[])).await.unwrap();
    let targets = vec![(Target::Prefix(key("p:")), Mode::Soft)];
    cache.invalidate(Invalidation { targets, cause: Cause::default() }).await.unwrap();
    let horizon = cache.claim().since;
    let swept = cache.sweep().await;
    cache.collect_fence(swept.bound(horizon));
    assert!(cache.peek(b"p:k").is_none(), "it came back");
    // Once the entry has gone, so may the row.
    cache.update(&key("p:k"), |_| (Change::Remove, ())).await.unwrap();
    let swept = cache.sweep().await;
    cache.collect_fence(swept.bound(horizon));
    assert_eq!(cache.fence_rows(), 0);
}

#[tokio::test]
async fn a_fill_that_would_be_stale_is_not_stored_behind_the_sweep_after_which_its_row_goes() {
    let cache = cache(1 << 20, WhenFull::Evict);
    let before = cache.claim();
    let targets = vec![(Target::Prefix(key("p:")), Mode::Soft)];
    cache.invalidate(Invalidation { targets, cause: Cause::default() }).await.unwrap();
    let horizon = cache.forget_up_to(cache.claim().since);
    let swept = cache.sweep().await;
    let filled = Draft { basis: Basis::Claim(before), ..draft("old", &[]) };
    let stored = cache.update(&key("p:k"), |_| (Change::Put(filled), ())).await;
    assert!(matches!(stored, Err(UpdateError::Fenced)));
    cache.collect_fence(swept.bound(horizon));
    assert!(cache.peek(b"p:k").is_none());
}

#[tokio::test]
async fn a_listing_is_ordered_cut_and_resumable() {
    let cache = cache(1 << 20, WhenFull::Evict);
    for name in ["b", "a", "d", "c", "x"] {
        set(&cache, name, draft("v", if name == "x" { &[] } else { &["t"] })).await.unwrap();
    }
    let tag = Tag::new("t").unwrap();
    let first = cache.list(b"", Some(&tag), 3, None);
    let names = |listing: &Listing| -> Vec<String> {
        listing.keys.iter().map(|listed| listed.key.to_text()).collect()
    };
    assert_eq!(names(&first), ["a", "b", "c"]);
    assert!(first.is_cut);
    let rest = cache.list(b"", Some(&tag), 3, first.keys.last().map(|listed| &listed.key));
    assert_eq!(names(&rest), ["d"]);
    assert!(!rest.is_cut);
}

#[tokio::test]
async fn expiry_follows_the_clock() {
    let cache = cache(1 << 20, WhenFull::Evict);
    let expires = Expiry::at_ms(cache.clock().now_ms() + 1_000);
    set(&cache, "k", Draft { expires, ..draft("v", &[]) }).await.unwrap();
    cache.clock().advance(Duration::from_millis(999));
    assert!(cache.peek(b"k").is_some());
    cache.clock().advance(Duration::from_millis(1));
    assert!(cache.peek(b"k").is_none());
    assert_eq!(cache.stats().expired.get(), 1);
}

#[tokio::test]
async fn waiters_are_woken_also_when_the_leader_is_dropped() {
    let flights: Flights<()> = Flights::default();
    let Role::Leader(lease) = flights.join(&key("k")) else { panic!("first is the leader") };
    let Role::Waiter(waiter) = flights.join(&key("k")) else { panic!("second waits") };
    drop(lease);
    assert_eq!(waiter.landed().await, Landing::Abandoned);
    let Role::Leader(lease) = flights.join(&key("k")) else { panic!("the flight is over") };
    let Role::Waiter(waiter) = flights.join(&key("k")) else { panic!("second waits") };
    lease.land(Landing::Stored);
    assert_eq!(waiter.landed().await, Landing::Stored);
}
