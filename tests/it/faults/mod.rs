//! The database fails while the server runs: what goes on, what is refused, what comes back.

mod postgres;
mod sqlite;

use serde_json::{Value, json};
use wasmcached_tests::origin::Response;
use wasmcached_tests::wait::{eventually, monotonic_ns};
use wasmcached_tests::{Origin, Server, Webhook, http, settings};

/// Within which a tier that fails says so, and one that works again is used again; the promise is
/// 5 s and 10 s, and the machine may be busy with other tests.
const DEGRADED_MS_MAX: u64 = 5_000 + SLACK_MS;
const RECOVERED_MS_MAX: u64 = 10_000 + SLACK_MS;
const SLACK_MS: u64 = 5_000;

/// Hits that are asked for while nothing is to be had from the database. Had each waited for it,
/// they would take minutes.
const HITS: u32 = 50;
const HITS_MS_MAX: u64 = 5_000;

/// A value that has a transaction of its own when there is nothing else to write.
const LARGE_BYTES: usize = 1 << 20;

/// How often it is tried to have nothing answer just when that is written.
const ATTEMPTS_MAX: u32 = 10;

/// Sets of one connection that nobody waits for; each leaves a key to be written.
const UNWRITTEN_KEYS: u64 = 2_000;

/// A server with a site and an item each that is kept, invalidated and overwritten.
struct Failing<'a> {
    server: Server,
    _origin: Origin,
    fail: &'a dyn Fn(),
    heal: &'a dyn Fn(),
}

impl<'a> Failing<'a> {
    /// Starts the server by `start`, which is given its settings, and fills it.
    fn new(start: impl FnOnce(&str) -> Server, fail: &'a dyn Fn(), heal: &'a dyn Fn()) -> Self {
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let origin = Origin::start(move |_| {
            let number = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            Response::cacheable(format!("rendering {number}"))
        });
        let server = start(&settings::trekking(&origin.url()));
        for path in ["/", "/treks/annapurna/", "/treks/langtang/"] {
            http::get(&server.page(path));
        }
        let mut connection = server.memcached();
        for item in ["kept", "deleted", "overwritten"] {
            assert_eq!(connection.set(item, "before"), "STORED");
        }
        assert_eq!(connection.ask("ms purged 6 Lusers\r\nbefore"), "HD");
        let filled = Self { server, _origin: origin, fail, heal };
        // Pages are written behind: what is to be lost has to be there.
        eventually("all is written", || filled.tier()["queued"] == 0);
        filled
    }

    fn tier(&self) -> Value {
        http::get(&self.server.api("/ready")).json()["parts"]["tier"].clone()
    }

    fn post_invalidation(&self, body: &Value) -> u16 {
        http::post_json(&self.server.api("/v1/invalidate"), body).status
    }

    /// Breaks the database, and waits until the server says so, with one of these reasons. The
    /// first that can't be durable is answered with this status.
    fn fail(&self, status: u16, reasons: &[&str]) {
        (self.fail)();
        let began = monotonic_ns();
        // What nobody writes does not fail.
        assert_eq!(self.post_invalidation(&json!({"tags": ["nobody"]})), status);
        eventually("it says that it is degraded", || self.tier()["status"] == "degraded");
        let taken_ms = (monotonic_ns() - began) / 1_000_000;
        assert!(taken_ms < DEGRADED_MS_MAX, "degraded after {taken_ms} ms");
        let why = self.tier()["why"].to_string();
        assert!(reasons.iter().any(|reason| why.contains(reason)), "{why}");
        let metrics = http::get(&self.server.api("/metrics")).text();
        assert!(metrics.contains("wasmcached_tier_degraded 1\n"), "{metrics}");
    }

    /// Memory goes on as if nothing were wrong, also with what it does not have.
    fn serves_from_memory(&self) {
        let began = monotonic_ns();
        let mut connection = self.server.memcached();
        for _ in 0..HITS {
            assert_eq!(connection.get("kept").as_deref(), Some(&b"before"[..]));
            assert!(http::get(&self.server.page("/treks/langtang/")).is_hit());
            assert_eq!(connection.get("never stored"), None);
        }
        assert_eq!(http::get(&self.server.page("/treks/manaslu/")).status, 200);
        assert!(http::get(&self.server.page("/treks/manaslu/")).is_hit());
        let taken_ms = (monotonic_ns() - began) / 1_000_000;
        assert!(taken_ms < HITS_MS_MAX, "{HITS} hits took {taken_ms} ms");
    }

