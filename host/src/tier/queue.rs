//! What waits for the writer: dirty keys with those who wait for them, and journal records.
//!
//! # Invariants
//! - A key is in `dirty` from the call that made it so until a batch takes it, then in `writing`
//!   until that batch has been committed and its callbacks have run, or in `dirty` again.
//! - Bounded: past [`DIRTY_KEYS_MAX`] keys are no longer remembered one by one. The queue is then
//!   *overrun*: nothing is loaded until a batch has emptied the table of entries.
//! - Records leave in the order in which they came, which is that of their sequences; in pieces,
//!   because a transaction of all might take too long at every attempt.
//! - A record that is refused is in force in memory. The keys that it names join the line; and if
//!   there is anything else to it, it is *owed*: it is written before newer records, when something
//!   can be (`owed`), with all that it names. It takes no keys out then: what memory has of them is
//!   written by the line, and may be newer.
//!
//! # Not here
//! No SQL, no waiting: one short lock around plain data.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};

use foldhash::fast::RandomState;
use tokio::sync::oneshot;

use super::hot::Order;
use super::owed::{self, Owed, cost_of};
use super::pace::Pace;
use super::ran_plugins::Notes;
use crate::cache::tier::{Committed, Lasting, Record, TierError};
use crate::model::{Invalidation, Key, Passage, Target};

/// Keys remembered one by one; at 100 bytes each, 10 MB.
pub(super) const DIRTY_KEYS_MAX: usize = 100_000;

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

/// Why a transaction, or a step of something else, failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// In words.
    pub reason: String,
    /// Whether it was given up because of the time that it took.
    pub is_late: bool,
}

/// The work of one transaction apart from rows.
#[derive(Default)]
pub(super) struct Batch {
    /// Whether the table of entries is to be emptied first.
    pub is_wiping: bool,
    /// Keys whose rows it replaces, with those who wait.
    pub keys: Vec<(Key, Vec<Waiter>)>,
    /// Journal records, in order.
    pub records: Records,
    /// How many of these, the first, are owed.
    pub owed: usize,
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
    records: VecDeque<(Record, Committed)>,
    /// Refused, and to be written all the same; nobody waits for them.
    owed: Owed,
    /// Whether the first key of the line is to have a batch of its own.
    is_large_next: bool,
    is_overrun: bool,
    is_wiping: bool,
    /// The order of the hottest keys as it is to be written, where there is a new one; nobody waits
    /// for it.
    pub(super) hottest: Option<Order>,
    /// Whether some key of `dirty` has somebody who waits.
    has_waiters: bool,
    /// Whether no key can be written now: nobody waits for one.
    pub(super) is_refusing: bool,
    /// What is to be noted of plugins, in order.
    pub(super) notes: VecDeque<Notes>,
    /// What is wrong, while something is.
    pub(super) degraded: Option<String>,
    pub(super) pace: Pace,
    pub(super) life: Life,
}

impl Queue {
    /// Notes that the rows of a key are out of date, and who waits for the new ones.
    pub(super) fn push_key(&mut self, key: &Key, waiter: Option<Waiter>) {
        self.has_waiters |= waiter.is_some();
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
        self.records.push_back((record, then));
    }

    /// Begins a batch: what is owed, then records, up to this cost together, or one that costs
    /// more; keys follow by [`Queue::take_key`].
    pub(super) fn take(&mut self, cost_max: usize) -> Batch {
        self.is_wiping = std::mem::take(&mut self.is_overrun);
        let is_keys_turn = std::mem::take(&mut self.is_large_next) && !self.line.is_empty();
        let batch = if is_keys_turn { Batch::default() } else { self.take_records(cost_max) };
        Batch { is_wiping: self.is_wiping, ..batch }
    }

