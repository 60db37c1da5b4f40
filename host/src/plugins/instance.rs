//! One instance of a plugin: its store, its limits, its deadline.
//!
//! # Invariants
//! - An instance that exists is configured.
//! - It gives way to a fresh one after so many calls, or once its memory has grown far: memory that
//!   a guest has grown never shrinks.
//! - Every entry into the guest has a deadline. A guest that reaches it is stopped once it has had
//!   [`OVERTIME_CPU_NS`] of a processor more: on a busy machine most of its time may have passed
//!   while it waited for one, and what it had to do takes microseconds.
//! - After an error of wasmtime the instance is poisoned
//!   for ever (component-model, "cannot enter component instance"), so whoever sees one drops it.
//!
//! # Not here
//! How instances are reused: `pool`. What answers may be: `convert`.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::RandomState;
use wasmtime::component::ResourceTable;
use wasmtime::{Error, Result, Store, StoreContextMut, Trap, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::PluginSource;
use super::bindings::exports::wasmcached::plugin::{invalidator, keyer, lifecycle, tagger};
use super::bindings::wasmcached::plugin::{log, types};
use super::component::Linked;
use super::engine::Fuel;
use super::error::CallError;
use super::limiter::Limiter;
use super::log::{Level, LogOutput, PluginLog, clip};
use super::look_ups::{LookUp, LookUps, View};
use crate::clock::{self, Clock};
use crate::model::Consulted;

/// Fewest calls of an instance, and how many more it may be at most: spread, so that instances made
/// together are not made anew together.
const CALLS_MIN: u32 = 80_000;
const CALLS_SPREAD: u32 = 40_000;

/// Streams, timers and errors that one instance may hold.
const RESOURCES_MAX: usize = 1_024;

/// Bytes of random numbers in one call.
const RANDOM_BYTES_MAX: u64 = 64 * 1024;

/// Bytes that one answer may take outside the guest's memory: its strings may overlap there, so the
/// guest's own limit does not bound it.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Time of a processor after the deadline, nanoseconds. The first call of an interpreter's instance
/// takes up to 0.7 ms, for pages of its memory that nobody has touched yet. Less than a tick, also
/// than one that comes early, so that a guest that loops on a machine that has nothing else to do
/// is stopped one tick after its deadline.
const OVERTIME_CPU_NS: u64 = 700_000;

/// What a guest in Python or JavaScript has mostly asked its library for where it traps.
const UNANSWERED: &str = "plugins have no clock, files, random numbers or threads";

/// What the host keeps for one instance.
pub(super) struct State {
    /// The thread's time of a processor when the call reached its deadline.
    overtime_since_ns: Option<u64>,
    limiter: Limiter,
    log: Arc<PluginLog>,
    pub(super) look_ups: LookUps,
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
    config: Vec<(String, String)>,
    memory_bytes_max: usize,
    /// Time for `configure`, and again for `describe`.
    start_ms_max: u64,
    log: Arc<PluginLog>,
    view: View,
    lives: Lives,
}

impl Recipe {
    /// For instances of the source's component.
    pub(super) fn new(linked: Linked, source: &PluginSource, clock: Clock, view: View) -> Self {
        let limits = &source.limits;
        Self {
            linked,
            config: source.config.clone(),
            memory_bytes_max: limits.memory_bytes_max,
            start_ms_max: limits.start_ms_max,
            log: Arc::new(PluginLog::new(&source.name, limits.log_lines_max, clock)),
            view,
            lives: Lives::default(),
        }
    }
}

/// How long each instance of a plugin lives.
#[derive(Default)]
pub(super) struct Lives {
    hasher: RandomState,
    given: AtomicU64,
}

impl Lives {
    /// The calls of the next instance.
    fn calls(&self) -> u32 {
        let n = self.given.fetch_add(1, Ordering::Relaxed);
        let spread = self.hasher.hash_one(n) % u64::from(CALLS_SPREAD + 1);
        CALLS_MIN + u32::try_from(spread).unwrap_or(CALLS_SPREAD)
    }
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
    calls_left: u32,
    /// The size of its memory at which it gives way to a fresh one.
    worn_memory_bytes: usize,
}

impl Instance {
    /// Instantiates and configures.
    pub(super) fn new(recipe: &Recipe) -> Result<Self, CallError> {
        let mut store = Store::new(recipe.linked.pre.engine(), recipe.state());
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(ANSWER_BYTES_MAX);
        store.epoch_deadline_callback(at_deadline);
        let ms = recipe.start_ms_max;
        give(&mut store, ms);
        let failed = |error| classify(&error, ms);
        if recipe.linked.fuel == Fuel::Counted {
            store.set_fuel(u64::MAX).map_err(failed)?;
        }
        let mut instance = Self::load(recipe, store).map_err(failed)?;
        let config: Vec<(&str, &str)> =
            recipe.config.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let answer = instance.lifecycle.call_configure(&mut instance.store, &config);
        answer.map_err(failed)?.map_err(guest_error)?;
        let (first, max) = (instance.memory_bytes(), recipe.memory_bytes_max);
        // An interpreter may take most of its limit from the beginning.
        let half_way = first + max.saturating_sub(first) / 2;
        instance.worn_memory_bytes = half_way.max(max / 4 * 3);
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
        let (calls_left, worn_memory_bytes) = (recipe.lives.calls(), usize::MAX);
        Ok(Self { store, lifecycle, keyer, tagger, invalidator, calls_left, worn_memory_bytes })
    }

    /// Whether a fresh one should take its place.
    pub(super) fn is_worn(&self) -> bool {
        self.calls_left == 0 || self.memory_bytes() > self.worn_memory_bytes
    }

    /// Its largest memory.
    pub(super) fn memory_bytes(&self) -> usize {
        self.store.data().limiter.memory_bytes()
    }

    /// What is left of the fuel, where it is counted.
    pub(super) fn fuel_left(&self) -> Option<u64> {
        self.store.get_fuel().ok()
    }

    /// Gives the next call this many milliseconds.
    pub(super) fn begin_call(&mut self, ms: u64) {
        self.calls_left = self.calls_left.saturating_sub(1);
        give(&mut self.store, ms);
    }

    pub(super) fn describe(&mut self, ms: u64) -> Result<types::Manifest, CallError> {
        give(&mut self.store, ms);
        let answer = self.lifecycle.call_describe(&mut self.store);
        answer.map_err(|error| classify(&error, ms))?.map_err(guest_error)
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
    ) -> Answer<(types::Storage, Consulted)> {
        self.looking(|instance| match &instance.tagger {
            Some(tagger) => tagger.call_on_store(&mut instance.store, key, request, response),
            None => Err(Error::msg("no tagger")),
        })
    }

    pub(super) fn on_item(
        &mut self,
        key: &str,
        flags: u32,
        bytes: u32,
    ) -> Answer<(types::Storage, Consulted)> {
        self.looking(|instance| match &instance.tagger {
            Some(tagger) => tagger.call_on_item(&mut instance.store, key, flags, bytes),
            None => Err(Error::msg("no tagger")),
        })
    }

    pub(super) fn on_event(
        &mut self,
        event: types::Event<'_>,
    ) -> Answer<(Vec<types::Action>, Consulted)> {
        self.looking(|instance| match &instance.invalidator {
            Some(invalidator) => invalidator.call_on_event(&mut instance.store, event),
            None => Err(Error::msg("no invalidator")),
        })
    }

    /// A call that may look things up, and what it has looked at.
    fn looking<T>(&mut self, ask: impl FnOnce(&mut Self) -> Answer<T>) -> Answer<(T, Consulted)> {
        self.store.data_mut().look_ups.open();
        let answer = ask(self);
        let consulted = self.store.data_mut().look_ups.close();
        Ok(answer?.map(|answer| (answer, consulted)))
    }
}

impl Recipe {
    /// Has instances look up here; the first time counts.
    pub(super) fn look_in(&self, look_up: LookUp) {
        let _ = self.view.set(look_up);
    }

    fn state(&self) -> State {
        let output = |level| LogOutput { log: Arc::clone(&self.log), level };
        let wasi = WasiCtx::builder()
            .stdout(output(Level::Info))
            .stderr(output(Level::Warn))
            .max_random_size(RANDOM_BYTES_MAX)
            .build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES_MAX);
        let limiter = Limiter::new(self.memory_bytes_max);
        let (log, look_ups) = (Arc::clone(&self.log), LookUps::new(Arc::clone(&self.view)));
        State { overtime_since_ns: None, limiter, log, look_ups, table, wasi }
    }
}

