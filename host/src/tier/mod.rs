//! The database tier: entries outlive a restart, acknowledged invalidations a crash.
//!
//! # Invariants
//! What a key's rows are (*rows*), and what memory has of it (*memory*), meet in three places: the
//! writer's batch, the callbacks after it, and a look-up. Why no look-up brings back what was
//! overwritten or removed:
//!
//! 1. **Before the batch.** `write` makes the key dirty before it returns its future. From there
//!    on a look-up of it finds nothing, until a batch that asked memory *after* that has been
//!    committed. Overwritten while its batch runs, the key is dirty again and the next batch asks
//!    again.
//! 2. **During the batch.** The key is in `writing`, and not loaded, until the commit and all
//!    callbacks are done. A removal by key in the same batch is executed after the rows are
//!    written, so it takes out what was asked before it. The callback takes it out of memory
//!    before the writer asks memory for any further key.
//! 3. **A look-up begun before** the key became dirty, or before the removal was committed, may
//!    end after. It is asked again at its end whether the key is dirty; where the whole write
//!    lies between the two questions, the cache has superseded the look-up under the key's stripe
//!    (after it called `write`, or in the callback) and discards the rows. A look-up begun after
//!    the commit reads after it: each is one statement, and a statement sees the last commit
//!    before its start.
//! 4. **After a failure** nothing is known of what the transaction left, so its keys, and the
//!    keys its records remove, are dirty as before, and while the tier is degraded nothing is
//!    loaded. A commit that succeeds after it was given up for time comes before any later one:
//!    SQLite has one write lock on the file, in PostgreSQL every transaction names the one before.
//! 5. **What was invalidated by tag, URL, prefix or everything** keeps its rows and is refused by
//!    the fence: by that in memory, and after a restart by the durable one, which was committed
//!    with the record. Rows of the fence go when they are at or below the oldest birth *B* of all
//!    rows. `B` is found between batches and published before they go; from then on no row older
//!    than `B` is written, nor loaded. So a row at or below `B` decides about nothing, now or
//!    after a restart.
//! 6. **One server writes.** A file is locked, a schema of PostgreSQL by the session that writes;
//!    while another has it, nothing is written or loaded (`sqlite`, `postgres`).
//! 7. **A key that is not known to have rows** is not asked for, and nothing of it is taken out.
//!    The writer notes each before it begins the transaction that writes it (`known`).
//! 8. **Too many dirty keys** are not remembered one by one; then nothing is loaded until a batch
//!    has emptied the table. Less being cached is always allowed.
//!
//! # Not here
//! The rule itself, expiry on reads, and which key is written when: the cache's. Nothing above this
//! folder knows that there is SQL, but for `import`, which reads another program's table, and the
//! demo's site, which has its own.

mod address;
mod codec;
mod database;
mod error;
mod filter;
mod hot;
mod known;
mod look_ups;
pub mod operator;
mod owed;
mod pace;
mod postgres;
mod queue;
mod ran_plugins;
mod room;
mod rows;
mod schema;
mod settings;
mod sqlite;
mod trim;
mod writer;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot, watch};

use crate::cache::Recovered;
use crate::cache::tier::{
    BoxFuture, Committed, Lasting, Placed, Record, Row, Source, Status, Tier, TierError,
};
use crate::clock::Clock;
use crate::fail_points::{Point, reach};
use crate::model::{Birth, Invalidation, Key, Mode, Sequence, Target, WhenDegraded};
use crate::tasks::Tasks;
use database::{Database, DatabaseError};
use known::Known;
use look_ups::LookUps;
use queue::{Life, Queue};
use room::Candidate;
use rows::{Events, Found};
use writer::Writer;

pub use address::{Address, AddressError, PostgresAddress};
pub use error::OpenError;
pub use ran_plugins::RanPlugin;
pub use schema::{SchemaReport, SchemaStep, check, inspect, migrate};
pub use settings::{Limits, Settings};

/// A look-up that takes longer has failed; the client is better off with a miss.
const LOAD_MS_MAX: u64 = 2_000;

/// Events of the journal that one statement reads.
const EVENTS_AT_ONCE: i64 = 5_000;

/// What the tier and its writer share.
struct Inner {
    clock: Clock,
    when_degraded: WhenDegraded,
    queue: Mutex<Queue>,
    /// Told when there is something in the queue.
    work: Notify,
    source: OnceLock<Weak<dyn Source>>,
    database: Database,
    /// The last sequence whose outcome is known; no data is born after it.
    reached: AtomicU64,
    oldest_birth: AtomicU64,
    rows_skipped: AtomicU64,
    rows_evicted: AtomicU64,
    /// Values that were not written because that takes too long.
    values_left_out: AtomicU64,
    /// Keys in the order of the hottest, as it was written last.
    hot_keys: AtomicU64,
    known: Known,
    look_ups: LookUps,
    /// Whether the writer has ended.
    closed: watch::Sender<bool>,
}

