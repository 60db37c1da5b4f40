//! Memory of what was invalidated comes back without anybody asking for it.

use wasmcached_tests::wait::eventually;
use wasmcached_tests::{Memcached, Server, http, settings};

/// Entries of the tag, and of another one.
const ENTRIES: usize = 100_000;
const OTHERS: usize = 100;

/// Commands that are sent at once, spread over connections: above a database each of them waits for
/// the commit of what it has stored, and what several wait for is one commit.
const BATCH: usize = 2_000;
const CONNECTIONS: usize = 250;

fn store(server: &Server, name: &str, count: usize, tag: &str) {
    let mut connections: Vec<Memcached> = (0..CONNECTIONS).map(|_| server.memcached()).collect();
    for first in (0..count).step_by(BATCH) {
        let end = count.min(first + BATCH);
        let of = |connection: usize| (first + connection..end).step_by(CONNECTIONS);
        for (number, memcached) in connections.iter_mut().enumerate() {
            let store = |n| format!("ms {name}-{n} 100 L{tag}\r\n{n:100}\r\n");
            memcached.send(of(number).map(store).collect::<String>().as_bytes());
        }
        for (number, memcached) in connections.iter_mut().enumerate() {
            for n in of(number) {
                assert_eq!(memcached.line().as_deref(), Some(&b"HD"[..]), "{name}-{n}");
            }
        }
    }
}

/// Keys, bytes, and bytes that wait to be given back.
fn memory(server: &Server) -> [u64; 3] {
    let stats = http::get(&server.api("/v1/stats")).json();
    ["keys", "bytes", "bytes_invalid"].map(|name| stats["memory"][name].as_u64().unwrap())
}

#[test]
fn all_bytes_of_an_invalidated_tag_come_back_though_nobody_reads_its_entries() {
    let server = Server::start(&settings::plain().replace("32MiB", "128MiB"));
    store(&server, "other", OTHERS, "stays");
    let [_, bytes_before, _] = memory(&server);
    store(&server, "k", ENTRIES, "goes");
    let [keys, bytes, waiting] = memory(&server);
    assert_eq!((keys, waiting), ((ENTRIES + OTHERS) as u64, 0));
    assert!(bytes > bytes_before + 100 * ENTRIES as u64, "{bytes} bytes");
    let goes = serde_json::json!({"tags": ["goes"]});
    let answer = http::post_json(&server.api("/v1/invalidate"), &goes).json();
    assert_eq!(answer["affected"], ENTRIES);
    let expected = [OTHERS as u64, bytes_before, 0];
    eventually("all bytes are given back", || memory(&server) == expected);
    let mut memcached = server.memcached();
    assert_eq!(memcached.ask("mg other-0 t"), "HD t-1");
    assert_eq!(memcached.ask("mg k-0 t"), "EN");
}

#[test]
fn a_prefix_of_many_keys_is_estimated_at_once_and_its_bytes_come_back_too() {
    let server = Server::start(&settings::plain().replace("32MiB", "128MiB"));
    store(&server, "other", OTHERS, "stays");
    let [_, bytes_before, _] = memory(&server);
    store(&server, "k", ENTRIES, "stays");
    let goes = serde_json::json!({"prefixes": ["k-"]});
    let answer = http::post_json(&server.api("/v1/invalidate"), &goes).json();
    let affected = answer["affected"].as_u64().unwrap();
    assert!(affected.abs_diff(ENTRIES as u64) < ENTRIES as u64 / 50, "{answer}");
    assert_eq!(answer["estimated"], true, "{answer}");
    let expected = [OTHERS as u64, bytes_before, 0];
    eventually("all bytes are given back", || memory(&server) == expected);
    // Few are counted one by one.
    let goes = serde_json::json!({"prefixes": ["other-"]});
    let answer = http::post_json(&server.api("/v1/invalidate"), &goes).json();
    assert_eq!((&answer["affected"], answer.get("estimated")), (&OTHERS.into(), None));
}
