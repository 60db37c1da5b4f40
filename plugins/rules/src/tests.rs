//! What the rules do, natively: no server and no Wasm is needed.

mod events;
mod keys;
mod refusals;
mod store;

use super::*;
use wasmcached_plugin::testing::{actions, configured, event, get, item, key, response, storage};

fn rules(json: &str) -> RulesPlugin {
    configured(&[("rules", json)])
}

fn refusal(json: &str) -> String {
    let settings = [("rules".to_owned(), json.to_owned())];
    RulesPlugin::default().configure(&settings).expect_err("the rules are wrong").to_string()
}

#[test]
fn without_rules_everything_stays_as_http_says() {
    for plugin in [RulesPlugin::default(), rules("{}"), rules(r#"{"keys":{},"store":[]}"#)] {
        let request = get("https://s/a?utm_source=x");
        assert_eq!(key(&plugin, &request), "http://s/a?utm_source=x");
        assert_eq!(storage(&plugin, &request, &response(200)), Storage::keep());
        assert_eq!(actions(&plugin, &event("a.b").id(1)), []);
        assert_eq!((plugin.inputs(), plugin.item_prefixes()), (vec![], vec![]));
    }
}

/// The JSON of the documentation at the top of the crate.
fn documented() -> String {
    let source = include_str!("lib.rs");
    let block = source.split("//! ```json\n").nth(1).expect("a block of JSON");
    let block = block.split("//! ```\n").next().expect("the end of the block");
    block.lines().map(|line| line.trim_start_matches("//!")).collect()
}

#[test]
fn the_rules_of_the_documentation_are_read_and_do_what_it_says() {
    let plugin = rules(&documented());
    let listed = get("https://shop.example:8080/list/a?sort=name&page=2&utm_source=x&q=1");
    let kept = listed.clone().cookie("currency", "eur");
    assert_eq!(
        key(&plugin, &kept),
        "v2:http://shop.example:8080/list/a?page=2&sort=name|currency=eur"
    );
    assert_eq!(key(&plugin, &listed.cookie("sessionid", "1")), Key::bypass());
    assert_eq!(key(&plugin, &get("https://shop.example/list/mine/")), Key::bypass());
    let html = response(404).header("Content-Type", "text/html; charset=utf-8");
    let expected = Storage::ttl(300).stale_while_revalidate(30).stale_if_error(600);
    let page = storage(&plugin, &get("https://s/treks/k2/"), &html);
    assert_eq!(page, expected.tag("trek:k2").tag("host:s"));
    assert_eq!(storage(&plugin, &get("https://s/cart"), &html), Storage::skip());
    let fragment = plugin.on_item(&item("frag:5", 0, 1)).expect("an answer");
    assert_eq!(fragment, Storage::ttl(60).tag("part:5"));
    let moved = event("treks.photo").id(5).changed("trek").field("before.trek", "k2");
    let moved = moved.field("after.trek", "g1").field("after.slug", "on top");
    let expected = [
        hard_tag("trek:k2"),
        hard_tag("trek:g1"),
        hard_tag("home"),
        hard_key("photo:5"),
        hard_url("http://shop.example/photos/on%20top/"),
        hard_prefix("list:treks.photo:"),
    ];
    assert_eq!(actions(&plugin, &moved), expected);
}
