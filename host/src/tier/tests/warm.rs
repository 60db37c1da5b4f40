//! Which entries a warm-up brings back first.

use super::*;

const VALUE_BYTES: usize = 1_000;

/// Room for some 120 entries; warming up ends at nine tenths of it.
const MEMORY_BYTES: u64 = 150_000;

fn name(n: usize) -> String {
    format!("k{n}")
}

/// Stores as many items, fifty at once, so that they share commits.
async fn store(server: &Server, count: usize) {
    let (value, numbers) = ("x".repeat(VALUE_BYTES), (0..count).collect::<Vec<_>>());
    for some in numbers.chunks(50) {
        let keys: Vec<String> = some.iter().map(|n| name(*n)).collect();
        let stores = keys.iter().map(|key| server.set(key, &value, &["t"]));
        futures_util::future::try_join_all(stores).await.unwrap();
    }
}

async fn read(server: &Server, n: usize, times: usize) {
    for _ in 0..times {
        assert!(server.get(&name(n)).await.is_some());
    }
}

/// A server that has stored as many items, read the first ten of them, the first most, and given
/// that order away.
async fn used(dir: &Path, items: usize) -> Server {
    let server = start(dir).await;
    server.cache.warm_up().await;
    store(&server, items).await;
    for n in 0..10 {
        read(&server, n, 20 - n).await;
    }
    server.cache.note_hottest().await;
    eventually("the order is written", async || server.tier.status().hot_keys == 10).await;
    server
}

async fn order(server: &Server) -> Vec<String> {
    server.tier.hottest().await.unwrap().iter().map(Key::to_text).collect()
}

fn names(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(name).collect()
}

fn in_memory(server: &Server, numbers: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let is_there = |n: &usize| server.cache.peek(name(*n).as_bytes()).is_some();
    numbers.into_iter().filter(is_there).collect()
}

/// Ends a server as `kill -9` would: what it has not committed is lost.
fn kill(runtime: tokio::runtime::Runtime, server: Server) {
    drop(runtime);
    drop(server);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[tokio::test]
async fn what_was_read_most_comes_back_first_then_what_was_written_last() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    server.cache.warm_up().await;
    store(&server, 1_000).await;
    for n in 0..50 {
        read(&server, n, 100 - n).await;
    }
    server.stop().await;

    let server = start_with_memory(dir.path(), MEMORY_BYTES).await;
    server.cache.warm_up().await;
    assert_eq!(server.cache.evictions(), 0);
    assert_eq!(in_memory(&server, 0..50), (0..50).collect::<Vec<_>>());
    let others = in_memory(&server, 50..1_000);
    assert!(others.len() > 10, "{others:?}");
    assert_eq!(others, (1_000 - others.len()..1_000).collect::<Vec<_>>());
    server.stop().await;
}

#[tokio::test]
async fn where_memory_is_smaller_than_what_was_used_the_most_used_of_it_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    server.cache.warm_up().await;
    store(&server, 400).await;
    for n in (0..400).rev() {
        read(&server, n, 401 - n).await;
    }
    server.stop().await;

    // What nobody uses in between stays in its order.
    let server = start(dir.path()).await;
    server.cache.warm_up().await;
    server.stop().await;

    let server = start_with_memory(dir.path(), MEMORY_BYTES).await;
    server.cache.warm_up().await;
    let found = in_memory(&server, 0..400);
    assert!((50..150).contains(&found.len()), "{found:?}");
    assert_eq!(found, (0..found.len()).collect::<Vec<_>>());
    server.stop().await;
}

#[test]
fn order_that_was_written_before_a_kill_is_followed_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let first = runtime();
    let server = first.block_on(async {
        let server = used(dir.path(), 500).await;
        // Since then, and lost.
        read(&server, 100, 50).await;
        server
    });
    kill(first, server);
    runtime().block_on(async {
        let server = start_with_memory(dir.path(), MEMORY_BYTES).await;
        assert_eq!(order(&server).await, names(0..10));
        server.cache.warm_up().await;
        assert_eq!(in_memory(&server, (0..10).chain([100])), (0..10).collect::<Vec<_>>());
        server.stop().await;
    });
}

#[test]
fn order_brings_back_nothing_that_was_invalidated_after_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let first = runtime();
    let server = first.block_on(async {
        let server = used(dir.path(), 100).await;
        server.invalidate(Target::Key(named("k3")), Mode::Hard).await.unwrap();
        server.delete("k4").await;
        server.invalidate(tag("t"), Mode::Hard).await.unwrap();
        server.set("k5", "new", &[]).await.unwrap();
        server
    });
    kill(first, server);
    runtime().block_on(async {
        let server = start(dir.path()).await;
        assert_eq!(order(&server).await, names(0..10));
        server.cache.warm_up().await;
        assert_eq!(server.cache.len(), 1);
        assert_eq!(server.get("k5").await.as_deref(), Some("new"));
        for n in (0..100).filter(|n| *n != 5) {
            assert_eq!(server.get(&name(n)).await, None, "{n}");
        }
        server.stop().await;
    });
}

