//! A database that fails, and rows that somebody has changed.

use futures_util::FutureExt as _;

use super::*;

#[tokio::test]
async fn tampered_rows_are_left_out_and_counted() {
    let tampering: [&'static str; 12] = [
        "UPDATE entries SET tags = '[\"a\\nb\"]'",
        "UPDATE entries SET tags = 'not json'",
        "UPDATE entries SET kind = 9",
        "UPDATE entries SET status = 99",
        "UPDATE entries SET url = NULL",
        "UPDATE entries SET headers = x'ffffff7f00'",
        "UPDATE entries SET headers = x'01000000'",
        "UPDATE entries SET vary = x'ffffffff'",
        "UPDATE entries SET vary = x'010000000affffffff'",
        "UPDATE entries SET birth = -1",
        "UPDATE entries SET birth = 9223372036854775807",
        "UPDATE entries SET flags = 4294967296",
    ];
    for sql in tampering {
        let dir = tempfile::tempdir().unwrap();
        let server = start(dir.path()).await;
        server.store_page("p", page_at("http://h/p", "one"));
        server.stop().await;
        let mut other = intruder(dir.path()).await;
        execute(&mut other, sql).await;
        other.close().await.unwrap();

        let server = start(dir.path()).await;
        assert_eq!(server.page("p").await, None, "{sql}");
        assert_eq!(server.tier.rows_skipped(), 1, "{sql}");
        server.stop().await;
    }
}

#[tokio::test]
async fn fence_that_cant_be_read_ends_everything_stored_before() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    server.set("a", "one", &["t"]).await.unwrap();
    server.invalidate(tag("other"), Mode::Hard).await.unwrap();
    server.stop().await;
    let mut other = intruder(dir.path()).await;
    execute(&mut other, "UPDATE fence SET name = x'ff'").await;
    other.close().await.unwrap();

    let server = start(dir.path()).await;
    assert_eq!(server.get("a").await, None);
    server.stop().await;
}

#[tokio::test]
async fn invalidation_that_cant_be_made_durable_is_refused_and_memory_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    server.set("a", "one", &["t"]).await.unwrap();
    server.set("b", "one", &["u"]).await.unwrap();
    let mut other = intruder(dir.path()).await;
    execute(
        &mut other,
        "CREATE TRIGGER full BEFORE INSERT ON journal BEGIN SELECT RAISE(FAIL, 'disk'); END",
    )
    .await;

    let refused = server.invalidate(tag("t"), Mode::Hard).await;
    assert!(matches!(refused, Err(InvalidateError::NotDurable(_))), "{refused:?}");
    assert!(server.cache.tier_status().unwrap().degraded.unwrap().contains("disk"));
    // Refused, and yet no longer served.
    assert_eq!(server.get("a").await, None);
    assert_eq!(server.get("b").await.as_deref(), Some("one"));
    let refused = server.set("b", "two", &[]).await;
    assert!(matches!(refused, Err(UpdateError::Tier(_))), "{refused:?}");
    assert_eq!(server.get("b").await.as_deref(), Some("two"));

    execute(&mut other, "DROP TRIGGER full").await;
    eventually("recovery", async || server.cache.tier_status().unwrap().degraded.is_none()).await;
    server.invalidate(tag("t"), Mode::Hard).await.unwrap();
    server.set("c", "one", &[]).await.unwrap();
    server.stop().await;

    let server = start(dir.path()).await;
    assert_eq!(server.get("a").await, None);
    assert_eq!(server.get("b").await.as_deref(), Some("two"));
    assert_eq!(server.get("c").await.as_deref(), Some("one"));
    server.stop().await;
}

#[tokio::test]
async fn row_of_a_key_whose_write_failed_is_not_loaded_and_is_replaced_later() {
    let dir = tempfile::tempdir().unwrap();
    let server = start_with_memory(dir.path(), 2_000).await;
    server.set("a", "old", &[]).await.unwrap();
    let mut other = intruder(dir.path()).await;
    execute(
        &mut other,
        "CREATE TRIGGER full BEFORE INSERT ON entries BEGIN SELECT RAISE(FAIL, 'disk'); END",
    )
    .await;
    assert!(server.set("a", "new", &[]).await.is_err());
    // Out of memory by want of room; the tier must not bring the old value back.
    for n in 0..20 {
        assert!(server.set(&format!("filler {n}"), &"x".repeat(500), &[]).await.is_err());
    }
    assert_eq!(server.cache.peek(b"a").map(|_| ()), None);
    assert_eq!(server.get("a").await, None);

    execute(&mut other, "DROP TRIGGER full").await;
    server.recovers().await;
    assert_eq!(server.get("a").await, None);
    assert_eq!(count(&mut other, "SELECT count(*) FROM entries WHERE key = x'61'").await, 0);
    server.stop().await;
}

