//! While a change is announced, every store of what it names is refused and every read misses.

use super::{Client, Server, settings};
use crate::cache::Cache;
use crate::model::{Cause, Intent, Invalidation, Key, Mode, Tag, Target};

fn naming(target: &Target) -> Invalidation {
    Invalidation { targets: vec![(target.clone(), Mode::Hard)], cause: Cause::default() }
}

async fn shut(cache: &Cache, target: &Target) {
    let intent = Intent { name: "shop/1".into(), until_ms: u64::MAX };
    cache.shut(naming(target), intent).await.unwrap();
}

async fn line(client: &mut Client, command: &str) -> String {
    client.send(format!("{command}\r\n").as_bytes()).await;
    String::from_utf8(client.reply_until(b"\r\n").await).unwrap()
}

#[tokio::test]
async fn nothing_is_stored_under_a_key_that_is_shut() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    let target = Target::Key(Key::new(b"a").unwrap());
    client.ask("set a 0 0 1\r\n1", "STORED").await;
    shut(&server.cache, &target).await;
    for (command, reply) in [
        ("get a", "END"),
        ("set a 0 0 1\r\n2", "NOT_STORED"),
        ("add a 0 0 1\r\n2", "NOT_STORED"),
        ("replace a 0 0 1\r\n2", "NOT_STORED"),
        ("append a 0 0 1\r\n2", "NOT_STORED"),
        ("incr a 1", "NOT_FOUND"),
        ("touch a 0", "NOT_FOUND"),
        ("ms a 1\r\n2", "NS"),
        ("ma a N0", "NS"),
        // A placeholder is a promise to be stored.
        ("mg a N30 v", "EN"),
        ("get a", "END"),
        ("set b 0 0 1\r\n2", "STORED"),
    ] {
        assert_eq!(line(&mut client, command).await, format!("{reply}\r\n"), "to {command:?}");
    }
    server.cache.open(naming(&target), "shop/1".into()).await.unwrap();
    // What the connection missed in between is older than the change.
    client.ask("set a 0 0 1\r\n3", "NOT_STORED").await;
    server.connect().await.ask("set a 0 0 1\r\n4", "STORED").await;
    server.stop().await;
}

#[tokio::test]
async fn items_with_a_tag_that_is_shut_are_refused_and_others_stored() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    let target = Target::Tag(Tag::new("t").unwrap());
    client.ask("ms a 1 Lt,u\r\n1", "HD").await;
    shut(&server.cache, &target).await;
    client.ask("mg a v", "EN").await;
    client.ask("ms a 1 Lt,u\r\n2", "NS").await;
    client.ask("ms a 1 Lu\r\n2", "HD").await;
    // A lease may be had: that its value depends on the tag is known when it comes.
    assert!(line(&mut client, "mg b N30 c").await.starts_with("HD c"));
    client.ask("ms b 1 Lt\r\n2", "NS").await;
    server.cache.open(naming(&target), "shop/1".into()).await.unwrap();
    client.ask("mg c v", "EN").await;
    client.ask("ms c 1 Lt\r\n3", "HD").await;
    server.stop().await;
}
