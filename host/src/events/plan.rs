//! What is to be done about all changes of one delivery, as one invalidation and what follows it.

use std::collections::HashSet;

use bytes::Bytes;
use serde::Serialize;

use crate::cache::Draft;
use crate::limits::TARGETS_PER_INVALIDATION_MAX;
use crate::model::{Action, Event, Expiry, Key, Mode, Tag, Target};

/// Decisions, and actions of one decision, that are kept to be shown.
const DECISIONS_SHOWN_MAX: usize = 20;

/// Who decides where no plugin does.
pub(super) const BUILT_IN: &str = "built-in";

/// Who decided what about one change, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Decision {
    /// `treks.photo 5 updated`
    pub(super) change: String,
    /// The plugin, or `built-in`.
    pub(super) by: String,
    /// `invalidate tag trek:5 hard`, `put key`, `refresh url`.
    pub(super) actions: Vec<String>,
}

/// The plan of one delivery.
#[derive(Default)]
pub(super) struct Plan {
    /// What is wrong.
    pub(super) targets: Vec<(Target, Mode)>,
    /// New values, to be written after that.
    pub(super) puts: Vec<(Key, Draft)>,
    /// Pages to be fetched anew after that.
    pub(super) refreshes: Vec<String>,
    /// How it came about, as far as it is shown.
    pub(super) decisions: Vec<Decision>,
    /// Changes for which the plugin failed.
    pub(super) fallbacks: u64,
}

impl Plan {
    /// Adds what a plugin wants; `targets_of` says what a page's URL stands for.
    pub(super) fn add(
        &mut self,
        action: Action,
        now_ms: u64,
        targets_of: impl Fn(&str) -> Vec<Target>,
    ) {
        match action {
            Action::Invalidate(Target::Url(url), mode) => {
                targets_of(&url).into_iter().for_each(|target| self.add_target(target, mode));
            }
            Action::Invalidate(target, mode) => self.add_target(target, mode),
            Action::Put { key, value, ttl_s, tags } => {
                // The old value is wrong whether or not the new one can be written.
                self.add_target(Target::Key(key.clone()), Mode::Hard);
                self.puts.push((key, draft(value, ttl_s, tags, now_ms)));
            }
            Action::Refresh { url } => {
                targets_of(&url).into_iter().for_each(|target| self.add_target(target, Mode::Soft));
                self.refreshes.push(url);
            }
        }
    }

    /// Adds the built-in tags of a changed row, where the source has no plugin: the row's
    /// `<model>:<pk>`, the model's lists' `<model>`, and `model:<model>` of what was tagged as
    /// depending on the model. A change without a primary key is one of the whole model.
    pub(super) fn add_row(&mut self, event: &Event) {
        let Event { model, object_id, .. } = event;
        let Some(object_id) = object_id else { return self.add_model(event) };
        match tags([format!("{model}:{object_id}"), model.clone(), format!("model:{model}")]) {
            Some(tags) => self.add_built_in(event, tags),
            // No entry has such a tag; whatever shows the row has that of any row.
            None => self.add_model(event),
        }
    }

    /// Adds the built-in tags of a whole model, for a change of unknown rows, or one that no
    /// plugin has understood: `<model>`, `<model>:*` of what shows any row, `model:<model>`.
    pub(super) fn add_model(&mut self, event: &Event) {
        let model = &event.model;
        let tags = tags([model.clone(), format!("{model}:*"), format!("model:{model}")]);
        self.add_built_in(event, tags.unwrap_or_else(|| vec![Target::Everything]));
    }

    fn add_built_in(&mut self, event: &Event, targets: Vec<Target>) {
        let invalidate = |target: &Target| Action::Invalidate(target.clone(), Mode::Hard);
        let actions: Vec<Action> = targets.iter().map(invalidate).collect();
        self.explain(event, BUILT_IN, &actions);
        targets.into_iter().for_each(|target| self.add_target(target, Mode::Hard));
    }

    /// Notes who wants what done about a change.
    pub(super) fn explain(&mut self, event: &Event, by: &str, actions: &[Action]) {
        if self.decisions.len() < DECISIONS_SHOWN_MAX {
            let actions = actions.iter().take(DECISIONS_SHOWN_MAX).map(action_shown).collect();
            self.decisions.push(Decision { change: change_shown(event), by: by.into(), actions });
        }
    }

    /// Adds what is wrong for another reason than the changes of this delivery.
    pub(super) fn add_hard(&mut self, targets: &[Target], source: &str) {
        self.targets.extend(targets.iter().map(|target| (target.clone(), Mode::Hard)));
        self.close(source);
    }

    /// Names each target once. Too much to be named is still never dropped.
    pub(super) fn close(&mut self, source: &str) {
        let mut named = HashSet::new();
        self.targets.retain(|target| named.insert(target.clone()));
        if self.targets.len() > TARGETS_PER_INVALIDATION_MAX {
            tracing::warn!(source, targets = self.targets.len(), "purging everything");
            self.targets = vec![(Target::Everything, Mode::Hard)];
        }
    }

    /// A later change of the same delivery ends the values of earlier ones that it names.
    fn add_target(&mut self, target: Target, mode: Mode) {
        self.puts.retain(|(key, draft)| !names(&target, key, &draft.tags));
        self.targets.push((target, mode));
    }
}

/// All of them as tags, or `None` if one can't be.
fn tags(names: [String; 3]) -> Option<Vec<Target>> {
    names.iter().map(|name| Tag::new(name).ok().map(Target::Tag)).collect()
}

fn names(target: &Target, key: &Key, tags: &[Tag]) -> bool {
    match target {
        Target::Tag(tag) => tags.contains(tag),
        Target::Key(named) => named == key,
        Target::Prefix(prefix) => key.as_bytes().starts_with(prefix.as_bytes()),
        Target::Everything => true,
        Target::Url(_) | Target::Site(_) => false,
    }
}

/// A change in a line: `treks.photo 5 updated`.
pub(super) fn change_shown(event: &Event) -> String {
    let object_id = event.object_id.as_deref().unwrap_or("*");
    format!("{} {object_id} {:?}", event.model, event.operation).to_lowercase()
}

fn action_shown(action: &Action) -> String {
    match action {
        Action::Invalidate(target, mode) => {
            format!("invalidate {} {} {}", target.kind(), target.name(), mode.as_str())
        }
        Action::Put { key, .. } => format!("put {}", key.to_text()),
        Action::Refresh { url } => format!("refresh {url}"),
    }
}

fn draft(value: Vec<u8>, ttl_s: Option<u32>, tags: Vec<Tag>, now_ms: u64) -> Draft {
    let expires =
        ttl_s.map_or(Expiry::NEVER, |ttl_s| Expiry::at_ms(now_ms + u64::from(ttl_s) * 1000));
    Draft { expires, tags, ..Draft::new(Bytes::from(value)) }
}

#[cfg(test)]
mod tests {
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
        let tags = tags.iter().map(|tag| Tag::new(tag).unwrap()).collect();
        Action::Put { key: key(name), value: b"v".to_vec(), ttl_s: None, tags }
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
}
