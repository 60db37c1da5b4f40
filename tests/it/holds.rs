//! Sources with `hold_ms`: an event is applied again, for origins that read from lagging replicas.

use serde_json::{Value, json};
use wasmcached_tests::origin::{Gate, Response};
use wasmcached_tests::server::run;
use wasmcached_tests::wait::eventually;
use wasmcached_tests::{Database, Origin, Server, Webhook, http, settings};

const PATH: &str = "/treks/annapurna/";

/// Longer than some requests take, also where one of them is held up.
const HOLD_MS: u64 = 5_000;

/// Longer than any test takes.
const NEVER_MS: u64 = 600_000;

fn settings_with_hold(origin: &Origin, hold_ms: u64) -> String {
    format!("{}hold_ms = {hold_ms}\n", settings::trekking(&origin.url()))
}

fn plain_origin() -> Origin {
    Origin::start(|_| Response::cacheable("page"))
}

fn is_applied_again(server: &Server) -> bool {
    http::get(&server.api("/metrics")).text().contains("events_held_applied_total 1\n")
}

#[test]
fn held_event_is_applied_again_and_refuses_the_fill_that_began_before_that() {
    let gate = Gate::closed();
    let origin = {
        let gate = gate.clone();
        Origin::start(move |request| {
            if request.target == PATH {
                gate.pass();
            }
            Response::cacheable("of a lagging replica")
        })
    };
    let server = Server::start(&settings_with_hold(&origin, HOLD_MS));
    assert_eq!(Webhook::photo("annapurna").post(&server).status, 200);
    // The list of all treks is stored after the event, and before its second time.
    http::get(&server.page("/"));
    assert!(http::get(&server.page("/")).is_hit());
    std::thread::scope(|scope| {
        let fill = scope.spawn(|| http::get(&server.page(PATH)));
        gate.wait_until_reached_by(1);
        eventually("the event is applied again", || is_applied_again(&server));
        gate.open();
        assert_eq!(fill.join().unwrap().status, 200);
    });
    assert!(!http::get(&server.page(PATH)).is_hit());
    assert!(!http::get(&server.page("/")).is_hit());
    let explained = http::get(&server.api(&format!("/v1/explain?url={}", server.page("/")))).json();
    assert_eq!(explained["invalidated_by"]["source"], "trekking", "{explained}");
    let events = http::get(&server.api("/v1/events")).json();
    assert_eq!(events["events"][0]["hold_ms"], HOLD_MS);
}

fn held_event_is_applied_before_an_orderly_end(database: &Database) {
    let origin = plain_origin();
    let mut server = Server::start(&database.below(&settings_with_hold(&origin, NEVER_MS)));
    assert_eq!(Webhook::photo("annapurna").post(&server).status, 200);
    for path in [PATH, "/queue/"] {
        http::get(&server.page(path));
    }
    server.restart();
    assert!(!http::get(&server.page(PATH)).is_hit());
    assert!(http::get_kept(&server.page("/queue/")).is_hit());
}

fn held_event_is_applied_again_also_after_a_kill(database: &Database) {
    let origin = plain_origin();
    let mut server = Server::start(&database.below(&settings_with_hold(&origin, NEVER_MS)));
    assert_eq!(Webhook::photo("annapurna").post(&server).status, 200);
    http::get(&server.page(PATH));
    let queued = || http::get(&server.api("/v1/stats")).json()["tier"]["queued"].clone();
    eventually("the page is in the database", || queued() == json!(0));
    assert!(!is_applied_again(&server));
    server.kill();
    // It waits, or its time has come at the start.
    server.change_setting(&format!("hold_ms = {NEVER_MS}"), "hold_ms = 3000");
    server.start_again();
    eventually("the event is applied again", || is_applied_again(&server));
    assert!(!http::get(&server.page(PATH)).is_hit());
}

