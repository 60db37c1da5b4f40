//! What becomes of the values that events bring.

use super::*;
use crate::model::Operation;

fn key(name: &str) -> Key {
    Key::new(name.as_bytes()).unwrap()
}

fn plan(actions: Vec<Action>) -> Plan {
    let mut plan = Plan::default();
    for action in actions {
        plan.add(action, 0, |url| vec![Target::Url(url.into())]);
    }
    plan.close("test");
    plan
}

fn put(name: &str, tags: &[&str]) -> Action {
    computed(name, tags, Consulted::default())
}

fn computed(name: &str, tags: &[&str], consulted: Consulted) -> Action {
    let consulted = Arc::new(consulted);
    let tags = tags.iter().map(|name| tag(name)).collect();
    Action::Put { key: key(name), value: b"v".to_vec(), ttl_s: None, tags, consulted }
}

fn tag(name: &str) -> Tag {
    Tag::new(name).unwrap()
}

/// An entry of this key and tag was looked at.
fn seen(name: &str, tag_name: &str) -> Consulted {
    let birth = Some(Birth::at(Sequence::from_u64(5)));
    Consulted { birth, targets: [Target::Key(key(name)), Target::Tag(tag(tag_name))].into() }
}

#[test]
fn a_value_is_not_written_when_a_later_change_ends_it() {
    let hard = |target| Action::Invalidate(target, Mode::Hard);
    for target in [
        Target::Key(key("k")),
        Target::Prefix(key("k")),
        Target::Tag(Tag::new("t").unwrap()),
        Target::Everything,
    ] {
        assert!(plan(vec![put("k", &["t"]), hard(target.clone())]).puts.is_empty());
        assert_eq!(plan(vec![hard(target), put("k", &["t"])]).puts.len(), 1);
    }
    assert_eq!(plan(vec![put("k", &[]), put("k", &[])]).puts.len(), 1);
    assert_eq!(plan(vec![put("k", &[]), hard(Target::Key(key("other")))]).puts.len(), 1);
}

#[test]
fn a_value_computed_from_what_the_delivery_ends_is_not_written() {
    let hard = |target| Action::Invalidate(target, Mode::Hard);
    for target in [
        Target::Key(key("list")),
        Target::Prefix(key("li")),
        Target::Tag(tag("lists")),
        Target::Everything,
    ] {
        let total = || computed("total", &[], seen("list", "lists"));
        assert!(plan(vec![hard(target.clone()), total()]).puts.is_empty(), "{target:?}");
        assert!(plan(vec![total(), hard(target.clone())]).puts.is_empty(), "{target:?}");
    }
    let other = hard(Target::Key(key("other")));
    assert_eq!(plan(vec![other, computed("total", &[], seen("list", "t"))]).puts.len(), 1);
}

#[test]
fn a_value_computed_from_what_it_replaces_is_written() {
    let list = || computed("list", &[], seen("list", "lists"));
    assert_eq!(plan(vec![list()]).puts.len(), 1);
    // The version before would have it purged.
    let purge = Action::Invalidate(Target::Key(key("list")), Mode::Hard);
    assert_eq!(plan(vec![purge, list()]).puts.len(), 1);
    assert_eq!(plan(vec![list(), computed("total", &[], seen("list", "lists"))]).puts.len(), 2);
}

#[test]
fn a_value_computed_from_what_an_earlier_change_replaces_is_not_written() {
    let mut plan = Plan::default();
    for _ in 0..2 {
        plan.begin_change();
        plan.add(computed("list", &[], seen("list", "lists")), 0, |_| Vec::new());
    }
    assert!(plan.puts.is_empty(), "it lacks the first change");
    plan.close("test");
    assert_eq!(plan.targets, [(Target::Key(key("list")), Mode::Hard)]);
}

#[test]
fn a_computed_value_is_no_newer_than_what_it_was_computed_from() {
    let (arrival, applied) = (Birth::at(Sequence::from_u64(9)), Sequence::from_u64(10));
    let stored = |action| {
        let put = plan(vec![action]).puts.pop().unwrap();
        let (_, draft) = put.into_draft(arrival, applied);
        let Basis::Claim(claim) = draft.basis else { panic!("{:?}", draft.basis) };
        assert_eq!(claim.since, applied);
        let tags: Vec<_> = draft.tags.iter().map(|tag| tag.as_str().to_owned()).collect();
        (claim.birth.sequence().as_u64(), tags.join(","))
    };
    assert_eq!(stored(put("k", &["t"])), (10, "t".to_owned()));
    assert_eq!(stored(computed("k", &[], seen("a", "t"))), (9, "t".to_owned()));
    assert_eq!(stored(computed("k", &["t"], seen("a", "t"))), (9, "t".to_owned()));
    assert_eq!(stored(computed("k", &["u"], seen("a", "t"))), (5, "u,t".to_owned()));
}

fn change(object_id: Option<&str>) -> Event {
    Event {
        id: String::new(),
        source: String::new(),
        model: "shop.product".into(),
        operation: Operation::Updated,
        object_id: object_id.map(str::to_owned),
        changed_fields: Vec::new(),
        occurred_at: String::new(),
        payload: String::new(),
    }
}

fn built_in(object_id: Option<&str>) -> Vec<String> {
    let mut plan = Plan::default();
    plan.add_row(&change(object_id));
    plan.targets.iter().map(|(target, _)| target.name()).collect()
}

#[test]
fn a_row_ends_what_shows_it_and_the_lists_and_a_whole_model_ends_what_shows_any_row() {
    let row = ["shop.product:5", "shop.product", "model:shop.product"];
    assert_eq!(built_in(Some("5")), row);
    let model = ["shop.product", "shop.product:*", "model:shop.product"];
    assert_eq!(built_in(None), model);
    assert_eq!(built_in(Some(&"x".repeat(300))), model, "no tag is so long");
    assert_eq!(built_in(Some("a\nb")), model, "no tag has control characters");
}

#[test]
fn too_many_targets_become_everything() {
    let tags = (0..=TARGETS_PER_INVALIDATION_MAX).map(|n| Tag::new(&n.to_string()).unwrap());
    let actions = tags.map(|tag| Action::Invalidate(Target::Tag(tag), Mode::Hard));
    assert_eq!(plan(actions.collect()).targets, [(Target::Everything, Mode::Hard)]);
}
