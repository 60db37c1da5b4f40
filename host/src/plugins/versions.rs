//! The versions of one plugin: the current one, the one before, and those whose entries may still
//! be kept.
//!
//! # Invariants
//! - Asking for the current version takes no lock.
//! - A version that was current is asked about events for [`RETIRED_MS`] more: what was stored
//!   under it was tagged by it.
//! - A version that is current is never among the retired.
//! - A version decides again by itself only while it is still asked about events: what was stored
//!   under it since would have missed them.
//! - What items a version decided about is known for that time, also after it was let go.
//! - A version is not given up before that unless what was stored under it has been ended, and
//!   nothing is stored under it from then on ([`Versions::surplus`]).
//!
//! # Not here
//! Loading: [`super::Plugins`]. What becomes of entries under another key epoch: the app.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;

use super::error::PluginError;
use super::plugin::{Core, Plugin};

/// For how long a version that was replaced is still asked about events, milliseconds: a day. What
/// lives longer is for the new version's invalidator alone, which has the same key epoch.
const RETIRED_MS: u64 = 24 * 60 * 60 * 1000;

/// Versions that are asked beside the current one for long; each costs a call per event.
const RETIRED_MAX: usize = 3;

/// Most prefixes of versions that were let go; every stored item is compared with each. More are
/// taken for one with which all keys begin.
const LET_GO_MAX: usize = 256;

/// One plugin, whichever version of it is current.
pub struct Versions {
    name: String,
    held: ArcSwap<Held>,
    /// The hash of what a restart would load.
    stored_sha256: Mutex<String>,
    /// Why the last version that was offered is not the current one.
    last_error: Mutex<Option<String>>,
    /// Versions that were offered and refused.
    refused: Counter,
}

/// Which versions there are at one moment.
#[derive(Clone)]
pub struct Snapshot {
    /// The version that decides.
    pub current: Arc<Plugin>,
    /// Those that were replaced and whose entries may still be kept, the newest first.
    pub retired: Vec<Arc<Plugin>>,
    /// How many versions have decided until now, one that came back counted again.
    pub published: u64,
}

impl Snapshot {
    /// All of them, the current one last.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Plugin>> {
        self.retired.iter().chain([&self.current])
    }
}

#[derive(Clone)]
struct Held {
    current: Arc<Plugin>,
    previous: Option<Arc<Plugin>>,
    /// The newest first.
    retired: Vec<Retired>,
    /// No prefix twice; [`LET_GO_MAX`] at most.
    let_go: Vec<LetGo>,
    published: u64,
}

#[derive(Clone)]
struct Retired {
    plugin: Arc<Plugin>,
    until_ms: u64,
}

/// Of a version that is not asked any more before its time is over.
#[derive(Clone)]
struct LetGo {
    /// How keys of items begin about which it decided.
    item_prefix: String,
    until_ms: u64,
}

impl Versions {
    pub(super) fn new(first: Plugin) -> Self {
        let name = first.name().to_owned();
        let stored_sha256 = Mutex::new(first.sha256().to_owned());
        let current = Arc::new(first);
        let held =
            Held { current, previous: None, retired: Vec::new(), let_go: Vec::new(), published: 1 };
        let held = ArcSwap::from_pointee(held);
        let (last_error, refused) = (Mutex::new(None), Counter::default());
        Self { name, held, stored_sha256, last_error, refused }
    }

    /// The operator's name of the plugin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version that decides now. Who asks more than once about one thing keeps it.
    pub fn current(&self) -> Arc<Plugin> {
        Arc::clone(&self.held.load().current)
    }

    /// The version that decides now, and how many have decided until now, one that came back
    /// counted again.
    pub fn deciding(&self) -> (Arc<Plugin>, u64) {
        let held = self.held.load();
        (Arc::clone(&held.current), held.published)
    }

    /// Whether the current version decides about the item of this key, or one did that was replaced
    /// less than a day ago, whatever became of it.
    pub fn concerns(&self, key: &[u8]) -> bool {
        let held = self.held.load();
        held.current.declares(key)
            || held.retired.iter().any(|retired| retired.plugin.declares(key))
            || held.let_go.iter().any(|gone| key.starts_with(gone.item_prefix.as_bytes()))
    }

