//! A component on its author's workbench: opened, asked and measured outside of a server.
//!
//! # Invariants
//! - It goes the way that a server's plugin goes: the same checks, limits and conversions.
//! - Every answer of a [`Subject`] is computed, and its instance is shared with nobody.
//!
//! # Not here
//! What is asked, and what is made of the answers: the commands `plugin check`, `test` and `bench`.

use super::code_cache::{CodeFolder, CodeFrom};
use super::component::{self, Linked};
use super::convert::{self, Description};
use super::engine::{Fuel, Machine};
use super::error::{CallError, PluginError};
use super::instance::{Answer, Instance, Recipe, classify, guest_error};
use super::look_ups::{LookUp, View};
use super::memo::Memo;
use super::plugin::{configure_error, describe};
use super::{PluginLimits, PluginSource};
use crate::clock::Clock;
use crate::model::{
    Action, Event, Input, Key, KeyDecision, RequestView, ResponseView, StoreDecision,
};

/// A component that was compiled, configured and described.
pub struct Workbench {
    recipe: Recipe,
    description: Description,
    limits: PluginLimits,
}

impl Workbench {
    /// Opens the source's component; its compiled code is kept in the folder. Blocking: it
    /// compiles.
    ///
    /// # Errors
    /// Why a server would not load it.
    pub fn open(source: &PluginSource, code: &CodeFolder) -> Result<Self, PluginError> {
        Self::open_on(&Machine::start(Fuel::NotCounted, code)?, source)
    }

    /// The same with its instructions counted, which makes it slower.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_counting_fuel(
        source: &PluginSource,
        code: &CodeFolder,
    ) -> Result<Self, PluginError> {
        Self::open_on(&Machine::start(Fuel::Counted, code)?, source)
    }

    fn open_on(machine: &Machine, source: &PluginSource) -> Result<Self, PluginError> {
        let recipe = {
            let linked = component::link(machine, source)?;
            Recipe::new(linked, source, Clock::system(), View::default())
        };
        let name = &source.name;
        let mut first = Instance::new(&recipe).map_err(|error| configure_error(name, error))?;
        let description = describe(name, &mut first, source.limits.start_ms_max)?;
        Ok(Self { recipe, description, limits: source.limits.clone() })
    }

    /// The hash of the component, lower-case hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.recipe.linked.sha256
    }

    /// What it imports, each with its version.
    pub fn imports(&self) -> Vec<String> {
        let Linked { pre, .. } = &self.recipe.linked;
        let ty = pre.component().component_type();
        ty.imports(pre.engine()).map(|(name, _)| name.to_owned()).collect()
    }

    /// Its own version.
    pub fn version(&self) -> &str {
        &self.description.version
    }

    /// Raised when the meaning of its keys or tags changed.
    pub fn key_epoch(&self) -> u32 {
        self.description.key_epoch
    }

    /// The request data that it sees.
    pub fn inputs(&self) -> &[Input] {
        &self.description.inputs
    }

    /// The beginnings of the keys of items that it is asked about.
    pub fn item_prefixes(&self) -> &[String] {
        &self.description.item_prefixes
    }

    /// Whether it decides keys.
    pub fn has_keyer(&self) -> bool {
        self.recipe.linked.exports.keyer.is_some()
    }

    /// Whether it decides about storing.
    pub fn has_tagger(&self) -> bool {
        self.recipe.linked.exports.tagger.is_some()
    }

    /// Whether it acts on events.
    pub fn has_invalidator(&self) -> bool {
        self.recipe.linked.exports.invalidator.is_some()
    }

    /// Whether it was compiled just now.
    pub fn code_from(&self) -> CodeFrom {
        self.recipe.linked.code_from
    }

    /// A memory for its keys as a server has one; `None` where the plugin does not allow it.
    pub fn key_memory(&self) -> Option<KeyMemory> {
        (self.description.pure && self.has_keyer()).then(|| KeyMemory(Memo::new()))
    }

    /// Lets the component look things up, from now on; without this it finds nothing.
    pub fn look_in(&self, look_up: LookUp) {
        self.recipe.look_in(look_up);
    }

    /// A fresh instance.
    ///
    /// # Errors
    /// Whatever its `configure` answers.
    pub fn subject(&self) -> Result<Subject<'_>, CallError> {
        Ok(Subject { bench: self, instance: Some(Instance::new(&self.recipe)?) })
    }
}