    /// A batch of the first records, up to this cost together, or of one that costs more.
    pub(super) fn take_records(&mut self, cost_max: usize) -> Batch {
        let owed_before = self.owed.len();
        let mut records = Vec::new();
        // The first may cost more.
        let (mut next_max, mut left) = (usize::MAX, cost_max);
        while let Some(next) = self.take_record(next_max) {
            left = left.saturating_sub(cost_of(&next.0));
            next_max = left;
            records.push(next);
        }
        Batch { records, owed: owed_before - self.owed.len(), ..Batch::default() }
    }

    /// The next record, unless it costs more than this.
    fn take_record(&mut self, cost_max: usize) -> Option<(Record, Committed)> {
        if !self.owed.is_empty() {
            let nobody = Box::new(|_: Result<Lasting, TierError>| ());
            return self.owed.take(cost_max).map(|record| (record, nobody as Committed));
        }
        self.records.front().filter(|(record, _)| cost_of(record) <= cost_max)?;
        self.records.pop_front()
    }

    /// Takes the key that has waited longest into the batch.
    pub(super) fn take_key(&mut self) -> Option<(Key, Vec<Waiter>)> {
        let key = self.line.pop_front()?;
        let waiters = self.dirty.remove(&key).unwrap_or_default();
        self.writing.insert(key.clone());
        Some((key, waiters))
    }

    /// Gives a key back that is too large for the batch: the next one is its own.
    pub(super) fn return_key(&mut self, key: Key, waiters: Vec<Waiter>) {
        self.writing.remove(&key);
        self.is_large_next = true;
        match self.dirty.entry(key.clone()) {
            // Overwritten since; it is in the line.
            Entry::Occupied(mut dirty) => dirty.get_mut().extend(waiters),
            Entry::Vacant(dirty) => {
                dirty.insert(waiters);
                self.line.push_front(key);
            }
        }
    }

    /// The batch is durable and its callbacks have run: its keys may be loaded again.
    pub(super) fn finish(&mut self) {
        self.writing.clear();
        self.is_wiping = false;
    }

    /// The batch was not written: its keys, and those that its records remove, are dirty as before.
    /// Where it was one record that was too much for the time, that comes in two next time.
    pub(super) fn put_back(&mut self, batch: &Batch, failure: &Failure) {
        for (key, _) in &batch.keys {
            self.push_key(key, None);
        }
        let mut owed = self.owed_of(batch.records.iter().map(|(record, _)| record));
        if failure.is_late && batch.records.len() == 1 {
            owed = owed.into_iter().flat_map(owed::divide).collect();
        }
        // They were taken from the front of what is owed.
        self.owed.push_first(owed);
        self.is_overrun |= std::mem::take(&mut self.is_wiping);
        self.writing.clear();
        self.degraded = Some(failure.reason.clone());
        self.is_refusing = true;
    }

    /// Everybody who waits for something while nothing can be written; the keys stay dirty.
    pub(super) fn take_waiting(&mut self) -> Batch {
        let records: Records = std::mem::take(&mut self.records).into();
        let owed = self.owed_of(records.iter().map(|(record, _)| record));
        self.owed.push_last(owed);
        Batch { records, ..self.take_waiting_keys() }
    }

    /// Everybody who waits for a key; the keys stay dirty. There may be very many of these, and
    /// each refusal comes here: they are looked through only where somebody waits.
    pub(super) fn take_waiting_keys(&mut self) -> Batch {
        if !std::mem::take(&mut self.has_waiters) {
            return Batch::default();
        }
        let keys = self.dirty.iter_mut().filter(|(_, waiters)| !waiters.is_empty());
        let keys = keys.map(|(key, waiters)| (key.clone(), std::mem::take(waiters))).collect();
        Batch { keys, ..Batch::default() }
    }

    /// How many keys wait for a batch.
    pub(super) fn line_len(&self) -> usize {
        self.line.len()
    }

