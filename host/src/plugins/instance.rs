//! One instance of a plugin: its store, its limits, its deadline.
//!
//! # Invariants
//! - An instance that exists is configured.
//! - Every entry into the guest has a deadline. After an error of wasmtime the instance is poisoned
//!   for ever (component-model, "cannot enter component instance"), so whoever sees one drops it.
//!
//! # Not here
//! How instances are reused: `pool`. What answers may be: `convert`.

use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime::{Error, Result, Store, StoreLimitsBuilder, Trap};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::bindings::exports::wasmcached::plugin::{invalidator, keyer, lifecycle, tagger};
use super::bindings::wasmcached::plugin::{log, types};
use super::component::Linked;
use super::engine::Fuel;
use super::error::CallError;
use super::log::{Level, LogOutput, PluginLog, clip};
use super::usage::Limits;

/// Time for `configure` and for `describe`.
const LIFECYCLE_MS_MAX: u64 = 5_000;

/// Streams, timers and errors that one instance may hold.
const RESOURCES_MAX: usize = 1_024;

/// Bytes of random numbers in one call.
const RANDOM_BYTES_MAX: u64 = 64 * 1024;

/// Bytes that one answer may take outside the guest's memory: its strings may overlap there, so the
/// guest's own limit does not bound it.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Parts that a component may be made of; an interpreter is made of three.
const CORE_INSTANCES_MAX: usize = 64;

/// Memories of one instance, each with the operator's limit; QuickJS needs three.
const MEMORIES_MAX: usize = 4;

/// Tables of one instance, and entries of each; CPython needs 6 000.
const TABLES_MAX: usize = 8;
const TABLE_ELEMENTS_MAX: usize = 100_000;

/// What the host keeps for one instance.
pub(super) struct State {
    limits: Limits,
    log: Arc<PluginLog>,
    table: ResourceTable,
    wasi: WasiCtx,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl log::Host for State {
    fn log(&mut self, level: log::Level, message: String) {
        let level = match level {
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warn => Level::Warn,
            log::Level::Error => Level::Error,
        };
        self.log.write(level, &message);
    }
}

/// What every instance of a plugin is made with.
pub(super) struct Recipe {
    pub(super) linked: Linked,
    pub(super) config: Vec<(String, String)>,
    pub(super) memory_bytes_max: usize,
    pub(super) log: Arc<PluginLog>,
}

/// A guest's answer: the outer error poisons the instance, the inner one is the guest's own.
pub(super) type Answer<T> = Result<Result<T, String>>;

/// A configured instance.
pub(super) struct Instance {
    store: Store<State>,
    lifecycle: lifecycle::Guest,
    keyer: Option<keyer::Guest>,
    tagger: Option<tagger::Guest>,
    invalidator: Option<invalidator::Guest>,
    calls: u32,
}

impl Instance {
    /// Instantiates and configures.
    pub(super) fn new(recipe: &Recipe) -> Result<Self, CallError> {
        let mut store = Store::new(recipe.linked.pre.engine(), recipe.state());
        store.limiter(|state| &mut state.limits);
        store.set_hostcall_fuel(ANSWER_BYTES_MAX);
        store.set_epoch_deadline(LIFECYCLE_MS_MAX);
        let failed = |error| classify(&error, LIFECYCLE_MS_MAX);
        if recipe.linked.fuel == Fuel::Counted {
            store.set_fuel(u64::MAX).map_err(failed)?;
        }
        let mut instance = Self::load(recipe, store).map_err(failed)?;
        let config: Vec<(&str, &str)> =
            recipe.config.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let answer = instance.lifecycle.call_configure(&mut instance.store, &config);
        answer.map_err(failed)?.map_err(guest_error)?;
        Ok(instance)
    }

