//! Invalidating: a sequence, the journal, the fence, the watermark, and only then the answer.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::store::Slot;
use super::tier::{Lasting, Record, TierError};
use super::{Cache, Shared};
use crate::limits::TARGETS_PER_INVALIDATION_MAX;
use crate::model::{Invalidation, Key, Mode, Passage, Sequence, Target};

/// An acknowledged invalidation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// Its position in the journal.
    pub sequence: Sequence,
    /// Entries that became invalid, as far as that is known without a scan: those of each tag, URL
    /// and key, one that several of them name once for each; everything by its keys; none for
    /// prefixes. [`Cache::invalidate_counted`] counts those, too.
    pub affected: u64,
    /// How sure that is.
    pub counted: Counted,
    /// What it outlasts.
    pub lasting: Lasting,
}

/// How sure a count of entries is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Each was counted.
    Exactly,
    /// Some keys were looked at, and the rest taken to be like them.
    Estimated,
}

/// Why an invalidation is not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidateError {
    /// It names nothing.
    #[error("invalidation names no target")]
    NoTarget,
    /// It names too much; nothing was done.
    #[error("invalidation names {targets} targets; limit is {TARGETS_PER_INVALIDATION_MAX}")]
    TooManyTargets {
        /// How many.
        targets: usize,
    },
    /// Applied in memory, but a crash would undo it: the sender must try again.
    #[error("invalidation is not durable: {0}")]
    NotDurable(#[from] TierError),
}

impl Cache {
    /// Makes everything named wrong. When it returns `Ok`, no read that starts later, by any way
    /// and after any crash, returns what was computed from older data; what is only
    /// [`Lasting::Owed`] a crash may undo.
    pub async fn invalidate(&self, invalidation: Invalidation) -> Result<Applied, InvalidateError> {
        self.pass(invalidation, Passage::Unchanged).await
    }

    /// The same, and shuts or opens something in the same step.
    pub(super) async fn pass(
        &self,
        invalidation: Invalidation,
        passage: Passage,
    ) -> Result<Applied, InvalidateError> {
        match invalidation.targets.len() {
            0 if !matches!(passage, Passage::FlushAt(_)) => return Err(InvalidateError::NoTarget),
            0..=TARGETS_PER_INVALIDATION_MAX => {}
            targets => return Err(InvalidateError::TooManyTargets { targets }),
        }
        let invalidation = Arc::new(invalidation);
        let (sender, outcome) = oneshot::channel();
        {
            let mut order = self.shared.order.lock();
            let sequence = order.next();
            *order = sequence;
            let Some(tier) = &self.shared.tier else {
                let affected = self.shared.apply(sequence, &invalidation, &passage);
                self.shared.stats.invalidations.inc();
                let (counted, lasting) = (Counted::Exactly, Lasting::Durable);
                return Ok(Applied { sequence, affected, counted, lasting });
            };
            let record = Record {
                sequence,
                invalidation: Arc::clone(&invalidation),
                passage: passage.clone(),
            };
            let shared = Arc::clone(&self.shared);
            // Handed over under the lock, so that the journal's order is that of the sequences.
            tier.commit(
                record,
                Box::new(move |durable| {
                    // Applied in any case: what is not durable is not acknowledged, and more being
                    // invalid never hurts.
                    let affected = shared.apply(sequence, &invalidation, &passage);
                    let counter = match &durable {
                        Ok(Lasting::Durable) => &shared.stats.invalidations,
                        Ok(Lasting::Owed) | Err(_) => &shared.stats.invalidations_not_durable,
                    };
                    counter.inc();
                    let counted = Counted::Exactly;
                    let outcome =
                        durable.map(|lasting| Applied { sequence, affected, counted, lasting });
                    // The asker may have gone away; the invalidation stands.
                    let _ = sender.send(outcome);
                }),
            );
        }
        Ok(outcome.await.unwrap_or(Err(TierError::Closed))?)
    }
}

