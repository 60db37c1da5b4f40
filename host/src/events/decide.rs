//! What is to be done about an event: its plugin is asked. Where that fails, nobody knows which of
//! the entries that it has tagged are wrong, so all of them are, and what has the built-in tags.
//!
//! # Invariants
//! - All versions of the plugin are asked that there were at one moment of planning.
//! - A version that has no answer costs everything that was stored under its mark; one that had no
//!   time for the question is no answer: the sender asks again.
//!
//! # Not here
//! Versions that are published later (`follow`). Carrying it out (`apply`).

use super::apply::{Refused, Shared};
use super::follow::Panel;
use super::plan::Plan;
use super::sources::Source;
use crate::model::{Action, Event, Mode, Target};
use crate::plugins::{CallError, Plugin, Snapshot};

/// Times that a plugin is asked about one event, each on a fresh instance after a failure.
const PLUGIN_TRIES: usize = 3;

impl Shared {
    /// What all changes of a delivery make wrong; nothing is done about it yet.
    pub(super) async fn plan(
        &self,
        source: &Source,
        events: &[Event],
        panel: &Panel,
    ) -> Result<Plan, Refused> {
        let mut plan = Plan::default();
        for event in events {
            plan.begin_change();
            let Some(Snapshot { current, retired, .. }) = panel.versions() else {
                plan.add_row(event);
                continue;
            };
            // Before the current one, so that its values are not ended by them.
            for plugin in retired.iter().filter(|plugin| plugin.has_invalidator()) {
                self.plan_beside(&mut plan, plugin, "replaced", event).await?;
            }
            self.plan_by_current(&mut plan, current, event).await?;
        }
        plan.close(&source.name);
        Ok(plan)
    }

    async fn plan_by_current(
        &self,
        plan: &mut Plan,
        plugin: &Plugin,
        event: &Event,
    ) -> Result<(), Refused> {
        if !plugin.has_invalidator() {
            plan.add_row(event);
            return Ok(());
        }
        let Some(actions) = ask(plugin, event).await? else {
            plan_without(plan, plugin, event);
            return Ok(());
        };
        plan.explain(event, plugin.name(), &actions);
        self.add_all(plan, plugin, actions);
        Ok(())
    }

    /// A version that does not decide names what was stored under it. Its values are not written.
    pub(super) async fn plan_beside(
        &self,
        plan: &mut Plan,
        plugin: &Plugin,
        standing: &str,
        event: &Event,
    ) -> Result<(), Refused> {
        let Some(actions) = ask(plugin, event).await? else {
            plan_without(plan, plugin, event);
            return Ok(());
        };
        let actions: Vec<Action> = actions.into_iter().map(invalidation_of).collect();
        let by = format!("{} {}, {standing}", plugin.name(), plugin.version());
        plan.explain(event, &by, &actions);
        self.add_all(plan, plugin, actions);
        Ok(())
    }

    fn add_all(&self, plan: &mut Plan, plugin: &Plugin, actions: Vec<Action>) {
        plan.begin_answer(plugin.tag().cloned());
        for action in actions {
            let now_ms = self.cache.clock().now_ms();
            plan.add(action, now_ms, |url| (self.url_targets)(url));
        }
    }
}

/// All that a version may have named: what was stored as it said has its tag. One that only acts on
/// events, such as `django`, names what others have stored.
pub(super) fn all_of(version: &Plugin) -> Target {
    let tag = version.tag().filter(|_| version.has_tagger());
    tag.cloned().map_or(Target::Everything, Target::Tag)
}

/// What is done about an event that a version has no answer to.
fn plan_without(plan: &mut Plan, plugin: &Plugin, event: &Event) {
    let stored = all_of(plugin);
    let (name, version, model) = (plugin.name(), plugin.version(), &event.model);
    tracing::warn!(
        plugin = name,
        version,
        model,
        purged = stored.name(),
        "no answer to an event; all that this version may have named is invalidated"
    );
    plan.fallbacks += 1;
    plan.add_unanswered(event, stored);
}

/// The version's answer; `None` if it has none.
async fn ask(plugin: &Plugin, event: &Event) -> Result<Option<Vec<Action>>, Refused> {
    let mut outcome = plugin.on_event(event).await;
    for _ in 1..PLUGIN_TRIES {
        if matches!(outcome, Ok(_) | Err(CallError::Busy | CallError::Degraded)) {
            break;
        }
        outcome = plugin.on_event_again(event).await;
    }
    match outcome {
        Ok(actions) => Ok(Some(actions)),
        Err(CallError::Busy) => Err(Refused::Busy),
        Err(_) => Ok(None),
    }
}

/// What an action makes wrong, and nothing more.
fn invalidation_of(action: Action) -> Action {
    match action {
        Action::Put { key, .. } => Action::Invalidate(Target::Key(key), Mode::Hard),
        Action::Refresh { url } => Action::Invalidate(Target::Url(url.into()), Mode::Soft),
        invalidation @ Action::Invalidate(..) => invalidation,
    }
}
