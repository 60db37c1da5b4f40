//! `wasmcached tier`: looking into a database beside its running server, and moving it.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use wasmcached_tests::wait::eventually;
use wasmcached_tests::{Database, Origin, Server, http, origin, server, settings};

fn url(file: &Path) -> String {
    format!("sqlite://{}", file.display())
}

fn tier(arguments: &[&str], file: &Path) -> Output {
    server::run(&[&["tier"], arguments, &["--database", &url(file)]].concat())
}

#[track_caller]
fn printed(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A server with a page, and items of which one was purged.
fn filled() -> (Server, Origin) {
    let origin = Origin::start(|_| origin::Response::cacheable("body of the page"));
    let server = Server::start(&settings::with_tier(&settings::trekking(&origin.url())));
    http::get(&server.page("/treks/annapurna/"));
    let mut connection = server.memcached();
    for command in
        ["ms user:1 3 Lusers\r\none", "ms user:2 3 Lusers,gone\r\ntwo", "ms other 1\r\nx"]
    {
        assert_eq!(connection.ask(command), "HD");
    }
    let answer = http::post_json(&server.api("/v1/invalidate"), &json!({"tags": ["gone"]}));
    assert_eq!(answer.status, 200);
    eventually("all is written", || {
        http::get(&server.api("/ready")).json()["parts"]["tier"]["queued"] == 0
    });
    (server, origin)
}

#[test]
fn keys_are_listed_and_verified_beside_the_running_server() {
    let (server, _origin) = filled();
    let file = server.dir().join("cache.db");
    let listed = printed(&tier(&["inspect", "--prefix", "user:"], &file));
    let keys: Vec<(&str, &str)> = listed["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| (key["key"].as_str().unwrap(), key["state"].as_str().unwrap()))
        .collect();
    assert_eq!(keys, [("user:1", "valid"), ("user:2", "dead")]);
    assert_eq!(listed["keys"][0]["tags"], json!(["users"]));
    assert_eq!((&listed["totals"]["rows"], &listed["cursor"]), (&json!(4), &Value::Null));
    let cut = printed(&tier(&["inspect", "--limit", "1"], &file));
    assert_eq!(cut["keys"].as_array().unwrap().len(), 1);
    assert_eq!(cut["cursor"], cut["keys"][0]["key"]);
    let verified = printed(&tier(&["verify"], &file));
    assert_eq!(verified["rows"]["valid"], 3);
    assert_eq!(verified["rows"]["dead"], 1);
    // The server has not noticed.
    assert_eq!(server.memcached().get("user:1").unwrap(), b"one");
}

#[test]
fn cache_moves_to_another_database_by_export_and_import() {
    let (mut server, origin) = filled();
    let page = server.page("/treks/annapurna/");
    let (old, new) = (server.dir().join("cache.db"), server.dir().join("new.db"));
    let lines = server.dir().join("lines.jsonl");
    let lines = lines.to_str().unwrap();
    let unsealed = server.dir().join("unsealed.jsonl");
    let unsealed = unsealed.to_str().unwrap();
    assert!(tier(&["export", unsealed], &old).status.success());
    let refused = tier(&["import", unsealed], &new);
    assert_eq!(refused.status.code(), Some(1));
    server.stop();
    let exported = tier(&["export", lines], &old);
    assert!(exported.status.success());
    assert_eq!(
        serde_json::from_slice::<Value>(&exported.stderr).unwrap(),
        json!({"entries": 3, "left_out": 1, "sealed": true})
    );
    assert_eq!(printed(&tier(&["import", lines], &new)), json!({"entries": 3, "expired": 0}));
    // The same addresses: pages' keys begin with them.
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(server.dir().join(format!("cache.db{suffix}")));
    }
    std::fs::rename(&new, &old).unwrap();
    server.start_again();
    assert_eq!(server.memcached().get("user:1").unwrap(), b"one");
    assert_eq!(server.memcached().get("user:2"), None);
    drop(origin);
    assert!(http::get(&page).is_hit());
    assert_eq!(tier(&["import", lines], &old).status.code(), Some(1));
}

#[test]
fn backup_is_made_while_the_server_writes_and_is_a_tier_of_its_own() {
    let (server, _origin) = filled();
    let copy = server.dir().join("copy.db");
    let output = tier(&["backup", copy.to_str().unwrap()], &server.dir().join("cache.db"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(printed(&tier(&["verify"], &copy))["rows"]["valid"], 3);
    let again = tier(&["backup", copy.to_str().unwrap()], &server.dir().join("cache.db"));
    assert_eq!(again.status.code(), Some(1));
}

#[test]
fn damaged_rows_are_reported_with_exit_code_1_and_a_server_leaves_them_out() {
    let (mut server, _origin) = filled();
    server.stop();
    let file = server.dir().join("cache.db");
    let sql = "UPDATE entries SET tags = '[\"' WHERE key = CAST('user:1' AS BLOB)";
    let script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); \
                  c.commit()";
    let file_name = file.to_str().unwrap();
    wasmcached_tests::clients::printed("python3", &["-c", script, file_name, sql], server.dir());
    let output = tier(&["verify"], &file);
    assert_eq!(output.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&found["rows"]["damaged"], &found["damaged_keys"]),
        (&json!(1), &json!(["user:1"]))
    );
    server.start_again();
    assert_eq!(server.memcached().get("user:1"), None);
    assert_eq!(server.memcached().get("other").unwrap(), b"x");
    let metrics = http::get(&server.api("/metrics")).text();
    assert!(metrics.contains("wasmcached_tier_rows_skipped_total 1\n"), "{metrics}");
}

#[test]
fn what_is_no_tier_is_refused_by_each_command_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("none.db");
    let letter = dir.path().join("letter.db");
    std::fs::write(&letter, "somebody's letter\n".repeat(500)).unwrap();
    let out = dir.path().join("out");
    let out = out.to_str().unwrap();
    for arguments in [&["inspect"][..], &["verify"], &["export", out], &["backup", out]] {
        for (file, reason) in [(&missing, "does not exist"), (&letter, "not one of wasmcached")] {
            let output = tier(arguments, file);
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert!(said.contains(reason), "{arguments:?}: {said}");
        }
    }
    // An export that could not begin leaves no file behind that would stop the next one.
    assert!(!Path::new(out).exists());
    let output = server::run(&["tier", "verify", "--database", "mysql://root:secret@h/db"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("is not `sqlite:///"), "{said}");
}

#[test]
fn cache_moves_from_sqlite_to_postgres_and_back() {
    let settings = settings::plain();
    let (first, second) = (Database::sqlite(), Database::postgres());
    let mut server = Server::start(&first.below(&settings));
    for command in ["ms a 3 Lt\r\none", "ms b 3 Lu\r\ntwo", "ms c 3 Lgone\r\nbye"] {
        assert_eq!(server.memcached().ask(command), "HD");
    }
    let body = json!({"tags": ["gone"]});
    assert_eq!(http::post_json(&server.api("/v1/invalidate"), &body).status, 200);
    server.stop();
    let old = server.dir().join("cache.db");
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let over = |arguments: &[&str]| {
        server::run(&[&["tier"], arguments, &["--database", second.address()]].concat())
    };
    assert!(tier(&["export", &file("first")], &old).status.success());
    assert_eq!(printed(&over(&["import", &file("first")])), json!({"entries": 2, "expired": 0}));

    let mut server = Server::start(&second.below(&settings));
    assert_eq!(server.memcached().get("a").unwrap(), b"one");
    assert_eq!(server.memcached().get("c"), None);
    let listed = printed(&over(&["inspect", "--prefix", "b"]));
    assert_eq!(listed["keys"][0]["key"], "b");
    assert_eq!(listed["totals"]["rows"], 2);
    assert_eq!(http::post_json(&server.api("/v1/invalidate"), &json!({"tags": ["t"]})).status, 200);
    let verified = printed(&over(&["verify"]));
    assert_eq!((&verified["rows"]["valid"], &verified["rows"]["dead"]), (&json!(1), &json!(1)));
    let unsealed = over(&["export", &file("unsealed")]);
    assert!(String::from_utf8_lossy(&unsealed.stderr).contains("\"sealed\":false"));
    let copied = over(&["backup", &file("copy")]);
    assert!(String::from_utf8_lossy(&copied.stderr).contains("pg_dump is the tool"));
    server.stop();
    let said = String::from_utf8(over(&["import", &file("first")]).stderr).unwrap();
    assert!(said.contains("has been used by a server, 1 times"), "{said}");

    let exported = over(&["export", &file("second")]);
    assert!(String::from_utf8_lossy(&exported.stderr).contains("\"sealed\":true"));
    let new = dir.path().join("new.db");
    assert_eq!(printed(&tier(&["import", &file("second")], &new))["entries"], 1);
    assert_eq!(printed(&tier(&["inspect"], &new))["keys"][0]["key"], "b");
}
