//! What the writer does between batches: room is made, what has ended goes, commits are made
//! durable where that is done now and then, keys get known, and the order of the hottest is kept.
//!
//! # Invariants
//! - Whatever is done here is done in small steps. Between batches an invalidation waits for one
//!   step of each kind at most; behind a commit for up to [`STEPS_MAX`] steps of making room, and a
//!   sync that is due. Each time all of them together are bounded by `TRANSACTION_MS_MAX`.
//! - A round of culling and compacting goes on for as long as there is something to remove, and is
//!   bounded by its share of the time, not by what it removes.
//! - No transaction is under way meanwhile.
//! - Nothing is done to entries while keys rest: it would be refused, too.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::keys::Keys;
use super::{Step, Writer, timer, within_bound};
use crate::fail_points::{Point, reach};
use crate::model::{Durability, Sequence};
use crate::tier::database::{DatabaseError, FENCE_ROWS, Session};
use crate::tier::queue::{Batch, Life};
use crate::tier::room::STEPS_MAX;
use crate::tier::settings::{Limits, SYNC_MS};
use crate::tier::trim::Trim;

/// Time by the server's clock between two rounds of culling and compacting.
const UPKEEP_MS: u64 = 60_000;

/// A step of a round is followed by a rest of so many times its length: what waits for the writer
/// waits for upkeep no more than a fifth of the time.
const REST: u64 = 4;

/// How far a round of culling and compacting has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Round {
    /// The next is not due.
    Over,
    /// Rows of entries go.
    Culling,
    /// Rows of the fence go, up to the oldest birth that this round has found: what an earlier one
    /// has removed may be there again, in a database that has lost its last commits.
    Compacting {
        /// That birth.
        oldest: Sequence,
    },
    /// Records of the journal go, up to `end`; up to `after` they have been looked at.
    Trimming {
        /// The last that has been looked at.
        after: Sequence,
        /// The last of all.
        end: Sequence,
    },
}

impl Writer {
    /// What every commit is followed by, once those who waited for it have been told: some room,
    /// and now and then the disk.
    pub(super) async fn after_commit(&mut self) {
        let is_resting = self.keys == Keys::Resting;
        let Some(mut session) = self.session.take() else { return };
        let now_ms = self.inner.clock.now_ms();
        let since_ms = *self.unsynced_ms.get_or_insert(now_ms);
        let is_late = now_ms.saturating_sub(since_ms) >= SYNC_MS;
        let work = async {
            for _ in 0..STEPS_MAX {
                if is_resting || self.make_room(&mut session).await? == Step::Done {
                    break;
                }
            }
            self.note_plugins(&mut session).await?;
            self.write_hottest(&mut session).await?;
            if is_late {
                self.sync(&mut session).await?;
            }
            // Here, too: under load there is always something queued.
            if !is_resting && self.inner.queue.lock().life == Life::Open {
                self.tidy(&mut session).await?;
            }
            Ok(())
        };
        match within_bound(work).await {
            Ok(()) => self.session = Some(session),
            Err(failure) => self.degrade(Batch::default(), failure),
        }
    }

    /// Makes what has been committed durable, where that is done now and then.
    pub(super) async fn sync(&mut self, session: &mut Session) -> Result<(), DatabaseError> {
        if self.is_unsynced() {
            session.sync().await?;
        }
        // Only then: what failed is not durable yet.
        self.unsynced_ms = None;
        Ok(())
    }

    /// Whether there are commits that the machine's power may undo.
    pub(super) fn is_unsynced(&self) -> bool {
        self.unsynced_ms.is_some() && self.settings.durability == Durability::Interval
    }

