//! When a plugin is no longer asked: it traps or runs into its deadline again and again.
//!
//! # Invariants
//! - While it is open a guest is entered by one call per [`PROBE_MS`] at most, however many come.
//! - Only what an admitted probe achieved closes it: calls that began before it opened tell nothing
//!   of the guest as it is now.
//! - One thing that is asked several times fails once.
//! - A closed one costs a call one load; the clock is read after failures and while it is open.
//!
//! # Not here
//! The version before, which takes over: [`super::Plugins`].

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::error::CallError;
use crate::clock::Clock;

/// Traps and time-outs within [`WINDOW_MS`] that open it.
const FAILURES: usize = 5;

const WINDOW_MS: u64 = 10_000;

/// Between two calls that are let through while it is open.
const PROBE_MS: u64 = 30_000;

/// The value of `probe_at_ms` of one that is closed.
const CLOSED: u64 = 0;

/// The breaker of one version of a plugin.
pub(super) struct Breaker {
    clock: Clock,
    /// When the next call is let through, or [`CLOSED`].
    probe_at_ms: AtomicU64,
    /// When the last failures were, the oldest first.
    failed_at_ms: Mutex<Vec<u64>>,
}

/// Leave to enter the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// Nothing is known against it.
    Usual,
    /// To see whether it works again.
    Probe,
}

/// What a result did to the breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// From now on the plugin is not asked.
    Opened,
    /// It is asked again.
    Closed,
}

impl Breaker {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, probe_at_ms: AtomicU64::new(CLOSED), failed_at_ms: Mutex::default() }
    }

    /// Whether calls are kept from the guest.
    pub(super) fn is_open(&self) -> bool {
        self.probe_at_ms.load(Ordering::Relaxed) != CLOSED
    }

    /// Leave for one call; `None` while the plugin is not to be asked.
    pub(super) fn admit(&self) -> Option<Pass> {
        let probe_at_ms = self.probe_at_ms.load(Ordering::Relaxed);
        if probe_at_ms == CLOSED {
            return Some(Pass::Usual);
        }
        let now_ms = self.clock.now_ms();
        if now_ms < probe_at_ms {
            return None;
        }
        // Whoever moves it on is the one probe; if it never comes back, another follows.
        let next_ms = now_ms + PROBE_MS;
        let moved = self.probe_at_ms.compare_exchange(
            probe_at_ms,
            next_ms,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        moved.is_ok().then_some(Pass::Probe)
    }

    /// Notes what a call came to.
    pub(super) fn note<T>(&self, pass: Pass, result: &Result<T, CallError>) -> Change {
        let failed = match result {
            Err(CallError::Trap(_) | CallError::Deadline { .. }) => true,
            // It never ran.
            Err(CallError::Busy | CallError::Degraded | CallError::NotExported) => {
                return Change::None;
            }
            Ok(_) | Err(CallError::Guest(_) | CallError::Refused(_)) => false,
        };
        match (pass, failed) {
            (Pass::Usual, true) => self.note_failure(),
            (Pass::Probe, false) => self.close(),
            (Pass::Usual, false) | (Pass::Probe, true) => Change::None,
        }
    }

    fn note_failure(&self) -> Change {
        let mut failed_at_ms = self.failed_at_ms.lock();
        let now_ms = self.clock.now_ms();
        failed_at_ms.retain(|at_ms| at_ms + WINDOW_MS > now_ms);
        failed_at_ms.push(now_ms);
        if failed_at_ms.len() < FAILURES || self.is_open() {
            return Change::None;
        }
        failed_at_ms.clear();
        self.probe_at_ms.store(now_ms + PROBE_MS, Ordering::Relaxed);
        Change::Opened
    }

    fn close(&self) -> Change {
        let mut failed_at_ms = self.failed_at_ms.lock();
        failed_at_ms.clear();
        match self.probe_at_ms.swap(CLOSED, Ordering::Relaxed) {
            CLOSED => Change::None,
            _ => Change::Closed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn breaker() -> (Clock, Breaker) {
        let clock = Clock::manual(1_000_000);
        (clock.clone(), Breaker::new(clock))
    }

    fn trap() -> Result<(), CallError> {
        Err(CallError::Trap("for the test".to_owned()))
    }

    fn open() -> (Clock, Breaker) {
        let (clock, breaker) = breaker();
        for n in 1..=FAILURES {
            let change = breaker.note(Pass::Usual, &trap());
            assert_eq!(change == Change::Opened, n == FAILURES);
        }
        (clock, breaker)
    }

    #[test]
    fn five_failures_within_ten_seconds_open_it_and_spread_ones_do_not() {
        let (clock, breaker) = breaker();
        for _ in 0..100 {
            assert_eq!(breaker.note(Pass::Usual, &trap()), Change::None);
            assert_eq!(breaker.note::<()>(Pass::Usual, &Err(CallError::Busy)), Change::None);
            clock.advance(Duration::from_millis(2_500));
        }
        assert_eq!(breaker.admit(), Some(Pass::Usual));
        clock.advance(Duration::from_millis(10_000));
        let deadline = Err(CallError::Deadline { ms: 2 });
        for _ in 1..FAILURES {
            assert_eq!(breaker.note::<()>(Pass::Usual, &deadline), Change::None);
        }
        assert_eq!(breaker.note(Pass::Usual, &trap()), Change::Opened);
        assert!(breaker.is_open());
        assert_eq!(breaker.admit(), None);
    }

    #[test]
    fn one_call_each_thirty_seconds_is_let_through_and_its_success_closes_it() {
        let (clock, breaker) = open();
        clock.advance(Duration::from_millis(PROBE_MS - 1));
        assert_eq!(breaker.admit(), None);
        clock.advance(Duration::from_millis(1));
        assert_eq!(breaker.admit(), Some(Pass::Probe));
        assert_eq!(breaker.admit(), None);
        assert_eq!(breaker.note(Pass::Probe, &trap()), Change::None);
        clock.advance(Duration::from_millis(PROBE_MS));
        assert_eq!(breaker.admit(), Some(Pass::Probe));
        let own = Err(CallError::Guest("no answer, but it runs".to_owned()));
        assert_eq!(breaker.note::<()>(Pass::Probe, &own), Change::Closed);
        assert_eq!(breaker.admit(), Some(Pass::Usual));
        assert_eq!(breaker.note(Pass::Usual, &trap()), Change::None);
    }

    #[test]
    fn a_call_that_began_before_it_opened_does_not_close_it() {
        let (_clock, breaker) = open();
        assert_eq!(breaker.note(Pass::Usual, &Ok(())), Change::None);
        assert!(breaker.is_open());
    }
}
