//! The freshness rule as visitors see it: nothing older than an acknowledged invalidation.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::stage::{Stage, get, ok, request};
use crate::model::{Mode, Target};

const TAGGED: &str = "Cache-Control: max-age=60\r\nSurrogate-Key: t other\r\nETag: \"v1\"\r\n";

#[tokio::test]
async fn a_purged_tag_takes_its_pages_and_no_others() {
    let mut stage = Stage::new().await;
    let first = stage.fetch(&get("/a", ""), &ok(TAGGED, "a1")).await;
    assert_eq!(first.field("surrogate-key"), None);
    stage.fetch(&get("/b", ""), &ok("Cache-Control: max-age=60\r\n", "b1")).await.is(200, "b1");
    stage.purge_tag("t").await;
    stage.fetch(&get("/a", ""), &ok(TAGGED, "a2")).await.is(200, "a2");
    stage.cached(&get("/b", "")).await.is(200, "b1");
}

#[tokio::test]
async fn a_url_is_purged_with_all_its_variants() {
    let mut stage = Stage::new().await;
    let fields = "Cache-Control: max-age=60\r\nVary: Accept\r\n";
    for accept in ["", "Accept: x\r\n"] {
        stage.fetch(&get("/", accept), &ok(fields, "old")).await.is(200, "old");
    }
    stage.purge(Target::Url("http://a.example/".into()), Mode::Hard).await;
    for accept in ["", "Accept: x\r\n"] {
        stage.fetch(&get("/", accept), &ok(fields, "new")).await.is(200, "new");
    }
}

#[tokio::test]
async fn a_fill_purged_before_its_head_is_not_stored() {
    let mut stage = Stage::new().await;
    let client = stage.client();
    let (reply, ()) = tokio::join!(client.send(get("/", "")), async {
        let exchange = stage.asked().await;
        stage.purge_tag("t").await;
        exchange.reply(&ok(TAGGED, "old")).await;
    });
    reply.is(200, "old");
    stage.fetch(&get("/", ""), &ok(TAGGED, "new")).await.is(200, "new");
    stage.cached(&get("/", "")).await.is(200, "new");
}

#[tokio::test]
async fn a_fill_purged_amid_its_body_is_not_stored() {
    let mut stage = Stage::new().await;
    let client = stage.client();
    let (reply, ()) = tokio::join!(client.send(get("/", "")), async {
        let mut exchange = stage.asked().await;
        exchange.write(&format!("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n{TAGGED}\r\nol")).await;
        stage.purge_tag("t").await;
        exchange.reply("d!").await;
    });
    reply.is(200, "old!");
    stage.fetch(&get("/", ""), &ok(TAGGED, "new")).await.is(200, "new");
}

#[tokio::test]
async fn who_joins_after_a_purge_is_not_handed_the_fill_begun_before_it() {
    let mut stage = Stage::new().await;
    let client = stage.client();
    let old = async { client.send(get("/", "")).await };
    let (first, others) = tokio::join!(old, async {
        let exchange = stage.asked().await;
        stage.purge_tag("t").await;
        let later = get("/", "");
        let (one, two, ()) = tokio::join!(client.send(&later), client.send(&later), async {
            stage.until_waiting(2).await;
            exchange.reply(&ok(TAGGED, "old")).await;
            stage.asked().await.reply(&ok(TAGGED, "new")).await;
        });
        [one, two]
    });
    first.is(200, "old");
    others.iter().for_each(|reply| reply.is(200, "new"));
    assert!(!stage.is_asked(), "one refill is enough for all");
}

#[tokio::test]
async fn a_304_after_a_purge_does_not_make_the_old_page_fresh() {
    let mut stage = Stage::new().await;
    stage.fetch(&get("/", ""), &ok(TAGGED, "old")).await.is(200, "old");
    stage.clock.advance(Duration::from_secs(61));
    let client = stage.client();
    let (reply, ()) = tokio::join!(client.send(get("/", "")), async {
        let exchange = stage.asked().await;
        assert_eq!(exchange.field("if-none-match"), Some("\"v1\""));
        stage.purge_tag("t").await;
        exchange.reply("HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n\r\n").await;
        let again = stage.asked().await;
        assert_eq!(again.field("if-none-match"), None);
        again.reply(&ok(TAGGED, "new")).await;
    });
    reply.is(200, "new");
    stage.cached(&get("/", "")).await.is(200, "new");
}

#[tokio::test]
async fn a_revalidated_page_still_dies_by_its_tags() {
    let mut stage = Stage::new().await;
    stage.fetch(&get("/", ""), &ok(TAGGED, "old")).await.is(200, "old");
    stage.clock.advance(Duration::from_secs(61));
    let not_modified = "HTTP/1.1 304 Not Modified\r\nSurrogate-Key: more\r\n\r\n";
    stage.fetch(&get("/", ""), not_modified).await.is(200, "old");
    stage.cached(&get("/", "")).await.is(200, "old");
    stage.purge_tag("t").await;
    stage.fetch(&get("/", ""), &ok(TAGGED, "new")).await.is(200, "new");
}

