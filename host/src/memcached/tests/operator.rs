//! What operators ask: watchers, dumps, statistics, and the memory limit.

use std::time::Duration;

use super::{Client, PATIENCE, Server, cache, settings, text};
use crate::cache::WhenFull;
use crate::config::Permission;

const MIB: u64 = 1024 * 1024;

/// A connection that watches, after its `OK`.
async fn watcher(server: &Server, topics: &str) -> Client {
    let mut client = server.connect().await;
    client.ask(&format!("watch {topics}"), "OK").await;
    client
}

/// The lines that came, each behind `gid=N `, when the last of them ends so.
async fn lines_until(client: &mut Client, end: &str) -> Vec<String> {
    let lines = client.reply_until(format!("{end}\n").as_bytes()).await;
    let lines = String::from_utf8(lines).unwrap();
    lines.lines().map(|line| line.splitn(3, ' ').nth(2).unwrap().to_owned()).collect()
}

async fn stat(client: &mut Client, topic: &str, name: &str) -> Option<String> {
    client.send(format!("stats {topic}\r\n").as_bytes()).await;
    let reply = String::from_utf8(client.reply_until(b"END\r\n").await).unwrap();
    let prefix = format!("STAT {name} ");
    reply.lines().find_map(|line| line.strip_prefix(&prefix).map(str::to_owned))
}

#[tokio::test]
async fn watcher_sees_what_other_clients_do_and_only_what_it_asked_for() {
    let server = Server::start(settings()).await;
    let mut reads = watcher(&server, "").await;
    let mut writes = watcher(&server, "mutations deletions").await;
    let mut client = server.connect().await;
    client.ask("set a%b 0 100 2\r\nxy", "STORED").await;
    client.ask("add a%b 0 0 1\r\nx", "NOT_STORED").await;
    client.ask("cas a%b 0 0 1 999\r\nx", "EXISTS").await;
    client.send(b"get a%b b\r\ngat 100 a%b\r\n").await;
    client.reply_until(b"END\r\nVALUE a%b 0 2\r\nxy\r\nEND\r\n").await;
    client.ask("delete a%b", "DELETED").await;
    client.ask("delete a%b", "NOT_FOUND").await;
    client.ask("touch last 1", "NOT_FOUND").await;
    client.ask("get last", "END").await;
    // The listener and the watchers have the first numbers.
    let cfd = 3;
    assert_eq!(
        lines_until(&mut reads, &format!("key=last status=not_found clsid=0 cfd={cfd} size=0"))
            .await,
        [
            format!("type=item_get key=a%25b status=found clsid=1 cfd={cfd} size=2"),
            format!("type=item_get key=b status=not_found clsid=0 cfd={cfd} size=0"),
            format!("type=item_get key=a%25b status=found clsid=1 cfd={cfd} size=2"),
            format!("type=item_get key=last status=not_found clsid=0 cfd={cfd} size=0"),
        ]
    );
    assert_eq!(
        lines_until(&mut writes, "cmd=delete clsid=1 size=2").await,
        [
            format!(
                "type=item_store key=a%25b status=stored cmd=set ttl=100 clsid=1 cfd={cfd} size=2"
            ),
            format!(
                "type=item_store key=a%25b status=not_stored cmd=add ttl=0 clsid=1 cfd={cfd} size=1"
            ),
            format!(
                "type=item_store key=a%25b status=exists cmd=cas ttl=0 clsid=1 cfd={cfd} size=1"
            ),
            "type=deleted key=a%25b cmd=delete clsid=1 size=2".to_owned(),
        ]
    );
    server.stop().await;
}

