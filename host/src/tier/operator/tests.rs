//! Inspecting what a real cache has written into a real file.

use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use super::*;
use crate::model::{Invalidation, Mode, Tag};
use crate::tier::tests::{self as beside, Server, events_of, intruder, page_at, start, tag};

const NOW_MS: u64 = 1_700_000_000_000;

fn at(dir: &Path) -> Address {
    Address::Sqlite(dir.join("tier.db"))
}

async fn inspector(dir: &Path) -> Inspector {
    Inspector::open(&at(dir), Clock::manual(NOW_MS)).await.unwrap()
}

async fn alone(dir: &Path) -> Inspector {
    Inspector::open_alone(&at(dir), Clock::manual(NOW_MS)).await.unwrap()
}

/// Five items and a page, of which one item is dead and one softly purged.
async fn filled(dir: &Path) -> Server {
    let server = start(dir).await;
    for (key, tags) in
        [("a", &["t"][..]), ("b:1", &["u"]), ("b:2", &["u", "v"]), ("b:3", &["soft"]), ("c", &[])]
    {
        server.set(key, "value", tags).await.unwrap();
    }
    server.store_page("http://h/p", page_at("http://h/p", "body of the page"));
    server.invalidate(tag("t"), Mode::Hard).await.unwrap();
    server.invalidate(tag("soft"), Mode::Soft).await.unwrap();
    beside::eventually("all is written", async || server.cache.tier_status().unwrap().queued == 0)
        .await;
    server
}

fn states(listed: &[Listed]) -> Vec<(String, &'static str)> {
    let state = |row: &Listed| (String::from_utf8(row.key.clone()).unwrap(), row.state.as_str());
    listed.iter().map(state).collect()
}

async fn export(dir: &Path) -> (Exported, String) {
    let mut lines = Vec::new();
    let exported = alone(dir).await.export(&mut lines).await.unwrap();
    (exported, String::from_utf8(lines).unwrap())
}

async fn import_lines(dir: &Path, lines: &str) -> Result<Imported, String> {
    let clock = Clock::manual(NOW_MS);
    let imported = import(&at(dir), &clock, &mut Cursor::new(lines)).await;
    imported.map_err(|error| error.to_string())
}

#[tokio::test]
async fn listing_says_what_the_rule_says_while_a_server_writes() {
    let dir = tempfile::tempdir().unwrap();
    let server = filled(dir.path()).await;
    let mut inspector = inspector(dir.path()).await;
    let all = Selection { limit: 100, ..Selection::default() };
    let (listed, is_cut) = inspector.list(&all).await.unwrap();
    assert!(!is_cut);
    assert_eq!(
        states(&listed),
        [
            ("a".into(), "dead"),
            ("b:1".into(), "valid"),
            ("b:2".into(), "valid"),
            ("b:3".into(), "stale"),
            ("c".into(), "valid"),
            ("http://h/p".into(), "valid"),
        ]
    );
    assert_eq!(listed[0].body_bytes, 5);
    let totals = inspector.totals().await.unwrap();
    assert_eq!((totals.rows, totals.body_bytes, totals.epoch), (6, 41, 1));
    assert_eq!((totals.fence_rows, totals.journal_records), (2, 2));
    server.stop().await;
}

#[tokio::test]
async fn listing_is_cut_by_prefix_tag_and_limit_and_goes_on_behind_its_last_key() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await.stop().await;
    let mut inspector = inspector(dir.path()).await;
    let mut wanted = Selection { prefix: b"b:".to_vec(), limit: 2, ..Selection::default() };
    let (listed, is_cut) = inspector.list(&wanted).await.unwrap();
    assert_eq!(states(&listed), [("b:1".into(), "valid"), ("b:2".into(), "valid")]);
    assert!(is_cut);
    wanted.after = Some(b"b:2".to_vec());
    let (listed, is_cut) = inspector.list(&wanted).await.unwrap();
    assert_eq!((states(&listed), is_cut), (vec![("b:3".into(), "stale")], false));
    let tagged = Selection { tag: Some(Tag::new("v").unwrap()), limit: 9, ..Selection::default() };
    let (listed, _) = inspector.list(&tagged).await.unwrap();
    assert_eq!(states(&listed), [("b:2".into(), "valid")]);
}

