//! The HTTP API over the same memory.

use serde_json::{Value, json};
use wasmcached_tests::{Server, http, settings};

#[test]
fn value_is_put_read_described_and_deleted() {
    let server = Server::start(&settings::plain());
    let url = server.cached("a key/with é?");
    assert_eq!(http::get(&url).status, 404);
    let fields = [("surrogate-key", "red blue"), ("cache-control", "max-age=600")];
    let put = http::send("PUT", &url, &fields, b"value");
    assert_eq!(put.status, 204, "{}", put.text());
    let read = http::get(&url);
    assert_eq!((read.status, read.text().as_str()), (200, "value"));
    assert_eq!(read.field("etag"), put.field("etag"));
    let head = http::send("HEAD", &url, &[], b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
    let deleted = http::send("DELETE", &url, &[], b"");
    assert_eq!((deleted.status, &deleted.json()["affected"]), (200, &json!(1)));
    assert_eq!(http::get(&url).status, 404);
}

#[test]
fn value_of_one_protocol_is_read_and_replaced_by_the_other() {
    let server = Server::start(&settings::plain());
    http::send("PUT", &server.cached("shared"), &[], b"from http");
    assert_eq!(server.memcached().get("shared").unwrap(), b"from http");
    assert_eq!(server.memcached().set("shared", "from memcached"), "STORED");
    assert_eq!(http::get(&server.cached("shared")).text(), "from memcached");
}

#[test]
fn put_with_the_etag_of_another_value_is_refused() {
    let server = Server::start(&settings::plain());
    let url = server.cached("k");
    let first = http::send("PUT", &url, &[], b"one").field("etag").to_owned();
    let second = http::send("PUT", &url, &[("if-match", &first)], b"two");
    assert_eq!(second.status, 204, "{}", second.text());
    assert_eq!(http::send("PUT", &url, &[("if-match", &first)], b"three").status, 412);
    assert_eq!(http::send("PUT", &url, &[("if-none-match", "*")], b"four").status, 412);
    assert_eq!(http::get(&url).text(), "two");
}

#[test]
fn tag_invalidates_what_carries_it_and_explain_names_the_cause() {
    let server = Server::start(&settings::plain());
    for (key, tags) in [("a", "red"), ("b", "red blue"), ("c", "blue")] {
        http::send("PUT", &server.cached(key), &[("surrogate-key", tags)], b"v");
    }
    let answer = http::post_json(&server.api("/v1/invalidate"), &json!({"tags": ["red"]}));
    assert_eq!((answer.status, &answer.json()["affected"]), (200, &json!(2)));
    let statuses = ["a", "b", "c"].map(|key| http::get(&server.cached(key)).status);
    assert_eq!(statuses, [404, 404, 200]);
    let explained = http::get(&server.api("/v1/explain?key=a")).json();
    assert_eq!(explained["state"], "invalidated", "{explained}");
    assert_eq!(explained["invalidated_by"]["source"], "api", "{explained}");
    assert_eq!(explained["invalidated_by"]["sequence"], answer.json()["sequence"]);
}

#[test]
fn dry_run_counts_what_would_become_invalid_and_invalidates_nothing() {
    let server = Server::start(&settings::plain());
    for (key, tag) in [("p:1", "red"), ("p:2", "blue"), ("q", "red")] {
        let tags = [("surrogate-key", tag)];
        assert!(http::send("PUT", &server.cached(key), &tags, b"v").status < 300);
    }
    let dry = server.api("/v1/invalidate?dry_run=true");
    let answer = http::post_json(&dry, &json!({"tags": ["red"], "prefixes": ["p:"]}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let shown =
        |kind: &str, name: &str| json!({"kind": kind, "name": name, "mode": "hard", "affected": 2});
    let targets = json!([shown("tag", "red"), shown("prefix", "p:")]);
    assert_eq!(answer.json(), json!({"dry_run": true, "affected": 3, "targets": targets}));
    assert_eq!(server.memcached().get("p:1").unwrap(), b"v");
    assert_eq!(http::post_json(&dry, &json!({})).status, 400);
    let prefixes = json!({"prefixes": ["p:"]});
    let answer = http::post_json(&server.api("/v1/invalidate"), &prefixes);
    assert_eq!(answer.json()["affected"], 2);
    assert_eq!(server.memcached().get("p:1"), None);
}

#[test]
fn what_an_invalidation_names_twice_counts_once() {
    let server = Server::start(&settings::plain());
    http::send("PUT", &server.cached("a"), &[("surrogate-key", "red")], b"v");
    let twice = json!({"tags": ["red", "red"], "keys": ["b", "b"], "mode": "soft"});
    let preview = http::post_json(&server.api("/v1/invalidate?dry_run=true"), &twice).json();
    assert_eq!(preview["affected"], 1, "{preview}");
    let targets: Vec<_> = preview["targets"].as_array().unwrap().iter().collect();
    let counts: Vec<_> = targets.iter().map(|t| (&t["name"], &t["affected"])).collect();
    assert_eq!(counts, [(&json!("red"), &json!(1)), (&json!("b"), &json!(0))]);
    let answer = http::post_json(&server.api("/v1/invalidate"), &twice).json();
    assert_eq!(answer["affected"], 1, "{answer}");
}

#[test]
fn explain_shows_what_memcached_clients_are_told() {
    let server = Server::start(&settings::plain());
    let mut memcached = server.memcached();
    let explained = || http::get(&server.api("/v1/explain?key=k")).json();
    assert_eq!(memcached.set("k", "v"), "STORED");
    assert_eq!(memcached.get("k").unwrap(), b"v");
    let before = explained();
    let entry = &before["entries"][0];
    assert_eq!((&before["state"], &entry["stale"]), (&json!("cached"), &json!(false)), "{before}");
    assert_eq!((&entry["fetched"], &entry["recache_won"]), (&json!(true), &json!(false)));
    assert_eq!(memcached.ask("md k I"), "HD");
    let after = explained();
    let entry = &after["entries"][0];
    assert_eq!((&after["state"], &entry["stale"]), (&json!("stale"), &json!(true)), "{after}");
}

#[test]
fn listing_goes_on_where_its_cursor_says() {
    let server = Server::start(&settings::plain());
    for n in 0..7 {
        http::send("PUT", &server.cached(&format!("list:{n}")), &[], b"v");
    }
    // Not UTF-8, and shown alike.
    for key in ["list:%FD", "list:%FE", "list:%FF"] {
        http::send("PUT", &server.api(&format!("/v1/cache/{key}")), &[], b"v");
    }
    http::send("PUT", &server.cached("other"), &[], b"v");
    for limit in [1, 3] {
        let mut keys = Vec::new();
        let mut cursor = String::new();
        for _ in 0..20 {
            let page = server.api(&format!("/v1/cache?prefix=list:&limit={limit}{cursor}"));
            let listing = http::get(&page).json();
            let listed = listing["keys"].as_array().unwrap();
            keys.extend(listed.iter().map(|key| key["key"].as_str().unwrap().to_owned()));
            cursor = match &listing["cursor"] {
                Value::Null => break,
                Value::String(next) => format!("&cursor={}", http::percent_encode(next)),
                other => format!("&cursor_base64={}", other["base64"].as_str().unwrap()),
            };
        }
        let shown = (0..7).map(|n| format!("list:{n}"));
        let shown = shown.chain(std::iter::repeat_n("list:\u{fffd}".to_owned(), 3));
        assert_eq!(keys, shown.collect::<Vec<_>>());
    }
}

#[test]
fn errors_are_json_that_says_what_is_wrong() {
    let server = Server::start(&settings::plain());
    let too_long = "k".repeat(9_000);
    let too_large = vec![b'v'; 1024 * 1024 + 1];
    let json_type = [("content-type", "application/json")];
    let invalidate = server.api("/v1/invalidate");
    for (answer, status) in [
        (http::get(&server.api("/nowhere")), 404),
        (http::get(&server.cached(&too_long)), 400),
        (http::send("PUT", &server.cached("k"), &[], &too_large), 413),
        (http::send("PUT", &server.cached("k"), &[("cache-control", "x")], b"v"), 400),
        (http::send("POST", &invalidate, &json_type, b"{"), 400),
        (http::send("POST", &invalidate, &json_type, b"{}"), 400),
        (http::send("POST", &invalidate, &json_type, b"{\"tagz\":[]}"), 400),
        (http::send("POST", &invalidate, &[("origin", "http://evil.example")], b"{}"), 403),
        (http::send("DELETE", &server.api("/v1/events"), &[], b""), 405),
        (http::get(&server.api("/v1/events?limit=0")), 400),
        (http::get(&server.api("/v1/events?limit=x")), 400),
        (http::get(&server.api("/v1/explain")), 400),
    ] {
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.json()["error"].as_str().is_some_and(|text| !text.is_empty()));
    }
}

#[test]
fn operators_can_see_that_it_lives_and_what_it_does() {
    let server = Server::start(&settings::plain());
    assert_eq!(server.memcached().set("k", "v"), "STORED");
    for path in ["/live", "/ready", "/v1/stats", "/v1/plugins", "/openapi.json"] {
        let answer = http::get(&server.api(path));
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.json().is_object(), "{path}");
    }
    assert_eq!(http::get(&server.api("/v1/stats")).json()["memory"]["keys"], 1);
    let metrics = http::get(&server.api("/metrics")).text();
    assert!(metrics.trim_end().ends_with("# EOF"), "{metrics}");
    let described = http::get(&server.api("/openapi.json")).json();
    for route in ["/v1/cache/{key}", "/v1/events/{source}", "/v1/invalidate", "/v1/explain"] {
        assert!(described["paths"][route].is_object(), "{route}");
    }
}
