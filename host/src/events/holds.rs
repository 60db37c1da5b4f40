//! Events that are applied again after a delay, for origins that read from replicas: what such an
//! origin was asked soon after the change may have been computed from older data.
//!
//! # Invariants
//! - Bounded by the targets that wait: what does not fit becomes everything at its time, and at
//!   most one such wait ends in each second.
//! - If a version of the source's plugin is published meanwhile, all that its versions may have
//!   stored is made wrong, too: what the earlier ones have named is not all of it then.
//! - What waits when the server stops is applied before the tier closes.
//! - With a tier, a kill loses no second application: at the start each event that lacks one in the
//!   journal waits again, with what all its records named, or is applied before a door opens if its
//!   time has passed.
//! - Reading the journal takes memory for events that wait, not for all that it has; beyond
//!   [`HELD_TARGETS_MAX`] of them it is told apart only by source and second what waits.
//!
//! # Not here
//! Applying itself: fills that began before the second application are refused by the fence, as
//! those before the first were.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::apply::{Events, Shared};
use super::sources::Sources;
use crate::cache::tier::Record;
use crate::fail_points::{Point, reach};
use crate::limits::{HELD_TARGETS_MAX, TARGETS_PER_INVALIDATION_MAX};
use crate::model::{Cause, Invalidation, Mode, Target};

/// What the tier has of events from before the start.
#[derive(Debug, Default)]
pub struct Earlier {
    /// Events that are to be applied again, in their order.
    pub unfinished: Vec<Record>,
    /// The highest number that each source has given to an event.
    pub numbers: Vec<(String, u64)>,
}

/// What one event made wrong, and is to make wrong again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) invalidation: Invalidation,
    /// Pages to be fetched anew after that.
    pub(super) refreshes: Vec<String>,
    /// How many versions of the plugin had been published when it was asked, where that is known.
    pub(super) published: Option<u64>,
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
        let Earlier { unfinished, numbers } = earlier;
        self.shared.order.resume(numbers);
        let now_ms = self.shared.cache.clock().now_ms();
        for invalidation in united(unfinished) {
            let Some(due_ms) = self.shared.sources.due_ms(&invalidation.cause) else { continue };
            // By a clock that was set back since, it would be due later than its source wants.
            let due_ms = due_ms - invalidation.cause.at_ms.saturating_sub(now_ms);
            // Whether the plugin is the one that was asked is not known.
            let held = Held { invalidation, refreshes: Vec::new(), published: None };
            self.shared.holds.add(due_ms, held);
        }
        self.shared.apply_due(now_ms).await;
    }
}

