//! The promise: after an event is acknowledged, no read that starts later is older than it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use wasmcached_tests::origin::{Gate, Response};
use wasmcached_tests::raw::Wire;
use wasmcached_tests::{Origin, Server, Webhook, http, settings};

const PATH: &str = "/treks/annapurna/";

/// An origin whose first answer is "old" and is held at the gate; every later one is "new".
fn held_origin(gate: &Gate) -> Origin {
    let (gate, asked) = (gate.clone(), Arc::new(AtomicUsize::new(0)));
    Origin::start(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => {
            gate.pass();
            Response::cacheable("old")
        }
        _ => Response::cacheable("new"),
    })
}

/// Starts a fill, acknowledges an event while it runs, lets it end, then runs `check`.
fn after_an_event_during_a_fill(check: impl FnOnce(&Server, &str)) {
    let gate = Gate::closed();
    let origin = held_origin(&gate);
    let server = Server::start(&settings::trekking(&origin.url()));
    let url = server.page(PATH);
    std::thread::scope(|scope| {
        let fill = scope.spawn(|| http::get(&url));
        gate.wait_until_reached_by(1);
        assert_eq!(Webhook::photo("annapurna").post(&server).status, 200);
        gate.open();
        // It asked before the event: either answer is right for it.
        assert_eq!(fill.join().unwrap().status, 200);
    });
    check(&server, &url);
}

#[test]
fn fill_in_flight_during_an_event_is_not_served_as_a_page_afterwards() {
    after_an_event_during_a_fill(|_, url| {
        for _ in 0..2 {
            assert_eq!(http::get(url).text(), "new");
        }
    });
}

#[test]
fn fill_in_flight_during_an_event_is_not_served_by_memcached_afterwards() {
    after_an_event_during_a_fill(|server, url| {
        assert_eq!(server.memcached().get(url), None);
    });
}

#[test]
fn fill_in_flight_during_an_event_is_not_served_by_the_api_afterwards() {
    after_an_event_during_a_fill(|server, url| {
        assert_eq!(http::get(&server.cached(url)).status, 404);
    });
}

#[test]
fn item_stored_during_a_fill_of_its_page_is_not_replaced_by_that_page() {
    for with in [str::to_owned, settings::with_tier] {
        let gate = Gate::closed();
        let origin = held_origin(&gate);
        let server = Server::start(&with(&settings::trekking(&origin.url())));
        let url = server.page(PATH);
        std::thread::scope(|scope| {
            let fill = scope.spawn(|| http::get(&url));
            gate.wait_until_reached_by(1);
            assert_eq!(server.memcached().set(&url, "stored meanwhile"), "STORED");
            gate.open();
            assert_eq!(fill.join().unwrap().status, 200);
        });
        assert_eq!(server.memcached().get(&url).as_deref(), Some(&b"stored meanwhile"[..]));
    }
}

#[test]
fn visitor_who_comes_after_the_event_never_gets_the_fill_begun_before_it() {
    let gate = Gate::closed();
    let origin = held_origin(&gate);
    let server = Server::start(&settings::trekking(&origin.url()));
    let url = server.page(PATH);
    std::thread::scope(|scope| {
        let early = scope.spawn(|| http::get(&url));
        gate.wait_until_reached_by(1);
        assert_eq!(Webhook::photo("annapurna").post(&server).status, 200);
        let late: Vec<_> = (0..8).map(|_| scope.spawn(|| http::get(&url))).collect();
        gate.open();
        early.join().unwrap();
        for request in late {
            assert_eq!(request.join().unwrap().text(), "new");
        }
    });
}

#[test]
fn invalidation_by_any_target_during_a_fill_refuses_it() {
    for target in ["tags", "keys", "urls", "prefixes", "everything"] {
        let gate = Gate::closed();
        let origin = held_origin(&gate);
        let server = Server::start(&settings::trekking(&origin.url()));
        let url = server.page(PATH);
        let body = match target {
            "tags" => json!({"tags": ["trek:annapurna"]}),
            "everything" => json!({"everything": true}),
            "prefixes" => json!({"prefixes": [server.page("/treks/")]}),
            named => json!({named: [url]}),
        };
        std::thread::scope(|scope| {
            let fill = scope.spawn(|| http::get(&url));
            gate.wait_until_reached_by(1);
            let answer = http::post_json(&server.api("/v1/invalidate"), &body);
            assert_eq!(answer.status, 200, "{target}: {}", answer.text());
            gate.open();
            fill.join().unwrap();
        });
        assert_eq!(http::get(&url).text(), "new", "{target}");
    }
}

#[test]
fn set_after_a_miss_is_refused_when_the_key_was_invalidated_in_between() {
    let server = Server::start(&settings::plain());
    let mut connection = server.memcached();
    assert_eq!(connection.get("row"), None);
    let body = json!({"keys": ["row"]});
    assert_eq!(http::post_json(&server.api("/v1/invalidate"), &body).status, 200);
    assert_eq!(connection.set("row", "old"), "NOT_STORED");
    assert_eq!(server.memcached().get("row"), None);
    assert_eq!(connection.get("row"), None);
    assert_eq!(connection.set("row", "new"), "STORED");
    assert_eq!(server.memcached().get("row").unwrap(), b"new");
}

/// Begins a PUT and says half of its value; returns it and what it is to be sent yet.
fn begin_put(server: &Server, key: &str, fields: &str) -> (Wire, &'static str) {
    let mut put = Wire::connect(server.address("api"));
    put.send(format!(
        "PUT /v1/cache/{key} HTTP/1.1\r\nHost: x\r\nSurrogate-Key: red\r\n{fields}\
         Content-Length: 8\r\nExpect: 100-continue\r\n\r\n"
    ));
    assert!(put.read_head().starts_with("HTTP/1.1 100 "), "the value is asked for");
    put.send("old ");
    (put, "data")
}

#[test]
fn value_that_was_being_put_during_an_invalidation_is_refused() {
    let server = Server::start(&settings::plain());
    for wrong in [json!({"tags": ["red"]}), json!({"keys": ["k"]}), json!({"everything": true})] {
        let (mut put, rest) = begin_put(&server, "k", "");
        let answer = http::post_json(&server.api("/v1/invalidate"), &wrong);
        assert_eq!(answer.status, 200, "{}", answer.text());
        put.send(rest);
        let head = put.read_head();
        assert!(head.starts_with("HTTP/1.1 409 "), "{wrong}: {head}");
        assert_eq!(http::get(&server.cached("k")).status, 404);
    }
    // Of what is there any value will do, so that this one may be older.
    let (mut put, rest) = begin_put(&server, "k", "If-Match: *\r\n");
    http::post_json(&server.api("/v1/invalidate"), &json!({"keys": ["k"]}));
    http::send("PUT", &server.cached("k"), &[], b"new");
    put.send(rest);
    assert!(put.read_head().starts_with("HTTP/1.1 409 "));
    assert_eq!(http::get(&server.cached("k")).text(), "new");
}

#[test]
fn value_that_was_being_put_during_an_invalidation_of_others_is_stored() {
    let server = Server::start(&settings::plain());
    let (mut put, rest) = begin_put(&server, "k", "");
    http::post_json(&server.api("/v1/invalidate"), &json!({"tags": ["blue"], "keys": ["other"]}));
    put.send(rest);
    let head = put.read_head();
    assert!(head.starts_with("HTTP/1.1 204 "), "{head}");
    assert_eq!(http::get(&server.cached("k")).text(), "old data");
}
