//! Waiting with a bound; the only file of the harness that reads a clock or sleeps.

use std::time::{Duration, Instant};

/// For conditions that other processes bring about on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Between two looks at a condition that nobody announces.
const PAUSE: Duration = Duration::from_millis(5);

/// Returns when `holds` does; panics with `what` when it does not within [`LIMIT`].
#[track_caller]
#[allow(clippy::disallowed_methods, reason = "real processes run on the real clock")]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LIMIT, "not within {} s: {what}", LIMIT.as_secs());
        std::thread::sleep(PAUSE);
    }
}
