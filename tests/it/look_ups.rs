//! Look-ups of plugins in the cache: what is computed from an entry is no newer than it, and ends
//! with it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use wasmcached_tests::components::guest;
use wasmcached_tests::origin::Response;
use wasmcached_tests::wait::eventually;
use wasmcached_tests::{Answer, Origin, Server, Webhook, http, settings};

/// A site and a source with the plugin `looking`, whose time does not run out on a busy machine.
struct Stage {
    /// Listens for as long as this lives.
    origin: Origin,
    server: Server,
    events: u32,
}

impl Stage {
    fn new() -> Self {
        Self::with(|settings| settings)
    }

    fn with(change: impl Fn(String) -> String) -> Self {
        let origin = Origin::start(|request| Response::cacheable(format!("of {}", request.target)));
        let shipped = settings::trekking(&origin.url());
        let shipped = shipped.replace("plugin = \"trekking\"", "plugin = \"looking\"");
        let limits = "limits = { key_timeout = \"1s\", store_timeout = \"10s\", \
                      event_timeout = \"60s\" }";
        let section = format!("[plugins.looking]\nfile = \"{{dir}}/looking.wasm\"\n{limits}\n");
        let settings = shipped.replace("[plugins.trekking]\n", &section);
        let mut server = Server::prepare(&change(settings));
        std::fs::write(server.dir().join("looking.wasm"), guest("looking")).unwrap();
        server.try_launch(&wasmcached_tests::server::binary(), &[]).unwrap();
        let mut stage = Self { origin, server, events: 0 };
        // The first event of a source only removes.
        stage.event("any.thing", json!({}));
        stage
    }

    /// The next event of the source.
    fn delivery(&mut self, model: &str, after: Value) -> Webhook {
        self.events += 1;
        let change = json!({"model": model, "pk": 1, "op": "update", "after": after});
        let data = json!({"source": "trekking", "seq": self.events, "events": [change]});
        Webhook::of_body(json!({"type": "model.changed", "data": data}).to_string())
    }

    /// Posts the next event of the source.
    #[track_caller]
    fn event(&mut self, model: &str, after: Value) -> Answer {
        let answer = self.delivery(model, after).post(&self.server);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    }

    /// What the last event did.
    fn last_event(&self) -> Value {
        http::get(&self.server.api("/v1/events?limit=1")).json()["events"][0].clone()
    }

    #[track_caller]
    fn put(&self, key: &str, value: &str, tags: &str) {
        let url = self.server.cached(key);
        let fields = [("surrogate-key", tags)];
        let fields = if tags.is_empty() { &[] } else { fields.as_slice() };
        let answer = http::send("PUT", &url, fields, value.as_bytes());
        assert!((200..300).contains(&answer.status), "{} {}", answer.status, answer.text());
    }

    #[track_caller]
    fn purge(&self, tag: &str) {
        let purge = json!({"tags": [tag]});
        assert_eq!(http::post_json(&self.server.api("/v1/invalidate"), &purge).status, 200);
    }

    fn get(&self, key: &str) -> Option<String> {
        let value = self.server.memcached().get(key);
        value.map(|value| String::from_utf8(value).unwrap())
    }

    fn tags(&self, key: &str) -> Vec<String> {
        let tags = http::get(&self.server.cached(key)).field("surrogate-key").to_owned();
        let mut tags: Vec<String> = tags.split(' ').map(str::to_owned).collect();
        tags.sort();
        tags
    }
}

#[test]
fn value_computed_from_an_entry_has_its_tags_and_ends_with_them() {
    let mut stage = Stage::new();
    stage.put("list", "a", "lists all");
    stage.event("look.copy", json!({"from": "list", "to": "copy"}));
    assert_eq!(stage.get("copy").as_deref(), Some("flags 0, ttl false: a"));
    assert_eq!(stage.tags("copy"), ["all", "lists", "plugin:looking/1"]);
    assert_eq!(stage.last_event()["puts_refused"], 0);
    stage.purge("lists");
    assert_eq!(stage.get("copy"), None, "it was computed from what was invalidated");
    stage.event("look.copy", json!({"from": "list", "to": "copy"}));
    assert_eq!(stage.get("copy"), None, "there is nothing to compute it from");
}

