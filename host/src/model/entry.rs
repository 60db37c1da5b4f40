//! What is cached, apart from the bookkeeping of freshness that `cache` adds.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::sync::{Arc, OnceLock};

use super::Tag;

/// When an entry expires, in milliseconds since 1970 by the server's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry(u64);

impl Expiry {
    /// Only eviction or an invalidation ends it.
    pub const NEVER: Self = Self(u64::MAX);

    /// At this moment it is gone.
    pub fn at_ms(unix_ms: u64) -> Self {
        Self(unix_ms)
    }

    /// Whether it is gone at `now_ms`.
    pub fn is_past(self, now_ms: u64) -> bool {
        self.0 <= now_ms
    }

    /// The moment, or `None` for never.
    pub fn as_ms(self) -> Option<u64> {
        (self != Self::NEVER).then_some(self.0)
    }
}

/// The value and what belongs to it.
#[derive(Debug, Clone)]
pub struct Content {
    /// The value of an item, the representation of a page.
    pub body: Bytes,
    /// Item or page.
    pub kind: Kind,
    /// When memory may forget it; for a page this lies behind its freshness by the time it may be
    /// served stale.
    pub expires: Expiry,
    /// The names by which it is invalidated.
    pub tags: Vec<Tag>,
}

/// What sort of entry it is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Written by a client, with the client's opaque 32 bits.
    Item {
        /// memcached's client flags.
        flags: u32,
    },
    /// Filled from an origin.
    Page(Arc<PageHead>),
}

/// Whether a page may be served beyond its lifetime (RFC 9111 §4.2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Staleness {
    /// Never: `no-cache`, `must-revalidate`, `proxy-revalidate`.
    Forbidden,
    /// Within the windows that it states itself: `s-maxage`.
    Stated,
    /// Also where others allow it.
    Allowed,
}

/// The head of a stored response and what its policy needs on a hit.
#[derive(Debug, Clone)]
pub struct PageHead {
    /// `http://host/path?query`: what purges by URL name.
    pub url: Box<str>,
    /// The configured site that it was filled for: what purges by site name.
    pub site: Box<str>,
    /// The response's status.
    pub status: StatusCode,
    /// The response's fields, without hop-by-hop fields (RFC 9111 §3.1).
    pub headers: HeaderMap,
    /// The request fields named by `Vary`, each with its value at the time of the fill; absence is
    /// a value (RFC 9111 §4.1).
    pub vary: Vec<(HeaderName, Option<HeaderValue>)>,
    /// When the response was received, milliseconds since 1970.
    pub received_ms: u64,
    /// How old it was then (RFC 9111 §4.2.3, corrected_initial_age).
    pub initial_age_ms: u64,
    /// How old it may become (RFC 9111 §4.2.1, freshness_lifetime).
    pub lifetime_ms: u64,
    /// For how long after that it may be served while being refreshed (RFC 5861 §3).
    pub stale_while_revalidate_ms: u64,
    /// For how long after its lifetime it may be served while the origin fails (RFC 5861 §4).
    pub stale_if_error_ms: u64,
    /// Whether it may be served beyond its lifetime at all.
    pub staleness: Staleness,
    /// The plugin that decided key, tags or time, if one did, with its key epoch: `shop/3`.
    pub plugin: Option<Box<str>>,
    /// Status line and fields as HTTP/1.1 sends them, without what differs from hit to hit and
    /// without the empty line; serialised once.
    pub block: OnceLock<Box<[u8]>>,
}

impl PageHead {
    /// The name of the plugin that decided, if one did, and its key epoch.
    pub fn plugin_and_epoch(&self) -> Option<(&str, &str)> {
        let mark = self.plugin.as_deref()?;
        Some(mark.rsplit_once('/').unwrap_or((mark, "")))
    }

    /// RFC 9111 §4.2.3, current_age.
    pub fn age_ms(&self, now_ms: u64) -> u64 {
        self.initial_age_ms.saturating_add(now_ms.saturating_sub(self.received_ms))
    }

    /// RFC 9111 §4.2, response_is_fresh.
    pub fn is_fresh(&self, now_ms: u64) -> bool {
        self.lifetime_ms > self.age_ms(now_ms)
    }
}

#[cfg(test)]
impl PageHead {
    /// For tests: a plain page, fresh for an hour, that may be served after that.
    pub(crate) fn of_test(url: &str, received_ms: u64) -> Self {
        Self {
            url: url.into(),
            site: "example.org".into(),
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            vary: Vec::new(),
            received_ms,
            initial_age_ms: 0,
            lifetime_ms: 3_600_000,
            stale_while_revalidate_ms: 0,
            stale_if_error_ms: 0,
            staleness: Staleness::Allowed,
            plugin: None,
            block: OnceLock::new(),
        }
    }
}
