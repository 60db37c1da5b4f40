//! Pages that stand in for an origin that fails, and what HEAD says about them, while things are
//! made wrong.

use std::time::Duration;

use tokio::sync::oneshot;

use super::stage::{Stage, get, ok, request};
use crate::model::{Mode, Target};

const UNAVAILABLE: &str = "HTTP/1.1 503 Unavailable\r\nContent-Length: 4\r\n\r\ndown";

/// A stage with one page that is over its time, may stand in, and has a validator.
async fn with_expired_page() -> Stage {
    let mut stage = Stage::new().await;
    let page = ok("Cache-Control: max-age=10\r\nETag: \"a\"\r\nxkey: t\r\n", "old");
    stage.fetch(&get("/", ""), &page).await.is(200, "old");
    stage.clock.advance(Duration::from_secs(11));
    stage
}

#[tokio::test]
async fn page_stands_in_for_an_origin_that_fails() {
    let mut stage = with_expired_page().await;
    let reply = stage.fetch(&get("/", ""), UNAVAILABLE).await;
    reply.is(200, "old");
    reply.came("detail=stale-if-error");
    stage.clock.advance(Duration::from_secs(60));
    stage.fetch(&get("/", ""), UNAVAILABLE).await.is(503, "down");
}

#[tokio::test]
async fn page_that_was_invalidated_while_the_origin_was_asked_does_not_stand_in() {
    let mut stage = with_expired_page().await;
    let client = stage.client();
    let origin = async {
        let asked = stage.asked().await;
        stage.purge_tag("t").await;
        asked.reply(UNAVAILABLE).await;
    };
    let (reply, ()) = tokio::join!(client.send(get("/", "")), origin);
    reply.is(503, "down");
}

#[tokio::test]
async fn page_that_was_invalidated_before_does_not_stand_in() {
    let mut stage = with_expired_page().await;
    stage.purge_tag("t").await;
    stage.fetch(&get("/", ""), UNAVAILABLE).await.is(503, "down");
}

#[tokio::test]
async fn page_that_was_softened_stands_in() {
    let mut stage = with_expired_page().await;
    let tag = crate::model::Tag::new("t").unwrap();
    stage.purge(Target::Tag(tag), Mode::Soft).await;
    stage.fetch(&get("/", ""), UNAVAILABLE).await.is(200, "old");
}

#[tokio::test]
async fn page_that_was_invalidated_while_its_head_was_asked_for_is_not_freshened() {
    let mut stage = with_expired_page().await;
    let client = stage.client();
    let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nETag: \"a\"\r\n\
                Content-Length: 3\r\n\r\n";
    let origin = async {
        let asked = stage.asked().await;
        stage.purge_tag("t").await;
        asked.reply(head).await;
    };
    let (reply, ()) = tokio::join!(client.send(request("HEAD", "/", "")), origin);
    assert_eq!(reply.status, 200);
    stage.fetch(&get("/", ""), &ok("", "new")).await.is(200, "new");
}

#[tokio::test]
async fn page_that_is_asked_about_each_time_is_not_served_after_its_invalidation() {
    let mut stage = Stage::new().await;
    let page = ok("Cache-Control: no-cache\r\nETag: \"a\"\r\nxkey: t\r\n", "old");
    stage.fetch(&get("/", ""), &page).await.is(200, "old");
    let same = "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n";
    stage.fetch(&get("/", ""), same).await.is(200, "old");
    let client = stage.client();
    let origin = async {
        let asked = stage.asked().await;
        assert_eq!(asked.field("if-none-match"), Some("\"a\""));
        stage.purge_tag("t").await;
        asked.reply(same).await;
        let again = stage.asked().await;
        assert_eq!(again.field("if-none-match"), None);
        again.reply(&ok("", "new")).await;
    };
    let (reply, ()) = tokio::join!(client.send(get("/", "")), origin);
    reply.is(200, "new");
}

#[tokio::test]
async fn who_waits_for_a_page_that_is_asked_about_each_time_asks_before_its_body_has_come() {
    let mut stage = Stage::new().await;
    let client = stage.client();
    let (began, begun) = oneshot::channel();
    let second = async {
        begun.await.unwrap();
        client.send(get("/", "")).await
    };
    let origin = async {
        let mut slow = stage.asked().await;
        began.send(()).unwrap();
        stage.until_waiting(1).await;
        slow.write("HTTP/1.1 200 OK\r\nCache-Control: no-cache\r\nETag: \"a\"\r\n").await;
        slow.write("Content-Length: 4\r\n\r\n").await;
        stage.asked().await.reply(&ok("Cache-Control: no-store\r\n", "mine")).await;
        slow.reply("late").await;
    };
    let (leader, waiter, ()) = tokio::join!(client.send(get("/", "")), second, origin);
    waiter.is(200, "mine");
    leader.is(200, "late");
}
