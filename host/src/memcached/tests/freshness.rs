//! Stores after misses: what was read before an invalidation is not kept after it.

use std::time::Duration;

use super::{Client, PATIENCE, Server, settings, text};
use crate::cache::{Cache, Change, Draft};
use crate::limits::{FILL_MS_MAX, MEMCACHED_MISSES_MAX};
use crate::model::{Cause, Invalidation, Key, Mode, Tag, Target};

async fn invalidate(cache: &Cache, target: Target) {
    let targets = vec![(target, Mode::Hard)];
    cache.invalidate(Invalidation { targets, cause: Cause::default() }).await.unwrap();
}

fn key(name: &str) -> Key {
    Key::new(name.as_bytes()).unwrap()
}

async fn miss(client: &mut Client, name: &str) {
    client.ask(&format!("get {name}"), "END").await;
}

#[tokio::test]
async fn set_after_a_miss_is_refused_when_the_key_was_invalidated_in_between() {
    let server = Server::start(settings()).await;
    for (verb, name) in [("set", "a"), ("add", "b")] {
        let mut client = server.connect().await;
        miss(&mut client, name).await;
        invalidate(&server.cache, Target::Key(key(name))).await;
        client.ask(&format!("{verb} {name} 0 0 3\r\nold"), "NOT_STORED").await;
        miss(&mut client, name).await;
        client.ask(&format!("{verb} {name} 0 0 3\r\nnew"), "STORED").await;
    }
    server.stop().await;
}

#[tokio::test]
async fn set_behind_a_refused_one_is_as_old_as_that() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    // Django's way with a page: it asks for the list of fields only, and stores both.
    miss(&mut client, "list").await;
    invalidate(&server.cache, Target::Prefix(key("page"))).await;
    invalidate(&server.cache, Target::Key(key("list"))).await;
    client.ask("set list 0 0 3\r\nold", "NOT_STORED").await;
    client.ask("delete list", "NOT_FOUND").await;
    client.ask("set page 0 0 3\r\nold", "NOT_STORED").await;
    client.ask("set other 0 0 3\r\nold", "STORED").await;
    miss(&mut client, "list").await;
    client.ask("set list 0 0 3\r\nnew", "STORED").await;
    client.ask("set page 0 0 3\r\nnew", "STORED").await;
    server.stop().await;
}

#[tokio::test]
async fn set_after_a_miss_is_refused_also_when_more_keys_were_missed_than_are_remembered() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    let names: Vec<String> = (0..MEMCACHED_MISSES_MAX + 100).map(|n| format!("k{n}")).collect();
    miss(&mut client, &names.join(" ")).await;
    for name in ["k0", "k1100", "unread"] {
        invalidate(&server.cache, Target::Key(key(name))).await;
    }
    client.ask("set k0 0 0 3\r\nold", "NOT_STORED").await;
    client.ask("set k1100 0 0 3\r\nold", "NOT_STORED").await;
    client.ask("set k1 0 0 3\r\nnew", "STORED").await;
    client.ask("set other 0 0 3\r\nnew", "STORED").await;
    miss(&mut client, "k0").await;
    server.cache.clock().advance(Duration::from_millis(FILL_MS_MAX + 1_000));
    client.ask("set unread 0 0 3\r\nnew", "STORED").await;
    server.stop().await;
}

#[tokio::test]
async fn set_after_a_miss_is_refused_when_another_connection_deleted_the_key() {
    let server = Server::start(settings()).await;
    let (mut reader, mut writer) = (server.connect().await, server.connect().await);
    miss(&mut reader, "a").await;
    writer.ask("delete a", "NOT_FOUND").await;
    reader.ask("set a 0 0 3\r\nold", "NOT_STORED").await;
    miss(&mut writer, "a").await;
    server.stop().await;
}

