//! One version of one plugin, loaded: what it said about itself and how it is asked.
//!
//! # Invariants
//! - A version that exists has been compiled, configured and described; its facts never change.
//! - Whatever the guest does, a call ends near its deadline with an answer or a [`CallError`], and
//!   the next call finds a fresh instance.
//!
//! # Not here
//! Which version is current: [`super::Plugins`]. What an error leads to: the callers.

use std::sync::{Arc, Weak};

use tokio::sync::oneshot;

use super::breaker::{Breaker, Change};
use super::component::{self, Linked};
use super::convert::{self, Description};
use super::counters::{Counters, Hook, Incident, Outcome};
use super::engine::Machine;
use super::error::{CallError, PluginError};
use super::instance::{Answer, Instance, Recipe};
use super::memo::{Agreement, Memo};
use super::pool::{Pool, Refill};
use super::workers::{Full, Workers, parallelism};
use super::{PluginLimits, PluginSource, Shared};
use crate::clock::Clock;
use crate::model::{
    Action, Event, Input, Key, KeyDecision, RequestView, ResponseView, StoreDecision,
};

/// A loaded plugin.
pub struct Plugin {
    core: Arc<Core>,
}

/// What jobs on other threads share with the plugin.
pub(super) struct Core {
    name: String,
    mark: String,
    sha256: String,
    description: Description,
    limits: PluginLimits,
    has_keyer: bool,
    has_tagger: bool,
    has_invalidator: bool,
    pool: Pool,
    memo: Option<Memo>,
    breaker: Breaker,
    /// Who has the version before.
    owner: Weak<Shared>,
    counters: Arc<Counters>,
    workers: Arc<Workers>,
}

impl Plugin {
    /// Compiles, checks, configures and describes it, and makes its first instances. Blocking.
    pub(super) fn load(
        machine: &Machine,
        workers: &Arc<Workers>,
        source: &PluginSource,
        counters: Arc<Counters>,
        clock: Clock,
        owner: Weak<Shared>,
    ) -> Result<Self, PluginError> {
        let linked = component::link(machine, source)?;
        let Linked { sha256, exports, code_from, .. } = &linked;
        let (sha256, has_keyer) = (sha256.clone(), exports.keyer.is_some());
        let (has_tagger, has_invalidator) =
            (exports.tagger.is_some(), exports.invalidator.is_some());
        let view = owner.upgrade().map(|owner| Arc::clone(&owner.view)).unwrap_or_default();
        let name = source.name.clone();
        tracing::info!(plugin = name, code = %code_from, "component read");
        counters.note_code(*code_from);
        let recipe = Recipe::new(linked, source, clock.clone(), view);
        let mut first = Instance::new(&recipe).map_err(|error| configure_error(&name, error))?;
        let description = describe(&name, &mut first, source.limits.start_ms_max)?;
        let idle_max = 2 * parallelism();
        let pool = Pool::new(recipe, first, idle_max);
        for _ in 1..parallelism() {
            pool.refill().map_err(|error| configure_error(&name, error))?;
        }
        let memo = (description.pure && has_keyer).then(Memo::new);
        let core = Core {
            mark: format!("{name}/{}", description.key_epoch),
            name,
            sha256,
            description,
            limits: source.limits.clone(),
            has_keyer,
            has_tagger,
            has_invalidator,
            pool,
            memo,
            breaker: Breaker::new(clock),
            owner,
            counters,
            workers: Arc::clone(workers),
        };
        Ok(Self { core: Arc::new(core) })
    }

    /// The operator's name of it.
    pub fn name(&self) -> &str {
        &self.core.name
    }

    /// Its own version.
    pub fn version(&self) -> &str {
        &self.core.description.version
    }

