//! PostgreSQL: a network that delays, swallows and cuts, and a server that is stopped or killed.

use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use wasmcached_tests::chaos::Proxy;
use wasmcached_tests::origin::Response;
use wasmcached_tests::postgres::PASSWORD;
use wasmcached_tests::server::{command, serve_to_its_end};
use wasmcached_tests::wait::eventually;
use wasmcached_tests::{Database, Origin, Postgres, Server, Webhook, http, settings};

use super::{Course, acceptance, large_value_is_left_out, outage};

/// The name of a new database, and the socket of its server.
fn new_database(postgres: &Postgres) -> (String, PathBuf) {
    let address = postgres.new_database();
    let (_, place) = address.split_once("@/").unwrap();
    let (name, folder) = place.split_once("?host=").unwrap();
    (name.to_owned(), Path::new(folder).join(".s.PGSQL.5432"))
}

/// A server above a database behind a proxy to which something happens.
fn network(course: Course, fail: impl Fn(&Proxy), reasons: &[&str]) {
    let (name, socket) = new_database(Postgres::shared());
    let proxy = Proxy::to(&socket);
    let address = format!("postgres://postgres:{PASSWORD}@{}/{name}", proxy.address());
    let start = |settings: &str| Server::start(&Database::at(&address).below(settings));
    course(&start, &|| fail(&proxy), &|| proxy.pass(), reasons);
}

const NO_ANSWER: [&str; 2] = ["no answer in", "no connection in"];

#[test]
fn network_that_takes_two_seconds_degrades_the_tier_and_nothing_else() {
    network(outage, |proxy| proxy.delay_ms(2_000), &NO_ANSWER);
}

#[test]
fn network_that_swallows_everything_degrades_the_tier_and_nothing_else() {
    network(outage, Proxy::freeze, &NO_ANSWER);
}

#[test]
fn large_value_that_the_network_swallows_is_not_tried_again() {
    let (name, socket) = new_database(Postgres::shared());
    let proxy = Proxy::to(&socket);
    let address = format!("postgres://postgres:{PASSWORD}@{}/{name}", proxy.address());
    let mut server = Server::start(&Database::at(&address).below(&settings::plain()));
    large_value_is_left_out(&mut server, &|| proxy.freeze(), &|| proxy.pass());
}

#[test]
fn changes_are_accepted_while_the_network_swallows_everything_and_written_later() {
    network(acceptance, Proxy::freeze, &NO_ANSWER);
}

/// The last two where a new connection was tried while the machine was busy.
const ENDED: [&str; 7] =
    ["communicating", "terminating", "closed", "end of file", "EOF", NO_ANSWER[0], NO_ANSWER[1]];

#[test]
fn network_that_cuts_every_connection_degrades_the_tier_and_nothing_else() {
    network(outage, Proxy::cut, &ENDED);
}

#[test]
fn changes_are_accepted_while_the_network_cuts_every_connection_and_written_later() {
    network(acceptance, Proxy::cut, &ENDED);
}

/// A server above a PostgreSQL that is killed and started.
fn kill(course: Course) {
    let postgres = Postgres::start();
    let address = postgres.new_database();
    let start = |settings: &str| Server::start(&Database::at(&address).below(settings));
    course(&start, &|| postgres.crash(), &|| postgres.launch(), &ENDED);
}

#[test]
fn database_that_is_killed_and_started_degrades_the_tier_and_nothing_else() {
    kill(outage);
}

#[test]
fn changes_are_accepted_while_the_database_is_killed_and_written_later() {
    kill(acceptance);
}

/// The processes of a PostgreSQL server: the first one, and those that it has started.
fn processes(postgres: &Postgres) -> Vec<Pid> {
    let one = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'";
    let one = postgres.ask("postgres", one);
    let status = std::fs::read_to_string(format!("/proc/{one}/status")).unwrap();
    let first = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim();
    let children = format!("/proc/{first}/task/{first}/children");
    let children = std::fs::read_to_string(children).unwrap();
    let all = std::iter::once(first).chain(children.split_whitespace());
    all.map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap()).collect()
}

/// A server above a PostgreSQL whose processes stop, and go on.
fn stop(course: Course) {
    let postgres = Postgres::start();
    let address = postgres.new_database();
    let stopped = parking_lot::Mutex::new(Vec::new());
    let start = |settings: &str| Server::start(&Database::at(&address).below(settings));
    let stop = || {
        let all = processes(&postgres);
        all.iter().for_each(|process| kill_process(*process, Signal::STOP).unwrap());
        *stopped.lock() = all;
    };
    let go_on = || {
        for process in stopped.lock().drain(..) {
            // One whose client had gone may have ended.
            let _ = kill_process(process, Signal::CONT);
        }
    };
    // Also where the test fails: a stopped server can't be ended in order.
    let _goes_on = Ending(&go_on);
    course(&start, &stop, &go_on, &NO_ANSWER);
}