#[tokio::test]
async fn set_after_a_miss_is_refused_when_everything_was_invalidated_in_between() {
    let server = Server::start(settings()).await;
    let (mut reader, mut writer) = (server.connect().await, server.connect().await);
    miss(&mut reader, "a").await;
    writer.ask("flush_all", "OK").await;
    reader.ask("set a 0 0 3\r\nold", "NOT_STORED").await;
    miss(&mut reader, "b").await;
    invalidate(&server.cache, Target::Everything).await;
    reader.ask("set b 0 0 3\r\nold", "NOT_STORED").await;
    server.stop().await;
}

#[tokio::test]
async fn set_after_a_miss_is_refused_when_its_prefix_was_invalidated_in_between() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    miss(&mut client, "user:1").await;
    miss(&mut client, "page:1").await;
    invalidate(&server.cache, Target::Prefix(key("user:"))).await;
    client.ask("set user:1 0 0 3\r\nold", "NOT_STORED").await;
    client.ask("set page:1 0 0 3\r\nold", "STORED").await;
    server.stop().await;
}

#[tokio::test]
async fn a_miss_of_a_tagged_entry_that_died_does_not_forbid_a_newer_value() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    let tag = Tag::new("users").unwrap();
    let draft = Draft { tags: vec![tag.clone()], ..Draft::new("old".into()) };
    let stored = server.cache.update(&key("a"), |_| (Change::Put(draft), ())).await;
    assert!(stored.is_ok());
    client.send(b"get a\r\n").await;
    assert_eq!(client.reply_until(b"END\r\n").await, b"VALUE a 0 3\r\nold\r\nEND\r\n");
    invalidate(&server.cache, Target::Tag(tag)).await;
    miss(&mut client, "a").await;
    client.ask("set a 0 0 3\r\nnew", "STORED").await;
    server.stop().await;
}

#[tokio::test]
async fn callers_that_share_a_connection_are_each_held_to_the_oldest_miss() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    miss(&mut client, "a").await;
    invalidate(&server.cache, Target::Key(key("a"))).await;
    miss(&mut client, "a").await;
    // Nobody says whose store comes first.
    client.ask("set a 0 0 3\r\nnew", "NOT_STORED").await;
    client.ask("set a 0 0 3\r\nold", "NOT_STORED").await;
    miss(&mut client, "a").await;
    client.ask("set a 0 0 3\r\nnew", "STORED").await;
    server.stop().await;
}

/// The refused value may also be a write of newer data that no look-up led to.
#[tokio::test]
async fn refused_set_leaves_nothing_older_behind() {
    let server = Server::start(settings()).await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    for verb in ["set", "replace"] {
        miss(&mut first, "a").await;
        invalidate(&server.cache, Target::Key(key("a"))).await;
        second.ask("set a 0 0 5\r\nolder", "STORED").await;
        first.ask(&format!("{verb} a 0 0 5\r\nnewer"), "NOT_STORED").await;
        miss(&mut second, "a").await;
        second.ask("set a 0 0 5\r\nafter", "STORED").await;
        second.ask("delete a", "DELETED").await;
    }
    server.stop().await;
}

#[tokio::test]
async fn cas_is_refused_when_its_entry_was_invalidated_and_not_because_of_a_miss_before_it() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    miss(&mut client, "a").await;
    invalidate(&server.cache, Target::Key(key("a"))).await;
    let mut other = server.connect().await;
    for (is_invalidated, expected) in [(false, "STORED"), (true, "NOT_FOUND")] {
        other.ask("set a 0 0 1\r\nx", "STORED").await;
        client.send(b"gets a\r\n").await;
        let reply = client.reply_until(b"END\r\n").await;
        let head = String::from_utf8(reply).unwrap();
        let unique = head.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
        if is_invalidated {
            invalidate(&server.cache, Target::Prefix(key("a"))).await;
        }
        client.ask(&format!("cas a 0 0 1 {unique}\r\ny"), expected).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn set_without_a_miss_is_born_now() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    invalidate(&server.cache, Target::Key(key("a"))).await;
    client.ask("set a 0 0 3\r\nnew", "STORED").await;
    client.ask("delete a", "DELETED").await;
    client.ask("set a 0 0 3\r\nnew", "STORED").await;
    server.stop().await;
}

