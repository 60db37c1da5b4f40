//! The only file that reads time. Clocks decide expiry, never freshness.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time as milliseconds since 1970, cheap to clone.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's wall clock as it was at the start, moved on by its monotonic clock, so that a
    /// wall clock that jumps neither revives nor kills entries.
    System {
        /// The wall clock at the start.
        start_ms: u64,
        /// The monotonic clock at the start.
        start: Instant,
    },
    /// A clock that stands still until it is moved, for tests and simulation.
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The machine's clock.
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the machine's clocks")]
    pub fn system() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::System { start_ms: millis(since_1970), start: Instant::now() }
    }

    /// A clock that stands at `unix_ms`.
    pub fn manual(unix_ms: u64) -> Self {
        Self::Manual(Arc::new(AtomicU64::new(unix_ms)))
    }

    /// Milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        match self {
            Self::System { start_ms, start } => start_ms + millis(start.elapsed()),
            Self::Manual(now) => now.load(Ordering::Acquire),
        }
    }

    /// Moves a manual clock on; the system's clock moves by itself.
    pub fn advance(&self, by: Duration) {
        if let Self::Manual(now) = self {
            now.fetch_add(millis(by), Ordering::AcqRel);
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