    /// Whatever would have to be durable is refused, and in force all the same.
    fn refuses_what_cant_be_durable(&self) {
        let annapurna = self.server.page("/treks/annapurna/");
        let before = http::get(&annapurna).text();
        assert_eq!(Webhook::photo("annapurna").post(&self.server).status, 503);
        assert_ne!(http::get(&annapurna).text(), before);
        assert_eq!(self.post_invalidation(&json!({"tags": ["users"]})), 503);
        let mut connection = self.server.memcached();
        let refused = connection.ask("delete deleted");
        assert!(refused.starts_with("SERVER_ERROR invalidation is not durable"), "{refused}");
        let refused = connection.set("overwritten", "after");
        assert!(refused.starts_with("SERVER_ERROR database tier"), "{refused}");
        self.shows_nothing_old();
        assert_eq!(connection.get("overwritten").as_deref(), Some(&b"after"[..]));
    }

    /// Whatever would have to be durable is accepted, told to be not, and in force. The page that
    /// was made wrong, as it was.
    fn accepts_what_cant_be_durable(&self) -> String {
        let annapurna = self.server.page("/treks/annapurna/");
        let before = http::get(&annapurna).text();
        let accepted = |answer: http::Answer| (answer.status, answer.json()["durable"].clone());
        let event = Webhook::photo("annapurna").post(&self.server);
        assert_eq!(accepted(event), (200, json!(false)));
        assert_ne!(http::get(&annapurna).text(), before);
        let body = json!({"tags": ["users"]});
        let answer = http::post_json(&self.server.api("/v1/invalidate"), &body);
        assert_eq!(accepted(answer), (200, json!(false)));
        let mut connection = self.server.memcached();
        let url = self.server.cached("put");
        assert_eq!(accepted(http::send("PUT", &url, &[], b"value")), (200, json!(false)));
        let api = self.server.api("");
        let output = wasmcached_tests::server::run(&["set", "put", "value", "--server", &api]);
        let told: Value = serde_json::from_slice(&output.stdout).expect("it says so");
        assert_eq!((output.status.code(), &told["durable"]), (Some(0), &json!(false)));
        assert_eq!(accepted(http::send("DELETE", &url, &[], b"")), (200, json!(false)));
        assert_eq!(connection.ask("delete deleted"), "DELETED");
        assert_eq!(connection.set("overwritten", "after"), "STORED");
        self.shows_nothing_old();
        assert_eq!(connection.get("overwritten").as_deref(), Some(&b"after"[..]));
        before
    }

    /// What was invalidated or overwritten, acknowledged or not, is not there as it was before.
    fn shows_nothing_old(&self) {
        let mut connection = self.server.memcached();
        assert_eq!(connection.get("deleted"), None);
        assert_eq!(connection.get("purged"), None);
        assert_ne!(connection.get("overwritten").as_deref(), Some(&b"before"[..]));
    }

    /// What waits for the database is counted, and no more than there are keys.
    fn queues_within_a_bound(&self) {
        let before = self.tier()["queued"].as_u64().expect("a number");
        let mut connection = self.server.memcached();
        for round in 0..2 {
            let sets: String = (0..UNWRITTEN_KEYS)
                .map(|key| format!("set unwritten-{key} 0 0 1 noreply\r\n{round}\r\n"))
                .collect();
            connection.send(sets.as_bytes());
            assert_eq!(connection.ask("mn"), "MN");
        }
        let queued = self.tier()["queued"].as_u64().expect("a number");
        assert_eq!(queued - before, UNWRITTEN_KEYS);
    }

    /// Mends the database, and waits until the server uses it again.
    fn heal(&self) {
        (self.heal)();
        let began = monotonic_ns();
        eventually("it is no longer degraded", || self.tier()["status"] == "ok");
        let taken_ms = (monotonic_ns() - began) / 1_000_000;
        assert!(taken_ms < RECOVERED_MS_MAX, "recovered after {taken_ms} ms");
        eventually("all is written", || self.tier()["queued"] == 0);
    }

    /// After it was healed and killed: what was refused is in force, though nobody tried again.
    fn shows_nothing_old_after_a_kill(&mut self) {
        self.shows_nothing_old();
        self.server.kill();
        self.server.start_again();
        self.shows_nothing_old();
    }