#[test]
fn key_of_the_order_without_rows_costs_no_query() {
    let dir = tempfile::tempdir().unwrap();
    let first = runtime();
    let server = first.block_on(async {
        let server = used(dir.path(), 100).await;
        for n in 0..10 {
            server.delete(&name(n)).await;
        }
        server
    });
    kill(first, server);
    runtime().block_on(async {
        let server = start(dir.path()).await;
        eventually("keys are known", async || server.tier.status().knows_keys).await;
        server.cache.warm_up().await;
        assert_eq!(server.cache.len(), 90);
        // The filter may be wrong about one, hardly about two.
        assert!(server.tier.status().spared >= 9, "{:?}", server.tier.status());
        server.stop().await;
    });
}

#[tokio::test]
async fn server_that_has_not_warmed_up_leaves_the_order_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    used(dir.path(), 20).await.stop().await;
    let server = start(dir.path()).await;
    read(&server, 15, 30).await;
    server.stop().await;
    let server = start(dir.path()).await;
    assert_eq!(order(&server).await, names(0..10));
    server.stop().await;
}

#[tokio::test]
async fn order_that_cant_be_read_is_none_and_the_last_written_come_back() {
    for change in ["DELETE FROM hot", "UPDATE hot SET keys = x'00'", "UPDATE hot SET keys = x''"] {
        let dir = tempfile::tempdir().unwrap();
        used(dir.path(), 20).await.stop().await;
        let mut other = intruder(dir.path()).await;
        execute(&mut other, change).await;
        other.close().await.unwrap();
        let server = start(dir.path()).await;
        assert_eq!(order(&server).await, names([]), "{change}");
        server.cache.warm_up().await;
        assert_eq!(server.cache.len(), 20, "{change}");
        server.stop().await;
    }
}

/// The writer always has a next batch, so that nothing is done for want of other work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_is_written_also_while_there_is_no_end_of_writing() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    server.cache.warm_up().await;
    let writing = async {
        for n in 0.. {
            server
                .cache
                .store_page(
                    &server.cache.begin_fill(&named(&name(n % 1_000))),
                    page_at("http://h/p", "one"),
                )
                .unwrap();
            tokio::task::yield_now().await;
        }
    };
    let noting = async {
        server.set("read", "value", &[]).await.unwrap();
        assert!(server.get("read").await.is_some());
        server.cache.note_hottest().await;
        eventually("the order is written", async || server.tier.status().hot_keys > 0).await;
    };
    tokio::select! {
        () = writing => {}
        () = noting => {}
    }
    assert_eq!(order(&server).await, ["read"]);
    server.stop().await;
}

#[tokio::test]
async fn warming_up_waits_for_a_database_that_does_not_answer() {
    let dir = tempfile::tempdir().unwrap();
    let server = used(dir.path(), 40).await;
    server.stop().await;

    let server = start(dir.path()).await;
    let mut other = intruder(dir.path()).await;
    execute(&mut other, "ALTER TABLE journal RENAME TO hidden").await;
    server.invalidate(tag("nobody"), Mode::Hard).await.unwrap_err();
    let mending = async {
        eventually("it is waited for", async || server.cache.stats().tier_errors.get() > 0).await;
        assert_eq!(server.cache.warm_up_status().stage, crate::cache::WarmUpStage::Warming);
        execute(&mut other, "ALTER TABLE hidden RENAME TO journal").await;
    };
    tokio::join!(server.cache.warm_up(), mending);
    assert_eq!(in_memory(&server, 0..40).len(), 40);
    let status = server.cache.warm_up_status();
    assert_eq!((status.keys, status.brought_back), (40, 40));
    assert!(server.cache.tier_status().unwrap().degraded.is_none());
    server.stop().await;
}

#[tokio::test]
async fn row_that_cant_be_looked_up_keeps_no_other_one_back() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    store(&server, 5).await;
    server.stop().await;
    let server = start(dir.path()).await;
    let mut other = intruder(dir.path()).await;
    // Found by its key, and not to be read as a row: the query ends in an error for each of them.
    execute(&mut other, "ALTER TABLE entries RENAME COLUMN variant TO hidden").await;
    server.cache.warm_up().await;
    let status = server.cache.warm_up_status();
    assert_eq!((status.keys, status.brought_back), (5, 0));
    execute(&mut other, "ALTER TABLE entries RENAME COLUMN hidden TO variant").await;
    server.stop().await;
}
