//! One version of one plugin, loaded: what it said about itself and how it is asked.
//!
//! # Invariants
//! - A version that exists has been compiled, configured and described; its facts never change.
//! - Whatever the guest does, a call ends near its deadline with an answer or a [`CallError`], and
//!   the next call finds a fresh instance.
//!
//! # Not here
//! Which version is current: [`super::Plugins`]. What an error leads to: the callers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use tokio::sync::oneshot;

use super::breaker::{Breaker, Change, Pass};
use super::complaints::Complaints;
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
    Action, Event, Input, Key, KeyDecision, PLUGIN_TAG_PREFIX, RequestView, ResponseView,
    StoreDecision, Tag,
};

/// A loaded plugin.
pub struct Plugin {
    core: Arc<Core>,
}

/// Which time the same thing is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    First,
    Again,
}

/// What jobs on other threads share with the plugin.
pub(super) struct Core {
    name: String,
    mark: String,
    tag: Option<Tag>,
    sha256: String,
    description: Description,
    limits: PluginLimits,
    has_keyer: bool,
    has_tagger: bool,
    has_invalidator: bool,
    pool: Pool,
    memo: Option<Memo>,
    breaker: Breaker,
    complaints: Complaints,
    is_given_up: AtomicBool,
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
        let mark = format!("{name}/{}", description.key_epoch);
        let core = Core {
            tag: tag_of_mark(&mark),
            mark,
            name,
            sha256,
            description,
            limits: source.limits.clone(),
            has_keyer,
            has_tagger,
            has_invalidator,
            pool,
            memo,
            breaker: Breaker::new(clock.clone()),
            complaints: Complaints::new(clock),
            is_given_up: AtomicBool::new(false),
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

    /// The tag of everything that was stored under its mark; `None` if the mark can't be in one.
    pub fn tag(&self) -> Option<&Tag> {
        self.core.tag.as_ref()
    }

    /// The request data that it wants to see, in the order of [`RequestView::inputs`].
    pub fn inputs(&self) -> &[Input] {
        &self.core.description.inputs
    }

    /// The beginnings of the keys of items for which `on_item` is to be asked.
    pub fn item_prefixes(&self) -> &[String] {
        &self.core.description.item_prefixes
    }

    /// Those of them about which it decides: none without a tagger.
    pub(super) fn decides_about(&self) -> &[String] {
        if self.has_tagger() { self.item_prefixes() } else { &[] }
    }

    /// Whether it decides about storing the item of this key.
    pub fn declares(&self, key: &[u8]) -> bool {
        self.decides_about().iter().any(|prefix| key.starts_with(prefix.as_bytes()))
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
        core.note(Hook::Key, &result);
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
            let (storage, consulted) =
                core.call(core.limits.store_ms_max, Attempt::First, |instance| {
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
            let (storage, consulted) =
                core.call(core.limits.store_ms_max, Attempt::First, |instance| {
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
        self.ask_event(event, Attempt::First).await
    }

    /// The same once more, after an error: on a fresh instance if that was a trap or the deadline.
    /// Another failure is the same one to whether the plugin is asked further.
    ///
    /// # Errors
    /// As [`Self::on_event`].
    pub async fn on_event_again(&self, event: &Event) -> Result<Vec<Action>, CallError> {
        self.ask_event(event, Attempt::Again).await
    }

    async fn ask_event(&self, event: &Event, attempt: Attempt) -> Result<Vec<Action>, CallError> {
        if !self.core.has_invalidator {
            return Err(CallError::NotExported);
        }
        let event = event.clone();
        let ask = move |core: &Arc<Core>| {
            let fields = convert::borrow_fields(&event);
            let event = convert::event(&event, &fields);
            let ms = core.limits.event_ms_max;
            let (actions, consulted) =
                core.call(ms, attempt, |instance| instance.on_event(event))?;
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

    /// Whether nothing is to be stored any more by its decisions: events are not shown to it. Asked
    /// after the decision: what was decided before it was given up is ended by its tag.
    pub fn is_given_up(&self) -> bool {
        self.core.is_given_up.load(Ordering::SeqCst)
    }

    pub(super) fn give_up(&self) {
        self.core.is_given_up.store(true, Ordering::SeqCst);
    }

    pub(super) fn take_back(&self) {
        self.core.is_given_up.store(false, Ordering::SeqCst);
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
            // Whoever is gone is not to keep those waiting who are there.
            if answer.is_closed() {
                return;
            }
            let result = ask(&core);
            // Here, where every call comes by, whoever goes meanwhile.
            core.note(hook, &result);
            let _ = answer.send(result);
        };
        let queued = match hook {
            Hook::Event => self.core.workers.event(job),
            Hook::Key | Hook::Store | Hook::Item => self.core.workers.store(job),
        };
        let unasked = match queued {
            Err(Full) => Err(CallError::Busy),
            Ok(()) => match answered.await {
                Ok(result) => return result,
                Err(_) => Err(CallError::Trap("the host gave up on the call".to_owned())),
            },
        };
        self.core.note(hook, &unasked);
        unasked
    }
}

impl Core {
    fn ask_key(self: &Arc<Self>, request: &RequestView, ms: u64) -> Result<KeyDecision, CallError> {
        let inputs = convert::borrow_inputs(request);
        let view = convert::request(request, &inputs);
        let key = self.call(ms, Attempt::First, |instance| instance.cache_key(view))?;
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

    /// Counts a call, and complains of one that went wrong.
    fn note<T>(&self, hook: Hook, result: &Result<T, CallError>) {
        self.counters.count(hook, result);
        let Err(error) = result else { return };
        if let Some(untold) = self.complaints.next() {
            let (plugin, version) = (&self.name, &self.description.version);
            tracing::warn!(plugin, version, hook = hook.as_str(), %error, untold, "plugin failed");
        }
    }

    fn call<T>(
        self: &Arc<Self>,
        ms: u64,
        attempt: Attempt,
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
        let change = match (attempt, pass) {
            (Attempt::Again, Pass::Usual) => Change::None,
            (Attempt::First, _) | (_, Pass::Probe) => self.breaker.note(pass, &result),
        };
        match change {
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

/// The tag of everything that was stored under a mark; `None` if it can't be in a tag.
pub fn tag_of_mark(mark: &str) -> Option<Tag> {
    Tag::new(&format!("{PLUGIN_TAG_PREFIX}{mark}")).ok()
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
