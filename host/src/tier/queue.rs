//! What waits for the writer: dirty keys with those who wait for them, and journal records.
//!
//! # Invariants
//! - A key is in `dirty` from the call that made it so until a batch takes it, then in `writing`
//!   until that batch has been committed and its callbacks have run, or in `dirty` again.
//! - Bounded: past [`DIRTY_KEYS_MAX`] keys are no longer remembered one by one. The queue is then
//!   *overrun*: nothing is loaded until a batch has emptied the table of entries.
//! - Records leave in the order in which they came, which is that of their sequences.
//! - A record that is refused is in force in memory. What it names beside keys is *owed*: it goes
//!   into the next batch that succeeds, before newer records, so that it is in force after a
//!   restart, too. Bounded: past [`OWED_TARGETS_MAX`] targets everything is owed.
//!
//! # Not here
//! No SQL, no waiting: one short lock around plain data.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use foldhash::fast::RandomState;
use tokio::sync::oneshot;

use super::hot::Order;
use super::pace::Pace;
use crate::cache::tier::{Committed, Lasting, Record, TierError};
use crate::model::{Invalidation, Key, Mode, Passage, Target};

/// Keys remembered one by one; at 100 bytes each, 10 MB.
pub(super) const DIRTY_KEYS_MAX: usize = 100_000;

/// Targets of refused records that are remembered one by one.
pub(super) const OWED_TARGETS_MAX: usize = 100_000;

/// Somebody who waits until a key is durable.
pub(super) type Waiter = oneshot::Sender<Result<(), TierError>>;

/// How far the writer's life has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Life {
    /// It takes work.
    #[default]
    Open,
    /// It takes what is queued, then ends.
    Closing,
    /// It has ended: nobody will do what is queued now.
    Closed,
}

/// Records taken together, each with its callback.
pub(super) type Records = Vec<(Record, Committed)>;

/// The work of one transaction apart from rows.
#[derive(Default)]
pub(super) struct Batch {
    /// Whether the table of entries is to be emptied first.
    pub is_wiping: bool,
    /// Keys whose rows it replaces, with those who wait.
    pub keys: Vec<(Key, Vec<Waiter>)>,
    /// Journal records, in order.
    pub records: Records,
}

impl Batch {
    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        !self.is_wiping && self.keys.is_empty() && self.records.is_empty()
    }
}

/// The queue itself; the owner locks it.
#[derive(Default)]
pub(super) struct Queue {
    dirty: HashMap<Key, Vec<Waiter>, RandomState>,
    /// The keys of `dirty`, first come first.
    line: VecDeque<Key>,
    writing: HashSet<Key, RandomState>,
    records: Records,
    /// Refused, and to be written all the same; nobody waits for them.
    owed: Vec<Record>,
    is_overrun: bool,
    is_wiping: bool,
    /// The order of the hottest keys as it is to be written, where there is a new one; nobody waits
    /// for it.
    pub(super) hottest: Option<Order>,
    /// What is wrong, while something is.
    pub(super) degraded: Option<String>,
    pub(super) pace: Pace,
    pub(super) life: Life,
}

impl Queue {
    /// Notes that the rows of a key are out of date, and who waits for the new ones.
    pub(super) fn push_key(&mut self, key: &Key, waiter: Option<Waiter>) {
        if let Some(waiters) = self.dirty.get_mut(key) {
            waiters.extend(waiter);
            return;
        }
        if self.dirty.len() >= DIRTY_KEYS_MAX {
            self.is_overrun = true;
            if let Some(waiter) = waiter {
                // The waiter may have gone away.
                let _ = waiter.send(Err(overrun()));
            }
            return;
        }
        self.dirty.insert(key.clone(), waiter.into_iter().collect());
        self.line.push_back(key.clone());
    }

    /// Queues a record.
    pub(super) fn push_record(&mut self, record: Record, then: Committed) {
        self.records.push((record, then));
    }

    /// Begins a batch: what is owed, then all records; keys follow by [`Queue::take_key`].
    pub(super) fn take(&mut self) -> Batch {
        self.is_wiping = std::mem::take(&mut self.is_overrun);
        let owed = std::mem::take(&mut self.owed).into_iter();
        let nobody = |record| (record, Box::new(|_: Result<Lasting, TierError>| ()) as Committed);
        let records = owed.map(nobody).chain(std::mem::take(&mut self.records)).collect();
        Batch { is_wiping: self.is_wiping, keys: Vec::new(), records }
    }

