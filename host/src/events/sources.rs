//! The configured senders of events.

use std::collections::HashMap;

use super::signature::Secret;
use crate::config::{self, ConfigError, ConfigErrors};

/// A sender.
#[derive(Debug)]
pub struct Source {
    /// Its name in the address.
    pub name: String,
    /// Secrets that its signatures are checked with.
    pub secrets: Vec<Secret>,
    /// The plugin that says what its events make wrong.
    pub plugin: Option<String>,
    /// How long after an event what it made wrong is made wrong again; 0: never.
    pub hold_ms: u64,
    /// How long what it announces stays shut without a commit.
    pub intent_timeout_ms: u64,
}

/// All senders by name.
#[derive(Debug, Default)]
pub struct Sources(HashMap<String, Source>);

impl Sources {
    /// Parses the secrets; reports every one that is none.
    pub fn new(configured: &[config::Source]) -> Result<Self, ConfigErrors> {
        let mut mistakes = Vec::new();
        let mut sources = HashMap::new();
        for (n, source) in configured.iter().enumerate() {
            let mut secrets = Vec::new();
            for (k, text) in source.secrets.iter().enumerate() {
                match Secret::parse(text.reveal()) {
                    Ok(secret) => secrets.push(secret),
                    Err(error) => mistakes.push(ConfigError {
                        key: format!("sources[{n}].secrets[{k}]"),
                        message: error.to_string(),
                    }),
                }
            }
            let name = source.name.clone();
            let (plugin, hold_ms) = (source.plugin.clone(), source.hold_ms);
            let intent_timeout_ms = source.intent_timeout_ms;
            let source = Source { name, secrets, plugin, hold_ms, intent_timeout_ms };
            sources.insert(source.name.clone(), source);
        }
        if mistakes.is_empty() { Ok(Self(sources)) } else { Err(ConfigErrors(mistakes)) }
    }

    /// The longest that any of them holds an event; 0: none does.
    pub fn hold_ms_max(&self) -> u64 {
        self.0.values().map(|source| source.hold_ms).max().unwrap_or(0)
    }

    #[cfg(test)]
    pub(super) fn of(sources: impl IntoIterator<Item = Source>) -> Self {
        Self(sources.into_iter().map(|source| (source.name.clone(), source)).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&Source> {
        self.0.get(name)
    }
}
