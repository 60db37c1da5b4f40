//! The short way of hits: it answers as the long way does, and leaves to it what is not its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::HeaderValue;

use super::stage::{Reply, Stage, get, ok, request};
use crate::config::SiteCache;
use crate::model::{Input, Key, KeyDecision, RequestView, ResponseView, StoreDecision};
use crate::pages::PagePolicy;

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

impl Stage {
    /// What both ways say of a page that is there.
    async fn alike(&mut self, path: &str, fields: &str) -> Reply {
        let quick = self.cached(&get(path, fields)).await;
        let slow = self.cached(&long(path, fields)).await;
        assert_eq!(sorted(&quick), sorted(&slow), "{path} {fields:?}");
        assert_eq!(quick.body, slow.body, "{path} {fields:?}");
        quick
    }
}

#[tokio::test]
async fn who_has_the_page_is_told_so_on_both_ways() {
    let mut stage = Stage::new().await;
    let tagged = "ETag: \"v1\"\r\nCache-Control: max-age=60\r\nX-A: 1\r\n";
    stage.fetch(&get("/", ""), &ok(tagged, "page")).await.is(200, "page");
    let dated = "Last-Modified: Sun, 06 Nov 1994 08:00:00 GMT\r\nCache-Control: max-age=60\r\n";
    stage.fetch(&get("/dated", ""), &ok(dated, "page")).await.is(200, "page");
    for (path, condition, status) in [
        ("/", "If-None-Match: \"v1\"\r\n", 304),
        ("/", "If-None-Match: \"v0\", W/\"v1\"\r\n", 304),
        ("/", "If-None-Match: \"v0\"\r\nif-none-match: \"v1\"\r\n", 304),
        ("/", "If-None-Match: *\r\n", 304),
        ("/", "If-None-Match: \"v0\"\r\n", 200),
        ("/", "If-Modified-Since: Sun, 06 Nov 1994 09:00:00 GMT\r\n", 304),
        ("/", "If-None-Match: \"v0\"\r\nIf-Modified-Since: Sun, 06 Nov 1994 09:00:00 GMT\r\n", 200),
        ("/dated", "If-None-Match: \"v1\"\r\n", 200),
        ("/dated", "If-None-Match: *\r\n", 304),
        ("/dated", "If-Modified-Since: Sun, 06 Nov 1994 08:00:00 GMT\r\n", 304),
    ] {
        let reply = stage.alike(path, condition).await;
        reply.is(status, if status == 200 { "page" } else { "" });
        assert_eq!(reply.field("age"), Some("0"));
        let has_length = reply.field("content-length").is_some();
        assert_eq!(has_length, status == 200, "{condition}");
    }
}

#[tokio::test]
async fn rules_of_a_site_hold_on_both_ways() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let rules = SiteCache {
        cookies: Some(names(&["lang"])),
        private_cookies: names(&["session"]),
        languages: ["en", "de"].map(HeaderValue::from_static).to_vec(),
        shows_keys: true,
        honours_clients: true,
        ..SiteCache::default()
    };
    let mut stage = Stage::ruled(&rules, None).await;
    let varying = "Cache-Control: max-age=60\r\nVary: Cookie, Accept-Language, Accept-Encoding\r\n";
    let german = "Cookie: lang=x; a=b\r\nAccept-Language: de-CH, fr\r\nAccept-Encoding: gzip\r\n";
    stage.fetch(&get("/", german), &ok(varying, "german")).await.is(200, "german");
    stage.fetch(&get("/", ""), &ok(varying, "other")).await.is(200, "other");
    let same = "Cookie: c=d\r\nCookie: lang=x\r\nAccept-Language: fr\r\n\
                accept-language: de;q=0.5\r\nAccept-Encoding: x-gzip, deflate\r\n";
    for (fields, body) in [(german, "german"), (same, "german"), ("", "other")] {
        let reply = stage.alike("/", fields).await;
        reply.is(200, body);
        reply.came("key=\"http://a.example/\"");
    }
    // No language that the site has is none at all.
    stage.alike("/", "Accept-Language: fr\r\nCookie: a=b\r\n").await.is(200, "other");
    for (private, body) in [(get("/", "Cookie: a=b; session=1\r\n"), "one"), {
        let fresh = format!("{german}Cache-Control: no-cache\r\n");
        (get("/", &fresh), "two")
    }] {
        stage.fetch(&private, &ok(varying, body)).await.is(200, body);
    }
}

