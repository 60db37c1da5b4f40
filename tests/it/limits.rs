//! Limits of the memcached listeners: connections, silence, replies nobody takes, memory.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::process::Command;

use parking_lot::Mutex;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use wasmcached_tests::server::binary;
use wasmcached_tests::tls::Authority;
use wasmcached_tests::{Memcached, Server, http};

/// Connections of the tests that run at the same time, and what else this process has open.
const OTHER_FILES: u64 = 2_500;

/// What an idle connection may cost the server.
const IDLE_BYTES_MAX: u64 = 8 * 1024;

/// Held by tests that keep all processors busy: one at a time, so that others meet their deadlines.
static HEAVY: Mutex<()> = Mutex::new(());

/// Three sorts of listeners with these settings; the certificate is `authority`'s.
fn three_listeners(authority: &Authority, settings: &str) -> (Server, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = (dir.path().join("cert"), dir.path().join("key"));
    authority.issue().write(&cert, &key);
    let text = format!(
        "[memcached]\nlisten = [\"127.0.0.1:0\", \"notls:127.0.0.1:0\"]\n\
         unix = \"{{dir}}/memcached.sock\"\ntls = {{ cert = \"{}\", key = \"{}\" }}\n{settings}\n\
         [api]\nlisten = \"127.0.0.1:0\"\n",
        cert.display(),
        key.display()
    );
    (Server::start(&text), dir)
}

/// A client of each.
fn three_clients(authority: &Authority, server: &Server) -> [Memcached; 3] {
    [
        server.memcached(),
        Memcached::unix(&server.dir().join("memcached.sock")),
        Memcached::tls(authority.connect(server.address("memcached (tls)"), None)),
    ]
}

fn only_tcp(settings: &str) -> String {
    format!("[memcached]\nlisten = \"127.0.0.1:0\"\n{settings}\n[api]\nlisten = \"127.0.0.1:0\"\n")
}

#[test]
fn connection_over_the_limit_is_told_so_on_every_listener_and_counted() {
    let authority = Authority::default();
    let (server, _dir) = three_listeners(&authority, "max_connections = 1");
    let mut first = server.memcached();
    assert!(first.ask("version").starts_with("VERSION"));
    for mut client in three_clients(&authority, &server) {
        assert_eq!(client.rest(), b"ERROR Too many open connections\r\n");
    }
    first.send(b"stats\r\nquit\r\n");
    let stats = String::from_utf8(first.rest()).unwrap();
    assert!(stats.contains("STAT rejected_connections 3\r\n"), "{stats}");
}

#[test]
fn silent_connection_is_closed_on_every_listener() {
    let authority = Authority::default();
    let (server, _dir) = three_listeners(&authority, "idle_timeout = \"3s\"");
    for mut client in three_clients(&authority, &server) {
        assert_eq!(client.rest(), b"");
    }
    let metrics = http::get(&server.api("/metrics")).text();
    assert!(metrics.contains("wasmcached_memcached_idle_kicks_total 3\n"), "{metrics}");
    let mut busy = server.memcached();
    assert!(busy.ask("version").starts_with("VERSION"));
    assert_eq!(busy.rest(), b"");
}

/// `serve --check` and a start under a limit of open files for the process.
fn under_limit(limit: &str, arguments: &str) -> std::process::Output {
    let script = format!("ulimit {limit}; exec \"$0\" serve {arguments}");
    Command::new("sh").arg("-c").arg(script).arg(binary()).output().unwrap()
}

#[test]
fn hard_limit_of_open_files_below_the_connections_is_a_mistake() {
    let output = under_limit("-n 1500", "--check --max-connections=1000");
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("memcached.max_connections: `1000` needs 2280 open files"), "{said}");
    assert!(said.contains("the hard limit is 1500"), "{said}");
    assert!(under_limit("-n 2280", "--check --max-connections=1000").status.success());
}

#[test]
fn soft_limit_of_open_files_is_raised_to_what_the_connections_need() {
    let script = "ulimit -Sn 256; exec \"$0\" \"$@\"";
    let server = Server::start_by(&["sh", "-c", script], &only_tcp("max_connections = 1000"));
    let limits = server.limits();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(line.split_whitespace().nth(3), Some("2280"), "{line}");
}

/// Sends `gets` of a value that is copied into every reply until no more is taken.
fn flood(address: &str, request: &[u8]) -> TcpStream {
    /// The server would have to hold some gigabytes of replies to take this much.
    const REQUESTS_BYTES_MAX: usize = 32 << 20;
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_write_timeout(Some(std::time::Duration::from_secs(1))).unwrap();
    let requests = request.repeat(4096);
    let mut sent = 0;
    while sent < REQUESTS_BYTES_MAX {
        match socket.write(&requests) {
            Ok(bytes) => sent += bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return socket,
            Err(error) => panic!("{error} after {sent} bytes"),
        }
    }
    panic!("the server took {sent} bytes of requests whose replies nobody reads")
}

