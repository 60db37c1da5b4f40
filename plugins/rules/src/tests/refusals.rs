//! Rules that can't be understood, or never match: by whose fault, and why.

use super::*;

#[test]
fn a_wrong_field_is_named_with_its_place_and_the_right_one() {
    let wrong = r#"{"events":[{"tags":["a"]},{"tags":["b"]},{"model":"x","tag":["c"]}]}"#;
    assert_eq!(refusal(wrong), "events[2]: unknown field `tag`; did you mean `tags`");
    let wrong = r#"{"store":[{"colour":1}]}"#;
    let expected = "store[0]: unknown field `colour`; there are name, host, path, status, \
                    content_type, tags, store, ttl_s, stale_while_revalidate_s, stale_if_error_s";
    assert_eq!(refusal(wrong), expected);
    assert_eq!(refusal(r#"{"event":[]}"#), "rules: unknown field `event`; did you mean `events`");
    assert_eq!(
        refusal(r#"{"keys":{"drop_querry":[]}}"#),
        "keys: unknown field `drop_querry`; did you mean `drop_query`"
    );
}

#[test]
fn the_mistakes_of_several_rules_are_told_at_once() {
    let wrong = r#"{"store":[{"ttl_s":"1"},{"ttl_s":1,"tags":["a"]}],"items":3,
                    "events":[{"tags":[1]}],"evnts":[]}"#;
    let told = refusal(wrong);
    let told: Vec<_> = told.split("; ").filter_map(|one| one.split_once(": ")).collect();
    let places: Vec<_> = told.iter().map(|(place, _)| *place).collect();
    assert_eq!(places, ["store[0].ttl_s", "rules.items", "events[0].tags[0]", "rules"]);
    let many = r#"{"store":[0,1,2,3,4,5,6,7,8,9,10,11]}"#;
    assert!(refusal(many).ends_with("; store[9]: not an object; 2 more"), "{}", refusal(many));
}

#[test]
fn a_rule_with_a_name_is_called_by_it() {
    let wrong = r#"{"events":[{"tags":["a"]},{"name":"photos","tags":["b","c:{id}"]}]}"#;
    let told = refusal(wrong);
    let expected = "events[1].tags[1] (rule \"photos\"): unknown variable {id}; there are {pk}, ";
    assert!(told.starts_with(expected), "{told}");
    let wrong = r#"{"store":[{"name":"a page","ttl":3}]}"#;
    let expected = "store[0] (rule \"a page\"): unknown field `ttl`; did you mean `ttl_s`";
    assert_eq!(refusal(wrong), expected);
    assert_eq!(refusal(r#"{"keys":[{"name":""}]}"#), "keys[0].name: is empty");
}

#[test]
fn wrong_types_are_named_with_rule_and_field() {
    for (wrong, expected) in [
        (r#"{"store":[{"ttl_s":"200"}]}"#, "store[0].ttl_s: is \"200\"; a whole number of seconds"),
        (
            r#"{"store":[{"ttl_s":4294967295}]}"#,
            "store[0].ttl_s: is 4294967295; limit is 316224000",
        ),
        (r#"{"store":[{"ttl_s":-1}]}"#, "store[0].ttl_s: is -1; a whole number of seconds"),
        (r#"{"store":[{"store":"no"}]}"#, "store[0].store: is \"no\"; true or false is wanted"),
        (r#"{"store":[{"tags":"a"}]}"#, "store[0].tags: is \"a\"; a list of texts is wanted"),
        (r#"{"store":[{"tags":[1]}]}"#, "store[0].tags[0]: is 1; a text is wanted"),
        (r#"{"events":[{"model":3,"tags":["a"]}]}"#, "events[0].model: is 3; a text is wanted"),
        (r#"{"events":[{"mode":"gone","tags":["a"]}]}"#, "events[0].mode: is \"gone\"; there are"),
        (r#"{"events":[{"operation":"saved","tags":["a"]}]}"#, "events[0].operation: is \"saved\""),
        (r#"{"keys":{"bypass":1}}"#, "keys.bypass: is 1; true or false is wanted"),
        (r#"{"keys":3}"#, "rules.keys: is 3; a list of rules is wanted"),
        (r#"{"events":{}}"#, "rules.events: is {}; a list of rules is wanted"),
        (r#"{"events":[3]}"#, "events[0]: not an object"),
        ("[]", "rules: not an object"),
        ("{", "rules are not JSON: "),
    ] {
        let told = refusal(wrong);
        assert!(told.starts_with(expected), "{told} for {wrong}");
    }
}

#[test]
fn rules_that_can_never_match_are_refused() {
    for (wrong, expected) in [
        (r#"{"store":[{"path":"treks/*"}]}"#, "store[0].path: \"treks/*\" begins with neither"),
        (r#"{"store":[{"path":["/a","/b?x"]}]}"#, "store[0].path[1]: \"/b?x\" has '?', which no"),
        (r#"{"store":[{"path":""}]}"#, "store[0].path: is empty, so the rule can never match"),
        (r#"{"store":[{"path":[]}]}"#, "store[0].path: is an empty list, so the rule can never"),
        (r#"{"store":[{"host":"Shop.example"}]}"#, "store[0].host: \"Shop.example\" has 'S'; a"),
        (r#"{"keys":[{"host":"http://a"}]}"#, "keys[0].host: \"http://a\" has '/'; a host is"),
        (r#"{"store":[{"status":99}]}"#, "store[0].status: is 99; a status from 100 to 599 or"),
        (r#"{"store":[{"status":"6xx"}]}"#, "store[0].status: is \"6xx\"; a status from 100"),
        (r#"{"store":[{"content_type":"html"}]}"#, "store[0].content_type: \"html\" is no media"),
        (r#"{"store":[{"content_type":"a/b;c"}]}"#, "store[0].content_type: \"a/b;c\" has a"),
        (r#"{"store":[{"path":"/a/b","tags":["{path.2}"]}]}"#, "store[0].tags[0]: {path.2} is be"),
        (r#"{"items":[{"prefix":"two words"}]}"#, "items[0].prefix: \"two words\" has ' ', which"),
        (r#"{"events":[{"model":[],"tags":["a"]}]}"#, "events[0].model: is an empty list, so the"),
        (r#"{"events":[{"fields":[""],"tags":["a"]}]}"#, "events[0].fields[0]: is empty"),
        (r#"{"keys":{"drop_query":["a=b"]}}"#, "keys.drop_query[0]: no query parameter has a"),
        (r#"{"keys":{"keep_query":[""]}}"#, "keys.keep_query[0]: no query parameter has a name"),
        (r#"{"keys":{"cookies":["session*"]}}"#, "keys.cookies[0]: \"session*\" is not the whole"),
        (r#"{"keys":{"bypass_cookies":["a=b"]}}"#, "keys.bypass_cookies[0]: \"a=b\" is not the"),
        (r#"{"keys":{"ignore_paths":["admin"]}}"#, "keys.ignore_paths[0]: \"admin\" begins with"),
    ] {
        let told = refusal(wrong);
        assert!(told.starts_with(expected), "{told} for {wrong}");
    }
    let long = "p".repeat(251);
    let told = refusal(&format!(r#"{{"items":[{{"prefix":"{long}"}}]}}"#));
    let expected = "items[0].prefix: is 251 bytes; keys have 250, so the rule can never match";
    assert_eq!(told, expected);
}

#[test]
fn rules_that_contradict_themselves_or_say_nothing_are_refused() {
    let expected = "store[0]: `store` is false; what is not stored has neither times nor tags";
    assert_eq!(refusal(r#"{"store":[{"store":false,"ttl_s":3}]}"#), expected);
    assert_eq!(refusal(r#"{"items":[{"prefix":""}]}"#), "items[0]: `prefix` is empty");
    let empty = "events[0]: names nothing; give it `tags`, `keys`, `urls` or `prefixes`";
    assert_eq!(refusal(r#"{"events":[{"model":"a.b"}]}"#), empty);
    let control = r#"{"keys":{"prefix":"a\nb"}}"#;
    assert_eq!(refusal(control), "keys.prefix: \"a\\nb\": a key has no control characters");
}

#[test]
fn bad_templates_are_refused() {
    let of = |tag: &str| refusal(&format!(r#"{{"events":[{{"tags":["{tag}"]}}]}}"#));
    let known = "there are {pk}, {model}, {operation}, {before.x}, {after.x} and {both.x}";
    assert_eq!(of("a:{id}"), format!("events[0].tags[0]: unknown variable {{id}}; {known}"));
    assert_eq!(of("a:{pk"), "events[0].tags[0]: \"a:{pk\": `{` without `}`");
    assert_eq!(of("a:pk}"), "events[0].tags[0]: \"a:pk}\": `}` without `{`");
    assert_eq!(of(""), "events[0].tags[0]: an empty name");
    assert_eq!(of(r"a\nb"), "events[0].tags[0]: \"a\\nb\": a tag has no control characters");
    let long = "t".repeat(257);
    let expected = "events[0].tags[0]: is 257 bytes without its variables; limit is 256";
    assert_eq!(of(&long), expected);
    let page = r#"{"store":[{"tags":["{pk}"]}]}"#;
    let expected = "store[0].tags[0]: unknown variable {pk}; there are {path.N} and {host}";
    assert_eq!(refusal(page), expected);
    let of_item = r#"{"items":[{"prefix":"f:","tags":["{pk}"]}]}"#;
    assert_eq!(refusal(of_item), "items[0].tags[0]: unknown variable {pk}; there is {rest}");
    let url = r#"{"events":[{"urls":["/a"]}]}"#;
    let expected = "events[0].urls[0]: \"/a\" is no URL; it begins with http:// or https://";
    assert_eq!(refusal(url), expected);
}

#[test]
fn settings_other_than_rules_are_refused() {
    let settings = [("rule".to_owned(), "{}".to_owned())];
    let error = RulesPlugin::default().configure(&settings).expect_err("unknown");
    assert_eq!(error.to_string(), "unknown setting `rule`; there is `rules`");
}
