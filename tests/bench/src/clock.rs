//! The one place that reads the clock: what is measured runs in real time.

use std::time::{Duration, Instant, SystemTime};

/// For a server to start, or to end.
const LIMIT: Duration = Duration::from_secs(30);

/// Between two looks at something that nobody announces.
const PAUSE: Duration = Duration::from_millis(5);

/// Now.
#[allow(clippy::disallowed_methods, reason = "a benchmark measures the real clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The time of day, for the origin's `Date`.
#[allow(clippy::disallowed_methods, reason = "caches compare it with their own clock")]
pub(crate) fn time_of_day() -> SystemTime {
    SystemTime::now()
}

/// Looks until there is something, at most 30 s.
///
/// # Errors
/// What `look` returns, or that nothing came in time.
pub(crate) fn wait_for<T>(
    what: &str,
    mut look: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let start = now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if start.elapsed() > LIMIT {
            anyhow::bail!("not within {} s: {what}", LIMIT.as_secs());
        }
        std::thread::sleep(PAUSE);
    }
}
