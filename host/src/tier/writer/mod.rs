//! The one task that writes: takes what is queued, commits it, calls back, and tells who waits.
//!
//! # Invariants
//! - One transaction at a time, in the one session that writes.
//! - After a commit the callbacks run in order, then the keys may be loaded again, then those who
//!   wait are told; only after that is the next key taken.
//! - What a failed transaction contained is never assumed to be absent: its keys stay dirty, its
//!   records are refused, and a transaction that was given up for time is rolled back or
//!   committed before any later one, which each database sees to in its own way.
//! - Nobody waits without bound: a transaction that takes too long fails, and while the tier is
//!   degraded records and waiters are refused as they come.
//!
//! # Not here
//! SQL (`database`), what is queued how (`queue`), and what is done between batches (`upkeep`).

mod upkeep;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Inner;
use super::database::{DatabaseError, KeyRows, Session, Writes};
use super::queue::{Batch, Life, Records};
use super::room::Room;
use super::settings::{SYNC_MS, Settings};
use crate::cache::tier::{Lasting, Record, TierError};
use crate::fail_points::{Point, reach};
use crate::model::Durability;
use crate::tasks::Tasks;

/// Keys in one transaction; few, because invalidations wait for its end.
const BATCH_KEYS_MAX: usize = 256;

/// Bytes of values after which no further key joins a transaction.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A transaction that takes longer has failed; degradation is to be seen within 5 s.
const TRANSACTION_MS_MAX: u64 = 4_000;

/// Longest answer of a session that is asked whether it is there.
const CHECK_MS_MAX: u64 = 2_000;

/// Pause before the first attempt to recover; doubled at each, up to [`RETRY_MS_MAX`].
const RETRY_MS_MIN: u64 = 50;

/// Longest pause between attempts; recovery is to be seen within 10 s.
const RETRY_MS_MAX: u64 = 5_000;

/// How often an idle writer looks at that clock, and at its session: that it is lost is to be seen
/// within 5 s.
const IDLE_MS: u64 = 2_000;

/// The writer's own state.
pub(super) struct Writer {
    inner: Arc<Inner>,
    tasks: Tasks,
    /// `None` while the tier is degraded.
    session: Option<Session>,
    retry_ms: u64,
    /// When the clock is looked at, or the next attempt to recover is made.
    timer: Pin<Box<tokio::time::Sleep>>,
    /// When the last round of upkeep began, by the server's clock.
    upkeep_ms: Option<u64>,
    cull_steps: u32,
    settings: Settings,
    room: Room,
    /// When commits were made durable last, where they are not by themselves; `None` if there was
    /// none since.
    unsynced_ms: Option<u64>,
}

impl Writer {
    /// A writer in this session; what it does beside writing runs in `tasks`.
    pub(super) fn new(
        inner: Arc<Inner>,
        settings: Settings,
        session: Session,
        tasks: Tasks,
    ) -> Self {
        Self {
            inner,
            tasks,
            settings,
            room: Room::new(settings.limits),
            unsynced_ms: None,
            session: Some(session),
            retry_ms: RETRY_MS_MIN,
            timer: timer(match settings.durability {
                Durability::Each => IDLE_MS,
                Durability::Interval => SYNC_MS,
            }),
            upkeep_ms: None,
            cull_steps: 0,
        }
    }

    /// Works until the tier is closed or the group of tasks stops, and then writes what is left.
    pub(super) async fn run(mut self, stopping: impl Future<Output = ()>) {
        let mut stopping = std::pin::pin!(stopping);
        let mut is_last_attempt = false;
        loop {
            let is_idle = match self.session.take() {
                Some(session) => self.write_queued(session).await,
                None => {
                    self.refuse_waiting();
                    true
                }
            };
            if !is_idle {
                continue;
            }
            let (is_closing, is_drained) = {
                let queue = self.inner.queue.lock();
                (queue.life != Life::Open, queue.is_drained())
            };
            if is_closing && self.session.is_some() && !is_drained {
                // It came after the last look at the queue, and before the end.
                continue;
            }
            if is_closing && (self.session.is_some() || is_last_attempt) {
                break;
            }
            if is_closing {
                is_last_attempt = true;
                self.recover().await;
                continue;
            }
            tokio::select! {
                () = self.inner.work.notified() => {}
                () = &mut self.timer => self.recover().await,
                () = &mut stopping => self.inner.queue.lock().close(),
            }
        }
        let keys = self.inner.queue.lock().len();
        if keys > 0 {
            tracing::warn!(keys, "database tier ends with keys unwritten");
        }
        if let Some(mut session) = self.session.take() {
            if let Err(reason) = within_bound(self.write_hottest(&mut session)).await {
                tracing::warn!(reason, "order of the hottest keys is not written");
            }
            reach(Point::WriterEnding);
            session.close().await;
        }
    }

