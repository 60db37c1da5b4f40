//! Warming up after a start: entries come back from the tier before they are asked for.
//!
//! # Invariants
//! - What comes back comes the way of a look-up, so the rule holds, and whoever asks for a key
//!   meanwhile shares that look-up.
//! - Nothing is evicted for it: it ends when memory is nearly full.
//!
//! # Not here
//! Which entries were used most: the tier knows only which were written last.

use crate::sync::{AtomicU64, Mutex, Ordering};

use super::Cache;
use super::tier::TierError;

/// Keys that are asked for at once.
const STEP_KEYS: usize = 500;

/// Tenths of the budget up to which memory is filled.
const FULL_TENTHS: u64 = 9;

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Warmth {
    /// Nobody has asked for it: each entry comes when it is asked for.
    #[default]
    OnDemand,
    /// It goes on.
    Warming,
    /// It has ended.
    Warm,
}

/// Where it notes how far it is.
#[derive(Debug, Default)]
pub(super) struct WarmUp {
    warmth: Mutex<Warmth>,
    keys: AtomicU64,
}

impl Cache {
    /// Brings entries back, the last written first, until there are no more or memory is nine
    /// tenths full.
    pub async fn warm_up(&self) {
        *self.shared.warm_up.warmth.lock() = Warmth::Warming;
        tracing::info!("warming up from the database tier");
        let keys_before = self.len();
        match self.bring_back().await {
            Ok(()) => {
                let keys = self.len().saturating_sub(keys_before);
                tracing::info!(keys, bytes = self.bytes(), "warmed up");
            }
            Err(error) => tracing::warn!(%error, "warming up ended early"),
        }
        *self.shared.warm_up.warmth.lock() = Warmth::Warm;
    }

    /// How far warming up is, and how many keys have been looked at.
    pub fn warmth(&self) -> (Warmth, u64) {
        let progress = &self.shared.warm_up;
        let warmth = *progress.warmth.lock();
        (warmth, progress.keys.load(Ordering::Relaxed))
    }

    async fn bring_back(&self) -> Result<(), TierError> {
        let Some(tier) = &self.shared.tier else { return Ok(()) };
        let mut before = i64::MAX;
        loop {
            let step = tier.latest(before, STEP_KEYS).await?;
            let Some(last) = step.last() else { return Ok(()) };
            before = last.place;
            for placed in &step {
                if self.bytes() >= self.memory_bytes() / 10 * FULL_TENTHS {
                    return Ok(());
                }
                if self.shared.store.get(placed.key.as_bytes()).is_none() {
                    self.load(placed.key.as_bytes()).await;
                }
                self.shared.warm_up.keys.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