fn held_event_is_applied_again_also_above_the_database_it_was_moved_to(database: &Database) {
    let origin = plain_origin();
    let mut server = Server::start(&database.below(&settings_with_hold(&origin, NEVER_MS)));
    let old = database.of(&server);
    assert_eq!(Webhook::photo("annapurna").post(&server).status, 200);
    http::get(&server.page(PATH));
    let queued = || http::get(&server.api("/v1/stats")).json()["tier"]["queued"].clone();
    eventually("the page is in the database", || queued() == json!(0));
    server.kill();
    let dir = tempfile::tempdir().unwrap();
    let lines = dir.path().join("lines.jsonl");
    eventually("nobody has the database any more", || {
        let exported = run(&["tier", "export", "--database", old.address()]);
        assert!(exported.status.success(), "{exported:?}");
        std::fs::write(&lines, exported.stdout).unwrap();
        String::from_utf8_lossy(&exported.stderr).contains("\"sealed\":true")
    });
    let new = Database::at(&format!("sqlite://{}", dir.path().join("new.db").display()));
    let imported = run(&["tier", "import", lines.to_str().unwrap(), "--database", new.address()]);
    assert!(imported.status.success(), "{imported:?}");
    let inspected = run(&["tier", "inspect", "--database", new.address()]);
    let state = |inspected: &[u8]| {
        let inspected: Value = serde_json::from_slice(inspected).unwrap();
        inspected["keys"][0]["state"].clone()
    };
    assert_eq!(state(&inspected.stdout), "valid");
    // Its time has come, now that it is shorter.
    let server = Server::start(&new.below(&settings_with_hold(&origin, 1)));
    assert!(is_applied_again(&server));
    let inspected = run(&["tier", "inspect", "--database", new.address()]);
    assert_eq!(state(&inspected.stdout), "dead");
}

/// Records that the journal keeps whatever they are.
const RECORDS_KEPT: u64 = 10_000;

/// Has so many records of deletes in the journal, newer than all others.
fn write_deletes(database: &Database, count: u64) {
    let (text, bytes) = match database.address().starts_with("sqlite:") {
        true => ("'memcached'", "x''"),
        false => ("'memcached'::bytea", "''::bytea"),
    };
    let statement = format!(
        "INSERT INTO journal (sequence, source, at_ms, targets, is_again) \
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) \
         SELECT (SELECT max(sequence) FROM journal) + i, {text}, 1, {bytes}, 0 FROM n"
    );
    database.ask(&statement);
}

fn held_event_is_applied_again_however_much_came_after_it(database: &Database) {
    let origin = plain_origin();
    let mut server = Server::start(&database.below(&settings_with_hold(&origin, 600_000)));
    let database = database.of(&server);
    assert_eq!(Webhook::photo("annapurna").post(&server).status, 200);
    http::get(&server.page(PATH));
    let queued = || http::get(&server.api("/v1/stats")).json()["tier"]["queued"].clone();
    eventually("the page is in the database", || queued() == json!(0));
    server.kill();
    write_deletes(&database, RECORDS_KEPT + 5_000);
    // It waits again, and the journal is trimmed meanwhile.
    server.start_again();
    eventually("the journal is trimmed", || {
        let records: u64 = database.ask("SELECT count(*) FROM journal").parse().unwrap();
        assert!(records >= RECORDS_KEPT, "{records}");
        records < RECORDS_KEPT + 100
    });
    assert!(!is_applied_again(&server));
    server.kill();
    // Its time has come, now that it is shorter.
    let server = Server::start(&database.below(&settings_with_hold(&origin, 1)));
    assert!(is_applied_again(&server));
    assert!(!http::get(&server.page(PATH)).is_hit());
}

#[test]
fn hold_beyond_its_limit_is_refused_at_start() {
    let settings = settings_with_hold(&plain_origin(), 600_001);
    let output = wasmcached_tests::server::serve_to_its_end(&settings, &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    let expected = "sources[0].hold_ms: is 600001; 0 to 600000 are allowed";
    assert!(!output.status.success() && said.contains(expected), "{said}");
}

wasmcached_tests::over_both_databases! {
    held_event_is_applied_before_an_orderly_end,
    held_event_is_applied_again_also_after_a_kill,
    held_event_is_applied_again_also_above_the_database_it_was_moved_to,
    held_event_is_applied_again_however_much_came_after_it,
}
