//! What is to be done about an event: its plugin is asked, and where that fails, the built-in tag.

use std::sync::Arc;

use super::apply::Shared;
use super::plan::Plan;
use super::sources::Source;
use crate::model::{Action, Event, Mode, Target};
use crate::plugins::{CallError, Plugin};

/// Times that a plugin is asked about one event, each on a fresh instance after a failure.
const PLUGIN_TRIES: usize = 3;

impl Shared {
    /// What all changes of a delivery make wrong; nothing is done about it yet.
    pub(super) async fn plan(&self, source: &Source, events: &[Event]) -> Plan {
        let mut plan = Plan::default();
        for event in events {
            plan.begin_change();
            self.plan_by_retired(&mut plan, source, event).await;
            match self.ask_plugin(source, event).await {
                Asked::Said { plugin, actions } => {
                    plan.explain(event, plugin, &actions);
                    for action in actions {
                        let now_ms = self.cache.clock().now_ms();
                        plan.add(action, now_ms, |url| (self.url_targets)(url));
                    }
                }
                Asked::Nobody => plan.add_row(event),
                Asked::Failed => {
                    plan.fallbacks += 1;
                    plan.add_model(event);
                }
            }
        }
        plan.close(&source.name);
        plan
    }

    async fn ask_plugin<'a>(&self, source: &'a Source, event: &Event) -> Asked<'a> {
        let Some(name) = source.plugin.as_deref() else { return Asked::Nobody };
        let current = || self.plugins.get(name).filter(|plugin| plugin.has_invalidator());
        let Some(plugin) = current() else { return Asked::Nobody };
        let mut actions = ask(&plugin, event).await;
        if actions.is_none()
            && let Some(other) = current().filter(|other| !Arc::ptr_eq(other, &plugin))
        {
            // The version before has taken over from one that fails again and again.
            actions = ask(&other, event).await;
        }
        match actions {
            Some(actions) => Asked::Said { plugin: name, actions },
            None => Asked::Failed,
        }
    }

    /// Versions of the plugin that were replaced name what was stored under them. Before the
    /// current one, so that its values are not ended by them; theirs are not written.
    async fn plan_by_retired(&self, plan: &mut Plan, source: &Source, event: &Event) {
        let Some(name) = source.plugin.as_deref() else { return };
        for plugin in self.plugins.retired(name).iter().filter(|plugin| plugin.has_invalidator()) {
            let Some(actions) = ask(plugin, event).await else {
                plan.fallbacks += 1;
                plan.add_model(event);
                continue;
            };
            let actions: Vec<Action> = actions.into_iter().map(invalidation_of).collect();
            plan.explain(event, &format!("{name} {}, replaced", plugin.version()), &actions);
            for action in actions {
                let now_ms = self.cache.clock().now_ms();
                plan.add(action, now_ms, |url| (self.url_targets)(url));
            }
        }
    }
}

async fn ask(plugin: &Plugin, event: &Event) -> Option<Vec<Action>> {
    for _ in 0..PLUGIN_TRIES {
        let error = match plugin.on_event(event).await {
            Ok(actions) => return Some(actions),
            Err(error) => error,
        };
        let (name, version) = (plugin.name(), plugin.version());
        tracing::warn!(plugin = name, version, model = event.model, %error, "event not understood");
        if error == CallError::Degraded {
            break;
        }
    }
    None
}

/// What an action makes wrong, and nothing more.
fn invalidation_of(action: Action) -> Action {
    match action {
        Action::Put { key, .. } => Action::Invalidate(Target::Key(key), Mode::Hard),
        Action::Refresh { url } => Action::Invalidate(Target::Url(url.into()), Mode::Soft),
        invalidation @ Action::Invalidate(..) => invalidation,
    }
}

/// What the source's plugin says about a change.
enum Asked<'a> {
    /// What it wants done.
    Said { plugin: &'a str, actions: Vec<Action> },
    /// The source has no plugin that knows events.
    Nobody,
    /// It failed each time.
    Failed,
}