impl Shared {
    pub(super) async fn apply_due(&self, now_ms: u64) {
        for held in self.holds.take_due(now_ms) {
            let Held { mut invalidation, refreshes, published } = held;
            reach(Point::HoldDue);
            let source = self.sources.get(&invalidation.cause.source);
            let known = source.and_then(|source| self.published(source));
            self.add_stored(&mut invalidation, published);
            let at_ms = self.cache.clock().now_ms();
            invalidation.cause =
                Cause { at_ms, number: None, is_again: true, ..invalidation.cause };
            let cause = invalidation.cause.clone();
            let mut outcome = self.cache.invalidate(invalidation).await.map(|_| ());
            if let Some(source) = source {
                outcome = outcome.and(self.follow_stored(source, &cause, known).await);
            }
            if let Err(error) = outcome {
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

impl Shared {
    /// What versions may have stored that were published since the event was planned.
    fn add_stored(&self, invalidation: &mut Invalidation, published: Option<u64>) {
        let Some(source) = self.sources.get(&invalidation.cause.source) else { return };
        let stored = self.stored_since(source, published);
        invalidation.targets.extend(stored.into_iter().map(|target| (target, Mode::Hard)));
        if invalidation.targets.len() > TARGETS_PER_INVALIDATION_MAX {
            invalidation.targets = vec![(Target::Everything, Mode::Hard)];
        }
    }
}

/// Each event once, with all that its records named: an event that is applied again in part would
/// be taken for finished at the next start. It is as late as the latest of them.
fn united(records: Vec<Record>) -> Vec<Invalidation> {
    let mut events: Vec<Invalidation> = Vec::new();
    let mut places = HashMap::new();
    for record in records {
        let Invalidation { targets, cause } = Invalidation::clone(&record.invalidation);
        let event = (cause.source.clone(), cause.event_id.clone());
        let place = *places.entry(event).or_insert(events.len());
        match events.get_mut(place) {
            Some(event) => {
                event.targets.extend(targets);
                if event.cause.at_ms < cause.at_ms {
                    event.cause = cause;
                }
            }
            None => events.push(Invalidation { targets, cause }),
        }
    }
    for event in &mut events {
        let mut named = HashSet::new();
        event.targets.retain(|target| named.insert(target.clone()));
        if event.targets.len() > TARGETS_PER_INVALIDATION_MAX {
            event.targets = vec![(Target::Everything, Mode::Hard)];
        }
    }
    events
}

/// The deliveries of events that were not applied again when the time of the latest had come: what
/// was applied again before that, because the server stopped, counts for nothing.
#[derive(Debug)]
pub struct Unfinished<'a> {
    sources: &'a Sources,
    /// By source and id. One delivery has several records if versions of the plugin came while it
    /// was applied, and each may name what the others don't.
    deliveries: HashMap<(String, String), Vec<Record>>,
    /// How many records these are.
    count: usize,
    /// Those that are too many: everything, by source and second.
    beyond: HashMap<(String, u64), Record>,
}

impl<'a> Unfinished<'a> {
    /// None yet, of these sources.
    pub fn of(sources: &'a Sources) -> Self {
        Self { sources, deliveries: HashMap::new(), count: 0, beyond: HashMap::new() }
    }

    /// Notes an event of the journal; in their order.
    pub fn note(&mut self, record: Record) {
        let Some(due_ms) = self.sources.due_ms(&record.invalidation.cause) else { return };
        let Cause { source, event_id, at_ms, is_again, .. } = &record.invalidation.cause;
        let Some(id) = event_id else { return };
        let event = (source.clone(), id.clone());
        if *is_again {
            let Entry::Occupied(known) = self.deliveries.entry(event) else { return };
            let due = |record: &Record| self.sources.due_ms(&record.invalidation.cause);
            if known.get().iter().filter_map(due).all(|due_ms| *at_ms >= due_ms) {
                self.count -= known.remove().len();
            }
        } else if self.count < HELD_TARGETS_MAX {
            self.deliveries.entry(event).or_default().push(record);
            self.count += 1;
        } else {
            let (targets, cause) =
                (vec![(Target::Everything, Mode::Hard)], record.invalidation.cause.clone());
            let invalidation = Arc::new(Invalidation { targets, cause });
            // The latest of the second: none is applied before its time.
            self.beyond.insert((event.0, due_ms / 1_000), Record { invalidation, ..record });
        }
    }

    /// Those that are left, in their order; without what they named, which the journal has.
    pub fn into_records(self) -> Vec<Record> {
        let mut records: Vec<Record> =
            self.deliveries.into_values().flatten().chain(self.beyond.into_values()).collect();
        records.sort_unstable_by_key(|record| record.sequence);
        records
    }
}

impl Sources {
    /// When an event is to be applied again, milliseconds since 1970; `None` if it is not.
    fn due_ms(&self, cause: &Cause) -> Option<u64> {
        let source = self.get(&cause.source).filter(|source| source.hold_ms > 0)?;
        Some(cause.at_ms.saturating_add(source.hold_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::super::sources::Source;
    use super::super::test_source::{START_MS, events_of, memory};
    use super::*;
    use crate::clock::Clock;
    use crate::model::{Passage, Sequence, Tag};
    use crate::plugins::Plugins;

    fn held(name: &str, targets: usize) -> Held {
        let tags = (0..targets).map(|n| Tag::new(&format!("{name}{n}")).unwrap());
        let targets = tags.map(|tag| (Target::Tag(tag), Mode::Hard)).collect();
        let invalidation = Invalidation { targets, cause: Cause::default() };
        Held { invalidation, refreshes: Vec::new(), published: None }
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

    fn shop() -> Sources {
        let (name, secrets) = ("shop".to_owned(), Vec::new());
        let (hold_ms, intent_timeout_ms) = (1_000, 1);
        Sources::of([Source { name, secrets, plugin: None, hold_ms, intent_timeout_ms }])
    }

    fn record(n: u64, source: &str, id: &str, at_ms: u64, is_again: bool) -> Record {
        let event_id = Some(id.into());
        let cause = Cause { source: source.into(), event_id, at_ms, number: None, is_again };
        let invalidation = Arc::new(Invalidation { targets: Vec::new(), cause });
        Record { sequence: Sequence::from_u64(n), invalidation, passage: Passage::Unchanged }
    }

    #[test]
    fn an_event_is_unfinished_until_it_is_applied_again_after_its_time_and_its_last_delivery() {
        let sources = shop();
        let mut unfinished = Unfinished::of(&sources);
        for (n, id, at_ms, is_again) in [
            (0, "done", 1_000, false),
            (1, "done", 2_000, true),
            (2, "sent again later", 2_000, false),
            (3, "sent again later", 3_000, true),
            (4, "sent again later", 4_000, false),
            (5, "sent again after a crash", 5_000, false),
            (6, "sent again after a crash", 5_100, false),
            (7, "applied at a stop", 9_400, false),
            (8, "applied at a stop", 9_500, true),
            (9, "new", 9_800, false),
        ] {
            unfinished.note(record(n, "shop", id, at_ms, is_again));
            unfinished.note(record(n + 100, "of a source that holds nothing", id, at_ms, is_again));
        }
        let found = unfinished.into_records();
        let sequences: Vec<_> = found.iter().map(|record| record.sequence.as_u64()).collect();
        assert_eq!(sequences, [4, 5, 6, 7, 9]);
    }

    fn naming(targets: Vec<(Target, Mode)>, record: Record) -> Record {
        let cause = record.invalidation.cause.clone();
        Record { invalidation: Arc::new(Invalidation { targets, cause }), ..record }
    }

    #[tokio::test]
    async fn event_with_several_records_is_applied_again_after_a_crash_with_what_all_of_them_named()
    {
        let clock = Clock::manual(START_MS);
        let cache = memory(&clock);
        let plugins = Plugins::load(Vec::new(), clock).unwrap();
        let events = events_of(&cache, &plugins, "none", 60_000);
        let sources = shop();
        let mut unfinished = Unfinished::of(&sources);
        for (n, name) in [(1, "first"), (2, "second"), (3, "first")] {
            let named = held(name, 1).invalidation.targets;
            unfinished.note(naming(named, record(n, "shop", "event", START_MS, false)));
        }
        let (unfinished, numbers) = (unfinished.into_records(), Vec::new());
        events.resume(Earlier { unfinished, numbers }).await;
        let held = events.shared.holds.take_due(u64::MAX);
        let [Held { invalidation, .. }] = &held[..] else { panic!("{held:?}") };
        let named = invalidation.targets.iter().map(|(target, _)| target.name());
        assert_eq!(named.collect::<Vec<_>>(), ["first0", "second0"]);
    }

    #[test]
    fn records_of_an_event_that_name_more_than_one_invalidation_may_are_everything() {
        let half = TARGETS_PER_INVALIDATION_MAX / 2 + 1;
        let part = |n, name| {
            naming(held(name, half).invalidation.targets, record(n, "shop", "event", n, false))
        };
        let [event] = &united(vec![part(1, "a"), part(2, "b")])[..] else { panic!("not one") };
        assert_eq!(event.targets, [(Target::Everything, Mode::Hard)]);
        assert_eq!(event.cause.at_ms, 2);
    }

    #[test]
    fn more_events_than_can_wait_are_everything_once_for_each_second() {
        let sources = shop();
        let mut unfinished = Unfinished::of(&sources);
        let few = HELD_TARGETS_MAX as u64;
        for n in 0..few {
            unfinished.note(record(n, "shop", &n.to_string(), 5_000, false));
        }
        for n in few..few + 4_000 {
            unfinished.note(record(n, "shop", &n.to_string(), n - few, false));
        }
        let found = unfinished.into_records();
        let beyond = found.iter().filter(|record| !record.invalidation.targets.is_empty());
        let last: Vec<_> = beyond.map(|record| record.invalidation.cause.at_ms).collect();
        assert_eq!(last, [999, 1_999, 2_999, 3_999]);
        assert_eq!(found.len(), HELD_TARGETS_MAX + 4);
    }
}