/// What raising the fence did.
struct Raised {
    /// Entries that became invalid, as in [`Applied`].
    affected: u64,
    /// How many of them are left to a sweep, about.
    useless: u64,
    /// Whether there may be such entries.
    is_wide: bool,
}

impl Shared {
    /// Raises the fence and publishes the watermark. Called in the order of sequences.
    fn apply(&self, sequence: Sequence, invalidation: &Invalidation, passage: &Passage) -> u64 {
        if let Passage::Shut(intent) = passage {
            self.fence.shut(intent, invalidation.targets.iter().map(|(target, _)| target));
        }
        let raised = self.raise(sequence, invalidation);
        if let Passage::Open(intent) = passage {
            self.open(sequence, intent);
        }
        self.fence.publish(sequence);
        // Not before: entries remember up to which watermark they are known to be good, so a sweep
        // that begins earlier may take all of them for good, and nobody wants another one.
        if raised.is_wide {
            self.note_useless(raised.useless);
            self.sweep_wanted.notify_one();
        }
        if !invalidation.targets.is_empty() {
            self.history.note_cause(sequence, &invalidation.cause);
        }
        if let Passage::Shut(_) = passage {
            self.intent_announced.notify_one();
        }
        raised.affected
    }

    /// Ends an intent; whatever it has shut is wrong now, named or not.
    fn open(&self, sequence: Sequence, intent: &str) {
        for target in self.fence.shut_by(intent).unwrap_or_default() {
            match &target {
                Target::Key(key) => drop(self.remove_key(key, Mode::Hard, sequence)),
                wide => drop(self.fence.raise(wide, Mode::Hard, sequence)),
            }
        }
        self.fence.open(intent);
    }

    fn raise(&self, sequence: Sequence, invalidation: &Invalidation) -> Raised {
        let (keys, wide): (Vec<_>, Vec<_>) =
            invalidation.targets.iter().partition(|(target, _)| matches!(target, Target::Key(_)));
        let mut raised = Raised { affected: 0, useless: 0, is_wide: !wide.is_empty() };
        for (target, mode) in &keys {
            if let Target::Key(key) = target {
                raised.affected += self.remove_key(key, *mode, sequence);
            }
        }
        for (target, mode) in &wide {
            let live = self.fence.raise(target, *mode, sequence);
            let named = match target {
                Target::Everything => self.store.len(),
                _ => live.unwrap_or(0),
            };
            raised.affected += named;
            if *mode == Mode::Hard {
                raised.useless += named;
            }
        }
        raised
    }

    fn remove_key(&self, key: &Key, mode: Mode, sequence: Sequence) -> u64 {
        let _stripe = self.stripe(key.as_bytes());
        // The row is for the fills in flight: whatever the mode, they are not kept.
        self.fence.raise(&Target::Key(key.clone()), mode, sequence);
        if self.tier.is_some() {
            self.loads.supersede(key);
        }
        let Some(slot) = self.store.look(key.as_bytes()) else { return 0 };
        let affected = self.live_entries(key.as_bytes(), &slot);
        match (&slot, mode) {
            (Slot::Pages(pages), Mode::Soft) => {
                for head in pages.iter().filter_map(|page| page.page()) {
                    self.fence.raise(&Target::Url(head.url.clone()), mode, sequence);
                }
            }
            (Slot::Item(item), Mode::Soft) => {
                let outdated = self.outdated(item);
                self.store.put(Slot::Item(outdated));
            }
            (Slot::Item(_) | Slot::Pages(_), Mode::Hard) => {
                self.store.remove(key.as_bytes());
            }
        }
        if affected > 0 {
            self.history.note_death(key, sequence);
        }
        affected
    }

    fn live_entries(&self, key: &[u8], slot: &Slot) -> u64 {
        slot.entries().iter().filter(|entry| self.is_live(key, entry)).count() as u64
    }
}
