//! What is served from memory, and what is not.

use std::time::Duration;

use super::stage::{Stage, get, ok, request};

#[tokio::test]
async fn a_cold_page_is_fetched_and_then_served_with_its_age() {
    let mut stage = Stage::new().await;
    let cold = stage.fetch(&get("/p?a=1", ""), &ok("Cache-Control: max-age=60\r\n", "one")).await;
    cold.is(200, "one");
    cold.came("fwd=uri-miss");
    assert_eq!(cold.field("date"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    stage.clock.advance(Duration::from_secs(7));
    let hit = stage.cached(&get("/p?a=1", "")).await;
    hit.is(200, "one");
    hit.came("hit; ttl=53");
    assert_eq!(hit.field("age"), Some("7"));
    assert_eq!(hit.field("date"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    stage.fetch(&get("/p?a=1&", ""), &ok("", "other")).await.is(200, "other");
}

#[tokio::test]
async fn chunked_pages_are_stored_whole_and_served_with_a_length() {
    let mut stage = Stage::new().await;
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\
        Cache-Control: max-age=60\r\n\r\n\
        3\r\none\r\n4\r\n two\r\n0\r\n\r\n";
    stage.fetch(&get("/", ""), chunked).await.is(200, "one two");
    let hit = stage.cached(&get("/", "")).await;
    hit.is(200, "one two");
    assert_eq!(hit.field("content-length"), Some("7"));
}

#[tokio::test]
async fn head_is_answered_from_a_stored_get() {
    let mut stage = Stage::new().await;
    let head = request("HEAD", "/", "");
    let page = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nCache-Control: max-age=60\r\n\r\n";
    let missed = stage.fetch(&head, page).await;
    missed.is(200, "");
    assert_eq!(missed.field("content-length"), Some("3"));
    stage.fetch(&get("/", ""), &ok("Cache-Control: max-age=60\r\n", "one")).await.is(200, "one");
    let found = stage.cached(&head).await;
    found.is(200, "");
    assert_eq!(found.field("content-length"), Some("3"));
}

#[tokio::test]
async fn variants_are_kept_apart_and_found_again() {
    let mut stage = Stage::new().await;
    let fields = "Cache-Control: max-age=60\r\nVary: Accept-Language\r\n";
    for language in ["de", "fr"] {
        let request = get("/", &format!("Accept-Language: {language}\r\n"));
        stage.fetch(&request, &ok(fields, language)).await.is(200, language);
    }
    stage.fetch(&get("/", ""), &ok(fields, "none")).await.is(200, "none");
    for language in ["de", "fr"] {
        let request = get("/", &format!("Accept-Language: {language}\r\n"));
        stage.cached(&request).await.is(200, language);
    }
    stage.cached(&get("/", "")).await.is(200, "none");
}

#[tokio::test]
async fn a_field_taken_away_by_connection_selects_no_variant() {
    let mut stage = Stage::new().await;
    let fields = "Cache-Control: max-age=60\r\nVary: Accept-Language\r\n";
    let hidden = get("/", "Connection: Accept-Language\r\nAccept-Language: de\r\n");
    stage.fetch(&hidden, &ok(fields, "none")).await.is(200, "none");
    let plain = get("/", "Accept-Language: de\r\n");
    stage.fetch(&plain, &ok(fields, "de")).await.is(200, "de");
}

#[tokio::test]
async fn a_client_that_has_the_page_is_told_so() {
    let mut stage = Stage::new().await;
    let fields = "Cache-Control: max-age=60\r\nETag: \"v1\"\r\nX-Other: y\r\n";
    let conditional = get("/", "If-None-Match: \"v0\", W/\"v1\"\r\nIf-Modified-Since: x\r\n");
    let client = stage.client();
    let (missed, ()) = tokio::join!(client.send(&conditional), async {
        let exchange = stage.asked().await;
        assert_eq!(exchange.field("if-none-match"), None, "a fill asks for the whole page");
        exchange.reply(&ok(fields, "one")).await;
    });
    missed.is(304, "");
    stage.until_stored(1).await;
    let hit = stage.cached(&conditional).await;
    hit.is(304, "");
    assert_eq!(hit.field("etag"), Some("\"v1\""));
    assert_eq!(hit.field("cache-control"), Some("max-age=60"));
    assert_eq!(hit.field("x-other"), None);
    stage.cached(&get("/", "If-None-Match: \"v2\"\r\n")).await.is(200, "one");
}

#[tokio::test]
async fn an_expired_page_is_revalidated_and_fresh_again() {
    let mut stage = Stage::new().await;
    let fields = "Cache-Control: max-age=10\r\nETag: \"v1\"\r\nX-A: old\r\nX-B: kept\r\n";
    stage.fetch(&get("/", ""), &ok(fields, "one")).await.is(200, "one");
    stage.clock.advance(Duration::from_secs(11));
    let client = stage.client();
    let (again, ()) = tokio::join!(client.send(get("/", "")), async {
        let exchange = stage.asked().await;
        assert_eq!(exchange.field("if-none-match"), Some("\"v1\""));
        let not_modified = "HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\nX-A: new\r\n\
            X-New: 1\r\nCache-Control: max-age=30\r\nContent-Length: 99\r\n\r\n";
        exchange.reply(not_modified).await;
    });
    again.is(200, "one");
    again.came("fwd=stale; fwd-status=304; ttl=30");
    stage.clock.advance(Duration::from_secs(29));
    let hit = stage.cached(&get("/", "")).await;
    hit.is(200, "one");
    let found = ["x-a", "x-b", "x-new", "age"].map(|name| hit.field(name));
    assert_eq!(found, [Some("new"), Some("kept"), Some("1"), Some("29")]);
}

#[tokio::test]
async fn an_expired_page_that_has_changed_is_replaced() {
    let mut stage = Stage::new().await;
    let fields = "Cache-Control: max-age=10\r\nETag: \"v1\"\r\n";
    stage.fetch(&get("/", ""), &ok(fields, "one")).await.is(200, "one");
    stage.clock.advance(Duration::from_secs(11));
    let fields = "Cache-Control: max-age=10\r\nETag: \"v2\"\r\n";
    stage.fetch(&get("/", ""), &ok(fields, "two")).await.is(200, "two");
    stage.cached(&get("/", "")).await.is(200, "two");
}

#[tokio::test]
async fn what_must_not_be_shared_is_fetched_each_time() {
    let rows = [
        ("", "Cache-Control: private, max-age=60\r\n", "detail=private"),
        ("", "Cache-Control: no-store\r\n", "detail=no-store"),
        ("", "Cache-Control: max-age=60\r\nSet-Cookie: a=b\r\n", "detail=set-cookie"),
        ("Authorization: x\r\n", "Cache-Control: max-age=60\r\n", "detail=authorization"),
        ("", "Cache-Control: max-age=60\r\nVary: *\r\n", "detail=vary-any"),
        ("", "", "detail=not-fresh"),
        ("Range: bytes=0-1\r\n", "Cache-Control: max-age=60\r\n", "fwd=request"),
    ];
    for (asked, answered, how) in rows {
        let mut stage = Stage::new().await;
        for body in ["one", "two"] {
            let reply = stage.fetch(&get("/", asked), &ok(answered, body)).await;
            reply.is(200, body);
            reply.came(how);
        }
    }
}

#[tokio::test]
async fn a_set_cookie_reaches_its_client_in_every_line() {
    let mut stage = Stage::new().await;
    let reply =
        stage.fetch(&get("/", ""), &ok("Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n", "x")).await;
    assert_eq!(reply.head.to_ascii_lowercase().matches("set-cookie:").count(), 2);
}

#[tokio::test]
async fn a_set_cookie_is_not_lost_to_a_client_that_has_the_page() {
    let mut stage = Stage::new().await;
    let known = get("/", "If-None-Match: \"v1\"\r\n");
    let fields = "Cache-Control: max-age=10\r\nETag: \"v1\"\r\n";
    let with_cookie = format!("{fields}Set-Cookie: a=1\r\n");
    let reply = stage.fetch(&known, &ok(&with_cookie, "one")).await;
    reply.is(200, "one");
    assert_eq!(reply.field("set-cookie"), Some("a=1"));
    stage.fetch(&get("/", ""), &ok(fields, "one")).await.is(200, "one");
    stage.clock.advance(Duration::from_secs(11));
    let not_modified = "HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\nSet-Cookie: a=2\r\n\r\n";
    let reply = stage.fetch(&known, not_modified).await;
    reply.is(200, "one");
    assert_eq!(reply.field("set-cookie"), Some("a=2"));
}

#[tokio::test]
async fn a_truncated_body_is_cut_off_and_not_stored() {
    let fresh = "Cache-Control: max-age=60\r\n";
    let by_length = format!("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n{fresh}\r\nhalf");
    let by_chunks =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{fresh}\r\n4\r\nhalf\r\n");
    for half in [by_length, by_chunks] {
        let mut stage = Stage::new().await;
        let client = stage.client();
        let (reply, ()) = tokio::join!(client.send(get("/", "")), async {
            let mut exchange = stage.asked().await;
            exchange.write(&half).await;
            drop(exchange);
        });
        assert!(!reply.is_whole, "{reply:?}");
        stage.fetch(&get("/", ""), &ok(fresh, "whole")).await.is(200, "whole");
    }
}

#[tokio::test]
async fn a_body_that_ends_with_the_connection_is_not_stored() {
    let mut stage = Stage::new().await;
    for body in ["one", "two"] {
        let client = stage.client();
        let (reply, ()) = tokio::join!(client.send(get("/", "")), async {
            let mut exchange = stage.asked().await;
            exchange
                .write(&format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\n{body}"))
                .await;
            drop(exchange);
        });
        reply.is(200, body);
        reply.came("detail=close-delimited");
    }
}