    /// The hash of its component, lower-case hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.core.sha256
    }

    /// Raised when the meaning of its keys or tags changed.
    pub fn key_epoch(&self) -> u32 {
        self.core.description.key_epoch
    }

    /// What tells its entries from those of other plugins and of other epochs: `shop/3`.
    pub fn mark(&self) -> &str {
        &self.core.mark
    }

    /// The request data that it wants to see, in the order of [`RequestView::inputs`].
    pub fn inputs(&self) -> &[Input] {
        &self.core.description.inputs
    }

    /// The beginnings of the keys of items for which `on_item` is to be asked.
    pub fn item_prefixes(&self) -> &[String] {
        &self.core.description.item_prefixes
    }

    /// Whether it decides keys.
    pub fn has_keyer(&self) -> bool {
        self.core.has_keyer
    }

    /// Whether it decides about storing.
    pub fn has_tagger(&self) -> bool {
        self.core.has_tagger
    }

    /// Whether it acts on events.
    pub fn has_invalidator(&self) -> bool {
        self.core.has_invalidator
    }

    /// The key of a request. On the caller's thread, for `key_ms_max` at most.
    ///
    /// # Errors
    /// Any; the safe answer to all of them is to ask the origin and store nothing.
    pub fn cache_key(&self, request: &RequestView) -> Result<KeyDecision, CallError> {
        let core = &self.core;
        if !core.has_keyer {
            return Err(CallError::NotExported);
        }
        let result = match self.remembered_key(request) {
            Some(decision) => Ok(decision),
            None => core.ask_key(request, core.limits.key_ms_max),
        };
        core.counters.count(Hook::Key, &result);
        result
    }

    /// The key of a request that nobody waits for, within `ms` milliseconds; not counted.
    pub(super) fn try_key(&self, request: &RequestView, ms: u64) -> Result<KeyDecision, CallError> {
        match self.core.has_keyer {
            true => self.core.ask_key(request, ms),
            false => Ok(KeyDecision::Default),
        }
    }

    /// The key that this very request had before, if the plugin says that its keys depend on what
    /// it sees alone. Not counted until [`Self::note_remembered`].
    pub fn remembered_key(&self, request: &RequestView) -> Option<KeyDecision> {
        self.core.memo.as_ref()?.get(request)
    }

    /// Counts the use of a remembered key as a call.
    pub fn note_remembered(&self) {
        self.core.counters.count(Hook::Key, &Ok(()));
    }

    /// What to do with a response that is about to be stored under `key`.
    ///
    /// # Errors
    /// Any; the safe answer to all of them is to store nothing.
    pub async fn on_store(
        &self,
        key: &Key,
        request: &RequestView,
        response: &ResponseView,
    ) -> Result<StoreDecision, CallError> {
        if !self.core.has_tagger {
            return Err(CallError::NotExported);
        }
        let (key, request, response) = (key.to_text(), request.clone(), response.clone());
        let ask = move |core: &Arc<Core>| {
            let inputs = convert::borrow_inputs(&request);
            let headers = convert::borrow_headers(&response);
            let request = convert::request(&request, &inputs);
            let response = convert::response(&response, &headers);
            let (storage, consulted) = core.call(core.limits.store_ms_max, |instance| {
                instance.on_store(&key, request, response)
            })?;
            convert::store_decision(storage, &consulted, &core.limits)
        };
        self.elsewhere(Hook::Store, ask).await
    }

    /// What to do with an item that is about to be stored under `key`.
    ///
    /// # Errors
    /// As [`Self::on_store`].
    pub async fn on_item(
        &self,
        key: &Key,
        flags: u32,
        body_bytes: u32,
    ) -> Result<StoreDecision, CallError> {
        if !self.core.has_tagger {
            return Err(CallError::NotExported);
        }
        let key = key.to_text();
        let ask = move |core: &Arc<Core>| {
            let (storage, consulted) = core.call(core.limits.store_ms_max, |instance| {
                instance.on_item(&key, flags, body_bytes)
            })?;
            convert::store_decision(storage, &consulted, &core.limits)
        };
        self.elsewhere(Hook::Item, ask).await
    }

    /// What to do about an event.
    ///
    /// # Errors
    /// Any; [`CallError::Busy`] is for the sender to try again, the others need a purge that is
    /// certainly large enough.
    pub async fn on_event(&self, event: &Event) -> Result<Vec<Action>, CallError> {
        if !self.core.has_invalidator {
            return Err(CallError::NotExported);
        }
        let event = event.clone();
        let ask = move |core: &Arc<Core>| {
            let fields = convert::borrow_fields(&event);
            let event = convert::event(&event, &fields);
            let ms = core.limits.event_ms_max;
            let (actions, consulted) = core.call(ms, |instance| instance.on_event(event))?;
            convert::actions(actions, consulted, &core.limits)
        };
        self.elsewhere(Hook::Event, ask).await
    }

    /// Every hook and outcome with its count, since the server's start.
    pub fn calls(&self) -> Vec<(Hook, Outcome, u64)> {
        self.core.counters.calls()
    }

    /// What else happened to it, with its count, since the server's start.
    pub fn incidents(&self) -> Vec<(Incident, u64)> {
        self.core.counters.incidents()
    }

    /// How often it was compiled, and how often its code came from the folder of compiled code,
    /// since the server's start.
    pub fn compilations(&self) -> (u64, u64) {
        self.core.counters.codes()
    }

    /// Whether it failed so often that it is not asked for a while.
    pub fn is_degraded(&self) -> bool {
        self.core.breaker.is_open()
    }

    /// Whether this is that version.
    pub(super) fn is(&self, core: &Arc<Core>) -> bool {
        Arc::ptr_eq(&self.core, core)
    }

    pub(super) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.core.counters)
    }

    /// Asks on a thread of the plugins' own.
    async fn elsewhere<T: Send + 'static>(
        &self,
        hook: Hook,
        ask: impl FnOnce(&Arc<Core>) -> Result<T, CallError> + Send + 'static,
    ) -> Result<T, CallError> {
        let (answer, answered) = oneshot::channel();
        let core = Arc::clone(&self.core);
        let job = move || {
            // Nobody may be waiting any more; the answer is nobody's then.
            let _ = answer.send(ask(&core));
        };
        let queued = match hook {
            Hook::Event => self.core.workers.event(job),
            Hook::Key | Hook::Store | Hook::Item => self.core.workers.store(job),
        };
        let result = match queued {
            Err(Full) => Err(CallError::Busy),
            Ok(()) => answered.await.unwrap_or_else(|_| {
                Err(CallError::Trap("the host gave up on the call".to_owned()))
            }),
        };
        self.core.counters.count(hook, &result);
        result
    }
}