    /// Refused records take place in memory all the same: rows of the keys that they remove are out
    /// of date, and what else there is to them is to be written when it can be. An event may be
    /// applied again from the journal, and an intent shuts from its row, keys as all the rest.
    fn owed_of<'a>(&mut self, records: impl Iterator<Item = &'a Record>) -> Vec<Record> {
        let mut owed = Vec::new();
        for record in records {
            let Invalidation { targets, cause } = &*record.invalidation;
            let mut is_owed = record.passage != Passage::Unchanged || cause.event_id.is_some();
            for (target, _) in targets {
                match target {
                    Target::Key(key) => self.push_key(key, None),
                    _ => is_owed = true,
                }
            }
            if is_owed {
                owed.push(record.clone());
            }
        }
        owed
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Cause, Mode, Sequence, Tag};

    const LATE: fn() -> Failure = || Failure { reason: "late".into(), is_late: true };

    fn push(queue: &mut Queue, n: u64, tags: usize) {
        let tags = (0..tags).map(|tag| Tag::new(&format!("{n}:{tag}")).unwrap());
        let targets = tags.map(|tag| (Target::Tag(tag), Mode::Hard)).collect();
        let invalidation = Arc::new(Invalidation { targets, cause: Cause::default() });
        let (sequence, passage) = (Sequence::from_u64(n), Passage::Unchanged);
        queue.push_record(Record { sequence, invalidation, passage }, Box::new(|_| ()));
    }

    fn sequences(batch: &Batch) -> Vec<u64> {
        batch.records.iter().map(|(record, _)| record.sequence.as_u64()).collect()
    }

    fn key(n: usize) -> Key {
        Key::new(format!("k{n}").as_bytes()).unwrap()
    }

    #[test]
    fn records_are_taken_in_pieces_in_their_order_and_refused_ones_again_before_newer_ones() {
        let mut queue = Queue::default();
        for n in 0..5 {
            push(&mut queue, n, 3);
        }
        push(&mut queue, 5, 100);
        let first = queue.take(8);
        assert_eq!(sequences(&first), [0, 1]);
        queue.put_back(&first, &LATE());
        push(&mut queue, 6, 3);
        assert_eq!(sequences(&queue.take(4)), [0]);
        let batches: Vec<_> = (0..3).map(|_| sequences(&queue.take(8))).collect();
        assert_eq!(batches, [vec![1, 2], vec![3, 4], vec![5]]);
        assert_eq!(sequences(&queue.take(8)), [6]);
        assert!(queue.take(8).is_empty() && queue.is_drained());
    }

    #[test]
    fn one_record_that_took_too_long_comes_in_two_and_one_that_was_refused_otherwise_does_not() {
        for (is_late, batches) in [(true, 2), (false, 1)] {
            let mut queue = Queue::default();
            push(&mut queue, 1, 1_000);
            let batch = queue.take(10);
            queue.put_back(&batch, &Failure { reason: "wrong".into(), is_late });
            let pieces: Vec<_> = std::iter::from_fn(|| {
                Some(queue.take(10)).filter(|batch| !batch.records.is_empty())
            })
            .collect();
            assert_eq!(pieces.len(), batches);
            let targets = pieces.iter().flat_map(|piece| &piece.records);
            let targets: usize = targets.map(|(record, _)| record.invalidation.targets.len()).sum();
            assert_eq!(targets, 1_000);
        }
    }

    #[test]
    fn large_key_has_the_next_batch_for_itself_whatever_else_waits() {
        let mut queue = Queue::default();
        for n in 0..3 {
            queue.push_key(&key(n), None);
            push(&mut queue, n as u64, 1);
        }
        assert_eq!(sequences(&queue.take(2)), [0]);
        let (large, waiters) = queue.take_key().unwrap();
        queue.return_key(large.clone(), waiters);
        assert_eq!(queue.is_loadable(&large), Ok(false));
        queue.finish();
        assert!(queue.take(2).records.is_empty());
        assert_eq!(queue.take_key().map(|(key, _)| key), Some(large));
        queue.finish();
        assert_eq!(sequences(&queue.take(9)), [1, 2]);
        assert_eq!(queue.take_key().map(|(found, _)| found), Some(key(1)));
    }
}