#[tokio::test]
async fn verification_counts_every_row_and_names_the_damaged_ones() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await.stop().await;
    let found = inspector(dir.path()).await.verify().await.unwrap();
    let expected = Verification { valid: 4, stale: 1, dead: 1, ..Verification::default() };
    assert_eq!(found, expected);
    assert!(found.is_whole());

    let mut other = intruder(dir.path()).await;
    for sql in [
        "UPDATE entries SET tags = 'no json' WHERE key = x'63'",
        "UPDATE entries SET headers = x'ffffff7f00' WHERE kind = 1",
        "UPDATE entries SET expires_ms = 1 WHERE key = x'623a31'",
        "UPDATE journal SET targets = x'00' WHERE sequence = (SELECT min(sequence) FROM journal)",
        "UPDATE fence SET kind = 99 WHERE name = x'74'",
    ] {
        beside::execute(&mut other, sql).await;
    }
    let found = inspector(dir.path()).await.verify().await.unwrap();
    // A fence that can't be read ends everything that was stored before.
    assert_eq!((found.valid, found.dead, found.expired, found.damaged), (0, 3, 1, 2));
    assert_eq!(found.damaged_keys, [b"c".to_vec(), b"http://h/p".to_vec()]);
    assert_eq!((found.fence_damaged, found.journal_damaged), (1, 1));
    assert!(!found.is_whole());
}

#[tokio::test]
async fn file_with_overwritten_pages_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    for n in 0..200 {
        server.set(&format!("key {n}"), &"x".repeat(1_000), &[]).await.unwrap();
    }
    server.stop().await;
    let path = dir.path().join("tier.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[end - 20 * 4096..].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    let found = inspector(dir.path()).await.verify().await.unwrap();
    assert!(!found.file.is_empty() && !found.is_whole(), "{found:?}");
}

#[tokio::test]
async fn what_was_exported_is_served_by_a_server_on_the_database_it_was_imported_into() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(old.path()).await.stop().await;
    let (exported, lines) = export(old.path()).await;
    assert_eq!(exported, Exported { sealed: true, entries: 4, left_out: 2 });
    let imported = import_lines(new.path(), &lines).await;
    assert_eq!(imported, Ok(Imported { entries: 4, ..Imported::default() }));

    let server = start(new.path()).await;
    for (key, value) in [("a", None), ("b:1", Some("value")), ("b:3", None), ("c", Some("value"))] {
        assert_eq!(server.get(key).await.as_deref(), value, "{key}");
    }
    assert_eq!(server.page("http://h/p").await, Some(Verdict::Fresh));
    // And is invalidated like everything else.
    server.invalidate(tag("v"), Mode::Hard).await.unwrap();
    assert_eq!(server.get("b:2").await, None);
    server.stop().await;
    // Lines are the same again, but for what a server has added.
    let (_, again) = export(new.path()).await;
    let bodies = |lines: &str| {
        let lines = lines.lines().map(|line| serde_json::from_str(line).unwrap());
        let lines = lines.filter(|line: &serde_json::Value| line["key"] != "b:2");
        let pieces = lines.map(|line| (line["key"].clone(), line["body"].clone()));
        pieces.filter(|(key, _)| !key.is_null()).collect::<Vec<_>>()
    };
    assert_eq!(bodies(&again), bodies(&lines));
}

#[tokio::test]
async fn entry_invalidated_after_its_export_does_not_come_back_by_an_import() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = filled(old.path()).await;
    // Exported while the server could go on invalidating: not to be imported at all.
    let (exported, lines) = export(old.path()).await;
    assert!(!exported.sealed);
    let refused = import_lines(new.path(), &lines).await.unwrap_err();
    assert!(refused.starts_with("line 1: exported while a server"), "{refused}");
    server.stop().await;
    // And not into a database whose server may have invalidated it.
    let (_, lines) = export(old.path()).await;
    let refused = import_lines(old.path(), &lines).await.unwrap_err();
    assert!(refused.contains("has been used by a server, 1 times"), "{refused}");
}

