//! What a database below the memory costs: stores, first reads, events, starts; and what hits cost
//! while it fails.
//!
//! # Invariants
//! - Every answer is checked; latencies of events count from the moment at which each was due, so
//!   that a server that falls behind can't hide it.
//! - Databases take their turns in every round, memory alone among them.

mod drive;
mod outage;
mod server;

use std::fmt::Write as _;
use std::path::Path;

use wasmcached_tests::Postgres;

use crate::Plan;
use crate::histogram::Histogram;
use crate::results::{machine, median, print};
use server::{Database, Server};

/// Connections that store.
const WRITERS: usize = 32;

/// Connections that invalidate, and how often all of them together do, per second.
const SENDERS: usize = 16;
const EVENTS_PER_SECOND: u32 = 2_000;

/// Keys that are read after a restart.
const READS: u32 = 5_000;

/// One turn of one database.
#[derive(Default)]
struct Turn {
    stores_per_second: f64,
    store: Histogram,
    first_read: Histogram,
    second_read: Histogram,
    event: Histogram,
}

/// A column of the table.
type Figure = (&'static str, fn(&Turn) -> f64);

const FIGURES: [Figure; 9] = [
    ("stores/s", |turn| turn.stores_per_second),
    ("store p50, ms", |turn| turn.store.quantile(0.5) / 1e6),
    ("store p99, ms", |turn| turn.store.quantile(0.99) / 1e6),
    ("first read p50, µs", |turn| turn.first_read.quantile(0.5) / 1e3),
    ("first read p99, µs", |turn| turn.first_read.quantile(0.99) / 1e3),
    ("second read p50, µs", |turn| turn.second_read.quantile(0.5) / 1e3),
    ("second read p99, µs", |turn| turn.second_read.quantile(0.99) / 1e3),
    ("event p50, ms", |turn| turn.event.quantile(0.5) / 1e6),
    ("event p99, ms", |turn| turn.event.quantile(0.99) / 1e6),
];

/// What is compared: a name and a database, new at each turn.
type Kind<'a> = (&'static str, Box<dyn Fn() -> anyhow::Result<Database> + 'a>);

/// Measures wasmcached alone; prints Markdown.
///
/// # Errors
/// The server can't be started, or answers otherwise than it should.
pub(crate) fn measure(plan: &Plan, rows: u32) -> anyhow::Result<()> {
    plan.cores.client_cpus.keep_to_them()?;
    let postgres = Path::new("/usr/lib/postgresql").is_dir().then(Postgres::start);
    let none = || Ok(Database { address: None, durability: "each", proxy: None });
    let sqlite = || Ok(Database::sqlite("each"));
    let sqlite_interval = || Ok(Database::sqlite("interval"));
    let mut kinds: Vec<Kind<'_>> = vec![
        ("none", Box::new(none)),
        ("SQLite", Box::new(sqlite)),
        ("SQLite, `durability = \"interval\"`", Box::new(sqlite_interval)),
    ];
    if let Some(postgres) = &postgres {
        let by_socket = |durability| move || Ok(Database::postgres(postgres, durability));
        let interval = "PostgreSQL, `durability = \"interval\"`";
        kinds.push(("PostgreSQL", Box::new(by_socket("each"))));
        kinds.push(("PostgreSQL by TCP", Box::new(|| Database::postgres_by_tcp(postgres))));
        kinds.push((interval, Box::new(by_socket("interval"))));
    }
    let mut turns: Vec<Vec<Turn>> = kinds.iter().map(|_| Vec::new()).collect();
    for round in 0..plan.rounds {
        eprintln!("round {} of {}", round + 1, plan.rounds);
        for ((_, database), turns) in kinds.iter().zip(&mut turns) {
            turns.push(turn(plan, &database()?, round)?);
        }
    }
    let mut text = format!(
        "# Database tier\n\n{}. Medians of {} rounds of {} s. {WRITERS} connections store 100 B, \
         one reads {READS} keys that only the database has, and then again; {SENDERS} connections \
         post {EVENTS_PER_SECOND} invalidations a second\n\n| database |",
        machine(),
        plan.rounds,
        plan.seconds
    );
    FIGURES.iter().for_each(|(name, _)| _ = write!(text, " {name} |"));
    text += "\n|---|";
    text += &"---|".repeat(FIGURES.len());
    for ((name, _), turns) in kinds.iter().zip(&turns) {
        _ = write!(text, "\n| {name} |");
        for (_, figure) in FIGURES {
            _ = write!(text, " {:.2} |", median(turns.iter().map(figure).collect()));
        }
    }
    text += "\n";
    text += &outage::of_sqlite(plan)?;
    if let Some(postgres) = &postgres {
        text += &outage::of_postgres(plan, postgres)?;
    }
    text += &starts(plan, rows)?;
    print(&text)
}

fn turn(plan: &Plan, database: &Database, round: u32) -> anyhow::Result<Turn> {
    let mut turn = Turn::default();
    let server = Server::start(plan, database, &[])?;
    let prefix = format!("round-{round}");
    let stored = drive::store(server.memcached, WRITERS, plan.seconds, &prefix)?;
    turn.stores_per_second = stored.count as f64 / f64::from(plan.seconds);
    turn.store = stored.latency;
    turn.event = drive::invalidate(server.api, SENDERS, EVENTS_PER_SECOND, plan.seconds)?;
    drive::store_each(server.memcached, "read", READS)?;
    let server = server.restart(plan, database)?;
    let mut expected = drive::Expected::Present;
    if database.address.is_none() {
        expected = drive::Expected::Absent;
    }
    turn.first_read = drive::read_each(server.memcached, "read", READS, expected)?;
    turn.second_read = drive::read_each(server.memcached, "read", READS, expected)?;
    Ok(turn)
}

/// How long a server takes to be there above so many rows.
fn starts(plan: &Plan, rows: u32) -> anyhow::Result<String> {
    eprintln!("starts above {rows} rows");
    let empty_ms = Server::start(plan, &Database::sqlite("each"), &[])?.started_ms;
    let server = server::above(plan, rows)?;
    let full_ms = server.started_ms;
    let mut latency = drive::read_each(server.memcached, "row", 1, drive::Expected::Present)?;
    let first_ms = latency.quantile(1.0) / 1e6;
    let sample = rows.min(READS);
    latency = drive::read_each(server.memcached, "row", sample, drive::Expected::Present)?;
    Ok(format!(
        "\n| SQLite | to the first connection, ms | first read of all, ms | reads p99, µs |\n\
         |---|---|---|---|\n| empty | {empty_ms:.0} | – | – |\n\
         | {rows} rows | {full_ms:.0} | {first_ms:.1} | {:.0} |\n",
        latency.quantile(0.99) / 1e3
    ))
}
