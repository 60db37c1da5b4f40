//! Leases: of all who find an item missing or stale one recaches it, and what was read before an
//! invalidation is not kept as fresh after it.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Client, Server, settings};
use crate::cache::{Cache, Change, Claim, Draft, ItemError, ItemPolicy};
use crate::model::{Cause, Invalidation, Key, Mode, StoreDecision, Tag, Target};

fn key(name: &str) -> Key {
    Key::new(name.as_bytes()).unwrap()
}

fn tag(name: &str) -> Target {
    Target::Tag(Tag::new(name).unwrap())
}

async fn invalidate(cache: &Cache, target: Target, mode: Mode) {
    let targets = vec![(target, mode)];
    cache.invalidate(Invalidation { targets, cause: Cause::default() }).await.unwrap();
}

/// Asks for an item with `c`, expects the flags around the unique, and returns the unique.
async fn unique(client: &mut Client, line: &str, before: &str, behind: &str) -> String {
    client.send(format!("{line}\r\n").as_bytes()).await;
    let reply = client.reply_until(b"\n").await;
    let reply = String::from_utf8(reply).unwrap();
    let rest = reply.strip_prefix(before).unwrap_or_else(|| panic!("to {line:?}: {reply:?}"));
    let unique = rest.strip_suffix(&format!("{behind}\r\n"));
    unique.unwrap_or_else(|| panic!("to {line:?}: {reply:?}")).to_owned()
}

async fn expect(client: &mut Client, line: &str, reply: &str) {
    client.send(format!("{line}\r\n").as_bytes()).await;
    let got = client.reply_until(reply.as_bytes()).await;
    assert_eq!(String::from_utf8_lossy(&got), reply, "to {line:?}");
}

async fn stats(client: &mut Client, expected: &[&str]) {
    client.send(b"stats\r\n").await;
    let stats = String::from_utf8(client.reply_until(b"END\r\n").await).unwrap();
    for line in expected {
        assert!(stats.contains(&format!("STAT {line}\r\n")), "no {line:?} in {stats}");
    }
}

#[tokio::test]
async fn lease_is_refused_when_a_tag_of_its_value_was_invalidated_since_the_miss() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    // Also where another connection of the same pool stores.
    let mut other = server.connect().await;
    for is_other in [false, true] {
        let cas = unique(&mut client, "mg a N30 c", "HD c", " W").await;
        invalidate(&server.cache, tag("users"), Mode::Hard).await;
        let storing = if is_other { &mut other } else { &mut client };
        storing.ask(&format!("ms a 3 C{cas} Lposts,users\r\nold"), "NS").await;
        client.ask("mg a", "EN").await;
        let cas = unique(&mut client, "mg a N30 c", "HD c", " W").await;
        client.ask(&format!("ms a 3 C{cas} Lposts,users\r\nnew"), "HD").await;
        expect(&mut client, "mg a v", "VA 3\r\nnew\r\n").await;
        invalidate(&server.cache, tag("users"), Mode::Hard).await;
        client.ask("mg a", "EN").await;
    }
    server.stop().await;
}

#[tokio::test]
async fn verb_that_compares_no_unique_is_refused_when_its_key_was_purged_since_the_miss() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    for (key, mode) in [("a", "ME"), ("b", "MA N0"), ("c", "MP N0")] {
        let cas = unique(&mut client, &format!("mg {key} N30 c"), "HD c", " W").await;
        invalidate(&server.cache, Target::Key(self::key(key)), Mode::Hard).await;
        client.ask(&format!("ms {key} 3 {mode} C{cas}\r\nold"), "NS").await;
        client.ask(&format!("mg {key}"), "EN").await;
    }
    server.stop().await;
}

#[tokio::test]
async fn lease_finds_nothing_when_its_key_was_deleted_since_the_miss() {
    let server = Server::start(settings()).await;
    let (mut client, mut other) = (server.connect().await, server.connect().await);
    let cas = unique(&mut client, "mg a N30 c", "HD c", " W").await;
    other.ask("delete a", "DELETED").await;
    client.ask(&format!("ms a 3 C{cas}\r\nold"), "NF").await;
    client.ask("mg a", "EN").await;
    server.stop().await;
}

