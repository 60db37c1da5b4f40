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
mod code_cache;
mod complaints;
mod component;
mod contract;
mod convert;
mod counters;
mod engine;
mod error;
mod instance;
mod limiter;
mod limits;
mod log;
mod look_ups;
mod memo;
mod names;
mod plugin;
mod pool;
mod shipped;
mod smoke;
#[cfg(test)]
mod tests;
mod ticker;
mod versions;
mod wasi;
mod workbench;
mod workers;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;

use crate::clock::Clock;
use crate::model::SmokeCase;
use engine::{Fuel, Machine};
use workers::Workers;

pub use code_cache::{CodeFolder, CodeFrom};
pub use component::{COMPONENT_BYTES_MAX, read_file, sha256_of};
pub use counters::{Hook, Incident, Outcome};
pub use error::{CallError, PluginError};
pub use limits::{AllowEverything, PluginLimits};
pub use look_ups::LookUp;
pub use plugin::{Plugin, tag_of_mark};
pub use versions::{Snapshot, Versions};
pub use workbench::{KeyMemory, Subject, Workbench};

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
    /// The component itself.
    Bytes(Bytes),
}

/// All loaded plugins; clones share them.
#[derive(Clone)]
pub struct Plugins {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    /// Where compiled code is kept.
    code: CodeFolder,
    /// What guests may look at.
    view: look_ups::View,
    /// In the order in which they were configured.
    loaded: ArcSwap<Vec<Arc<Versions>>>,
    /// Held while plugins change; made with the first one, so that none costs nothing.
    machinery: Mutex<Option<Machinery>>,
}

/// What plugins run on.
struct Machinery {
    machine: Machine,
    workers: Arc<Workers>,
}

impl Machinery {
    fn start(code: &CodeFolder) -> Result<Self, PluginError> {
        let machine = Machine::start(Fuel::NotCounted, code)?;
        Ok(Self { machine, workers: Arc::new(Workers::start()?) })
    }
}

/// A version that works and is not used yet.
pub struct Prepared(Plugin);

impl Prepared {
    /// What it says about itself.
    pub fn plugin(&self) -> &Plugin {
        &self.0
    }
}

impl Plugins {
    /// Compiles, checks, configures and describes every plugin; the code is not kept. Blocking.
    ///
    /// # Errors
    /// The first plugin that can't be loaded, with the reason.
    pub fn load(sources: Vec<PluginSource>, clock: Clock) -> Result<Self, PluginError> {
        let plugins = Self::empty(clock, CodeFolder::Nowhere);
        for source in sources {
            if plugins.get(&source.name).is_some() {
                return Err(PluginError::Duplicate { name: source.name });
            }
            plugins.replace(source)?;
        }
        Ok(plugins)
    }

    /// No plugins, and neither threads nor memory for any. Those that will be loaded have their
    /// compiled code kept in the folder.
    pub fn none(code: CodeFolder) -> Self {
        Self::empty(Clock::system(), code)
    }

    fn empty(clock: Clock, code: CodeFolder) -> Self {
        let loaded = ArcSwap::from_pointee(Vec::new());
        let (view, machinery) = (look_ups::View::default(), Mutex::new(None));
        Self { shared: Arc::new(Shared { clock, code, view, loaded, machinery }) }
    }

    /// Lets guests look up what is cached, from now on; the first time counts. Until then they find
    /// nothing.
    pub fn look_in(&self, look_up: LookUp) {
        let _ = self.shared.view.set(look_up);
    }

    /// The current version of the plugin of this name.
    pub fn get(&self, name: &str) -> Option<Arc<Plugin>> {
        self.versions(name).map(|versions| versions.current())
    }

    /// The current version of every plugin, in the order in which they were configured.
    pub fn list(&self) -> Vec<Arc<Plugin>> {
        self.all().iter().map(|versions| versions.current()).collect()
    }

