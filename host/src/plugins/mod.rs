//! Wasm plugins: the only folder that knows wasmtime.
//!
//! A plugin is a component that says how requests are keyed, how entries are tagged, and what an
//! event makes wrong. It is asked in the model's types and answers in them.
//!
//! # Invariants
//! - Guests get nothing: no files, no network, no environment. Their time, memory, stack, answers
//!   and log lines are bounded.
//! - Whatever a guest does, the server goes on, the caller gets an error, and the next call works.
//! - A plugin is replaced as a whole, by one that works; calls under way end on the old one.
//!
//! # Not here
//! What an error leads to (bypass, no store, a larger purge): the front doors' policy. The cache.

mod bindings;
mod breaker;
mod component;
mod convert;
mod counters;
mod engine;
mod error;
mod instance;
mod limiter;
mod limits;
mod log;
mod memo;
mod names;
mod plugin;
mod pool;
mod shipped;
#[cfg(test)]
mod tests;
mod ticker;
mod wasi;
mod workbench;
mod workers;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::clock::Clock;
use engine::Machine;
use workers::Workers;

pub use counters::{Hook, Incident, Outcome};
pub use error::{CallError, PluginError};
pub use limits::{AllowEverything, PluginLimits};
pub use plugin::Plugin;
pub use workbench::{Subject, Workbench};

/// The interface that makes a component a plugin.
const INTERFACE_LIFECYCLE: &str = "wasmcached:plugin/lifecycle@0.1.0";

/// Which plugin is loaded, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginSource {
    /// The operator's name of it; for a shipped plugin also which one.
    pub name: String,
    /// Where its component comes from.
    pub origin: PluginOrigin,
    /// The SHA-256 that its component must have, lower-case hexadecimal.
    pub sha256: Option<String>,
    /// Its settings, as it understands them.
    pub config: Vec<(String, String)>,
    /// What it may use.
    pub limits: PluginLimits,
}

/// Where a component comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginOrigin {
    /// Inside the server, by the plugin's name: `rules` or `trekking`.
    Shipped,
    /// The operator's file.
    File(PathBuf),
}

/// All loaded plugins; clones share them.
#[derive(Clone)]
pub struct Plugins {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    loaded: ArcSwap<Vec<Loaded>>,
    /// Held while plugins change; made with the first one, so that none costs nothing.
    machinery: Mutex<Option<Machinery>>,
}

/// What plugins run on.
struct Machinery {
    machine: Machine,
    workers: Arc<Workers>,
}

impl Machinery {
    fn start() -> Result<Self, PluginError> {
        Ok(Self { machine: Machine::start()?, workers: Arc::new(Workers::start()?) })
    }
}

#[derive(Clone)]
struct Loaded {
    current: Arc<Plugin>,
    previous: Option<Arc<Plugin>>,
}

impl Plugins {
    /// Compiles, checks, configures and describes every plugin. Blocking; for the start.
    ///
    /// # Errors
    /// The first plugin that can't be loaded, with the reason.
    pub fn load(sources: Vec<PluginSource>, clock: Clock) -> Result<Self, PluginError> {
        let plugins = Self::empty(clock);
        for source in sources {
            if plugins.get(&source.name).is_some() {
                return Err(PluginError::Duplicate { name: source.name });
            }
            plugins.replace(source)?;
        }
        Ok(plugins)
    }

    /// No plugins, and neither threads nor memory for any.
    pub fn none() -> Self {
        Self::empty(Clock::system())
    }

    fn empty(clock: Clock) -> Self {
        let loaded = ArcSwap::from_pointee(Vec::new());
        Self { shared: Arc::new(Shared { clock, loaded, machinery: Mutex::new(None) }) }
    }

    /// The current version of the plugin of this name.
    pub fn get(&self, name: &str) -> Option<Arc<Plugin>> {
        let loaded = self.shared.loaded.load();
        let found = loaded.iter().find(|loaded| loaded.current.name() == name);
        found.map(|loaded| Arc::clone(&loaded.current))
    }

    /// The current version of every plugin, in the order in which they were configured.
    pub fn list(&self) -> Vec<Arc<Plugin>> {
        let loaded = self.shared.loaded.load();
        loaded.iter().map(|loaded| Arc::clone(&loaded.current)).collect()
    }

    /// Puts a new version in the place of the plugin of that name, or adds the plugin as the last.
    /// Calls under way end on the old version, which is kept for [`Self::rollback`]. Blocking: it
    /// compiles.
    ///
    /// # Errors
    /// Why the new version can't be loaded; the old one stays.
    pub fn replace(&self, source: PluginSource) -> Result<(), PluginError> {
        let mut machinery = self.shared.machinery.lock();
        let running = match &mut *machinery {
            Some(running) => running,
            none => none.insert(Machinery::start()?),
        };
        let old = self.get(&source.name);
        let counters = old.as_ref().map(|plugin| plugin.counters()).unwrap_or_default();
        let Machinery { machine, workers } = running;
        let clock = self.shared.clock.clone();
        let owner = Arc::downgrade(&self.shared);
        let new = Arc::new(Plugin::load(machine, workers, &source, counters, clock, owner)?);
        // A version that failed may be rolled back at any moment, also now.
        self.shared.loaded.rcu(|loaded| {
            let (mut loaded, current) = (loaded.to_vec(), Arc::clone(&new));
            match loaded.iter_mut().find(|loaded| loaded.current.name() == source.name) {
                Some(place) => {
                    place.previous = Some(std::mem::replace(&mut place.current, current))
                }
                None => loaded.push(Loaded { current, previous: None }),
            }
            loaded
        });
        Ok(())
    }

    /// Puts the version before the last replacement back; done twice, it goes forth again.
    ///
    /// # Errors
    /// There is no such plugin, or no version before.
    pub fn rollback(&self, name: &str) -> Result<(), PluginError> {
        let _changing = self.shared.machinery.lock();
        if self.get(name).is_none() {
            return Err(PluginError::NotLoaded { name: name.to_owned() });
        }
        match self.shared.swap(|loaded| loaded.current.name() == name) {
            Some(_) => Ok(()),
            None => Err(PluginError::NoPrevious { name: name.to_owned() }),
        }
    }
}

impl Shared {
    /// Puts the version before in the place of one that failed too often; `None` where it is not
    /// the current one, or none that works is before it.
    fn fall_back(&self, failed: &Arc<plugin::Core>) -> Option<Arc<Plugin>> {
        self.swap(|loaded| {
            let works = |previous: &Arc<Plugin>| !previous.is_degraded();
            loaded.current.is(failed) && loaded.previous.as_ref().is_some_and(works)
        })
    }

    /// Exchanges the versions of that plugin, if it has two; returns the one that is current then.
    fn swap(&self, is_wanted: impl Fn(&Loaded) -> bool) -> Option<Arc<Plugin>> {
        let mut current = None;
        self.loaded.rcu(|loaded| {
            let mut loaded = loaded.to_vec();
            current = loaded.iter_mut().find(|one| is_wanted(one)).and_then(Loaded::swap);
            loaded
        });
        current
    }
}

impl Loaded {
    fn swap(&mut self) -> Option<Arc<Plugin>> {
        let previous = self.previous.take()?;
        self.previous = Some(std::mem::replace(&mut self.current, previous));
        Some(Arc::clone(&self.current))
    }
}
