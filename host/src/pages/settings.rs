//! What an operator decides about pages: sites, limits and time-outs.

use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{StatusCode, Uri};

use super::policy_hook::PagePolicy;
use crate::limits::HTTP_HEAD_MS_MAX;

/// Time to connect to an origin, milliseconds: it is near, or it is down.
pub const CONNECT_TIMEOUT_MS: u64 = 2_000;

/// Time from the last byte of a request to the head of its answer, milliseconds.
pub const HEAD_TIMEOUT_MS: u64 = 30_000;

/// Time that an origin may be silent in the middle of a body, stored or not, milliseconds.
pub const BODY_IDLE_TIMEOUT_MS: u64 = 30_000;

/// Time that a client's connection may wait for its next request, milliseconds.
pub(crate) const IDLE_TIMEOUT_MS: u64 = 60_000;

/// Time that a client may be silent in the middle of its body, milliseconds; and how far it may
/// fall behind the slowest pace.
pub(crate) const UPLOAD_IDLE_TIMEOUT_MS: u64 = 20_000;

/// The slowest pace of a client's body, bytes per second.
pub(crate) const UPLOAD_RATE_MIN: u64 = 500;

/// Largest body of a request.
pub(crate) const UPLOAD_BYTES_MAX: u64 = 128 << 20;

/// Time that a tunnel may carry nothing, milliseconds.
pub(crate) const TUNNEL_IDLE_TIMEOUT_MS: u64 = 600_000;

/// Tunnels at a time.
pub(crate) const TUNNELS_MAX: usize = 1_024;

/// Requests under way at one origin at a time.
pub(crate) const ORIGIN_REQUESTS_MAX: usize = 256;

/// Requests that wait until one of those is over; more are answered 503.
pub(crate) const ORIGIN_QUEUE_MAX: usize = 1_024;

/// Time that they wait, milliseconds; then 503.
pub(crate) const ORIGIN_QUEUE_TIMEOUT_MS: u64 = 5_000;

/// Connections at a time, where the operator says nothing.
pub const CONNECTIONS_MAX: usize = 4_096;

/// Limits and time-outs of the page cache.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Client connections at a time; more are answered 503.
    pub connections_max: usize,
    /// Time for the whole head of a request, milliseconds; then 408.
    pub request_head_timeout_ms: u64,
    /// See [`IDLE_TIMEOUT_MS`].
    pub idle_timeout_ms: u64,
    /// See [`UPLOAD_IDLE_TIMEOUT_MS`]; then 408.
    pub upload_idle_timeout_ms: u64,
    /// See [`UPLOAD_RATE_MIN`]; then 408.
    pub upload_rate_min: u64,
    /// See [`UPLOAD_BYTES_MAX`]; then 413.
    pub upload_bytes_max: u64,
    /// See [`TUNNEL_IDLE_TIMEOUT_MS`].
    pub tunnel_idle_timeout_ms: u64,
    /// See [`TUNNELS_MAX`]; then 503.
    pub tunnels_max: usize,
    /// See [`ORIGIN_REQUESTS_MAX`].
    pub origin_requests_max: usize,
    /// See [`ORIGIN_QUEUE_MAX`].
    pub origin_queue_max: usize,
    /// See [`ORIGIN_QUEUE_TIMEOUT_MS`].
    pub origin_queue_timeout_ms: u64,
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
            request_head_timeout_ms: HTTP_HEAD_MS_MAX,
            idle_timeout_ms: IDLE_TIMEOUT_MS,
            upload_idle_timeout_ms: UPLOAD_IDLE_TIMEOUT_MS,
            upload_rate_min: UPLOAD_RATE_MIN,
            upload_bytes_max: UPLOAD_BYTES_MAX,
            tunnel_idle_timeout_ms: TUNNEL_IDLE_TIMEOUT_MS,
            tunnels_max: TUNNELS_MAX,
            origin_requests_max: ORIGIN_REQUESTS_MAX,
            origin_queue_max: ORIGIN_QUEUE_MAX,
            origin_queue_timeout_ms: ORIGIN_QUEUE_TIMEOUT_MS,
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
    /// Where its pages come from, one at least: `http` and an authority. All of them answer alike.
    pub origins: Vec<Uri>,
    /// How they are checked, where they are.
    pub check: Option<Check>,
    /// Decides keys, tags and times, where a plugin does.
    pub policy: Option<Arc<dyn PagePolicy>>,
}

/// How the origins of a site are asked whether they are well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Path and query of the request.
    pub path: PathAndQuery,
    /// Between two checks, milliseconds.
    pub interval_ms: u64,
    /// What they answer when they are well.
    pub status: StatusCode,
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
    /// No origin at all.
    #[error("site {site:?} has no origin; it needs one at least")]
    NoOrigin {
        /// The site.
        site: String,
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
