//! Files that can't be used, and what the server says about them.

use super::*;

async fn refusal(dir: &Path) -> String {
    match open(dir, Settings::default()).await {
        Ok(_) => panic!("opened"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn missing_folder_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("no-such-folder");
    let told = refusal(&missing).await;
    assert_eq!(told, format!("folder {} of the database does not exist", missing.display()));
}

#[tokio::test]
async fn path_that_cant_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    // A folder where the file should be: refused for root too.
    let path = dir.path().join("tier.db");
    std::fs::create_dir(&path).unwrap();
    let told = refusal(dir.path()).await;
    assert!(told.starts_with(&format!("database {} can't be written", path.display())), "{told}");
}

#[tokio::test]
async fn files_of_the_database_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    server.set("a", "one", &[]).await.unwrap();
    for name in ["tier.db", "tier.db-wal", "tier.db-shm", "tier.db-lock"] {
        let mode = std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    server.stop().await;
}

#[test]
fn address_is_judged_as_text() {
    for (address, expected) in [("sqlite:///var/x.db", "/var/x.db"), ("sqlite://x.db", "x.db")] {
        let Address::Sqlite(path) = Address::parse(address).unwrap() else { panic!("{address}") };
        assert_eq!(path, Path::new(expected));
    }
    for (address, reason) in [
        ("sqlite:x.db", "`sqlite:x.db` is not `sqlite:///absolute/path`"),
        ("sqlite://", "is not `sqlite:///absolute/path`"),
        ("/some/path", "`…` is not `sqlite:///absolute/path`"),
        ("sqlite:///x.db?mode=ro", "query parts are not understood"),
        ("sqlite://:memory:", "is not a file"),
    ] {
        let told = Address::parse(address).unwrap_err().to_string();
        assert!(told.contains(reason), "{told}");
    }
}

#[tokio::test]
async fn second_server_on_the_same_file_is_refused_until_the_first_has_closed() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let told = refusal(dir.path()).await;
    assert!(told.contains("in use by another server"), "{told}");
    server.set("a", "one", &[]).await.unwrap();
    server.stop().await;
    start(dir.path()).await.stop().await;
}

#[tokio::test]
async fn second_server_on_the_same_file_by_another_name_is_refused() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::os::unix::fs::symlink(dir.path().join("tier.db"), other.path().join("tier.db")).unwrap();
    // The first makes the file by way of the link.
    let server = start(other.path()).await;
    let told = refusal(dir.path()).await;
    assert!(told.contains("in use by another server"), "{told}");
    server.stop().await;
    let server = start(dir.path()).await;
    let told = refusal(other.path()).await;
    assert!(told.contains("in use by another server"), "{told}");
    server.stop().await;
}

#[tokio::test]
async fn server_whose_lock_was_removed_writes_nothing_once_another_has_begun() {
    let dir = tempfile::tempdir().unwrap();
    let first = start(dir.path()).await;
    first.set("a", "old", &[]).await.unwrap();
    std::fs::remove_file(dir.path().join("tier.db-lock")).unwrap();
    let second = start(dir.path()).await;
    let refused = first.set("a", "late", &[]).await.unwrap_err().to_string();
    assert!(refused.contains("another server has used the database"), "{refused}");
    let refused = first.invalidate(tag("t"), Mode::Hard).await.unwrap_err().to_string();
    assert!(refused.contains("another server has used the database"), "{refused}");
    assert_eq!(second.get("a").await.as_deref(), Some("old"));
    second.invalidate(tag("t"), Mode::Hard).await.unwrap();
    second.stop().await;
    first.stop().await;
}