    /// Writes the order of the hottest keys, where there is a new one. Not with a batch, which
    /// somebody waits for.
    pub(super) async fn write_hottest(&self, session: &mut Session) -> Result<(), DatabaseError> {
        let waiting = self.inner.queue.lock().hottest.take();
        if let Some(order) = waiting {
            session.write_hottest(&order.packed).await?;
            self.inner.hot_keys.store(order.keys, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Removes some rows where there are too many.
    async fn make_room(&mut self, session: &mut Session) -> Result<Step, DatabaseError> {
        let source = self.inner.source.get().and_then(std::sync::Weak::upgrade);
        let (removed, step) = self.room.step(session, source.as_deref()).await?;
        self.inner.rows_evicted.fetch_add(removed, Ordering::Relaxed);
        Ok(step)
    }

    /// Has the keys of the table read through in the background, where they are not known.
    async fn get_to_know_keys(&self, session: &mut Session) -> Result<(), DatabaseError> {
        if !self.inner.known.is_due() {
            return Ok(());
        }
        let counting = Limits { rows_max: Some(u64::MAX), bytes_max: None };
        // Here, where no transaction is under way.
        self.inner.known.begin(session.usage(counting).await?.rows);
        let inner = Arc::clone(&self.inner);
        let reading = async move { inner.known.read_through(&inner.database).await };
        self.tasks.spawn_until_stop(reading);
        Ok(())
    }

    /// A step of whatever is to be done while nothing is queued.
    pub(super) async fn upkeep(&mut self, session: &mut Session) -> Result<Step, DatabaseError> {
        self.note_plugins(session).await?;
        let is_resting = self.keys == Keys::Resting;
        if is_resting || self.inner.queue.lock().life != Life::Open {
            return Ok(Step::Done);
        }
        self.write_hottest(session).await?;
        if self.make_room(session).await? == Step::MoreToDo {
            return Ok(Step::MoreToDo);
        }
        self.tidy(session).await
    }

    /// One step of a round of culling and compacting, if a round is due or under way and its share
    /// of the time is not used up.
    async fn tidy(&mut self, session: &mut Session) -> Result<Step, DatabaseError> {
        let now_ms = self.inner.clock.now_ms();
        if self.round == Round::Over {
            let is_due = self.upkeep_ms.is_none_or(|last| now_ms.saturating_sub(last) >= UPKEEP_MS);
            if !is_due {
                return Ok(Step::Done);
            }
            self.upkeep_ms = Some(now_ms);
            self.get_to_know_keys(session).await?;
            self.round = Round::Culling;
        }
        let begun_us = self.inner.clock.monotonic_us();
        let rest_us = self.resting_until_us.saturating_sub(begun_us);
        if rest_us > 0 {
            self.timer = timer(rest_us.div_ceil(1_000));
            return Ok(Step::Done);
        }
        self.round = self.step_of_round(session, now_ms).await?;
        let ended_us = self.inner.clock.monotonic_us();
        let taken_us = ended_us.saturating_sub(begun_us);
        self.resting_until_us = ended_us.saturating_add(taken_us.saturating_mul(REST));
        Ok(if self.round == Round::Over { Step::Done } else { Step::MoreToDo })
    }

    /// A step; returns how far the round has come by it.
    async fn step_of_round(
        &mut self,
        session: &mut Session,
        now_ms: u64,
    ) -> Result<Round, DatabaseError> {
        match self.round {
            Round::Over => Ok(Round::Over),
            Round::Culling => {
                let culled = session.cull(now_ms).await?;
                reach(Point::RowsCulled);
                if culled > 0 {
                    return Ok(Round::Culling);
                }
                let reached = self.inner.reached();
                let oldest = session.oldest_birth().await?.unwrap_or(reached);
                // Published first: from here on nothing older is written or loaded, and only then
                // may rows of the fence go.
                self.inner.oldest_birth.fetch_max(oldest.as_u64(), Ordering::AcqRel);
                reach(Point::OldestPublished);
                Ok(Round::Compacting { oldest })
            }
            Round::Compacting { oldest } => {
                let dropped = session.compact_fence(oldest).await?;
                if dropped >= FENCE_ROWS.unsigned_abs() {
                    return Ok(Round::Compacting { oldest });
                }
                let end = session.journal_end().await?;
                let after = Sequence::from_u64(0);
                Ok(end.map_or(Round::Over, |end| Round::Trimming { after, end }))
            }
            Round::Trimming { after, end } => {
                let held_ms_max = self.settings.held_ms_max;
                let spared_ms = Trim::spared_at(now_ms, self.opened_ms, held_ms_max);
                let last = session.trim_journal(Trim { after, end, spared_ms }).await?;
                let last = last.filter(|last| *last < end);
                Ok(last.map_or(Round::Over, |after| Round::Trimming { after, end }))
            }
        }
    }
}
