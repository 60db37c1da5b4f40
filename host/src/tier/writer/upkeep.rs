//! What the writer does between batches: room is made, what has ended goes, commits are made
//! durable where that is done now and then, keys get known, and the order of the hottest is kept.
//!
//! # Invariants
//! - Whatever is done here is done in small steps: an invalidation waits for one of them at most.
//! - No transaction is under way meanwhile.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Step, Writer, within_bound};
use crate::fail_points::{Point, reach};
use crate::model::Durability;
use crate::tier::database::{DatabaseError, Session};
use crate::tier::queue::{Batch, Life};
use crate::tier::room::STEPS_MAX;
use crate::tier::settings::{Limits, SYNC_MS};

/// Time by the server's clock between two rounds of culling and compacting.
const UPKEEP_MS: u64 = 60_000;

/// Steps of culling in one round.
const CULL_STEPS_MAX: u32 = 20;

impl Writer {
    /// What every commit is followed by, once those who waited for it have been told: some room,
    /// and now and then the disk.
    pub(super) async fn after_commit(&mut self) {
        let Some(mut session) = self.session.take() else { return };
        let now_ms = self.inner.clock.now_ms();
        let since_ms = *self.unsynced_ms.get_or_insert(now_ms);
        let is_late = now_ms.saturating_sub(since_ms) >= SYNC_MS;
        let work = async {
            for _ in 0..STEPS_MAX {
                if self.make_room(&mut session).await? == Step::Done {
                    break;
                }
            }
            self.write_hottest(&mut session).await?;
            if is_late { self.sync(&mut session).await } else { Ok(()) }
        };
        match within_bound(work).await {
            Ok(()) => self.session = Some(session),
            Err(reason) => self.degrade(Batch::default(), reason),
        }
    }

    /// Makes what has been committed durable, where that is done now and then.
    pub(super) async fn sync(&mut self, session: &mut Session) -> Result<(), DatabaseError> {
        if self.unsynced_ms.take().is_some() && self.settings.durability == Durability::Interval {
            session.sync().await?;
        }
        Ok(())
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

    /// One step of a round of culling and compacting, if a round is due or under way.
    pub(super) async fn upkeep(&mut self, session: &mut Session) -> Result<Step, DatabaseError> {
        if self.inner.queue.lock().life != Life::Open {
            return Ok(Step::Done);
        }
        self.write_hottest(session).await?;
        if self.make_room(session).await? == Step::MoreToDo {
            return Ok(Step::MoreToDo);
        }
        let now_ms = self.inner.clock.now_ms();
        if self.cull_steps == 0 {
            let is_due = self.upkeep_ms.is_none_or(|last| now_ms.saturating_sub(last) >= UPKEEP_MS);
            if !is_due {
                return Ok(Step::Done);
            }
            self.upkeep_ms = Some(now_ms);
            self.get_to_know_keys(session).await?;
            self.cull_steps = CULL_STEPS_MAX;
        }
        let culled = session.cull(now_ms).await?;
        reach(Point::RowsCulled);
        self.cull_steps = if culled == 0 { 0 } else { self.cull_steps - 1 };
        if self.cull_steps > 0 {
            return Ok(Step::MoreToDo);
        }
        let reached = self.inner.reached();
        let oldest = session.oldest_birth().await?.unwrap_or(reached);
        // Published first: from here on nothing older is written or loaded, and only then may rows
        // of the fence go.
        self.inner.oldest_birth.fetch_max(oldest.as_u64(), Ordering::AcqRel);
        reach(Point::OldestPublished);
        session.compact(self.inner.oldest_birth()).await?;
        Ok(Step::Done)
    }
}
