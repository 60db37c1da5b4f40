//! What is kept where, and what ends it.

use super::*;
use wasmcached_plugin::testing::storage;
use wasmcached_plugin::testing::{TestResponse, actions, configured, event, get, key, response};

const EVENTS: &str = r#"[{"model":"treks.photo","uris":["/treks/{both.trek}/","/"]},
                         {"model":"treks.*","uris":["/"]}]"#;

fn plugin() -> NginxKeys {
    configured(&[
        ("prefix", "/your-site-name-"),
        ("host", "WWW.example.org:80"),
        ("ignore", r#"["/admin*"]"#),
        ("events", EVENTS),
    ])
}

fn refusal(settings: &[(&str, &str)]) -> String {
    let owned: Vec<_> = settings.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    NginxKeys::default().configure(&owned).expect_err("the settings are wrong").to_string()
}

fn html() -> TestResponse {
    response(200).header("content-type", "text/html; charset=utf-8")
}

#[test]
fn pages_are_under_the_key_that_nginx_asks_for() {
    let page = get("http://www.example.org/treks/annapurna/");
    assert_eq!(key(&plugin(), &page), "/your-site-name-/treks/annapurna/");
    let expected = Storage::keep().tag("/your-site-name-").tag("/your-site-name-/treks/annapurna/");
    assert_eq!(storage(&plugin(), &page, &html()), expected);
}

#[test]
fn pages_with_a_query_are_elsewhere_and_end_with_the_others() {
    let page = get("http://www.example.org/treks/?page=2");
    assert_eq!(key(&plugin(), &page), "http://www.example.org/treks/?page=2");
    let expected = Storage::keep().tag("/your-site-name-").tag("/your-site-name-/treks/");
    assert_eq!(storage(&plugin(), &page, &html()), expected);
    // nginx's `$args` is empty, and yet it is another URL.
    let empty = get("http://www.example.org/treks/?");
    assert_eq!(key(&plugin(), &empty), "http://www.example.org/treks/?");
}

#[test]
fn other_hosts_and_odd_spellings_are_never_what_nginx_asks_for() {
    for url in ["http://evil.example/", "http://www.example.org:81/", "http://www.example.org/%61"]
    {
        assert_eq!(key(&plugin(), &get(url)), url);
        let expected = Storage::keep().tag("/your-site-name-");
        assert_eq!(storage(&plugin(), &get(url), &html()), expected);
    }
}

#[test]
fn ignored_paths_go_past_the_cache() {
    assert_eq!(key(&plugin(), &get("http://www.example.org/admin/login")), Key::bypass());
}

#[test]
fn what_nginx_would_call_by_a_wrong_type_is_not_stored() {
    let style = get("http://www.example.org/style.css");
    let css = response(200).header("content-type", "text/css");
    assert_eq!(storage(&plugin(), &style, &css), Storage::skip());
    assert_eq!(storage(&plugin(), &style, &response(200)), Storage::skip());
    let tagged = storage(&plugin(), &get("http://www.example.org/style.css?v=2"), &css);
    assert_ne!(tagged, Storage::skip(), "nginx does not ask for it");
}

#[test]
fn an_event_ends_the_pages_that_its_model_is_shown_on() {
    let moved = event("treks.photo").field("before.trek", "k2").field("after.trek", "on top");
    let expected = ["/treks/k2/", "/treks/on%20top/", "/"].map(|uri| {
        let key = format!("/your-site-name-{uri}");
        [hard_tag(&key), hard_key(&key)]
    });
    assert_eq!(actions(&plugin(), &moved), expected.concat());
    assert_eq!(actions(&plugin(), &event("shop.order")), []);
}

#[test]
fn an_event_that_does_not_say_which_page_ends_all_of_the_site() {
    let home = "/your-site-name-/";
    let expected = [
        hard_tag("/your-site-name-"),
        hard_prefix("/your-site-name-"),
        hard_tag(home),
        hard_key(home),
    ];
    assert_eq!(actions(&plugin(), &event("treks.photo").id(5)), expected);
    let odd = event("treks.photo").field("before.trek", "..").field("after.trek", "k2");
    assert_eq!(actions(&plugin(), &odd), expected);
}

#[test]
fn wrong_settings_are_named() {
    let host = ("host", "a");
    for (settings, expected) in [
        (vec![host], "setting `prefix` is missing; it is `/your-site-name-` of"),
        (vec![("prefix", "p")], "setting `host` is missing; it is `www.example.org`: keys"),
        (vec![("prefix", "a b")], "setting `prefix`: \"a b\" has ' '; nginx would ask for another"),
        (vec![("host", "http://a")], "setting `host`: \"http://a\"; a name, with a port unless"),
        (vec![("ignore", "/admin")], "setting `ignore`: a list of paths: "),
        (vec![("ignore", r#"["admin"]"#)], "setting `ignore[0]`: \"admin\" begins with neither"),
        (vec![("events", "{}")], "setting `events`: a list of rules: "),
        (vec![("events", r#"[{"model":"a"}]"#)], "setting `events[0]`: missing field `uris`"),
        (vec![("events", r#"[{"model":"a","uris":[]}]"#)], "setting `events[0]`: `model` and"),
        (vec![("events", r#"[{"model":"a","uris":["{id}"]}]"#)], "setting `events[0]`: unknown"),
        (vec![("events", r#"[{"model":"a","uris":["a/"]}]"#)], "setting `events[0]`: \"a/\" does"),
        (vec![("content_type", "text/*")], "setting `content_type`: \"text/*\"; one media type"),
        (vec![("content_type", "html")], "setting `content_type`: \"html\"; one media type"),
        (vec![("ignored", "")], "unknown setting `ignored`; there are prefix, host, ignore, "),
    ] {
        let told = refusal(&settings);
        assert!(told.starts_with(expected), "{told}");
    }
    assert!(refusal(&[("prefix", &"p".repeat(101))]).contains("is 101 bytes; limit is 100"));
}