    fn idle_ms(&self) -> u64 {
        match self.settings.durability {
            Durability::Each => IDLE_MS,
            Durability::Interval => SYNC_MS,
        }
    }

    /// Takes a batch and writes it, or does a step of upkeep. Returns whether there was nothing.
    async fn write_queued(&mut self, mut session: Session) -> bool {
        let (batch, rows) = self.take_batch();
        let is_idle = batch.is_empty();
        if !is_idle {
            reach(Point::BatchTaken);
            self.inner.queue.lock().pace.begin(self.inner.clock.now_ms());
        }
        let records: Vec<Record> = batch.records.iter().map(|(record, _)| record.clone()).collect();
        let outcome = within_bound(async {
            if is_idle {
                return self.upkeep(&mut session).await;
            }
            let writes = Writes {
                is_wiping: batch.is_wiping,
                keys: &rows,
                records: &records,
                oldest: self.inner.oldest_birth(),
                value_bytes_max: self.settings.value_bytes_max,
                compress_bytes_min: self.settings.compress_bytes_min,
            };
            session.write(&writes).await?;
            self.room.note(writes.usage());
            Ok(Step::Done)
        })
        .await;
        self.inner.queue.lock().pace.end(self.inner.clock.now_ms());
        match outcome {
            Ok(step) => {
                self.session = Some(session);
                if !is_idle {
                    self.retry_ms = RETRY_MS_MIN;
                    reach(Point::BatchCommitted);
                    self.settle(batch);
                    self.after_commit().await;
                }
                is_idle && step == Step::Done
            }
            Err(reason) => {
                self.degrade(batch, reason);
                true
            }
        }
    }

    /// All records, and keys up to the bounds, each with the rows that memory has of it now.
    fn take_batch(&self) -> (Batch, Vec<KeyRows>) {
        let source = self.inner.source.get().and_then(std::sync::Weak::upgrade);
        let mut batch = self.inner.queue.lock().take();
        let mut rows: Vec<KeyRows> = Vec::new();
        let mut bytes = 0;
        while batch.keys.len() < BATCH_KEYS_MAX && bytes < BATCH_BYTES_MAX {
            let Some((key, waiters)) = self.inner.queue.lock().take_key() else { break };
            // Without a memory to ask, nothing is the only answer that can't be out of date. Asked
            // without the queue's lock: memory calls us under locks of its own.
            let present = source.as_ref().map(|source| source.rows(&key)).unwrap_or_default();
            // Before it is noted. If this is wrong, the transaction fails, and the key is not new
            // to the next one.
            let is_new = self.inner.known.is_new(&key);
            if !present.is_empty() {
                self.inner.known.note(&key);
            }
            bytes += present.iter().map(|row| row.content.body.len()).sum::<usize>();
            rows.push(KeyRows { key: key.clone(), rows: present, is_new });
            batch.keys.push((key, waiters));
        }
        (batch, rows)
    }

    /// Tells everybody that the batch is durable.
    fn settle(&self, batch: Batch) {
        self.call_back(batch.records, &Ok(()));
        self.inner.queue.lock().finish();
        for waiter in batch.keys.into_iter().flat_map(|(_, waiters)| waiters) {
            // Who waited may have gone away; the same below.
            let _ = waiter.send(Ok(()));
        }
        reach(Point::BatchSettled);
    }

