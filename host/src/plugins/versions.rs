//! The versions of one plugin: the current one, the one before, and those whose entries may still
//! be kept.
//!
//! # Invariants
//! - Asking for the current version takes no lock.
//! - A version that was current is asked about events for [`RETIRED_MS`] more: what was stored
//!   under it was tagged by it.
//! - A version that is current is never among the retired.
//!
//! # Not here
//! Loading: [`super::Plugins`]. What becomes of entries under another key epoch: the app.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;

use super::plugin::{Core, Plugin};

/// For how long a version that was replaced is still asked about events, milliseconds: a day. What
/// lives longer is for the new version's invalidator alone, which has the same key epoch.
const RETIRED_MS: u64 = 24 * 60 * 60 * 1000;

/// Versions that are asked beside the current one; each costs a call per event.
const RETIRED_MAX: usize = 3;

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

#[derive(Clone)]
struct Held {
    current: Arc<Plugin>,
    previous: Option<Arc<Plugin>>,
    /// The newest first.
    retired: Vec<Retired>,
}

#[derive(Clone)]
struct Retired {
    plugin: Arc<Plugin>,
    until_ms: u64,
}

impl Versions {
    pub(super) fn new(first: Plugin) -> Self {
        let name = first.name().to_owned();
        let stored_sha256 = Mutex::new(first.sha256().to_owned());
        let current = Arc::new(first);
        let held = ArcSwap::from_pointee(Held { current, previous: None, retired: Vec::new() });
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

    /// The version that [`super::Plugins::rollback`] would bring back.
    pub fn previous(&self) -> Option<Arc<Plugin>> {
        self.held.load().previous.clone()
    }

    /// Those that were replaced before `now_ms` and whose entries may still be kept, the newest
    /// first.
    pub fn retired(&self, now_ms: u64) -> Vec<Arc<Plugin>> {
        let held = self.held.load();
        let asked = held.retired.iter().filter(|retired| retired.until_ms > now_ms);
        asked.map(|retired| Arc::clone(&retired.plugin)).collect()
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

    /// Has the version before decide again; `false` where there is none.
    pub(super) fn roll_back(&self, now_ms: u64) -> bool {
        self.go_back(now_ms, |_, _| true).is_some()
    }

    /// The same if the current version is this one, which has failed too often, and the one before
    /// works. Returns that one then.
    pub(super) fn fall_back(&self, failed: &Arc<Core>, now_ms: u64) -> Option<Arc<Plugin>> {
        self.go_back(now_ms, |current, previous| current.is(failed) && !previous.is_degraded())
    }

    fn go_back(
        &self,
        now_ms: u64,
        is_wanted: impl Fn(&Plugin, &Plugin) -> bool,
    ) -> Option<Arc<Plugin>> {
        let mut back = None;
        self.held.rcu(|old| {
            let previous = old.previous.as_ref().filter(|one| is_wanted(&old.current, one));
            back = previous.map(Arc::clone);
            match previous {
                Some(previous) => Arc::new(old.followed_by(previous, now_ms)),
                None => Arc::clone(old),
            }
        });
        back
    }

    /// Lets go of the versions whose time is over.
    pub(super) fn forget(&self, now_ms: u64) {
        let is_over = |retired: &Retired| retired.until_ms <= now_ms;
        if self.held.load().retired.iter().any(is_over) {
            self.held.rcu(|old| {
                let mut held = Held::clone(old);
                held.retired.retain(|retired| !is_over(retired));
                held
            });
        }
    }
}

impl Held {
    /// This version in the place of the current one.
    fn followed_by(&self, current: &Arc<Plugin>, now_ms: u64) -> Self {
        let (current, previous) = (Arc::clone(current), Some(Arc::clone(&self.current)));
        let retired = retire(self, &current, now_ms);
        Self { current, previous, retired }
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
    others.filter(|retired| retired.until_ms > now_ms).take(RETIRED_MAX).collect()
}
