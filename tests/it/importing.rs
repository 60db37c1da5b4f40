//! A team moves over with a warm cache: what Django stored in its table, Django reads from here.

use std::process::Output;

use tempfile::TempDir;
use wasmcached_tests::{Postgres, Server, clients, server, settings};

/// Rows that the script writes: values, one for ever, many, and three that can't be taken over.
const STORED: u64 = 15 + 1 + 250;

struct Table {
    dir: TempDir,
}

impl Table {
    /// Written by Django, whose times are UTC, or of this zone.
    fn of_django(zone: Option<&str>) -> Self {
        let table = Self { dir: tempfile::tempdir().unwrap() };
        let file = table.file();
        let arguments: Vec<&str> = ["write", &file].into_iter().chain(zone).collect();
        clients::python("django_table.py", &arguments);
        table
    }

    fn file(&self) -> String {
        self.dir.path().join("django.db").to_str().unwrap().to_owned()
    }

    fn import(&self, server: &Server, further: &[&str]) -> Output {
        let database = format!("sqlite://{}", self.file());
        let arguments = ["import", "django-table", "--table", "cache table", "--database"];
        let memcached = ["--memcached", server.address("memcached")];
        server::run(&[&arguments[..], &[&database], &memcached, further].concat())
    }
}

/// The counts of a report, by what they count.
#[track_caller]
fn counts(output: &Output) -> Vec<(String, u64)> {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    let counts = printed.lines().filter_map(|line| {
        let (count, what) = line.trim().split_once(' ')?;
        Some((what.to_owned(), count.parse().ok()?))
    });
    counts.collect()
}

fn expected(stored: u64, kept: u64) -> Vec<(String, u64)> {
    let counts = [
        (stored, "stored"),
        (kept, "left as the server has them"),
        (1, "expired"),
        (1, "with keys that memcached does not take"),
        (1, "damaged"),
        (0, "refused"),
    ];
    counts.map(|(count, what)| (what.to_owned(), count)).to_vec()
}

#[test]
fn what_django_stored_in_its_table_django_reads_through_its_memcached_backend() {
    let table = Table::of_django(None);
    let server = Server::start(&settings::plain());
    assert_eq!(counts(&table.import(&server, &[])), expected(STORED, 0));
    clients::python("django_table.py", &["read", server.address("memcached")]);
    // What expires in the table expires here: an hour, and some seconds have gone by.
    let ttl = server.memcached().ask("mg shop:3:text t");
    let ttl_s: u64 = ttl.strip_prefix("HD t").and_then(|ttl| ttl.parse().ok()).unwrap();
    assert!((3_000..=3_600).contains(&ttl_s), "{ttl}");
    assert_eq!(server.memcached().ask("mg shop:3:never t"), "HD t-1");
}

#[test]
fn second_import_leaves_what_the_server_has() {
    let table = Table::of_django(None);
    let server = Server::start(&settings::plain());
    assert_eq!(server.memcached().set("shop:3:text", "newer"), "STORED");
    assert_eq!(counts(&table.import(&server, &[])), expected(STORED - 1, 1));
    // Expired and damaged rows are missing in the server, so they are looked at again.
    assert_eq!(counts(&table.import(&server, &[])), expected(0, STORED));
    assert_eq!(server.memcached().get("shop:3:text").unwrap(), b"newer");
}

#[test]
fn times_of_a_project_without_time_zones_are_local() {
    // Half an hour less than eleven from UTC: no whole number of hours hides a mistake.
    let zone = "Australia/Adelaide";
    let table = Table::of_django(Some(zone));
    let server = Server::start(&settings::plain());
    let database = format!("sqlite://{}", table.file());
    let arguments = ["import", "django-table", "--table", "cache table", "--local-time"];
    let output = std::process::Command::new(server::binary())
        .args(arguments)
        .args(["--database", &database, "--memcached", server.address("memcached")])
        .env("TZ", zone)
        .output();
    assert_eq!(counts(&output.unwrap()), expected(STORED, 0));
    let ttl = server.memcached().ask("mg shop:3:text t");
    let ttl_s: u64 = ttl.strip_prefix("HD t").and_then(|ttl| ttl.parse().ok()).unwrap();
    assert!((3_000..=3_600).contains(&ttl_s), "{ttl}");
}

#[test]
fn import_of_what_is_not_there_says_so_and_exits_1() {
    let dir = tempfile::tempdir().unwrap();
    let missing = format!("sqlite://{}/none.db", dir.path().display());
    for (database, server, said) in [
        (missing.as_str(), "127.0.0.1:1", "none.db does not exist"),
        ("mysql://root:secret@h/db", "127.0.0.1:1", "is not `sqlite:///"),
        ("postgres://u:secret@127.0.0.1:1/db", "127.0.0.1:1", "table django_cache: "),
    ] {
        let arguments = ["import", "django-table", "--database", database, "--memcached", server];
        let output = server::run(&arguments);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains(said) && !errors.contains("secret"), "{errors}");
    }
    let table = Table::of_django(None);
    let database = format!("sqlite://{}", table.file());
    let arguments = ["import", "django-table", "--database", &database, "--table", "cache table"];
    let output = server::run(&[&arguments[..], &["--memcached", "127.0.0.1:1"]].concat());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("memcached server 127.0.0.1:1"), "{errors}");
}

#[test]
fn value_that_the_server_does_not_take_is_told() {
    let table = Table::of_django(None);
    let small = settings::plain().replace("[memcached]", "max_item_size = \"64KiB\"\n[memcached]");
    let server = Server::start(&small);
    let output = table.import(&server, &[]);
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("server refused 2 values"), "{errors}");
    // The rest is there.
    assert_eq!(server.memcached().get("shop:3:small").unwrap(), b"200");
}

#[test]
fn table_in_postgres_is_read_by_its_own_clock() {
    let postgres = Postgres::shared();
    let address = postgres.new_database();
    let name = address.split(['/', '?']).nth(3).unwrap();
    // As `createcachetable` makes it; the pickle is that of 5.
    let made = "SET TIME ZONE 'Australia/Adelaide'; \
                CREATE TABLE django_cache (cache_key varchar(255) NOT NULL PRIMARY KEY, \
                value text NOT NULL, expires timestamp with time zone NOT NULL); \
                INSERT INTO django_cache SELECT ':1:many-' || n, 'gAVLBS4=', \
                date_trunc('second', now() + interval '1 hour') FROM generate_series(1, 250) n; \
                INSERT INTO django_cache VALUES \
                (':1:never', 'gAVLBS4=', '9999-12-31 23:59:59'), \
                (':1:over', 'gAVLBS4=', '2001-01-01 00:00:00'), \
                (':1:for ever', 'gAVLBS4=', '9999-12-31 23:59:59'), \
                (':1:damaged', '***', '9999-12-31 23:59:59')";
    postgres.ask(name, made);
    let server = Server::start(&settings::plain());
    let memcached = server.address("memcached");
    let arguments = ["import", "django-table", "--memcached", memcached, "--database", &address];
    assert_eq!(counts(&server::run(&arguments)), expected(251, 0));
    let ttl = server.memcached().ask("mg :1:many-7 t f v");
    assert!(ttl.starts_with("VA 1 t3") && ttl.ends_with(" f2"), "{ttl}");
    assert_eq!(server.memcached().ask("mg :1:never t"), "HD t-1");
}
