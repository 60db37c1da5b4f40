//! The memory: entries, the fence, fills, the byte budget and expiry.
//!
//! # Invariants
//! - An entry is never returned without passing the fence and the clock.
//! - Every change of a key happens under its stripe; the fence is asked there again before a fill
//!   is kept, so a removal either refuses the fill or removes what it stored.
//! - Lock order: `order`, then a stripe, then whatever `store` and `fence` take inside.
//! - No lock is held across an await.
//!
//! # Not here
//! SQL and Wasm. No protocol is spoken here: of HTTP the cache knows what `model::PageHead` says,
//! of memcached the marks in `bits`. What lies below is behind the [`tier::Tier`] trait.

mod affected;
mod bits;
mod budget;
mod entry;
mod fence;
mod fill;
mod filling;
mod flights;
mod flushes;
mod history;
mod hottest;
mod inspect;
mod intents;
mod invalidate;
mod item_policy;
mod judge;
mod read;
mod stats;
mod store;
mod sweep;
pub mod tier;
mod update;
mod warm;

#[cfg(test)]
mod model_test;
#[cfg(test)]
mod race_test;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tier_race_test;

use crate::sync::{AtomicU64, Ordering};
use std::hash::BuildHasher;
use std::sync::Arc;

use crate::sync::{Mutex, MutexGuard};
use foldhash::fast::RandomState;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::limits::INTENT_MS_MAX;
use crate::model::{Intent, Sequence};
use fence::{Fence, cells_max};
use filling::Stripe;
use history::History;
use store::{Slot, Store};
use tier::IntentRow;

pub use affected::Affected;
pub use bits::Bits;
pub use entry::Entry;
pub use fence::{Claim, FenceFull, Verdict};
pub use fill::{Pending, Refusal};
pub use filling::Filling;
pub use flights::{Flights, Landing, Lease, Progress, Role, Waiter};
pub use inspect::{Death, Explanation, Listed, Listing};
pub use invalidate::{Applied, Counted, InvalidateError};
pub use item_policy::{ItemError, ItemPolicy};
pub use read::Sight;
pub use stats::Stats;
pub use store::{EvictionObserver, Evictions};
pub use sweep::Swept;
pub use update::{Basis, Cas, Change, Draft, Revision, UpdateError};
pub use warm::{WarmUpStage, WarmUpStatus};

/// Locks over the keys; two clients seldom change keys of the same stripe.
const STRIPES: usize = 1024;

/// What to do when the budget is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenFull {
    /// Evict what has not been used lately (`store::shard`).
    #[default]
    Evict,
    /// Refuse the newcomer (`--no-evict`, memcached's `-M`).
    Refuse,
}

/// The operator's choices for the memory.
#[derive(Debug, Clone)]
pub struct CacheConfig {
    /// Resident bytes that entries may take at the start; see [`Cache::memory_bytes`].
    pub memory_bytes: u64,
    /// Largest value.
    pub item_bytes_max: usize,
    /// What happens when it is full.
    pub when_full: WhenFull,
}

/// What the tier brought back from before the start.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Raised at every start; 0 without a tier.
    pub epoch: u32,
    /// Invalidations that rows of the tier may be older than.
    pub fence: Vec<tier::FenceRow>,
    /// The highest number that each source has given to an event that was made durable.
    pub numbers: Vec<(String, u64)>,
    /// Intents that had not ended, whatever their time.
    pub intents: Vec<tier::IntentRow>,
    /// When everything was to become wrong, milliseconds since 1970: [`Cache::flush`] is due then.
    pub flush_due_ms: Option<u64>,
}

/// The cache; clones share one memory.
#[derive(Clone)]
pub struct Cache {
    shared: Arc<Shared>,
}