#[tokio::test]
async fn removal_by_key_that_was_refused_does_not_bring_the_row_back() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    server.set("a", "one", &[]).await.unwrap();
    let mut other = intruder(dir.path()).await;
    execute(&mut other, "ALTER TABLE journal RENAME TO hidden").await;
    assert!(server.invalidate(Target::Key(named("a")), Mode::Hard).await.is_err());
    assert_eq!(server.get("a").await, None);
    execute(&mut other, "ALTER TABLE hidden RENAME TO journal").await;
    eventually("the row to go", async || {
        count(&mut other, "SELECT count(*) FROM entries").await == 0
    })
    .await;
    assert_eq!(server.get("a").await, None);
    server.stop().await;
}

#[tokio::test]
async fn closed_tier_answers_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    server.cache.close().await;
    let refused = server.invalidate(tag("t"), Mode::Hard).await;
    assert!(matches!(refused, Err(InvalidateError::NotDurable(_))), "{refused:?}");
    assert!(server.set("a", "one", &[]).await.is_err());
    assert_eq!(server.get("nothing").await, None);
}

#[tokio::test]
async fn too_many_dirty_keys_empty_the_table_rather_than_leave_old_rows() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    server.set("old", "one", &[]).await.unwrap();
    let mut other = intruder(dir.path()).await;
    // The write lock of somebody else keeps the writer from its work.
    execute(&mut other, "BEGIN IMMEDIATE").await;
    for n in 0..=super::super::queue::DIRTY_KEYS_MAX + 300 {
        drop(server.tier.write(&named(&format!("k{n}"))));
    }
    assert!(server.tier.status().degraded.is_some());
    execute(&mut other, "ROLLBACK").await;
    server.recovers().await;
    assert_eq!(count(&mut other, "SELECT count(*) FROM entries").await, 0);
    server.stop().await;
}

#[tokio::test]
async fn invalidations_are_durable_while_entries_are_refused_and_the_tier_stays_degraded() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    server.set("a", "old", &["t"]).await.unwrap();
    let mut other = intruder(dir.path()).await;
    execute(
        &mut other,
        "CREATE TRIGGER full BEFORE INSERT ON entries BEGIN SELECT RAISE(FAIL, 'width'); END",
    )
    .await;
    assert!(server.set("a", "new", &["t"]).await.is_err());
    for attempt in 0..30 {
        let applied = server.invalidate(tag("t"), Mode::Hard).await;
        assert!(applied.is_ok(), "attempt {attempt}: {applied:?}");
        // Makes it try the keys again.
        assert!(server.set("a", "new", &["t"]).await.is_err());
        let problem = server.cache.tier_status().unwrap().degraded;
        assert!(problem.as_ref().is_some_and(|why| why.contains("width")), "{problem:?}");
    }
    let records = count(&mut other, "SELECT count(*) FROM journal").await;
    assert_eq!(records, 30);

    execute(&mut other, "DROP TRIGGER full").await;
    server.recovers().await;
    server.set("a", "newest", &[]).await.unwrap();
    server.stop().await;
    let server = start(dir.path()).await;
    assert_eq!(server.get("a").await.as_deref(), Some("newest"));
    server.stop().await;
}

#[tokio::test]
async fn server_stops_while_entries_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut other = intruder(dir.path()).await;
    execute(
        &mut other,
        "CREATE TRIGGER full BEFORE INSERT ON entries BEGIN SELECT RAISE(FAIL, 'width'); END",
    )
    .await;
    assert!(server.set("a", "new", &["t"]).await.is_err());
    server.stop().await;
}

#[tokio::test]
async fn store_while_nothing_can_be_written_is_refused_before_anybody_waits() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut other = intruder(dir.path()).await;
    execute(&mut other, "ALTER TABLE journal RENAME TO hidden").await;
    assert!(server.invalidate(tag("t"), Mode::Hard).await.is_err());
    for n in 0..100 {
        let refused = server.tier.write(&named(&format!("k{n}"))).now_or_never();
        assert!(matches!(refused, Some(Err(_))), "{n}: {refused:?}");
    }
    execute(&mut other, "ALTER TABLE hidden RENAME TO journal").await;
    server.recovers().await;
    server.set("a", "one", &[]).await.unwrap();
    server.stop().await;
}
