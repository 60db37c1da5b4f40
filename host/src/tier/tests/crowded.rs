//! More tags are invalidated than the fence may hold, above rows that are older than all of that.

use std::time::Duration;

use super::{Server, count, eventually, intruder, start, start_with_memory, tag};
use crate::model::Mode;

/// As many as the fence may hold, and more.
const CELLS_MAX: usize = 64;
const TAGS: usize = 1_000;

/// Has memory lose what it holds of a key.
async fn evict(server: &Server, key: &str) {
    let memory_bytes = server.cache.memory_bytes();
    server.cache.set_memory_bytes(1);
    server.cache.set_memory_bytes(memory_bytes);
    assert!(server.cache.peek(key.as_bytes()).is_none());
}

async fn crowd(server: &Server) {
    for n in 0..TAGS {
        server.invalidate(tag(&format!("row {n}")), Mode::Hard).await.unwrap();
    }
    assert!(server.cache.fence_rows() <= CELLS_MAX);
}

#[tokio::test]
async fn rows_of_the_tier_that_cant_be_judged_any_more_are_not_served_and_younger_ones_are() {
    let dir = tempfile::tempdir().unwrap();
    let server = start_with_memory(dir.path(), 64 << 20).await;
    server.cache.set_fence_cells_max(CELLS_MAX);
    server.set("dead", "one", &["row 0"]).await.unwrap();
    server.set("old", "one", &[]).await.unwrap();
    crowd(&server).await;
    assert_eq!(server.get("old").await.as_deref(), Some("one"), "memory needs no row for it");
    server.set("young", "one", &["row 0"]).await.unwrap();
    for key in ["dead", "old", "young"] {
        evict(&server, key).await;
    }
    assert_eq!(server.get("dead").await, None);
    assert_eq!(server.get("old").await, None, "it may have been wrong, for all that is known");
    assert_eq!(server.get("young").await.as_deref(), Some("one"));
    server.invalidate(tag("row 0"), Mode::Hard).await.unwrap();
    assert_eq!(server.get("young").await, None);
    server.stop().await;
}

#[tokio::test]
async fn one_old_row_does_not_keep_the_whole_fence_in_the_tier_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    server.cache.set_fence_cells_max(CELLS_MAX);
    server.set("old", "one", &[]).await.unwrap();
    crowd(&server).await;
    server.set("young", "one", &[]).await.unwrap();
    let mut other = intruder(dir.path()).await;
    assert!(count(&mut other, "SELECT count(*) FROM fence").await >= TAGS as i64);
    server.cache.collect_fence(server.cache.applied());
    // A step of upkeep under which the clock is moved on is followed by a rest of four times that.
    let go_on = async || {
        server.cache.clock().advance(Duration::from_secs(61));
        server.set("young", "one", &[]).await.unwrap();
    };
    eventually("the old row goes", async || {
        go_on().await;
        count(&mut other, "SELECT count(*) FROM entries").await == 1
    })
    .await;
    eventually("a short fence", async || {
        go_on().await;
        count(&mut other, "SELECT count(*) FROM fence").await <= CELLS_MAX as i64 + 1
    })
    .await;
    server.stop().await;
    let server = start(dir.path()).await;
    assert_eq!(server.get("old").await, None);
    assert_eq!(server.get("young").await.as_deref(), Some("one"));
    server.stop().await;
}