    /// Tells everybody that the batch is not durable, and keeps its keys.
    fn degrade(&mut self, batch: Batch, reason: String) {
        tracing::warn!(reason, "database tier is degraded; memory goes on serving");
        self.inner.queue.lock().put_back(&batch, reason.clone());
        self.timer = timer(self.retry_ms);
        self.refuse(batch, reason);
    }

    fn refuse_waiting(&self) {
        let (waiting, reason) = {
            let mut queue = self.inner.queue.lock();
            (queue.take_waiting(), queue.problem())
        };
        self.refuse(waiting, reason.unwrap_or_default());
    }

    fn refuse(&self, batch: Batch, reason: String) {
        let refusal = Err(TierError::Database(reason));
        self.call_back(batch.records, &refusal);
        for waiter in batch.keys.into_iter().flat_map(|(_, waiters)| waiters) {
            let _ = waiter.send(refusal.clone());
        }
    }

    fn call_back(&self, records: Records, outcome: &Result<(), TierError>) {
        if let Some((last, _)) = records.last() {
            // Before the callbacks: from then on there may be data born at this sequence.
            self.inner.reached.fetch_max(last.sequence.as_u64(), Ordering::AcqRel);
        }
        for (_, then) in records {
            then(outcome.clone().map(|()| Lasting::Durable));
            reach(Point::RecordApplied);
        }
    }

    /// Looks whether the session is still there; where there is none, tries to get one that works.
    /// Sets the timer anew.
    async fn recover(&mut self) {
        if let Some(mut session) = self.session.take() {
            let outcome = match within_bound(self.sync(&mut session)).await {
                Ok(()) => within(CHECK_MS_MAX, session.check()).await,
                outcome => outcome,
            };
            match outcome {
                Ok(()) => {
                    self.session = Some(session);
                    self.timer = timer(self.idle_ms());
                }
                Err(reason) => self.degrade(Batch::default(), reason),
            }
            return;
        }
        let inner = Arc::clone(&self.inner);
        let mut attempt = Box::pin(within_bound(inner.database.connect()));
        let outcome = loop {
            tokio::select! {
                outcome = &mut attempt => break outcome,
                // An attempt may take seconds, which nobody is to wait for.
                () = self.inner.work.notified() => self.refuse_waiting(),
            }
        };
        match outcome {
            Ok(session) => {
                tracing::info!("database tier works again");
                self.session = Some(session);
                self.inner.queue.lock().degraded = None;
                self.timer = timer(self.idle_ms());
            }
            Err(reason) => {
                self.inner.queue.lock().degraded = Some(reason);
                self.retry_ms = (self.retry_ms * 2).min(RETRY_MS_MAX);
                self.timer = timer(self.retry_ms);
            }
        }
    }
}

impl Drop for Writer {
    /// However it ends, nobody is left waiting. Records may come until the moment it is closed, and
    /// those after are called back by their senders; so it is closed when all before have been.
    fn drop(&mut self) {
        loop {
            let left = {
                let mut queue = self.inner.queue.lock();
                let left = queue.take_waiting();
                if left.is_empty() {
                    queue.life = Life::Closed;
                    break;
                }
                left
            };
            self.call_back(left.records, &Err(TierError::Closed));
            for waiter in left.keys.into_iter().flat_map(|(_, waiters)| waiters) {
                let _ = waiter.send(Err(TierError::Closed));
            }
        }
        self.inner.closed.send_replace(true);
    }
}

/// What a step of work between batches leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing for now.
    Done,
    /// Another step.
    MoreToDo,
}

fn timer(after_ms: u64) -> Pin<Box<tokio::time::Sleep>> {
    Box::pin(tokio::time::sleep(Duration::from_millis(after_ms)))
}

async fn within_bound<T>(
    work: impl Future<Output = Result<T, DatabaseError>>,
) -> Result<T, String> {
    within(TRANSACTION_MS_MAX, work).await
}

async fn within<T>(
    limit_ms: u64,
    work: impl Future<Output = Result<T, DatabaseError>>,
) -> Result<T, String> {
    match tokio::time::timeout(Duration::from_millis(limit_ms), work).await {
        Ok(outcome) => outcome.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer in {limit_ms} ms")),
    }
}
