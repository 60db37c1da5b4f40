//! Giving memory back: dead entries are reclaimed in the background, and the fence's rows after
//! them.

use crate::sync::Ordering;
use std::sync::Arc;
use std::time::Duration;

use super::entry::Entry;
use super::fence::Verdict;
use super::read::Life;
use super::store::Slot;
use super::tier::{Record, Tier};
use super::{Cache, Shared};
use crate::limits::FILL_MS_MAX;
use crate::model::{Cause, Invalidation, Mode, Passage, Sequence, Target};

/// Slots judged before other threads get a turn: some 0.3 ms of work where all are to go.
const SLOTS_PER_STEP: usize = 256;

/// After a step that removed something, so that readers on the same processor notice little: some
/// 8 s for a million entries.
const STEP_PAUSE_MS: u64 = 1;

/// Between two sweeps, unless much was invalidated meanwhile.
const PAUSE_MS: u64 = 1_000;

/// Much is one part in so many of what memory holds. A sweep then gives back so much that looking
/// at everything is a small price per entry.
const MUCH_IS_ONE_IN: u64 = 16;

/// How much a sweep leaves to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// It goes on as soon as others had a turn.
    AtOnce,
    /// It pauses after every step that removed something.
    Gentle,
}

impl Cache {
    /// Sweeps for ever: soon after a wide invalidation, and at least once per longest fill. The
    /// owner ends it by dropping the future.
    pub async fn sweep_forever(&self) {
        let longest_fill = Duration::from_millis(FILL_MS_MAX);
        let mut horizons = Horizons::default();
        loop {
            let pause = Duration::from_millis(PAUSE_MS);
            let _ = tokio::time::timeout(pause, self.shared.sweep_urgent.notified()).await;
            let _ = tokio::time::timeout(longest_fill, self.shared.sweep_wanted.notified()).await;
            let begun = self.claim().since;
            let due = horizons.before_sweep(begun, self.shared.clock.now_ms());
            let horizon = due.map(|horizon| self.forget_up_to(horizon));
            let swept = self.sweep_at(Pace::Gentle).await;
            if let Some(horizon) = horizon {
                self.collect_fence(swept.bound(horizon));
            }
        }
    }

    /// Has a sweep begin soon.
    pub fn want_sweep(&self) {
        self.shared.sweep_wanted.notify_one();
    }

    /// Removes every entry that is expired or invalid.
    pub async fn sweep(&self) -> Swept {
        self.sweep_at(Pace::AtOnce).await
    }

    async fn sweep_at(&self, pace: Pace) -> Swept {
        self.shared.stats.sweeps.inc();
        let bytes_invalid = self.bytes_invalid();
        let mut swept = Swept::default();
        for number in 0..self.shared.store.shards() {
            for step in self.shared.store.shard_slots(number).chunks(SLOTS_PER_STEP) {
                let buried_before = swept.buried;
                self.shared.sweep_step(step, &mut swept);
                match pace {
                    Pace::Gentle if swept.buried > buried_before => {
                        tokio::time::sleep(Duration::from_millis(STEP_PAUSE_MS)).await;
                    }
                    Pace::Gentle | Pace::AtOnce => tokio::task::yield_now().await,
                }
            }
        }
        self.shared.fence.note_swept();
        // What has become useless during the sweep is the next one's.
        let stats = &self.shared.stats;
        let _ = stats.bytes_invalid.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bytes| {
            Some(bytes.saturating_sub(bytes_invalid))
        });
        let least_used_s = swept.least_used_s.unwrap_or(0);
        self.shared.stats.least_used_s.store(least_used_s, Ordering::Relaxed);
        swept
    }

    /// Resident bytes that wait for a sweep; an estimate.
    pub fn bytes_invalid(&self) -> u64 {
        self.shared.stats.bytes_invalid.load(Ordering::Relaxed)
    }

    /// Has nothing stored any more that is older than `horizon`, as far as the tier allows; returns
    /// how far that is. What a sweep finds from then on is all there is whose rows may go after it.
    pub(super) fn forget_up_to(&self, horizon: Sequence) -> Sequence {
        let fence = &self.shared.fence;
        let bound = match &self.shared.tier {
            None => horizon,
            Some(tier) => horizon.min(tier.oldest_birth().max(fence.forgotten())),
        };
        fence.forget(bound);
        // Who has asked before that has stored when its stripe is free.
        self.shared.pass_stripes();
        bound
    }

    /// Drops rows of the fence up to `horizon`, as far as the tier allows.
    pub(crate) fn collect_fence(&self, horizon: Sequence) {
        let fence = &self.shared.fence;
        let Some(tier) = &self.shared.tier else { return fence.collect(horizon) };
        let forgotten = fence.forgotten();
        if forgotten > tier.oldest_birth() {
            self.shared.end_in_tier(&**tier, forgotten);
        }
        fence.collect(horizon.min(tier.oldest_birth().max(forgotten)));
    }
}

