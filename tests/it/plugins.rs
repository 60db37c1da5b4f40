//! Plugins that misbehave inside a server that has one core: what they do costs their own requests
//! the cache, and nobody else anything.
//!
//! # Invariants
//! - Counts are exact; times are not looked at, because the machine is shared.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use wasmcached_tests::origin::Response;
use wasmcached_tests::wait::eventually;
use wasmcached_tests::{Answer, Origin, Server, Webhook, http, server, settings};

/// Deadlines that a busy machine does not reach by accident, and that a loop reaches soon.
const LIMITS: &str = "key_timeout = \"200ms\"\nstore_timeout = \"2s\"\nevent_timeout = \"200ms\"\n";

fn settings_of(origin: &str, plugin: &str) -> String {
    format!(
        "{}\n[pages]\nlisten = \"127.0.0.1:0\"\n\n{plugin}\n\
         [[sites]]\nname = \"shop\"\norigin = \"{origin}\"\nplugin = \"hostile\"\n\n\
         [[sources]]\nname = \"trekking\"\nverify = \"standard\"\nsecrets = [\"{}\"]\n\
         plugin = \"hostile\"\n",
        settings::plain(),
        settings::SECRET,
    )
}

fn hostile(more: &str) -> String {
    let file = server::guest("wasmcached_guest_hostile.wasm");
    format!(
        "[plugins.hostile]\nfile = \"{}\"\n{more}\n[plugins.hostile.limits]\n{LIMITS}",
        file.display()
    )
}

/// The server on one core, and an origin whose pages are tagged as the model `shop.product`.
fn on_one_core() -> (Origin, Server) {
    on_one_core_with(&hostile(""))
}

fn on_one_core_with(plugin: &str) -> (Origin, Server) {
    let origin = Origin::start(|request| {
        Response::cacheable(format!("page {}", request.target))
            .with("surrogate-key", "model:shop.product")
    });
    let settings = settings_of(&origin.url(), plugin);
    let server = Server::start_by(&["taskset", "--cpu-list", "0"], &settings);
    (origin, server)
}

fn ask(server: &Server, path: &str, mode: &str) -> Answer {
    let answer = http::send("GET", &server.page(path), &[("x-mode", mode)], b"");
    assert_eq!((answer.status, answer.text()), (200, format!("page {path}")), "{mode}");
    answer
}

fn described(server: &Server) -> Value {
    let mut listed = http::get(&server.api("/v1/plugins")).json();
    listed["plugins"][0].take()
}

fn calls(server: &Server, hook: &str, outcome: &str) -> Value {
    let plugin = described(server);
    let mut calls = plugin["calls"].as_array().expect("calls").iter();
    let found = calls.find(|call| call["hook"] == hook && call["outcome"] == outcome);
    found.expect("a count")["count"].clone()
}

#[test]
fn endless_loops_on_one_core_cost_their_own_requests_the_cache_and_nobody_else_anything() {
    let (origin, server) = on_one_core();
    assert_eq!(server.memcached().set("k", "v"), "STORED");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut client, mut reads) = (server.memcached(), 0);
            while !is_over.load(Ordering::Relaxed) || reads == 0 {
                assert_eq!(client.get("k").as_deref(), Some(b"v".as_slice()));
                reads += 1;
            }
        });
        for _ in 0..4 {
            assert!(!ask(&server, "/a", "spin").is_hit());
        }
        is_over.store(true, Ordering::Relaxed);
        reader.join().expect("reads go on");
    });
    // What had no key was not stored under any.
    assert_eq!(origin.count("/a"), 4);
    assert!(!ask(&server, "/a", "behave").is_hit());
    // A store asks for the key of the bare URL too, so that a purge of it finds the page.
    let before = calls(&server, "cache-key", "ok").as_u64().expect("a number");
    assert!(ask(&server, "/a", "behave").is_hit());
    assert_eq!(calls(&server, "cache-key", "ok"), before + 1);
    assert_eq!(calls(&server, "cache-key", "timeout"), 4);
    assert_eq!(described(&server)["status"], "ok");
}