/// Has the next call end after so many milliseconds, which are ticks of the epoch.
fn give(store: &mut Store<State>, ms: u64) {
    store.data_mut().overtime_since_ns = None;
    store.set_epoch_deadline(ms.max(1));
}

/// Asked by the guest's thread, inside the guest, at the deadline and at every tick after it.
fn at_deadline(mut store: StoreContextMut<'_, State>) -> Result<UpdateDeadline> {
    let now_ns = clock::thread_cpu_ns();
    let since_ns = *store.data_mut().overtime_since_ns.get_or_insert(now_ns);
    match now_ns.saturating_sub(since_ns) >= OVERTIME_CPU_NS {
        true => Ok(UpdateDeadline::Interrupt),
        false => Ok(UpdateDeadline::Continue(1)),
    }
}

/// What an error of wasmtime means to a caller who gave the guest `ms` milliseconds.
pub(super) fn classify(error: &Error, ms: u64) -> CallError {
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => CallError::Deadline { ms },
        Some(trap @ Trap::UnreachableCodeReached) => {
            CallError::Trap(format!("{trap}; {UNANSWERED}"))
        }
        _ => CallError::Trap(clip(&error.root_cause().to_string()).to_owned()),
    }
}

/// The guest's own words, no longer than a line of its log.
pub(super) fn guest_error(text: String) -> CallError {
    CallError::Guest(clip(&text).to_owned())
}
