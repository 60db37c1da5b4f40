//! Counters of the memory and of the plugins as `/metrics` shows them.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::cache::Cache;
use crate::plugins::Plugins;

/// Registers everything that is read at the time of asking.
pub(super) fn register(cache: &Cache, plugins: &Plugins, registry: &mut Registry) {
    let stats = cache.stats();
    for (name, help, counter) in [
        ("stores", "Entries stored", &stats.stores),
        (
            "refused_fills",
            "Fills not kept because they were invalidated meanwhile",
            &stats.refused_fills,
        ),
        ("refused_full", "Stores refused because memory is full", &stats.refused_full),
        ("expired", "Entries found expired and removed", &stats.expired),
        ("invalid", "Entries found invalid and removed", &stats.invalid),
        ("sweeps", "Sweeps for expired and invalid entries", &stats.sweeps),
        ("invalidations", "Invalidations acknowledged", &stats.invalidations),
        (
            "invalidations_not_durable",
            "Invalidations that the tier could not make durable",
            &stats.invalidations_not_durable,
        ),
        ("tier_loads", "Keys looked up in the tier", &stats.tier_loads),
        ("tier_load_hits", "Keys found in the tier", &stats.tier_load_hits),
        ("tier_errors", "Errors of the tier", &stats.tier_errors),
    ] {
        registry.register(name, help, counter.clone());
    }
    registry.register_collector(Box::new(Memory(cache.clone())));
    registry.register_collector(Box::new(PluginCalls(plugins.clone())));
}

struct Memory(Cache);

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memory")
    }
}

impl Collector for Memory {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let cache = &self.0;
        let tier = cache.tier_status();
        let is_degraded = tier.as_ref().is_some_and(|tier| tier.degraded.is_some());
        let rows_skipped = tier.as_ref().map_or(0, |tier| tier.rows_skipped);
        for (name, help, value) in [
            ("keys", "Keys in memory", cache.len()),
            ("memory_bytes", "Resident bytes charged to entries", cache.bytes()),
            (
                "memory_bytes_invalid",
                "Bytes of invalid entries not yet given back, estimated",
                cache.bytes_invalid(),
            ),
            ("memory_bytes_max", "Budget for entries", cache.memory_bytes()),
            ("intents", "Announced changes that have not ended", cache.intents().0 as u64),
            ("fence_rows", "Rows of the fence, but for keys", cache.fence_rows() as u64),
            (
                "fence_key_rows",
                "Removed keys that the fence remembers for fills in flight",
                cache.fence_key_rows() as u64,
            ),
            (
                "tier_queued",
                "Keys waiting to be written",
                tier.as_ref().map_or(0, |tier| tier.queued as u64),
            ),
            ("tier_degraded", "1 while the tier does not work", u64::from(is_degraded)),
        ] {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let encoder = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(encoder)?;
        }
        let (tier_evictions, left_out, spared) =
            tier.map_or((0, 0, 0), |tier| (tier.evicted, tier.left_out, tier.spared));
        for (name, help, value) in [
            ("evictions", "Entries evicted for want of room", cache.evictions()),
            ("tier_evictions", "Rows of the tier removed to make room", tier_evictions),
            ("tier_values_left_out", "Values that took too long to write to the tier", left_out),
            ("tier_rows_skipped", "Rows of the tier that can't be read", rows_skipped),
            ("tier_spared", "Look-ups that the tier could answer without its database", spared),
        ] {
            let counter = ConstCounter::new(value);
            let encoder = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            counter.encode(encoder)?;
        }
        Ok(())
    }
}

struct PluginCalls(Plugins);

impl std::fmt::Debug for PluginCalls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PluginCalls")
    }
}

impl Collector for PluginCalls {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let kind = ConstCounter::new(0u64).metric_type();
        let plugins = self.0.list();
        let help = "1 while a plugin fails too often to be asked";
        let gauge = ConstGauge::new(0i64).metric_type();
        let mut family = encoder.encode_descriptor("plugin_degraded", help, None, gauge)?;
        for plugin in &plugins {
            let value = ConstGauge::new(i64::from(plugin.is_degraded()));
            value.encode(family.encode_family(&[("plugin", plugin.name())])?)?;
        }
        let help = "What else happened to plugins";
        let mut family = encoder.encode_descriptor("plugin_incidents", help, None, kind)?;
        for plugin in &plugins {
            for (incident, count) in plugin.incidents() {
                let labels = [("plugin", plugin.name()), ("incident", incident.as_str())];
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "Calls of plugins by hook and outcome";
        let mut family = encoder.encode_descriptor("plugin_calls", help, None, kind)?;
        for plugin in &plugins {
            for (hook, outcome, count) in plugin.calls() {
                let labels = [
                    ("plugin", plugin.name()),
                    ("hook", hook.as_str()),
                    ("outcome", outcome.as_str()),
                ];
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "Components of plugins that were compiled";
        let mut family = encoder.encode_descriptor("plugin_compilations", help, None, kind)?;
        for plugin in &plugins {
            let count = ConstCounter::new(plugin.compilations().0);
            count.encode(family.encode_family(&[("plugin", plugin.name())])?)?;
        }
        let help = "Components of plugins whose code was compiled earlier";
        let mut family = encoder.encode_descriptor("plugin_code_cache_hits", help, None, kind)?;
        for plugin in &plugins {
            let count = ConstCounter::new(plugin.compilations().1);
            count.encode(family.encode_family(&[("plugin", plugin.name())])?)?;
        }
        let help = "Versions of plugins that were offered and refused";
        let mut family = encoder.encode_descriptor("plugin_refused", help, None, kind)?;
        for versions in self.0.all().iter() {
            let count = ConstCounter::new(versions.refused());
            count.encode(family.encode_family(&[("plugin", versions.name())])?)?;
        }
        Ok(())
    }
}
