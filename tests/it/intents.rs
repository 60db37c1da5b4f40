//! Changes that are announced by an `intent` and ended by a `commit`: nothing in between is served
//! from memory or kept, by any protocol.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use wasmcached_tests::origin::{Gate, Response};
use wasmcached_tests::wait::eventually;
use wasmcached_tests::{Answer, Database, Origin, Server, Webhook, http, settings};

const TREK: &str = "/treks/annapurna/";
const OTHER: &str = "/treks/langtang/";

/// Longer than any test takes.
const NEVER_MS: u64 = 60_000;

fn settings_with_timeout(origin: &Origin, timeout_ms: u64) -> String {
    format!("{}intent_timeout_ms = {timeout_ms}\n", settings::trekking(&origin.url()))
}

/// An origin whose pages show how often something was saved.
fn origin() -> (Origin, Arc<AtomicU64>) {
    let saved = Arc::new(AtomicU64::new(0));
    let shown = Arc::clone(&saved);
    let origin = Origin::start(move |_| {
        Response::cacheable(format!("version {}", shown.load(Ordering::SeqCst)))
    });
    (origin, saved)
}

fn photo_of(trek: &str) -> Value {
    json!([{"model": "treks.photo", "pk": 5, "op": "update",
            "before": {"trek": trek}, "after": {"trek": trek}}])
}

fn post(server: &Server, data: &Value) -> Answer {
    Webhook::of_body(json!({"type": "model.changed", "data": data}).to_string()).post(server)
}

/// Announces a change of a trek's photo.
#[track_caller]
fn announce(server: &Server, intent: &str, trek: &str) {
    let data = json!({"phase": "intent", "intent": intent, "events": photo_of(trek)});
    let answer = post(server, &data);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["intent"], "open");
}

