//! What the webhook counts: each delivery once, by its result.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum DeliveryResult {
    Applied,
    Duplicate,
    DryRun,
    UnknownSource,
    NotVerified,
    Malformed,
    TooSlow,
    TooLarge,
    NotDurable,
}

impl DeliveryResult {
    fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Duplicate => "duplicate",
            Self::DryRun => "dry_run",
            Self::UnknownSource => "unknown_source",
            Self::NotVerified => "not_verified",
            Self::Malformed => "malformed",
            Self::TooSlow => "too_slow",
            Self::TooLarge => "too_large",
            Self::NotDurable => "not_durable",
        }
    }
}

type ResultLabel = [(&'static str, &'static str); 1];

/// Counters of the webhook.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Deliveries by result.
    deliveries: Family<ResultLabel, Counter>,
    /// Changes whose plugin failed, so that `model:<model>` was purged instead.
    pub(super) plugin_fallbacks: Counter,
    /// Events that were applied again after their source's delay.
    pub(super) held_applied: Counter,
}

impl Metrics {
    /// Makes them visible under `/metrics`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("events", "Webhook deliveries by result", self.deliveries.clone());
        registry.register(
            "event_plugin_fallbacks",
            "Changes for which the plugin failed and the built-in tag was purged",
            self.plugin_fallbacks.clone(),
        );
        registry.register(
            "events_held_applied",
            "Events applied again after the delay of their source",
            self.held_applied.clone(),
        );
    }

    pub(super) fn count(&self, result: DeliveryResult) {
        self.deliveries.get_or_create(&[("result", result.as_str())]).inc();
    }
}
