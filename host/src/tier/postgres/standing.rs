//! What the tables have beside entries that holds until something ends it: announced changes, a
//! flush to come, the sources' numbers, and which plugins run. Remembered, so that it can be
//! written again into a database that has gone back.
//!
//! # Invariants
//! - It has what this server's commits have made of what was there at its start.
//!
//! # Not here
//! When a database has gone back (`session`).

use std::collections::BTreeMap;

use sqlx::{Error, Postgres, Transaction};

use crate::cache::Recovered;
use crate::cache::tier::Record;
use crate::model::{Mode, Passage, Sequence, Target};
use crate::tier::codec;
use crate::tier::ran_plugins::{Beside, Notes, RanPlugin};

/// All of that, as far as it has been committed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// The rows of each intent: until when, and what is shut.
    intents: BTreeMap<String, Vec<(u64, Vec<u8>)>>,
    flush_due_ms: Option<u64>,
    numbers: BTreeMap<String, u64>,
    plugins: Vec<RanPlugin>,
    /// The last sequence that is in the journal or the fence.
    last: Sequence,
}

impl Standing {
    /// What a start has found.
    pub(super) fn of(recovered: &Recovered, plugins: Vec<RanPlugin>) -> Self {
        let mut standing = Self {
            intents: BTreeMap::new(),
            flush_due_ms: recovered.flush_due_ms,
            numbers: recovered.numbers.iter().cloned().collect(),
            plugins,
            last: Sequence::start_of(recovered.epoch),
        };
        for row in &recovered.intents {
            // Whatever the mode was: what is shut is shut.
            let targets: Vec<_> = row.targets.iter().cloned().map(|t| (t, Mode::Hard)).collect();
            standing.shut(&row.intent.name, row.intent.until_ms, &targets);
        }
        standing
    }

    fn shut(&mut self, name: &str, until_ms: u64, targets: &[(Target, Mode)]) {
        let rows = self.intents.entry(name.to_owned()).or_default();
        rows.push((until_ms, codec::encode_targets(targets)));
    }

    /// Notes what records that have been committed made of it.
    pub(super) fn note_records(&mut self, records: &[Record]) {
        for Record { sequence, invalidation, passage } in records {
            self.last = self.last.max(*sequence);
            if let Some(number) = invalidation.cause.number {
                let known = self.numbers.entry(invalidation.cause.source.clone()).or_default();
                *known = number.max(*known);
            }
            match passage {
                Passage::Unchanged => {}
                Passage::Shut(intent) => {
                    self.shut(&intent.name, intent.until_ms, &invalidation.targets);
                }
                Passage::Open(name) => drop(self.intents.remove(name)),
                Passage::FlushAt(due_ms) => self.flush_due_ms = Some(*due_ms),
                Passage::Flushed(due_ms) => {
                    self.flush_due_ms = self.flush_due_ms.filter(|announced| announced > due_ms);
                }
            }
        }
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

    async fn write_intents(
        &self,
        transaction: &mut Transaction<'_, Postgres>,
    ) -> Result<(), Error> {
        let (mut names, mut untils_ms, mut targets) = (Vec::new(), Vec::new(), Vec::new());
        for (name, rows) in &self.intents {
            for (until_ms, shut) in rows {
                names.push(name.as_bytes());
                untils_ms.push(until_ms.cast_signed());
                targets.push(shut.as_slice());
            }
        }
        if let Some(due_ms) = self.flush_due_ms {
            names.push(codec::FLUSH_NAME.as_bytes());
            untils_ms.push(due_ms.cast_signed());
            targets.push(&[]);
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
    use crate::model::{Cause, Intent, Invalidation};

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
        let names: Vec<_> =
            standing.intents.iter().map(|(name, rows)| (name, rows.len())).collect();
        assert_eq!(names, [(&"one".to_owned(), 2)]);
        assert_eq!((standing.flush_due_ms, standing.numbers["shop"]), (Some(50), 8));
        standing.note_records(&[record(7, Passage::Flushed(50), None)]);
        assert_eq!((standing.flush_due_ms, standing.last), (None, Sequence::from_u64(7)));
    }
}