#[test]
fn value_computed_from_what_its_own_event_ends_is_not_written() {
    let mut stage = Stage::new();
    stage.put("list", "a", "lists");
    stage.put("copy", "the one before", "");
    let after = json!({"from": "list", "to": "copy", "ended": "lists"});
    stage.event("look.copy-of-ended", after.clone());
    assert_eq!((stage.get("copy"), stage.get("list")), (None, None));
    let told = stage.last_event();
    assert_eq!((&told["puts"], &told["puts_refused"]), (&json!(1), &json!(1)));
    assert_eq!(told["decisions"][0]["actions"][0], "put copy from list");
    // Of something else it is.
    stage.put("list", "a", "others");
    stage.event("look.copy-of-ended", after);
    assert_eq!(stage.get("copy").as_deref(), Some("flags 0, ttl false: a"));
}

#[test]
fn value_is_no_newer_than_what_it_was_computed_from() {
    let mut stage = Stage::new();
    stage.put("list", "a", "lists");
    // The list may be of before the prices changed; nobody has said that it depends on them.
    stage.purge("prices");
    let after = json!({"from": "list", "to": "copy", "tag": "prices"});
    stage.event("look.copy", after.clone());
    assert_eq!(stage.get("copy"), None, "prices of before the purge");
    assert_eq!(stage.last_event()["puts_refused"], 1);
    stage.put("list", "b", "lists");
    stage.event("look.copy", after);
    assert_eq!(stage.get("copy").as_deref(), Some("flags 0, ttl false: b"));
    assert_eq!(stage.tags("copy"), ["lists", "plugin:looking/1", "prices"]);
}

#[test]
fn value_of_an_event_is_as_old_as_the_head_of_its_delivery() {
    let mut stage = Stage::new();
    stage.put("list", "a", "lists");
    let copy = json!({"from": "list", "to": "copy"});
    let mut slow = SlowDelivery::begin(&stage.delivery("look.copy", copy.clone()), &stage.server);
    // The value may have been read before that.
    stage.purge("prices");
    assert_eq!(slow.end(), "HTTP/1.1 200 OK");
    assert_eq!(stage.get("copy"), None);
    assert_eq!(stage.last_event()["puts_refused"], 1);
    let mut slow = SlowDelivery::begin(&stage.delivery("look.copy", copy), &stage.server);
    assert_eq!(slow.end(), "HTTP/1.1 200 OK");
    assert!(stage.get("copy").is_some());
}

/// A delivery whose body is sent long after its head.
struct SlowDelivery {
    stream: BufReader<TcpStream>,
    body: Vec<u8>,
}

impl SlowDelivery {
    /// Ends when the server has begun to read the body.
    fn begin(webhook: &Webhook, server: &Server) -> Self {
        let url = server.api("/v1/events/trekking");
        let authority = url.strip_prefix("http://").unwrap().split('/').next().unwrap();
        let mut stream = TcpStream::connect(authority).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let (id, at_s, signature) = (&webhook.id, webhook.timestamp_s, webhook.signature());
        write!(
            stream,
            "POST /v1/events/trekking HTTP/1.1\r\nHost: {authority}\r\nExpect: 100-continue\r\n\
             Content-Length: {}\r\nwebhook-id: {id}\r\nwebhook-timestamp: {at_s}\r\n\
             webhook-signature: {signature}\r\n\r\n",
            webhook.body.len()
        )
        .unwrap();
        let mut slow = Self { stream: BufReader::new(stream), body: webhook.body.clone() };
        assert_eq!(slow.line(), "HTTP/1.1 100 Continue");
        assert_eq!(slow.line(), "");
        slow
    }

