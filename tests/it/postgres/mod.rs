//! The tier on PostgreSQL: sessions that are lost, schemas that are somebody else's, and what is
//! told of it.

mod refused;

use std::process::{Output, Stdio};

use serde_json::{Value, json};
use wasmcached_tests::postgres::PASSWORD;
use wasmcached_tests::server::{command, run, serve_to_its_end};
use wasmcached_tests::wait::{eventually, monotonic_ns};
use wasmcached_tests::{Answer, Database, Postgres, Server, http, settings};

/// Longest time until a lost session is told, and until one that can be had is there again.
const DEGRADED_NS_MAX: u64 = 5_000_000_000;
const RECOVERED_NS_MAX: u64 = 10_000_000_000;

/// A busy machine's share of it: a server, its database or a test may be held up for seconds.
const SLACK_NS: u64 = 5_000_000_000;

/// The session that has the lock.
const HOLDER: &str = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' \
                      AND classid = 2003657572 AND granted AND database = \
                      (SELECT oid FROM pg_database WHERE datname = current_database())";

/// A server above a new database of the shared PostgreSQL, and the database's name.
fn server_above_postgres() -> (Server, String) {
    let address = Postgres::shared().new_database();
    let name = address.split(['/', '?']).nth(3).unwrap().to_owned();
    (Server::start(&Database::at(&address).below(&settings::plain())), name)
}

fn tier(server: &Server) -> Value {
    http::get(&server.api("/ready")).json()["parts"]["tier"].clone()
}

fn is_working(server: &Server) -> bool {
    let tier = tier(server);
    tier["status"] == "ok" && tier["queued"] == 0
}

fn purge(server: &Server, tag: &str) -> Answer {
    http::post_json(&server.api("/v1/invalidate"), &json!({ "tags": [tag] }))
}

fn refusal(output: Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains(PASSWORD), "{said}");
    said
}

#[test]
fn lost_database_degrades_the_tier_and_is_taken_again_when_it_is_back() {
    let postgres = Postgres::start();
    let settings = Database::at(&postgres.new_database()).below(&settings::plain());
    let mut server = Server::start(&settings);
    assert_eq!(server.memcached().ask("ms a 3 Lblue\r\nold"), "HD");
    assert_eq!(server.memcached().ask("ms kept 3 Lred\r\nold"), "HD");
    postgres.crash();
    // Nobody asks for anything: the server notices by itself.
    let lost_ns = monotonic_ns();
    eventually("the loss is told", || tier(&server)["status"] == "degraded");
    assert!(monotonic_ns() - lost_ns < DEGRADED_NS_MAX + SLACK_NS);
    assert_eq!(server.memcached().get("a").unwrap(), b"old");
    let refused = purge(&server, "red");
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(server.memcached().get("kept"), None, "refused, and yet no longer served");

    postgres.launch();
    let back_ns = monotonic_ns();
    eventually("the tier works again", || is_working(&server));
    assert!(monotonic_ns() - back_ns < RECOVERED_NS_MAX + SLACK_NS);
    assert_eq!(purge(&server, "red").status, 200);
    assert_eq!(server.memcached().set("b", "new"), "STORED");
    server.restart();
    assert_eq!(server.memcached().get("kept"), None);
    assert_eq!(server.memcached().get_kept("b"), b"new");
    assert!(!server.log().contains(PASSWORD), "{}", server.log());
}

#[test]
fn database_that_does_not_answer_degrades_the_tier_and_memory_goes_on() {
    let postgres = Postgres::start();
    let server = Server::start(&Database::at(&postgres.new_database()).below(&settings::plain()));
    assert_eq!(server.memcached().set("a", "one"), "STORED");
    postgres.freeze();
    let frozen_ns = monotonic_ns();
    eventually("the loss is told", || tier(&server)["status"] == "degraded");
    let took_ns = monotonic_ns() - frozen_ns;
    assert!(took_ns < DEGRADED_NS_MAX + SLACK_NS, "{took_ns}");
    assert_eq!(server.memcached().get("a").unwrap(), b"one");
    assert_eq!(server.memcached().get("unknown"), None);
    assert_eq!(purge(&server, "red").status, 503);
    postgres.thaw();
    let back_ns = monotonic_ns();
    eventually("the tier works again", || is_working(&server));
    let took_ns = monotonic_ns() - back_ns;
    assert!(took_ns < RECOVERED_NS_MAX + SLACK_NS, "{took_ns}");
    assert_eq!(purge(&server, "red").status, 200);
}

