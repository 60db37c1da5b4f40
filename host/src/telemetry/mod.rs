//! What operators read: the log.
//!
//! Counters live beside what they count; each part registers its own with the registry that
//! `/metrics` shows.

use tracing_subscriber::EnvFilter;

/// Writes the log to standard error; `WASMCACHED_LOG` sets the level, for instance
/// `info,wasmcached::pages=debug`. Standard output is kept for the addresses.
pub fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("WASMCACHED_LOG")
        .unwrap_or_else(|_| EnvFilter::new("warn,wasmcached=info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
