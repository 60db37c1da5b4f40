//! Events that are applied again after a delay, for origins that read from replicas: what such an
//! origin was asked soon after the change may have been computed from older data.
//!
//! # Invariants
//! - Bounded by the targets that wait: what does not fit becomes everything at its time, and at
//!   most one such wait ends in each second.
//! - What waits when the server stops is applied before the tier closes.
//! - With a tier, what waited when the server was killed waits again after the start, or is applied
//!   before it if its time has come: an event of which the journal has no second application.
//!
//! # Not here
//! Applying itself: fills that began before the second application are refused by the fence, as
//! those before the first were.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::apply::{Events, Shared};
use super::sources::Source;
use crate::cache::tier::Record;
use crate::fail_points::{Point, reach};
use crate::limits::HELD_TARGETS_MAX;
use crate::model::{Cause, Invalidation, Mode, Target};

/// What the tier has of events from before the start.
#[derive(Debug, Default)]
pub struct Earlier {
    /// The newest records of the journal, if a source holds events.
    pub journal: Vec<Record>,
    /// The highest number that each source has given to an event.
    pub numbers: Vec<(String, u64)>,
}

/// What one event made wrong, and is to make wrong again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) invalidation: Invalidation,
    /// Pages to be fetched anew after that.
    pub(super) refreshes: Vec<String>,
}

impl Held {
    fn size(&self) -> usize {
        self.invalidation.targets.len() + self.refreshes.len()
    }
}

/// What waits, by when its time comes.
#[derive(Default)]
pub(super) struct Holds {
    waiting: Mutex<Waiting>,
    /// Told when something waits that may be due before the rest.
    changed: Notify,
}

#[derive(Default)]
struct Waiting {
    /// By milliseconds since 1970 and a number that tells apart what is due at once.
    held: BTreeMap<(u64, u64), Held>,
    size: usize,
    last: u64,
}

impl Holds {
    /// Has it wait until `due_ms`.
    pub(super) fn add(&self, due_ms: u64, mut held: Held) {
        {
            let mut waiting = self.waiting.lock();
            let mut place = (due_ms, waiting.last);
            if waiting.size + held.size() > HELD_TARGETS_MAX {
                tracing::warn!("too many held events; everything will be invalidated");
                held.invalidation.targets = vec![(Target::Everything, Mode::Hard)];
                held.refreshes.clear();
                place = (due_ms.next_multiple_of(1_000), u64::MAX);
            }
            waiting.last += 1;
            waiting.size += held.size();
            let replaced = waiting.held.insert(place, held);
            waiting.size -= replaced.map_or(0, |held| held.size());
        }
        self.changed.notify_one();
    }

    /// Takes out what is due by `now_ms`, in its order.
    fn take_due(&self, now_ms: u64) -> Vec<Held> {
        let mut waiting = self.waiting.lock();
        let mut due = Vec::new();
        while let Some(first) = waiting.held.first_entry() {
            if first.key().0 > now_ms {
                break;
            }
            due.push(first.remove());
        }
        waiting.size -= due.iter().map(Held::size).sum::<usize>();
        due
    }

    fn next_due_ms(&self) -> Option<u64> {
        self.waiting.lock().held.first_key_value().map(|((due_ms, _), _)| *due_ms)
    }
}

impl Events {
    /// Applies held events when their time comes, for ever. The owner ends it by dropping the
    /// future, and calls [`Events::apply_held`] then.
    pub async fn hold_forever(&self) {
        let holds = &self.shared.holds;
        loop {
            self.shared.apply_due(self.shared.cache.clock().now_ms()).await;
            let Some(due_ms) = holds.next_due_ms() else {
                holds.changed.notified().await;
                continue;
            };
            let wait_ms = due_ms.saturating_sub(self.shared.cache.clock().now_ms());
            let wait = std::time::Duration::from_millis(wait_ms);
            let _ = tokio::time::timeout(wait, holds.changed.notified()).await;
        }
    }

    /// Applies all held events now, because nobody will later.
    pub async fn apply_held(&self) {
        self.shared.apply_due(u64::MAX).await;
    }

    /// Takes up where the last server on this tier ended, before the first event is received. What
    /// waited then waits again; what is due is applied when this returns.
    pub async fn resume(&self, earlier: Earlier) {
        let Earlier { journal, numbers } = earlier;
        self.shared.order.resume(numbers);
        let now_ms = self.shared.cache.clock().now_ms();
        let source_of = |record: &Record| {
            let source = self.shared.sources.get(&record.invalidation.cause.source);
            source.filter(|source| source.hold_ms > 0)
        };
        for (source, record) in unfinished(&journal, source_of) {
            let invalidation = Invalidation::clone(&record.invalidation);
            self.shared
                .holds
                .add(due_ms(source, record), Held { invalidation, refreshes: Vec::new() });
        }
        self.shared.apply_due(now_ms).await;
    }
}

