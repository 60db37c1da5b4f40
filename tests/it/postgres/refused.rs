//! What the tier may not do with its tables: rights that are missing, locks, and rows that are
//! refused.

use wasmcached_tests::postgres::PASSWORD;
use wasmcached_tests::server::{run, serve_to_its_end};
use wasmcached_tests::wait::eventually;
use wasmcached_tests::{Database, Postgres, Server, settings};

use super::{is_working, purge, refusal, server_above_postgres, tier};

#[test]
fn user_without_rights_is_refused_by_check_as_by_a_start_in_words_without_source_lines() {
    let postgres = Postgres::shared();
    let address = postgres.new_database();
    let name = address.split(['/', '?']).nth(3).unwrap();
    let role = format!("CREATE ROLE poor_{name} LOGIN PASSWORD '{PASSWORD}'");
    postgres.ask(name, &role);
    postgres.ask(name, "REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    let (_, rest) = address.split_once('@').unwrap();
    let theirs = format!("postgres://poor_{name}:{PASSWORD}@{rest}");
    let settings = Database::at(&theirs).below(&settings::plain());
    let said = refusal(serve_to_its_end(&settings, &["--check"]));
    assert!(said.contains(&format!("user poor_{name} may not create tables")), "{said}");
    let said = refusal(serve_to_its_end(&settings, &[]));
    assert!(said.contains("permission denied for schema public (42501)"), "{said}");
    assert!(!said.contains("at line"), "{said}");
    // The tables are there, and somebody else's.
    Server::start(&Database::at(&address).below(&settings::plain())).stop();
    let said = refusal(serve_to_its_end(&settings, &["--check"]));
    assert!(said.contains("permission denied") || said.contains("may not write"), "{said}");
}

/// Locks tables until there is a row in the table `released`.
const LOCKED: &str = "DO $$ BEGIN \
     LOCK TABLE _sqlx_migrations, state, fence IN ACCESS EXCLUSIVE MODE; \
     WHILE NOT EXISTS (SELECT FROM released) LOOP PERFORM pg_sleep(0.05); END LOOP; END $$";

#[test]
fn commands_do_not_wait_for_tables_that_somebody_has_locked() {
    let (mut server, name) = server_above_postgres();
    server.stop();
    let postgres = Postgres::shared();
    let address = format!("--database={}", postgres.address(&name));
    let said = std::thread::scope(|scope| {
        postgres.ask(&name, "CREATE TABLE released (n int)");
        scope.spawn(|| postgres.ask(&name, LOCKED));
        let locks = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted \
                     AND relation = 'fence'::regclass";
        eventually("they are locked", || postgres.ask(&name, locks) == "1");
        let commands = [&["serve", "--check"][..], &["migrate"], &["tier", "inspect"]];
        let running = commands.map(|command| {
            let arguments = [command, &[address.as_str()]].concat();
            scope.spawn(move || run(&arguments))
        });
        let said = running.map(|running| running.join().unwrap());
        postgres.ask(&name, "INSERT INTO released VALUES (1)");
        said
    });
    for output in said {
        let said = refusal(output);
        // The others where the machine is busy.
        let reasons = ["lock timeout", "no connection in", "no answer in"];
        assert!(reasons.iter().any(|reason| said.contains(reason)), "{said}");
    }
}

#[test]
fn user_who_may_write_the_tables_and_make_none_runs_a_server_once_it_may_empty_them() {
    let postgres = Postgres::shared();
    let address = postgres.new_database();
    let name = address.split(['/', '?']).nth(3).unwrap();
    Server::start(&Database::at(&address).below(&settings::plain())).stop();
    let user = format!("writer_{name}");
    for sql in [
        format!("CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}'"),
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC".to_owned(),
        format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {user}"),
    ] {
        postgres.ask(name, &sql);
    }
    let (_, rest) = address.split_once('@').unwrap();
    let theirs = format!("postgres://{user}:{PASSWORD}@{rest}");
    let settings = Database::at(&theirs).below(&settings::plain());
    let said = refusal(serve_to_its_end(&settings, &["--check"]));
    assert!(said.contains(&format!("user {user} may not TRUNCATE its table entries")), "{said}");
    postgres.ask(name, &format!("GRANT TRUNCATE ON entries TO {user}"));
    let checked = serve_to_its_end(&settings, &["--check"]);
    assert!(checked.status.success(), "{checked:?}");
    let server = Server::start(&settings);
    assert_eq!(server.memcached().ask("ms a 3\r\none"), "HD");
    assert_eq!(purge(&server, "red").status, 200);
}

#[test]
fn invalidations_are_durable_while_another_column_makes_the_table_refuse_entries() {
    let (server, name) = server_above_postgres();
    let postgres = Postgres::shared();
    assert_eq!(server.memcached().ask("ms a 3\r\none"), "HD");
    postgres.ask(&name, "ALTER TABLE entries ADD COLUMN note TEXT");
    assert!(server.memcached().ask("ms a 3\r\ntwo").starts_with("SERVER_ERROR"));
    for n in 0..50 {
        let answer = purge(&server, &format!("tag {n}"));
        assert_eq!(answer.status, 200, "{n}: {}", answer.text());
        assert!(server.memcached().ask("ms a 3\r\ntwo").starts_with("SERVER_ERROR"));
        assert_eq!(tier(&server)["status"], "degraded", "{n}");
    }
    postgres.ask(&name, "ALTER TABLE entries DROP COLUMN note");
    eventually("entries are written again", || is_working(&server));
    assert_eq!(server.memcached().ask("ms a 5\r\nthree"), "HD");
}