/// What all clones share.
struct Shared {
    config: CacheConfig,
    memory_bytes: AtomicU64,
    clock: Clock,
    store: Store,
    fence: Fence,
    stripes: Box<[Mutex<Stripe>]>,
    stripe_hasher: RandomState,
    /// The last sequence given out.
    order: Mutex<Sequence>,
    cas: AtomicU64,
    tier: Option<Arc<dyn tier::Tier>>,
    /// Look-ups in the tier under way.
    loads: Flights<Slot>,
    history: History,
    stats: Stats,
    warm_up: warm::WarmUp,
    /// Up to which sequence the tier was told that what is older can't be judged.
    forgotten_below: AtomicU64,
    /// Told when an intent begins.
    intent_announced: Notify,
    /// Told when many entries may have died at once.
    sweep_wanted: Notify,
    /// Told when so much may have died that it is worth a sweep at once.
    sweep_urgent: Notify,
}

impl Cache {
    /// An empty memory above an optional tier.
    pub fn new(
        config: CacheConfig,
        clock: Clock,
        tier: Option<Arc<dyn tier::Tier>>,
        mut recovered: Recovered,
    ) -> Self {
        let start = Sequence::start_of(recovered.epoch);
        let bytes_max = match config.when_full {
            WhenFull::Evict => config.memory_bytes,
            WhenFull::Refuse => u64::MAX,
        };
        let fence = Fence::new(start);
        fence.set_cells_max(cells_max(config.memory_bytes));
        // The oldest give way where there is no room for all.
        recovered.fence.sort_unstable_by_key(|row| std::cmp::Reverse(row.sequence));
        for row in &recovered.fence {
            fence.restore(&row.target, row.mode, row.sequence);
        }
        // By a clock that was set back since, it would seem to have longer.
        let until_ms_max = clock.now_ms().saturating_add(INTENT_MS_MAX);
        for IntentRow { intent, targets } in &recovered.intents {
            let until_ms = intent.until_ms.min(until_ms_max);
            fence.shut(&Intent { until_ms, ..intent.clone() }, targets.iter());
        }
        let shared = Arc::new(Shared {
            memory_bytes: AtomicU64::new(config.memory_bytes),
            store: Store::new(bytes_max),
            fence,
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            stripe_hasher: RandomState::default(),
            order: Mutex::new(start),
            // CAS uniques go on rising over restarts for the same reason as sequences do.
            cas: AtomicU64::new(start.as_u64()),
            tier,
            loads: Flights::default(),
            history: History::default(),
            stats: Stats::default(),
            warm_up: warm::WarmUp::default(),
            forgotten_below: AtomicU64::new(0),
            intent_announced: Notify::new(),
            sweep_wanted: Notify::new(),
            sweep_urgent: Notify::new(),
            config,
            clock,
        });
        if let Some(tier) = &shared.tier {
            let source: std::sync::Weak<Shared> = Arc::downgrade(&shared);
            tier.attach(source);
        }
        Self { shared }
    }

    /// The operator's choices.
    pub fn config(&self) -> &CacheConfig {
        &self.shared.config
    }

    /// The clock by which entries expire.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Counters.
    pub fn stats(&self) -> &Stats {
        &self.shared.stats
    }

    /// How the tier is; `None` without one.
    pub fn tier_status(&self) -> Option<tier::Status> {
        self.shared.tier.as_ref().map(|tier| tier.status())
    }

    /// Writes what the tier has queued and ends it.
    pub async fn close(&self) {
        if let Some(tier) = &self.shared.tier {
            if self.warm_up_status().stage == WarmUpStage::Warm {
                self.note_hottest().await;
            }
            tier.close().await;
        }
    }
}

impl Shared {
    fn stripe(&self, key: &[u8]) -> MutexGuard<'_, Stripe> {
        let index = self.stripe_hasher.hash_one(key) as usize % STRIPES;
        #[allow(clippy::indexing_slicing, reason = "the remainder is below the number of stripes")]
        self.stripes[index].lock()
    }

    /// Returns when every step that was under way under a stripe has ended.
    fn pass_stripes(&self) {
        self.stripes.iter().for_each(|stripe| drop(stripe.lock()));
    }

    fn next_cas(&self) -> u64 {
        self.cas.fetch_add(1, Ordering::Relaxed) + 1
    }
}