#[tokio::test]
async fn value_without_a_unique_is_refused_when_it_was_invalidated_since_the_win() {
    let server = Server::start(settings()).await;
    for (name, target, flags) in [
        ("a", tag("users"), "Lusers"),
        ("b", Target::Prefix(key("b")), "T9"),
        ("c", Target::Key(key("c")), "T9"),
        ("d", Target::Everything, "T9"),
    ] {
        for (look, reply) in [(format!("mg {name} N30"), "HD W"), (format!("mg {name}"), "EN")] {
            let mut client = server.connect().await;
            client.ask(&look, reply).await;
            invalidate(&server.cache, target.clone(), Mode::Hard).await;
            client.ask(&format!("ms {name} 3 {flags}\r\nold"), "NS").await;
            client.ask(&format!("mg {name}"), "EN").await;
        }
        let mut client = server.connect().await;
        client.ask(&format!("ms {name} 3 T100\r\nabc"), "HD").await;
        client.ask(&format!("mg {name} R200"), "HD W").await;
        invalidate(&server.cache, target, Mode::Hard).await;
        client.ask(&format!("ms {name} 3 {flags}\r\nold"), "NS").await;
        client.ask(&format!("mg {name}"), "EN").await;
    }
    server.stop().await;
}

#[tokio::test]
async fn soft_purge_makes_one_client_recache_and_shows_the_stale_value_to_the_others() {
    let server = Server::start(settings()).await;
    for target in [tag("users"), Target::Prefix(key("a")), Target::Key(key("a"))] {
        let (mut first, mut other) = (server.connect().await, server.connect().await);
        first.ask("ms a 3 Lusers T100 F7\r\nold", "HD").await;
        invalidate(&server.cache, target, Mode::Soft).await;
        expect(&mut other, "get a", "END\r\n").await;
        expect(&mut first, "mg a v t f", "VA 3 t100 f7 X W\r\nold\r\n").await;
        expect(&mut other, "mg a v t f", "VA 3 t100 f7 Z X\r\nold\r\n").await;
        let cas = unique(&mut first, "mg a c", "HD c", " Z X").await;
        // A pool stores on whatever connection is free.
        other.ask(&format!("ms a 3 C{cas} Lusers\r\nnew"), "HD").await;
        expect(&mut first, "mg a v", "VA 3\r\nnew\r\n").await;
        expect(&mut first, "get a", "VALUE a 0 3\r\nnew\r\nEND\r\n").await;
        invalidate(&server.cache, tag("users"), Mode::Hard).await;
        first.ask("mg a", "EN").await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_hundred_clients_exactly_one_wins_after_a_soft_purge() {
    let server = Server::start(super::Settings { connections_max: 200, ..settings() }).await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(server.connect().await);
    }
    for (target, flags) in [(tag("users"), ""), (Target::Key(key("a")), ""), (tag("users"), "T9")] {
        clients[0].ask("ms a 1 Lusers\r\nx", "HD").await;
        invalidate(&server.cache, target, Mode::Soft).await;
        let asked = clients.iter_mut().map(|client| async {
            client.send(format!("mg a {flags}\r\n").as_bytes()).await;
            client.reply_until(b"\n").await
        });
        let replies = futures_util::future::join_all(asked).await;
        let won = replies.iter().filter(|reply| *reply == b"HD X W\r\n").count();
        let waiting = replies.iter().filter(|reply| *reply == b"HD Z X\r\n").count();
        assert_eq!((won, waiting), (1, 99));
        server.cache.update(&key("a"), |_| (Change::Remove, ())).await.unwrap();
    }
    server.stop().await;
}

/// A win of one caller must not vouch for what another has read before.
#[tokio::test]
async fn value_read_before_a_soft_purge_is_not_stored_by_its_unique_after_anothers_win() {
    let server = Server::start(settings()).await;
    let mut shared = server.connect().await;
    shared.ask("ms a 1 Lusers\r\nx", "HD").await;
    let before = unique(&mut shared, "mg a c", "HD c", "").await;
    invalidate(&server.cache, tag("users"), Mode::Soft).await;
    let won = unique(&mut shared, "mg a c", "HD c", " X W").await;
    shared.ask(&format!("ms a 3 C{before} Lusers\r\nold"), "EX").await;
    shared.ask(&format!("ms a 3 C{won} Lusers\r\nnew"), "HD").await;
    expect(&mut shared, "mg a v", "VA 3\r\nnew\r\n").await;
    server.stop().await;
}

#[tokio::test]
async fn value_of_a_lease_that_was_softly_purged_itself_is_stale_and_won_anew() {
    let server = Server::start(settings()).await;
    let (mut client, mut other) = (server.connect().await, server.connect().await);
    client.ask("ms a 1 Lusers\r\nx", "HD").await;
    invalidate(&server.cache, tag("users"), Mode::Soft).await;
    let first = unique(&mut client, "mg a c", "HD c", " X W").await;
    invalidate(&server.cache, tag("users"), Mode::Soft).await;
    client.ask(&format!("ms a 1 C{first} Lusers\r\ny"), "HD").await;
    expect(&mut other, "get a", "END\r\n").await;
    let second = unique(&mut other, "mg a c", "HD c", " X W").await;
    invalidate(&server.cache, tag("users"), Mode::Soft).await;
    // Who looks after the third purge wins, and the second's winner comes too late.
    expect(&mut client, "mg a v", "VA 1 X W\r\ny\r\n").await;
    other.ask(&format!("ms a 1 C{second} Lusers\r\nz"), "EX").await;
    expect(&mut other, "mg a v", "VA 1 Z X\r\ny\r\n").await;
    server.stop().await;
}

#[tokio::test]
async fn refused_value_leaves_a_stale_item_to_the_next_winner() {
    let server = Server::start(settings()).await;
    let (mut client, mut other) = (server.connect().await, server.connect().await);
    client.ask("ms a 1\r\nx", "HD").await;
    client.ask("md a I", "HD").await;
    client.ask("mg a", "HD X W").await;
    other.ask("md a I", "HD").await;
    other.ask("mg a", "HD X W").await;
    client.ask("ms a 3\r\nold", "NS").await;
    expect(&mut client, "mg a v", "VA 1 X W\r\nx\r\n").await;
    client.ask("ms a 3\r\nnew", "HD").await;
    expect(&mut other, "mg a v", "VA 3\r\nnew\r\n").await;
    server.stop().await;
}

#[tokio::test]
async fn marking_as_stale_or_emptying_refuses_what_was_read_before() {
    let server = Server::start(settings()).await;
    let (mut client, mut other) = (server.connect().await, server.connect().await);
    for mark in ["I", "x", "I x T30", "I E7"] {
        client.ask("mg a", "EN").await;
        other.ask("ms a 1\r\nx", "HD").await;
        let before = unique(&mut other, "mg a c", "HD c", "").await;
        other.ask(&format!("md a {mark}"), "HD").await;
        other.ask(&format!("ms a 3 C{before}\r\nold"), "EX").await;
        client.ask("ms a 3\r\nold", "NS").await;
        client.ask("md a", if mark == "x" { "NF" } else { "HD" }).await;
        // Also where nothing is there to be marked.
        client.ask("mg a", "EN").await;
        other.ask(&format!("md a {mark}"), "NF").await;
        client.ask("ms a 3\r\nold", "NS").await;
    }
    server.stop().await;
}

#[tokio::test]
async fn what_changes_a_stale_item_in_part_leaves_it_stale() {
    let server = Server::start(settings()).await;
    for (line, reply) in
        [("ma a", "HD"), ("ms a 1 MA\r\n2", "HD"), ("mg a T100 u", "HD X W"), ("ma a MD T9", "HD")]
    {
        let mut client = server.connect().await;
        client.ask("ms a 1 Lusers\r\n1", "HD").await;
        invalidate(&server.cache, tag("users"), Mode::Soft).await;
        client.ask(line, reply).await;
        expect(&mut client, "get a", "END\r\n").await;
        invalidate(&server.cache, tag("users"), Mode::Hard).await;
        client.ask("mg a", "EN").await;
    }
    server.stop().await;
}

struct Tagging;

impl ItemPolicy for Tagging {
    fn concerns(&self, key: &[u8]) -> bool {
        key.starts_with(b"user:")
    }

    fn on_item<'a>(
        &'a self,
        _: &'a Key,
        _: u32,
        _: u32,
        _: Claim,
    ) -> BoxFuture<'a, Result<StoreDecision, ItemError>> {
        let decision = StoreDecision {
            store: true,
            ttl_s: Some(50),
            tags: vec![Tag::new("users").unwrap()],
            ..StoreDecision::default()
        };
        Box::pin(std::future::ready(Ok(decision)))
    }
}