/// Ends it without a change of its own; returns what is told of the intent.
#[track_caller]
fn commit(server: &Server, intent: &str) -> Value {
    let answer = post(server, &json!({"phase": "commit", "intent": intent}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["intent"].clone()
}

/// Has a page stored; also where a busy machine makes the plugin miss its deadline at first.
#[track_caller]
fn store(server: &Server, path: &str) {
    eventually("the page is stored", || http::get(&server.page(path)).is_hit());
}

/// Whether the page is kept when it is asked for.
#[track_caller]
fn is_kept(server: &Server, path: &str) -> bool {
    http::get(&server.page(path));
    http::get(&server.page(path)).is_hit()
}

fn has_timed_out(server: &Server) -> bool {
    http::get(&server.api("/metrics")).text().contains("intents_timed_out_total 1\n")
}

#[test]
fn between_intent_and_commit_its_pages_are_passed_through_and_others_served() {
    let (origin, saved) = origin();
    let server = Server::start(&settings_with_timeout(&origin, NEVER_MS));
    for path in [TREK, OTHER] {
        store(&server, path);
    }
    announce(&server, "tx 1", "annapurna");
    assert!(http::get(&server.api("/metrics")).text().contains("wasmcached_intents 1\n"));
    for n in 1..4 {
        saved.fetch_add(1, Ordering::SeqCst);
        let answer = http::get(&server.page(TREK));
        assert!(!answer.is_hit() && answer.text() == format!("version {n}"), "{answer:?}");
        assert_eq!(server.memcached().get(&server.page(TREK)), None);
        assert_eq!(http::get(&server.cached(&server.page(TREK))).status, 404);
    }
    assert!(http::get(&server.page(OTHER)).is_hit());
    assert_eq!(commit(&server, "tx 1"), "committed");
    store(&server, TREK);
    assert!(http::get(&server.api("/metrics")).text().contains("wasmcached_intents 0\n"));
    let listed = http::get(&server.api("/v1/events")).json();
    let outcomes = [1, 0].map(|n| listed["events"][n]["outcome"].clone());
    assert_eq!(outcomes, [json!("announced"), json!("applied")], "{listed}");
    assert_eq!(listed["events"][1]["intent"], "tx 1");
}

#[test]
fn items_with_an_announced_tag_are_refused_until_the_commit() {
    let (origin, _) = origin();
    let server = Server::start(&settings_with_timeout(&origin, NEVER_MS));
    let tagged = [("surrogate-key", "trek:annapurna")];
    let put = || http::send("PUT", &server.cached("item"), &tagged, b"value");
    assert!(put().status < 300);
    announce(&server, "tx", "annapurna");
    assert_eq!(server.memcached().get("item"), None);
    let refused = put();
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert_eq!(server.memcached().set("other", "value"), "STORED");
    commit(&server, "tx");
    assert!(put().status < 300);
    assert_eq!(server.memcached().get("item").unwrap(), b"value");
}

#[test]
fn page_that_was_asked_for_before_the_commit_is_not_kept_after_it() {
    let gate = Gate::closed();
    let origin = {
        let gate = gate.clone();
        Origin::start(move |_| {
            gate.pass();
            Response::cacheable("from within the transaction")
        })
    };
    let server = Server::start(&settings_with_timeout(&origin, NEVER_MS));
    announce(&server, "tx", "annapurna");
    std::thread::scope(|scope| {
        let fill = scope.spawn(|| http::get(&server.page(TREK)));
        gate.wait_until_reached_by(1);
        commit(&server, "tx");
        gate.open();
        assert_eq!(fill.join().unwrap().status, 200);
    });
    assert!(!http::get(&server.page(TREK)).is_hit());
    store(&server, TREK);
}

#[test]
fn who_waits_for_an_announced_page_gets_one_of_its_own() {
    let gate = Gate::closed();
    let origin = {
        let gate = gate.clone();
        Origin::start(move |_| {
            gate.pass();
            Response::cacheable("page")
        })
    };
    let server = Server::start(&settings_with_timeout(&origin, NEVER_MS));
    announce(&server, "tx", "annapurna");
    std::thread::scope(|scope| {
        let clients = [(); 2].map(|()| scope.spawn(|| http::get(&server.page(TREK))));
        gate.wait_until_reached_by(1);
        let metrics = || http::get(&server.api("/metrics")).text();
        eventually("the other waits", || metrics().contains("pages_waiting 1\n"));
        gate.open();
        for client in clients {
            assert_eq!(client.join().unwrap().status, 200);
        }
    });
    assert_eq!(origin.count(TREK), 2);
}

#[test]
fn tag_of_two_intents_opens_with_the_second_commit() {
    let (origin, _) = origin();
    let server = Server::start(&settings_with_timeout(&origin, NEVER_MS));
    announce(&server, "one", "annapurna");
    announce(&server, "two", "annapurna");
    // Said once more, as after a lost answer.
    announce(&server, "two", "annapurna");
    assert_eq!(commit(&server, "one"), "committed");
    assert!(!is_kept(&server, TREK));
    assert_eq!(commit(&server, "two"), "committed");
    store(&server, TREK);
}

#[test]
fn commit_purges_what_its_own_changes_name_too() {
    let (origin, _) = origin();
    let server = Server::start(&settings_with_timeout(&origin, NEVER_MS));
    store(&server, OTHER);
    announce(&server, "tx", "annapurna");
    let moved = json!({"phase": "commit", "intent": "tx", "events": photo_of("langtang")});
    let answer = post(&server, &moved);
    assert_eq!((answer.status, &answer.json()["intent"]), (200, &json!("committed")));
    assert!(!http::get(&server.page(OTHER)).is_hit());
    store(&server, TREK);
}

#[test]
fn intent_without_its_commit_ends_in_time_and_a_late_commit_still_purges() {
    let (origin, _) = origin();
    let server = Server::start(&settings_with_timeout(&origin, 300));
    announce(&server, "tx", "annapurna");
    eventually("the intent has timed out", || has_timed_out(&server));
    store(&server, TREK);
    assert!(server.log().contains("no commit in time"), "{}", server.log());
    assert_eq!(commit(&server, "tx"), "timed_out");
    assert!(!http::get(&server.page(TREK)).is_hit());
}

#[test]
fn commit_purges_all_that_its_intent_ever_named_also_where_it_timed_out_and_was_announced_anew() {
    let (origin, _) = origin();
    let server = Server::start(&settings_with_timeout(&origin, 300));
    announce(&server, "tx", "annapurna");
    eventually("the intent has timed out", || has_timed_out(&server));
    announce(&server, "tx", "langtang");
    // Before the commit, and nothing that is shut now.
    store(&server, TREK);
    commit(&server, "tx");
    assert!(!http::get(&server.page(TREK)).is_hit());
}

#[test]
fn commit_of_an_unknown_intent_is_an_ordinary_event() {
    let (origin, _) = origin();
    let server = Server::start(&settings_with_timeout(&origin, NEVER_MS));
    store(&server, TREK);
    let empty = post(&server, &json!({"phase": "commit", "intent": "tx"}));
    assert_eq!(empty.status, 409, "{}", empty.text());
    assert!(http::get(&server.page(TREK)).is_hit());
    let data = json!({"phase": "commit", "intent": "tx", "events": photo_of("annapurna")});
    let answer = post(&server, &data);
    assert_eq!((answer.status, &answer.json()["intent"]), (200, &json!("unknown")));
    assert!(!http::get(&server.page(TREK)).is_hit());
}

#[test]
fn commit_that_is_sent_again_is_answered_alike() {
    let (origin, _) = origin();
    let server = Server::start(&settings_with_timeout(&origin, NEVER_MS));
    announce(&server, "tx", "annapurna");
    let data = json!({"phase": "commit", "intent": "tx"});
    let webhook = Webhook::of_body(json!({"data": data}).to_string());
    for _ in 0..2 {
        assert_eq!(webhook.post(&server).json()["intent"], "committed");
    }
    // Another delivery of the same.
    assert_eq!(commit(&server, "tx"), "committed");
}

fn intent_outlives_a_kill_until_its_commit(database: &Database) {
    let (origin, _) = origin();
    let settings = database.below(&settings_with_timeout(&origin, NEVER_MS));
    let mut server = Server::start(&settings);
    announce(&server, "tx", "annapurna");
    server.kill();
    server.start_again();
    assert!(!is_kept(&server, TREK));
    store(&server, OTHER);
    assert_eq!(commit(&server, "tx"), "committed");
    store(&server, TREK);
    server.kill();
    server.start_again();
    store(&server, TREK);
}

fn intent_that_outlived_a_kill_ends_in_time(database: &Database) {
    let (origin, _) = origin();
    let settings = database.below(&settings_with_timeout(&origin, 2_000));
    let mut server = Server::start(&settings);
    announce(&server, "tx", "annapurna");
    server.kill();
    server.start_again();
    eventually("the intent has timed out", || has_timed_out(&server));
    store(&server, TREK);
    assert_eq!(commit(&server, "tx"), "timed_out");
}

#[test]
fn time_beyond_its_limit_and_half_an_intent_are_refused() {
    let (origin, _) = origin();
    let settings = settings_with_timeout(&origin, 60_001);
    let output = wasmcached_tests::server::serve_to_its_end(&settings, &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    let expected = "sources[0].intent_timeout_ms: is 60001; 1 to 60000 are allowed";
    assert!(!output.status.success() && said.contains(expected), "{said}");
    let server = Server::start(&settings_with_timeout(&origin, NEVER_MS));
    let half = post(&server, &json!({"phase": "intent", "events": photo_of("annapurna")}));
    assert_eq!(half.status, 400);
    assert!(half.text().contains("must come together"), "{}", half.text());
}

wasmcached_tests::over_both_databases! {
    intent_outlives_a_kill_until_its_commit,
    intent_that_outlived_a_kill_ends_in_time,
}
