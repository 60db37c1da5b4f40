//! What the rules do, natively: no server and no Wasm is needed.

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
    let plugin = RulesPlugin::default();
    let request = get("https://s/a?utm_source=x");
    assert_eq!(key(&plugin, &request), "http://s/a?utm_source=x");
    assert_eq!(storage(&plugin, &request, &response(200)), Storage::keep());
    assert_eq!(actions(&plugin, &event("a.b").id(1)), []);
}

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
fn every_store_rule_that_fits_adds_its_tags_and_the_first_time_holds() {
    let plugin = rules(
        r#"{"store":[{"path":"/treks/*","status":200,"ttl_s":300,"tags":["trek:{path.1}"]},
                     {"ttl_s":9,"tags":["site"]}]}"#,
    );
    let page =
        |path: &str, status| storage(&plugin, &get(&format!("https://s{path}")), &response(status));
    assert_eq!(page("/treks/k2/", 200), Storage::ttl(300).tag("trek:k2").tag("site"));
    assert_eq!(page("/treks/", 200), Storage::ttl(300).tag("site"));
    assert_eq!(page("/treks/k2/", 404), Storage::ttl(9).tag("site"));
}

#[test]
fn items_with_a_prefix_get_tags_and_time() {
    let plugin = rules(r#"{"items":[{"prefix":"frag:","ttl_s":60,"tags":["fragments"]}]}"#);
    assert_eq!(plugin.item_prefixes(), ["frag:"]);
    let of = |key: &str| plugin.on_item(&item(key, 0, 3)).expect("an answer");
    assert_eq!(of("frag:1"), Storage::ttl(60).tag("fragments"));
    assert_eq!(of("other:1"), Storage::keep());
}

#[test]
fn event_templates_are_filled_and_empty_ones_left_out() {
    let plugin = rules(
        r#"{"events":[{"model":"treks.photo","tags":["trek:{before.trek}","trek:{after.trek}"],
            "keys":["photo:{pk}:{operation}"],"urls":["http://s/{model}"],"prefixes":["p:"],
            "mode":"soft"}]}"#,
    );
    let created = event("treks.photo").id(5).field("after.trek", "k2");
    let expected = [
        soft_tag("trek:k2"),
        soft_key("photo:5:updated"),
        soft_url("http://s/treks.photo"),
        soft_prefix("p:"),
    ];
    assert_eq!(actions(&plugin, &created), expected);
    assert_eq!(actions(&plugin, &event("treks.trek").id(5)), []);
}

#[test]
fn events_are_chosen_by_operation_and_changed_fields() {
    let plugin = rules(
        r#"{"events":[{"operation":"deleted","tags":["gone"]},
                     {"fields":["title"],"tags":["titles"]}]}"#,
    );
    let of = |event| actions(&plugin, &event);
    assert_eq!(of(event("a.b").changed("price")), []);
    assert_eq!(of(event("a.b").changed("title")), [hard_tag("titles")]);
    // A sender that names no fields may have changed any.
    assert_eq!(of(event("a.b")), [hard_tag("titles")]);
    let deleted = event("a.b").changed("price").operation(Operation::Deleted);
    assert_eq!(of(deleted), [hard_tag("gone")]);
    let unknown = event("a.b").changed("price").operation(Operation::Other);
    assert_eq!(of(unknown), [hard_tag("gone")]);
}

