//! What the page cache counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::outcome::{Outcome, Reason};

type ByOutcome = Family<[(&'static str, &'static str); 1], Counter>;

/// Counters of the page cache; each request raises exactly one of `requests`.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Answered requests, by outcome.
    requests: ByOutcome,
    /// Those answered fresh from memory, which are too many to be looked up each time.
    pub(crate) hits: Counter,
    /// Answers that were not stored, and requests that went past the cache, by reason.
    not_stored: ByOutcome,
    /// Requests to origins, with those that were repeated.
    pub origin_requests: Counter,
    /// Pages that a background request was begun for: stale ones, and those that events name.
    pub refreshes: Counter,
    /// Refreshes by events that were not carried out, because too many were waiting.
    pub refreshes_refused: Counter,
    /// Connections refused because there were as many as there may be.
    pub refused_connections: Counter,
    /// Connections refused because their client had as many as it may.
    pub refused_connections_of_client: Counter,
    /// Invalidations by answers to unsafe methods that could not be made durable.
    pub invalidations_not_durable: Counter,
    /// Requests that wait for another's fill.
    pub waiting: Gauge,
    /// Connections that carry another protocol.
    pub tunnels: Gauge,
    /// Bytes that tunnels have carried, in both directions, counted at their ends.
    pub tunnel_bytes: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let requests = ByOutcome::default();
        let hits = requests.get_or_create(&[("outcome", Outcome::Hit.as_str())]).clone();
        Self {
            requests,
            hits,
            not_stored: ByOutcome::default(),
            origin_requests: Counter::default(),
            refreshes: Counter::default(),
            refreshes_refused: Counter::default(),
            refused_connections: Counter::default(),
            refused_connections_of_client: Counter::default(),
            invalidations_not_durable: Counter::default(),
            waiting: Gauge::default(),
            tunnels: Gauge::default(),
            tunnel_bytes: Counter::default(),
        }
    }
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
            "refreshes_refused",
            "Refreshes by events that too many others were waiting for",
            self.refreshes_refused.clone(),
        );
        registry.register(
            "refused_connections",
            "Connections over the limit",
            self.refused_connections.clone(),
        );
        registry.register(
            "refused_connections_of_client",
            "Connections over the limit of one client",
            self.refused_connections_of_client.clone(),
        );
        registry.register(
            "invalidations_not_durable",
            "Invalidations by unsafe methods that a crash would undo",
            self.invalidations_not_durable.clone(),
        );
        registry.register("waiting", "Requests waiting for a fill", self.waiting.clone());
        registry.register("tunnels", "Connections of another protocol", self.tunnels.clone());
        registry.register("tunnel_bytes", "Bytes carried by tunnels", self.tunnel_bytes.clone());
    }
}

/// Counts something for as long as it lives.
pub(crate) struct Counted<'a>(&'a Gauge);

impl<'a> Counted<'a> {
    pub(crate) fn on(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
