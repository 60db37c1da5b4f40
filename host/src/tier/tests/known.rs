//! Look-ups that are not made, and those that must be.

use super::*;

async fn knows_keys(server: &Server) {
    eventually("keys are known", async || server.tier.status().knows_keys).await;
}

#[tokio::test]
async fn key_that_has_no_row_is_not_looked_up_and_one_that_has_is_found_after_a_restart() {
    const KEYS: usize = 5_000;
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let keys: Vec<String> = (0..KEYS).map(|n| format!("k{n}")).collect();
    for some in keys.chunks(100) {
        let stores = some.iter().map(|key| server.set(key, key, &[]));
        futures_util::future::try_join_all(stores).await.unwrap();
    }
    server.stop().await;

    let server = start(dir.path()).await;
    knows_keys(&server).await;
    for key in &keys {
        assert_eq!(server.get(key).await.as_ref(), Some(key));
    }
    assert_eq!(server.tier.status().spared, 0);
    for n in 0..1_000 {
        assert_eq!(server.get(&format!("unknown {n}")).await, None);
    }
    let spared = server.tier.status().spared;
    assert!(spared > 980, "{spared} of 1000");
    server.stop().await;
}

/// Memory has room for a few entries: what is written while the table is read through is found by
/// looking it up.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn key_written_while_the_keys_are_read_through_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let before: Vec<String> = (0..6_000).map(|n| format!("before {n}")).collect();
    for some in before.chunks(200) {
        let stores = some.iter().map(|key| server.set(key, "old", &[]));
        futures_util::future::try_join_all(stores).await.unwrap();
    }
    server.stop().await;

    for _ in 0..5 {
        let server = start_with_memory(dir.path(), 2_000).await;
        for n in 0..40 {
            // Some are new, some are replaced and have a new row at the table's end.
            let keys = [format!("during {n}"), format!("before {}", n * 150)];
            for key in &keys {
                server.set(key, "new", &[]).await.unwrap();
            }
        }
        knows_keys(&server).await;
        for n in 0..40 {
            for key in [format!("during {n}"), format!("before {}", n * 150)] {
                assert_eq!(server.get(&key).await.as_deref(), Some("new"), "{key}");
            }
        }
        for key in before.iter().step_by(7) {
            assert!(server.get(key).await.is_some(), "{key}");
        }
        server.stop().await;
    }
}