#[tokio::test]
async fn no_server_is_let_in_from_before_an_export_knows_the_fence_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await.stop().await;
    let (mut inspector, mut lines) = (alone(dir.path()).await, Vec::new());
    let refused = beside::refusal(dir.path()).await;
    assert!(refused.ends_with("is in use by another server"), "{refused}");
    assert!(inspector.export(&mut lines).await.unwrap().sealed);
    drop(inspector);
    start(dir.path()).await.stop().await;
}

#[tokio::test]
async fn export_that_begins_beside_a_server_is_not_sealed_though_the_server_ends_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let server = filled(dir.path()).await;
    let mut inspector = alone(dir.path()).await;
    server.invalidate(tag("u"), Mode::Hard).await.unwrap();
    server.stop().await;
    assert!(!inspector.export(&mut Vec::new()).await.unwrap().sealed);
}

#[tokio::test]
async fn export_has_no_end_where_its_lock_did_not_keep_a_server_out() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await.stop().await;
    let refusal = async |mut inspector: Inspector| {
        let mut lines = Vec::new();
        let refused = inspector.export(&mut lines).await.unwrap_err().to_string();
        let lines = String::from_utf8(lines).unwrap();
        assert!(lines.contains("\"sealed\":true") && !lines.contains("\"end\""), "{lines}");
        refused
    };
    let inspector = alone(dir.path()).await;
    std::fs::remove_file(dir.path().join("tier.db-lock")).unwrap();
    start(dir.path()).await.stop().await;
    let refused = refusal(inspector).await;
    assert!(refused.contains("a server has used it meanwhile"), "{refused}");

    let inspector = alone(dir.path()).await;
    let file = dir.path().join("tier.db");
    std::fs::copy(&file, dir.path().join("copy")).unwrap();
    std::fs::rename(dir.path().join("copy"), &file).unwrap();
    let refused = refusal(inspector).await;
    assert!(refused.contains("has been replaced"), "{refused}");
}

#[tokio::test]
async fn what_an_earlier_import_left_is_not_served_after_another() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(old.path()).await.stop().await;
    import_lines(new.path(), &export(old.path()).await.1).await.unwrap();
    let server = start(old.path()).await;
    server.invalidate(tag("u"), Mode::Hard).await.unwrap();
    server.stop().await;
    import_lines(new.path(), &export(old.path()).await.1).await.unwrap();
    let server = start(new.path()).await;
    for (key, value) in [("b:1", None), ("b:2", None), ("c", Some("value"))] {
        assert_eq!(server.get(key).await.as_deref(), value, "{key}");
    }
    server.stop().await;
}

/// Ends the task that reads it where it has no more.
struct Killing(Cursor<String>);

impl Read for Killing {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.0.read(into)?;
        assert!(read > 0, "killed");
        Ok(read)
    }
}

#[tokio::test]
async fn database_of_an_import_that_was_killed_is_for_another_import_alone() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = start(old.path()).await;
    for n in 0..300 {
        server.set(&format!("key {n}"), "value", &[]).await.unwrap();
    }
    server.stop().await;
    let (_, lines) = export(old.path()).await;
    let (cut, _) = lines.rsplit_once("{\"line\":\"end\"").unwrap();
    let (address, cut) = (at(new.path()), cut.to_owned());
    let local = tokio::task::LocalSet::new();
    let task = local.spawn_local(async move {
        let mut lines = BufReader::new(Killing(Cursor::new(cut)));
        import(&address, &Clock::manual(NOW_MS), &mut lines).await
    });
    local.await;
    assert!(task.await.unwrap_err().is_panic());
    let told = format!(
        "an import into database {} was not finished; import again, or delete it",
        new.path().join("tier.db").display()
    );
    assert_eq!(beside::refusal(new.path()).await, told);
    let opened = Inspector::open(&at(new.path()), Clock::manual(NOW_MS)).await;
    assert_eq!(opened.err().expect("refused").to_string(), told);
    let checked = schema::check(&at(new.path())).await;
    assert_eq!(checked.unwrap_err().to_string(), told);

    assert_eq!(import_lines(new.path(), &lines).await.unwrap().entries, 300);
    schema::check(&at(new.path())).await.unwrap();
    let server = start(new.path()).await;
    assert_eq!(server.get("key 299").await.as_deref(), Some("value"));
    server.stop().await;
}