impl Inner {
    fn reached(&self) -> Sequence {
        Sequence::from_u64(self.reached.load(Ordering::Acquire))
    }

    fn oldest_birth(&self) -> Sequence {
        Sequence::from_u64(self.oldest_birth.load(Ordering::Acquire))
    }

    /// What a change that is in force, but not durable, is answered.
    fn answer(&self, outcome: Result<Lasting, TierError>) -> Result<Lasting, TierError> {
        match (outcome, self.when_degraded) {
            (Err(TierError::Database(_)), WhenDegraded::Accept) => Ok(Lasting::Owed),
            (outcome, _) => outcome,
        }
    }
}

/// The tier on a database that belongs to this server alone.
pub struct DatabaseTier {
    inner: Arc<Inner>,
    ran_plugins: Vec<RanPlugin>,
}

impl DatabaseTier {
    /// Opens the database at an address, makes what is missing of it, and starts its writer in
    /// `tasks`.
    ///
    /// When that group stops, the writer commits what is queued and ends; so the group is to be
    /// stopped, or [`Tier::close`] called, after the front doors have answered their last request.
    pub async fn open(
        address: &Address,
        settings: Settings,
        clock: Clock,
        tasks: &Tasks,
    ) -> Result<(Arc<Self>, Recovered), OpenError> {
        let opened = database::open(address, settings.durability).await?;
        let inner = Arc::new(Inner {
            clock,
            when_degraded: settings.when_degraded,
            queue: Mutex::default(),
            work: Notify::new(),
            source: OnceLock::new(),
            database: opened.database,
            reached: AtomicU64::new(Sequence::start_of(opened.recovered.epoch).as_u64()),
            oldest_birth: AtomicU64::new(0),
            rows_skipped: AtomicU64::new(0),
            rows_evicted: AtomicU64::new(0),
            values_left_out: AtomicU64::new(0),
            hot_keys: AtomicU64::new(0),
            known: Known::default(),
            look_ups: LookUps::default(),
            closed: watch::Sender::new(false),
        });
        let writer = Writer::new(Arc::clone(&inner), settings, opened.session, tasks.clone());
        tasks.spawn(writer.run(tasks.stopping()));
        Ok((Arc::new(Self { inner, ran_plugins: opened.ran_plugins }), opened.recovered))
    }

    /// Hands out the events of the journal in their order, without what they named: there may be
    /// more of them than fit into memory with that.
    pub async fn read_events(&self, mut note: impl FnMut(Record)) -> Result<(), TierError> {
        let mut after = Sequence::from_u64(0);
        loop {
            let found = self.inner.database.events_after(after, EVENTS_AT_ONCE).await;
            let Events { records, last } = found.map_err(told)?;
            records.into_iter().for_each(&mut note);
            let Some(last) = last else { return Ok(()) };
            after = last;
        }
    }

    /// Gives records what they named, but for those that name something already. Beyond so many
    /// targets together each names everything.
    pub async fn read_targets(
        &self,
        mut records: Vec<Record>,
        targets_max: usize,
    ) -> Result<Vec<Record>, TierError> {
        let mut count = 0;
        for record in &mut records {
            if !record.invalidation.targets.is_empty() {
                continue;
            }
            let targets = match count < targets_max {
                true => self.inner.database.targets_of(record.sequence).await.map_err(told)?,
                false => vec![(Target::Everything, Mode::Hard)],
            };
            count += targets.len();
            let cause = record.invalidation.cause.clone();
            record.invalidation = Arc::new(Invalidation { targets, cause });
        }
        Ok(records)
    }

    /// Rows that were found not to be as they were written, and left out.
    pub fn rows_skipped(&self) -> u64 {
        self.inner.rows_skipped.load(Ordering::Relaxed)
    }
}

impl Tier for DatabaseTier {
    fn attach(&self, source: Weak<dyn Source>) {
        // Called once; a second memory above the same tables is no case.
        let _ = self.inner.source.set(source);
    }

    fn commit(&self, record: Record, then: Committed) {
        reach(Point::SequenceTaken);
        {
            let mut queue = self.inner.queue.lock();
            if queue.life != Life::Closed {
                let inner = Arc::clone(&self.inner);
                let then = move |outcome| then(inner.answer(outcome));
                queue.push_record(record, Box::new(then));
                drop(queue);
                self.inner.work.notify_one();
                reach(Point::RecordQueued);
                return;
            }
        }
        // All that came before have been called back.
        then(Err(TierError::Closed));
    }

