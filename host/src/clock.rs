//! The server's time. Clocks decide expiry, never freshness.
//!
//! # Invariants
//! - What expires or falls due reads no other clock (`clippy.toml` sees to it), so that tests can
//!   move it.
//!
//! # Not here
//! Time-outs of I/O and durations for the log: `tokio::time`, which tests pause.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// Time as milliseconds since 1970, cheap to clone.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's wall clock as it was at the start, moved on by its monotonic clock, so that a
    /// wall clock that jumps neither revives nor kills entries. Read some milliseconds coarse, at a
    /// fifth of the price: it is asked for every hit.
    System {
        /// The wall clock at the start, less the monotonic one.
        offset_ms: u64,
    },
    /// A clock that stands still until it is moved, for tests and simulation.
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The machine's clock.
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the machine's clocks")]
    pub fn system() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::System { offset_ms: millis(since_1970).saturating_sub(monotonic_ms()) }
    }

    /// A clock that stands at `unix_ms`.
    pub fn manual(unix_ms: u64) -> Self {
        Self::Manual(Arc::new(AtomicU64::new(unix_ms)))
    }

    /// Milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        match self {
            Self::System { offset_ms } => offset_ms + monotonic_ms(),
            Self::Manual(now) => now.load(Ordering::Acquire),
        }
    }

    /// Microseconds since some moment in the past, to measure what something costs.
    pub fn monotonic_us(&self) -> u64 {
        self.monotonic_ns() / 1_000
    }

    /// Nanoseconds since some moment in the past.
    pub fn monotonic_ns(&self) -> u64 {
        match self {
            Self::System { .. } => nanos_of(ClockId::Monotonic),
            Self::Manual(now) => now.load(Ordering::Acquire) * 1_000_000,
        }
    }

    /// Moves a manual clock on; the system's clock moves by itself.
    pub fn advance(&self, by: Duration) {
        if let Self::Manual(now) = self {
            now.fetch_add(millis(by), Ordering::AcqRel);
        }
    }
}

/// Nanoseconds that this thread has had a processor for: what it did, however long it waited for
/// its turn. A system call.
pub fn thread_cpu_ns() -> u64 {
    nanos_of(ClockId::ThreadCPUTime)
}

fn nanos_of(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    let (seconds, nanos) = (now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs());
    seconds * 1_000_000_000 + nanos
}

fn monotonic_ms() -> u64 {
    let now = clock_gettime(ClockId::MonotonicCoarse);
    let (seconds, nanos) = (now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs());
    seconds * 1000 + nanos / 1_000_000
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