#[tokio::test]
async fn file_that_is_no_database_is_refused_and_left_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tier.db");
    let text = "this is somebody's letter, not a database\n".repeat(100);
    std::fs::write(&path, &text).unwrap();
    let told = refusal(dir.path()).await;
    assert!(told.contains("is not one of wasmcached"), "{told}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn database_of_another_application_is_refused_and_left_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tier.db");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut theirs = SqliteConnection::connect_with(&options).await.unwrap();
    execute(&mut theirs, "CREATE TABLE orders (id INTEGER)").await;
    theirs.close().await.unwrap();
    let before = std::fs::read(&path).unwrap();
    let told = refusal(dir.path()).await;
    assert!(told.contains("it has tables of another application: orders"), "{told}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn newer_schema_is_refused_with_both_numbers() {
    let dir = tempfile::tempdir().unwrap();
    start(dir.path()).await.stop().await;
    let mut other = intruder(dir.path()).await;
    execute(
        &mut other,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'later', TRUE, x'00', 0)",
    )
    .await;
    other.close().await.unwrap();
    let told = refusal(dir.path()).await;
    assert!(told.contains("has schema 9999; this server knows schemas up to 9"), "{told}");
}

#[tokio::test]
async fn restart_knows_the_highest_number_of_each_source_and_what_was_applied_again() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let events = [("shop", Some(8)), ("shop", Some(7)), ("shop", None), ("other", Some(u64::MAX))];
    for (source, number) in events {
        let is_again = number.is_none();
        let (source, event_id) = (source.into(), Some("e".into()));
        let cause = Cause { source, event_id, at_ms: 5, number, is_again };
        let invalidation = Invalidation { targets: vec![(tag("t"), Mode::Hard)], cause };
        server.cache.invalidate(invalidation).await.unwrap();
    }
    let journal = events_of(&server).await;
    let again: Vec<bool> =
        journal.iter().map(|record| record.invalidation.cause.is_again).collect();
    assert_eq!(again, [false, false, true, false]);
    server.stop().await;

    let (_tier, mut recovered, _clock, tasks) =
        open(dir.path(), Settings::default()).await.unwrap();
    recovered.numbers.sort();
    // What the column can't hold is above every number.
    assert_eq!(recovered.numbers, [("other".into(), u64::MAX), ("shop".into(), 8)]);
    assert_eq!(tasks.stop(PATIENCE).await, 0);
}

#[tokio::test]
async fn restart_knows_the_last_moment_that_was_announced_for_a_flush_until_it_is_made() {
    let dir = tempfile::tempdir().unwrap();
    for (announced, made, left) in [
        (vec![9_000, 5_000], None, Some(5_000)),
        (vec![7_000], Some(6_000), Some(7_000)),
        (vec![], Some(7_000), None),
    ] {
        let server = start(dir.path()).await;
        for due_ms in announced {
            server.cache.announce_flush(Cause::default(), due_ms).await.unwrap();
        }
        if let Some(due_ms) = made {
            server.cache.flush(Cause::default(), due_ms).await.unwrap();
        }
        server.stop().await;
        let (_tier, recovered, _clock, tasks) =
            open(dir.path(), Settings::default()).await.unwrap();
        assert_eq!((recovered.flush_due_ms, recovered.intents.len()), (left, 0));
        assert_eq!(tasks.stop(PATIENCE).await, 0);
    }
}

#[tokio::test]
async fn damaged_file_of_ours_is_told_to_be_damaged() {
    let dir = tempfile::tempdir().unwrap();
    start(dir.path()).await.stop().await;
    let path = dir.path().join("tier.db");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4_096..].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    let told = refusal(dir.path()).await;
    assert!(told.starts_with(&format!("database {} is damaged: ", path.display())), "{told}");
}

#[tokio::test]
async fn missing_row_of_the_epoch_is_told_in_words_and_nothing_is_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut other = intruder(dir.path()).await;
    execute(&mut other, "DELETE FROM meta").await;
    let refused = server.invalidate(tag("t"), Mode::Hard).await.unwrap_err().to_string();
    assert!(refused.contains("its row with the epoch is missing"), "{refused}");
    other.close().await.unwrap();
    server.stop().await;
    let told = refusal(dir.path()).await;
    assert!(told.ends_with("is damaged: its row with the epoch is missing"), "{told}");
}