#[test]
fn export_whose_lock_is_lost_has_no_end() {
    let (mut server, name) = server_above_postgres();
    // More than a pipe takes: the export waits to be read.
    let value = "x".repeat(16 * 1024);
    for n in 0..64 {
        assert_eq!(server.memcached().set(&format!("key{n}"), &value), "STORED");
    }
    server.stop();
    let postgres = Postgres::shared();
    let exporting = command()
        .args(["tier", "export", "--database", &postgres.address(&name)])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("it has the lock", || !postgres.ask(&name, HOLDER).is_empty());
    postgres.ask(&name, &format!("SELECT pg_terminate_backend(({HOLDER}))"));
    let exported = exporting.wait_with_output().unwrap();
    let lines = String::from_utf8_lossy(&exported.stdout).into_owned();
    assert!(lines.contains("\"sealed\":true") && !lines.contains("\"end\""), "{lines}");
    assert!(refusal(exported).contains("could not be kept from servers to the end"));
}

#[test]
fn session_that_is_ended_is_replaced_without_losing_the_schema_to_another_server() {
    let (server, name) = server_above_postgres();
    let postgres = Postgres::shared();
    let first = postgres.ask(&name, HOLDER);
    postgres.ask(&name, &format!("SELECT pg_terminate_backend({first})"));
    eventually("another session has the lock", || {
        let now = postgres.ask(&name, HOLDER);
        !now.is_empty() && now != first
    });
    eventually("the tier works again", || is_working(&server));
    assert_eq!(purge(&server, "red").status, 200);
    let theirs = Database::at(&postgres.address(&name)).below(&settings::plain());
    let said = refusal(serve_to_its_end(&theirs, &[]));
    assert!(said.contains("is in use by another server"), "{said}");
}

#[test]
fn server_whose_schema_another_has_used_writes_and_loads_nothing_until_its_restart() {
    let (mut server, name) = server_above_postgres();
    let postgres = Postgres::shared();
    assert_eq!(server.memcached().set("a", "one"), "STORED");
    server.restart();
    // What another server does first of all.
    postgres.ask(&name, "UPDATE state SET epoch = epoch + 1");
    assert_eq!(server.memcached().get("a"), None);
    let refused = purge(&server, "red");
    assert_eq!(refused.status, 503, "{}", refused.text());
    let why = || tier(&server)["why"].as_str().unwrap_or_default().to_owned();
    eventually("it is told why", || why().contains("another server has used the database since"));
    let journal = postgres.ask(&name, "SELECT count(*) FROM journal");
    assert_ne!(purge(&server, "red").status, 200);
    assert_eq!(postgres.ask(&name, "SELECT count(*) FROM journal"), journal);
    server.restart();
    assert_eq!(server.memcached().get_kept("a"), b"one");
    assert_eq!(purge(&server, "red").status, 200);
}

#[test]
fn database_that_has_gone_back_loses_its_entries_and_is_used_on() {
    let (mut server, name) = server_above_postgres();
    let postgres = Postgres::shared();
    assert_eq!(server.memcached().set("a", "one"), "STORED");
    assert_eq!(server.memcached().set("b", "one"), "STORED");
    // As a replica that lagged, and is the primary now.
    postgres.ask(&name, "UPDATE state SET commits = commits - 1");
    eventually("the tier works again", || {
        purge(&server, "red").status == 200 && is_working(&server)
    });
    assert!(server.log().contains("database has gone back"), "{}", server.log());
    assert_eq!(server.memcached().get("a").unwrap(), b"one", "memory keeps it");
    assert_eq!(postgres.ask(&name, "SELECT count(*) FROM entries"), "0");
    assert_eq!(server.memcached().set("b", "two"), "STORED");
    server.restart();
    assert_eq!(server.memcached().get("a"), None);
    assert_eq!(server.memcached().get_kept("b"), b"two");
}

