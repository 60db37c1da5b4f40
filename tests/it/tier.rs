//! What an operator sets and sees of the tier, over both databases.

use serde_json::Value;
use wasmcached_tests::wait::eventually;
use wasmcached_tests::{Database, Memcached, Server, http, settings};

fn tier(server: &Server) -> Value {
    http::get(&server.api("/v1/stats")).json()["tier"].clone()
}

fn with(database: &Database, settings: &str) -> String {
    format!("{}\n[tier]\n{settings}\n", database.below(&settings::plain()))
}

/// Connections that store; each waits for the commits of what it has stored.
const CONNECTIONS: usize = 20;

/// Stores as many items and returns when all are durable.
fn store(server: &Server, count: usize, value: &str) {
    let mut connections: Vec<Memcached> = (0..CONNECTIONS).map(|_| server.memcached()).collect();
    for (first, memcached) in connections.iter_mut().enumerate() {
        let mut commands = String::new();
        for n in (first..count).step_by(CONNECTIONS) {
            commands += &format!("ms k{n} {} q\r\n{value}\r\n", value.len());
        }
        memcached.send(commands.as_bytes());
    }
    for memcached in &mut connections {
        assert_eq!(memcached.ask("mn"), "MN");
    }
}

fn rows_beyond_their_limit_go_and_the_server_says_how_many(database: &Database) {
    let mut server = Server::start(&with(database, "max_rows = 1000"));
    store(&server, 3_000, "value");
    eventually("rows go", || tier(&server)["evicted"].as_u64().unwrap() >= 1_900);
    server.restart();
    let mut memcached = server.memcached();
    let found = (0..3_000).filter(|n| memcached.get(&format!("k{n}")).is_some()).count();
    assert!((500..=1_200).contains(&found), "{found}");
    assert_eq!(tier(&server)["degraded"], Value::Null);
}

fn bytes_beyond_their_limit_go_too(database: &Database) {
    let mut server = Server::start(&with(database, "max_size = \"16MiB\""));
    store(&server, 1_200, &"x".repeat(20_000));
    eventually("rows go", || tier(&server)["evicted"].as_u64().unwrap() >= 200);
    server.restart();
    let mut memcached = server.memcached();
    let found = (0..1_200).filter(|n| memcached.get(&format!("k{n}")).is_some()).count();
    assert!((300..=900).contains(&found), "{found}");
}

fn key_that_was_never_stored_costs_no_query(database: &Database) {
    let mut server = Server::start(&database.below(&settings::plain()));
    store(&server, 500, "value");
    server.restart();
    eventually("the keys are known", || tier(&server)["knows_keys"] == true);
    let mut memcached = server.memcached();
    for n in 0..500 {
        assert_eq!(memcached.get_kept(&format!("k{n}")), b"value");
        assert!(memcached.get(&format!("unknown {n}").replace(' ', "-")).is_none());
    }
    let spared = tier(&server)["spared"].as_u64().unwrap();
    assert!(spared > 480, "{spared} of 500");
}

fn what_has_ended_goes_at_once_however_much_it_is(database: &Database) {
    const ROWS: usize = 12_000;
    let mut server = Server::start(&database.below(&settings::plain()));
    server.kill();
    let database = database.of(&server);
    const NAME: &str = "CASE WHEN i % 3 = 2 THEN 'p' ELSE 'n' END || i";
    let (text, name, none, tag, no_tags) = match database.address().starts_with("sqlite:") {
        true => ("'memcached'", format!("CAST({NAME} AS BLOB)"), "x''", "'[\"n1\"]'", "'[]'"),
        false => (
            "'memcached'::bytea",
            format!("({NAME})::bytea"),
            "''::bytea",
            "ARRAY['n1'::bytea]",
            "'{}'::bytea[]",
        ),
    };
    let tags = format!("CASE WHEN i % 3 = 1 THEN {tag} ELSE {no_tags} END");
    for (table, columns, values) in [
        (
            "entries",
            "key, variant, kind, flags, cas, birth, stored_ms, expires_ms, tags, body",
            // A third has expired, the fence has ended the others by a tag and by prefixes.
            format!("{name}, 0, 0, 0, 1, 1, 1, CASE WHEN i % 3 = 0 THEN 1 END, {tags}, {none}"),
        ),
        (
            "fence",
            "kind, name, hard, soft",
            format!("CASE WHEN i % 3 = 2 THEN 2 ELSE 0 END, {name}, 2, 0"),
        ),
        (
            "journal",
            "sequence, source, at_ms, targets, is_again",
            format!("i, {text}, 1, {none}, 0"),
        ),
    ] {
        database.ask(&format!(
            "INSERT INTO {table} ({columns}) WITH RECURSIVE n (i) AS \
             (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2 * {ROWS}) SELECT {values} FROM n"
        ));
    }
    // There is one round now, and none in the minute after it.
    server.start_again();
    let count = |table| database.ask(&format!("SELECT count(*) FROM {table}"));
    eventually("the journal is trimmed", || count("journal") == "10000");
    assert_eq!((count("entries").as_str(), count("fence").as_str()), ("0", "0"));
    assert_eq!(tier(&server)["degraded"], Value::Null);
}