    /// Takes the key that has waited longest into the batch.
    pub(super) fn take_key(&mut self) -> Option<(Key, Vec<Waiter>)> {
        let key = self.line.pop_front()?;
        let waiters = self.dirty.remove(&key).unwrap_or_default();
        self.writing.insert(key.clone());
        Some((key, waiters))
    }

    /// The batch is durable and its callbacks have run: its keys may be loaded again.
    pub(super) fn finish(&mut self) {
        self.writing.clear();
        self.is_wiping = false;
    }

    /// The batch was not written: its keys, and those that its records remove, are dirty as before.
    pub(super) fn put_back(&mut self, batch: &Batch, reason: String) {
        for (key, _) in &batch.keys {
            self.push_key(key, None);
        }
        self.owe(&batch.records);
        self.is_overrun |= std::mem::take(&mut self.is_wiping);
        self.writing.clear();
        self.degraded = Some(reason);
    }

    /// Everybody who waits for something while nothing can be written; the keys stay dirty.
    pub(super) fn take_waiting(&mut self) -> Batch {
        let records = std::mem::take(&mut self.records);
        self.owe(&records);
        let keys = self.dirty.iter_mut().filter(|(_, waiters)| !waiters.is_empty());
        let keys = keys.map(|(key, waiters)| (key.clone(), std::mem::take(waiters))).collect();
        Batch { is_wiping: false, keys, records }
    }

    /// Refused records take place in memory all the same: rows of the keys that they remove are out
    /// of date, and the rest of what they name is to be written when it can be.
    fn owe(&mut self, records: &Records) {
        for (record, _) in records {
            let (keys, wide): (Vec<_>, Vec<_>) = record
                .invalidation
                .targets
                .iter()
                .cloned()
                .partition(|(target, _)| matches!(target, Target::Key(_)));
            for (target, _) in &keys {
                if let Target::Key(key) = target {
                    self.push_key(key, None);
                }
            }
            if wide.is_empty() && record.passage == Passage::Unchanged {
                continue;
            }
            let cause = record.invalidation.cause.clone();
            let invalidation = Arc::new(Invalidation { targets: wide, cause });
            self.owed.push(Record { invalidation, ..record.clone() });
        }
        let targets = self.owed.iter().map(|record| record.invalidation.targets.len());
        if targets.sum::<usize>() > OWED_TARGETS_MAX {
            self.owe_everything();
        }
    }

    /// In place of all that is owed, one record of everything.
    fn owe_everything(&mut self) {
        let Some(last) = self.owed.pop() else { return };
        let targets = vec![(Target::Everything, Mode::Hard)];
        let cause = last.invalidation.cause.clone();
        let invalidation = Arc::new(Invalidation { targets, cause });
        self.owed = vec![Record { invalidation, passage: Passage::Unchanged, ..last }];
    }

    /// Lets the writer end once everything queued is done.
    pub(super) fn close(&mut self) {
        if self.life == Life::Open {
            self.life = Life::Closing;
        }
    }

    /// Whether what the tables have of a key may be returned: `Ok(false)` if it is out of date.
    pub(super) fn is_loadable(&self, key: &Key) -> Result<bool, TierError> {
        if self.life == Life::Closed {
            return Err(TierError::Closed);
        }
        if let Some(reason) = self.problem() {
            return Err(TierError::Database(reason));
        }
        Ok(!self.dirty.contains_key(key) && !self.writing.contains(key))
    }

    /// What is wrong, in words.
    pub(super) fn problem(&self) -> Option<String> {
        let is_incomplete = self.is_overrun || self.is_wiping;
        self.degraded.clone().or_else(|| is_incomplete.then(overrun_text))
    }

    /// Whether nothing waits to be written.
    pub(super) fn is_drained(&self) -> bool {
        let has_records = !self.records.is_empty() || !self.owed.is_empty();
        self.dirty.is_empty() && !has_records && !self.is_overrun
    }

    /// Keys that wait or are being written, and records that are owed.
    pub(super) fn len(&self) -> usize {
        self.dirty.len() + self.writing.len() + self.owed.len()
    }
}

fn overrun_text() -> String {
    format!("more than {DIRTY_KEYS_MAX} keys wait to be written")
}

fn overrun() -> TierError {
    TierError::Database(overrun_text())
}
