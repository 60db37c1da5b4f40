//! Deaths while a database is made or opened.

use wasmcached_tests::{Database, Server, server, settings};

/// The points on the way to an open file, in order; then those on the way to any open database.
const FILE: [&str; 2] = ["file-created", "file-marked"];
const OPENING: [&str; 3] = ["migrated", "epoch-raised", "fence-read"];

#[test]
fn server_that_died_while_it_made_its_database_starts_and_works() {
    for point in FILE.into_iter().chain(OPENING) {
        dies_while_opening(&Database::sqlite(), point);
    }
    for point in OPENING {
        dies_while_opening(&Database::postgres(), point);
    }
}

fn dies_while_opening(database: &Database, point: &str) {
    let mut server = Server::prepare(&database.below(&settings::plain()));
    let armed = format!("{point}=return");
    for _ in 0..2 {
        let binary = server::binary_with_fail_points();
        let died = server.launch_patiently(&binary, &[("FAILPOINTS", &armed)]);
        assert!(died.is_err(), "{point} was not reached");
    }
    server.launch_patiently(&server::binary(), &[]).unwrap_or_else(|s| panic!("{point}: {s}"));
    assert_eq!(server.memcached().set("item", "value"), "STORED");
    server.restart();
    assert_eq!(server.memcached().get_kept("item"), b"value", "{point}");
}
