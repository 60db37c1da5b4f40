//! How often the log is told of a plugin that fails, whatever comes.
//!
//! # Invariants
//! - One line per [`PAUSE_MS`] at most; the next one says how many were left out.
//!
//! # Not here
//! What guests write themselves: `log`.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Clock;

/// Between two lines.
const PAUSE_MS: u64 = 1_000;

/// The complaints about one version of a plugin.
pub(super) struct Complaints {
    clock: Clock,
    /// When the next line may be written, milliseconds since 1970.
    next_ms: AtomicU64,
    untold: AtomicU64,
}

impl Complaints {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, next_ms: AtomicU64::new(0), untold: AtomicU64::new(0) }
    }

    /// How many were left out before this one; `None` if this one is left out, too.
    pub(super) fn next(&self) -> Option<u64> {
        let now_ms = self.clock.now_ms();
        let due = |next_ms| (next_ms <= now_ms).then_some(now_ms + PAUSE_MS);
        match self.next_ms.fetch_update(Ordering::Relaxed, Ordering::Relaxed, due) {
            Ok(_) => Some(self.untold.swap(0, Ordering::Relaxed)),
            Err(_) => {
                self.untold.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_in_a_second_is_told_and_counts_the_others() {
        let clock = Clock::manual(1_000_000);
        let complaints = Complaints::new(clock.clone());
        assert_eq!(complaints.next(), Some(0));
        for _ in 0..7 {
            assert_eq!(complaints.next(), None);
        }
        clock.advance(Duration::from_millis(PAUSE_MS));
        assert_eq!((complaints.next(), complaints.next()), (Some(7), None));
        clock.advance(Duration::from_millis(PAUSE_MS));
        assert_eq!(complaints.next(), Some(1));
    }
}
