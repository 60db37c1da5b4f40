//! Giving memory back: dead entries are reclaimed in the background, and the fence's rows after
//! them.

use std::time::Duration;

use super::fence::Verdict;
use super::read::Life;
use super::store::Slot;
use super::{Cache, Shared};
use crate::limits::FILL_MS_MAX;
use crate::model::Sequence;

/// Slots judged before other threads get a turn.
const SLOTS_PER_STEP: usize = 1_000;

/// Between two sweeps at least, however much is invalidated.
const PAUSE_MS: u64 = 1_000;

impl Cache {
    /// Sweeps for ever: soon after a wide invalidation, and at least once per longest fill. The
    /// owner ends it by dropping the future.
    pub async fn sweep_forever(&self) {
        let longest_fill = Duration::from_millis(FILL_MS_MAX);
        let mut horizons = Horizons::default();
        loop {
            tokio::time::sleep(Duration::from_millis(PAUSE_MS)).await;
            let _ = tokio::time::timeout(longest_fill, self.shared.sweep_wanted.notified()).await;
            let begun = self.claim().since;
            let swept = self.sweep().await;
            let now_ms = self.shared.clock.now_ms();
            if let Some(horizon) = horizons.after_sweep(begun, now_ms) {
                self.collect_fence(swept.bound(horizon));
            }
        }
    }

    /// Removes every entry that is expired or invalid.
    pub async fn sweep(&self) -> Swept {
        let mut swept = Swept::default();
        for number in 0..self.shared.store.shards() {
            for step in self.shared.store.shard_slots(number).chunks(SLOTS_PER_STEP) {
                self.shared.sweep_step(step, &mut swept);
                tokio::task::yield_now().await;
            }
        }
        swept
    }

    /// Drops rows of the fence up to `horizon`, as far as the tier allows.
    pub(crate) fn collect_fence(&self, horizon: Sequence) {
        let tier_oldest = self.shared.tier.as_ref().map(|tier| tier.oldest_birth());
        self.shared.fence.collect(tier_oldest.map_or(horizon, |oldest| oldest.min(horizon)));
    }
}

impl Shared {
    fn sweep_step(&self, slots: &[Slot], swept: &mut Swept) {
        for slot in slots {
            let mut is_any_over = false;
            for entry in slot.entries() {
                match self.life(slot.key(), entry) {
                    Life::Good(Verdict::Stale) => swept.note_stale(entry.birth().sequence()),
                    Life::Good(_) => {}
                    Life::Over => is_any_over = true,
                }
            }
            if is_any_over {
                swept.buried += self.bury(slot.key());
            }
        }
    }
}

/// What a sweep has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Entries removed.
    pub buried: usize,
    /// The smallest birth of an entry that was left because it is only softly purged.
    oldest_stale: Option<Sequence>,
}

impl Swept {
    fn note_stale(&mut self, birth: Sequence) {
        self.oldest_stale = Some(self.oldest_stale.map_or(birth, |oldest| oldest.min(birth)));
    }

    /// How far the fence's rows may go: a softly purged entry still needs the row that says so.
    pub(super) fn bound(self, horizon: Sequence) -> Sequence {
        self.oldest_stale.map_or(horizon, |oldest| oldest.min(horizon))
    }
}

/// Finds the watermark up to which rows may go: one at which a sweep began, so that every entry was
/// judged by it, at least one longest fill ago. Time only decides when to collect; whether a fill
/// may be kept is decided by sequences alone.
#[derive(Default)]
struct Horizons {
    waiting: Option<(Sequence, u64)>,
}

impl Horizons {
    fn after_sweep(&mut self, begun: Sequence, now_ms: u64) -> Option<Sequence> {
        match self.waiting {
            Some((horizon, since_ms)) if now_ms.saturating_sub(since_ms) >= FILL_MS_MAX => {
                self.waiting = Some((begun, now_ms));
                Some(horizon)
            }
            Some(_) => None,
            None => {
                self.waiting = Some((begun, now_ms));
                None
            }
        }
    }
}
