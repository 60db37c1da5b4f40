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
//! - A database that takes records and refuses entries gets the records (`keys`).
//! - What took too long is not tried again as it was: the next transaction is smaller, and a large
//!   value that took too long by itself is left out (`budget`).
//!
//! # Not here
//! SQL (`database`), what is queued how (`queue`), and what is done between batches (`upkeep`).

mod budget;
mod keys;
mod ran_plugins;
mod upkeep;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Inner;
use super::database::{DatabaseError, KeyRows, Session, Writes};
use super::queue::{Batch, Failure, Life, Records};
use super::room::Room;
use super::settings::{SYNC_MS, Settings};
use crate::cache::tier::{Lasting, Record, Row, TierError};
use crate::fail_points::{Point, reach};
use crate::model::Durability;
use crate::tasks::Tasks;
use budget::Budget;
use keys::Keys;
use upkeep::Round;

/// A transaction that takes longer has failed; degradation is to be seen within 5 s.
const TRANSACTION_MS_MAX: u64 = 4_000;

/// Longest answer of a session that is asked whether it is there.
const CHECK_MS_MAX: u64 = 2_000;

/// Pause before the first attempt to recover; doubled at each, up to [`RETRY_MS_MAX`].
const RETRY_MS_MIN: u64 = 50;

/// Longest pause between attempts; recovery is to be seen within 10 s.
const RETRY_MS_MAX: u64 = 5_000;

/// How often an idle writer looks whether upkeep is due, and whether its session is still there; a
/// loss is to be seen within 5 s.
const IDLE_MS: u64 = 2_000;