    /// Sends the body; returns the status line.
    fn end(&mut self) -> String {
        self.stream.get_mut().write_all(&self.body).unwrap();
        self.line()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

#[test]
fn value_that_replaces_what_it_was_computed_from_is_written() {
    let mut stage = Stage::new();
    stage.put("list", "a", "lists");
    stage.event("look.copy", json!({"from": "list", "to": "list"}));
    assert_eq!(stage.get("list").as_deref(), Some("flags 0, ttl false: a"));
    stage.purge("lists");
    assert_eq!(stage.get("list"), None);
}

#[test]
fn what_was_computed_ends_for_good_also_over_a_kill() {
    let mut stage = Stage::with(|settings| settings::with_tier(&settings));
    stage.put("list", "a", "lists");
    stage.put("base", "b", "bases");
    for (from, to) in [("list", "copy-of-list"), ("base", "copy-of-base")] {
        stage.event("look.copy", json!({"from": from, "to": to}));
        assert!(stage.get(to).is_some(), "{to}");
    }
    stage.purge("lists");
    stage.server.kill();
    stage.server.start_again();
    assert_eq!(stage.get("copy-of-list"), None);
    assert_eq!(stage.get("copy-of-base").as_deref(), Some("flags 0, ttl false: b"));
    stage.purge("bases");
    assert_eq!(stage.get("copy-of-base"), None);
}

#[test]
fn page_and_item_that_were_tagged_by_look_ups_end_with_what_was_looked_up() {
    let stage = Stage::new();
    stage.put("tags:/a", "red,blue", "map");
    stage.put("tags:look:1", "green", "map");
    let page = stage.server.page("/a");
    eventually("the page is kept", || http::get(&page).is_hit());
    let asked = stage.origin.count("/a");
    assert_eq!(stage.tags(&page), ["blue", "map", "plugin:looking/1", "red"]);
    assert_eq!(stage.server.memcached().set("look:1", "x"), "STORED");
    assert_eq!(stage.tags("look:1"), ["green", "map", "plugin:looking/1"]);
    stage.purge("map");
    assert_eq!(stage.get("look:1"), None);
    assert!(!http::get(&page).is_hit(), "its tags may be others now");
    assert_eq!(stage.origin.count("/a"), asked + 1);
}

#[test]
fn item_of_which_two_plugins_declare_the_prefix_has_the_tags_of_both() {
    let rules = "[plugins.rules]\nlimits = { store_timeout = \"10s\" }\n\
                 [plugins.rules.config.rules]\n\
                 items = [{ prefix = \"look:\", ttl_s = 60, tags = [\"fragments\"] }]\n";
    let stage = Stage::with(|settings| format!("{settings}\n{rules}"));
    stage.put("tags:look:1", "green", "");
    for tag in ["green", "fragments"] {
        assert_eq!(stage.server.memcached().set("look:1", "x"), "STORED");
        let tags = ["fragments", "green", "plugin:looking/1", "plugin:rules/1"];
        assert_eq!(stage.tags("look:1"), tags);
        let described = http::get(&stage.server.cached("look:1"));
        assert!(described.field("cache-control").starts_with("max-age="), "{described:?}");
        stage.purge(tag);
        assert_eq!(stage.get("look:1"), None, "{tag}");
    }
}

#[test]
fn page_can_be_looked_at_and_names_what_carries_its_tags() {
    let mut stage = Stage::new();
    stage.put("tags:/b", "red", "");
    let page = stage.server.page("/b");
    eventually("the page is kept", || http::get(&page).is_hit());
    stage.event("look.copy", json!({"from": page, "to": "copy"}));
    assert_eq!(stage.get("copy").as_deref(), Some("flags 0, ttl true: of /b"));
    stage.put("other", "x", "red");
    stage.event("look.tags", json!({"from": page}));
    assert_eq!((stage.get("other"), stage.get("copy")), (None, None));
}

#[test]
fn look_up_for_a_key_is_refused_and_the_request_goes_past_the_cache() {
    let stage = Stage::new();
    for _ in 0..2 {
        let answer = http::get(&stage.server.page("/key-looks"));
        assert_eq!((answer.status, answer.is_hit()), (200, false));
        assert!(answer.field("cache-status").contains("fwd=bypass"), "{answer:?}");
    }
    let log = stage.server.log();
    assert!(log.contains("look-ups are for on-store, on-item and on-event"), "{log}");
}

#[test]
fn look_ups_beyond_the_limit_are_an_error_that_names_it() {
    let mut stage = Stage::new();
    stage.event("look.often", json!({"times": 32}));
    assert_eq!(stage.last_event()["fallbacks"], 0);
    stage.event("look.often", json!({"times": 33}));
    assert_eq!(stage.last_event()["fallbacks"], 1);
    let log = stage.server.log();
    assert!(log.contains("33 look-ups in one call; limit is 32"), "{log}");
}

#[test]
fn value_that_is_too_large_to_be_looked_at_is_an_error_that_names_it() {
    let mut stage = Stage::with(|settings| format!("max_item_size = \"4MiB\"\n{settings}"));
    stage.put("large", &"x".repeat(1024 * 1024 + 1), "");
    stage.event("look.copy", json!({"from": "large", "to": "copy"}));
    assert_eq!(stage.last_event()["fallbacks"], 1);
    let log = stage.server.log();
    assert!(log.contains("is 1048577 bytes; limit is 1048576"), "{log}");
}