#[tokio::test]
async fn events_that_may_have_to_be_applied_again_move_along_and_end_nothing_by_that() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = filled(old.path()).await;
    server.set("later", "value", &["t"]).await.unwrap();
    server.stop().await;
    let mut other = intruder(old.path()).await;
    let again = "INSERT INTO journal VALUES (5000000000000, 'shop', 'e2', 7, x'00', 1)";
    beside::execute(&mut other, again).await;
    import_lines(new.path(), &export(old.path()).await.1).await.unwrap();

    let server = start(new.path()).await;
    let events = events_of(&server).await;
    let read = server.tier.read_targets(events, usize::MAX).await.unwrap();
    let told = read.iter().map(|event| {
        let Invalidation { targets, cause } = &*event.invalidation;
        let id = cause.event_id.as_deref().unwrap();
        (targets.clone(), &*cause.source, id, cause.at_ms, cause.is_again)
    });
    let expected = [
        (vec![(tag("t"), Mode::Hard)], "api", "e1", 5, false),
        (vec![(tag("soft"), Mode::Soft)], "api", "e1", 5, false),
        (vec![], "shop", "e2", 7, true),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    assert_eq!(server.get("later").await.as_deref(), Some("value"));
    server.stop().await;
}

#[tokio::test]
async fn bad_line_is_named_by_its_number_and_nothing_is_imported() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(old.path()).await.stop().await;
    let (_, lines) = export(old.path()).await;
    let spoiled: [(&str, &str, &str); 11] = [
        ("\"version\":2", "\"version\":3", "line 1: version is 3; this binary reads 1 to 2"),
        ("\"flags\":7", "\"flags\":-7", "line 2: "),
        ("\"flags\":7", "\"flegs\":7", "line 2: unknown field `flegs`"),
        ("\"body\":\"", "\"body\":\"*", "line 2: body: is not base64"),
        ("\"key\":\"b:1\"", "\"key\":\"\"", "line 2: key: key is empty"),
        ("\"key\":\"b:2\"", "\"key\":\"a:2\"", "line 3: key: comes before that of the line before"),
        ("\"key\":\"b:2\"", "\"key\":\"b:1\"", "line 3: key: has an item and something else"),
        ("\"tags\":[\"u\"", "\"tags\":[\"u\\n\"", "line 2: tags: "),
        ("\"status\":200", "\"status\":99", "line 5: status: "),
        ("\"entries\":4", "\"entries\":5", "line 6: says that there are 5 entries; there were 4"),
        ("{\"line\":\"end\",\"entries\":4}", "", "line 6: "),
    ];
    for (whole, broken, reason) in spoiled {
        assert!(lines.contains(whole), "no {whole} in {lines}");
        let refused = import_lines(new.path(), &lines.replacen(whole, broken, 1)).await;
        let refused = refused.unwrap_err();
        assert!(refused.starts_with(reason), "{broken}: {refused}");
        let totals = inspector(new.path()).await.totals().await.unwrap();
        assert_eq!(totals.rows, 0, "{broken}");
    }
    // Cut off before its end.
    let cut = lines.rsplit_once("{\"line\":\"end\"").unwrap().0;
    let refused = import_lines(new.path(), cut).await.unwrap_err();
    assert_eq!(refused, "line 6: expected the end");
    assert!(import_lines(new.path(), &lines).await.is_ok());
}

#[tokio::test]
async fn copy_made_while_a_server_writes_is_whole_and_never_replaces_a_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let server = filled(dir.path()).await;
    let copies = tempfile::tempdir().unwrap();
    let copy = copies.path().join("tier.db");
    inspector(dir.path()).await.back_up(&copy).await.unwrap();
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    let found = inspector(copies.path()).await.verify().await.unwrap();
    assert_eq!((found.valid, found.stale, found.dead), (4, 1, 1));
    let refused = inspector(dir.path()).await.back_up(&copy).await.unwrap_err().to_string();
    assert!(refused.contains("can't be written"), "{refused}");
    server.stop().await;
    let restored = start(copies.path()).await;
    assert_eq!(restored.get("c").await.as_deref(), Some("value"));
    assert_eq!(restored.get("a").await, None);
    restored.stop().await;
}