    /// The version that [`super::Plugins::rollback`] would bring back.
    pub fn previous(&self) -> Option<Arc<Plugin>> {
        self.held.load().previous.clone()
    }

    /// Why there is no way back to a version that failed: which one decides instead.
    pub fn previous_fails(&self) -> PluginError {
        let current = self.current();
        PluginError::PreviousFails {
            name: self.name.clone(),
            version: current.version().to_owned(),
            sha256: current.sha256().to_owned(),
        }
    }

    /// The current version, and those that were replaced before `now_ms` and whose entries may
    /// still be kept. All of one moment: what was current in between is in neither of two.
    pub fn snapshot(&self, now_ms: u64) -> Snapshot {
        let held = self.held.load();
        let asked = held.retired.iter().filter(|retired| retired.until_ms > now_ms);
        Snapshot {
            current: Arc::clone(&held.current),
            retired: asked.map(|retired| Arc::clone(&retired.plugin)).collect(),
            published: held.published,
        }
    }

    /// Replaced versions that are not worth to be asked for the rest of their time, because there
    /// are too many or because they fail. What was stored under them is to be ended, and then
    /// [`Self::let_go`] is to be called. Nothing more is stored under them already.
    pub fn surplus(&self) -> Vec<Arc<Plugin>> {
        let held = self.held.load();
        let retired = held.retired.iter().map(|retired| &retired.plugin).enumerate();
        let surplus = retired.filter(|(n, plugin)| *n >= RETIRED_MAX || plugin.is_degraded());
        let surplus: Vec<_> = surplus.map(|(_, plugin)| Arc::clone(plugin)).collect();
        surplus.iter().for_each(|plugin| plugin.give_up());
        surplus
    }

    /// Asks a version no more that was given up and is not the current one.
    pub fn let_go(&self, given_up: &Arc<Plugin>) {
        self.held.rcu(|old| {
            let mut held = Held::clone(old);
            let is_it = |retired: &&Retired| Arc::ptr_eq(&retired.plugin, given_up);
            if let Some(gone) = old.retired.iter().find(is_it) {
                held.retired.retain(|retired| !is_it(&retired));
                held.note_let_go(gone);
            }
            held
        });
    }

    /// The hash of the component that a restart would load, as far as it is known: what the file
    /// held when it was last read whole, or what ships with the server.
    pub fn stored_sha256(&self) -> String {
        self.stored_sha256.lock().clone()
    }

    /// Notes what the file holds now, which is nothing to complain about.
    pub fn note_stored(&self, sha256: String) {
        *self.stored_sha256.lock() = sha256;
        *self.last_error.lock() = None;
    }

    /// Why the last version that was offered was refused; `None` once another one was taken.
    pub fn last_error(&self) -> Option<String> {
        self.last_error.lock().clone()
    }

    /// How many versions were offered and refused.
    pub fn refused(&self) -> u64 {
        self.refused.get()
    }

    /// Remembers that a version was refused, and why.
    pub fn note_refused(&self, reason: String) {
        self.refused.inc();
        *self.last_error.lock() = Some(reason);
    }

    /// Has a new version decide from now on.
    pub(super) fn replace(&self, new: Plugin, now_ms: u64) {
        let new = Arc::new(new);
        // A version that fails may be fallen back from at any moment, also now.
        self.held.rcu(|old| old.followed_by(&new, now_ms));
        *self.last_error.lock() = None;
    }

    /// Has the version before decide again; `false` if that is not the expected one, or it fails.
    pub(super) fn roll_back(&self, expected: &Arc<Plugin>, now_ms: u64) -> bool {
        let is_wanted = |_: &Held, previous: &Arc<Plugin>| {
            Arc::ptr_eq(previous, expected) && !previous.is_degraded()
        };
        self.go_back(now_ms, is_wanted).is_some()
    }

