//! `wasmcached tier`: looking into a database beside its running server, and moving it.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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
    assert_eq!(server.memcached().get_kept("user:1"), b"one");
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
    assert_eq!(
        printed(&tier(&["import", lines], &new)),
        json!({"entries": 3, "expired": 0, "left_out": 0})
    );
    // The same addresses: pages' keys begin with them.
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(server.dir().join(format!("cache.db{suffix}")));
    }
    std::fs::rename(&new, &old).unwrap();
    server.start_again();
    assert_eq!(server.memcached().get_kept("user:1"), b"one");
    assert_eq!(server.memcached().get("user:2"), None);
    drop(origin);
    assert!(http::get_kept(&page).is_hit());
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
    assert_eq!(server.memcached().get_kept("other"), b"x");
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
    assert_eq!(
        printed(&over(&["import", &file("first")])),
        json!({"entries": 2, "expired": 0, "left_out": 0})
    );

    let mut server = Server::start(&second.below(&settings));
    assert_eq!(server.memcached().get("a").unwrap(), b"one");
    assert_eq!(server.memcached().get("c"), None);
    let listed = printed(&over(&["inspect", "--prefix", "b"]));
    assert_eq!(listed["keys"][0]["key"], "b");
    assert_eq!(listed["totals"]["rows"], 2);
    assert_eq!(http::post_json(&server.api("/v1/invalidate"), &json!({"tags": ["t"]})).status, 200);
    let verified = over(&["verify"]);
    assert!(verified.stderr.is_empty(), "{}", String::from_utf8_lossy(&verified.stderr));
    let verified = printed(&verified);
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

fn import_that_was_killed_keeps_servers_out_until_it_is_done_again(database: &Database) {
    let mut server = Server::start(&settings::with_tier(&settings::plain()));
    for n in 0..300 {
        assert_eq!(server.memcached().ask(&format!("ms {n} 3\r\none")), "HD");
    }
    server.stop();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lines.jsonl");
    let exported = tier(&["export", file.to_str().unwrap()], &server.dir().join("cache.db"));
    assert!(exported.status.success(), "{exported:?}");
    let lines = std::fs::read_to_string(&file).unwrap();
    let address = database.address().replace("{dir}", dir.path().to_str().unwrap());
    let new = Database::at(&address);
    let over = |arguments: &[&str]| server::run(&[arguments, &["--database", &address]].concat());
    assert!(over(&["migrate"]).status.success());

    let mut importing = server::command()
        .args(["tier", "import", "-", "--database", &address])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let (but_its_end, _) = lines.rsplit_once("{\"line\":\"end\"").unwrap();
    importing.stdin.as_mut().unwrap().write_all(but_its_end.as_bytes()).unwrap();
    eventually("a part is written", || new.ask("SELECT count(*) FROM entries") != "0");
    importing.kill().unwrap();
    importing.wait().unwrap();
    let refusals = [
        server::serve_to_its_end(&new.below(&settings::plain()), &[]),
        server::serve_to_its_end(&new.below(&settings::plain()), &["--check"]),
        over(&["tier", "verify"]),
        over(&["tier", "inspect"]),
        over(&["tier", "export"]),
    ];
    let told = format!("an import into database {} was not finished", new.shown());
    for refused in refusals {
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains(&told), "{said}");
    }

    assert!(over(&["tier", "import", file.to_str().unwrap()]).status.success());
    let server = Server::start(&new.below(&settings::plain()));
    eventually("it is served", || server.memcached().get("299").is_some());
}

wasmcached_tests::over_both_databases! {
    import_that_was_killed_keeps_servers_out_until_it_is_done_again,
}

#[test]
fn listing_goes_on_behind_keys_that_are_not_text() {
    let server = Server::start(&settings::with_tier(&settings::plain()));
    let mut connection = server.memcached();
    let keys: [&[u8]; 5] = [b"k\xc3\x28", b"k\xef\xbf\xbd", b"k\xfe", b"k\xff1", b"k\xff2"];
    for key in keys {
        connection.send(&[b"set ", key, b" 0 0 1\r\nv\r\n"].concat());
        assert_eq!(connection.line().unwrap(), b"STORED");
    }
    let file = server.dir().join("cache.db");
    let mut after: Vec<String> = Vec::new();
    for (place, key) in keys.iter().enumerate() {
        let behind: Vec<&str> = after.iter().map(String::as_str).collect();
        let listed = printed(&tier(&[&["inspect", "--limit", "1"], &behind[..]].concat(), &file));
        let shown = match std::str::from_utf8(key) {
            Ok(text) => json!(text),
            Err(_) => json!({ "base64": STANDARD.encode(key) }),
        };
        assert_eq!(listed["keys"][0]["key"], shown);
        let is_last = place + 1 == keys.len();
        assert_eq!(listed["cursor"], if is_last { Value::Null } else { shown.clone() });
        after = match shown["base64"].as_str() {
            Some(base64) => vec!["--after-base64".into(), base64.into()],
            None => vec!["--after".into(), shown.as_str().unwrap().into()],
        };
    }
    let refused = tier(&["inspect", "--after-base64", "%"], &file);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("--after-base64"), "{said}");
}

#[test]
fn check_of_a_server_refuses_a_folder_that_is_missing_as_its_start_does() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("missing").join("cache.db");
    for arguments in [&["serve", "--check"][..], &["migrate", "--check"], &["migrate"]] {
        let output = server::run(&[arguments, &["--database", &url(&file)]].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains("does not exist"), "{said}");
    }
    // Nothing is made of a file that could be.
    let file = dir.path().join("cache.db");
    let output = server::run(&["serve", "--check", "--database", &url(&file)]);
    assert!(output.status.success(), "{output:?}");
    assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none());
}

#[test]
fn who_may_only_read_a_file_looks_into_it_and_exports_it() {
    let (mut server, _origin) = filled();
    server.stop();
    let (folder, file) = (server.dir().to_owned(), server.dir().join("cache.db"));
    let has_mode = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for found in std::fs::read_dir(&folder).unwrap() {
        has_mode(&found.unwrap().path(), 0o444);
    }
    has_mode(&folder, 0o555);
    let address = url(&file);
    let read = |arguments: &[&str]| {
        let arguments = [&["tier"], arguments, &["--database", &address]].concat();
        // Root may write whatever the mode.
        let mut command = match rustix::process::getuid().is_root() {
            true => {
                let mut command = std::process::Command::new("setpriv");
                command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
                command.arg(server::binary());
                command
            }
            false => std::process::Command::new(server::binary()),
        };
        command.args(arguments).current_dir("/").output().unwrap()
    };
    assert_eq!(printed(&read(&["inspect"]))["totals"]["rows"], 4);
    assert_eq!(printed(&read(&["verify"]))["rows"]["valid"], 3);
    let exported = read(&["export"]);
    let said = String::from_utf8_lossy(&exported.stderr);
    assert!(exported.status.success() && said.contains("\"sealed\":true"), "{said}");
    has_mode(&folder, 0o755);
}

#[test]
fn steps_that_several_take_at_once_are_taken_by_all_of_them() {
    // Who comes at which moment differs from round to round.
    for _ in 0..10 {
        let dir = tempfile::tempdir().unwrap();
        let address = url(&dir.path().join("cache.db"));
        let outputs: Vec<Output> = std::thread::scope(|scope| {
            let migrate = || server::run(&["migrate", "--database", &address]);
            let running: Vec<_> = (0..4).map(|_| scope.spawn(migrate)).collect();
            running.into_iter().map(|one| one.join().unwrap()).collect()
        });
        for output in outputs {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