#[test]
fn two_rules_that_name_one_target_name_it_once() {
    let plugin = rules(r#"{"events":[{"tags":["home","home"]},{"tags":["home"]}]}"#);
    assert_eq!(actions(&plugin, &event("a.b")), [hard_tag("home")]);
}

#[test]
fn an_event_of_a_whole_model_is_an_error_where_its_object_is_needed() {
    let plugin = rules(r#"{"events":[{"tags":["all"]},{"tags":["one:{pk}"]}]}"#);
    let error = plugin.on_event(&event("a.b").to_event()).expect_err("there is no pk");
    assert_eq!(error.to_string(), "events[1]: needs {pk}, but the event is about all of a.b");
}

#[test]
fn a_wrong_field_is_named_with_its_place_and_the_right_one() {
    let wrong = r#"{"events":[{"tags":["a"]},{"tags":["b"]},{"model":"x","tag":["c"]}]}"#;
    assert_eq!(refusal(wrong), "events[2]: unknown field `tag`; did you mean `tags`");
    let wrong = r#"{"store":[{"colour":1}]}"#;
    let expected = "store[0]: unknown field `colour`; there are path, status, ttl_s, tags";
    assert_eq!(refusal(wrong), expected);
    assert_eq!(refusal(r#"{"event":[]}"#), "rules: unknown field `event`; did you mean `events`");
    assert_eq!(
        refusal(r#"{"keys":{"drop_querry":[]}}"#),
        "keys: unknown field `drop_querry`; did you mean `drop_query`"
    );
}

#[test]
fn wrong_values_are_named_with_their_place() {
    assert!(refusal(r#"{"store":[{"status":"200"}]}"#).starts_with("store[0]: invalid type"));
    assert!(refusal(r#"{"events":[{"mode":"gone","tags":["a"]}]}"#).starts_with("events[0]: "));
    assert_eq!(refusal(r#"{"items":[{"prefix":""}]}"#), "items[0]: `prefix` is empty");
    assert!(refusal("{").starts_with("rules are not JSON: "));
    assert_eq!(refusal(r#"{"events":[3]}"#), "events[0]: not an object");
    let empty = "events[0]: names nothing; give it `tags`, `keys`, `urls` or `prefixes`";
    assert_eq!(refusal(r#"{"events":[{"model":"a.b"}]}"#), empty);
}

#[test]
fn bad_templates_are_refused() {
    let of = |tag: &str| refusal(&format!(r#"{{"events":[{{"tags":["{tag}"]}}]}}"#));
    let known = "there are {pk}, {model}, {operation}, {before.x} and {after.x}";
    assert_eq!(of("a:{id}"), format!("events[0].tags[0]: unknown variable {{id}}; {known}"));
    assert_eq!(
        of("a:{after.}"),
        format!("events[0].tags[0]: unknown variable {{after.}}; {known}")
    );
    assert_eq!(
        of("a:{path.1}"),
        format!("events[0].tags[0]: unknown variable {{path.1}}; {known}")
    );
    assert_eq!(of("a:{pk"), "events[0].tags[0]: \"a:{pk\": `{` without `}`");
    assert_eq!(of("a:pk}"), "events[0].tags[0]: \"a:pk}\": `}` without `{`");
    assert_eq!(of(""), "events[0].tags[0]: an empty name");
    assert_eq!(of(r"a\nb"), "events[0].tags[0]: \"a\\nb\": a tag has no control characters");
    let page = r#"{"store":[{"tags":["{pk}"]}]}"#;
    assert_eq!(refusal(page), "store[0].tags[0]: unknown variable {pk}; there is {path.N}");
    let of_item = r#"{"items":[{"prefix":"f:","tags":["{pk}"]}]}"#;
    let expected = "items[0].tags[0]: unknown variable {pk}; names of items have no variables";
    assert_eq!(refusal(of_item), expected);
}

#[test]
fn settings_other_than_rules_are_refused() {
    let settings = [("rule".to_owned(), "{}".to_owned())];
    let error = RulesPlugin::default().configure(&settings).expect_err("unknown");
    assert_eq!(error.to_string(), "unknown setting `rule`; there is `rules`");
}

#[test]
fn every_field_that_is_documented_is_read() {
    let all = r#"{"keys":{"prefix":"","bypass_cookies":[],"drop_query":[],"ignore_paths":[]},
        "store":[{"path":"*","status":200,"ttl_s":1,"tags":[]}],
        "items":[{"prefix":"f","ttl_s":1,"tags":[]}],
        "events":[{"model":"*","operation":"created","fields":[],"tags":["a"],"keys":[],
                   "urls":[],"prefixes":[],"mode":"soft"}]}"#;
    let plugin = rules(all);
    assert_eq!((plugin.rules.store.len(), plugin.rules.events.len()), (1, 1));
}
