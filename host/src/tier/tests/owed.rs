//! Invalidations that were refused, when the database works again.

use super::*;
use crate::model::Intent;
use crate::tier::owed::OWED_COST_MAX;

fn key(name: &str) -> Target {
    Target::Key(named(name))
}

/// Has every record of the journal refused until [`mend`].
async fn spoil(other: &mut SqliteConnection) {
    execute(
        other,
        "CREATE TRIGGER full BEFORE INSERT ON journal BEGIN SELECT RAISE(FAIL, 'disk'); END",
    )
    .await;
}

async fn mend(server: &Server, other: &mut SqliteConnection) {
    execute(other, "DROP TRIGGER full").await;
    server.recovers().await;
}

#[tokio::test]
async fn refused_invalidation_is_in_force_after_a_restart_once_the_database_works_again() {
    for mode in [Mode::Hard, Mode::Soft] {
        let dir = tempfile::tempdir().unwrap();
        let server = start(dir.path()).await;
        server.set("a", "one", &["t"]).await.unwrap();
        server.set("b", "one", &["u"]).await.unwrap();
        let mut other = intruder(dir.path()).await;
        spoil(&mut other).await;
        assert!(server.invalidate(tag("t"), mode).await.is_err());
        assert!(server.invalidate(tag("other"), mode).await.is_err());
        mend(&server, &mut other).await;
        server.stop().await;

        let server = start(dir.path()).await;
        assert_eq!(server.get("a").await, None, "{mode:?}");
        assert_eq!(server.get("b").await.as_deref(), Some("one"), "{mode:?}");
        server.stop().await;
    }
}

#[tokio::test]
async fn value_stored_after_a_refused_removal_of_its_key_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    server.set("a", "one", &[]).await.unwrap();
    let mut other = intruder(dir.path()).await;
    spoil(&mut other).await;
    assert!(server.invalidate(Target::Key(named("a")), Mode::Hard).await.is_err());
    assert!(server.set("a", "two", &[]).await.is_err());
    mend(&server, &mut other).await;
    server.stop().await;

    let server = start(dir.path()).await;
    assert_eq!(server.get("a").await.as_deref(), Some("two"));
    server.stop().await;
}

#[tokio::test]
async fn refused_intent_shuts_its_keys_too_after_a_restart_until_its_commit() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    server.set("k", "before", &[]).await.unwrap();
    let mut other = intruder(dir.path()).await;
    for (name, targets) in [("one", vec![tag("t"), key("k")]), ("keys alone", vec![key("l")])] {
        spoil(&mut other).await;
        let targets = targets.into_iter().map(|target| (target, Mode::Hard)).collect();
        let invalidation = Invalidation { targets, cause: Cause::default() };
        let intent = Intent { name: name.into(), until_ms: 9 };
        assert!(server.cache.shut(invalidation, intent).await.is_err());
        mend(&server, &mut other).await;
    }
    server.stop().await;

    let server = start(dir.path()).await;
    let mut shut = server.cache.shut_by("one").unwrap();
    shut.sort();
    let mut expected = vec![tag("t"), key("k")];
    expected.sort();
    assert_eq!(shut, expected);
    assert_eq!(server.cache.shut_by("keys alone"), Some(vec![key("l")]));
    assert_eq!(server.get("k").await, None);
    assert!(server.set("k", "between", &[]).await.is_err());
    server.stop().await;
}

#[tokio::test]
async fn refused_event_is_in_the_journal_with_its_keys_once_the_database_works_again() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut other = intruder(dir.path()).await;
    spoil(&mut other).await;
    let all = [vec![key("a")], vec![key("b"), tag("t")]];
    for targets in &all {
        let targets = targets.iter().map(|target| (target.clone(), Mode::Hard)).collect();
        let event_id = Some("e".to_owned());
        let cause = Cause { source: "shop".into(), event_id, ..Cause::default() };
        assert!(server.cache.invalidate(Invalidation { targets, cause }).await.is_err());
    }
    mend(&server, &mut other).await;
    let events = events_of(&server).await;
    let events = server.tier.read_targets(events, usize::MAX).await.unwrap();
    let read = events.iter().map(|event| event.invalidation.targets.iter());
    let read: Vec<Vec<_>> =
        read.map(|read| read.map(|(target, _)| target.clone()).collect()).collect();
    assert_eq!(read, all);
    server.stop().await;
}

#[tokio::test]
async fn record_that_was_committed_although_it_was_refused_does_not_stop_the_next_batch() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    server.set("a", "one", &["t"]).await.unwrap();
    let mut other = intruder(dir.path()).await;
    spoil(&mut other).await;
    assert!(server.invalidate(tag("t"), Mode::Hard).await.is_err());
    let sequence = server.cache.applied().as_u64();
    execute(&mut other, "DROP TRIGGER full").await;
    // As if the commit had come through after it was given up.
    let there = sqlx::query(
        "INSERT INTO journal (sequence, source, at_ms, targets) VALUES (?, 'api', 5, x'') \
         ON CONFLICT DO NOTHING",
    );
    there.bind(i64::try_from(sequence).unwrap()).execute(&mut other).await.unwrap();
    server.recovers().await;
    server.invalidate(tag("u"), Mode::Hard).await.unwrap();
    server.stop().await;
    let server = start(dir.path()).await;
    assert_eq!(server.get("a").await, None);
    server.stop().await;
}

#[tokio::test]
async fn more_than_can_be_remembered_becomes_everything() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    server.set("a", "one", &["t"]).await.unwrap();
    let mut other = intruder(dir.path()).await;
    spoil(&mut other).await;
    let each = crate::limits::TARGETS_PER_INVALIDATION_MAX;
    for round in 0..=OWED_COST_MAX / each {
        let targets = (0..each).map(|n| (tag(&format!("{round}-{n}")), Mode::Hard)).collect();
        let invalidation = Invalidation { targets, cause: Cause::default() };
        assert!(server.cache.invalidate(invalidation).await.is_err());
    }
    // Its own tag was not among them.
    assert_eq!(server.get("a").await.as_deref(), Some("one"));
    assert!(server.tier.status().queued <= 2, "{:?}", server.tier.status());
    mend(&server, &mut other).await;
    server.stop().await;
    let server = start(dir.path()).await;
    assert_eq!(server.get("a").await, None);
    server.stop().await;
}
