//! The short way of hits: it answers as the long way does, and leaves to it what is not its own.

use std::time::Duration;

use super::stage::{Reply, Stage, get, ok, request};

/// A request that differs only in a field that makes it go the long way.
fn long(path: &str, fields: &str) -> String {
    get(path, &format!("{fields}Via: 1.1 other\r\n"))
}

fn sorted(reply: &Reply) -> Vec<String> {
    let mut lines: Vec<_> = reply.head.lines().map(str::to_ascii_lowercase).collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn both_ways_answer_alike() {
    let mut stage = Stage::new().await;
    let fields = "Cache-Control: max-age=60\r\nVary: Accept-Language\r\nX-A: 1\r\nX-A: 2\r\n";
    for (path, bytes) in [("/small", 10), ("/large", 30_000), ("/empty", 0)] {
        let body = "x".repeat(bytes);
        let german = "Accept-Language: de\r\n";
        stage.fetch(&get(path, german), &ok(fields, &body)).await.is(200, &body);
        stage.clock.advance(Duration::from_secs(3));
        let quick = stage.cached(&get(path, german)).await;
        quick.is(200, &body);
        let slow = stage.cached(&long(path, german)).await;
        slow.is(200, &body);
        assert_eq!(sorted(&quick), sorted(&slow));
        assert_eq!(quick.head.matches("x-a: ").count(), 2);
        let head = stage.cached(&request("HEAD", path, german)).await;
        head.is(200, "");
        assert_eq!(sorted(&head), sorted(&quick));
    }
}

#[tokio::test]
async fn another_variant_is_not_served_where_a_field_comes_in_two_lines() {
    let mut stage = Stage::new().await;
    let by_cookie = "Cache-Control: max-age=60\r\nVary: Cookie\r\n";
    stage.fetch(&get("/", ""), &ok(by_cookie, "older")).await.is(200, "older");
    let by_language = "Cache-Control: max-age=60\r\nVary: Accept-Language\r\n";
    let both = "Accept-Language: de\r\nAccept-Language: fr\r\n";
    let asked = get("/", &format!("Cookie: a=b\r\n{both}"));
    stage.fetch(&asked, &ok(by_language, "newer")).await.is(200, "newer");
    stage.cached(&get("/", both)).await.is(200, "newer");
    stage.cached(&get("/", "Accept-Language: de, fr\r\n")).await.is(200, "newer");
}

#[tokio::test]
async fn spellings_of_one_page_are_one_page() {
    let mut stage = Stage::new().await;
    let page = ok("Cache-Control: max-age=60\r\n", "page");
    stage.fetch(&get("/p?q=1", ""), &page).await.is(200, "page");
    for (target, host) in [
        ("/p?q=1", "A.Example"),
        ("/p?q=1", "a.example:80"),
        ("http://a.example/p?q=1", "b.example"),
    ] {
        let raw = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stage.cached(&raw).await.is(200, "page");
    }
}
