//! Deaths while a database is made or opened.

use wasmcached_tests::{Server, server, settings};

/// The points on the way to an open database, in order.
const OPENING: [&str; 5] =
    ["file-created", "file-marked", "migrated", "epoch-raised", "fence-read"];

#[test]
fn server_that_died_while_it_made_its_database_starts_and_works() {
    for point in OPENING {
        let mut server = Server::prepare(&settings::with_tier(&settings::plain()));
        let armed = format!("{point}=return");
        for _ in 0..2 {
            let died =
                server.try_launch(&server::binary_with_fail_points(), &[("FAILPOINTS", &armed)]);
            assert!(died.is_err(), "{point} was not reached");
        }
        server.try_launch(&server::binary(), &[]).unwrap_or_else(|s| panic!("{point}: {s}"));
        assert_eq!(server.memcached().set("item", "value"), "STORED");
        server.restart();
        assert_eq!(server.memcached().get("item").unwrap(), b"value", "{point}");
    }
}