#[test]
fn copy_from_before_the_last_start_brings_nothing_back_and_no_unique_is_given_again() {
    let (mut server, name) = server_above_postgres();
    let postgres = Postgres::shared();
    assert_eq!(server.memcached().ask("ms y 3 Lty\r\nold"), "HD");
    server.stop();
    postgres.keep_copy(&name);
    server.start_again();
    assert_eq!(server.memcached().get_kept("y"), b"old");
    assert_eq!(purge(&server, "ty").status, 200);
    let unique = |server: &Server| server.memcached().ask("ms z 1 c\r\n1");
    let before = unique(&server);
    assert!(before.starts_with("HD c"), "{before}");
    postgres.take_over(&name);
    eventually("the tier works again", || {
        purge(&server, "red").status == 200 && is_working(&server)
    });
    assert!(server.log().contains("database has gone back"), "{}", server.log());
    server.restart();
    assert_eq!(server.memcached().get("y"), None);
    assert_ne!(unique(&server), before);
}

#[test]
fn database_made_anew_and_used_by_another_server_is_not_taken_over() {
    let (server, name) = server_above_postgres();
    let postgres = Postgres::shared();
    assert_eq!(server.memcached().set("a", "one"), "STORED");
    // The same epoch as this server's, and as many commits, of another run.
    postgres.ask(&name, "UPDATE state SET commits = commits # (1::bigint << 50)");
    assert_eq!(purge(&server, "red").status, 503);
    let why = || tier(&server)["why"].as_str().unwrap_or_default().to_owned();
    eventually("it is told why", || why().contains("another server has used the database since"));
    assert_eq!(postgres.ask(&name, "SELECT count(*) FROM entries"), "1");
}

#[test]
fn names_that_an_index_or_a_text_column_would_refuse_are_kept() {
    let (mut server, _) = server_above_postgres();
    // Hardly to be compressed, so that it is long in an index, too.
    let long = |seed: u64| {
        let mut random = wasmcached_tests::Random::new(seed);
        let text: Vec<String> = (0..400).map(|_| format!("{:016x}", random.next_u64())).collect();
        text.concat()
    };
    let (key, prefix) = (long(1), long(2));
    let tags = [("cache-groups", "\"{a} \\\" \\\\ , b\", \"null\"")];
    for key in [&key, &format!("{prefix}/1")] {
        let put = http::send("PUT", &server.cached(key), &tags, b"value");
        assert_eq!(put.status, 204, "{}", put.text());
    }
    let read = http::get(&server.cached(&key));
    let groups = read.field("cache-groups").to_owned();
    let purged = http::post_json(&server.api("/v1/invalidate"), &json!({"prefixes": [prefix]}));
    assert_eq!(purged.status, 200, "{}", purged.text());
    server.restart();
    let read = http::get(&server.cached(&key));
    assert_eq!((read.status, read.text().as_str()), (200, "value"));
    assert_eq!(read.field("cache-groups"), groups);
    assert_eq!(http::get(&server.cached(&format!("{prefix}/1"))).status, 404);
    assert!(is_working(&server), "{}", tier(&server));
}

#[test]
fn schema_of_another_application_is_refused_by_name_and_left_as_it_was() {
    let postgres = Postgres::shared();
    let address = postgres.new_database();
    let name = address.split(['/', '?']).nth(3).unwrap();
    postgres.ask(name, "CREATE TABLE orders (id int); CREATE VIEW open_orders AS TABLE orders");
    let settings = Database::at(&address).below(&settings::plain());
    for arguments in [&[][..], &["--check"]] {
        let said = refusal(serve_to_its_end(&settings, arguments));
        let expected = "its schema has tables of another application: open_orders, orders";
        assert!(said.contains(expected), "{said}");
    }
    let tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace";
    assert_eq!(postgres.ask(name, tables), "2");
    // A schema of its own is as good as a database, also where the other one is in its path.
    postgres.ask(name, "CREATE SCHEMA \"the cache\"; CREATE TABLE _sqlx_migrations (version int)");
    let own = format!("{address}&options=-csearch_path%3D%22the%5C%20cache%22,public");
    let mut server = Server::start(&Database::at(&own).below(&settings::plain()));
    assert_eq!(server.memcached().set("a", "one"), "STORED");
    server.restart();
    assert_eq!(server.memcached().get_kept("a"), b"one");
}

