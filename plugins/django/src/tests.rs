//! What the rules do, natively: no server, no Django and no Wasm is needed.

use super::*;
use wasmcached_plugin::Target;
use wasmcached_plugin::serde_json::json;
use wasmcached_plugin::testing::{TestEvent, actions, configured, event};

const MESSAGES: &str = r#"[{"model": "mail.message", "fields": ["read"],
    "fragments": [{"name": "message-count", "vary_on": ["{recipient.username}"]}]}]"#;

fn django(settings: &[(&str, &str)]) -> Django {
    configured(&[&[("release", "5.2.19")], settings].concat())
}

fn refusal(settings: &[(&str, &str)]) -> String {
    let owned: Vec<_> = settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Django::default().configure(&owned).expect_err("the settings are wrong").to_string()
}

fn refused_rules(rules: &str) -> String {
    refusal(&[("release", "6.1"), ("origins", r#"["http://t"]"#), ("rules", rules)])
}

/// What an event does besides the tags of its row and model.
fn named(plugin: &Django, event: &TestEvent) -> Vec<Action> {
    let is_tag = |action: &Action| matches!(action, Action::Invalidate(Target::Tag(_), _));
    actions(plugin, event).into_iter().filter(|action| !is_tag(action)).collect()
}

fn message(recipient: &str) -> TestEvent {
    let username = json!({"username": recipient});
    event("mail.message")
        .id(5)
        .changed("read")
        .field("before.recipient", username.clone())
        .field("after.recipient", username)
}

fn fragment_of(name: &str) -> Action {
    let release = "5.2.19".parse().expect("a release");
    hard_key(make_key(&make_template_fragment_key(release, "message-count", &[name]), "", 1))
}

#[test]
fn a_row_makes_its_own_tag_and_its_models_wrong() {
    let saved = event("treks.trek").id(5);
    let of_row = ["treks.trek", "treks.trek:5", "model:treks.trek"].map(hard_tag);
    assert_eq!(actions(&django(&[]), &saved), of_row);
    let all = ["treks.trek", "treks.trek:*", "model:treks.trek"].map(hard_tag);
    assert_eq!(actions(&django(&[]), &event("treks.trek")), all);
}

#[test]
fn a_message_makes_the_fragment_of_its_recipient_wrong_and_no_other() {
    let plugin = django(&[("rules", MESSAGES)]);
    let ada = hard_key(":1:template.cache.message-count.7158bb7b44c13dd9c70c881b9720a741");
    assert_eq!(named(&plugin, &message("ada")), [ada]);
    let moved = message("ada").field("after.recipient.username", "bob");
    assert_eq!(named(&plugin, &moved), [fragment_of("ada"), fragment_of("bob")]);
    assert_eq!(named(&plugin, &event("mail.message").id(5).changed("subject")), []);
    assert_eq!(named(&plugin, &event("mail.folder").id(5)), []);
}

#[test]
fn a_message_whose_recipient_is_unknown_makes_every_fragment_of_the_name_wrong() {
    let plugin = django(&[("rules", MESSAGES)]);
    let all = [hard_prefix(":1:template.cache.message-count.")];
    assert_eq!(named(&plugin, &event("mail.message").id(5).changed("read")), all);
    let bulk = event("mail.message").operation(Operation::Other);
    assert_eq!(named(&plugin, &bulk), all);
}

#[test]
fn a_side_that_may_have_been_another_is_never_taken_from_the_other_side() {
    let plugin = django(&[("rules", MESSAGES)]);
    let only_ada = [fragment_of("ada")];
    let one_sided = |event: TestEvent| event.field("after.recipient.username", "ada");
    let unchanged = one_sided(event("mail.message").id(5).changed("read"));
    assert_eq!(named(&plugin, &unchanged), only_ada);
    let created = one_sided(event("mail.message").id(5).operation(Operation::Created));
    assert_eq!(named(&plugin, &created), only_ada);
    let all_and_ada = [hard_prefix(":1:template.cache.message-count."), fragment_of("ada")];
    let moved = one_sided(event("mail.message").id(5).changed("read").changed("recipient"));
    assert_eq!(named(&plugin, &moved), all_and_ada);
    assert_eq!(named(&plugin, &one_sided(event("mail.message").id(5))), all_and_ada);
}

#[test]
fn every_cache_is_told() {
    let caches = r#"[{}, {"key_prefix": "shop", "version": 2}]"#;
    let rules = r#"[{"model": "*", "keys": ["trek:{pk}", "treks"]}]"#;
    let plugin = django(&[("caches", caches), ("rules", rules)]);
    let (one, two) = ([":1:trek:5", "shop:2:trek:5"], [":1:treks", "shop:2:treks"]);
    let expected: Vec<Action> = one.into_iter().chain(two).map(hard_key).collect();
    assert_eq!(named(&plugin, &event("treks.trek").id(5)), expected);
    let all: Vec<Action> = [":1:trek:", "shop:2:trek:"].into_iter().map(hard_prefix).collect();
    let of_all = named(&plugin, &event("treks.trek"));
    assert_eq!(of_all[..2], all);
}

#[test]
fn a_page_goes_with_all_its_copies() {
    let rules = r#"[{"model": "treks.photo", "pages": [{"path": "/treks/{trek}/?page=1"}]}]"#;
    let plugin = django(&[("origins", r#"["https://t.org"]"#), ("rules", rules)]);
    let photo = event("treks.photo").id(5).operation(Operation::Created).field("after.trek", "é");
    let url = "https://t.org/treks/%C3%A9/?page=1";
    let page = Page { url, key_prefix: "", language: None, time_zone: None };
    let expected = [
        hard_url("http://t.org/treks/%C3%A9/?page=1"),
        hard_prefix(make_key(&page.header_prefix(), "", 1)),
        hard_prefix(make_key(&page.prefix(Method::Get), "", 1)),
        hard_prefix(make_key(&page.prefix(Method::Head), "", 1)),
    ];
    assert_eq!(named(&plugin, &photo), expected);
}

#[test]
fn known_copies_are_named_one_by_one() {
    let rules = r#"[{"model": "treks.photo", "pages": [
        {"path": "/", "vary": {"Accept-Encoding": [false, "gzip"], "Cookie": [false]}}]}]"#;
    let plugin = django(&[
        ("origins", r#"["http://t.org"]"#),
        ("languages", r#"["en", "fr"]"#),
        ("time_zones", r#"["UTC"]"#),
        ("rules", rules),
    ]);
    let release = "5.2.19".parse().expect("a release");
    let mut expected = vec![hard_url("http://t.org/")];
    for language in ["en", "fr"] {
        let (language, time_zone) = (Some(language), Some("UTC"));
        let page = Page { url: "http://t.org/", key_prefix: "", language, time_zone };
        expected.push(hard_key(make_key(&page.header_key(), "", 1)));
        for coding in [None, Some("gzip")] {
            let vary = [("Accept-Encoding", coding), ("Cookie", None)];
            for method in [Method::Get, Method::Head] {
                expected.push(hard_key(make_key(&page.key(release, method, &vary), "", 1)));
            }
        }
    }
    assert_eq!(named(&plugin, &event("treks.photo").id(5)), expected);
}

#[test]
fn a_page_whose_address_is_unknown_makes_every_page_of_the_prefix_wrong() {
    let rules = r#"[{"model": "treks.photo", "pages": [{"path": "/treks/{trek}/"}]}]"#;
    let settings = [("origins", r#"["https://t.org"]"#), ("page_prefixes", r#"["p"]"#)];
    let plugin = django(&[&settings[..], &[("rules", rules)]].concat());
    let expected = [
        hard_prefix("http://t.org/treks/"),
        hard_prefix(":1:views.decorators.cache.cache_header.p."),
        hard_prefix(":1:views.decorators.cache.cache_page.p."),
    ];
    assert_eq!(named(&plugin, &event("treks.photo").id(5)), expected);
    let rules = r#"[{"model": "treks.photo", "pages": [{"path": "/treks/?of={trek}"}]}]"#;
    let plugin = django(&[&settings[..], &[("rules", rules)]].concat());
    assert_eq!(named(&plugin, &event("treks.photo").id(5)), expected);
    let named = named(
        &plugin,
        &event("treks.photo").field("before.trek", "a&b").id(5).operation(Operation::Deleted),
    );
    assert_eq!(named[0], hard_url("http://t.org/treks/?of=a%26b"));
}

#[test]
fn values_are_written_as_they_come_and_removed_where_they_do_not() {
    let rules = r#"[{"model": "queue.item", "values": [
        {"key": "queue", "field": "queue", "ttl_s": 60}, {"key": "name:{pk}", "field": "name"}]}]"#;
    let plugin = django(&[("rules", rules)]);
    let saved = event("queue.item").id(5).field("after.queue", json!(["a", 2]));
    let saved = saved.field("after.name", "é");
    let expected =
        [put(NewValue::new(":1:queue", "[\"a\",2]").ttl(60)), put(NewValue::new(":1:name:5", "é"))];
    assert_eq!(named(&plugin, &saved), expected);
    let removed = [hard_key(":1:queue"), hard_key(":1:name:5")];
    assert_eq!(named(&plugin, &saved.clone().operation(Operation::Deleted)), removed);
    assert_eq!(named(&plugin, &event("queue.item").id(5)), removed);
    let whole = event("queue.item").field("after.queue", json!([]));
    assert_eq!(named(&plugin, &whole)[1], hard_prefix(":1:name:"));
}

#[test]
fn none_and_truth_vary_fragments_as_python_shows_them() {
    let rules = r#"[{"model": "m", "fragments": [{"name": "f", "vary_on": ["{a}", "{b}"]}]}]"#;
    let plugin = django(&[("rules", rules)]);
    let created = event("m").id(1).operation(Operation::Created);
    let created = created.field("after.a", json!(null)).field("after.b", true);
    let release = "5.2.19".parse().expect("a release");
    let key = make_template_fragment_key(release, "f", &["None", "True"]);
    assert_eq!(named(&plugin, &created), [hard_key(make_key(&key, "", 1))]);
}

#[test]
fn wrong_settings_are_named_with_their_place() {
    assert!(refusal(&[]).starts_with("settings: missing field `release`"));
    let unknown = refusal(&[("release", "6.1"), ("colour", "1")]);
    assert!(unknown.starts_with("settings: unknown field `colour`, expected one of"), "{unknown}");
    assert_eq!(
        refusal(&[("release", "5.2")]),
        "\"5.2\" lacks its third number: keys changed in 5.2.19"
    );
    assert!(refusal(&[("release", "6.1"), ("rules", "red")]).starts_with("rules: "));
    let none = refusal(&[("release", "6.1"), ("caches", "[]")]);
    assert_eq!(none, "caches: there must be one at least");
    let path = refusal(&[("release", "6.1"), ("origins", r#"["http://t/"]"#)]);
    assert_eq!(path, "origins[0]: \"http://t/\" is not like https://example.org:8000");
}

#[test]
fn wrong_rules_are_named_with_their_place() {
    let refused = |rule: &str| refused_rules(&format!("[{rule}]"));
    assert!(
        refused(r#"{"model": "m", "key": ["k"]}"#).starts_with("rules[0]: unknown field `key`")
    );
    assert_eq!(refused(r#"{"keys": ["k"]}"#), "rules[0]: `model` is missing");
    let nothing = "rules[0]: names nothing; give it `fragments`, `pages`, `keys` or `values`";
    assert_eq!(refused(r#"{"model": "m"}"#), nothing);
    let keys = |key: &str| refused(&format!(r#"{{"model": "m", "keys": ["{key}"]}}"#));
    assert_eq!(keys("a{b"), "rules[0]: \"a{b\": `{` without `}`");
    assert_eq!(keys("a}b"), "rules[0]: \"a}b\": `}` without `{`");
    assert_eq!(keys("{a..b}"), "rules[0]: \"{a..b}\": `{a..b}` names no field");
    let pages = |page: &str| refused(&format!(r#"{{"model": "m", "pages": [{page}]}}"#));
    assert_eq!(pages(r#"{"path": "x"}"#), "rules[0]: \"x\": a path begins with /");
    let unsaid = "rules[0]: pages with `vary` need `languages` and `time_zones`; [] is none";
    assert_eq!(pages(r#"{"path": "/", "vary": {}}"#), unsaid);
    let wrong = pages(r#"{"path": "/", "vary": {"Cookie": [true]}}"#);
    assert!(wrong.contains("`true` is no value"), "{wrong}");
    let many = (0..1001).map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(",");
    let many = pages(&format!(r#"{{"path": "/", "vary": {{"Cookie": [{many}]}}}}"#));
    assert!(many.ends_with("`vary` makes 1001 copies or more; limit is 1000"), "{many}");
    let rules = r#"[{"model": "m", "pages": [{"path": "/"}]}]"#;
    let nowhere = refusal(&[("release", "6.1"), ("rules", rules)]);
    assert_eq!(nowhere, "rules[0]: pages need `origins`");
}