    fn load(recipe: &Recipe, mut store: Store<State>) -> Result<Self> {
        let loaded = recipe.linked.pre.instantiate(&mut store)?;
        let exports = &recipe.linked.exports;
        let lifecycle = exports.lifecycle.load(&mut store, &loaded)?;
        let keyer = exports.keyer.as_ref().map(|k| k.load(&mut store, &loaded)).transpose()?;
        let tagger = exports.tagger.as_ref().map(|t| t.load(&mut store, &loaded)).transpose()?;
        let invalidator =
            exports.invalidator.as_ref().map(|i| i.load(&mut store, &loaded)).transpose()?;
        Ok(Self { store, lifecycle, keyer, tagger, invalidator, calls: 0 })
    }

    /// How many hooks it has answered.
    pub(super) fn calls(&self) -> u32 {
        self.calls
    }

    /// All its memories together.
    pub(super) fn memory_bytes(&self) -> usize {
        self.store.data().limits.memory_bytes()
    }

    /// What is left of the fuel, where it is counted.
    pub(super) fn fuel_left(&self) -> Option<u64> {
        self.store.get_fuel().ok()
    }

    /// Gives the next call this many milliseconds.
    pub(super) fn begin_call(&mut self, ms: u64) {
        self.calls = self.calls.saturating_add(1);
        self.store.set_epoch_deadline(ms.max(1));
    }

    pub(super) fn describe(&mut self) -> Result<types::Manifest, CallError> {
        self.store.set_epoch_deadline(LIFECYCLE_MS_MAX);
        let answer = self.lifecycle.call_describe(&mut self.store);
        answer.map_err(|error| classify(&error, LIFECYCLE_MS_MAX))?.map_err(guest_error)
    }

    pub(super) fn cache_key(&mut self, request: types::Request<'_>) -> Answer<types::Key> {
        match &self.keyer {
            Some(keyer) => keyer.call_cache_key(&mut self.store, request),
            None => Err(Error::msg("no keyer")),
        }
    }

    pub(super) fn on_store(
        &mut self,
        key: &str,
        request: types::Request<'_>,
        response: types::Response<'_>,
    ) -> Answer<types::Storage> {
        match &self.tagger {
            Some(tagger) => tagger.call_on_store(&mut self.store, key, request, response),
            None => Err(Error::msg("no tagger")),
        }
    }

    pub(super) fn on_item(&mut self, key: &str, flags: u32, bytes: u32) -> Answer<types::Storage> {
        match &self.tagger {
            Some(tagger) => tagger.call_on_item(&mut self.store, key, flags, bytes),
            None => Err(Error::msg("no tagger")),
        }
    }

    pub(super) fn on_event(&mut self, event: types::Event<'_>) -> Answer<Vec<types::Action>> {
        match &self.invalidator {
            Some(invalidator) => invalidator.call_on_event(&mut self.store, event),
            None => Err(Error::msg("no invalidator")),
        }
    }
}

impl Recipe {
    fn state(&self) -> State {
        let output = |level| LogOutput { log: Arc::clone(&self.log), level };
        let wasi = WasiCtx::builder()
            .stdout(output(Level::Info))
            .stderr(output(Level::Warn))
            .max_random_size(RANDOM_BYTES_MAX)
            .build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES_MAX);
        let limits = StoreLimitsBuilder::new()
            .memory_size(self.memory_bytes_max)
            .memories(MEMORIES_MAX)
            .tables(TABLES_MAX)
            .table_elements(TABLE_ELEMENTS_MAX)
            .instances(CORE_INSTANCES_MAX)
            .trap_on_grow_failure(true)
            .build();
        State { limits: Limits::new(limits), log: Arc::clone(&self.log), table, wasi }
    }
}

/// What an error of wasmtime means to a caller who gave the guest `ms` milliseconds.
pub(super) fn classify(error: &Error, ms: u64) -> CallError {
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => CallError::Deadline { ms },
        _ => CallError::Trap(clip(&error.root_cause().to_string()).to_owned()),
    }
}

/// The guest's own words, no longer than a line of its log.
pub(super) fn guest_error(text: String) -> CallError {
    CallError::Guest(clip(&text).to_owned())
}