#[test]
fn rows_that_somebody_has_changed_are_left_out_and_counted() {
    let (mut server, name) = server_above_postgres();
    let tampering = [
        "tags = ARRAY['\\xff'::bytea]",
        "tags = ARRAY['a\nb'::bytea]",
        "kind = 9",
        "kind = 1",
        "birth = -1",
        "birth = 9223372036854775807",
        "flags = 4294967296",
        "expires_ms = -1",
    ];
    for n in 0..tampering.len() {
        assert_eq!(server.memcached().ask(&format!("ms k{n} 1 Lred\r\nv")), "HD");
    }
    assert_eq!(server.memcached().set("untouched", "value"), "STORED");
    server.restart();
    for (n, change) in tampering.iter().enumerate() {
        let changed = format!("UPDATE entries SET {change} WHERE key = 'k{n}' RETURNING 1");
        // By somebody who does not take part in the counting of commits.
        assert_eq!(Postgres::shared().ask(&name, &changed), "1");
        assert_eq!(server.memcached().get(&format!("k{n}")), None, "{change}");
    }
    assert_eq!(server.memcached().get_kept("untouched"), b"value");
    let told = server.log().matches("database has rows that can't be read").count();
    // One that has expired is no news.
    assert!(told >= tampering.len() - 1, "{}", server.log());
    assert!(is_working(&server));
}

#[test]
fn row_that_nobody_knew_of_gives_way_at_the_second_attempt() {
    let (mut server, name) = server_above_postgres();
    eventually("keys are known", || {
        http::get(&server.api("/v1/stats")).json()["tier"]["knows_keys"] == true
    });
    let foreign = "INSERT INTO entries (key, variant, kind, flags, cas, birth, stored_ms, tags, \
                   body) VALUES ('a', 0, 0, 0, 1, 0, 1, '{}', 'foreign')";
    Postgres::shared().ask(&name, foreign);
    let first = server.memcached().set("a", "ours");
    assert!(first.starts_with("SERVER_ERROR"), "{first}");
    eventually("it is stored", || server.memcached().set("a", "ours") == "STORED");
    let bodies = "SELECT convert_from(body, 'UTF8') FROM entries WHERE key = 'a'";
    assert_eq!(Postgres::shared().ask(&name, bodies), "ours");
    server.restart();
    assert_eq!(server.memcached().get_kept("a"), b"ours");
}

#[test]
fn stores_never_read_the_whole_table_however_small_it_was_when_they_began() {
    const KEYS: usize = 20;
    const ROUNDS: usize = 20;
    let (server, name) = server_above_postgres();
    let mut client = server.memcached();
    for round in 0..ROUNDS {
        for key in 0..KEYS {
            assert_eq!(client.set(&format!("k{key}"), &format!("{round}")), "STORED");
        }
    }
    // The database tells its figures some seconds later.
    let told = |what: &str| {
        let figure = format!("SELECT {what} FROM pg_stat_user_tables WHERE relname = 'entries'");
        Postgres::shared().ask(&name, &figure).parse::<usize>().unwrap()
    };
    eventually("the stores are counted", || told("n_tup_ins") >= KEYS * ROUNDS);
    assert_eq!(told("seq_tup_read"), 0);
    assert!(told("idx_scan") >= KEYS * (ROUNDS - 1));
}