#[test]
fn client_that_never_reads_makes_the_server_hold_a_fixed_number_of_bytes() {
    let _alone = HEAVY.lock();
    const CLIENTS: u64 = 8;
    const HELD_BYTES_MAX: u64 = 1 << 20;
    let server = Server::start(&only_tcp(""));
    let mut other = server.memcached();
    assert_eq!(other.set("k", &"x".repeat(1_000)), "STORED");
    let before = server.resident_bytes();
    let address = server.address("memcached");
    let flooding: Vec<_> = (0..CLIENTS).map(|_| flood(address, b"get k\r\n")).collect();
    let held = server.resident_bytes().saturating_sub(before);
    assert!(held <= CLIENTS * HELD_BYTES_MAX, "{} bytes per client", held / CLIENTS);
    assert_eq!(other.get("k").unwrap().len(), 1_000, "others are served");
    drop(flooding);
}

/// Raises this process's own limit, and says how many of `wanted` connections it allows.
fn connections_that_fit(wanted: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.maximum;
    setrlimit(Resource::Nofile, Rlimit { current, ..limit }).unwrap();
    wanted.min(current.unwrap_or(u64::MAX).saturating_sub(OTHER_FILES))
}

#[test]
fn ten_thousand_idle_connections_cost_little_memory() {
    let _alone = HEAVY.lock();
    let count = connections_that_fit(10_000);
    assert!(count >= 1_000, "the limit of open files allows {count} connections only");
    let mut server = Server::start(&only_tcp(&format!("max_connections = {}", count + 10)));
    drop(worked(&server, 20));
    let before = server.resident_bytes();
    let mut clients = worked(&server, count);
    let cost = server.resident_bytes().saturating_sub(before) / count;
    assert!(cost <= IDLE_BYTES_MAX, "{cost} bytes per connection");
    assert_eq!(clients[0].get("k0").unwrap(), b"value");
    server.stop();
}

/// So many connections that have had their first command answered.
fn worked(server: &Server, count: u64) -> Vec<Memcached> {
    let clients = (0..count).map(|n| {
        let mut client = server.memcached();
        client.send(format!("set k{} 0 0 5\r\nvalue\r\n", n % 100).as_bytes());
        client
    });
    // Above a database the answers wait for commits: many for the same one.
    let mut clients: Vec<Memcached> = clients.collect();
    for client in &mut clients {
        assert_eq!(client.line().as_deref(), Some(&b"STORED"[..]));
    }
    clients
}

#[test]
fn two_thousand_clients_at_work_leave_memory_steady() {
    let _alone = HEAVY.lock();
    const CLIENTS: u64 = 2_000;
    let count = connections_that_fit(CLIENTS);
    let server = Server::start(&only_tcp(&format!("max_connections = {CLIENTS}")));
    let mut clients: Vec<_> = (0..count).map(|_| server.memcached()).collect();
    let value = "v".repeat(700);
    let mut round = || {
        for (n, client) in clients.iter_mut().enumerate() {
            let set = format!("set key{n} 0 0 700\r\n{value}\r\nget key{n} absent{n}\r\n");
            client.send(set.as_bytes());
        }
        for (n, client) in clients.iter_mut().enumerate() {
            let expected = format!("STORED\r\nVALUE key{n} 0 700\r\n{value}\r\nEND\r\n");
            assert_eq!(client.bytes(expected.len()), expected.as_bytes());
        }
        server.resident_bytes()
    };
    let rounds: Vec<u64> = (0..12).map(|_| round()).collect();
    // In the first rounds heaps take their sizes, longest above a database.
    let (fourth, last) = (rounds[3], rounds[11]);
    assert!(last.abs_diff(fourth) * 10 <= fourth, "resident bytes by round: {rounds:?}");
}

#[test]
fn invalidations_are_remembered_without_all_that_they_named() {
    let _alone = HEAVY.lock();
    const TAGS: usize = 10_000;
    let server = Server::start(&only_tcp(""));
    let filler = "x".repeat(150);
    let tags: Vec<String> = (0..TAGS).map(|n| format!("{filler}{n}")).collect();
    let body = serde_json::json!({ "tags": tags });
    let invalidate = || {
        assert_eq!(http::post_json(&server.api("/v1/invalidate"), &body).status, 200);
    };
    (0..5).for_each(|_| invalidate());
    let before = server.resident_bytes();
    (0..30).for_each(|_| invalidate());
    let grown = server.resident_bytes().saturating_sub(before);
    let named = (30 * TAGS * filler.len()) as u64;
    assert!(grown < named / 3, "{grown} bytes more after invalidations that named {named}");
}

#[test]
fn removed_keys_are_remembered_whatever_their_length() {
    let _alone = HEAVY.lock();
    const KEYS: usize = 200;
    let server = Server::start(&only_tcp(""));
    let filler = "x".repeat(7_900);
    let invalidate = |round: usize| {
        let keys: Vec<String> = (0..KEYS).map(|n| format!("{round}-{n}-{filler}")).collect();
        let body = serde_json::json!({ "keys": keys });
        assert_eq!(http::post_json(&server.api("/v1/invalidate"), &body).status, 200);
    };
    (0..5).for_each(invalidate);
    let before = server.resident_bytes();
    (5..30).for_each(invalidate);
    let grown = server.resident_bytes().saturating_sub(before);
    let named = (25 * KEYS * filler.len()) as u64;
    assert!(grown < named / 3, "{grown} bytes more after invalidations that named {named}");
    let metrics = http::get(&server.api("/metrics")).text();
    let rows = metrics.lines().find_map(|line| line.strip_prefix("wasmcached_fence_key_rows "));
    let rows = rows.and_then(|rows| rows.parse().ok()).unwrap_or(0);
    assert!((KEYS..=30 * KEYS).contains(&rows), "{rows} rows");
}