fn commits_written_out_later_survive_a_kill_too(database: &Database) {
    let mut server = Server::start(&with(database, "durability = \"interval\""));
    assert_eq!(server.memcached().set("gone", "old"), "STORED");
    assert_eq!(server.memcached().set("item", "old"), "STORED");
    assert_eq!(server.memcached().ask("delete gone"), "DELETED");
    assert_eq!(server.memcached().set("item", "new"), "STORED");
    server.kill();
    server.start_again();
    assert_eq!(server.memcached().get("gone"), None);
    assert_eq!(server.memcached().get_kept("item"), b"new");
}

fn value_that_is_kept_compressed_comes_back_as_it_was(database: &Database) {
    let mut server = Server::start(&with(database, "compress_above = \"1KiB\""));
    let value = "<li>a trek</li>".repeat(1_000);
    assert_eq!(server.memcached().set("page", &value), "STORED");
    assert_eq!(server.memcached().set("small", "<li>"), "STORED");
    server.restart();
    assert_eq!(server.memcached().get_kept("page"), value.as_bytes());
    assert_eq!(server.memcached().get_kept("small"), b"<li>");
}

fn items(server: &Server) -> u64 {
    http::get(&server.api("/v1/stats")).json()["memory"]["keys"].as_u64().unwrap()
}

fn entries_come_back_ahead_of_requests_where_that_is_asked_for(database: &Database) {
    let mut server = Server::start(&with(database, "warm_up = true"));
    store(&server, 500, "value");
    assert_eq!(server.memcached().ask("delete k7"), "DELETED");
    assert_eq!(server.memcached().set("k8", "new"), "STORED");
    server.restart();
    let warm_up = || http::get(&server.api("/ready")).json()["parts"]["warm_up"].clone();
    eventually("it is warm", || warm_up()["status"] == "ok");
    assert_eq!(warm_up()["keys"], 499);
    assert_eq!(items(&server), 499);
    assert_eq!(server.memcached().get("k8").unwrap(), b"new");
    assert_eq!(server.memcached().get("k9").unwrap(), b"value");
    assert_eq!(tier(&server)["loads"], 499, "nobody asks again");
    assert_eq!(server.memcached().get("k7"), None);
}

fn warming_up_evicts_nothing(database: &Database) {
    let settings = with(database, "warm_up = true").replace("32MiB", "8MiB");
    let mut server = Server::start(&settings);
    store(&server, 1_500, &"x".repeat(20_000));
    server.restart();
    let ready = || http::get(&server.api("/ready")).json();
    eventually("it is warm", || ready()["parts"]["warm_up"]["status"] == "ok");
    let stats = http::get(&server.api("/v1/stats")).json();
    assert!(items(&server) > 200, "{stats}");
    assert!(http::get(&server.api("/metrics")).text().contains("wasmcached_evictions_total 0\n"));
    // The last that was written came first.
    let loads = tier(&server)["loads"].as_u64().unwrap();
    assert!(server.memcached().get("k1499").is_some());
    assert_eq!(tier(&server)["loads"], loads);
}

fn what_was_used_most_comes_back_first_also_after_a_kill(database: &Database) {
    let use_often = |server: &Server, numbers: std::ops::Range<usize>| {
        let mut memcached = server.memcached();
        for n in numbers.clone().cycle().take(3 * numbers.len()) {
            memcached.get_kept(&format!("k{n}"));
        }
    };
    let are_in_memory = |server: &Server, numbers: std::ops::Range<usize>| {
        let loads = tier(server)["loads"].as_u64();
        use_often(server, numbers);
        assert_eq!(tier(server)["loads"].as_u64(), loads, "nobody asks again");
    };
    let is_warm = |server: &Server| {
        let warm_up = || http::get(&server.api("/ready")).json()["parts"]["warm_up"].clone();
        eventually("it is warm", || warm_up()["status"] == "ok");
    };
    let mut large = Server::start(&with(database, "warm_up = true"));
    store(&large, 800, &"x".repeat(20_000));
    use_often(&large, 0..60);
    large.stop();

    // Its memory has room for some 370 of them.
    let settings = with(&database.of(&large), "warm_up = true").replace("32MiB", "8MiB");
    let mut server = Server::start(&settings);
    is_warm(&server);
    are_in_memory(&server, 0..60);
    let brought_back = items(&server);
    assert!((200..500).contains(&brought_back), "{brought_back}");
    are_in_memory(&server, 799..800);

    use_often(&server, 100..120);
    // Soon after the start, and then ever more seldom.
    eventually("the order is written", || tier(&server)["hot_keys"] == 60 + 1 + 20);
    server.kill();
    server.start_again();
    is_warm(&server);
    are_in_memory(&server, 0..60);
    are_in_memory(&server, 100..120);
    assert!(http::get(&server.api("/metrics")).text().contains("wasmcached_evictions_total 0\n"));
}

wasmcached_tests::over_both_databases! {
    what_was_used_most_comes_back_first_also_after_a_kill,
    entries_come_back_ahead_of_requests_where_that_is_asked_for,
    warming_up_evicts_nothing,
    rows_beyond_their_limit_go_and_the_server_says_how_many,
    bytes_beyond_their_limit_go_too,
    key_that_was_never_stored_costs_no_query,
    commits_written_out_later_survive_a_kill_too,
    what_has_ended_goes_at_once_however_much_it_is,
    value_that_is_kept_compressed_comes_back_as_it_was,
}
