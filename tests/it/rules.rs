//! The quick start of the README as it stands there, and items that the plugin `rules` tags.

use wasmcached_tests::origin::Response;
use wasmcached_tests::{Origin, Server, Webhook, http, settings};

/// The first TOML block of the README, with what a machine fills in filled in.
fn quick_start(origin: &str) -> String {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let block = readme.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let filled = [
        ("sqlite://cache.db", "sqlite://{dir}/cache.db"),
        ("http://127.0.0.1:8000", origin),
        ("whsec_…", settings::SECRET),
    ];
    let mut text = block.to_owned();
    for (written, value) in filled {
        assert!(text.contains(written), "the README has no {written}");
        text = text.replace(written, value);
    }
    let free = "[memcached]\nlisten = \"127.0.0.1:0\"\n[api]\nlisten = \"127.0.0.1:0\"\n\
                [pages]\nlisten = \"127.0.0.1:0\"\n";
    format!("{text}\n{free}")
}

#[test]
fn the_quick_start_of_the_readme_makes_pages_fresh_after_its_event() {
    let origin = Origin::start(|request| Response::cacheable(format!("page {}", request.target)));
    let server = Server::start(&quick_start(&origin.url()));
    let (boots, coat) = (server.page("/products/red-boots"), server.page("/products/coat"));
    http::get(&boots);
    http::get(&coat);
    assert!(http::get(&boots).is_hit() && http::get(&coat).is_hit());
    let product = || serde_json::json!({"slug": "red-boots"});
    let mut saved = Webhook::change("shop.product", product(), product());
    saved.source = "shop".to_owned();
    let answer = saved.post(&server);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["affected"], 1);
    assert!(!http::get(&boots).is_hit(), "served from before the event");
    assert!(http::get(&coat).is_hit(), "purged without a reason");
}

#[test]
fn items_of_a_declared_prefix_get_their_tags_and_time_from_the_plugin() {
    let rules = "[plugins.rules.config.rules]\n\
                 items = [{ prefix = \"frag:\", ttl_s = 60, tags = [\"fragments\"] }]\n";
    let server = Server::start(&format!("{}\n{rules}", settings::plain()));
    let mut client = server.memcached();
    assert_eq!(client.set("frag:1", "one"), "STORED");
    assert_eq!(client.set("other", "two"), "STORED");
    let described = http::get(&server.cached("frag:1"));
    assert_eq!(described.field("surrogate-key"), "fragments plugin:rules/1");
    let left_s = described.field("cache-control").strip_prefix("max-age=");
    let left_s: u64 = left_s.and_then(|text| text.parse().ok()).expect("a time to live");
    assert!((1..=60).contains(&left_s), "{left_s} s are left of 60");
    let purge = b"{\"tags\":[\"fragments\"]}";
    let answer = http::send("POST", &server.api("/v1/invalidate"), &[], purge);
    assert_eq!(answer.json()["affected"], 1);
    assert_eq!(http::get(&server.cached("frag:1")).status, 404);
    assert_eq!(http::get(&server.cached("other")).text(), "two");
}
