//! A database that refuses entries for a while, under a load that never ends.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::model::Passage;

/// More than two batches.
const KEYS: usize = 1_000;
const RECORDS: usize = 20_000;

async fn refuse_entries(other: &mut SqliteConnection) {
    execute(
        other,
        "CREATE TRIGGER full BEFORE INSERT ON entries BEGIN SELECT RAISE(FAIL, 'width'); END",
    )
    .await;
}

/// Calls it again and again for as long as what it returns is kept.
fn press(mut feed: impl FnMut() + Send + 'static) -> tokio::task::JoinSet<()> {
    let mut pressing = tokio::task::JoinSet::new();
    pressing.spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(1));
        loop {
            feed();
            tick.tick().await;
        }
    });
    pressing
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn tier_works_again_once_entries_are_taken_also_if_there_are_always_keys_to_write() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut other = intruder(dir.path()).await;
    refuse_entries(&mut other).await;
    assert!(server.set("a", "one", &[]).await.is_err());
    let tier = Arc::clone(&server.tier);
    let mut last = 0;
    let mut pressing = press(move || {
        for _ in tier.status().queued..KEYS {
            last += 1;
            drop(tier.write(&named(&format!("k{last}"))));
        }
    });
    eventually("keys wait", async || server.tier.status().queued >= KEYS).await;
    execute(&mut other, "DROP TRIGGER full").await;
    eventually("it works", async || server.tier.status().degraded.is_none()).await;
    server.set("a", "two", &[]).await.unwrap();
    pressing.shutdown().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn keys_are_tried_again_in_time_also_if_there_are_always_records_to_write() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut other = intruder(dir.path()).await;
    refuse_entries(&mut other).await;
    let (tier, queued) = (Arc::clone(&server.tier), Arc::new(AtomicUsize::new(0)));
    let mut last = server.cache.applied();
    let waiting = Arc::clone(&queued);
    let mut pressing = press(move || {
        for _ in waiting.load(Ordering::Relaxed)..RECORDS {
            last = last.next();
            let targets = vec![(tag("t"), Mode::Hard)];
            let invalidation = Arc::new(Invalidation { targets, cause: Cause::default() });
            let record = Record { sequence: last, invalidation, passage: Passage::Unchanged };
            waiting.fetch_add(1, Ordering::Relaxed);
            let waiting = Arc::clone(&waiting);
            let then = move |_| {
                waiting.fetch_sub(1, Ordering::Relaxed);
            };
            tier.commit(record, Box::new(then));
        }
    });
    eventually("records wait", async || queued.load(Ordering::Relaxed) >= RECORDS).await;
    assert!(server.set("a", "one", &[]).await.is_err());
    execute(&mut other, "DROP TRIGGER full").await;
    eventually("it works", async || server.tier.status().degraded.is_none()).await;
    server.set("a", "two", &[]).await.unwrap();
    pressing.shutdown().await;
    server.stop().await;
}