#[tokio::test]
async fn watcher_sees_evictions_and_connections() {
    let server = Server::over(cache(WhenFull::Evict, MIB), settings()).await;
    let mut evictions = watcher(&server, "evictions").await;
    let mut connections = watcher(&server, "connevents").await;
    let mut client = server.connect().await;
    let sets: String = (0..10_000).map(|n| format!("set key{n} 0 60 1 noreply\r\nx\r\n")).collect();
    client.send(sets.as_bytes()).await;
    client.ask("get last", "END").await;
    assert!(server.cache.evictions() > 0);
    let seen = lines_until(&mut evictions, "fetch=no ttl=60 la=0 clsid=1 size=1").await;
    assert!(seen[0].starts_with("type=eviction key=key"), "{seen:?}");
    let address = client.stream.local_addr().unwrap();
    let (ip, port) = (address.ip(), address.port());
    client.send(b"quit\r\n").await;
    assert!(client.is_closed().await);
    assert_eq!(
        lines_until(&mut connections, "reason=normal cfd=3").await,
        [
            format!("type=conn_new rip={ip} rport={port} transport=tcp cfd=3"),
            format!("type=conn_close rip={ip} rport={port} transport=tcp reason=normal cfd=3"),
        ]
    );
    server.stop().await;
}

#[tokio::test]
async fn watcher_that_goes_is_forgotten_and_what_it_sends_is_ignored() {
    let server = Server::start(settings()).await;
    let mut gone = watcher(&server, "fetchers").await;
    gone.send(b"set a 0 0 1\r\nx\r\n").await;
    let mut client = server.connect().await;
    assert_eq!(stat(&mut client, "", "log_watchers").await.as_deref(), Some("1"));
    drop(gone);
    let forgotten =
        async { while stat(&mut client, "", "log_watchers").await.as_deref() != Some("0") {} };
    assert!(tokio::time::timeout(PATIENCE, forgotten).await.is_ok());
    client.ask("get a", "END").await;
    server.stop().await;
}

#[tokio::test]
async fn watching_and_listing_are_refused_where_they_are_forbidden() {
    let mut forbidding = settings();
    forbidding.watch = Permission::Forbidden;
    forbidding.dumps = Permission::Forbidden;
    let server = Server::start(forbidding).await;
    let mut client = server.connect().await;
    for (line, refusal) in [
        ("watch", "CLIENT_ERROR watch commands not allowed"),
        ("lru_crawler metadump all", "ERROR metadump not allowed"),
        ("lru_crawler mgdump all", "ERROR key dump not allowed"),
        ("stats cachedump 1 1", "CLIENT_ERROR stats cachedump not allowed"),
        ("stats detail dump", "CLIENT_ERROR stats detail not allowed"),
    ] {
        client.ask(line, refusal).await;
    }
    assert_eq!(stat(&mut client, "settings", "dump_enabled").await.as_deref(), Some("no"));
    server.stop().await;
}

#[tokio::test]
async fn dump_lists_every_key_once_however_slowly_it_is_taken() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    let count = 20_000;
    let sets: String =
        (0..count).map(|n| format!("set key{n:05} 0 0 1 noreply\r\nx\r\n")).collect();
    client.send(sets.as_bytes()).await;
    client.ask("get last", "END").await;
    for (dump, prefix, end) in [
        ("lru_crawler metadump all", "key=", "END\r\n"),
        ("lru_crawler mgdump all", "mg ", "EN\r\n"),
        ("stats cachedump 1 0", "ITEM ", "END\r\n"),
    ] {
        client.send(format!("{dump}\r\n").as_bytes()).await;
        let reply = String::from_utf8(client.reply_until(end.as_bytes()).await).unwrap();
        let lines = reply.lines().filter_map(|line| line.strip_prefix(prefix));
        let mut keys: Vec<&str> = lines.map(|line| &line[.."key00000".len()]).collect();
        keys.sort_unstable();
        assert_eq!(keys.len(), count, "{dump}");
        keys.dedup();
        assert_eq!(keys.len(), count, "{dump}: a key twice");
    }
    client.send(b"stats cachedump 1 7\r\n").await;
    let reply = client.reply_until(b"END\r\n").await;
    assert_eq!(text(&reply).matches("ITEM ").count(), 7);
    server.stop().await;
}