    /// The versions of the plugin of this name.
    pub fn versions(&self, name: &str) -> Option<Arc<Versions>> {
        let loaded = self.shared.loaded.load();
        loaded.iter().find(|versions| versions.name() == name).map(Arc::clone)
    }

    /// The versions of every plugin, in the order in which they were configured.
    pub fn all(&self) -> Arc<Vec<Arc<Versions>>> {
        self.shared.loaded.load_full()
    }

    /// The versions of the plugin of this name that there are now.
    pub fn snapshot(&self, name: &str) -> Option<Snapshot> {
        let now_ms = self.shared.clock.now_ms();
        self.versions(name).map(|versions| versions.snapshot(now_ms))
    }

    /// Compiles a version, configures it, has it describe itself, and asks it about the smoke
    /// cases. Blocking; nothing is replaced yet.
    ///
    /// # Errors
    /// Why the version can't be used.
    pub fn prepare(
        &self,
        source: &PluginSource,
        cases: &[SmokeCase],
    ) -> Result<Prepared, PluginError> {
        let mut machinery = self.shared.machinery.lock();
        let running = match &mut *machinery {
            Some(running) => running,
            none => none.insert(Machinery::start(&self.shared.code)?),
        };
        let old = self.get(&source.name);
        let counters = old.map(|plugin| plugin.counters()).unwrap_or_default();
        let Machinery { machine, workers } = running;
        let clock = self.shared.clock.clone();
        let owner = Arc::downgrade(&self.shared);
        let new = Plugin::load(machine, workers, source, counters, clock, owner)?;
        smoke::run(&new, cases)?;
        Ok(Prepared(new))
    }

    /// Puts a version in the place of the plugin of its name, or adds the plugin as the last. Calls
    /// under way end on the old version, which is kept for [`Self::rollback`].
    pub fn publish(&self, prepared: Prepared) {
        let _changing = self.shared.machinery.lock();
        let Prepared(new) = prepared;
        match self.versions(new.name()) {
            Some(versions) => versions.replace(new, self.shared.clock.now_ms()),
            None => {
                let mut loaded = self.shared.loaded.load().to_vec();
                loaded.push(Arc::new(Versions::new(new)));
                self.shared.loaded.store(Arc::new(loaded));
            }
        }
    }

    /// [`Self::prepare`] without cases, and [`Self::publish`].
    ///
    /// # Errors
    /// Why the new version can't be loaded; the old one stays.
    pub fn replace(&self, source: PluginSource) -> Result<(), PluginError> {
        self.publish(self.prepare(&source, &[])?);
        Ok(())
    }

    /// Puts the version before the last replacement back, which the caller has seen as
    /// [`Versions::previous`]; done twice, it goes forth again.
    ///
    /// # Errors
    /// There is no such plugin, or the version before fails. Or it is another one by now, because
    /// it took over by itself from one that fails.
    pub fn rollback(&self, name: &str, previous: &Arc<Plugin>) -> Result<(), PluginError> {
        let _changing = self.shared.machinery.lock();
        let not_loaded = || PluginError::NotLoaded { name: name.to_owned() };
        let versions = self.versions(name).ok_or_else(not_loaded)?;
        match versions.roll_back(previous, self.shared.clock.now_ms()) {
            true => Ok(()),
            false => Err(versions.previous_fails()),
        }
    }

    /// Lets go of replaced versions whose time is over.
    pub fn forget(&self) {
        // While a version is made, the next time does.
        let Some(_changing) = self.shared.machinery.try_lock() else { return };
        let now_ms = self.shared.clock.now_ms();
        self.all().iter().for_each(|versions| versions.forget(now_ms));
    }
}

impl Shared {
    /// Has the version before decide in the place of one that failed too often; `None` where it is
    /// not the current one, or none is before it that works and is still asked about events.
    fn fall_back(&self, failed: &Arc<plugin::Core>) -> Option<Arc<Plugin>> {
        let now_ms = self.clock.now_ms();
        self.loaded.load().iter().find_map(|versions| versions.fall_back(failed, now_ms))
    }
}
