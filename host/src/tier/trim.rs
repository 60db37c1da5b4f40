//! The journal's tail: which records go, and how many in one step.
//!
//! # Invariants
//! - Events that may be held are spared for as long as a source holds them, and all of them until
//!   this server has run for so long: what waited when the last one was killed is then applied, or
//!   found by the next.
//! - A step is bounded by records and by what they take.
//!
//! # Not here
//! What is held, and when it is applied again: `events`.

use crate::model::Sequence;

/// Journal records kept for reading; what must survive of older ones is in the fence.
pub(super) const JOURNAL_RECORDS_MAX: i64 = 10_000;

/// Records that one step looks at.
pub(super) const TRIM_RECORDS: i64 = 2_000;

/// Bytes of targets after which a step ends.
const TRIM_BYTES: i64 = 8 * 1024 * 1024;

/// For how much longer than it is held an event is spared: applying it may be late.
const SLACK_MS: u64 = 60_000;

/// One step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trim {
    /// The last record that has been looked at.
    pub after: Sequence,
    /// The last that is looked at.
    pub end: Sequence,
    /// The times of events that are spared, milliseconds since 1970.
    pub spared_ms: Option<(u64, u64)>,
}

impl Trim {
    /// The times of events that are spared at `now_ms`, where sources hold them for so long at most
    /// and the server has run since `opened_ms`; `None`: events are as other records.
    ///
    /// What was noted while the clock was ahead is not spared until the clock is there again.
    pub(super) fn spared_at(now_ms: u64, opened_ms: u64, held_ms_max: u64) -> Option<(u64, u64)> {
        if held_ms_max == 0 {
            return None;
        }
        let spared_ms = held_ms_max.saturating_add(SLACK_MS);
        let has_run = now_ms.saturating_sub(opened_ms) >= spared_ms;
        let from_ms = if has_run { now_ms - spared_ms } else { 0 };
        Some((from_ms, now_ms.saturating_add(spared_ms)))
    }

    /// The same as the column has them.
    pub(super) fn spared_ms(&self) -> (i64, i64) {
        let column = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        // Nothing lies between 1 and 0.
        self.spared_ms.map_or((1, 0), |(from_ms, to_ms)| (column(from_ms), column(to_ms)))
    }

    /// The last of the records that were found, each with its size, that belongs to this step.
    pub(super) fn last_of(&self, found: &[(i64, i64)]) -> Option<i64> {
        let mut bytes = 0_i64;
        let within = found.iter().take_while(|(_, size)| {
            let has_room = bytes < TRIM_BYTES;
            bytes = bytes.saturating_add(*size);
            has_room
        });
        within.last().map(|(sequence, _)| *sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_spared_for_as_long_as_they_are_held_and_at_first_all_of_them() {
        assert_eq!(Trim::spared_at(1_000_000, 0, 0), None);
        assert_eq!(Trim::spared_at(1_000_000, 900_000, 50_000), Some((0, 1_110_000)));
        assert_eq!(Trim::spared_at(1_000_000, 890_000, 50_000), Some((890_000, 1_110_000)));
        // The clock has been set back.
        assert_eq!(Trim::spared_at(1_000, 900_000, 50_000), Some((0, 111_000)));
    }

    #[test]
    fn step_ends_where_it_has_taken_enough_and_takes_one_record_at_least() {
        let (after, end) = (Sequence::from_u64(0), Sequence::from_u64(9));
        let trim = Trim { after, end, spared_ms: None };
        assert_eq!(trim.last_of(&[]), None);
        assert_eq!(trim.last_of(&[(1, 10), (2, 10)]), Some(2));
        assert_eq!(trim.last_of(&[(1, TRIM_BYTES + 1), (2, 10)]), Some(1));
        assert_eq!(trim.last_of(&[(1, TRIM_BYTES - 1), (2, 10), (3, 10)]), Some(2));
    }
}