#[test]
fn database_that_is_stopped_and_goes_on_degrades_the_tier_and_nothing_else() {
    stop(outage);
}

#[test]
fn changes_are_accepted_while_the_database_is_stopped_and_written_later() {
    stop(acceptance);
}

/// Does something at the end of a test, however that comes.
struct Ending<'a>(&'a dyn Fn());

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Look-ups that are made at the same time, more than there are connections for.
const LOOK_UPS: usize = 16;

/// How often so many are made until all connections are seen at once; each time for other keys.
const ROUNDS_MAX: usize = 60;

/// Asks for values at the same time, the first of which is this.
fn look_up(server: &Server, first: usize) {
    std::thread::scope(|scope| {
        for key in first..first + LOOK_UPS {
            scope.spawn(move || server.memcached().get(&format!("k{key}")));
        }
    });
}

#[test]
fn look_ups_whose_connections_are_lost_find_others_and_keep_no_server_from_its_end() {
    let postgres = Postgres::shared();
    let (name, socket) = new_database(postgres);
    let proxy = Proxy::to(&socket);
    let address = format!("postgres://postgres:{PASSWORD}@{}/{name}", proxy.address());
    let mut server = Server::start(&Database::at(&address).below(&settings::plain()));
    for key in 0..(ROUNDS_MAX + 10) * LOOK_UPS {
        assert_eq!(server.memcached().set(&format!("k{key}"), "value"), "STORED");
    }
    server.restart();
    let sessions = "SELECT count(*) > 8 FROM pg_stat_activity \
                    WHERE datname = current_database() AND pid <> pg_backend_pid()";
    proxy.delay_ms(20);
    let mut rounds = 0..ROUNDS_MAX;
    eventually("all connections are used", || {
        look_up(&server, rounds.next().expect("enough keys") * LOOK_UPS);
        postgres.ask(&name, sessions) == "t"
    });
    proxy.pass();
    proxy.lose_present();
    look_up(&server, ROUNDS_MAX * LOOK_UPS);
    let last = format!("k{}", (ROUNDS_MAX + 10) * LOOK_UPS - 1);
    eventually("it is found", || server.memcached().get(&last).is_some());
    // At the end, too.
    look_up(&server, (ROUNDS_MAX + 1) * LOOK_UPS);
    proxy.lose_present();
    look_up(&server, (ROUNDS_MAX + 2) * LOOK_UPS);
    server.stop();
}

#[test]
fn look_ups_that_keep_failing_are_told_until_they_work_again() {
    let postgres = Postgres::shared();
    let (name, _) = new_database(postgres);
    let address = postgres.address(&name);
    let mut server = Server::start(&Database::at(&address).below(&settings::plain()));
    assert_eq!(server.memcached().set("a", "value"), "STORED");
    server.restart();
    postgres.ask(&name, "ALTER TABLE entries RENAME TO hidden");
    let tier = || http::get(&server.api("/ready")).json()["parts"]["tier"].clone();
    eventually("it is told", || {
        assert_eq!(server.memcached().get("a"), None);
        tier()["why"].to_string().contains("look-ups fail: ")
    });
    postgres.ask(&name, "ALTER TABLE hidden RENAME TO entries");
    eventually("it is found", || server.memcached().get("a").is_some());
    eventually("the tier works again", || tier()["status"] == "ok");
}