impl Core {
    fn ask_key(self: &Arc<Self>, request: &RequestView, ms: u64) -> Result<KeyDecision, CallError> {
        let inputs = convert::borrow_inputs(request);
        let view = convert::request(request, &inputs);
        let key = self.call(ms, |instance| instance.cache_key(view))?;
        let decision = convert::key_decision(key, &self.limits)?;
        let agreement = self.memo.as_ref().map(|memo| memo.put(request, &decision));
        if agreement == Some(Agreement::Differs) {
            self.counters.note(Incident::Impure);
            tracing::warn!(
                plugin = self.name,
                path = request.path,
                "two keys for one request, though it says it is pure; keys are not remembered"
            );
        }
        Ok(decision)
    }

    fn call<T>(
        self: &Arc<Self>,
        ms: u64,
        ask: impl FnOnce(&mut Instance) -> Answer<T>,
    ) -> Result<T, CallError> {
        let Some(pass) = self.breaker.admit() else { return Err(CallError::Degraded) };
        let (result, refill) = self.pool.call(ms, ask);
        if refill == Refill::Worn {
            self.counters.note(Incident::Recycled);
        }
        if refill != Refill::NotNeeded {
            let core = Arc::clone(self);
            let job = move || {
                if let Err(error) = core.pool.refill() {
                    tracing::error!(plugin = core.name, %error, "no fresh instance");
                }
            };
            // With a full queue the next caller makes its instance itself.
            let _ = self.workers.store(job);
        }
        match self.breaker.note(pass, &result) {
            Change::None => {}
            Change::Opened => self.degrade(),
            Change::Closed => tracing::info!(plugin = self.name, "the plugin works again"),
        }
        result
    }

    fn degrade(self: &Arc<Self>) {
        self.counters.note(Incident::Degraded);
        let version = &self.description.version;
        tracing::error!(plugin = self.name, version, "the plugin fails again and again");
        let previous = self.owner.upgrade().and_then(|owner| owner.fall_back(self));
        if let Some(previous) = previous {
            self.counters.note(Incident::RolledBack);
            let version = previous.version();
            tracing::warn!(plugin = self.name, version, "the version before took over");
        }
    }
}

pub(super) fn describe(
    name: &str,
    instance: &mut Instance,
    ms: u64,
) -> Result<Description, PluginError> {
    let wrong = |reason| PluginError::Describe { name: name.to_owned(), reason };
    let manifest = instance.describe(ms).map_err(|error| wrong(error.to_string()))?;
    convert::description(manifest).map_err(wrong)
}

pub(super) fn configure_error(name: &str, error: CallError) -> PluginError {
    let reason = match error {
        CallError::Guest(text) => text,
        other => other.to_string(),
    };
    PluginError::Configure { name: name.to_owned(), reason }
}
