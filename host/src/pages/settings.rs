//! What an operator decides about pages: sites, limits and time-outs.

use std::sync::Arc;

use http::Uri;

use super::policy_hook::PagePolicy;
use crate::config::Rules;

/// Time to connect to an origin, milliseconds: it is near, or it is down.
pub const CONNECT_TIMEOUT_MS: u64 = 2_000;

/// Time from the last byte of a request to the head of its answer, milliseconds.
pub const HEAD_TIMEOUT_MS: u64 = 30_000;

/// Time that an origin may be silent in the middle of a body, stored or not, milliseconds.
pub const BODY_IDLE_TIMEOUT_MS: u64 = 30_000;

/// Connections at a time, where the operator says nothing.
pub const CONNECTIONS_MAX: usize = 4_096;

/// Limits and time-outs of the page cache.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Client connections at a time; more are answered 503.
    pub connections_max: usize,
    /// See [`CONNECT_TIMEOUT_MS`].
    pub connect_timeout_ms: u64,
    /// See [`HEAD_TIMEOUT_MS`].
    pub head_timeout_ms: u64,
    /// See [`BODY_IDLE_TIMEOUT_MS`].
    pub body_idle_timeout_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connections_max: CONNECTIONS_MAX,
            connect_timeout_ms: CONNECT_TIMEOUT_MS,
            head_timeout_ms: HEAD_TIMEOUT_MS,
            body_idle_timeout_ms: BODY_IDLE_TIMEOUT_MS,
        }
    }
}

/// A configured host with its origin.
pub struct Site {
    /// The operator's name of it, for logs.
    pub name: String,
    /// The host that it answers for, with or without a port; `None` for every other host.
    pub host: Option<String>,
    /// Where its pages come from: `http` and an authority.
    pub origin: Uri,
    /// Decides keys, tags and times, where a plugin does.
    pub policy: Option<Arc<dyn PagePolicy>>,
    /// What HTTP leaves to the operator.
    pub rules: Rules,
}

/// A site that can't be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SiteError {
    /// Not a URL of an origin.
    #[error("site {site:?} has origin {origin:?}; it must be http://host[:port] without a path")]
    Origin {
        /// The site.
        site: String,
        /// As configured.
        origin: String,
    },
    /// Not the name of a host.
    #[error("site {site:?} has host {host:?}, which is not a host name")]
    Host {
        /// The site.
        site: String,
        /// As configured.
        host: String,
    },
    /// Two sites for one host.
    #[error("sites {first:?} and {second:?} answer for the same host")]
    Twice {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
}