/// Sends the beginning of a request, and waits until the server waits for the rest of its value.
pub(super) async fn begin(server: &Server, client: &mut Client, first: &[u8]) {
    let mut observer = server.connect().await;
    client.send(first).await;
    let waiting = async {
        loop {
            observer.send(b"stats conns\r\n").await;
            let conns = observer.reply_until(b"END\r\n").await;
            if conns.windows(10).any(|state| state == b"conn_nread") {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the server waits for a value");
}

#[tokio::test]
async fn value_whose_first_bytes_came_before_an_invalidation_is_refused_and_leaves_nothing_older() {
    let server = Server::start(settings()).await;
    for (line, expected, has_entry) in [
        ("set a 0 0 8", "NOT_STORED", false),
        ("add b 0 0 8", "NOT_STORED", false),
        ("replace c 0 0 8", "NOT_STORED", true),
        ("ms d 8", "NS", false),
        ("ms e 8 Lmine", "NS", false),
        ("ms f 8 MA N60", "NS", false),
    ] {
        let (mut slow, mut other) = (server.connect().await, server.connect().await);
        let name = line.split(' ').nth(1).unwrap();
        begin(&server, &mut slow, format!("{line}\r\nold ").as_bytes()).await;
        if line.contains("Lmine") {
            invalidate(&server.cache, Target::Tag(Tag::new("mine").unwrap())).await;
        } else {
            invalidate(&server.cache, Target::Key(key(name))).await;
        }
        if has_entry {
            other.ask(&format!("set {name} 0 0 5\r\nolder"), "STORED").await;
        }
        slow.ask("data", expected).await;
        miss(&mut other, name).await;
        slow.ask(&format!("set {name} 0 0 3\r\nnew"), "STORED").await;
    }
    server.stop().await;
}

#[tokio::test]
async fn value_that_is_waited_for_is_stored_when_nothing_came_between() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    for verb in ["set", "add"] {
        // What its own connection deletes before it counts as seen by it.
        let first = format!("delete a\r\n{verb} a 0 0 8\r\nnew ");
        begin(&server, &mut client, first.as_bytes()).await;
        invalidate(&server.cache, Target::Key(key("other"))).await;
        client.send(b"data\r\n").await;
        let replies = client.reply_until(b"STORED\r\n").await;
        assert!(replies.ends_with(b"\nSTORED\r\n"), "{:?}", text(&replies));
    }
    client.send(b"get a\r\n").await;
    assert_eq!(client.reply_until(b"END\r\n").await, b"VALUE a 0 8\r\nnew data\r\nEND\r\n");
    server.stop().await;
}

#[tokio::test]
async fn values_that_come_with_their_lines_are_stored_whatever_was_deleted_before_them() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    let pipeline = "delete a noreply\r\nset a 0 0 1\r\nx\r\n".repeat(2);
    client.send(pipeline.as_bytes()).await;
    assert_eq!(client.reply_until(b"STORED\r\nSTORED\r\n").await, b"STORED\r\nSTORED\r\n");
    server.stop().await;
}

#[tokio::test]
async fn refused_stores_are_counted() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    miss(&mut client, "a").await;
    invalidate(&server.cache, Target::Key(key("a"))).await;
    client.ask("set a 0 0 3\r\nold", "NOT_STORED").await;
    client.send(b"stats\r\n").await;
    let stats = client.reply_until(b"END\r\n").await;
    let stats = String::from_utf8(stats).unwrap();
    assert!(stats.contains("STAT store_fenced 1\r\n"), "{stats}");
    assert!(stats.contains("STAT get_misses 1\r\n"), "{stats}");
    server.stop().await;
}
