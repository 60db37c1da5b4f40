//! The plugin `rules`: the quick start of the README as it stands there, keys, times and tags of
//! pages and items, and what events make wrong by them.

use serde_json::json;
use wasmcached_tests::origin::Response;
use wasmcached_tests::server::serve_to_its_end;
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
    let product = || json!({"slug": "red-boots"});
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
    // The API's values are items, too.
    let own = [("surrogate-key", "own"), ("cache-control", "max-age=3600")];
    assert_eq!(http::send("PUT", &server.cached("frag:2"), &own, b"two").status, 204);
    for (key, tags) in [("frag:1", "fragments"), ("frag:2", "own fragments")] {
        let described = http::get(&server.cached(key));
        assert_eq!(described.field("surrogate-key"), format!("{tags} plugin:rules/1"));
        let left_s = described.field("cache-control").strip_prefix("max-age=");
        let left_s: u64 = left_s.and_then(|text| text.parse().ok()).expect("a time to live");
        assert!((1..=60).contains(&left_s), "{left_s} s are left of 60");
    }
    let purge = b"{\"tags\":[\"fragments\"]}";
    let answer = http::send("POST", &server.api("/v1/invalidate"), &[], purge);
    assert_eq!(answer.json()["affected"], 2);
    assert_eq!(http::get(&server.cached("frag:1")).status, 404);
    assert_eq!(http::get(&server.cached("other")).text(), "two");
}

/// A site and a source with the plugin `rules` and these rules, whose time does not run out on a
/// busy machine.
fn server_with(origin: &Origin, rules: &str) -> Server {
    let shipped = settings::trekking(&origin.url());
    let shipped = shipped.replace("plugin = \"trekking\"", "plugin = \"rules\"");
    let limits = "limits = { key_timeout = \"1s\", store_timeout = \"10s\" }";
    let section = format!("[plugins.rules]\n{limits}\n{rules}\n");
    Server::start(&shipped.replace("[plugins.trekking]\n", &section))
}

fn pages() -> Origin {
    Origin::start(|request| {
        let kind = if request.target.ends_with(".js") { "text/javascript" } else { "text/html" };
        let body = format!("page {} {:?}", request.target, request.field("cookie"));
        Response::new(200, body).with("content-type", kind)
    })
}

