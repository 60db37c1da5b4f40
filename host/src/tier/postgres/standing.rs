//! What the tables have beside entries that holds until something ends it: announced changes, a
//! flush to come, the sources' numbers, events that are to be applied again, and which plugins run.
//! Remembered, so that it can be written again into a database that has gone back.
//!
//! # Invariants
//! - It has what this server's commits have made of what was there at its start; of events, which
//!   may be held, only those of this server.
//! - Of each source's events one stands for all: the last. As long as it has not been applied again
//!   as often as it was delivered, others may wait, too; so what is written again of it names
//!   everything. A source that holds nothing never asks for it.
//!
//! # Not here
//! When a database has gone back (`session`).

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{Error, Postgres, Transaction};

use crate::cache::Recovered;
use crate::cache::tier::Record;
use crate::limits::TARGETS_PER_INVALIDATION_MAX;
use crate::model::{Cause, Intent, Mode, Passage, Sequence, Target};
use crate::tier::codec;
use crate::tier::ran_plugins::{Beside, Notes, RanPlugin};

/// All of that, as far as it has been committed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Of each intent: until when, and what is shut.
    intents: BTreeMap<String, (u64, BTreeSet<Target>)>,
    flush_due_ms: Option<u64>,
    numbers: BTreeMap<String, u64>,
    plugins: Vec<RanPlugin>,
    /// The last event of each source, unless it has been applied again.
    events: BTreeMap<String, Event>,
    /// The last sequence that is in the journal or the fence.
    last: Sequence,
}

/// An event that may be held.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Event {
    id: String,
    sequence: Sequence,
    at_ms: u64,
    /// How often it was delivered, and not applied again.
    times: usize,
}

impl Standing {
    /// What a start has found.
    pub(super) fn of(recovered: &Recovered, plugins: Vec<RanPlugin>) -> Self {
        let mut standing = Self {
            intents: BTreeMap::new(),
            flush_due_ms: recovered.flush_due_ms,
            numbers: recovered.numbers.iter().cloned().collect(),
            plugins,
            events: BTreeMap::new(),
            last: Sequence::start_of(recovered.epoch),
        };
        for row in &recovered.intents {
            standing.shut(&row.intent, row.targets.iter());
        }
        standing
    }

