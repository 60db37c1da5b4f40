//! What a plugin under test is given.

use super::*;
use crate::prelude::{hard_tag, plugin};
use crate::{Error, Result};

#[derive(Default)]
struct Shop;

#[plugin(
    name = "shop",
    key_epoch = 3,
    inputs(header = "Accept-Language", cookie = "tier", query = "page")
)]
impl Plugin for Shop {
    fn cache_key(&self, request: &Request) -> Result<Key> {
        let mut key = Key::of(request).keep_query(&[]);
        for (name, value) in [
            ("lang", request.header("accept-language")),
            ("tier", request.cookie("tier")),
            ("page", request.query_param("page")),
        ] {
            key = key.with(name, value.unwrap_or("-"));
        }
        match request.path() {
            "/undeclared" => Ok(key.with("x", request.cookie("session").is_some())),
            "/error" => Err(Error::new("no key")),
            _ => Ok(key),
        }
    }

    fn on_event(&self, event: &Event) -> Result<Vec<Action>> {
        Ok(event.text("after.lines.0.sku").map(hard_tag).into_iter().collect())
    }
}

#[test]
fn declared_inputs_are_seen_whatever_the_case_of_fields() {
    let request = get("https://s/a?x=1&page=2").header("accept-LANGUAGE", "de");
    assert_eq!(key(&Shop, &request.cookie("tier", "gold")), "http://s/a|lang=de|tier=gold|page=2");
    assert_eq!(key(&Shop, &get("https://s")), "http://s/|lang=-|tier=-|page=-");
}

#[test]
#[should_panic(expected = "cookie \"session\" is not declared")]
fn reading_what_is_not_declared_panics_in_tests() {
    key(&Shop, &get("https://s/undeclared").cookie("session", "1"));
}

#[test]
#[should_panic(expected = "the plugin returned an error: no key")]
fn an_error_panics_in_tests_with_its_words() {
    key(&Shop, &get("https://s/error"));
}

#[test]
fn the_attribute_writes_what_the_server_is_told() {
    let info = Shop::INFO;
    assert_eq!((info.name, info.key_epoch, info.pure), ("shop", 3, true));
    assert_eq!(info.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(Shop.inputs().len(), 3);
    assert!(Shop.item_prefixes().is_empty());
}

#[test]
fn a_plugin_sees_of_a_request_what_the_server_would_show_it() {
    let request = get("https://s/?page=%32&x=1&x=2").header("accept-language", "de");
    let request = request.header("Accept-Language", "en").header("cookie", "a=1; a=2; tier= gold ");
    assert_eq!(key(&Shop, &request), "http://s/|lang=de,%20en|tier=gold|page=%2532");
    let cookies = get("https://s/").cookie("a", "1").cookie("b", "2");
    let seen = cookies.to_request(&[Input::Header("cookie".to_owned())]);
    assert_eq!(seen.header("Cookie"), Some("a=1; b=2"));
}

#[test]
fn what_the_server_would_not_ask_a_plugin_about_panics_in_tests() {
    let shop = || get("https://s/");
    let unclear = [
        get("https://s/?page=1&page=2"),
        get("https://s/?p%61ge=1"),
        shop().cookie("tier", "a").cookie("tier", "b"),
        shop().header("cookie", "tier=a").cookie("tier", "a"),
        shop().header("cookie", "tier"),
    ];
    for request in unclear {
        let refused = std::panic::catch_unwind(|| key(&Shop, &request));
        let words = refused.unwrap_err().downcast::<String>().unwrap();
        assert!(words.contains("policy-input-unclear"), "{words}");
    }
}

#[test]
fn settings_are_refused_by_a_plugin_that_has_none() {
    let settings = [("colour".to_owned(), "red".to_owned())];
    let error = Shop.configure(&settings).unwrap_err();
    assert_eq!(error.to_string(), "unknown setting `colour`; there are none");
}

#[test]
fn payloads_are_looked_up_by_path() {
    let lines = serde_json::json!([{"sku": 17}]);
    let bought = event("shop.order").id(5).field("after.lines", lines).changed("lines");
    assert_eq!(actions(&Shop, &bought), [hard_tag("17")]);
    let seen = bought.operation(Operation::Created).to_event();
    assert_eq!((seen.object_id(), seen.operation().as_str()), (Some("5"), "created"));
    assert!(seen.changed("lines") && !seen.changed("total"));
    assert!(seen.field("after.missing").is_none() && seen.field("after.lines.1").is_none());
    assert!(seen.field("after.lines").is_some_and(Value::is_array));
    assert_eq!(seen.text("after.lines"), None);
}

#[test]
fn list_fields_are_split_over_all_their_lines() {
    let response = response(200).header("X-Models", "a, b").header("x-models", ",c ").0;
    assert_eq!(response.header_list("X-MODELS").collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(response.header("x-models"), Some("a, b"));
}

#[derive(Default)]
struct Looking;

#[plugin(name = "looking")]
impl Plugin for Looking {
    fn cache_key(&self, _request: &Request) -> Result<Key> {
        crate::cache::tags("a").map(|tags| Key::exactly(tags.join(",")))
    }

    fn on_event(&self, _event: &Event) -> Result<Vec<Action>> {
        let found = crate::cache::get("a")?.map(|entry| hard_tag(format!("{:?}", entry.value)));
        let tags = crate::cache::tags("a")?.into_iter().map(hard_tag);
        Ok(found.into_iter().chain(tags).collect())
    }
}

#[test]
fn look_ups_find_what_the_test_has_put_there() {
    assert_eq!(actions(&Looking, &event("a.b")), []);
    cached("a", [1], &["x", "y"]);
    cached("b", [2], &["z"]);
    let expected = [hard_tag("[1]"), hard_tag("x"), hard_tag("y")];
    assert_eq!(actions(&Looking, &event("a.b")), expected);
}

#[test]
#[should_panic(expected = "look-ups are for on_store, on_item and on_event")]
fn a_key_that_looks_something_up_panics_in_tests() {
    key(&Looking, &get("https://s/"));
}