#[test]
fn database_that_falls_silent_keeps_no_command_and_no_start_from_its_end() {
    let (name, socket) = new_database(Postgres::shared());
    let proxy = Proxy::to(&socket);
    let address = format!("postgres://postgres:{PASSWORD}@{}/{name}", proxy.address());
    let settings = Database::at(&address).below(&settings::plain());
    let mut server = Server::start(&settings);
    server.stop();
    let before = proxy.passed();
    assert!(serve_to_its_end(&settings, &["--check"]).status.success());
    proxy.freeze_after((proxy.passed() - before) / 2);
    let output = serve_to_its_end(&settings, &["--check"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(NO_ANSWER.iter().any(|reason| said.contains(reason)), "{said}");
    assert!(!output.status.success() && said.contains(&name), "{said}");

    proxy.pass();
    let before = proxy.passed();
    server.start_again();
    let half = (proxy.passed() - before) / 2;
    server.stop();
    proxy.freeze_after(half);
    let mut starting = command()
        .args(["serve", "--memcached=127.0.0.1:0", "--api=127.0.0.1:0", "--database", &address])
        .spawn()
        .unwrap();
    eventually("it is silent", || proxy.is_frozen());
    kill_process(Pid::from_child(&starting), Signal::TERM).unwrap();
    let mut status = None;
    eventually("it has ended", || {
        status = starting.try_wait().unwrap();
        status.is_some()
    });
    assert!(status.unwrap().success(), "{status:?}");
}

#[test]
fn nothing_is_read_of_a_database_that_has_gone_back_not_even_before_that_is_noticed() {
    let postgres = Postgres::shared();
    let (name, _) = new_database(postgres);
    let address = postgres.address(&name);
    let server = Server::start(&Database::at(&address).below(&settings::plain()));
    for round in 0..3 {
        assert_eq!(server.memcached().set("deleted", "before"), "STORED");
        postgres.ask(&name, "DROP TABLE IF EXISTS standby; CREATE TABLE standby AS TABLE entries");
        assert_eq!(server.memcached().ask("delete deleted"), "DELETED");
        // What a standby has that is a commit behind, and takes over.
        let standby = "BEGIN; INSERT INTO entries OVERRIDING SYSTEM VALUE TABLE standby; \
                       UPDATE state SET commits = commits - 1; COMMIT";
        postgres.ask(&name, standby);
        assert_eq!(server.memcached().get("deleted"), None, "round {round}");
        eventually("it is noticed", || postgres.ask(&name, "SELECT count(*) FROM entries") == "0");
        eventually("the tier works again", || {
            http::get(&server.api("/ready")).json()["parts"]["tier"]["status"] == "ok"
        });
        assert_eq!(server.memcached().get("deleted"), None, "round {round}");
    }
    assert!(server.log().contains("database has gone back"), "{}", server.log());
}

/// Whatever of the tables is to outlive a failover: three columns, none of them empty.
const STANDING: &str = "SELECT \
     (SELECT string_agg(t::text, ' ' ORDER BY t::text) FROM intents t), \
     (SELECT string_agg(t::text, ' ' ORDER BY t::text) FROM numbers t), \
     (SELECT string_agg(t::text, ' ' ORDER BY t::text) FROM plugins t)";

#[test]
fn what_was_announced_and_noted_is_written_again_to_a_database_that_has_gone_back() {
    let postgres = Postgres::shared();
    let (name, _) = new_database(postgres);
    let address = postgres.address(&name);
    let origin = Origin::start(|_| Response::cacheable("page"));
    let settings = format!("{}intent_timeout_ms = 60000\n", settings::trekking(&origin.url()));
    let server = Server::start(&Database::at(&address).below(&settings));
    postgres.keep_copy(&name);
    postgres.ask(&name, "DELETE FROM copy.plugins");
    assert_eq!(server.memcached().ask("flush_all 3600"), "OK");
    let events = json!([{"model": "treks.photo", "pk": 5, "op": "update",
                         "before": {"trek": "annapurna"}, "after": {"trek": "annapurna"}}]);
    for data in [
        json!({"phase": "intent", "intent": "announced", "events": events}),
        json!({"phase": "intent", "intent": "announced", "events": events}),
        json!({"source": "trekking", "seq": 7, "events": events}),
    ] {
        let body = json!({"type": "model.changed", "data": data});
        let answer = Webhook::of_body(body.to_string()).post(&server);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let standing = || postgres.ask(&name, STANDING);
    let before = standing();
    let rows = postgres.ask(&name, "SELECT count(*) FROM intents");
    assert_eq!(rows, "2", "the flush, and what was announced twice");
    assert!(before.split('|').all(|column| !column.is_empty()), "{before}");
    postgres.take_over(&name);
    eventually("the tier works again", || {
        let body = json!({"tags": ["nobody"]});
        http::post_json(&server.api("/v1/invalidate"), &body).status == 200
    });
    assert!(server.log().contains("database has gone back"), "{}", server.log());
    assert_eq!(standing(), before);
}

#[test]
fn held_event_that_a_failover_has_lost_makes_its_pages_wrong_again_also_after_a_kill() {
    let postgres = Postgres::shared();
    let (name, _) = new_database(postgres);
    let database = Database::at(&postgres.address(&name));
    let origin = Origin::start(|_| Response::cacheable("page"));
    let settings = |hold_ms: u64| {
        let held = format!("{}hold_ms = {hold_ms}\n", settings::trekking(&origin.url()));
        database.below(&held)
    };
    let mut server = Server::start(&settings(600_000));
    postgres.keep_copy(&name);
    assert_eq!(Webhook::photo("annapurna").post(&server).status, 200);
    postgres.take_over(&name);
    eventually("the tier works again", || {
        let body = json!({"tags": ["nobody"]});
        http::post_json(&server.api("/v1/invalidate"), &body).status == 200
    });
    assert!(server.log().contains("database has gone back"), "{}", server.log());
    server.kill();
    // Its time has come, now that it is shorter.
    let server = Server::start(&settings(1));
    let metrics = http::get(&server.api("/metrics")).text();
    assert!(metrics.contains("events_held_applied_total 1\n"), "{metrics}");
}
