//! The tier: what a restart keeps, and what a crash can't bring back.

use serde_json::json;
use wasmcached_tests::origin::Response;
use wasmcached_tests::wait::{eventually, monotonic_ns};
use wasmcached_tests::{Database, Origin, Server, Webhook, http, settings};

fn numbered_origin() -> Origin {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    Origin::start(move |_| {
        let number = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Response::cacheable(format!("rendering {number}")).with("etag", "\"e\"")
    })
}

fn restart_serves_what_was_cached(database: &Database) {
    let origin = numbered_origin();
    let mut server = Server::start(&database.below(&settings::trekking(&origin.url())));
    let before = http::get(&server.page("/")).text();
    assert_eq!(server.memcached().set("item", "value"), "STORED");
    server.restart();
    let after = http::get_kept(&server.page("/"));
    assert!(after.is_hit(), "{after:?}");
    assert_eq!((after.text(), after.field("etag")), (before, "\"e\""));
    assert_eq!(server.memcached().get_kept("item"), b"value");
}

fn restart_brings_back_nothing_that_was_invalidated(database: &Database) {
    let origin = numbered_origin();
    let mut server = Server::start(&database.below(&settings::trekking(&origin.url())));
    for path in ["/", "/treks/annapurna/", "/treks/langtang/"] {
        http::get(&server.page(path));
    }
    for key in ["deleted", "by-key", "by-prefix:1", "kept"] {
        assert_eq!(server.memcached().set(key, "value"), "STORED");
    }
    server.restart();
    assert_eq!(Webhook::photo("annapurna").post(&server).status, 200);
    assert_eq!(server.memcached().ask("delete deleted"), "DELETED");
    let body = json!({"keys": ["by-key"], "prefixes": ["by-prefix:"]});
    assert_eq!(http::post_json(&server.api("/v1/invalidate"), &body).status, 200);
    server.restart();
    for path in ["/", "/treks/annapurna/"] {
        assert!(!http::get(&server.page(path)).is_hit(), "{path}");
    }
    assert!(http::get_kept(&server.page("/treks/langtang/")).is_hit());
    let mut memcached = server.memcached();
    for key in ["deleted", "by-key", "by-prefix:1"] {
        assert_eq!(memcached.get(key), None, "{key}");
    }
    assert_eq!(memcached.get_kept("kept"), b"value");
}

fn acknowledged_event_survives_kill(database: &Database) {
    let origin = numbered_origin();
    let mut server = Server::start(&database.below(&settings::trekking(&origin.url())));
    let url = server.page("/treks/annapurna/");
    let before = http::get(&url).text();
    // An orderly restart: the page is in the database now.
    server.restart();
    assert_eq!(http::get_kept(&url).text(), before);
    assert_eq!(Webhook::photo("annapurna").post(&server).status, 200);
    server.kill();
    server.start_again();
    assert_eq!(server.memcached().get(&url), None);
    assert_ne!(http::get(&url).text(), before);
}

fn acknowledged_flush_and_delete_survive_kill(database: &Database) {
    for command in ["flush_all", "delete item"] {
        let mut server = Server::start(&database.below(&settings::plain()));
        assert_eq!(server.memcached().set("item", "value"), "STORED");
        server.restart();
        let reply = server.memcached().ask(command);
        assert!(reply == "OK" || reply == "DELETED", "{reply}");
        server.kill();
        server.start_again();
        assert_eq!(server.memcached().get("item"), None, "{command}");
    }
}

