//! What events make wrong.

use super::*;

#[test]
fn event_templates_are_filled_and_empty_ones_left_out() {
    let plugin = rules(
        r#"{"events":[{"model":"treks.photo","tags":["trek:{before.trek}","trek:{after.trek}"],
            "keys":["photo:{pk}:{operation}"],"urls":["http://s/{model}"],"prefixes":["p:"],
            "mode":"soft"}]}"#,
    );
    let created = event("treks.photo").id(5).operation(Operation::Created);
    let expected = [
        soft_tag("trek:k2"),
        soft_key("photo:5:created"),
        soft_url("http://s/treks.photo"),
        soft_prefix("p:"),
    ];
    assert_eq!(actions(&plugin, &created.field("after.trek", "k2")), expected);
    assert_eq!(actions(&plugin, &event("treks.trek").id(5)), []);
}

#[test]
fn an_object_that_moves_is_missed_in_neither_place() {
    let of = |tags: &str| {
        let plugin = rules(&format!(r#"{{"events":[{{"tags":{tags}}}]}}"#));
        let moved = event("shop.product").field("before.category", 3).field("after.category", 7);
        actions(&plugin, &moved)
    };
    let both = [hard_tag("category:3"), hard_tag("category:7")];
    assert_eq!(of(r#"["category:{both.category}"]"#), both);
    assert_eq!(of(r#"["category:{before.category}","category:{after.category}"]"#), both);
}

#[test]
fn events_are_chosen_by_model_operation_and_changed_fields() {
    let plugin = rules(
        r#"{"events":[{"operation":"deleted","tags":["gone"]},
                     {"fields":["title"],"tags":["titles"]},
                     {"model":["a.*","x.y"],"operation":["created","updated"],"tags":["some"]}]}"#,
    );
    let of = |event| actions(&plugin, &event);
    assert_eq!(of(event("b.b").changed("price")), []);
    assert_eq!(of(event("b.b").changed("title")), [hard_tag("titles")]);
    // A sender that names no fields may have changed any.
    assert_eq!(of(event("b.b")), [hard_tag("titles")]);
    let deleted = event("a.b").changed("price").operation(Operation::Deleted);
    assert_eq!(of(deleted), [hard_tag("gone")]);
    assert_eq!(of(event("x.y").changed("price")), [hard_tag("some")]);
    // What the sender could not name may have been any operation.
    let unknown = event("b.b").changed("price").operation(Operation::Other);
    assert_eq!(of(unknown), [hard_tag("gone")]);
}

#[test]
fn two_rules_that_name_one_target_name_it_once() {
    let plugin = rules(r#"{"events":[{"tags":["home","home"]},{"tags":["home"]}]}"#);
    assert_eq!(actions(&plugin, &event("a.b")), [hard_tag("home")]);
}

#[test]
fn what_the_event_does_not_say_is_told_with_the_name_of_the_rule() {
    let plugin =
        rules(r#"{"events":[{"tags":["all"]},{"name":"moves","tags":["in:{before.slug}"]}]}"#);
    let (_, unknown) = crate::events::actions(&plugin.rules.events, &event("a.b").to_event());
    assert_eq!(unknown.unwrap(), "events[1] (rule \"moves\"): {before.slug} is not said");
}

#[test]
fn a_name_that_the_event_does_not_say_becomes_its_whole_model() {
    let plugin = rules(r#"{"events":[{"tags":["all"]},{"tags":["one:{pk}","two:{both.c}"]}]}"#);
    // Of a whole model, and nothing is said of it.
    assert_eq!(actions(&plugin, &event("a.b")), [hard_tag("all"), hard_tag("model:a.b")]);
    // The object may have been in any place before.
    let after = event("a.b").id(1).field("after.c", 7);
    let expected = [hard_tag("all"), hard_tag("one:1"), hard_tag("two:7"), hard_tag("model:a.b")];
    assert_eq!(actions(&plugin, &after), expected);
    // It had none.
    let created = event("a.b").id(1).operation(Operation::Created).field("after.c", 7);
    assert_eq!(actions(&plugin, &created), expected[..3]);
}

#[test]
fn a_name_that_the_server_would_refuse_becomes_the_whole_model_too() {
    let plugin = rules(r#"{"events":[{"tags":["t:{after.c}"],"keys":["k:{after.c}"]}]}"#);
    let of = |value: String| actions(&plugin, &event("a.b").field("after.c", value));
    assert_eq!(of("two\nlines".to_owned()), [hard_tag("model:a.b")]);
    let long = "x".repeat(255);
    assert_eq!(of(long.clone()), [hard_key(format!("k:{long}")), hard_tag("model:a.b")]);
}

#[test]
fn values_in_urls_are_encoded_as_browsers_do() {
    let plugin = rules(r#"{"events":[{"urls":["http://s/{after.p}/"],"keys":["{after.p}"]}]}"#);
    let changed = event("a.b").field("after.p", "caf\u{e9}/50% x?y");
    let expected = [hard_key("caf\u{e9}/50% x?y"), hard_url("http://s/caf%C3%A9/50%25%20x%3Fy/")];
    assert_eq!(actions(&plugin, &changed), expected);
    let plugin = rules(r#"{"events":[{"urls":["{after.url}"]}]}"#);
    let whole = event("a.b").field("after.url", "http://s/a?b=%20");
    assert_eq!(actions(&plugin, &whole), [hard_url("http://s/a?b=%20")]);
    let none = event("a.b").field("after.url", "/a");
    assert_eq!(actions(&plugin, &none), [hard_tag("model:a.b")]);
}