/// The writer's own state.
pub(super) struct Writer {
    inner: Arc<Inner>,
    tasks: Tasks,
    /// `None` while the tier is degraded.
    session: Option<Session>,
    budget: Budget,
    keys: Keys,
    retry_ms: u64,
    /// When an idle writer looks again, or the next attempt to recover is made.
    timer: Pin<Box<tokio::time::Sleep>>,
    /// When the last round of upkeep began, by the server's clock.
    upkeep_ms: Option<u64>,
    round: Round,
    /// No step of a round before this moment, by the server's monotonic clock.
    resting_until_us: u64,
    /// When the writer began, by the server's clock.
    opened_ms: u64,
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
        let opened_ms = inner.clock.now_ms();
        Self {
            inner,
            tasks,
            settings,
            room: Room::new(settings.limits),
            unsynced_ms: None,
            session: Some(session),
            budget: Budget::default(),
            keys: Keys::default(),
            retry_ms: RETRY_MS_MIN,
            timer: timer(idle_ms(settings.durability)),
            upkeep_ms: None,
            round: Round::Over,
            resting_until_us: 0,
            opened_ms,
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
            self.refuse_resting();
            if !is_idle {
                self.try_keys_in_time();
                continue;
            }
            let (is_closing, is_drained) = {
                let queue = self.inner.queue.lock();
                (queue.life != Life::Open, queue.is_drained())
            };
            if is_closing && self.session.is_some() && !is_drained && self.keys == Keys::Resting {
                if std::mem::replace(&mut is_last_attempt, true) {
                    break;
                }
                self.try_keys();
                continue;
            }
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
            if let Err(failure) = within_bound(self.write_hottest(&mut session)).await {
                tracing::warn!(reason = failure.reason, "order of the hottest keys is not written");
            }
            reach(Point::WriterEnding);
            session.close().await;
        }
    }

    /// Takes a batch and writes it, or does a step of upkeep. Returns whether there was nothing.
    async fn write_queued(&mut self, mut session: Session) -> bool {
        let (mut batch, mut rows) = self.take_batch();
        if batch.is_empty() {
            return match within_bound(self.upkeep(&mut session)).await {
                Ok(step) => {
                    self.session = Some(session);
                    step == Step::Done
                }
                Err(failure) => {
                    self.degrade(batch, failure);
                    true
                }
            };
        }
        reach(Point::BatchTaken);
        let records: Vec<Record> = batch.records.iter().map(|(record, _)| record.clone()).collect();
        let owed = batch.owed;
        let mut outcome =
            self.write(&mut session, (batch.is_wiping, &rows), (owed, &records)).await;
        if let Err(failure) = &outcome
            && self.rests_keys(&mut batch, failure, &mut session).await
        {
            rows.clear();
            outcome = match batch.is_empty() {
                true => {
                    self.session = Some(session);
                    return false;
                }
                false => self.write(&mut session, (batch.is_wiping, &rows), (owed, &records)).await,
            };
        }
        match outcome {
            Ok(()) => {
                self.session = Some(session);
                self.note_commit(batch.keys.len());
                reach(Point::BatchCommitted);
                self.settle(batch);
                self.after_commit().await;
                false
            }
            Err(failure) => {
                if failure.is_late {
                    self.budget.note_late(&batch, &rows, self.inner.clock.now_ms());
                } else {
                    self.back_off();
                }
                self.degrade(batch, failure);
                true
            }
        }
    }

    /// Writes these rows, after a wiping where there is to be one, and records, of which so many,
    /// the first, are owed.
    async fn write(
        &mut self,
        session: &mut Session,
        (is_wiping, rows): (bool, &[KeyRows]),
        (owed, records): (usize, &[Record]),
    ) -> Result<(), Failure> {
        self.inner.queue.lock().pace.begin(self.inner.clock.now_ms());
        let outcome = within_bound(async {
            let writes = Writes {
                is_wiping,
                keys: rows,
                records,
                owed,
                oldest: self.inner.oldest_birth(),
                value_bytes_max: self.settings.value_bytes_max,
                compress_bytes_min: self.settings.compress_bytes_min,
            };
            self.inner.database.check_place()?;
            session.write(&writes).await?;
            self.room.note(writes.usage());
            Ok(())
        })
        .await;
        self.inner.queue.lock().pace.end(self.inner.clock.now_ms());
        outcome
    }

    /// Records and keys up to the bounds, each with the rows that memory has of it now.
    fn take_batch(&self) -> (Batch, Vec<KeyRows>) {
        let source = self.inner.source.get().and_then(std::sync::Weak::upgrade);
        let bounds = self.budget.bounds();
        let mut rows: Vec<KeyRows> = Vec::new();
        if self.keys == Keys::Resting {
            return (self.inner.queue.lock().take_records(bounds.cost), rows);
        }
        let mut batch = self.inner.queue.lock().take(bounds.cost);
        let mut bytes = 0;
        while batch.keys.len() < bounds.keys && bytes < bounds.bytes {
            let Some((key, waiters)) = self.inner.queue.lock().take_key() else { break };
            // Without a memory to ask, nothing is the only answer that can't be out of date. Asked
            // without the queue's lock: memory calls us under locks of its own.
            let mut present = source.as_ref().map(|source| source.rows(&key)).unwrap_or_default();
            let bytes_present = bytes_of(&present);
            if self.budget.leaves_out(bytes_present, self.inner.clock.now_ms()) {
                self.inner.values_left_out.fetch_add(1, Ordering::Relaxed);
                tracing::info!(bytes = bytes_present, "value is kept in memory alone");
                present.clear();
            }
            let is_alone = batch.keys.is_empty() && batch.records.is_empty();
            if bytes_of(&present) > bounds.bytes && !is_alone {
                self.inner.queue.lock().return_key(key, waiters);
                break;
            }
            // Before it is noted. If this is wrong, the transaction fails, and the key is not new
            // to the next one.
            let is_new = self.inner.known.is_new(&key);
            if !present.is_empty() {
                self.inner.known.note(&key);
            }
            bytes += bytes_of(&present);
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
    fn degrade(&mut self, batch: Batch, failure: Failure) {
        self.put_back(&batch, &failure);
        self.timer = timer(self.retry_ms);
        self.refuse(batch, failure.reason);
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
        // One that ends what is older than the fence remembers has an old sequence.
        if let Some(last) = records.iter().map(|(record, _)| record.sequence).max() {
            // Before the callbacks: from then on there may be data born at this sequence.
            self.inner.reached.fetch_max(last.as_u64(), Ordering::AcqRel);
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
                Ok(()) => within(CHECK_MS_MAX, self.inner.database.check(&mut session)).await,
                outcome => outcome,
            };
            match outcome {
                Ok(()) => {
                    self.session = Some(session);
                    self.timer = timer(idle_ms(self.settings.durability));
                    self.try_keys();
                }
                Err(failure) => self.degrade(Batch::default(), failure),
            }
            return;
        }
        let inner = Arc::clone(&self.inner);
        let is_unsynced = self.is_unsynced();
        let mut attempt = Box::pin(within_bound(async {
            let mut session = inner.database.connect().await?;
            if is_unsynced {
                session.sync().await?;
            }
            Ok(session)
        }));
        let outcome = loop {
            tokio::select! {
                outcome = &mut attempt => break outcome,
                // An attempt may take seconds, which nobody is to wait for.
                () = self.inner.work.notified() => self.refuse_waiting(),
            }
        };
        match outcome {
            Ok(session) => {
                self.session = Some(session);
                self.round = Round::Over;
                self.unsynced_ms = None;
                self.timer = timer(idle_ms(self.settings.durability));
                self.try_keys();
                // Else it is known to work once a batch has been committed.
                let is_drained = self.inner.queue.lock().is_drained();
                if is_drained && self.keys == Keys::Written {
                    self.note_recovery();
                }
            }
            Err(failure) => {
                self.inner.queue.lock().degraded = Some(failure.reason);
                self.back_off();
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

/// Bytes of the values of rows.
fn bytes_of(rows: &[Row]) -> usize {
    rows.iter().map(|row| row.content.body.len()).sum()
}

/// How long an idle writer waits before it looks again.
fn idle_ms(durability: Durability) -> u64 {
    match durability {
        Durability::Each => IDLE_MS,
        Durability::Interval => SYNC_MS,
    }
}

fn timer(after_ms: u64) -> Pin<Box<tokio::time::Sleep>> {
    Box::pin(tokio::time::sleep(Duration::from_millis(after_ms)))
}

async fn within_bound<T>(
    work: impl Future<Output = Result<T, DatabaseError>>,
) -> Result<T, Failure> {
    within(TRANSACTION_MS_MAX, work).await
}

async fn within<T>(
    limit_ms: u64,
    work: impl Future<Output = Result<T, DatabaseError>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(Duration::from_millis(limit_ms), work).await {
        Ok(outcome) => {
            outcome.map_err(|error| Failure { reason: error.to_string(), is_late: false })
        }
        Err(_) => Err(Failure { reason: format!("no answer in {limit_ms} ms"), is_late: true }),
    }
}
