//! Records that were refused and are to be written all the same, so that what they name is in force
//! after a restart, too.
//!
//! # Invariants
//! - They leave in the order in which they were refused.
//! - Bounded: past [`OWED_COST_MAX`] they become one record of everything, at the highest of their
//!   sequences. Intents that have not ended stay what they are: what was announced is shut after a
//!   restart, too. So does each source's last event, with the highest number: it may be held, and
//!   makes everything wrong once more then.
//! - Noting one costs the same however many there are.
//!
//! # Not here
//! Which records are refused, and when these are written (`queue`).

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::cache::tier::Record;
use crate::model::{Cause, Invalidation, Mode, Passage, Target};

/// What is remembered record by record: 100,000 records of one target, some 50 MB.
pub(super) const OWED_COST_MAX: usize = 200_000;

/// Records of fewer targets are not divided.
const DIVISIBLE_TARGETS_MIN: usize = 200;

/// What a record costs to remember and to write, about: itself, and each of its targets.
pub(super) fn cost_of(record: &Record) -> usize {
    1 + record.invalidation.targets.len()
}

/// The records, the oldest first.
#[derive(Default)]
pub(super) struct Owed {
    records: VecDeque<Record>,
    cost: usize,
}

impl Owed {
    /// Notes records that come after all that are there.
    pub(super) fn push_last(&mut self, records: Vec<Record>) {
        for record in records {
            self.cost += cost_of(&record);
            self.records.push_back(record);
        }
        self.bound();
    }

    /// Notes records that come before all that are there.
    pub(super) fn push_first(&mut self, records: Vec<Record>) {
        for record in records.into_iter().rev() {
            self.cost += cost_of(&record);
            self.records.push_front(record);
        }
        self.bound();
    }