#[tokio::test]
async fn tags_of_a_plugin_are_added_to_the_clients() {
    let settings = super::Settings { items: Some(Arc::new(Tagging)), ..settings() };
    let server = Server::start(settings).await;
    let mut client = server.connect().await;
    for (line, name) in [
        ("ms user:1 1 Lposts T9\r\nx", "users"),
        ("ms user:1 1 Lposts,users\r\nx", "posts"),
        ("ms user:1 1 MA N9 Lposts\r\nx", "users"),
        ("ma user:1 N9", "users"),
    ] {
        client.ask(line, "HD").await;
        client.ask("mg user:1 t", "HD t50").await;
        invalidate(&server.cache, tag(name), Mode::Hard).await;
        client.ask("mg user:1", "EN").await;
    }
    // What fills a lease is asked about, too.
    let cas = unique(&mut client, "mg user:2 N30 c", "HD c", " W").await;
    invalidate(&server.cache, tag("users"), Mode::Hard).await;
    client.ask(&format!("ms user:2 1 C{cas}\r\nx"), "NS").await;
    server.stop().await;
}

#[tokio::test]
async fn key_that_no_line_can_hold_is_found_and_shown_in_base64() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    let draft = Draft::new("5".into());
    server.cache.update(&key("a b"), |_| (Change::Put(draft), ())).await.unwrap();
    expect(&mut client, "mg YSBi b k v", "VA 1 kYSBi b\r\n5\r\n").await;
    expect(&mut client, "ma YSBi b v k O7", "VA 1 kYSBi b O7\r\n6\r\n").await;
    server.stop().await;
}