    /// After it was healed: what is acknowledged now is kept, and nothing old is there, also after
    /// a kill.
    fn keeps_what_it_acknowledges(&mut self) {
        // The senders try again.
        assert_eq!(Webhook::photo("annapurna").post(&self.server).status, 200);
        assert_eq!(self.post_invalidation(&json!({"tags": ["users"]})), 200);
        assert_eq!(self.server.memcached().set("after", "stored"), "STORED");
        let invalid = http::get(&self.server.page("/treks/annapurna/")).text();
        assert_eq!(Webhook::photo("annapurna").post(&self.server).status, 200);
        self.server.kill();
        self.server.start_again();
        self.shows_nothing_old();
        let mut connection = self.server.memcached();
        assert_eq!(connection.get_kept("after"), b"stored");
        assert_eq!(connection.get_kept("kept"), b"before");
        assert_ne!(http::get(&self.server.page("/treks/annapurna/")).text(), invalid);
    }
}

/// A large value that is being written while nothing answers: nothing waits for it again.
fn large_value_is_left_out(server: &mut Server, fail: &dyn Fn(), heal: &dyn Fn()) {
    assert_eq!(server.memcached().set("small", "value"), "STORED");
    let tier = |server: &Server| http::get(&server.api("/v1/stats")).json()["tier"].clone();
    // Something that the writer does between batches may be what gets no answer; the value is then
    // written, and it is tried again.
    let is_left_out = (0..ATTEMPTS_MAX).any(|_| {
        fail();
        let refused = server.memcached().set("large", &"x".repeat(LARGE_BYTES));
        let reasons = ["no answer in", "no connection in"];
        let is_told = reasons.iter().any(|reason| refused.contains(reason));
        assert!(refused.starts_with("SERVER_ERROR database tier: ") && is_told, "{refused}");
        heal();
        eventually("the tier works again", || {
            let tier = tier(server);
            tier["degraded"] == Value::Null && tier["queued"] == 0
        });
        tier(server)["left_out"] != 0
    });
    assert!(is_left_out, "{}", server.log());
    assert!(server.memcached().get("large").is_some(), "memory keeps it");
    let body = json!({"tags": ["users"]});
    assert_eq!(http::post_json(&server.api("/v1/invalidate"), &body).status, 200);
    server.kill();
    server.start_again();
    assert_eq!(server.memcached().get("large"), None);
    assert_eq!(server.memcached().get_kept("small"), b"value");
    assert_eq!(server.memcached().set("large", &"x".repeat(LARGE_BYTES)), "STORED");
    assert_eq!(tier(server)["left_out"], 0);
}

/// What is shown of a database that can't be written for one of these reasons, and then can.
type Course = fn(&dyn Fn(&str) -> Server, &dyn Fn(), &dyn Fn(), &[&str]);

/// Where the operator wants what can't be durable refused.
fn outage(start: &dyn Fn(&str) -> Server, fail: &dyn Fn(), heal: &dyn Fn(), reasons: &[&str]) {
    let mut failing = Failing::new(start, fail, heal);
    failing.fail(503, reasons);
    failing.serves_from_memory();
    failing.refuses_what_cant_be_durable();
    failing.queues_within_a_bound();
    failing.heal();
    failing.shows_nothing_old_after_a_kill();
    failing.keeps_what_it_acknowledges();
}

/// Where the operator wants it accepted.
fn acceptance(start: &dyn Fn(&str) -> Server, fail: &dyn Fn(), heal: &dyn Fn(), reasons: &[&str]) {
    let accepting = "\n[tier]\nwhen_degraded = \"accept\"\n";
    let start = |settings: &str| start(&format!("{settings}{accepting}"));
    let mut failing = Failing::new(start, fail, heal);
    failing.fail(200, reasons);
    let wrong = failing.accepts_what_cant_be_durable();
    failing.heal();
    let answer = http::post_json(&failing.server.api("/v1/invalidate"), &json!({"tags": ["a"]}));
    assert_eq!((answer.status, &answer.json()["durable"]), (200, &Value::Null));
    // Nobody has sent anything again: what was accepted has been written.
    failing.shows_nothing_old_after_a_kill();
    let mut connection = failing.server.memcached();
    assert_eq!(connection.get_kept("overwritten"), b"after");
    assert_eq!(connection.get_kept("kept"), b"before");
    let annapurna = failing.server.page("/treks/annapurna/");
    assert_ne!(http::get(&annapurna).text(), wrong);
}
