//! What operators read: the log.
//!
//! Counters live beside what they count; each part registers its own with the registry that
//! `/metrics` shows.
//!
//! # Invariants
//! - What is written to a file or a pipe has no escape sequences.
//! - A filter that can't be understood is refused, never replaced by another.
//!
//! # Not here
//! What is logged: each part's own.

use std::ffi::OsString;
use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Sets the level, for instance `info,wasmcached::pages=debug`.
const FILTER_VARIABLE: &str = "WASMCACHED_LOG";

const FILTER_DEFAULT: &str = "warn,wasmcached=info";

/// The filter can't be understood.
#[derive(Debug, thiserror::Error)]
#[error(
    "{FILTER_VARIABLE}: `{value}` is neither a level (off, error, warn, info, debug, trace) nor \
     `module=level`; several are separated by commas"
)]
pub struct FilterError {
    /// The part that is wrong.
    value: String,
}

/// Writes the log to standard error, as `WASMCACHED_LOG` has it. Standard output is kept for the
/// addresses.
///
/// # Errors
/// `WASMCACHED_LOG` can't be understood.
pub fn log_to_stderr() -> Result<(), FilterError> {
    let filter = filter_of(std::env::var_os(FILTER_VARIABLE))?;
    // <https://no-color.org>: set and not empty.
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_coloured = std::io::stderr().is_terminal() && !is_plain;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(is_coloured);
    log.with_writer(std::io::stderr).init();
    Ok(())
}

fn filter_of(value: Option<OsString>) -> Result<EnvFilter, FilterError> {
    let text = value.unwrap_or_default().into_string();
    let text = text.map_err(|value| FilterError { value: value.display().to_string() })?;
    let text = if text.trim().is_empty() { FILTER_DEFAULT } else { &text };
    // A word alone would be taken for a module at level `trace`, and `verbose` would log nothing.
    let is_misspelt = |part: &&str| !part.contains(['=', '[']) && !is_level(part);
    if !text.contains('[')
        && let Some(value) = text.split(',').find(is_misspelt)
    {
        return Err(FilterError { value: value.to_owned() });
    }
    EnvFilter::builder().parse(text).map_err(|_| FilterError { value: text.to_owned() })
}

fn is_level(text: &str) -> bool {
    text.is_empty() || text.parse::<LevelFilter>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Result<String, String> {
        let filter = filter_of(Some(text.into()));
        filter.map(|filter| filter.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn levels_and_modules_with_levels_are_understood() {
        assert_eq!(told("debug").unwrap(), "debug");
        assert_eq!(told("warn,wasmcached=trace").unwrap(), "wasmcached=trace,warn");
        assert_eq!(told("").unwrap(), told(FILTER_DEFAULT).unwrap());
        assert_eq!(filter_of(None).unwrap().to_string(), told(FILTER_DEFAULT).unwrap());
    }

    #[test]
    fn anything_else_is_refused_by_its_part() {
        for (text, part) in [
            ("verbose", "`verbose`"),
            ("info,wasmcached=loud", "wasmcached=loud"),
            ("warn,chatty,info", "`chatty`"),
        ] {
            let told = told(text).unwrap_err();
            assert!(told.starts_with("WASMCACHED_LOG: ") && told.contains(part), "{told}");
        }
    }
}
