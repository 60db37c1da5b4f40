//! A configured site as a target of invalidations: over the API, by the command line, over
//! restarts.

use serde_json::json;
use wasmcached_tests::origin::Response;
use wasmcached_tests::server::run;
use wasmcached_tests::{Database, Origin, Server, http, settings};

/// Pages that say how often their origin was asked.
fn numbered_origin() -> Origin {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    Origin::start(move |_| {
        let number = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Response::cacheable(format!("rendering {number}"))
    })
}

/// A site for the host `blog.example`, and one with a plugin for every other host.
fn two_sites(origin: &str) -> String {
    let blog =
        format!("[[sites]]\nname = \"blog\"\nhost = \"blog.example\"\norigin = \"{origin}\"\n");
    format!("{}\n{blog}", settings::trekking(origin))
}

fn blog(server: &Server) -> http::Answer {
    http::send("GET", &server.page("/"), &[("host", "blog.example")], b"")
}

#[test]
fn a_site_is_invalidated_with_all_its_pages_and_nothing_else() {
    let origin = numbered_origin();
    let server = Server::start(&two_sites(&origin.url()));
    let pages = ["/", "/treks/annapurna/?utm_source=x", "/treks/langtang/"];
    for path in pages {
        http::get(&server.page(path));
    }
    blog(&server);
    assert_eq!(server.memcached().set("item", "value"), "STORED");
    let ask = json!({"sites": ["trekking"], "keys": ["no such key"]});
    let dry = http::post_json(&server.api("/v1/invalidate?dry_run=true"), &ask).json();
    assert_eq!((&dry["affected"], &dry["targets"][1]["kind"]), (&json!(3), &json!("site")));
    assert!(pages.iter().all(|path| http::get(&server.page(path)).is_hit()), "a dry run");
    let answer = http::post_json(&server.api("/v1/invalidate"), &ask);
    assert_eq!((answer.status, &answer.json()["affected"]), (200, &json!(3)));
    for path in pages {
        assert!(!http::get(&server.page(path)).is_hit(), "{path}");
    }
    assert!(blog(&server).is_hit());
    assert_eq!(server.memcached().get("item").unwrap(), b"value");
}

#[test]
fn a_site_that_is_not_configured_is_named_with_those_that_are() {
    let origin = numbered_origin();
    let server = Server::start(&two_sites(&origin.url()));
    http::get(&server.page("/"));
    let ask = json!({"sites": ["trekking", "shop"]});
    let answer = http::post_json(&server.api("/v1/invalidate"), &ask);
    assert_eq!(answer.status, 400);
    let error = answer.json()["error"].as_str().unwrap().to_owned();
    assert_eq!(error, "site \"shop\" is not configured; the sites are trekking, blog");
    assert!(http::get(&server.page("/")).is_hit(), "nothing was done");
    let server = Server::start(&settings::plain());
    let answer = http::post_json(&server.api("/v1/invalidate"), &json!({"sites": ["shop"]}));
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("no site is configured"), "{}", answer.text());
}

fn an_invalidated_site_stays_so_after_a_kill_and_explain_says_why(database: &Database) {
    let origin = numbered_origin();
    let mut server = Server::start(&database.below(&two_sites(&origin.url())));
    let before = [http::get(&server.page("/")).text(), blog(&server).text()];
    // An orderly restart: the pages are in the database, and not in memory.
    server.restart();
    let api = server.api("");
    let said = run(&["invalidate", "--site", "blog", "--server", &api]);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    server.kill();
    server.start_again();
    assert_ne!(blog(&server).text(), before[1]);
    assert_eq!(http::get_kept(&server.page("/")).text(), before[0]);
    let url = server.api("/v1/explain?url=http%3A%2F%2Fblog.example%2F");
    let explained = http::get(&url).json();
    assert_eq!(explained["entries"][0]["site"], "blog", "{explained}");
}

wasmcached_tests::over_both_databases! {
    an_invalidated_site_stays_so_after_a_kill_and_explain_says_why,
}