    /// Takes out the first, unless it costs more than this.
    pub(super) fn take(&mut self, cost_max: usize) -> Option<Record> {
        let first = self.records.front().filter(|first| cost_of(first) <= cost_max)?;
        self.cost -= cost_of(first);
        self.records.pop_front()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    fn bound(&mut self) {
        if self.cost > OWED_COST_MAX {
            self.become_everything();
        }
    }

    fn become_everything(&mut self) {
        let records = Vec::from(std::mem::take(&mut self.records));
        // Not that of the last: one that ends what the fence has forgotten has an old sequence.
        let Some(highest) = records.iter().max_by_key(|record| record.sequence) else { return };
        let highest = Record { passage: Passage::Unchanged, ..highest.clone() };
        let events = last_events(&records);
        let kept = passages_of(records).into_iter().chain(events).chain([highest]);
        self.records = kept.map(of_everything).collect();
        self.cost = self.records.iter().map(cost_of).sum();
    }
}

/// The same, of everything.
fn of_everything(record: Record) -> Record {
    let targets = vec![(Target::Everything, Mode::Hard)];
    let cause = record.invalidation.cause.clone();
    Record { invalidation: Arc::new(Invalidation { targets, cause }), ..record }
}

/// The records that shut something which none of them opens, and those that open what an earlier
/// one, of which nothing is owed, has shut. Where a shut one was written although it was refused,
/// and is opened by none now, it opens when its time is over. Of the flushes that are to come, the
/// last counts.
fn passages_of(records: Vec<Record>) -> Vec<Record> {
    let mut kept: Vec<Option<Record>> = Vec::new();
    let mut shut: HashMap<String, Vec<usize>> = HashMap::new();
    let mut opened: HashSet<String> = HashSet::new();
    let mut flush: Option<usize> = None;
    for record in records {
        match &record.passage {
            Passage::Unchanged => continue,
            Passage::Shut(intent) => {
                shut.entry(intent.name.clone()).or_default().push(kept.len());
            }
            Passage::Open(name) => {
                let ended = shut.remove(name);
                for place in ended.iter().flatten() {
                    if let Some(record) = kept.get_mut(*place) {
                        *record = None;
                    }
                }
                if ended.is_some() || !opened.insert(name.clone()) {
                    continue;
                }
            }
            Passage::FlushAt(_) | Passage::Flushed(_) => {
                let before = flush.replace(kept.len());
                if let Some(record) = before.and_then(|place| kept.get_mut(place)) {
                    *record = None;
                }
            }
        }
        kept.push(Some(record));
    }
    kept.into_iter().flatten().collect()
}

/// The last event of each source, but for those that are applied again, with the highest number
/// that the source has given.
fn last_events(records: &[Record]) -> Vec<Record> {
    let mut numbers: HashMap<&str, u64> = HashMap::new();
    let mut events: BTreeMap<&str, &Record> = BTreeMap::new();
    for record in records {
        let cause = &record.invalidation.cause;
        let source = cause.source.as_str();
        if let Some(number) = cause.number {
            let highest = numbers.entry(source).or_default();
            *highest = number.max(*highest);
        }
        // Without an id it is an announcement, which is kept for its number alone.
        let is_event = cause.event_id.is_some() && !cause.is_again;
        let is_first_of_number = cause.number.is_some() && !events.contains_key(source);
        if is_event || is_first_of_number {
            events.insert(source, record);
        }
    }
    let events = events.into_iter().map(|(source, record)| {
        let cause =
            Cause { number: numbers.get(source).copied(), ..record.invalidation.cause.clone() };
        let invalidation = Arc::new(Invalidation { targets: Vec::new(), cause });
        Record { sequence: record.sequence, invalidation, passage: Passage::Unchanged }
    });
    events.collect()
}

/// A record that was too much for one transaction, in two. The journal then has the first half of
/// it; an event, which may be looked for in it, becomes everything instead.
pub(super) fn divide(record: Record) -> Vec<Record> {
    let Invalidation { targets, cause } = &*record.invalidation;
    if targets.len() < DIVISIBLE_TARGETS_MIN {
        return vec![record];
    }
    if cause.event_id.is_some() {
        return vec![of_everything(record)];
    }
    let half = |targets: &[_]| {
        let invalidation = Invalidation { targets: targets.to_vec(), cause: cause.clone() };
        Record { invalidation: Arc::new(invalidation), ..record.clone() }
    };
    // Each shuts or opens what the whole does: an intent may have several rows.
    let (first, second) = targets.split_at(targets.len() / 2);
    vec![half(first), half(second)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Intent, Sequence, Tag};

    fn record(n: usize, tags: usize, passage: Passage) -> Record {
        let tags = (0..tags).map(|tag| Tag::new(&format!("{n}:{tag}")).unwrap());
        let targets = tags.map(|tag| (Target::Tag(tag), Mode::Hard)).collect();
        let invalidation = Arc::new(Invalidation { targets, cause: Cause::default() });
        Record { sequence: Sequence::from_u64(n as u64), invalidation, passage }
    }

    fn shut(name: &str) -> Passage {
        Passage::Shut(Intent { name: name.into(), until_ms: 1 })
    }

    fn sequences(records: &[Record]) -> Vec<u64> {
        records.iter().map(|record| record.sequence.as_u64()).collect()
    }

    #[test]
    fn what_is_put_back_comes_before_what_was_not_taken() {
        let mut owed = Owed::default();
        owed.push_last((0..4).map(|n| record(n, 2, Passage::Unchanged)).collect());
        let taken: Vec<_> = (0..2).filter_map(|_| owed.take(3)).collect();
        assert_eq!(owed.take(2).map(|record| record.sequence), None, "it costs 3");
        owed.push_first(taken);
        owed.push_last(vec![record(9, 0, Passage::Unchanged)]);
        let all: Vec<_> = std::iter::from_fn(|| owed.take(3)).collect();
        assert_eq!(sequences(&all), [0, 1, 2, 3, 9]);
        assert_eq!((owed.cost, owed.is_empty()), (0, true));
    }

    #[test]
    fn records_without_targets_are_bounded_too_and_intents_outlast_that() {
        let mut owed = Owed::default();
        owed.push_last(vec![record(1, 0, Passage::Open("of before".into()))]);
        owed.push_last(vec![record(2, 5, shut("announced"))]);
        owed.push_last(vec![record(2, 0, Passage::FlushAt(7)), record(2, 0, Passage::FlushAt(8))]);
        for n in 3..OWED_COST_MAX + 1_002 {
            let name = format!("n{}", n / 2);
            let passage = if n % 2 == 0 { shut(&name) } else { Passage::Open(name) };
            owed.push_last(vec![record(n, 0, passage)]);
            assert!(owed.len() <= OWED_COST_MAX && owed.cost <= OWED_COST_MAX);
        }
        owed.push_last(vec![record(9, OWED_COST_MAX, Passage::Unchanged)]);
        let left: Vec<_> = std::iter::from_fn(|| owed.take(usize::MAX)).collect();
        // One that the first of these opens was shut before all of them.
        let passages: Vec<_> = left.iter().map(|record| record.passage.clone()).collect();
        let first = Passage::Open("of before".into());
        let of_before = Passage::Open("n1".into());
        let flush = Passage::FlushAt(8);
        assert_eq!(passages, [first, shut("announced"), flush, of_before, Passage::Unchanged]);
        let everything = [(Target::Everything, Mode::Hard)];
        assert!(left.iter().all(|record| record.invalidation.targets == everything));
    }

    #[test]
    fn everything_has_the_highest_sequence_also_where_the_last_record_has_an_old_one() {
        let mut owed = Owed::default();
        let (last, old) = (record(7, OWED_COST_MAX, Passage::Unchanged), 2);
        owed.push_last(vec![last, record(old, 1, Passage::Unchanged)]);
        let left: Vec<_> = std::iter::from_fn(|| owed.take(usize::MAX)).collect();
        assert_eq!(sequences(&left), [7]);
    }

    #[test]
    fn last_event_of_each_source_outlasts_the_bound_with_the_highest_number() {
        let event = |n, source: &str, id: &str, number, is_again| {
            let (source, event_id) = (source.into(), Some(id.into()));
            let cause = Cause { source, event_id, at_ms: n as u64, number, is_again };
            let Invalidation { targets, .. } = &*record(n, 3, Passage::Unchanged).invalidation;
            let invalidation = Arc::new(Invalidation { targets: targets.clone(), cause });
            Record { invalidation, ..record(n, 0, Passage::Unchanged) }
        };
        let mut owed = Owed::default();
        owed.push_last(vec![
            event(1, "shop", "a", Some(9), false),
            event(2, "shop", "b", Some(8), false),
            event(3, "blog", "c", None, false),
            event(4, "shop", "a", None, true),
            record(5, OWED_COST_MAX, Passage::Unchanged),
        ]);
        let left: Vec<_> = std::iter::from_fn(|| owed.take(usize::MAX)).collect();
        assert_eq!(sequences(&left), [3, 2, 5]);
        let causes = left.iter().map(|record| &record.invalidation.cause);
        let told: Vec<_> = causes.map(|cause| (cause.event_id.as_deref(), cause.number)).collect();
        assert_eq!(told, [(Some("c"), None), (Some("b"), Some(9)), (None, None)]);
        let everything = [(Target::Everything, Mode::Hard)];
        assert!(left.iter().all(|record| record.invalidation.targets == everything));
    }

    #[test]
    fn record_that_is_divided_names_the_same_and_an_event_everything() {
        let whole = record(1, 999, shut("a"));
        let halves = divide(whole.clone());
        let named: Vec<_> =
            halves.iter().flat_map(|half| half.invalidation.targets.clone()).collect();
        assert_eq!((halves.len(), &named), (2, &whole.invalidation.targets));
        assert!(halves.iter().all(|half| half.passage == whole.passage));
        assert_eq!(divide(record(1, 10, Passage::Unchanged)).len(), 1);
        let cause = Cause { event_id: Some("e".into()), ..Cause::default() };
        let invalidation = Invalidation { targets: named, cause };
        let event = divide(Record { invalidation: Arc::new(invalidation), ..whole });
        assert_eq!(event[0].invalidation.targets, [(Target::Everything, Mode::Hard)]);
    }
}
