//! Items that the application wrote, served as pages.

use std::time::Duration;

use http::HeaderValue;

use super::stage::{NOW, Stage, get, ok, request};
use crate::config::{KeyPart, SiteCache, SiteItems};
use crate::model::{Expiry, Key, Mode, Target};

const PAGE: &str = "Cache-Control: max-age=60\r\n";

fn items() -> SiteItems {
    SiteItems {
        key: vec![KeyPart::Text("page:".into()), KeyPart::Uri],
        content_type: HeaderValue::from_static("text/html"),
        max_age_s: Some(30),
        flags: vec![0],
    }
}

async fn stage() -> Stage {
    let rules = SiteCache { private_cookies: vec!["session".into()], ..SiteCache::default() };
    Stage::of_items(rules, items()).await
}

#[tokio::test]
async fn an_item_is_served_before_the_page_and_gone_when_it_is_deleted() {
    let mut stage = stage().await;
    stage.fetch(&get("/a?b", ""), &ok(PAGE, "page")).await.is(200, "page");
    stage.set("page:/a?b", "item", 0, Expiry::NEVER).await;
    let reply = stage.cached(&get("/a?b", "")).await;
    reply.is(200, "item");
    reply.came("hit; detail=item");
    assert_eq!(reply.field("content-type"), Some("text/html"));
    assert_eq!(reply.field("cache-control"), Some("max-age=30"));
    assert_eq!((reply.field("last-modified"), reply.field("age")), (None, None));
    stage.cached(&request("HEAD", "/a?b", "")).await.is(200, "");
    stage.purge(Target::Key(Key::new(b"page:/a?b").unwrap()), Mode::Hard).await;
    stage.cached(&get("/a?b", "")).await.is(200, "page");
}

#[tokio::test]
async fn an_item_promises_no_more_time_than_it_has() {
    let stage = &mut stage().await;
    stage.set("page:/", "item", 0, Expiry::at_ms(NOW + 10_000)).await;
    let reply = stage.cached(&get("/", "")).await;
    reply.came("hit; ttl=10; detail=item");
    assert_eq!(reply.field("cache-control"), Some("max-age=10"));
    stage.clock.advance(Duration::from_secs(10));
    stage.fetch(&get("/", ""), &ok("", "origin")).await.is(200, "origin");
}

#[tokio::test]
async fn who_has_the_item_gets_304_until_it_is_written_anew() {
    let mut stage = stage().await;
    stage.set("page:/", "one", 0, Expiry::NEVER).await;
    let reply = stage.cached(&get("/", "")).await;
    let condition = format!("If-None-Match: {}\r\n", reply.field("etag").unwrap());
    let since = "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    stage.cached(&get("/", &condition)).await.is(304, "");
    stage.cached(&get("/", since)).await.is(200, "one");
    let range = format!("Range: bytes=1-\r\nIf-Range: {}\r\n", reply.field("etag").unwrap());
    stage.cached(&get("/", &range)).await.is(206, "ne");
    stage.set("page:/", "two", 0, Expiry::NEVER).await;
    stage.cached(&get("/", &condition)).await.is(200, "two");
    stage.cached(&get("/", &range)).await.is(200, "two");
    let beyond = stage.cached(&get("/", "Range: bytes=9-\r\n")).await;
    assert_eq!(beyond.status, 416);
    beyond.came("range-unsatisfiable");
}

#[tokio::test]
async fn who_goes_past_the_cache_goes_past_items() {
    let mut stage = stage().await;
    stage.set("page:/", "item", 0, Expiry::NEVER).await;
    let mine = stage.fetch(&get("/", "Cookie: session=1\r\n"), &ok("", "mine")).await;
    mine.is(200, "mine");
    let posted = stage.fetch(&request("POST", "/", ""), &ok("", "posted")).await;
    posted.is(200, "posted");
    stage.cached(&get("/", "")).await.is(200, "item");
}

#[tokio::test]
async fn what_its_client_has_serialized_or_only_reserved_is_no_page() {
    let mut stage = stage().await;
    for (value, flags) in [("pickle", 1), ("", 0)] {
        stage.set("page:/", value, flags, Expiry::NEVER).await;
        stage.fetch(&get("/", ""), &ok("", "origin")).await.is(200, "origin");
    }
}

#[tokio::test]
async fn a_purge_of_the_url_takes_the_item_too() {
    let mut stage = stage().await;
    stage.set("page:/", "item", 0, Expiry::NEVER).await;
    for target in stage.pages.targets_of_url("http://a.example/").unwrap() {
        stage.purge(target, Mode::Hard).await;
    }
    stage.fetch(&get("/", ""), &ok("", "origin")).await.is(200, "origin");
}
