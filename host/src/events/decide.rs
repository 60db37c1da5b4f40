//! What is to be done about an event: its plugin is asked, and where that fails, the built-in tag.

use super::apply::Shared;
use super::plan::Plan;
use super::sources::Source;
use crate::model::{Action, Event};
use crate::plugins::CallError;

/// Times that a plugin is asked about one event, each on a fresh instance after a failure.
const PLUGIN_TRIES: usize = 3;

impl Shared {
    /// What all changes of a delivery make wrong; nothing is done about it yet.
    pub(super) async fn plan(&self, source: &Source, events: &[Event]) -> Plan {
        let mut plan = Plan::default();
        for event in events {
            match self.ask_plugin(source, event).await {
                Asked::Said { plugin, actions } => {
                    plan.explain(event, plugin, &actions);
                    for action in actions {
                        let now_ms = self.cache.clock().now_ms();
                        plan.add(action, now_ms, |url| (self.url_targets)(url));
                    }
                }
                Asked::Nobody => plan.add_model(event),
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
        for _ in 0..PLUGIN_TRIES {
            // Another version may take over meanwhile.
            let plugin = self.plugins.get(name).filter(|plugin| plugin.has_invalidator());
            let Some(plugin) = plugin else { return Asked::Nobody };
            let error = match plugin.on_event(event).await {
                Ok(actions) => return Asked::Said { plugin: name, actions },
                Err(error) => error,
            };
            tracing::warn!(plugin = name, model = event.model, %error, "event not understood");
            if error == CallError::Degraded {
                break;
            }
        }
        Asked::Failed
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