#[tokio::test]
async fn connections_are_shown_while_they_are_open() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    let mut other = server.connect().await;
    other.ask("get a", "END").await;
    server.cache.clock().advance(Duration::from_secs(7));
    let address = other.stream.local_addr().unwrap();
    let row = |name: &str| format!("2:{name}");
    assert_eq!(stat(&mut client, "conns", &row("addr")).await, Some(format!("tcp:{address}")));
    let listener = Some(format!("tcp:{}", server.address));
    assert_eq!(stat(&mut client, "conns", &row("listen_addr")).await, listener);
    assert_eq!(stat(&mut client, "conns", "0:addr").await, listener);
    assert_eq!(stat(&mut client, "conns", &row("state")).await.as_deref(), Some("conn_read"));
    assert_eq!(stat(&mut client, "conns", &row("secs_since_last_cmd")).await.as_deref(), Some("7"));
    other.send(b"set a 0 0 5\r\nx").await;
    let waiting = async {
        while stat(&mut client, "conns", &row("state")).await.as_deref() != Some("conn_nread") {}
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok());
    server.stop().await;
}

#[tokio::test]
async fn smaller_memory_limit_evicts_before_it_is_acknowledged() {
    let server = Server::over(cache(WhenFull::Evict, 32 * MIB), settings()).await;
    let mut client = server.connect().await;
    let value = "x".repeat(1000 * 1024);
    for number in 0..20 {
        client.ask(&format!("set key{number} 0 0 {}\r\n{value}", value.len()), "STORED").await;
    }
    assert!(server.cache.bytes() > 8 * MIB);
    client.ask("cache_memlimit 8", "OK").await;
    assert!(server.cache.bytes() <= 8 * MIB);
    assert_eq!(stat(&mut client, "", "limit_maxbytes").await, Some((8 * MIB).to_string()));
    assert_eq!(stat(&mut client, "settings", "maxbytes").await, Some((8 * MIB).to_string()));
    server.stop().await;
}

#[tokio::test]
async fn reads_of_what_is_expired_or_flushed_are_told_apart() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    client.ask("set expires 0 10 1\r\nx", "STORED").await;
    client.ask("set stays 0 0 1\r\nx", "STORED").await;
    server.cache.clock().advance(Duration::from_secs(20));
    client.ask("get expires", "END").await;
    client.ask("flush_all", "OK").await;
    client.ask("get stays", "END").await;
    client.ask("get never", "END").await;
    for (name, count) in
        [("get_expired", "1"), ("get_flushed", "1"), ("expired_unfetched", "1"), ("reclaimed", "1")]
    {
        assert_eq!(stat(&mut client, "", name).await.as_deref(), Some(count), "{name}");
    }
    client.ask("stats reset", "RESET").await;
    assert_eq!(stat(&mut client, "", "get_expired").await.as_deref(), Some("0"));
    server.stop().await;
}

#[tokio::test]
async fn settings_are_the_operators() {
    let mut chosen = settings();
    chosen.idle_timeout = Some(Duration::from_secs(90));
    let server = Server::start(chosen).await;
    let mut client = server.connect().await;
    let port = server.address.port().to_string();
    for (name, value) in [
        ("maxbytes", "67108864"),
        ("maxconns", "64"),
        ("tcpport", port.as_str()),
        ("inter", "127.0.0.1"),
        ("domain_socket", "NULL"),
        ("evictions", "on"),
        ("cas_enabled", "yes"),
        ("item_size_max", "1048576"),
        ("client_flags_size", "4"),
        ("flush_enabled", "yes"),
        ("dump_enabled", "yes"),
        ("shutdown_command", "no"),
        ("idle_timeout", "90"),
        ("stat_key_prefix", ":"),
        ("detail_enabled", "no"),
    ] {
        assert_eq!(stat(&mut client, "settings", name).await.as_deref(), Some(value), "{name}");
    }
    server.stop().await;
}