impl Shared {
    /// Ends the rows of the tier that are older than what the fence has forgotten. They are not
    /// served any more; but while they are there, the tier keeps the whole fence for them.
    fn end_in_tier(&self, tier: &dyn Tier, forgotten: Sequence) {
        let told = self.forgotten_below.fetch_max(forgotten.as_u64(), Ordering::Relaxed);
        if told >= forgotten.as_u64() {
            return;
        }
        let cause =
            Cause { source: "fence".into(), at_ms: self.clock.now_ms(), ..Cause::default() };
        let targets = vec![(Target::Everything, Mode::Hard)];
        // Under the sequence of what was forgotten, which is long in the journal.
        let record = Record {
            sequence: forgotten,
            invalidation: Arc::new(Invalidation { targets, cause }),
            passage: Passage::Unchanged,
        };
        tracing::info!(
            sequence = %forgotten,
            "more tags were invalidated than the fence may hold: older rows of the tier end"
        );
        // Until it is durable the tier has all rows of its fence; if it can't be, it is owed.
        tier.commit(record, Box::new(|_| ()));
    }

    /// Notes that so many entries wait for a sweep.
    pub(super) fn note_useless(&self, entries: u64) {
        let (held, keys) = (self.store.bytes(), self.store.len());
        let useless = entries.saturating_mul(held.checked_div(keys).unwrap_or(0));
        // Nobody minds a lost update: a sweep follows in any case.
        let waiting = self.stats.bytes_invalid.load(Ordering::Relaxed).saturating_add(useless);
        let waiting = waiting.min(held);
        self.stats.bytes_invalid.store(waiting, Ordering::Relaxed);
        if waiting > 0 && waiting >= held / MUCH_IS_ONE_IN {
            self.sweep_urgent.notify_one();
        }
    }

    fn sweep_step(&self, slots: &[Slot], swept: &mut Swept) {
        for slot in slots {
            let mut is_any_over = false;
            self.stats.swept.inc_by(slot.entries().len() as u64);
            for entry in slot.entries() {
                match self.life(slot.key(), entry) {
                    Life::Good(verdict) => swept.note_left(entry, verdict),
                    Life::Over => is_any_over = true,
                }
            }
            if is_any_over {
                let buried = self.bury(slot.key());
                swept.buried += (buried.expired + buried.invalid) as usize;
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
    /// When the entry that was left and is used least was last used.
    least_used_s: Option<u32>,
}

impl Swept {
    fn note_left(&mut self, entry: &Entry, verdict: Verdict) {
        let used_s = entry.accessed_s();
        self.least_used_s = Some(self.least_used_s.map_or(used_s, |least| least.min(used_s)));
        if verdict == Verdict::Stale {
            let birth = entry.birth().sequence();
            self.oldest_stale = Some(self.oldest_stale.map_or(birth, |oldest| oldest.min(birth)));
        }
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
    /// What may go after the sweep that begins now, if anything.
    fn before_sweep(&mut self, begun: Sequence, now_ms: u64) -> Option<Sequence> {
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
