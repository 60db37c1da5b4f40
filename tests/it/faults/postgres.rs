//! PostgreSQL: a network that delays, swallows and cuts, and a server that is stopped or killed.

use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use wasmcached_tests::chaos::Proxy;
use wasmcached_tests::postgres::PASSWORD;
use wasmcached_tests::{Database, Postgres, Server};

use super::{Course, acceptance, outage};

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
fn changes_are_accepted_while_the_network_swallows_everything_and_written_later() {
    network(acceptance, Proxy::freeze, &NO_ANSWER);
}

const ENDED: [&str; 5] = ["communicating", "terminating", "closed", "end of file", "EOF"];

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
