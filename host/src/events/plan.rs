//! What is to be done about all changes of one delivery, as one invalidation and what follows it.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use crate::cache::{Basis, Claim, Draft};
use crate::limits::TARGETS_PER_INVALIDATION_MAX;
use crate::model::{Action, Birth, Consulted, Event, Expiry, Key, Mode, Sequence, Tag, Target};

/// Decisions, and actions of one decision, that are kept to be shown.
const DECISIONS_SHOWN_MAX: usize = 20;

/// Entries that a value was computed from, of which so many are shown.
const SOURCES_SHOWN_MAX: usize = 3;

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

/// A new value.
pub(super) struct Put {
    pub(super) key: Key,
    draft: Draft,
    /// What it may have been computed from, beside the event.
    consulted: Arc<Consulted>,
    /// The tag of all that the version has a part in which brings it.
    of_version: Option<Tag>,
}

impl Put {
    /// Whether it may have been computed from what was in the cache.
    pub(super) fn is_computed(&self) -> bool {
        self.consulted.birth.is_some()
    }

    /// What is stored. `arrival` is when nothing had been looked at yet, `applied` the event's own
    /// sequence, with no other in between: the event includes all that is known until then. What
    /// was looked at includes what was known at its birth; as far as its own tags go, at `arrival`
    /// still, or it would not have been shown.
    pub(super) fn into_draft(self, arrival: Birth, applied: Sequence) -> (Key, Draft) {
        let Self { key, mut draft, consulted, of_version } = self;
        let is_theirs = |tag: &Tag| consulted.is_of(&Target::Tag(tag.clone()));
        let birth = match consulted.birth {
            None => Birth::at(applied),
            Some(_) if draft.tags.iter().all(is_theirs) => arrival,
            Some(oldest) => oldest.oldest(arrival),
        };
        consulted.add_tags_to(&mut draft.tags);
        draft.tags.extend(of_version);
        draft.basis = Basis::Claim(Claim { birth, since: applied });
        (key, draft)
    }

    /// Whether a target that is named ends it.
    fn is_ended_by(&self, target: &Target) -> bool {
        let is_named = match target {
            Target::Tag(tag) => {
                self.draft.tags.contains(tag) || self.of_version.as_ref() == Some(tag)
            }
            Target::Key(named) => *named == self.key,
            Target::Prefix(prefix) => self.key.as_bytes().starts_with(prefix.as_bytes()),
            Target::Everything => true,
            Target::Url(_) | Target::Site(_) => false,
        };
        is_named || self.consulted.is_of(target)
    }
}

/// The plan of one delivery.
#[derive(Default)]
pub(super) struct Plan {
    /// What is wrong.
    pub(super) targets: Vec<(Target, Mode)>,
    /// New values, to be written after that.
    pub(super) puts: Vec<Put>,
    /// Pages to be fetched anew after that.
    pub(super) refreshes: Vec<String>,
    /// How it came about, as far as it is shown.
    pub(super) decisions: Vec<Decision>,
    /// Changes for which the plugin failed.
    pub(super) fallbacks: u64,
    /// New values that something else in the delivery has ended already.
    pub(super) puts_ended: usize,
    /// How many of the targets are of changes before the one that is planned now.
    earlier: usize,
    /// The tag of all that the version has a part in whose answer is planned now.
    of_version: Option<Tag>,
}

impl Plan {
    /// What is added from now on is about the next change.
    pub(super) fn begin_change(&mut self) {
        self.earlier = self.targets.len();
    }

    /// What is added from now on is the answer of a version that tags its entries so.
    pub(super) fn begin_answer(&mut self, of_version: Option<Tag>) {
        self.of_version = of_version;
    }

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
            Action::Put { key, value, ttl_s, tags, consulted } => {
                let draft = draft(value, ttl_s, tags, now_ms);
                let of_version = self.of_version.clone();
                self.add_put(Put { key, draft, consulted, of_version });
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

    /// Adds the built-in tags of a whole model, for a change of unknown rows.
    pub(super) fn add_model(&mut self, event: &Event) {
        self.add_built_in(event, of_model(&event.model));
    }

    /// Adds, for a change that a version of a plugin has no answer to, the tags of its whole model
    /// and all that the version may have `stored`.
    pub(super) fn add_unanswered(&mut self, event: &Event, stored: Target) {
        let mut targets = of_model(&event.model);
        targets.push(stored);
        self.add_built_in(event, targets);
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
        let planned = self.puts.len();
        self.puts.retain(|put| !put.is_ended_by(&target));
        self.puts_ended += planned - self.puts.len();
        self.targets.push((target, mode));
    }

    /// The old value is wrong whether or not the new one can be written. It can't if it was
    /// computed from what the delivery makes wrong: from anything that a change before this one
    /// names, whose new value the plugin has not seen, and from what this change names and does not
    /// itself replace.
    fn add_put(&mut self, put: Put) {
        self.puts.retain(|other| other.key != put.key);
        let of_puts: Vec<&Key> = self.puts.iter().chain([&put]).map(|put| &put.key).collect();
        let is_replaced =
            |target: &Target| matches!(target, Target::Key(key) if of_puts.contains(&key));
        let mut targets = self.targets.iter().enumerate();
        let is_over = targets.any(|(n, (target, _))| {
            put.consulted.is_of(target) && (n < self.earlier || !is_replaced(target))
        });
        self.targets.push((Target::Key(put.key.clone()), Mode::Hard));
        if is_over {
            self.puts_ended += 1;
            tracing::info!(key = put.key.to_text(), "value of an event computed from what it ends");
        } else {
            self.puts.push(put);
        }
    }
}

/// What a model is tagged by: `<model>`, `<model>:*` of what shows any row, `model:<model>`.
fn of_model(model: &str) -> Vec<Target> {
    let tags = tags([model.to_owned(), format!("{model}:*"), format!("model:{model}")]);
    tags.unwrap_or_else(|| vec![Target::Everything])
}

/// All of them as tags, or `None` if one can't be.
fn tags(names: [String; 3]) -> Option<Vec<Target>> {
    names.iter().map(|name| Tag::new(name).ok().map(Target::Tag)).collect()
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
        Action::Put { key, consulted, .. } => {
            let sources = consulted.targets.iter().filter_map(|target| match target {
                Target::Key(key) => Some(key.to_text()),
                _ => None,
            });
            let sources: Vec<String> = sources.take(SOURCES_SHOWN_MAX).collect();
            match sources.is_empty() {
                true => format!("put {}", key.to_text()),
                false => format!("put {} from {}", key.to_text(), sources.join(", ")),
            }
        }
        Action::Refresh { url } => format!("refresh {url}"),
    }
}

fn draft(value: Vec<u8>, ttl_s: Option<u32>, tags: Vec<Tag>, now_ms: u64) -> Draft {
    let expires =
        ttl_s.map_or(Expiry::NEVER, |ttl_s| Expiry::at_ms(now_ms + u64::from(ttl_s) * 1000));
    Draft { expires, tags, ..Draft::new(Bytes::from(value)) }
}

#[cfg(test)]
mod tests;
