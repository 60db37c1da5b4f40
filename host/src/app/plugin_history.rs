//! Which plugins may have tagged what the database has, over restarts.
//!
//! Events name entries in the words of the plugin that tagged them. Another component, or the same
//! with other settings, has other words, and what ran before can't be asked after a restart.
//!
//! # Invariants
//! - A plugin is noted before it may tag anything, durably.
//! - Before anything is served, everything is ended that was tagged by another component, or with
//!   other settings, than what the plugin has now; and everything of a plugin that is gone.
//!
//! # Not here
//! Ending it: `plugin_loader`.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::parts::Loadable;
use crate::cache::tier::TierError;
use crate::plugins::{self, Plugin};
use crate::tier::{DatabaseTier, RanPlugin};

/// What the database knows of plugins.
pub(super) struct PluginHistory {
    tier: Arc<DatabaseTier>,
    used: Used,
}

/// Whether a server has run above the database before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Used {
    /// Never: all that there can be is what was imported, of plugins that are noted alone.
    Never,
    /// Once at least.
    Before,
}

impl PluginHistory {
    pub(super) fn new(tier: Arc<DatabaseTier>, used: Used) -> Self {
        Self { tier, used }
    }

    /// The marks of what is to be ended now that these run, each with the name of its plugin.
    pub(super) fn strangers(&self, running: &[RanPlugin]) -> BTreeSet<(String, String)> {
        strangers_among(self.tier.ran_plugins(), running, self.used)
    }

    /// Notes that these run, and no others, unless just that was noted before the start. Before any
    /// other note.
    ///
    /// # Errors
    /// It is not known to be durable.
    pub(super) async fn note_only(&self, mut running: Vec<RanPlugin>) -> Result<(), TierError> {
        let mut noted = self.tier.ran_plugins().to_vec();
        noted.sort();
        running.sort();
        match noted == running {
            true => Ok(()),
            false => self.tier.note_only_plugins(running).await,
        }
    }

    /// Notes that this one runs, too.
    ///
    /// # Errors
    /// It is not known to be durable.
    pub(super) async fn note(&self, running: RanPlugin) -> Result<(), TierError> {
        self.tier.note_plugin(running).await
    }
}

/// A version as it is noted.
pub(super) fn as_ran(plugin: &Plugin, loadable: &Loadable) -> RanPlugin {
    RanPlugin {
        name: plugin.name().to_owned(),
        identity: identity_of(plugin.sha256(), &loadable.source.config),
        mark: plugin.mark().to_owned(),
    }
}

/// The hash of a component and its settings, whatever their order.
fn identity_of(sha256: &str, config: &[(String, String)]) -> String {
    let settings: BTreeSet<_> = config.iter().collect();
    let mut told = sha256.to_owned();
    for (name, value) in settings {
        told.push_str(&format!("\n{} {name}={} {value}", name.len(), value.len()));
    }
    plugins::sha256_of(told.as_bytes())
}

fn strangers_among(
    noted: &[RanPlugin],
    running: &[RanPlugin],
    used: Used,
) -> BTreeSet<(String, String)> {
    let known = |plugin: &RanPlugin| {
        let mut of_name = noted.iter().filter(|noted| noted.name == plugin.name).peekable();
        match of_name.peek() {
            // From a server that noted nothing.
            None => used == Used::Never,
            Some(_) => of_name.all(|noted| noted.identity == plugin.identity),
        }
    };
    let (known, strange): (Vec<_>, Vec<_>) = running.iter().partition(|plugin| known(plugin));
    let is_known = |noted: &&RanPlugin| known.iter().any(|plugin| plugin.name == noted.name);
    let gone = noted.iter().filter(|noted| !is_known(noted));
    gone.chain(strange).map(|plugin| (plugin.name.clone(), plugin.mark.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(name: &str, identity: &str, mark: &str) -> RanPlugin {
        let [name, identity, mark] = [name, identity, mark].map(str::to_owned);
        RanPlugin { name, identity, mark }
    }

    fn marks(noted: &[RanPlugin], running: &[RanPlugin], used: Used) -> Vec<String> {
        strangers_among(noted, running, used).into_iter().map(|(_, mark)| mark).collect()
    }

    #[test]
    fn only_what_ran_alone_and_runs_again_keeps_its_entries() {
        let now = [ran("shop", "a", "shop/1")];
        let nothing: [&str; 0] = [];
        assert_eq!(marks(&now, &now, Used::Before), nothing);
        assert_eq!(marks(&[ran("shop", "b", "shop/1")], &now, Used::Before), ["shop/1"]);
        assert_eq!(marks(&[ran("shop", "b", "shop/2")], &now, Used::Before), ["shop/1", "shop/2"]);
        let several = [ran("shop", "a", "shop/1"), ran("shop", "b", "shop/2")];
        assert_eq!(marks(&several, &now, Used::Before), ["shop/1", "shop/2"]);
        let gone = [ran("shop", "a", "shop/1"), ran("gone", "c", "gone/7")];
        assert_eq!(marks(&gone, &now, Used::Before), ["gone/7"]);
    }

    #[test]
    fn what_a_server_left_that_noted_nothing_is_not_trusted() {
        let now = [ran("shop", "a", "shop/1")];
        assert_eq!(marks(&[], &now, Used::Before), ["shop/1"]);
        assert!(marks(&[], &now, Used::Never).is_empty());
    }

    #[test]
    fn identity_is_that_of_the_component_and_of_each_setting() {
        let config = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
        };
        let of = |sha256, pairs: &[_]| identity_of(sha256, &config(pairs));
        let one = of("s", &[("a", "1"), ("b", "2")]);
        assert_eq!(one, of("s", &[("b", "2"), ("a", "1")]));
        for (sha256, other) in [
            ("t", [("a", "1"), ("b", "2")].as_slice()),
            ("s", &[("a", "1"), ("b", "3")]),
            ("s", &[("a", "1")]),
            ("s", &[("a", "1\n1 b=1 2")]),
        ] {
            assert_ne!(one, of(sha256, other));
        }
    }
}