#[test]
fn product_that_moves_to_another_category_is_missed_in_neither() {
    let origin = Origin::start(|_| Response::cacheable("page"));
    let rules = "[[plugins.rules.config.rules.store]]\npath = \"/category/*\"\n\
                 tags = [\"category:{path.1}\", \"model:shop.product\"]\n\
                 [[plugins.rules.config.rules.events]]\nmodel = \"shop.*\"\n\
                 tags = [\"category:{both.category}\"]\n";
    let server = server_with(&origin, rules);
    let categories = ["/category/3/", "/category/7/", "/category/9/"];
    let keep = || {
        let kept = categories.map(|path| server.page(path));
        kept.iter().for_each(|page| drop(http::get(page)));
        assert!(kept.iter().all(|page| http::get(page).is_hit()));
    };
    let hits = || categories.map(|path| http::get(&server.page(path)).is_hit());
    let change = |before, after| {
        let answer = Webhook::change("shop.product", before, after).post(&server);
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    keep();
    change(json!({"category": 3}), json!({"category": 7}));
    assert_eq!(hits(), [false, false, true]);
    keep();
    // It does not say where the product was: it may have been anywhere.
    change(json!({}), json!({}));
    assert_eq!(hits(), [false, false, false]);
    let log = server.log();
    assert!(log.contains("{before.category} is not said; purging model:shop.product"), "{log}");
}

#[test]
fn keys_times_and_what_is_not_stored_are_as_the_rules_say() {
    let origin = pages();
    let rules = "[plugins.rules.config]\nrules = { keys = [\
                   { drop_query = [\"utm_*\"], bypass_cookies = [\"sessionid\"] },\
                   { path = \"/shop/*\", cookies = [\"currency\"], keep_query = [\"page\"] }],\
                 store = [{ path = \"/cart*\", store = false },\
                   { content_type = \"text/javascript\", ttl_s = 7200 },\
                   { content_type = \"text/*\", status = \"2xx\", ttl_s = 600 }] }\n";
    let server = server_with(&origin, rules);
    let get = |path: &str, cookie: &str| {
        let fields = [("cookie", cookie)];
        let fields = if cookie.is_empty() { &[] } else { fields.as_slice() };
        http::send("GET", &server.page(path), fields, b"")
    };
    // The same page, whatever the campaign, and for every page of the list.
    for (path, other, cookie) in [
        ("/a?utm_id=1", "/a?utm_source=x", ""),
        ("/shop/x?page=2&sort=1", "/shop/x?sort=2&page=2", "currency=eur"),
    ] {
        let first = get(path, cookie).text();
        let second = get(other, cookie);
        assert!(second.is_hit() && second.text() == first, "{other}: {second:?}");
    }
    let others = [("/shop/x?page=3", "currency=eur"), ("/shop/x?page=2", "currency=usd")];
    for (path, cookie) in others.into_iter().chain([("/shop/x?page=2", "")]) {
        assert!(!get(path, cookie).is_hit(), "{path} {cookie}");
    }
    for (path, cookie) in [("/a", "sessionid=1"), ("/cart/", "")] {
        get(path, cookie);
        assert!(!get(path, cookie).is_hit(), "{path} {cookie}");
    }
    for (path, at_most_s) in [("/code.js", 7200_u64), ("/b", 600)] {
        get(path, "");
        let left = get(path, "").field("cache-status").to_owned();
        let left_s = left.split("ttl=").nth(1).expect("a time to live");
        let left_s: u64 = left_s.split(';').next().unwrap().trim().parse().unwrap();
        assert!((at_most_s - 60..=at_most_s).contains(&left_s), "{path}: {left}");
    }
}

#[test]
fn page_whose_key_is_no_url_is_purged_by_each_url_that_it_has() {
    let origin = Origin::start(|request| Response::cacheable(format!("page {}", request.target)));
    let rules = "[plugins.rules.config.rules]\n\
                 keys = { prefix = \"v2:\", drop_query = [\"utm_*\"], cookies = [\"currency\"] }\n";
    let server = server_with(&origin, rules);
    let visit = |target: &str, currency: &str| {
        let cookie = format!("currency={currency}");
        http::send("GET", &server.page(target), &[("cookie", &cookie)], b"").is_hit()
    };
    let urls = ["/boots?utm_source=mail", "/boots", "/boots?utm_source=web"];
    for purged in urls {
        for currency in ["usd", "eur"] {
            visit(urls[0], currency);
            assert!(urls.iter().all(|url| visit(url, currency)), "one page for {currency}");
        }
        assert!(visit("/coat", "usd") || visit("/coat", "usd"));
        let purge = json!({"urls": [server.page(purged)]}).to_string();
        let answer = http::send("POST", &server.api("/v1/invalidate"), &[], purge.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(!visit("/boots", "usd") && !visit("/boots", "eur"), "kept after {purged}");
        assert!(visit("/coat", "usd"), "purged without a reason");
    }
}

#[test]
fn rules_that_are_not_understood_keep_the_server_from_starting_and_say_where_they_are() {
    for (rules, expected) in [
        (
            "events = [{ tags = [\"a\"] }, { name = \"photos\", tags = [\"trek:{id}\"] }]",
            "plugins.rules: configure: events[1].tags[0] (rule \"photos\"): unknown variable {id};",
        ),
        (
            "store = [{ name = \"all\", path = \"treks/*\" }]",
            "plugins.rules: configure: store[0].path (rule \"all\"): \"treks/*\" begins with \
             neither `/` nor `*`, so the rule can never match",
        ),
        (
            "keys = { bypass_cookie = [\"sessionid\"] }",
            "plugins.rules: configure: keys: unknown field `bypass_cookie`; \
             did you mean `bypass_cookies`",
        ),
    ] {
        let section = format!("[plugins.rules.config.rules]\n{rules}\n");
        let settings = format!("{}\n{section}", settings::plain());
        let output = serve_to_its_end(&settings, &["--check"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}
