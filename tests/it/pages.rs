//! The page cache in front of a scripted origin.

use wasmcached_tests::origin::{Gate, Response};
use wasmcached_tests::{Origin, Server, http, settings};

fn server_for(origin: &Origin) -> Server {
    Server::start(&settings::trekking(&origin.url()))
}

#[test]
fn second_request_is_served_from_the_cache_with_its_age() {
    let origin = Origin::start(|_| Response::cacheable("page"));
    let server = server_for(&origin);
    let first = http::get(&server.page("/"));
    assert_eq!((first.status, first.text().as_str()), (200, "page"));
    assert!(!first.is_hit() && first.field("cache-status").contains("fwd="), "{first:?}");
    let second = http::get(&server.page("/"));
    assert!(second.is_hit(), "{second:?}");
    assert_eq!(second.text(), "page");
    assert!(second.field("age").parse::<u64>().is_ok(), "{second:?}");
    assert_eq!(origin.count("/"), 1);
}

#[test]
fn page_is_read_by_memcached_and_by_the_api_under_its_url() {
    let origin = Origin::start(|_| Response::cacheable("page").with("content-type", "text/html"));
    let server = server_for(&origin);
    let url = server.page("/treks/annapurna/?a=1");
    http::get(&url);
    assert_eq!(server.memcached().get(&url).unwrap(), b"page");
    let answer = http::get(&server.cached(&url));
    assert_eq!((answer.status, answer.text().as_str()), (200, "page"));
    assert_eq!(answer.field("content-type"), "text/html");
}

#[test]
fn what_must_not_be_stored_is_fetched_each_time() {
    let origin = Origin::start(|request| {
        let page = Response::new(200, "page");
        match request.target.as_str() {
            "/no-store" => page.with("cache-control", "no-store"),
            "/private" => page.with("cache-control", "private, max-age=60"),
            "/cookie" => page.with("cache-control", "max-age=60").with("set-cookie", "a=1"),
            "/vary" => page.with("cache-control", "max-age=60").with("vary", "*"),
            _ => page,
        }
    });
    let server = server_for(&origin);
    for path in ["/no-store", "/private", "/cookie", "/vary", "/silent"] {
        for _ in 0..2 {
            assert!(!http::get(&server.page(path)).is_hit(), "{path}");
        }
        assert_eq!(origin.count(path), 2, "{path}");
        assert_eq!(http::get(&server.cached(&server.page(path))).status, 404, "{path}");
    }
}

#[test]
fn requests_for_one_cold_page_reach_the_origin_once() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |_| {
        held.pass();
        Response::cacheable("page")
    });
    let server = server_for(&origin);
    let url = server.page("/");
    std::thread::scope(|scope| {
        let requests: Vec<_> = (0..20).map(|_| scope.spawn(|| http::get(&url))).collect();
        gate.wait_until_reached_by(1);
        gate.open();
        for request in requests {
            assert_eq!(request.join().unwrap().text(), "page");
        }
    });
    assert_eq!(origin.count("/"), 1);
}

#[test]
fn client_that_has_the_page_gets_304_without_the_origin() {
    let origin = Origin::start(|_| Response::cacheable("page").with("etag", "\"v1\""));
    let server = server_for(&origin);
    let url = server.page("/");
    http::get(&url);
    let answer = http::send("GET", &url, &[("if-none-match", "\"v0\", W/\"v1\"")], b"");
    assert_eq!((answer.status, answer.body.len()), (304, 0));
    assert_eq!(answer.field("etag"), "\"v1\"");
    assert_eq!(http::send("HEAD", &url, &[], b"").status, 200);
    assert_eq!(origin.count("/"), 1);
}

#[test]
fn post_reaches_the_origin_and_invalidates_its_url() {
    let origin = Origin::start(|request| match request.method.as_str() {
        "POST" => Response::new(303, "").with("location", "/"),
        _ => Response::cacheable("page"),
    });
    let server = server_for(&origin);
    let url = server.page("/");
    http::get(&url);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(http::send("POST", &url, &form, b"a=1").status, 303);
    assert!(!http::get(&url).is_hit());
    let posted = origin.requests().into_iter().find(|request| request.method == "POST").unwrap();
    assert_eq!(posted.body, b"a=1");
}

#[test]
fn plugin_drops_campaign_parameters_from_the_key() {
    let origin = Origin::start(|_| Response::cacheable("page"));
    let server = server_for(&origin);
    http::get(&server.page("/?a=1&utm_source=x"));
    assert!(http::get(&server.page("/?utm_source=y&a=1")).is_hit());
    assert!(!http::get(&server.page("/?a=2")).is_hit());
}

#[test]
fn origin_that_is_gone_is_answered_502_and_not_remembered() {
    let origin = Origin::start(|_| Response::cacheable("page"));
    let url = origin.url();
    drop(origin);
    // The listener's thread may hold the socket a moment longer than its owner.
    let address = url.strip_prefix("http://").unwrap().to_owned();
    wasmcached_tests::wait::eventually("the origin is closed", || {
        std::net::TcpStream::connect(&address).is_err()
    });
    let server = Server::start(&settings::trekking(&url));
    for _ in 0..2 {
        let answer = http::get(&server.page("/"));
        assert_eq!(answer.status, 502, "{answer:?}");
        assert!(!answer.is_hit());
    }
}