#[tokio::test]
async fn database_that_is_not_a_tier_of_this_binary_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refusal = async |dir: &Path| {
        let opened = Inspector::open(&at(dir), Clock::manual(NOW_MS)).await;
        opened.err().expect("refused").to_string()
    };
    assert!(refusal(dir.path()).await.ends_with("does not exist"));
    filled(dir.path()).await.stop().await;
    let mut other = intruder(dir.path()).await;
    beside::execute(&mut other, "DELETE FROM _sqlx_migrations WHERE version > 3").await;
    let told = refusal(dir.path()).await;
    assert!(told.contains("steps that this binary reads"), "{told}");
    beside::execute(&mut other, "PRAGMA application_id = 7").await;
    assert!(refusal(dir.path()).await.contains("is not one of wasmcached"));
    std::fs::write(dir.path().join("tier.db"), "a letter\n".repeat(1_000)).unwrap();
    assert!(refusal(dir.path()).await.contains("is not one of wasmcached"));
}

#[tokio::test]
async fn what_is_to_come_and_plugins_that_tagged_something_move_along_and_no_words_without_them() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = start(old.path()).await;
    server.set("known", "value", &["plugin:shop/1"]).await.unwrap();
    server.set("strange", "value", &["plugin:shop/2"]).await.unwrap();
    server.stop().await;
    let mut other = intruder(old.path()).await;
    for sql in [
        "INSERT INTO intents VALUES ('flush_all', 1700000009000, x'')",
        // Kind, mode, and a name of one byte: the tag `t`.
        "INSERT INTO intents VALUES ('shop/1', 1700000008000, x'00000100000074')",
        "INSERT INTO plugins VALUES ('shop', 'component and settings', 'shop/1')",
        "INSERT INTO numbers VALUES ('shop', 7)",
    ] {
        beside::execute(&mut other, sql).await;
    }
    let header = |lines: &str| -> serde_json::Value {
        serde_json::from_str(lines.lines().next().unwrap()).unwrap()
    };
    let (_, lines) = export(old.path()).await;
    let told = &header(&lines)["beside"];
    assert_eq!(told["flush_due_ms"], 1_700_000_009_000_u64);
    assert_eq!(
        (&told["intents"][0]["name"], &told["plugins"][0]["mark"]),
        (&"shop/1".into(), &"shop/1".into())
    );

    assert_eq!(told["numbers"], serde_json::json!([{ "source": "shop", "number": 7 }]));

    let refused = import_lines(new.path(), lines.rsplit_once("{\"line\":\"end\"").unwrap().0).await;
    assert!(refused.is_err());
    let nothing = &header(&export(new.path()).await.1)["beside"];
    assert_eq!(
        (&nothing["flush_due_ms"], &nothing["plugins"]),
        (&().into(), &serde_json::json!([]))
    );

    let imported = import_lines(new.path(), &lines).await;
    assert_eq!(imported, Ok(Imported { entries: 1, strange: 1, ..Imported::default() }));
    let (exported, again) = export(new.path()).await;
    assert_eq!((exported.entries, &header(&again)["beside"]), (1, told));

    // One of the same version from before it had events and their numbers.
    let (rest, mut without) = (lines.split_once('\n').unwrap().1, header(&lines));
    for field in ["events", "numbers"] {
        without["beside"].as_object_mut().unwrap().remove(field).unwrap();
    }
    let imported = import_lines(new.path(), &format!("{without}\n{rest}")).await;
    assert_eq!(imported, Ok(Imported { entries: 1, strange: 1, ..Imported::default() }));

    // An export from before these were in it says nothing of any plugin.
    let (third, mut first) = (tempfile::tempdir().unwrap(), header(&lines));
    first["version"] = 1.into();
    first.as_object_mut().unwrap().remove("beside");
    let imported = import_lines(third.path(), &format!("{first}\n{rest}")).await;
    assert_eq!(imported, Ok(Imported { strange: 2, ..Imported::default() }));
}
