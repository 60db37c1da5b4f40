//! How look-ups go: that they keep failing is told, and that they work again.
//!
//! # Invariants
//! - It is told while they fail, and for [`TOLD_MS`] after the last that did: without look-ups
//!   nothing is known of them.

use parking_lot::Mutex;

use crate::cache::tier::TierError;

/// So many in a row are no mishap of one connection.
const FAILURES_MIN: u32 = 3;

/// How long after the last failure they count as failing.
const TOLD_MS: u64 = 10_000;

/// The failures since the last look-up that worked.
#[derive(Default)]
pub(super) struct LookUps {
    failing: Mutex<Option<Failing>>,
}

struct Failing {
    times: u32,
    /// The last of them, by the server's clock.
    last_ms: u64,
    reason: String,
}

impl LookUps {
    /// Notes how one went.
    pub(super) fn note<T>(&self, outcome: &Result<T, TierError>, now_ms: u64) {
        let mut failing = self.failing.lock();
        let Err(TierError::Database(reason)) = outcome else {
            if failing.take().is_some_and(|failing| failing.times >= FAILURES_MIN) {
                tracing::info!("look-ups in the database work again");
            }
            return;
        };
        let times = failing.as_ref().map_or(0, |failing| failing.times).saturating_add(1);
        if times == FAILURES_MIN {
            tracing::warn!(reason, "look-ups in the database keep failing");
        }
        *failing = Some(Failing { times, last_ms: now_ms, reason: reason.clone() });
    }

    /// What is wrong with them, in words.
    pub(super) fn problem(&self, now_ms: u64) -> Option<String> {
        let failing = self.failing.lock();
        let failing = failing.as_ref().filter(|failing| failing.times >= FAILURES_MIN)?;
        let is_told = now_ms.saturating_sub(failing.last_ms) < TOLD_MS;
        is_told.then(|| format!("look-ups fail: {}", failing.reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failing_again_and_again_is_told_until_one_works_or_none_has_failed_for_a_while() {
        let look_ups = LookUps::default();
        let failed = |reason: &str| Err::<(), _>(TierError::Database(reason.to_owned()));
        for now_ms in 1..=3 {
            assert_eq!(look_ups.problem(now_ms), None);
            look_ups.note(&failed("lost"), now_ms);
        }
        assert_eq!(look_ups.problem(4).as_deref(), Some("look-ups fail: lost"));
        assert_eq!(look_ups.problem(3 + TOLD_MS), None);
        look_ups.note(&failed("gone"), 3 + TOLD_MS);
        assert_eq!(look_ups.problem(3 + TOLD_MS).as_deref(), Some("look-ups fail: gone"));
        look_ups.note(&Ok(()), 4 + TOLD_MS);
        assert_eq!(look_ups.problem(4 + TOLD_MS), None);
    }
}
