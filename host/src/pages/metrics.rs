//! What the page cache counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::outcome::{Outcome, Reason};

type ByOutcome = Family<[(&'static str, &'static str); 1], Counter>;

/// Counters of the page cache; each request raises exactly one of `requests`.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Answered requests, by outcome.
    requests: ByOutcome,
    /// Answers that were not stored, and requests that went past the cache, by reason.
    not_stored: ByOutcome,
    /// Requests to origins, with those that were repeated.
    pub origin_requests: Counter,
    /// Pages that a background request was begun for: stale ones, and those that events name.
    pub refreshes: Counter,
    /// Connections refused because there were as many as there may be.
    pub refused_connections: Counter,
    /// Invalidations by answers to unsafe methods that could not be made durable.
    pub invalidations_not_durable: Counter,
    /// Requests that wait for another's fill.
    pub waiting: Gauge,
}

impl Metrics {
    pub(crate) fn note_outcome(&self, outcome: Outcome) {
        self.requests.get_or_create(&[("outcome", outcome.as_str())]).inc();
    }

    pub(crate) fn note_not_stored(&self, reason: Reason) {
        self.not_stored.get_or_create(&[("reason", reason.as_str())]).inc();
    }

    /// Names all of them in a registry.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("pages");
        registry.register("requests", "Answered requests", self.requests.clone());
        registry.register("not_stored", "Answers that were not stored", self.not_stored.clone());
        registry.register("origin_requests", "Requests to origins", self.origin_requests.clone());
        registry.register("refreshes", "Pages refreshed in the background", self.refreshes.clone());
        registry.register(
            "refused_connections",
            "Connections over the limit",
            self.refused_connections.clone(),
        );
        registry.register(
            "invalidations_not_durable",
            "Invalidations by unsafe methods that a crash would undo",
            self.invalidations_not_durable.clone(),
        );
        registry.register("waiting", "Requests waiting for a fill", self.waiting.clone());
    }
}

/// Counts a request as waiting for as long as it lives.
pub(crate) struct Waiting<'a>(&'a Gauge);

impl<'a> Waiting<'a> {
    pub(crate) fn on(metrics: &'a Metrics) -> Self {
        metrics.waiting.inc();
        Self(&metrics.waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