impl Shared {
    pub(super) async fn apply_due(&self, now_ms: u64) {
        for held in self.holds.take_due(now_ms) {
            let Held { mut invalidation, refreshes } = held;
            reach(Point::HoldDue);
            let at_ms = self.cache.clock().now_ms();
            invalidation.cause =
                Cause { at_ms, number: None, is_again: true, ..invalidation.cause };
            if let Err(error) = self.cache.invalidate(invalidation).await {
                // It holds for this server; the next one finds the event unfinished.
                tracing::warn!(%error, "held event");
            }
            reach(Point::HoldApplied);
            self.metrics.held_applied.inc();
            for url in refreshes {
                (self.refresh)(url);
            }
        }
    }
}

/// The latest deliveries of events that were not applied again when their time had come: what was
/// applied again before that, because the server stopped, counts for nothing.
fn unfinished<'a>(
    journal: &'a [Record],
    source_of: impl Fn(&Record) -> Option<&'a Source>,
) -> Vec<(&'a Source, &'a Record)> {
    let mut events: HashMap<(&str, &str), Applications<'_>> = HashMap::new();
    for record in journal {
        let cause = &record.invalidation.cause;
        let (Some(source), Some(id)) = (source_of(record), cause.event_id.as_deref()) else {
            continue;
        };
        let known = events.entry((&cause.source, id)).or_default();
        if cause.is_again {
            known.again_ms = known.again_ms.max(cause.at_ms);
        } else if known.delivery.is_none_or(|(_, latest)| record.sequence > latest.sequence) {
            known.delivery = Some((source, record));
        }
    }
    let events = events.into_values().filter_map(|known| {
        known.delivery.filter(|(source, record)| known.again_ms < due_ms(source, record))
    });
    events.collect()
}

/// What the journal has of one event.
#[derive(Default)]
struct Applications<'a> {
    /// The latest one that followed a delivery.
    delivery: Option<(&'a Source, &'a Record)>,
    /// When the latest second one was, milliseconds since 1970; 0 if there was none.
    again_ms: u64,
}

/// When an event is to be applied again, milliseconds since 1970.
fn due_ms(source: &Source, record: &Record) -> u64 {
    record.invalidation.cause.at_ms.saturating_add(source.hold_ms)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Passage, Sequence, Tag};

    fn held(name: &str, targets: usize) -> Held {
        let tags = (0..targets).map(|n| Tag::new(&format!("{name}{n}")).unwrap());
        let targets = tags.map(|tag| (Target::Tag(tag), Mode::Hard)).collect();
        let invalidation = Invalidation { targets, cause: Cause::default() };
        Held { invalidation, refreshes: Vec::new() }
    }

    #[test]
    fn what_is_held_comes_out_when_it_is_due_and_in_that_order() {
        let holds = Holds::default();
        holds.add(2_000, held("later", 1));
        holds.add(1_000, held("soon", 1));
        assert_eq!(holds.next_due_ms(), Some(1_000));
        assert_eq!(holds.take_due(999), []);
        assert_eq!(holds.take_due(1_000), [held("soon", 1)]);
        holds.add(1_500, held("between", 1));
        assert_eq!(holds.take_due(u64::MAX), [held("between", 1), held("later", 1)]);
        assert_eq!((holds.next_due_ms(), holds.waiting.lock().size), (None, 0));
    }

    #[test]
    fn what_does_not_fit_becomes_everything_at_its_time_and_takes_no_more_room() {
        let holds = Holds::default();
        holds.add(500, held("large", HELD_TARGETS_MAX));
        for due_ms in 1_001..1_900 {
            holds.add(due_ms, held("more", 10));
        }
        assert_eq!(holds.take_due(1_999).len(), 1);
        let last = holds.take_due(2_000);
        assert_eq!(last.len(), 1);
        assert_eq!(last[0].invalidation.targets, [(Target::Everything, Mode::Hard)]);
        assert_eq!(holds.waiting.lock().size, 0);
    }

    #[test]
    fn an_event_is_unfinished_until_it_is_applied_again_after_its_time_and_its_last_delivery() {
        let source = Source {
            name: "shop".into(),
            secrets: Vec::new(),
            plugin: None,
            hold_ms: 1_000,
            intent_timeout_ms: 1,
        };
        let record = |n: u64, id: &str, at_ms: u64, is_again: bool| {
            let event_id = Some(id.into());
            let cause = Cause { source: "shop".into(), event_id, at_ms, number: None, is_again };
            let invalidation = Arc::new(Invalidation { targets: Vec::new(), cause });
            let passage = Passage::Unchanged;
            Record { sequence: Sequence::from_u64(n), invalidation, passage }
        };
        let journal = [
            record(9, "new", 9_800, false),
            record(8, "applied at a stop", 9_500, true),
            record(7, "applied at a stop", 9_400, false),
            record(6, "sent again after a crash", 5_100, false),
            record(5, "sent again after a crash", 5_000, false),
            record(4, "sent again later", 4_000, false),
            record(3, "sent again later", 3_000, true),
            record(2, "sent again later", 2_000, false),
            record(1, "done", 2_000, true),
            record(0, "done", 1_000, false),
        ];
        let found = unfinished(&journal, |_| Some(&source));
        let mut sequences: Vec<_> =
            found.iter().map(|(_, record)| record.sequence.as_u64()).collect();
        sequences.sort_unstable();
        assert_eq!(sequences, [4, 6, 7, 9]);
        assert_eq!(unfinished(&journal, |_| None).len(), 0);
    }
}