    /// The same if the current version is this one, which has failed too often, and the one before
    /// works and has missed no event. Returns that one then.
    pub(super) fn fall_back(&self, failed: &Arc<Core>, now_ms: u64) -> Option<Arc<Plugin>> {
        self.go_back(now_ms, |held, previous| {
            held.current.is(failed) && !previous.is_degraded() && held.asks(previous, now_ms)
        })
    }

    fn go_back(
        &self,
        now_ms: u64,
        is_wanted: impl Fn(&Held, &Arc<Plugin>) -> bool,
    ) -> Option<Arc<Plugin>> {
        let mut back = None;
        self.held.rcu(|old| {
            let previous = old.previous.as_ref().filter(|one| is_wanted(old, one));
            back = previous.map(Arc::clone);
            match previous {
                Some(previous) => Arc::new(old.followed_by(previous, now_ms)),
                None => Arc::clone(old),
            }
        });
        if let Some(back) = &back {
            // Now, so that nobody gives it up again who has seen it among the replaced.
            back.take_back();
        }
        back
    }

    /// Lets go of the versions whose time is over.
    pub(super) fn forget(&self, now_ms: u64) {
        let is_over = |until_ms: u64| until_ms <= now_ms;
        let held = self.held.load();
        let is_retired_over = held.retired.iter().any(|retired| is_over(retired.until_ms));
        if is_retired_over || held.let_go.iter().any(|gone| is_over(gone.until_ms)) {
            self.held.rcu(|old| {
                let mut held = Held::clone(old);
                held.retired.retain(|retired| !is_over(retired.until_ms));
                held.let_go.retain(|gone| !is_over(gone.until_ms));
                held
            });
        }
    }
}

impl Held {
    /// Whether a version that was replaced is still asked about events, and will be.
    fn asks(&self, replaced: &Arc<Plugin>, now_ms: u64) -> bool {
        let is_it = |one: &Retired| Arc::ptr_eq(&one.plugin, replaced) && one.until_ms > now_ms;
        self.retired.iter().any(is_it) && !replaced.is_given_up()
    }

    /// This version in the place of the current one.
    fn followed_by(&self, current: &Arc<Plugin>, now_ms: u64) -> Self {
        let (current, previous) = (Arc::clone(current), Some(Arc::clone(&self.current)));
        let retired = retire(self, &current, now_ms);
        let let_go = self.let_go.clone();
        Self { current, previous, retired, let_go, published: self.published + 1 }
    }

    fn note_let_go(&mut self, gone: &Retired) {
        for item_prefix in gone.plugin.decides_about() {
            self.note_prefix(item_prefix.clone(), gone.until_ms);
        }
        if self.let_go.len() > LET_GO_MAX {
            // Too many to tell apart: whatever the key, one may have decided about it.
            let until_ms = self.let_go.iter().map(|one| one.until_ms).max().unwrap_or(0);
            self.let_go = vec![LetGo { item_prefix: String::new(), until_ms }];
        }
    }

    fn note_prefix(&mut self, item_prefix: String, until_ms: u64) {
        match self.let_go.iter_mut().find(|one| one.item_prefix == item_prefix) {
            Some(known) => known.until_ms = known.until_ms.max(until_ms),
            None => self.let_go.push(LetGo { item_prefix, until_ms }),
        }
    }
}

/// Who is asked beside `current` once it is: the one that was current, and those before it. The
/// same component twice would say the same twice.
fn retire(old: &Held, current: &Plugin, now_ms: u64) -> Vec<Retired> {
    let leaving =
        Retired { plugin: Arc::clone(&old.current), until_ms: now_ms.saturating_add(RETIRED_MS) };
    let left = leaving.plugin.sha256().to_owned();
    let before = old.retired.iter().filter(|retired| retired.plugin.sha256() != left).cloned();
    let all = std::iter::once(leaving.clone()).chain(before);
    let others = all.filter(|retired| retired.plugin.sha256() != current.sha256());
    others.filter(|retired| retired.until_ms > now_ms).collect()
}
