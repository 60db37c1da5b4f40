//! What follows when the database refuses rows of entries for good while it may take records.
//!
//! # Invariants
//! - What is refused with keys is tried without them at once: invalidations don't fail because
//!   entries can't be written.
//! - From then on keys rest but for an attempt now and then, those who wait for them are told no,
//!   and the tier is degraded until all keys have been written that there were at the attempt.
//! - However much else there is to do: an attempt waits for nothing but its time, and its end for
//!   no key that came later.
//!
//! # Not here
//! Transactions that take too long: they become smaller (`budget`).

use super::{CHECK_MS_MAX, Writer, idle_ms, timer, within};
use crate::tier::database::Session;
use crate::tier::queue::{Batch, Failure};

/// How keys are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Keys {
    /// As they come.
    #[default]
    Written,
    /// Not for now.
    Resting,
    /// Once more, after they have been refused.
    Tried {
        /// How many of those that waited then have not been written.
        left: usize,
    },
}

impl Writer {
    /// Whether a batch may have been refused for its keys alone, so that the same without them is
    /// worth an attempt in this session. The keys rest then.
    pub(super) async fn rests_keys(
        &mut self,
        batch: &mut Batch,
        failure: &Failure,
        session: &mut Session,
    ) -> bool {
        let has_keys = batch.is_wiping || !batch.keys.is_empty();
        if !has_keys || failure.is_late {
            return false;
        }
        // What is lost, or another server's, takes no records either.
        if within(CHECK_MS_MAX, self.inner.database.check(session)).await.is_err() {
            return false;
        }
        let refused = Batch {
            is_wiping: std::mem::take(&mut batch.is_wiping),
            keys: std::mem::take(&mut batch.keys),
            ..Batch::default()
        };
        self.put_back(&refused, failure);
        self.refuse(refused, failure.reason.clone());
        self.keys = Keys::Resting;
        self.back_off();
        self.timer = timer(self.retry_ms.min(idle_ms(self.settings.durability)));
        true
    }

    /// Lets keys that rest be tried again.
    pub(super) fn try_keys(&mut self) {
        let mut queue = self.inner.queue.lock();
        if self.keys != Keys::Written {
            self.keys = Keys::Tried { left: queue.line_len() };
        }
        queue.is_refusing = false;
    }

    /// The same if they rest and the time for that has come: under load the writer is never idle.
    pub(super) fn try_keys_in_time(&mut self) {
        let is_time = self.timer.deadline() <= tokio::time::Instant::now();
        if self.keys == Keys::Resting && is_time {
            self.try_keys();
        }
    }

    /// Notes that a batch with so many keys has been committed.
    pub(super) fn note_commit(&mut self, keys: usize) {
        self.budget.note_success();
        let is_well = match &mut self.keys {
            Keys::Written => true,
            Keys::Resting => false,
            // The line is taken from its front, and what comes joins its end.
            Keys::Tried { left } => {
                *left = left.saturating_sub(keys);
                *left == 0
            }
        };
        if is_well {
            self.keys = Keys::Written;
            self.retry_ms = super::RETRY_MS_MIN;
            self.note_recovery();
        }
    }

    /// Notes that the tier works.
    pub(super) fn note_recovery(&self) {
        let was_degraded = self.inner.queue.lock().degraded.take().is_some();
        if was_degraded {
            tracing::info!("database tier works again");
        }
    }

    /// Tells those who wait for keys that rest, if any do.
    pub(super) fn refuse_resting(&self) {
        if self.keys == Keys::Resting {
            let (waiting, reason) = {
                let mut queue = self.inner.queue.lock();
                (queue.take_waiting_keys(), queue.problem())
            };
            self.refuse(waiting, reason.unwrap_or_default());
        }
    }

    /// Makes the next pause before an attempt longer.
    pub(super) fn back_off(&mut self) {
        self.retry_ms = (self.retry_ms * 2).min(super::RETRY_MS_MAX);
    }

    /// Puts back what was not written, and says why, once for each reason.
    pub(super) fn put_back(&self, batch: &Batch, failure: &Failure) {
        let mut queue = self.inner.queue.lock();
        let reason = failure.reason.as_str();
        let is_known = queue.degraded.as_deref() == Some(reason);
        queue.put_back(batch, failure);
        drop(queue);
        if !is_known {
            tracing::warn!(reason, "database tier is degraded; memory goes on serving");
        }
    }
}
