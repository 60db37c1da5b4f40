//! Waiting with a bound; the only file of the harness that reads a clock or sleeps.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// For conditions that other processes bring about on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Between two looks at a condition that nobody announces.
const PAUSE: Duration = Duration::from_millis(5);

/// Returns when `holds` does; panics with `what` when it does not within [`LIMIT`].
#[track_caller]
pub fn eventually(what: &str, holds: impl FnMut() -> bool) {
    assert!(eventually_or_not(holds), "not within {} s: {what}", LIMIT.as_secs());
}

/// Whether `holds` does within [`LIMIT`]; returns as soon as it does.
#[allow(clippy::disallowed_methods, reason = "real processes run on the real clock")]
pub fn eventually_or_not(mut holds: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if holds() {
            return true;
        }
        if start.elapsed() > LIMIT {
            return false;
        }
        std::thread::sleep(PAUSE);
    }
}

/// A clock that only goes forward, in nanoseconds since the first question: what was before what.
#[allow(clippy::disallowed_methods, reason = "real processes run on the real clock")]
pub fn monotonic_ns() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// The time of the machine, seconds since 1970: for the dates in scripted messages.
#[allow(clippy::disallowed_methods, reason = "real processes run on the real clock")]
pub fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