    fn shut<'a>(&mut self, intent: &Intent, targets: impl Iterator<Item = &'a Target>) {
        let (until_ms, shut) = self.intents.entry(intent.name.clone()).or_default();
        *until_ms = intent.until_ms.max(*until_ms);
        shut.extend(targets.cloned());
    }

    /// Notes what records that have been committed made of it.
    pub(super) fn note_records(&mut self, records: &[Record]) {
        for Record { sequence, invalidation, passage } in records {
            self.last = self.last.max(*sequence);
            if let Some(number) = invalidation.cause.number {
                let known = self.numbers.entry(invalidation.cause.source.clone()).or_default();
                *known = number.max(*known);
            }
            self.note_event(*sequence, &invalidation.cause);
            match passage {
                Passage::Unchanged => {}
                Passage::Shut(intent) => {
                    self.shut(intent, invalidation.targets.iter().map(|(target, _)| target));
                }
                Passage::Open(name) => drop(self.intents.remove(name)),
                Passage::FlushAt(due_ms) => self.flush_due_ms = Some(*due_ms),
                Passage::Flushed(due_ms) => {
                    self.flush_due_ms = self.flush_due_ms.filter(|announced| announced > due_ms);
                }
            }
        }
    }

    fn note_event(&mut self, sequence: Sequence, cause: &Cause) {
        let Cause { source, event_id: Some(id), at_ms, is_again, .. } = cause else { return };
        let known = self.events.get(source).filter(|event| event.id == *id);
        let times = known.map_or(0, |event| event.times);
        let event = match (is_again, known) {
            (false, _) => Event { id: id.clone(), sequence, at_ms: *at_ms, times: times + 1 },
            (true, Some(known)) if times > 1 => Event { times: times - 1, ..known.clone() },
            (true, Some(_)) => return drop(self.events.remove(source)),
            // Of an earlier one.
            (true, None) => return,
        };
        self.events.insert(source.clone(), event);
    }

    /// Notes plugins whose note has been committed.
    pub(super) fn note_plugins(&mut self, notes: &Notes) {
        let is_same =
            |a: &RanPlugin, b: &RanPlugin| (&a.name, &a.identity) == (&b.name, &b.identity);
        let is_kept = |ran: &RanPlugin| {
            notes.beside == Beside::Kept && !notes.plugins.iter().any(|noted| is_same(noted, ran))
        };
        self.plugins.retain(is_kept);
        self.plugins.extend(notes.plugins.iter().cloned());
    }

    /// Writes it in place of what the tables have. They also lack what the fence had since: nothing
    /// from before the last of that is read after a restart.
    pub(super) async fn write(
        &self,
        transaction: &mut Transaction<'_, Postgres>,
    ) -> Result<(), Error> {
        let clear = "DELETE FROM intents; DELETE FROM numbers; DELETE FROM plugins";
        sqlx::raw_sql(clear).execute(&mut **transaction).await?;
        self.write_intents(transaction).await?;
        self.write_events(transaction).await?;
        let number = |number: &u64| i64::try_from(*number).unwrap_or(i64::MAX);
        sqlx::query(
            "INSERT INTO numbers (source, number) SELECT * FROM unnest($1::bytea[], $2::bigint[])",
        )
        .bind(self.numbers.keys().map(String::as_bytes).collect::<Vec<_>>())
        .bind(self.numbers.values().map(number).collect::<Vec<_>>())
        .execute(&mut **transaction)
        .await?;
        let plugins = self.plugins.iter();
        sqlx::query(
            "INSERT INTO plugins (name, identity, mark) \
             SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[])",
        )
        .bind(plugins.clone().map(|ran| ran.name.as_bytes()).collect::<Vec<_>>())
        .bind(plugins.clone().map(|ran| ran.identity.as_bytes()).collect::<Vec<_>>())
        .bind(plugins.map(|ran| ran.mark.as_bytes()).collect::<Vec<_>>())
        .execute(&mut **transaction)
        .await?;
        let target = Target::Everything;
        let everything = codec::name_of(&target);
        sqlx::query(
            "INSERT INTO fence (kind, name, hard, soft) VALUES ($1, $2, $3, 0) \
             ON CONFLICT (kind, sha256(name)) DO UPDATE SET \
             hard = greatest(fence.hard, excluded.hard)",
        )
        .bind(everything.kind)
        .bind(everything.name)
        .bind(codec::encode_sequence(self.last))
        .execute(&mut **transaction)
        .await?;
        Ok(())
    }

    async fn write_events(&self, transaction: &mut Transaction<'_, Postgres>) -> Result<(), Error> {
        let everything = codec::encode_targets(&[(Target::Everything, Mode::Hard)]);
        let events = || self.events.values();
        sqlx::query(
            // What is there is as it was, and so is all that came before it.
            "INSERT INTO journal (sequence, source, event_id, at_ms, targets, is_again) \
             SELECT sequence, source, event_id, at_ms, $5, 0 \
             FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::bigint[]) \
             AS u (sequence, source, event_id, at_ms) ON CONFLICT (sequence) DO NOTHING",
        )
        .bind(events().map(|event| codec::encode_sequence(event.sequence)).collect::<Vec<_>>())
        .bind(self.events.keys().map(String::as_bytes).collect::<Vec<_>>())
        .bind(events().map(|event| event.id.as_bytes()).collect::<Vec<_>>())
        .bind(events().map(|event| event.at_ms.cast_signed()).collect::<Vec<_>>())
        .bind(everything)
        .execute(&mut **transaction)
        .await?;
        Ok(())
    }

    async fn write_intents(
        &self,
        transaction: &mut Transaction<'_, Postgres>,
    ) -> Result<(), Error> {
        let (mut names, mut untils_ms, mut targets) = (Vec::new(), Vec::new(), Vec::new());
        for (name, (until_ms, shut)) in &self.intents {
            // Whatever the mode was: what is shut is shut.
            let shut: Vec<_> = shut.iter().map(|target| (target.clone(), Mode::Hard)).collect();
            // No row is read that names more.
            for piece in shut.chunks(TARGETS_PER_INVALIDATION_MAX) {
                names.push(name.as_bytes());
                untils_ms.push(until_ms.cast_signed());
                targets.push(codec::encode_targets(piece));
            }
        }
        if let Some(due_ms) = self.flush_due_ms {
            names.push(codec::FLUSH_NAME.as_bytes());
            untils_ms.push(due_ms.cast_signed());
            targets.push(Vec::new());
        }
        sqlx::query(
            "INSERT INTO intents (name, until_ms, targets) \
             SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bytea[])",
        )
        .bind(names)
        .bind(untils_ms)
        .bind(targets)
        .execute(&mut **transaction)
        .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::Invalidation;

    fn record(n: u64, passage: Passage, number: Option<u64>) -> Record {
        let cause = Cause { source: "shop".into(), number, ..Cause::default() };
        let invalidation = Invalidation { targets: vec![(Target::Everything, Mode::Hard)], cause };
        let sequence = Sequence::from_u64(n);
        Record { sequence, invalidation: Arc::new(invalidation), passage }
    }

    #[test]
    fn what_has_ended_is_forgotten_and_the_highest_number_counts() {
        let shut = |name: &str| Passage::Shut(Intent { name: name.into(), until_ms: 9 });
        let mut standing = Standing::default();
        standing.note_records(&[
            record(1, shut("one"), Some(7)),
            record(2, shut("two"), Some(8)),
            record(3, shut("one"), Some(6)),
            record(4, Passage::FlushAt(50), None),
            record(5, Passage::Flushed(40), None),
            record(6, Passage::Open("two".into()), None),
        ]);
        let shut = standing.intents.iter().map(|(name, (_, shut))| (name.as_str(), shut.len()));
        assert_eq!(shut.collect::<Vec<_>>(), [("one", 1)], "named twice");
        assert_eq!((standing.flush_due_ms, standing.numbers["shop"]), (Some(50), 8));
        standing.note_records(&[record(7, Passage::Flushed(50), None)]);
        assert_eq!((standing.flush_due_ms, standing.last), (None, Sequence::from_u64(7)));
    }

    #[test]
    fn last_event_of_a_source_stands_until_it_is_applied_again_as_often_as_it_came() {
        let event = |n: u64, id: &str, is_again: bool| {
            let cause = Cause {
                source: "shop".into(),
                event_id: Some(id.into()),
                at_ms: n,
                is_again,
                ..Cause::default()
            };
            let targets = vec![(Target::Everything, Mode::Hard)];
            let invalidation = Arc::new(Invalidation { targets, cause });
            Record { invalidation, ..record(n, Passage::Unchanged, None) }
        };
        let mut standing = Standing::default();
        let mut note = |n, id, is_again| {
            standing.note_records(&[event(n, id, is_again), record(n, Passage::Unchanged, None)]);
            standing.events.get("shop").map(|event| (event.id.clone(), event.at_ms))
        };
        assert_eq!(note(1, "a", false), Some(("a".to_owned(), 1)));
        let second = Some(("b".to_owned(), 2));
        assert_eq!(note(2, "b", false), second);
        assert_eq!(note(3, "a", true), second);
        let sent_again = Some(("b".to_owned(), 4));
        assert_eq!(note(4, "b", false), sent_again);
        assert_eq!(note(5, "b", true), sent_again);
        assert_eq!(note(6, "b", true), None);
        assert_eq!(note(7, "b", true), None);
    }
}