#[test]
fn rows_that_have_ended_go_with_what_the_fence_has_of_them() {
    let (mut server, name) = server_above_postgres();
    let postgres = Postgres::shared();
    let count = |table: &str| postgres.ask(&name, &format!("SELECT count(*) FROM {table}"));
    {
        let mut memcached = server.memcached();
        for command in ["ms tagged 1 Lred\r\nv", "ms pre:1 1\r\nv", "ms short 1 T1\r\nv"] {
            assert_eq!(memcached.ask(command), "HD");
        }
        // A key takes its row with it, the others leave theirs to the fence.
        assert_eq!(memcached.set("deleted", "v"), "STORED");
        assert_eq!(memcached.ask("delete deleted"), "DELETED");
        eventually("its time is over", || memcached.get("short").is_none());
    }
    let body = json!({"tags": ["red"], "prefixes": ["pre:"]});
    assert_eq!(http::post_json(&server.api("/v1/invalidate"), &body).status, 200);
    assert_eq!((count("entries").as_str(), count("fence").as_str()), ("3", "2"));
    server.restart();
    eventually("the rows go", || count("entries") == "0");
    eventually("the fence goes", || count("fence") == "0");
    assert_eq!(postgres.ask(&name, "SELECT rows, bytes FROM state"), "0|0");
    for key in ["tagged", "pre:1", "short", "deleted"] {
        assert_eq!(server.memcached().get(key), None, "{key}");
    }
    assert!(is_working(&server));
}

fn told_by(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!said.contains(PASSWORD), "{said}");
    said
}

fn schema_is_told_and_made_step_by_step(database: &Database) {
    let dir = tempfile::tempdir().unwrap();
    let address = database.address().replace("{dir}", dir.path().to_str().unwrap());
    let shown = Database::at(&address).shown();
    let database = format!("--database={address}");
    let before = told_by(&["migrate", "--check", &database]);
    assert!(before.starts_with(&format!("database {shown}: schema 0, 0 applied, ")), "{before}");
    assert!(before.contains("\n  1 tier\n"), "{before}");
    assert_eq!(told_by(&["serve", "--check", &database]), before, "nothing has been changed");
    let made = told_by(&["migrate", &database]);
    assert!(made.starts_with("applied 1 tier\n") && made.contains(", 0 to apply\n"), "{made}");
    let after = told_by(&["migrate", &database]);
    assert!(made.ends_with(&after), "{after}");
    assert_eq!(told_by(&["serve", "--check", &database]), after);
}

#[test]
fn newer_schema_is_refused_with_both_numbers() {
    let (mut server, name) = server_above_postgres();
    server.stop();
    let later = "INSERT INTO _sqlx_migrations \
                 (version, description, success, checksum, execution_time) \
                 VALUES (9999, 'later', TRUE, '', 0)";
    Postgres::shared().ask(&name, later);
    let address = Postgres::shared().address(&name);
    let settings = Database::at(&address).below(&settings::plain());
    for arguments in [&[][..], &["--check"]] {
        let said = refusal(serve_to_its_end(&settings, arguments));
        assert!(said.contains("has schema 9999; this server knows schemas up to "), "{said}");
    }
}

#[test]
fn password_is_in_no_refusal() {
    let address = Postgres::shared().address("postgres");
    for (wrong, told) in [
        (address.replace(PASSWORD, "hunter2"), "password authentication failed"),
        (address.replace("/postgres?", "/no_such_database?"), "no_such_database"),
        (address.replace("?host=", "?host=/nonexistent"), "No such file"),
        (format!("{address}&pasword={PASSWORD}"), "`pasword` is not a parameter"),
        (format!("{address}&sslmode=maybe"), "maybe"),
    ] {
        for arguments in [&[][..], &["--check"]] {
            let settings = Database::at(&wrong).below(&settings::plain());
            let said = refusal(serve_to_its_end(&settings, arguments));
            assert!(said.contains(told) && !said.contains("hunter2"), "{told}: {said}");
        }
    }
}

wasmcached_tests::over_both_databases! {
    schema_is_told_and_made_step_by_step,
}

#[test]
fn invalidation_is_refused_while_the_row_with_the_epoch_is_missing() {
    let (server, name) = server_above_postgres();
    Postgres::shared().ask(&name, "DELETE FROM state");
    let refused = purge(&server, "red");
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.text().contains("its row with the epoch is missing"), "{}", refused.text());
    let theirs = Database::at(&Postgres::shared().address(&name)).below(&settings::plain());
    drop(server);
    let said = refusal(serve_to_its_end(&theirs, &[]));
    assert!(said.contains("is damaged: its row with the epoch is missing"), "{said}");
}