/// Keys by path and the cookie `tier`, and remembers what it said once.
struct Remembering {
    inputs: Vec<Input>,
    known: parking_lot::Mutex<Vec<(RequestView, KeyDecision)>>,
    asked: AtomicUsize,
    remembered: AtomicUsize,
}

impl PagePolicy for Remembering {
    fn name(&self) -> &str {
        "remembering"
    }

    fn mark(&self) -> &str {
        "remembering"
    }

    fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    fn cache_key(&self, request: &RequestView) -> Result<KeyDecision, String> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let decision = match (request.path.as_str(), request.inputs.as_slice()) {
            ("/bypass", _) => KeyDecision::Bypass,
            ("/url", _) => KeyDecision::Default,
            (path, inputs) => {
                KeyDecision::Custom(Key::new(format!("{path}|{inputs:?}").as_bytes()).unwrap())
            }
        };
        self.known.lock().push((request.clone(), decision.clone()));
        Ok(decision)
    }

    fn remembered_key(&self, request: &RequestView) -> Option<KeyDecision> {
        let known = self.known.lock();
        known.iter().find(|(known, _)| known == request).map(|(_, decision)| decision.clone())
    }

    fn note_remembered(&self) {
        self.remembered.fetch_add(1, Ordering::SeqCst);
    }

    fn on_store<'a>(
        &'a self,
        _: &'a Key,
        _: &'a RequestView,
        _: &'a ResponseView,
    ) -> BoxFuture<'a, Result<Option<StoreDecision>, String>> {
        Box::pin(async { Ok(None) })
    }
}

#[tokio::test]
async fn a_remembered_key_is_used_without_asking_for_it() {
    let inputs = vec![
        Input::Cookie("tier".into()),
        Input::Header("accept-encoding".into()),
        Input::Header("x_odd".into()),
    ];
    let known = parking_lot::Mutex::default();
    let (asked, remembered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let policy = Arc::new(Remembering { inputs, known, asked, remembered });
    let mut stage = Stage::ruled(&SiteCache::default(), Some(Arc::clone(&policy) as _)).await;
    let asked = || policy.asked.load(Ordering::SeqCst);
    let remembered = || policy.remembered.load(Ordering::SeqCst);
    let fresh = "Cache-Control: max-age=60\r\n";
    let gold = "Cookie: tier=gold; a=b\r\nAccept-Encoding: x-gzip\r\n";
    stage.fetch(&get("/", gold), &ok(fresh, "gold")).await.is(200, "gold");
    stage.fetch(&get("/", ""), &ok(fresh, "plain")).await.is(200, "plain");
    stage.fetch(&get("/url", ""), &ok(fresh, "url")).await.is(200, "url");
    assert_eq!(remembered(), 0);
    let before = asked();
    // What ends here and how a coding is spelt make no other request of it.
    let again = "Cookie: a=c; tier=gold\r\nX_Odd: 1\r\nAccept-Encoding: gzip, deflate\r\n";
    for (path, fields, body) in
        [("/", gold, "gold"), ("/", again, "gold"), ("/", "", "plain"), ("/url", "", "url")]
    {
        stage.cached(&get(path, fields)).await.is(200, body);
    }
    assert_eq!((asked() - before, remembered()), (0, 4));
    stage.alike("/", again).await.is(200, "gold");
    assert_eq!((asked() - before, remembered()), (1, 5));
    let twice = "Cookie: tier=gold; tier=none\r\n";
    for (path, fields) in [("/bypass", ""), ("/", twice)] {
        for body in ["one", "two"] {
            stage.fetch(&get(path, fields), &ok(fresh, body)).await.is(200, body);
        }
    }
    assert_eq!(remembered(), 5);
}
