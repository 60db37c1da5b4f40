//! Why a plugin is not loaded, and why a call has no answer.
//!
//! # Invariants
//! - Every error of loading names the plugin; every error of a call leaves the plugin usable.
//!
//! # Not here
//! What becomes of the request or the event: the callers' policy.

use std::path::PathBuf;

use super::contract::INTERFACE_LIFECYCLE;

/// Why a plugin is not loaded; what was loaded before stays.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// Its file can't be read.
    #[error("plugin {name}: {}: {source}", path.display())]
    Read {
        /// The operator's name of the plugin.
        name: String,
        /// The file that was asked for.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Its file is larger than the limit.
    #[error("plugin {name}: the component is {bytes} bytes; limit is {limit}")]
    TooLarge {
        /// The operator's name of the plugin.
        name: String,
        /// Its size.
        bytes: u64,
        /// The largest size.
        limit: u64,
    },
    /// It is not the component that the operator wrote down.
    #[error("plugin {name}: the component has sha256 {found}; pinned is {pinned}")]
    Pin {
        /// The operator's name of the plugin.
        name: String,
        /// The hash that it should have.
        pinned: String,
        /// The one that it has.
        found: String,
    },
    /// It was made for another version of the contract.
    #[error("plugin {name}: speaks plugin contract {version}; this server speaks {spoken}")]
    Version {
        /// The operator's name of the plugin.
        name: String,
        /// The version that it was made for.
        version: String,
        /// Those that would do.
        spoken: String,
    },
    /// No plugin of this name ships with the server.
    #[error("plugin {name}: not shipped with the server; there are {shipped}, or name a file")]
    NotShipped {
        /// The operator's name of the plugin.
        name: String,
        /// Those that ship.
        shipped: String,
    },
    /// It is not a component that this server can run.
    #[error("plugin {name}: not a component: {reason}")]
    NotComponent {
        /// The operator's name of the plugin.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It asks for something that plugins are not given.
    #[error("plugin {name}: imports {imports}, which plugins are not given")]
    Imports {
        /// The operator's name of the plugin.
        name: String,
        /// The names of the imports, separated by commas.
        imports: String,
    },
    /// It has none of what a plugin is called by.
    #[error("plugin {name}: does not export {INTERFACE_LIFECYCLE}")]
    NoLifecycle {
        /// The operator's name of the plugin.
        name: String,
    },
    /// Its interfaces are not those of the contract.
    #[error("plugin {name}: does not fit the contract: {reason}")]
    Contract {
        /// The operator's name of the plugin.
        name: String,
        /// Where it differs.
        reason: String,
    },
    /// It refused its settings, or failed while it took them.
    #[error("plugin {name}: configure: {reason}")]
    Configure {
        /// The operator's name of the plugin.
        name: String,
        /// Its own words, or how it failed.
        reason: String,
    },
    /// It described itself wrongly, or failed while it did.
    #[error("plugin {name}: describe: {reason}")]
    Describe {
        /// The operator's name of the plugin.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// It does not key a request as the operator expects.
    #[error("plugin {name}: smoke case {url}: {reason}")]
    Smoke {
        /// The operator's name of the plugin.
        name: String,
        /// The request's URL.
        url: String,
        /// What was expected and what came.
        reason: String,
    },
    /// Two plugins have one name.
    #[error("plugin {name}: configured twice")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// No plugin of this name is loaded.
    #[error("plugin {name}: not loaded")]
    NotLoaded {
        /// The name.
        name: String,
    },
    /// There is nothing to go back to.
    #[error("plugin {name}: no previous version to roll back to")]
    NoPrevious {
        /// The name.
        name: String,
    },
    /// What there is to go back to has failed too often.
    #[error("plugin {name}: the previous version fails; {version} decides now, sha256 {sha256}")]
    PreviousFails {
        /// The name.
        name: String,
        /// The version that decides now.
        version: String,
        /// The hash of its component.
        sha256: String,
    },
    /// The machinery itself could not be started.
    #[error("plugin engine: {reason}")]
    Engine {
        /// What the machine said.
        reason: String,
    },
}

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The plugin's own error.
    #[error("the plugin has no answer: {0}")]
    Guest(String),
    /// It panicked, ran out of memory or stack, or did what it may not.
    #[error("the plugin trapped: {0}")]
    Trap(String),
    /// It took too long and was stopped.
    #[error("the plugin was stopped after {ms} ms")]
    Deadline {
        /// How long it may take.
        ms: u64,
    },
    /// It returned something outside the limits, which are named.
    #[error("the plugin's answer is refused: {0}")]
    Refused(String),
    /// It failed too often; for a while it is not asked.
    #[error("the plugin is degraded: it trapped or ran out of time again and again")]
    Degraded,
    /// Too many calls are waiting already.
    #[error("too many calls of plugins are waiting")]
    Busy,
    /// The plugin has no such hook.
    #[error("the plugin has no such hook")]
    NotExported,
}