#[test]
fn a_plugin_that_nobody_will_ask_is_told_at_the_start_and_one_for_items_is_shown_as_such() {
    let rules = "[plugins.rules.config.rules]\nitems = [{ prefix = \"a:\", tags = [\"a\"] }]\n";
    let server = Server::start(&format!("{}\n[plugins.trekking]\n{rules}", settings::plain()));
    let log = server.log();
    let told = log.lines().filter(|line| line.contains("it is never asked")).collect::<Vec<_>>();
    assert!(matches!(told.as_slice(), [one] if one.contains("trekking")), "{log}");
    let hooks = |name: &str| {
        let listed = http::get(&server.api("/v1/plugins")).json();
        let plugins = listed["plugins"].as_array().expect("a list").clone();
        plugins.into_iter().find(|plugin| plugin["name"] == name).expect("listed")["hooks"].take()
    };
    assert_eq!(hooks("rules")["on_item"], true);
    assert_eq!(hooks("trekking")["on_item"], false);
}

#[test]
fn a_plugin_that_fails_again_and_again_is_shown_as_degraded_and_its_requests_pass() {
    let (origin, server) = on_one_core();
    for _ in 0..5 {
        ask(&server, "/a", "trap");
    }
    for n in 6..=8 {
        assert!(!ask(&server, "/a", "behave").is_hit());
        assert_eq!(origin.count("/a"), n);
    }
    let plugin = described(&server);
    assert_eq!(
        (&plugin["status"], &plugin["incidents"]["degraded"]),
        (&json!("degraded"), &json!(1))
    );
    assert_eq!(calls(&server, "cache-key", "trap"), 5);
    assert_eq!(calls(&server, "cache-key", "degraded"), 3);
    let ready = http::get(&server.api("/ready")).json();
    let shown = json!([{ "name": "hostile", "status": "degraded" }]);
    assert_eq!((&ready["status"], &ready["parts"]["plugins"]), (&json!("ready"), &shown));
    let metrics = http::get(&server.api("/metrics")).text();
    assert!(metrics.contains("plugin_degraded{plugin=\"hostile\"} 1"), "{metrics}");
}

#[test]
fn an_event_that_its_plugin_loops_over_leaves_nothing_valid_that_it_may_have_meant() {
    let (_origin, server) = on_one_core();
    ask(&server, "/a", "behave");
    assert!(ask(&server, "/a", "behave").is_hit());
    let change = json!({"model": "shop.product", "pk": 5, "op": "update", "mode": "spin"});
    let data = json!({"source": "trekking", "events": [change]});
    let timestamp = "2026-01-02T03:04:05Z";
    let body = json!({"type": "model.changed", "timestamp": timestamp, "data": data});
    let answer = Webhook::of_body(body.to_string()).post(&server);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!ask(&server, "/a", "behave").is_hit(), "served from before the event");
    assert_eq!(calls(&server, "on-event", "timeout"), 3);
}

#[test]
fn endless_loops_while_storing_leave_pages_and_items_unstored_and_other_items_alone() {
    let settings = "config.mode = \"spin\"\nconfig.prefix = \"spin:\"";
    let (origin, server) = on_one_core_with(&hostile(settings).replace("2s", "200ms"));
    let mut client = server.memcached();
    for number in 1..=2 {
        assert!(!ask(&server, "/a", "behave").is_hit());
        eventually("the loop over the page ends", || {
            calls(&server, "on-store", "timeout") == number
        });
        assert_eq!(client.set("spin:1", "x"), "NOT_STORED");
        assert_eq!(calls(&server, "on-item", "timeout"), json!(number));
        assert_eq!((client.get("spin:1"), client.set("other", "x").as_str()), (None, "STORED"));
    }
    assert_eq!(origin.count("/a"), 2, "stored though nobody said how");
    for hook in ["on-store", "on-item"] {
        assert_eq!(calls(&server, hook, "ok"), json!(0), "{hook}");
    }
    assert_eq!(described(&server)["status"], "ok");
}

#[test]
fn a_component_that_is_not_the_pinned_one_keeps_the_server_from_starting() {
    let pinned = hostile(&format!("sha256 = \"{}\"", "0".repeat(64)));
    let output = server::serve_to_its_end(&settings_of("http://127.0.0.1:9", &pinned), &[]);
    assert_eq!(output.status.code(), Some(64));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("plugins.hostile: the component has sha256 "), "{told}");
    assert!(told.contains(&format!("pinned is {}", "0".repeat(64))), "{told}");
}
