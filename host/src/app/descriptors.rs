//! How many files the process may have open: as many as its connections need.
//!
//! # Not here
//! Refusing connections over a limit: the accept loop's.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::{Config, ConfigError};
use crate::limits::API_CONNECTIONS_MAX;

/// Beside connections: standard streams, listeners, polling, the tier's files, connections that are
/// being refused.
const RESERVED: u64 = 256;

/// What the memcached listeners and the API must have.
fn required(config: &Config) -> u64 {
    (config.memcached.connections_max + API_CONNECTIONS_MAX) as u64 + RESERVED
}

/// With pages, and a connection to the origin for each of them.
fn wanted(config: &Config) -> u64 {
    let pages = config.pages.as_ref().map_or(0, |pages| 2 * pages.limits.connections_max);
    required(config) + pages as u64
}

/// The mistake of allowing more connections than the process can ever have.
pub(super) fn check(config: &Config) -> Option<ConfigError> {
    mistake(config.memcached.connections_max, required(config), getrlimit(Resource::Nofile))
}

fn mistake(connections_max: usize, required: u64, limit: Rlimit) -> Option<ConfigError> {
    // Absent is unlimited.
    let hard = limit.maximum.filter(|hard| *hard < required)?;
    let message = format!(
        "`{connections_max}` needs {required} open files; the hard limit is {hard} \
         (`ulimit -Hn`, or `LimitNOFILE=` of the unit)"
    );
    Some(ConfigError { key: "memcached.max_connections".to_owned(), message })
}

/// Raises the soft limit to what may be needed, as far as the hard one allows.
pub(super) fn raise(config: &Config) {
    let limit = getrlimit(Resource::Nofile);
    let wanted = wanted(config).min(limit.maximum.unwrap_or(u64::MAX));
    if limit.current.is_none_or(|soft| soft >= wanted) {
        return;
    }
    let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, wanted, "limit of open files");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hard_limit_below_the_connections_is_a_mistake_with_both_numbers() {
        let limit = |maximum| Rlimit { current: Some(1), maximum };
        assert_eq!(mistake(1_000, 2_280, limit(Some(2_280))), None);
        assert_eq!(mistake(1_000, 2_280, limit(None)), None);
        assert_eq!(
            mistake(1_000, 2_280, limit(Some(2_279))).unwrap().to_string(),
            "memcached.max_connections: `1000` needs 2280 open files; the hard limit is 2279 \
             (`ulimit -Hn`, or `LimitNOFILE=` of the unit)"
        );
    }
}