#[tokio::test]
async fn a_softly_purged_page_is_served_stale_while_one_request_refreshes_it() {
    let mut stage = Stage::new().await;
    stage.fetch(&get("/", ""), &ok(TAGGED, "old")).await.is(200, "old");
    stage.purge(Target::Url("http://a.example/".into()), Mode::Soft).await;
    for _ in 0..3 {
        let stale = stage.client().send(get("/", "")).await;
        stale.is(200, "old");
        stale.came("detail=stale");
    }
    let refresh = stage.asked().await;
    assert!(!stage.is_asked(), "one request refreshes it");
    assert_eq!(refresh.field("if-none-match"), Some("\"v1\""));
    refresh.reply(&ok(TAGGED, "new")).await;
    stage.until_stored(2).await;
    stage.cached(&get("/", "")).await.is(200, "new");
}

#[tokio::test]
async fn what_must_be_revalidated_is_never_served_stale() {
    let mut stage = Stage::new().await;
    let fields = "Cache-Control: max-age=60, must-revalidate, stale-while-revalidate=60\r\n";
    stage.fetch(&get("/", ""), &ok(fields, "old")).await.is(200, "old");
    stage.purge(Target::Url("http://a.example/".into()), Mode::Soft).await;
    stage.fetch(&get("/", ""), &ok(fields, "new")).await.is(200, "new");
    stage.clock.advance(Duration::from_secs(61));
    stage.fetch(&get("/", ""), &ok(fields, "newer")).await.is(200, "newer");
}

#[tokio::test]
async fn an_expired_page_is_served_stale_for_as_long_as_its_origin_allows() {
    let mut stage = Stage::new().await;
    let fields = "Cache-Control: max-age=10, stale-while-revalidate=20\r\n";
    stage.fetch(&get("/", ""), &ok(fields, "old")).await.is(200, "old");
    stage.clock.advance(Duration::from_secs(29));
    let stale = stage.client().send(get("/", "")).await;
    stale.is(200, "old");
    stale.came("ttl=-19; detail=stale");
    stage.asked().await.reply(&ok(fields, "new")).await;
    stage.until_stored(2).await;
    stage.cached(&get("/", "")).await.is(200, "new");
    stage.clock.advance(Duration::from_secs(31));
    stage.fetch(&get("/", ""), &ok(fields, "newer")).await.is(200, "newer");
}

#[tokio::test]
async fn an_unsafe_request_invalidates_before_it_is_answered() {
    let mut stage = Stage::new().await;
    for path in ["/list", "/one", "/two", "/other"] {
        let fields = match path {
            "/other" => "Cache-Control: max-age=60\r\nCache-Groups: \"g\"\r\n",
            _ => "Cache-Control: max-age=60\r\n",
        };
        stage.fetch(&get(path, ""), &ok(fields, "old")).await.is(200, "old");
    }
    let post = request("POST", "/list", "Content-Length: 4\r\n") + "data";
    let client = stage.client();
    let (reply, ()) = tokio::join!(client.send(post), async {
        let exchange = stage.asked().await;
        assert_eq!((exchange.line(), exchange.body.as_str()), ("POST /list HTTP/1.1", "data"));
        let fields = "Location: /one\r\nContent-Location: http://a.example/two\r\n\
            Cache-Group-Invalidation: \"g\"\r\n";
        exchange
            .reply(&format!("HTTP/1.1 303 See Other\r\nContent-Length: 0\r\n{fields}\r\n"))
            .await;
    });
    reply.is(303, "");
    for path in ["/list", "/one", "/two", "/other"] {
        let fresh = ok("Cache-Control: max-age=60\r\n", "new");
        stage.fetch(&get(path, ""), &fresh).await.is(200, "new");
    }
}

#[tokio::test]
async fn an_unsafe_request_that_the_origin_refuses_invalidates_nothing() {
    let mut stage = Stage::new().await;
    stage.fetch(&get("/", ""), &ok("Cache-Control: max-age=60\r\n", "old")).await.is(200, "old");
    let refusal = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
    stage.fetch(&request("DELETE", "/", ""), refusal).await.is(403, "");
    stage.cached(&get("/", "")).await.is(200, "old");
    stage.fetch(&request("MYSTERY", "/", ""), &ok("", "done")).await.is(200, "done");
    stage.fetch(&get("/", ""), &ok("", "new")).await.is(200, "new");
}

#[tokio::test]
async fn an_unsafe_request_invalidates_also_when_its_client_has_gone() {
    let mut stage = Stage::new().await;
    stage.fetch(&get("/", ""), &ok("Cache-Control: max-age=60\r\n", "old")).await.is(200, "old");
    let mut stream = stage.client().connect().await;
    stream.write_all(request("POST", "/", "Content-Length: 0\r\n").as_bytes()).await.unwrap();
    let exchange = stage.asked().await;
    drop(stream);
    let before = stage.cache.stats().invalidations.get();
    exchange.reply(&ok("", "done")).await;
    let invalidated = async {
        while stage.cache.stats().invalidations.get() == before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), invalidated).await.unwrap();
    stage.fetch(&get("/", ""), &ok("", "new")).await.is(200, "new");
}
