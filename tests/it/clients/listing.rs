//! Tools that list keys and tell statistics.

use wasmcached_tests::clients;

/// memcached's tool, as Debian's package of memcached has it.
const MEMCACHED_TOOL: &str = "/usr/share/memcached/scripts/memcached-tool";

#[test]
fn memcdump_lists_keys_and_memcstat_tells_statistics() {
    let server = super::server();
    server.memcached().set("listed", "hello");
    let servers = format!("--servers={}", server.address("memcached"));
    let keys = clients::printed("memcdump", &[&servers], server.dir());
    assert_eq!(keys.lines().collect::<Vec<_>>(), ["listed"]);
    let stats = clients::printed("memcstat", &[&servers], server.dir());
    assert!(stats.lines().any(|line| line.trim() == "curr_items: 1"), "{stats}");
}

#[test]
fn memcached_tool_displays_tells_statistics_and_dumps() {
    let server = super::server();
    server.memcached().set("dumped", "hello");
    let address = server.address("memcached");
    let told = |mode| clients::printed(MEMCACHED_TOOL, &[address, mode], server.dir());
    let classes = told("display");
    let counts: Vec<_> = classes.lines().skip(1).map(|l| l.split_whitespace().nth(4)).collect();
    assert!(counts.contains(&Some("1")), "{classes}");
    assert!(told("stats").lines().any(|line| line.split_whitespace().eq(["curr_items", "1"])));
    assert!(told("settings").contains("item_size_max"));
    let dump = told("dump");
    assert_eq!(dump.lines().collect::<Vec<_>>(), ["add dumped 0 0 5", "hello"]);
}
