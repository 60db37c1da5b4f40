//! What templates name, and what they say is missing.

use super::*;
use crate::testing::{TestEvent, event};

fn names(template: &str, event: &TestEvent) -> Names {
    EventTemplate::parse(template).unwrap().names(&event.to_event())
}

fn known(template: &str, event: &TestEvent) -> Vec<String> {
    let Names { known, missing } = names(template, event);
    assert_eq!(missing, None, "{template}");
    known
}

fn missing(template: &str, event: &TestEvent) -> String {
    let Names { known, missing } = names(template, event);
    assert_eq!(known, [""; 0], "{template}");
    missing.unwrap()
}

#[test]
fn what_an_object_was_and_what_it_is_are_named() {
    let moved = event("a.b").id(5).field("before.c", 3).field("after.c", 7);
    assert_eq!(known("c:{both.c}", &moved), ["c:3", "c:7"]);
    assert_eq!(known("c:{before.c}-{pk}", &moved), ["c:3-5"]);
    assert_eq!(known("{model}:{operation}:{after.c}", &moved), ["a.b:updated:7"]);
    let stayed = event("a.b").field("before.c", 3).field("after.c", 3);
    assert_eq!(known("c:{both.c}", &stayed), ["c:3"]);
}

#[test]
fn two_values_of_one_name_are_of_one_side() {
    let both = event("a.b").field("before", serde_json::json!({"c": 3, "d": "x"}));
    let both = both.field("after", serde_json::json!({"c": 7, "d": "y"}));
    assert_eq!(known("{both.c}/{both.d}", &both), ["3/x", "7/y"]);
}

#[test]
fn each_member_of_a_list_is_named() {
    let moved = event("a.b").field("before.c", serde_json::json!([3, 5]));
    let moved = moved.field("after.c", serde_json::json!([5, "x", null])).field("after.d", [1, 2]);
    assert_eq!(known("c:{both.c}", &moved), ["c:3", "c:5", "c:x"]);
    assert_eq!(known("{after.c}-{after.d}", &moved), ["5-1", "5-2", "x-1", "x-2"]);
    let none = event("a.b").field("after.c", serde_json::json!([]));
    assert_eq!(known("c:{after.c}", &none), [""; 0]);
    let many = event("a.b").field("after.c", vec![7; NAMES_MAX + 1]);
    assert_eq!(missing("c:{after.c}", &many), "{after.c}");
}

#[test]
fn what_has_not_changed_is_taken_from_the_other_side() {
    let moved = event("a.b").field("before.c", 3).field("after.c", 7).field("after.d", "y");
    assert_eq!(known("{both.c}/{both.d}", &moved.clone().changed("c")), ["3/y", "7/y"]);
    // Without a list of fields any may have changed.
    let unknown = names("{both.c}/{both.d}", &moved);
    let expected = (vec!["7/y".to_owned()], Some("{before.d}".to_owned()));
    assert_eq!((unknown.known, unknown.missing), expected);
}

#[test]
fn what_is_not_said_is_missing_and_what_can_not_be_is_not() {
    let created = event("a.b").operation(Operation::Created).field("after.c", 7);
    assert_eq!(known("c:{both.c}", &created), ["c:7"]);
    assert_eq!(known("c:{before.c}", &created), [""; 0]);
    let deleted = event("a.b").operation(Operation::Deleted).field("before.c", 3);
    assert_eq!(known("c:{both.c}", &deleted), ["c:3"]);
    assert_eq!(missing("c:{before.d}", &deleted), "{before.d}");
    let updated = event("a.b").field("before", Value::Null).field("after.c", Value::Null);
    assert_eq!(known("c:{after.c}", &updated), [""; 0]);
    assert_eq!(known("c:{after.c.id}", &updated), [""; 0]);
    assert_eq!(missing("c:{before.c}", &updated), "{before.c}");
    assert_eq!(missing("{pk}", &updated), "{pk}");
    let of_lists = event("a.b").field("after.c", serde_json::json!([1, {"d": true}]));
    assert_eq!(missing("{after.c}", &of_lists), "{after.c}", "an object is no name");
    assert_eq!(known("{after.c.1.d}-{after.c.0}", &of_lists), ["true-1"]);
}

#[test]
fn numbers_are_named_as_they_were_sent() {
    let mut event = event("a.b").to_event();
    event.payload = r#"{"after":{"c":18446744073709551616,"d":[1.10,2]}}"#.to_owned();
    let known = |text: &str| EventTemplate::parse(text).unwrap().names(&event).known;
    assert_eq!(known("c:{after.c}"), ["c:18446744073709551616"]);
    assert_eq!(known("d:{after.d}"), ["d:1.10", "d:2"]);
}

#[test]
fn values_are_changed_and_the_text_around_them_is_not() {
    let template = EventTemplate::parse("/a b/{after.c}/").unwrap();
    let event = event("a.b").field("after.c", "x y").to_event();
    let names = template.names_with(&event, |value| value.replace(' ', "%20"));
    assert_eq!(names.known, ["/a b/x%20y/"]);
}

#[test]
fn malformed_templates_are_told_why() {
    let refusal = |text: &str| EventTemplate::parse(text).unwrap_err().to_string();
    for unknown in ["id", "after.", "before", "both..c", "path.1", ""] {
        let expected = format!("unknown variable {{{unknown}}}; {OF_EVENTS}");
        assert_eq!(refusal(&format!("a:{{{unknown}}}")), expected);
    }
    assert_eq!(refusal("a:{pk"), "\"a:{pk\": `{` without `}`");
    assert_eq!(refusal("a:pk}"), "\"a:pk}\": `}` without `{`");
    assert_eq!(refusal(""), "an empty name");
}