#[tokio::test]
async fn meta_commands_are_counted_as_memcached_counts_them() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    for (line, reply) in [
        ("ms a 1\r\n1", "HD"),
        ("mg a", "HD"),
        ("mg b", "EN"),
        ("mg a T10", "HD"),
        ("mg b T10", "EN"),
        ("ma a", "HD"),
        ("ma zz", "NF"),
        ("ma a MD", "HD"),
        ("md a C1", "EX"),
        ("md a I", "HD"),
        ("md a", "HD"),
        ("md a", "NF"),
        ("me a", "EN"),
        ("mn", "MN"),
        ("mg c N10", "HD W"),
        ("ma d N10", "HD"),
        ("ms a 1 C1\r\n1", "NF"),
        ("ms c 1 C1\r\n1", "EX"),
        ("ms c 1 ME\r\n1", "NS"),
        ("ms c 1 MA\r\n1", "HD"),
    ] {
        client.ask(line, reply).await;
    }
    let expected = [
        "cmd_get 4",
        "cmd_set 5",
        "cmd_touch 1",
        "cmd_meta 1",
        "get_hits 2",
        "get_misses 2",
        "delete_misses 2",
        "delete_hits 1",
        "incr_misses 1",
        "incr_hits 1",
        "decr_misses 0",
        "decr_hits 1",
        "cas_misses 1",
        "cas_hits 0",
        "cas_badval 1",
        "touch_hits 1",
        "touch_misses 0",
    ];
    stats(&mut client, &expected).await;
    server.stop().await;
}
