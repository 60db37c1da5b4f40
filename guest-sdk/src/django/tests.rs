//! Keys that real releases of Django computed, written down once.

use serde_json::json;

use super::*;

const URL: &str = "http://ex.org:8000/p/%C3%A9/?b=2&a=1";

fn release(text: &str) -> Release {
    text.parse().unwrap()
}

fn fragment(text: &str, name: &str, vary_on: &[&str]) -> String {
    let key = make_template_fragment_key(release(text), name, vary_on);
    key.rsplit('.').next().unwrap().to_owned()
}

fn page() -> Page<'static> {
    let (language, time_zone) = (Some("en-us"), Some("Europe/Paris"));
    Page { url: URL, key_prefix: "", language, time_zone }
}

#[test]
fn keys_have_prefix_and_version_before_them() {
    assert_eq!(make_key("a", "", 1), ":1:a");
    assert_eq!(make_key("a b", "shop", 12), "shop:12:a b");
}

#[test]
fn fragments_have_the_keys_of_their_release() {
    for (text, sidebar, empty) in [
        ("4.2", "6e2b1025e4447581ec8be84e7c14680a", "853ae90f0351324bd73ea615e6487517"),
        ("6.0.10", "6e2b1025e4447581ec8be84e7c14680a", "853ae90f0351324bd73ea615e6487517"),
        ("6.1", "305fc879f852df3476f3300f5fbe076d", "3b59035bd3b34e30981dc990dd93acbb"),
        ("7.0", "305fc879f852df3476f3300f5fbe076d", "3b59035bd3b34e30981dc990dd93acbb"),
    ] {
        assert_eq!(fragment(text, "sidebar", &["7", "en"]), sidebar, "{text}");
        assert_eq!(fragment(text, "sidebar", &[""]), empty, "{text}");
        assert_eq!(fragment(text, "sidebar", &[]), "d41d8cd98f00b204e9800998ecf8427e", "{text}");
    }
    let key = make_template_fragment_key(release("6.1"), "sidebar", &["7"]);
    assert!(key.starts_with(&template_fragment_prefix("sidebar")), "{key}");
}

#[test]
fn values_with_colons_share_a_fragment_before_6_1_only() {
    let (one, two) = (["a:b"], ["a", "b"]);
    assert_eq!(fragment("6.0.10", "x", &one), fragment("6.0.10", "x", &two));
    assert_ne!(fragment("6.1", "x", &one), fragment("6.1", "x", &two));
}

#[test]
fn pages_have_the_keys_of_their_release() {
    let url = "0e9ec8337ea7cd700e21be79aa4f6d1a";
    let header = format!("views.decorators.cache.cache_header..{url}.en-us.Europe/Paris");
    assert_eq!(page().header_key(), header);
    let vary = [("X", None), ("Cookie", Some("s=1"))];
    for (text, hash) in [
        ("4.2.30", "73bbe012edfb61eca43444d61fefe937"),
        ("5.2.18", "73bbe012edfb61eca43444d61fefe937"),
        ("6.0.9", "73bbe012edfb61eca43444d61fefe937"),
        ("5.2.19", "35f594baf63889997501d1f3294e2d6b"),
        ("6.0.10", "35f594baf63889997501d1f3294e2d6b"),
        ("6.1.3", "3772ceb7939acad099dd85f0b1b95e30"),
    ] {
        let key = page().key(release(text), Method::Get, &vary);
        let place = "views.decorators.cache.cache_page..GET";
        assert_eq!(key, format!("{place}.{url}.{hash}.en-us.Europe/Paris"), "{text}");
        assert!(key.starts_with(&page().prefix(Method::Get)));
    }
}

#[test]
fn what_a_site_does_not_use_is_not_in_its_keys() {
    let plain = Page { key_prefix: "shop", language: None, time_zone: None, ..page() };
    let url = "0e9ec8337ea7cd700e21be79aa4f6d1a";
    assert_eq!(plain.header_key(), format!("views.decorators.cache.cache_header.shop.{url}"));
    let key = plain.key(release("6.1"), Method::Head, &[]);
    let nothing = "d41d8cd98f00b204e9800998ecf8427e";
    assert_eq!(key, format!("views.decorators.cache.cache_page.shop.HEAD.{url}.{nothing}"));
}

#[test]
fn languages_stand_for_accept_language_where_there_are_some() {
    let vary = [("Accept-Language", Some("de")), ("Cookie", None)];
    let (of, none) = (|page: Page<'_>| page.key(release("6.1"), Method::Get, &vary), None);
    assert_eq!(of(page()), page().key(release("6.1"), Method::Get, &[("cookie", None)]));
    let unlocalised = Page { language: none, ..page() };
    assert_ne!(of(unlocalised), unlocalised.key(release("6.1"), Method::Get, &vary[1..]));
}

#[test]
fn a_release_that_is_not_exact_enough_is_refused() {
    let refusal = |text: &str| text.parse::<Release>().unwrap_err().to_string();
    assert_eq!(refusal("5.2"), "\"5.2\" lacks its third number: keys changed in 5.2.19");
    assert_eq!(refusal("6.0"), "\"6.0\" lacks its third number: keys changed in 6.0.10");
    assert_eq!(refusal("3.2.25"), "\"3.2.25\": the keys of Django before 4.2 are unknown");
    for text in ["", "five", "5", "5.2.19.1", "6.1rc1", "5..2"] {
        let expected = format!("{text:?} is no release of Django like 5.2.19");
        assert_eq!(refusal(text), expected);
    }
    assert_eq!(release("6.1"), release("6.1.0"));
}

#[test]
fn values_are_shown_as_python_shows_them() {
    let shown = |value: Value| to_str(&value);
    for (value, text) in [
        (json!(null), "None"),
        (json!(true), "True"),
        (json!(false), "False"),
        (json!(-7), "-7"),
        (json!(7.5), "7.5"),
        (json!("é"), "é"),
    ] {
        assert_eq!(shown(value).as_deref(), Some(text));
    }
    assert_eq!((shown(json!([1])), shown(json!({}))), (None, None));
}

#[test]
fn addresses_are_encoded_as_django_encodes_them() {
    let of = |path: &str, query| absolute_uri("http://s", path, query);
    assert_eq!(of("/a b;c=d?e#f/%41/~x", None), "http://s/a%20b%3Bc%3Dd%3Fe%23f/%2541/~x");
    assert_eq!(of("/", Some("q=a b;é&x=%41")), "http://s/?q=a%20b;%C3%A9&x=%41");
    assert_eq!(of("/", Some("")), "http://s/");
    assert_eq!(quote("a b&é/~"), "a%20b%26%C3%A9%2F~");
}