fn acknowledged_flush_with_a_delay_survives_kill(database: &Database) {
    let mut server = Server::start(&database.below(&settings::plain()));
    assert_eq!(server.memcached().set("item", "value"), "STORED");
    // The moment comes while a server runs.
    assert_eq!(server.memcached().ask("flush_all 1"), "OK");
    server.kill();
    server.start_again();
    eventually("the moment comes", || server.memcached().get("item").is_none());
    // And while none does.
    assert_eq!(server.memcached().set("item", "value"), "STORED");
    assert_eq!(server.memcached().ask("flush_all 1"), "OK");
    let asked_ns = monotonic_ns();
    server.kill();
    eventually("the moment is over", || monotonic_ns() - asked_ns > 1_500_000_000);
    server.start_again();
    assert_eq!(http::get(&server.cached("item")).status, 404);
    // Once is enough.
    assert_eq!(server.memcached().set("item", "value"), "STORED");
    server.kill();
    server.start_again();
    assert_eq!(server.memcached().get_kept("item"), b"value");
}

fn overwritten_value_never_comes_back_after_kill(database: &Database) {
    let mut server = Server::start(&database.below(&settings::plain()));
    assert_eq!(server.memcached().set("item", "old"), "STORED");
    server.restart();
    assert_eq!(server.memcached().set("item", "new"), "STORED");
    server.kill();
    server.start_again();
    // A crash may lose a store, never undo it to the value before.
    let value = server.memcached().get("item");
    assert!(value.is_none() || value.as_deref() == Some(b"new"), "{value:?}");
}

fn second_server_on_the_same_database_is_refused(database: &Database) {
    let server = Server::start(&database.below(&settings::plain()));
    let theirs = database.of(&server);
    let output = wasmcached_tests::server::serve_to_its_end(&theirs.below(&settings::plain()), &[]);
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    let refusal = format!("database {} is in use by another server", theirs.shown());
    assert!(said.contains(&refusal), "{said}");
}

fn stale_mark_and_soft_purge_survive_kill(database: &Database) {
    for command in ["md item I", "md item x", "soft purge"] {
        let mut server = Server::start(&database.below(&settings::plain()));
        assert_eq!(server.memcached().ask("ms item 3 Lusers\r\nold"), "HD");
        server.restart();
        assert_eq!(server.memcached().get_kept("item"), b"old");
        if command == "soft purge" {
            let body = json!({"tags": ["users"], "mode": "soft"});
            assert_eq!(http::post_json(&server.api("/v1/invalidate"), &body).status, 200);
            assert_eq!(server.memcached().ask("mg item"), "HD X W");
        } else {
            assert_eq!(server.memcached().ask(command), "HD");
        }
        server.kill();
        server.start_again();
        // What was emptied stays so; what is stale in memory is not kept below it.
        let left = (command == "md item x").then(Vec::new);
        assert_eq!(server.memcached().get("item"), left, "{command}");
    }
}

fn softly_purged_item_is_won_by_one_client_after_a_restart(database: &Database) {
    let mut server = Server::start(&database.below(&settings::plain()));
    assert_eq!(server.memcached().ask("ms item 3 Lusers\r\nold"), "HD");
    let body = json!({"tags": ["users"], "mode": "soft"});
    assert_eq!(http::post_json(&server.api("/v1/invalidate"), &body).status, 200);
    server.restart();
    let (mut first, mut other) = (server.memcached(), server.memcached());
    // A look-up that a busy machine holds up is a miss.
    let mut won = String::new();
    eventually("it is found", || {
        won = first.ask("mg item s");
        won != "EN"
    });
    assert_eq!(won, "HD s3 X W");
    assert_eq!(other.ask("mg item s"), "HD s3 Z X");
    assert_eq!(first.ask("ms item 3 Lusers\r\nnew"), "HD");
    assert_eq!(other.get("item").unwrap(), b"new");
}

wasmcached_tests::over_both_databases! {
    restart_serves_what_was_cached,
    restart_brings_back_nothing_that_was_invalidated,
    acknowledged_event_survives_kill,
    acknowledged_flush_and_delete_survive_kill,
    acknowledged_flush_with_a_delay_survives_kill,
    overwritten_value_never_comes_back_after_kill,
    second_server_on_the_same_database_is_refused,
    stale_mark_and_soft_purge_survive_kill,
    softly_purged_item_is_won_by_one_client_after_a_restart,
}
