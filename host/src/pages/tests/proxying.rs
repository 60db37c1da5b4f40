//! What passes between visitors and origins, and what is refused.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::stage::{Stage, get, ok, request};
use crate::cache::{Cache, CacheConfig, Recovered, WhenFull};
use crate::clock::Clock;
use crate::pages::{Pages, Scheme, Settings, Site, SiteError};
use crate::tasks::Tasks;

#[tokio::test]
async fn the_origin_is_told_who_asks_and_nothing_that_the_client_made_up() {
    let mut stage = Stage::new().await;
    let fields = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Host: evil\r\nX-Original-URL: /admin\r\n\
        TE: trailers\r\nUpgrade: websocket\r\nX-Own: 1\r\n";
    let client = stage.client();
    let (reply, ()) = tokio::join!(client.send(get("/%2e/a?b", fields)), async {
        let exchange = stage.asked().await;
        assert_eq!(exchange.line(), "GET /%2e/a?b HTTP/1.1");
        assert_eq!(exchange.field("host"), Some("a.example"));
        assert_eq!(exchange.field("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(exchange.field("x-forwarded-host"), Some("a.example"));
        assert_eq!(exchange.field("x-own"), Some("1"));
        assert!(exchange.field("via").is_some_and(|via| via.starts_with("1.1 wasmcached-")));
        for gone in ["x-original-url", "te", "upgrade"] {
            assert_eq!(exchange.field(gone), None, "{gone}");
        }
        let fields = "Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n";
        exchange.reply(&ok(fields, "x")).await;
    });
    reply.is(200, "x");
    assert_eq!((reply.field("x-hop"), reply.field("keep-alive")), (None, None));
}

#[tokio::test]
async fn a_request_that_comes_back_is_refused() {
    let mut stage = Stage::new().await;
    let client = stage.client();
    let (_, via) = tokio::join!(client.send(get("/", "")), async {
        let exchange = stage.asked().await;
        let via = exchange.field("via").unwrap().to_owned();
        exchange.reply(&ok("", "x")).await;
        via
    });
    let looped = stage.cached(&get("/", &format!("Via: 1.0 other, {via}\r\n"))).await;
    assert_eq!(looped.status, 508);
}

#[tokio::test]
async fn odd_requests_are_refused_without_asking_the_origin() {
    let mut stage = Stage::new().await;
    let close = "Connection: close\r\n\r\n";
    let rows = [
        (format!("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n{close}"), 400),
        (format!("GET / HTTP/1.1\r\n{close}"), 400),
        (format!("GET / HTTP/1.1\r\nHost: a/b\r\n{close}"), 400),
        (format!("GET https://a/ HTTP/1.1\r\nHost: a\r\n{close}"), 400),
        (format!("OPTIONS * HTTP/1.1\r\nHost: a\r\n{close}"), 400),
        (request("TRACE", "/", ""), 405),
        (request("TRACE", "/", "Max-Forwards: 1\r\n"), 405),
        (request("GET", "/", "Cache-Control: only-if-cached\r\n"), 504),
        (request("GET", "/", &"X: y\r\n".repeat(200)), 431),
        (request("GET", "/", "Transfer-Encoding: x\r\n"), 400),
    ];
    for (raw, status) in rows {
        assert_eq!(stage.cached(&raw).await.status, status, "{raw}");
    }
}

#[tokio::test]
async fn an_options_request_goes_no_further_than_it_may() {
    let mut stage = Stage::new().await;
    let client = stage.client();
    let near = client.send(request("OPTIONS", "/", "Max-Forwards: 3\r\n"));
    let (reply, ()) = tokio::join!(near, async {
        let exchange = stage.asked().await;
        assert_eq!(exchange.field("max-forwards"), Some("2"));
        exchange.reply(&ok("Allow: GET\r\n", "")).await;
    });
    assert_eq!((reply.status, reply.field("allow")), (200, Some("GET")));
    let last = stage.cached(&request("OPTIONS", "/", "Max-Forwards: 0\r\n")).await;
    assert_eq!((last.status, last.is_whole), (200, true));
    last.came("detail=max-forwards");
}

#[tokio::test]
async fn an_absolute_target_is_one_page_with_its_plain_form() {
    let mut stage = Stage::new().await;
    let absolute =
        "GET http://a.example/p HTTP/1.1\r\nHost: b.example\r\nConnection: close\r\n\r\n";
    let client = stage.client();
    let (reply, ()) = tokio::join!(client.send(absolute), async {
        let exchange = stage.asked().await;
        assert_eq!(exchange.field("host"), Some("a.example"));
        exchange.reply(&ok("Cache-Control: max-age=60\r\n", "a")).await;
    });
    reply.is(200, "a");
    stage.cached(&get("/p", "")).await.is(200, "a");
}

#[tokio::test]
async fn a_get_with_a_body_passes_and_is_not_stored() {
    let mut stage = Stage::new().await;
    let fat = get("/", "Content-Length: 3\r\n") + "fat";
    let reply = stage.fetch(&fat, &ok("Cache-Control: max-age=60\r\n", "echo fat")).await;
    reply.is(200, "echo fat");
    reply.came("detail=request-body");
    stage.fetch(&get("/", ""), &ok("", "plain")).await.is(200, "plain");
}

#[tokio::test]
async fn an_origin_that_is_down_is_answered_for_and_told_nothing_of() {
    // An address of its own: nobody else is given the port.
    let free = TcpListener::bind("127.0.9.203:0").await.unwrap();
    let dead = free.local_addr().unwrap();
    drop(free);
    let config =
        CacheConfig { memory_bytes: 1 << 20, item_bytes_max: 1024, when_full: WhenFull::Evict };
    let cache = Cache::new(config, Clock::manual(0), None, Recovered::default());
    let origin = format!("http://{dead}").parse().unwrap();
    let rules = crate::config::SiteCache::default();
    let origins = vec![origin];
    let site = Site {
        name: "dead".into(),
        host: None,
        origins,
        check: None,
        policy: None,
        rules,
        items: None,
    };
    let tasks = Tasks::default();
    let pages =
        Pages::new(cache, tasks.clone(), Settings::default(), vec![site], Scheme::Http).unwrap();
    let listener = crate::net::Listener::tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let crate::net::Bound::Tcp(address) = *listener.bound() else { panic!("bound to TCP") };
    tasks.spawn(crate::pages::serve(listener, pages));
    let reply = super::stage::Client::at(address).send(get("/", "")).await;
    assert_eq!((reply.status, reply.is_whole), (502, true));
    reply.came("detail=origin-unreachable");
    assert!(!reply.body.contains(&dead.port().to_string()), "{}", reply.body);
}

#[tokio::test]
async fn an_origin_that_is_silent_is_given_up() {
    let settings = Settings { head_timeout_ms: 20, ..Settings::default() };
    let stage = Stage::with(settings, None).await;
    let reply = stage.client().send(get("/", "")).await;
    assert_eq!(reply.status, 504);
    reply.came("detail=origin-timeout");
}

#[tokio::test]
async fn a_body_that_goes_silent_is_cut_off_whether_or_not_it_is_stored() {
    let settings = Settings { body_idle_timeout_ms: 20, ..Settings::default() };
    let mut stage = Stage::with(settings, None).await;
    let (page, action) = (get("/", ""), request("POST", "/", "Content-Length: 0\r\n"));
    for (asked, control) in [(&page, "max-age=60"), (&page, "private"), (&action, "no-store")] {
        let client = stage.client();
        let mut held = None;
        let (reply, ()) = tokio::join!(client.send(asked), async {
            let mut exchange = stage.asked().await;
            let fields = format!("Cache-Control: {control}\r\nContent-Length: 8");
            exchange.write(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nhalf")).await;
            held = Some(exchange);
        });
        assert_eq!((reply.body.as_str(), reply.is_whole), ("half", false), "{asked} {control}");
        drop(held);
    }
}

#[tokio::test]
async fn a_connection_closed_by_the_origin_meanwhile_is_not_the_visitors_loss() {
    let mut stage = Stage::new().await;
    stage.fetch(&get("/a", ""), &ok("", "a")).await.is(200, "a");
    let client = stage.client();
    let (reply, ()) = tokio::join!(client.send(get("/b", "")), async {
        // The pooled connection ends at the moment it is used.
        drop(stage.asked().await);
        stage.asked().await.reply(&ok("", "b")).await;
    });
    reply.is(200, "b");
    assert_eq!(stage.pages.metrics().origin_requests.get(), 3, "the repeated one counts");
}

#[tokio::test]
async fn connections_over_the_limit_are_told_so() {
    let settings = Settings { connections_max: 1, ..Settings::default() };
    let mut stage = Stage::with(settings, None).await;
    let client = stage.client();
    let (held, refused) = tokio::join!(client.send(get("/", "")), async {
        let exchange = stage.asked().await;
        let mut stream = client.connect().await;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        exchange.reply(&ok("", "x")).await;
        text
    });
    held.is(200, "x");
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert_eq!(stage.pages.metrics().refused_connections.get(), 1);
}

#[tokio::test]
async fn stopping_lets_the_request_under_way_finish() {
    let mut stage = Stage::new().await;
    let client = stage.client();
    let tasks = stage.pages.shared.tasks.clone();
    let (reply, ()) = tokio::join!(client.send(get("/", "")), async {
        let exchange = stage.asked().await;
        let answered = async {
            exchange.reply(&ok("", "x")).await;
        };
        tokio::join!(tasks.stop(Duration::from_millis(50)), answered);
    });
    reply.is(200, "x");
}

#[tokio::test]
async fn urls_are_explained_as_they_are_looked_up() {
    let stage = Stage::new().await;
    let key = stage.pages.explain_url("http://A.example:80/p?q").unwrap();
    assert_eq!(key.as_bytes(), b"http://a.example/p?q");
    let key = stage.pages.explain_url("https://a.example/p?q#top").unwrap();
    assert_eq!(key.as_bytes(), b"http://a.example/p?q");
    assert!(stage.pages.explain_url("/p").is_err());
}

#[tokio::test]
async fn sites_that_can_not_be_served_are_refused() {
    let stage = Stage::new().await;
    let site = |name: &str, host: Option<&str>, origin: &str| Site {
        rules: crate::config::SiteCache::default(),
        items: None,
        name: name.into(),
        host: host.map(Into::into),
        origins: vec![origin.parse().unwrap()],
        check: None,
        policy: None,
    };
    let check = |sites| {
        let (cache, tasks) = (stage.cache.clone(), Tasks::default());
        Pages::new(cache, tasks, Settings::default(), sites, Scheme::Http).err()
    };
    for origin in ["https://a/", "http://a/path", "/path", "http://a/?q"] {
        let error = check(vec![site("s", None, origin)]);
        assert!(matches!(error, Some(SiteError::Origin { .. })), "{origin}");
    }
    let error = check(vec![site("s", Some("a b"), "http://a")]);
    assert!(matches!(error, Some(SiteError::Host { .. })));
    let twice = vec![site("s", Some("h"), "http://a"), site("t", Some("H:80"), "http://a")];
    assert!(matches!(check(twice), Some(SiteError::Twice { .. })));
    let origin = format!("http://{}", stage.origin);
    assert_eq!(check(vec![site("s", None, &origin), site("t", Some("h"), &origin)]), None);
}
