//! Warming up after a start: entries come back from the tier before they are asked for.
//!
//! # Invariants
//! - What comes back comes the way of a look-up, so the rule holds, and whoever asks for a key
//!   meanwhile shares that look-up.
//! - Nothing is evicted for it: it ends when memory is nearly full.
//! - Each key is looked up once, whether it comes by the order of the hottest or by its row.
//! - A database that does not answer is waited for: what it has comes back when it does.
//!
//! # Not here
//! Which entries were used most before the start: `hottest`.

use std::collections::HashSet;
use std::time::Duration;

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

/// Pause before the database is asked again for what it did not answer.
const RETRY_MS: u64 = 200;

/// How often something is asked of a database that answers all else.
const ATTEMPTS_MAX: u32 = 3;

/// What the hottest entry before the start counts for after it, in uses; the others of the order
/// count for less, by their places. Enough that they stay in order until they are used again, and
/// little against what is used.
const USES_BEFORE: u64 = 16;

/// What warming up is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WarmUpStage {
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
    stage: Mutex<WarmUpStage>,
    keys: AtomicU64,
    brought_back: AtomicU64,
}

/// How far warming up is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WarmUpStatus {
    /// What it is at.
    pub stage: WarmUpStage,
    /// Keys that have been looked at.
    pub keys: u64,
    /// Those of them that came into memory by it.
    pub brought_back: u64,
}

impl Cache {
    /// Brings entries back, those that were used most before the start first, then the last
    /// written, until there are no more or memory is nine tenths full.
    pub async fn warm_up(&self) {
        *self.shared.warm_up.stage.lock() = WarmUpStage::Warming;
        self.shared.store.count_uses();
        tracing::info!("warming up from the database tier");
        let outcome = self.bring_back().await;
        let keys = self.shared.warm_up.brought_back.load(Ordering::Relaxed);
        match outcome {
            Ok(()) => tracing::info!(keys, bytes = self.bytes(), "warmed up"),
            Err(error) => tracing::warn!(keys, %error, "warming up ended early"),
        }
        *self.shared.warm_up.stage.lock() = WarmUpStage::Warm;
    }

    /// How far warming up is.
    pub fn warm_up_status(&self) -> WarmUpStatus {
        let noted = &self.shared.warm_up;
        WarmUpStatus {
            stage: *noted.stage.lock(),
            keys: noted.keys.load(Ordering::Relaxed),
            brought_back: noted.brought_back.load(Ordering::Relaxed),
        }
    }

    async fn bring_back(&self) -> Result<(), TierError> {
        let Some(tier) = &self.shared.tier else { return Ok(()) };
        let hottest = self.bring_back_hottest(&**tier).await?;
        let mut before = i64::MAX;
        loop {
            let step = patiently(&**tier, || tier.latest(before, STEP_KEYS)).await?;
            let Some(last) = step.last() else { return Ok(()) };
            before = last.place;
            for placed in step.iter().filter(|placed| !hottest.contains(&placed.key)) {
                if self.is_nearly_full() {
                    return Ok(());
                }
                self.bring_back_key(&**tier, &placed.key).await?;
            }
        }
    }

    /// Returns the keys that need not be looked up again.
    async fn bring_back_hottest(
        &self,
        tier: &dyn Tier,
    ) -> Result<HashSet<Key, RandomState>, TierError> {
        let hottest = patiently(tier, || tier.hottest()).await?;
        for (place, key) in hottest.iter().enumerate() {
            if self.is_nearly_full() {
                break;
            }
            self.bring_back_key(tier, key).await?;
            let heat = heat_before(place, hottest.len());
            self.shared.store.add_heat(key.as_bytes(), heat);
        }
        Ok(hottest.into_iter().collect())
    }

    async fn bring_back_key(&self, tier: &dyn Tier, key: &Key) -> Result<(), TierError> {
        let progress = &self.shared.warm_up;
        if self.shared.store.look(key.as_bytes()).is_none() {
            match patiently(tier, || self.try_load(key.as_bytes())).await {
                Ok(loaded) if loaded.is_kept => {
                    progress.brought_back.fetch_add(1, Ordering::Relaxed);
                }
                // One that can't be read keeps no other one back.
                Ok(_) | Err(TierError::Database(_)) => {}
                Err(TierError::Closed) => return Err(TierError::Closed),
            }
        }
        progress.keys.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn is_nearly_full(&self) -> bool {
        self.bytes() >= self.memory_bytes() / 10 * FULL_TENTHS
    }
}

/// What the database answers, once it does: while it can't be written it is waited for, and a
/// failure of one that can may pass.
async fn patiently<T, F>(tier: &dyn Tier, mut ask: impl FnMut() -> F) -> Result<T, TierError>
where
    F: Future<Output = Result<T, TierError>>,
{
    let mut attempts = 0;
    loop {
        let error = match ask().await {
            Err(error @ TierError::Database(_)) => error,
            outcome => return outcome,
        };
        attempts += 1;
        loop {
            tokio::time::sleep(Duration::from_millis(RETRY_MS)).await;
            if tier.status().is_writing {
                break;
            }
            attempts = 0;
        }
        if attempts >= ATTEMPTS_MAX {
            return Err(error);
        }
    }
}

/// The heat that a place in an order of so many stands for.
fn heat_before(place: usize, length: usize) -> u32 {
    let (behind, length) = (length.saturating_sub(place) as u64, length as u64);
    let heat = (behind * USES_BEFORE * u64::from(HEAT_PER_USE)).checked_div(length);
    heat.and_then(|heat| u32::try_from(heat).ok()).unwrap_or(0)
}
