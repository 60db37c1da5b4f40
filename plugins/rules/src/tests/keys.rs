//! Keys, and requests that go past the cache.

use super::*;

#[test]
fn cookies_and_paths_bypass() {
    let plugin = rules(r#"{"keys":{"bypass_cookies":["sessionid"],"ignore_paths":["/admin*"]}}"#);
    assert_eq!(plugin.inputs(), [Input::Cookie("sessionid".to_owned())]);
    assert_eq!(key(&plugin, &get("https://s/a").cookie("sessionid", "1")), Key::bypass());
    assert_eq!(key(&plugin, &get("https://s/admin/users")), Key::bypass());
    assert_eq!(key(&plugin, &get("https://s/a").cookie("theme", "1")), "http://s/a");
}

#[test]
fn query_parameters_are_dropped_and_keys_prefixed() {
    let plugin = rules(r#"{"keys":{"prefix":"v2:","drop_query":["utm_*","fbclid"]}}"#);
    let request = get("https://s/a?utm_source=x&page=2&fbclid=3");
    assert_eq!(key(&plugin, &request), "v2:http://s/a?page=2");
}

#[test]
fn only_kept_parameters_tell_pages_apart_and_their_order_may_not() {
    let plugin = rules(r#"{"keys":{"keep_query":["page","filter_*"],"sort_query":true}}"#);
    let request = get("https://s/a?page=2&x=1&filter_b=3&filter_a=4");
    assert_eq!(key(&plugin, &request), "http://s/a?filter_a=4&filter_b=3&page=2");
    let plugin = rules(r#"{"keys":{"keep_query":[]}}"#);
    assert_eq!(key(&plugin, &request), "http://s/a");
}

#[test]
fn cookies_of_the_key_tell_pages_apart_and_no_value_looks_like_none() {
    let plugin = rules(r#"{"keys":{"cookies":["tier","currency"],"bypass_cookies":["tier"]}}"#);
    assert_eq!(plugin.inputs().len(), 2, "each is declared once");
    let plugin = rules(r#"{"keys":{"cookies":["tier","currency"]}}"#);
    let of = |cookies: &[(&str, &str)]| {
        let request = get("https://s/a");
        let request =
            cookies.iter().fold(request, |request, (name, value)| request.cookie(name, value));
        key(&plugin, &request).to_string()
    };
    assert_eq!(of(&[]), "http://s/a");
    assert_eq!(of(&[("currency", "eur"), ("tier", "1")]), "http://s/a|tier=1|currency=eur");
    let all = [of(&[]), of(&[("tier", "")]), of(&[("tier", "-")]), of(&[("tier", "|currency=")])];
    let different: std::collections::BTreeSet<&String> = all.iter().collect();
    assert_eq!(different.len(), all.len(), "{all:?}");
}

#[test]
fn rules_about_keys_hold_for_their_hosts_and_paths_and_add_up() {
    let plugin = rules(
        r#"{"keys":[{"drop_query":["utm_*"]},
                    {"host":["shop.example","*.shop.example"],"prefix":"shop:"},
                    {"host":"shop.example:81","prefix":"second:"},
                    {"path":["/list*","/search*"],"keep_query":["q"]},
                    {"path":"/api/*","bypass":true}]}"#,
    );
    for (url, expected) in [
        ("https://s/a?x=1&utm_id=2", "http://s/a?x=1"),
        ("https://shop.example/a", "shop:http://shop.example/a"),
        ("https://shop.example:81/a", "shop:http://shop.example:81/a"),
        ("https://de.shop.example/list?q=1&x=2", "shop:http://de.shop.example/list?q=1"),
        ("https://notshop.example/search?x=2", "http://notshop.example/search"),
        ("https://s/api/", "(bypass)"),
        ("https://[::1]/a", "http://[::1]/a"),
    ] {
        assert_eq!(key(&plugin, &get(url)).to_string(), expected, "{url}");
    }
}

#[test]
fn keys_do_not_look_at_cookies_that_no_rule_names() {
    // Reading anything else would panic here.
    let plugin = rules(r#"{"keys":[{"path":"/a","cookies":["a"]},{"bypass_cookies":["b"]}]}"#);
    assert_eq!(key(&plugin, &get("https://s/a").cookie("c", "1")), "http://s/a");
}