/// Keys that were computed before.
pub struct KeyMemory(Memo);

impl KeyMemory {
    /// The key that this very request had, unless it is time to ask the guest again.
    pub fn get(&self, request: &RequestView) -> Option<KeyDecision> {
        self.0.get(request)
    }

    /// Remembers the guest's answer.
    pub fn put(&self, request: &RequestView, decision: &KeyDecision) {
        self.0.put(request, decision);
    }
}

/// One instance, asked by one caller. After a trap the next call gets a fresh one.
pub struct Subject<'a> {
    bench: &'a Workbench,
    instance: Option<Instance>,
}

impl Subject<'_> {
    /// The key of a request; the URL, of a plugin that has no say in keys.
    ///
    /// # Errors
    /// Those of the server.
    pub fn cache_key(&mut self, request: &RequestView) -> Result<KeyDecision, CallError> {
        if !self.bench.has_keyer() {
            return Ok(KeyDecision::Default);
        }
        let inputs = convert::borrow_inputs(request);
        let view = convert::request(request, &inputs);
        let ms = self.bench.limits.key_ms_max;
        let key = self.ask(ms, |instance| instance.cache_key(view))?;
        convert::key_decision(key, &self.bench.limits)
    }

    /// What to do with a response that is about to be stored under `key`.
    ///
    /// # Errors
    /// Those of the server.
    pub fn on_store(
        &mut self,
        key: &str,
        request: &RequestView,
        response: &ResponseView,
    ) -> Result<StoreDecision, CallError> {
        if !self.bench.has_tagger() {
            return Err(CallError::NotExported);
        }
        let inputs = convert::borrow_inputs(request);
        let headers = convert::borrow_headers(response);
        let request = convert::request(request, &inputs);
        let response = convert::response(response, &headers);
        let ms = self.bench.limits.store_ms_max;
        let (storage, consulted) = self.ask(ms, |i| i.on_store(key, request, response))?;
        convert::store_decision(storage, &consulted, &self.bench.limits)
    }

    /// What to do with an item that is about to be stored under `key`.
    ///
    /// # Errors
    /// Those of the server.
    pub fn on_item(
        &mut self,
        key: &Key,
        flags: u32,
        body_bytes: u32,
    ) -> Result<StoreDecision, CallError> {
        if !self.bench.has_tagger() {
            return Err(CallError::NotExported);
        }
        let (key, ms) = (key.to_text(), self.bench.limits.store_ms_max);
        let (storage, consulted) = self.ask(ms, |i| i.on_item(&key, flags, body_bytes))?;
        convert::store_decision(storage, &consulted, &self.bench.limits)
    }

    /// What to do about an event.
    ///
    /// # Errors
    /// Those of the server.
    pub fn on_event(&mut self, event: &Event) -> Result<Vec<Action>, CallError> {
        if !self.bench.has_invalidator() {
            return Err(CallError::NotExported);
        }
        let fields = convert::borrow_fields(event);
        let event = convert::event(event, &fields);
        let limits = &self.bench.limits;
        let (actions, consulted) = self.ask(limits.event_ms_max, |i| i.on_event(event))?;
        convert::actions(actions, consulted, limits)
    }

    /// The largest memory of the instance in bytes; 0 after a trap.
    pub fn memory_bytes(&self) -> usize {
        self.instance.as_ref().map_or(0, Instance::memory_bytes)
    }

    /// Fuel that the instance has left: about one for each instruction of Wasm. `None` unless it is
    /// counted.
    pub fn fuel_left(&self) -> Option<u64> {
        self.instance.as_ref().and_then(Instance::fuel_left)
    }

    fn ask<T>(
        &mut self,
        ms: u64,
        ask: impl FnOnce(&mut Instance) -> Answer<T>,
    ) -> Result<T, CallError> {
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => Instance::new(&self.bench.recipe)?,
        };
        instance.begin_call(ms);
        let answer = ask(&mut instance).map_err(|error| classify(&error, ms))?;
        self.instance = Some(instance);
        answer.map_err(guest_error)
    }
}
