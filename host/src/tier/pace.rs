//! How long the database takes for what it is given, as far as somebody should know.
//!
//! # Invariants
//! - A database that is slow is used like any other; that it is slow is shown while a batch takes
//!   long, and for some time after one did.
//!
//! # Not here
//! When a batch has failed (`writer`).

/// A batch that takes longer is slow, in milliseconds: what waits for it are webhooks and stores.
const SLOW_MS: u64 = 1_000;

/// For how long a slow batch is told of after its end, if no fast one has come since.
const TOLD_MS: u64 = 10_000;

/// The last batch.
#[derive(Debug, Default)]
pub(super) struct Pace {
    begun_ms: Option<u64>,
    slow: Option<Slow>,
}

#[derive(Debug)]
struct Slow {
    taken_ms: u64,
    ended_ms: u64,
}

impl Pace {
    /// A batch has begun.
    pub(super) fn begin(&mut self, now_ms: u64) {
        self.begun_ms = Some(now_ms);
    }

    /// It has ended, in whatever way; without one that has begun nothing changes.
    pub(super) fn end(&mut self, now_ms: u64) {
        let Some(begun_ms) = self.begun_ms.take() else { return };
        let taken_ms = now_ms.saturating_sub(begun_ms);
        self.slow = (taken_ms >= SLOW_MS).then_some(Slow { taken_ms, ended_ms: now_ms });
    }

    /// What is wrong, in words.
    pub(super) fn problem(&self, now_ms: u64) -> Option<String> {
        let under_way = self.begun_ms.map(|begun_ms| now_ms.saturating_sub(begun_ms));
        let told = self.slow.as_ref().filter(|slow| now_ms - slow.ended_ms.min(now_ms) < TOLD_MS);
        let taken_ms = under_way.max(told.map(|slow| slow.taken_ms))?;
        (taken_ms >= SLOW_MS).then(|| format!("slow: a write takes {taken_ms} ms"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_batch_is_told_of_while_it_runs_and_until_a_fast_one_or_for_some_time() {
        let mut pace = Pace::default();
        pace.begin(100);
        assert_eq!(pace.problem(1_099), None);
        assert_eq!(pace.problem(1_100).as_deref(), Some("slow: a write takes 1000 ms"));
        pace.end(2_100);
        assert_eq!(pace.problem(2_101).as_deref(), Some("slow: a write takes 2000 ms"));
        assert_eq!(pace.problem(12_100), None);
        pace.begin(3_000);
        assert!(pace.problem(3_001).is_some());
        pace.end(3_001);
        assert_eq!(pace.problem(3_002), None);
    }

    #[test]
    fn end_of_what_has_not_begun_is_nothing() {
        let mut pace = Pace::default();
        pace.end(5_000);
        assert_eq!(pace.problem(5_000), None);
    }
}
