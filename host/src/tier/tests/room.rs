//! Limits of the tier: what goes, and what stays.

use super::*;

const ROWS_MAX: u64 = 1_000;

fn limited(rows_max: Option<u64>, bytes_max: Option<u64>) -> Settings {
    Settings { limits: Limits { rows_max, bytes_max }, ..Settings::default() }
}

/// Writes as many items; those that memory has no room for are in the tier alone.
async fn fill(server: &Server, count: usize, value: &str) {
    fill_from(server, 0..count, value).await;
}

/// Fifty at once, so that they share commits.
async fn fill_from(server: &Server, numbers: std::ops::Range<usize>, value: &str) {
    let numbers: Vec<usize> = numbers.collect();
    for some in numbers.chunks(50) {
        let keys: Vec<String> = some.iter().map(|n| format!("k{n}")).collect();
        let stores = keys.iter().map(|key| server.set(key, value, &[]));
        futures_util::future::try_join_all(stores).await.unwrap();
    }
}

#[tokio::test]
async fn rows_stay_within_their_limit_and_the_oldest_that_memory_does_not_have_go_first() {
    let dir = tempfile::tempdir().unwrap();
    let server = start_with(dir.path(), 60_000, limited(Some(ROWS_MAX), None)).await;
    let mut other = intruder(dir.path()).await;
    server.set("kept", "one", &[]).await.unwrap();
    let written = 4 * ROWS_MAX as usize;
    for first in (0..written).step_by(50) {
        fill_from(&server, first..first + 50, "value").await;
        // In use, so that memory keeps it.
        assert_eq!(server.get("kept").await.as_deref(), Some("one"));
        let rows = count(&mut other, "SELECT count(*) FROM entries").await;
        assert!(rows as u64 <= ROWS_MAX + 101, "{rows}");
    }
    let there =
        |key: &str| format!("SELECT count(*) FROM entries WHERE key = CAST('{key}' AS BLOB)");
    assert_eq!(count_of(&mut other, &there("kept")).await, 1);
    assert_eq!(count_of(&mut other, &there("k0")).await, 0);
    assert_eq!(count_of(&mut other, &there(&format!("k{}", written - 1))).await, 1);
    assert!(server.tier.status().evicted + ROWS_MAX + 101 >= written as u64);
    server.stop().await;
}

#[tokio::test]
async fn file_stays_within_its_limit_and_rows_that_memory_has_go_where_there_are_no_others() {
    const BYTES_MAX: u64 = 4 << 20;
    let dir = tempfile::tempdir().unwrap();
    let server = start_with(dir.path(), 64 << 20, limited(None, Some(BYTES_MAX))).await;
    // Memory has all of them.
    fill(&server, 1_500, &"x".repeat(10_000)).await;
    let size = std::fs::metadata(dir.path().join("tier.db")).unwrap().len();
    assert!(size < BYTES_MAX * 3 / 2, "{size}");
    assert!(server.tier.status().evicted > 500);
    assert!(server.tier.status().degraded.is_none());
    server.stop().await;
}

#[tokio::test]
async fn table_above_a_new_limit_is_made_smaller_while_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    fill(&server, 3_000, "value").await;
    server.stop().await;
    let server = start_with(dir.path(), 64 << 20, limited(Some(1_000), None)).await;
    let mut other = intruder(dir.path()).await;
    eventually("the table is small", async || {
        count(&mut other, "SELECT count(*) FROM entries").await <= 1_000
    })
    .await;
    assert!(count(&mut other, "SELECT count(*) FROM entries").await > 0);
    server.stop().await;
}

#[tokio::test]
async fn value_above_its_limit_is_in_memory_alone_and_takes_the_one_before_it_along() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { value_bytes_max: Some(100), ..Settings::default() };
    let server = start_with(dir.path(), 64 << 20, settings).await;
    server.set("a", "small", &[]).await.unwrap();
    server.set("a", &"x".repeat(101), &[]).await.unwrap();
    server.set("b", &"x".repeat(100), &[]).await.unwrap();
    assert_eq!(server.get("a").await.map(|value| value.len()), Some(101));
    server.stop().await;
    let server = start(dir.path()).await;
    assert_eq!(server.get("a").await, None);
    assert_eq!(server.get("b").await.map(|value| value.len()), Some(100));
    server.stop().await;
}

#[tokio::test]
async fn values_are_compressed_from_a_size_on_and_come_back_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { compress_bytes_min: Some(1_000), ..Settings::default() };
    let server = start_with(dir.path(), 64 << 20, settings).await;
    let text = "some words again and again, ".repeat(500);
    server.set("text", &text, &[]).await.unwrap();
    server.set("small", &text[..999], &[]).await.unwrap();
    server.stop().await;
    let mut other = intruder(dir.path()).await;
    let length = "SELECT length(body) FROM entries WHERE unpacked_bytes = 14000";
    assert!(count(&mut other, length).await < 1_000);
    let packed = "SELECT count(*) FROM entries WHERE unpacked_bytes IS NOT NULL";
    assert_eq!(count(&mut other, packed).await, 1);

    // Who writes otherwise now reads what was written before.
    let server = start(dir.path()).await;
    assert_eq!(server.get("text").await.as_ref(), Some(&text));
    assert_eq!(server.get("small").await.as_deref(), Some(&text[..999]));
    server.stop().await;
    for change in ["unpacked_bytes = 13999", "unpacked_bytes = -1", "body = x'00'"] {
        let sql = format!("UPDATE entries SET {change} WHERE unpacked_bytes IS NOT NULL");
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut other).await.unwrap();
        let server = start(dir.path()).await;
        assert_eq!(server.get("text").await, None, "{change}");
        server.stop().await;
    }
}
