//! Whether an origin is to be asked, pure: told what came of requests and what time it is.
//!
//! # Invariants
//! - A success, by a request or a check, makes it healthy at once.
//! - Every failure after a pause makes the next pause longer, up to a limit.

/// Failures in a row after which an origin is left alone.
const FAILURES_MAX: u32 = 3;

/// The first pause, milliseconds.
const PAUSE_MS_MIN: u64 = 1_000;

/// The longest, milliseconds.
const PAUSE_MS_MAX: u64 = 60_000;

/// What is known about an origin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Health {
    failures: u32,
    pauses: u32,
    out_until_ms: u64,
    is_down_by_check: bool,
}

/// A change that an operator wants to know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It is left alone for so long.
    Out {
        /// The pause.
        pause_ms: u64,
    },
    /// It answers again.
    Back,
}

impl Health {
    /// Whether it is left alone at this time.
    pub(super) fn is_out(&self, now_ms: u64) -> bool {
        self.is_down_by_check || now_ms < self.out_until_ms
    }

    /// It answered.
    pub(super) fn note_success(&mut self) -> Option<Change> {
        let was_out = self.pauses > 0 || self.is_down_by_check;
        *self = Self::default();
        was_out.then_some(Change::Back)
    }

    /// It did not.
    pub(super) fn note_failure(&mut self, now_ms: u64) -> Option<Change> {
        if now_ms < self.out_until_ms {
            // Asked because all were out: the pause goes on as it is.
            return None;
        }
        self.failures += 1;
        if self.failures < FAILURES_MAX {
            return None;
        }
        // One attempt after the pause decides.
        self.failures = FAILURES_MAX - 1;
        let pause_ms = (PAUSE_MS_MIN << self.pauses.min(16)).min(PAUSE_MS_MAX);
        self.pauses = self.pauses.saturating_add(1);
        self.out_until_ms = now_ms.saturating_add(pause_ms);
        Some(Change::Out { pause_ms })
    }

    /// A check failed: it is out until one succeeds.
    pub(super) fn note_failed_check(&mut self) -> Option<Change> {
        let is_new = !self.is_down_by_check;
        self.is_down_by_check = true;
        is_new.then_some(Change::Out { pause_ms: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_take_an_origin_out_for_growing_pauses() {
        let mut health = Health::default();
        assert_eq!((health.note_failure(0), health.note_failure(0)), (None, None));
        assert!(!health.is_out(0));
        assert_eq!(health.note_failure(0), Some(Change::Out { pause_ms: 1_000 }));
        assert!(health.is_out(999) && !health.is_out(1_000));
        assert_eq!(health.note_failure(500), None);
        let mut now_ms = 1_000;
        for pause_ms in [2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
            assert_eq!(health.note_failure(now_ms), Some(Change::Out { pause_ms }));
            now_ms += pause_ms;
        }
        assert_eq!(health.note_success(), Some(Change::Back));
        assert_eq!(health, Health::default());
    }

    #[test]
    fn a_success_between_them_counts_failures_anew() {
        let mut health = Health::default();
        for _ in 0..10 {
            assert_eq!((health.note_failure(0), health.note_failure(0)), (None, None));
            assert_eq!(health.note_success(), None);
        }
    }

    #[test]
    fn a_failed_check_takes_it_out_until_something_succeeds() {
        let mut health = Health::default();
        assert!(health.note_failed_check().is_some() && health.note_failed_check().is_none());
        assert!(health.is_out(u64::MAX - 1));
        assert_eq!(health.note_success(), Some(Change::Back));
        assert!(!health.is_out(0));
    }
}
