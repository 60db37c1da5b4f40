//! What operators run: memcached's own tools, and watchers.

use std::process::{Command, Stdio};

use wasmcached_tests::{Memcached, Server, settings};

/// Where Debian's package `memcached` has it.
const MEMCACHED_TOOL: &str = "/usr/share/memcached/scripts/memcached-tool";

/// What a tool prints; panics unless it exits with code 0 and complains about nothing.
#[track_caller]
fn output_of(tool: &str, arguments: &[&str]) -> String {
    let output = Command::new(tool).args(arguments).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| {
        panic!("{tool}: {error}; it is in Debian's `memcached` or `libmemcached-tools`")
    });
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool} {arguments:?}: {}\n{errors}", output.status);
    assert!(!errors.contains("uninitialized"), "{tool} {arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

fn server_with_three_keys() -> Server {
    let server = Server::start(&settings::plain());
    for (key, value) in [("a", "1"), ("b:2", "22"), ("key-3", "333")] {
        assert_eq!(server.memcached().set(key, value), "STORED");
    }
    server
}

#[test]
fn memcdump_and_memcstat_find_what_they_look_for() {
    let server = server_with_three_keys();
    let servers = format!("--servers={}", server.address("memcached"));
    let dumped = output_of("memcdump", &[&servers]);
    let mut keys: Vec<&str> = dumped.lines().collect();
    keys.sort_unstable();
    assert_eq!(keys, ["a", "b:2", "key-3"]);
    let stats = output_of("memcstat", &[&servers]);
    assert!(stats.contains("curr_items: 3\n"), "{stats}");
    assert!(stats.contains("limit_maxbytes: 33554432\n"), "{stats}");
}

#[test]
fn memcached_tool_shows_and_dumps() {
    let server = server_with_three_keys();
    let address = server.address("memcached");
    let dump = output_of(MEMCACHED_TOOL, &[address, "dump"]);
    for line in ["add a 0 0 1\n1\n", "add b:2 0 0 2\n22\n", "add key-3 0 0 3\n333\n"] {
        assert!(dump.replace('\r', "").contains(line), "no `{line}` in {dump}");
    }
    let display = output_of(MEMCACHED_TOOL, &[address, "display"]);
    let row: Vec<&str> = display.lines().nth(1).expect("a class").split_whitespace().collect();
    assert_eq!((row[0], row[3], row[4], row[5]), ("1", "32", "3", "no"), "{display}");
    for (mode, name) in [("stats", "evictions"), ("settings", "item_size_max")] {
        let shown = output_of(MEMCACHED_TOOL, &[address, mode]);
        assert!(shown.contains(&format!(" {name} ")), "{mode}: {shown}");
    }
    let sizes = output_of(MEMCACHED_TOOL, &[address, "sizes"]);
    assert!(sizes.lines().nth(1).is_some_and(|row| row.trim().ends_with('3')), "{sizes}");
}

#[test]
fn watcher_sees_fetchers_mutations_and_evictions() {
    let server = Server::start(&settings::plain().replace("32MiB", "8MiB"));
    let mut watcher = server.memcached();
    assert_eq!(watcher.ask("watch fetchers mutations"), "OK");
    let mut evictions = server.memcached();
    assert_eq!(evictions.ask("watch evictions"), "OK");
    let mut unix = Memcached::unix(&server.dir().join("memcached.sock"));
    assert_eq!(unix.set("page", "x"), "STORED");
    assert_eq!(unix.get("page").unwrap(), b"x");
    for expected in [
        " type=item_store key=page status=stored cmd=set ttl=0 clsid=1 ",
        " type=item_get key=page status=found clsid=1 ",
    ] {
        let line = String::from_utf8(watcher.until(b"\n")).unwrap();
        assert!(line.starts_with("ts=") && line.contains(expected), "{line}");
    }
    let value = "x".repeat(100_000);
    for number in 0..200 {
        assert_eq!(unix.set(&format!("large-{number}"), &value), "STORED");
    }
    let line = String::from_utf8(evictions.until(b"\n")).unwrap();
    assert!(line.contains(" type=eviction key="), "{line}");
}

#[test]
fn watching_and_listing_can_be_forbidden_in_the_configuration() {
    let forbidding =
        settings::plain().replace("[memcached]\n", "[memcached]\nwatch = false\ndump = false\n");
    let server = Server::start(&forbidding);
    let mut connection = server.memcached();
    assert_eq!(connection.ask("watch"), "CLIENT_ERROR watch commands not allowed");
    assert_eq!(connection.ask("lru_crawler metadump all"), "ERROR metadump not allowed");
}
