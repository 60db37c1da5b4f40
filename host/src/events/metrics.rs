//! What the webhook counts: each delivery once, by its result.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::model::Audited;

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum DeliveryResult {
    Applied,
    Announced,
    Duplicate,
    DryRun,
    UnknownSource,
    NotVerified,
    Malformed,
    TooSlow,
    TooLarge,
    UnknownIntent,
    TooManyIntents,
    Busy,
    VersionsChange,
    NotDurable,
}

impl DeliveryResult {
    fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Announced => "announced",
            Self::Duplicate => "duplicate",
            Self::DryRun => "dry_run",
            Self::UnknownSource => "unknown_source",
            Self::NotVerified => "not_verified",
            Self::Malformed => "malformed",
            Self::TooSlow => "too_slow",
            Self::TooLarge => "too_large",
            Self::UnknownIntent => "unknown_intent",
            Self::TooManyIntents => "too_many_intents",
            Self::Busy => "busy",
            Self::VersionsChange => "versions_change",
            Self::NotDurable => "not_durable",
        }
    }
}

type ResultLabel = [(&'static str, &'static str); 1];
type SiteAndPlugin = [(&'static str, String); 2];

/// Counters of the webhook.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Deliveries by result.
    deliveries: Family<ResultLabel, Counter>,
    /// Changes whose plugin failed, so that all that it may have stored was purged instead.
    pub(super) plugin_fallbacks: Counter,
    /// Events that were applied again after their source's delay.
    pub(super) held_applied: Counter,
    /// Announced changes whose commit did not come in time.
    pub(super) intents_timed_out: Counter,
    /// Pages that audits found stale, by site and by the plugin that should have named them.
    stale_reads: Family<SiteAndPlugin, Counter>,
    /// Pages that were audited, by result.
    audited_pages: Family<ResultLabel, Counter>,
    /// Events that were not audited for want of room.
    pub(super) audits_dropped: Counter,
}

impl Metrics {
    /// Makes them visible under `/metrics`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("events", "Webhook deliveries by result", self.deliveries.clone());
        registry.register(
            "event_plugin_fallbacks",
            "Changes for which the plugin failed and all that it may have stored was purged",
            self.plugin_fallbacks.clone(),
        );
        registry.register(
            "events_held_applied",
            "Events applied again after the delay of their source",
            self.held_applied.clone(),
        );
        registry.register(
            "intents_timed_out",
            "Announced changes whose commit did not come in time",
            self.intents_timed_out.clone(),
        );
        registry.register(
            "stale_reads",
            "Pages that an audit after an event found served and wrong, by site and plugin",
            self.stale_reads.clone(),
        );
        registry.register(
            "audited_pages",
            "Pages fetched anew after events and compared, by result",
            self.audited_pages.clone(),
        );
        registry.register(
            "audits_dropped",
            "Events not audited because too many waited for it",
            self.audits_dropped.clone(),
        );
    }

    /// Counts what an audit has found; `plugin` is the one that decided about the event.
    pub(super) fn count_audited(&self, found: &Audited, plugin: &str) {
        for (result, pages) in [
            ("same", found.same),
            ("unstable", found.unstable),
            ("overtaken", found.overtaken),
            ("unanswered", found.unanswered),
            ("stale", found.stale.len() as u64),
        ] {
            self.audited_pages.get_or_create(&[("result", result)]).inc_by(pages);
        }
        for page in &found.stale {
            let labels = [("site", page.site.clone()), ("plugin", plugin.to_owned())];
            self.stale_reads.get_or_create(&labels).inc();
        }
    }

    pub(super) fn count(&self, result: DeliveryResult) {
        self.deliveries.get_or_create(&[("result", result.as_str())]).inc();
    }
}