    fn write(&self, key: &Key) -> BoxFuture<Result<Lasting, TierError>> {
        let (waiter, durable) = oneshot::channel();
        {
            let mut queue = self.inner.queue.lock();
            if queue.life == Life::Closed {
                return Box::pin(std::future::ready(Err(TierError::Closed)));
            }
            if queue.is_refusing {
                queue.push_key(key, None);
                let refusal = TierError::Database(queue.problem().unwrap_or_default());
                return Box::pin(std::future::ready(self.inner.answer(Err(refusal))));
            }
            queue.push_key(key, Some(waiter));
        }
        self.inner.work.notify_one();
        reach(Point::KeyQueued);
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let outcome = durable.await.unwrap_or(Err(TierError::Closed));
            inner.answer(outcome.map(|()| Lasting::Durable))
        })
    }

    fn load(&self, key: &Key) -> BoxFuture<Result<Vec<Row>, TierError>> {
        let inner = Arc::clone(&self.inner);
        let key = key.clone();
        Box::pin(async move {
            if !inner.queue.lock().is_loadable(&key)? {
                return Ok(Vec::new());
            }
            if !inner.known.may_have(&key) {
                return Ok(Vec::new());
            }
            let found = in_time(inner.database.rows_of(&key)).await;
            inner.look_ups.note(&found, inner.clock.now_ms());
            let found = found?;
            if !found.rows.is_empty() {
                reach(Point::RowsFound);
            }
            // Asked after the look-up: what it found can't be born later.
            let Found { mut rows, skipped } = found.plausible(inner.reached());
            if skipped > 0 {
                inner.rows_skipped.fetch_add(skipped as u64, Ordering::Relaxed);
                tracing::warn!(skipped, "database has rows that can't be read");
            }
            if !inner.queue.lock().is_loadable(&key)? {
                return Ok(Vec::new());
            }
            let oldest = Birth::at(inner.oldest_birth());
            rows.retain(|row| row.birth >= oldest);
            Ok(rows)
        })
    }

    fn latest(&self, before: i64, limit: usize) -> BoxFuture<Result<Vec<Placed>, TierError>> {
        let inner = Arc::clone(&self.inner);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        Box::pin(async move {
            let found = in_time(inner.database.rows_before(before, limit)).await?;
            let placed = |row: Candidate| {
                let key = Key::new(&row.key).ok()?;
                Some(Placed { key, place: row.id })
            };
            Ok(found.into_iter().filter_map(placed).collect())
        })
    }

    fn write_hottest(&self, keys: &[Key]) {
        let Some(order) = hot::encode(keys) else { return };
        self.inner.queue.lock().hottest = Some(order);
        self.inner.work.notify_one();
    }

    fn hottest(&self) -> BoxFuture<Result<Vec<Key>, TierError>> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let Some(found) = in_time(inner.database.hottest()).await? else {
                return Ok(Vec::new());
            };
            let keys = hot::decode(&found);
            if keys.is_none() {
                tracing::warn!("order of the hottest keys can't be read");
            }
            Ok(keys.unwrap_or_default())
        })
    }

    fn oldest_birth(&self) -> Sequence {
        self.inner.oldest_birth()
    }

    fn status(&self) -> Status {
        let rows_skipped = self.rows_skipped();
        let now_ms = self.inner.clock.now_ms();
        let queue = self.inner.queue.lock();
        let evicted = self.inner.rows_evicted.load(Ordering::Relaxed);
        let spared = self.inner.known.spared();
        let knows_keys = self.inner.known.is_complete();
        let degraded = queue.problem().or_else(|| queue.pace.problem(now_ms));
        let is_writing = degraded.is_none();
        let degraded = degraded.or_else(|| self.inner.look_ups.problem(now_ms));
        let queued = queue.len();
        let hot_keys = self.inner.hot_keys.load(Ordering::Relaxed);
        let left_out = self.inner.values_left_out.load(Ordering::Relaxed);
        Status {
            degraded,
            is_writing,
            queued,
            rows_skipped,
            evicted,
            left_out,
            spared,
            knows_keys,
            hot_keys,
        }
    }

    fn close(&self) -> BoxFuture<()> {
        self.inner.queue.lock().close();
        self.inner.work.notify_one();
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            // The sender is in `inner`, so waiting can't fail.
            let _ = inner.closed.subscribe().wait_for(|is_closed| *is_closed).await;
            inner.database.close().await;
        })
    }
}

impl Drop for DatabaseTier {
    /// Nobody can add work any more: the writer may end.
    fn drop(&mut self) {
        self.inner.queue.lock().close();
        self.inner.work.notify_one();
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T, DatabaseError>>) -> Result<T, TierError> {
    match tokio::time::timeout(Duration::from_millis(LOAD_MS_MAX), work).await {
        Ok(outcome) => outcome.map_err(told),
        Err(_) => Err(TierError::Database(format!("no answer in {LOAD_MS_MAX} ms"))),
    }
}

fn told(error: DatabaseError) -> TierError {
    TierError::Database(error.to_string())
}
