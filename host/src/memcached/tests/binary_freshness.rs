//! The binary protocol: what was read before an invalidation is not kept after it, and plugins
//! decide about items.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::frames::*;
use super::freshness::begin;
use super::{Server, settings};
use crate::cache::{Cache, Claim, ItemError, ItemPolicy};
use crate::model::{Cause, Invalidation, Key, Mode, StoreDecision, Tag, Target};

async fn invalidate(cache: &Cache, target: Target) {
    let targets = vec![(target, Mode::Hard)];
    cache.invalidate(Invalidation { targets, cause: Cause::default() }).await.unwrap();
}

fn key(name: &str) -> Key {
    Key::new(name.as_bytes()).unwrap()
}

fn refused() -> (u16, String) {
    (NOT_STORED, "Not stored.".to_owned())
}

#[tokio::test]
async fn store_after_a_miss_is_refused_when_its_key_was_invalidated_in_between() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    let stores = [
        (GETQ, Frame::store(SET, "a", "old")),
        (GETKQ, Frame::store(SETQ, "b", "old")),
        (GETQ, Frame::store(ADD, "c", "old")),
        (GETQ, Frame::count(INCREMENT, "d", 1, 7, 0)),
    ];
    for (look_up, store) in stores {
        let name = String::from_utf8(store.key.to_vec()).unwrap();
        client.quietly(Frame::new(look_up, &name)).await;
        invalidate(&server.cache, Target::Key(key(&name))).await;
        assert_eq!(client.status(store.clone()).await, refused(), "{store:?}");
        client.quietly(Frame::new(GETQ, &name)).await;
        match store.opcode {
            SETQ => client.quietly(store).await,
            _ => assert_eq!(client.exchange(store).await.status, OK),
        }
        assert_eq!(client.exchange(Frame::new(GET, &name)).await.status, OK);
    }
    server.stop().await;
}

#[tokio::test]
async fn value_whose_first_bytes_came_before_an_invalidation_is_refused() {
    let server = Server::start(settings()).await;
    for (opcode, name) in [(SET, "a"), (SETQ, "b"), (ADD, "c")] {
        let mut client = server.connect().await;
        let frame = Frame::store(opcode, name, "old data").bytes();
        let (first, rest) = frame.split_at(frame.len() - 4);
        begin(&server, &mut client, first).await;
        invalidate(&server.cache, Target::Key(key(name))).await;
        client.send(rest).await;
        assert_eq!(client.reply().await.status, NOT_STORED, "{name}");
        client.quietly(Frame::new(GETQ, name)).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn miss_of_a_touching_look_up_counts_as_one() {
    let server = Server::start(settings()).await;
    let mut client = server.connect().await;
    client.quietly(Frame::timed(GATKQ, "a", 60)).await;
    invalidate(&server.cache, Target::Everything).await;
    assert_eq!(client.status(Frame::store(SET, "a", "old")).await, refused());
    server.stop().await;
}

#[tokio::test]
async fn delete_that_compares_refuses_fills_that_began_before_it() {
    let server = Server::start(settings()).await;
    let (mut reader, mut writer) = (server.connect().await, server.connect().await);
    reader.quietly(Frame::new(GETQ, "a")).await;
    let stored = writer.exchange(Frame::store(SET, "a", "x")).await;
    assert_eq!(writer.exchange(Frame::new(DELETE, "a").with_cas(stored.cas)).await.status, OK);
    assert_eq!(reader.status(Frame::store(SET, "a", "old")).await, refused());
    writer.quietly(Frame::new(GETQ, "a")).await;
    server.stop().await;
}

#[tokio::test]
async fn number_that_is_there_is_counted_whatever_was_missed_before() {
    let server = Server::start(settings()).await;
    let (mut reader, mut writer) = (server.connect().await, server.connect().await);
    reader.quietly(Frame::new(GETQ, "n")).await;
    invalidate(&server.cache, Target::Key(key("n"))).await;
    writer.quietly(Frame::store(SETQ, "n", "5")).await;
    reader.quietly(Frame::count(INCREMENTQ, "n", 1, 0, 0)).await;
    assert_eq!(reader.exchange(Frame::new(GET, "n")).await.value, "6");
    server.stop().await;
}

/// Tags items `t:…`, and wants none of `no:…`.
struct Policy;

impl ItemPolicy for Policy {
    fn concerns(&self, key: &[u8]) -> bool {
        key.starts_with(b"t:") || key.starts_with(b"no:")
    }

    fn on_item<'a>(
        &'a self,
        key: &'a Key,
        _flags: u32,
        _body_bytes: u32,
        _claim: Claim,
    ) -> BoxFuture<'a, Result<StoreDecision, ItemError>> {
        let store = key.as_bytes().starts_with(b"t:");
        let tags = vec![Tag::new("tagged").unwrap()];
        async move { Ok(StoreDecision { store, tags, ..StoreDecision::default() }) }.boxed()
    }
}

#[tokio::test]
async fn plugins_tag_and_refuse_values_and_numbers() {
    let mut decided = settings();
    decided.items = Some(Arc::new(Policy));
    let server = Server::start(decided).await;
    let mut client = server.connect().await;
    client.quietly(Frame::store(SETQ, "t:a", "x")).await;
    client.quietly(Frame::count(INCREMENTQ, "t:n", 1, 5, 0)).await;
    client.quietly(Frame::count(INCREMENTQ, "t:n", 1, 5, 0)).await;
    assert_eq!(client.exchange(Frame::new(GET, "t:n")).await.value, "6");
    invalidate(&server.cache, Target::Tag(Tag::new("tagged").unwrap())).await;
    client.quietly(Frame::new(GETQ, "t:a")).await;
    client.quietly(Frame::new(GETQ, "t:n")).await;
    assert_eq!(client.status(Frame::store(SET, "no:a", "x")).await, refused());
    assert_eq!(client.status(Frame::count(INCREMENT, "no:n", 1, 5, 0)).await, refused());
    client.quietly(Frame::new(GETQ, "no:a")).await;
    client.quietly(Frame::new(GETQ, "no:n")).await;
    server.stop().await;
}
