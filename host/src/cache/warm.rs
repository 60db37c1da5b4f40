//! Warming up after a start: entries come back from the tier before they are asked for.
//!
//! # Invariants
//! - What comes back comes the way of a look-up, so the rule holds, and whoever asks for a key
//!   meanwhile shares that look-up.
//! - Nothing is evicted for it: it ends when memory is nearly full.
//! - Each key is looked up once, whether it comes by the order of the hottest or by its row.
//!
//! # Not here
//! Which entries were used most before the start: `hottest`.

use std::collections::HashSet;

use foldhash::fast::RandomState;

use super::Cache;
use super::store::HEAT_PER_USE;
use super::tier::{Tier, TierError};
use crate::model::Key;
use crate::sync::{AtomicU64, Mutex, Ordering};

/// Keys that are asked for at once.
const STEP_KEYS: usize = 500;

/// Tenths of the budget up to which memory is filled.
const FULL_TENTHS: u64 = 9;

/// What the hottest entry before the start counts for after it, in uses; the others of the order
/// count for less, by their places. Enough that they stay in order until they are used again, and
/// little against what is used.
const USES_BEFORE: u64 = 16;

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
    /// Brings entries back, those that were used most before the start first, then the last
    /// written, until there are no more or memory is nine tenths full.
    pub async fn warm_up(&self) {
        *self.shared.warm_up.warmth.lock() = Warmth::Warming;
        self.shared.store.count_uses();
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
        let hottest = self.bring_back_hottest(&**tier).await?;
        let mut before = i64::MAX;
        loop {
            let step = tier.latest(before, STEP_KEYS).await?;
            let Some(last) = step.last() else { return Ok(()) };
            before = last.place;
            for placed in step.iter().filter(|placed| !hottest.contains(&placed.key)) {
                if self.is_nearly_full() {
                    return Ok(());
                }
                self.bring_back_key(&placed.key).await;
            }
        }
    }

    /// Returns the keys that need not be looked up again.
    async fn bring_back_hottest(
        &self,
        tier: &dyn Tier,
    ) -> Result<HashSet<Key, RandomState>, TierError> {
        let hottest = tier.hottest().await?;
        for (place, key) in hottest.iter().enumerate() {
            if self.is_nearly_full() {
                break;
            }
            self.bring_back_key(key).await;
            let heat = heat_before(place, hottest.len());
            self.shared.store.add_heat(key.as_bytes(), heat);
        }
        Ok(hottest.into_iter().collect())
    }

    async fn bring_back_key(&self, key: &Key) {
        if self.shared.store.look(key.as_bytes()).is_none() {
            self.load(key.as_bytes()).await;
        }
        self.shared.warm_up.keys.fetch_add(1, Ordering::Relaxed);
    }

    fn is_nearly_full(&self) -> bool {
        self.bytes() >= self.memory_bytes() / 10 * FULL_TENTHS
    }
}

/// The heat that a place in an order of so many stands for.
fn heat_before(place: usize, length: usize) -> u32 {
    let (behind, length) = (length.saturating_sub(place) as u64, length as u64);
    let heat = (behind * USES_BEFORE * u64::from(HEAT_PER_USE)).checked_div(length);
    heat.and_then(|heat| u32::try_from(heat).ok()).unwrap_or(0)
}
