//! What the front door counts: for `stats`, and for Prometheus.
//!
//! # Invariants
//! - A reply is sent after it was counted, so that a client sees its own commands in `stats`.
//! - Connections count into shards of their own cache lines: no two threads fight over one.
//! - `stats reset` moves what `stats` shows; what Prometheus scrapes only rises.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// Shards of the counters; more than machines have cores that serve one cache.
const SHARDS: usize = 16;

/// Declares the counters once: variant, name in `stats` and for Prometheus, and what it counts.
macro_rules! counts {
    ($($variant:ident $name:literal $help:literal)*) => {
        /// Something that is counted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Count {
            $(#[doc = $help] $variant,)*
        }

        /// All of them, in order.
        const COUNTS: &[(Count, &str, &str)] = &[$((Count::$variant, $name, $help),)*];

        /// How many there are.
        const COUNTS_LEN: usize = [$(Count::$variant),*].len();
    };
}

counts! {
    TotalConnections "total_connections" "Connections accepted"
    ClosedConnections "closed_connections" "Connections ended"
    RejectedConnections "rejected_connections" "Connections refused over the limit"
    IdleKicks "idle_kicks" "Connections closed because they were idle"
    StalledKicks "stalled_kicks" "Connections closed because they took none of their replies"
    CmdGet "cmd_get" "Keys looked up"
    CmdSet "cmd_set" "Storage commands with whole data"
    CmdFlush "cmd_flush" "flush_all commands"
    CmdTouch "cmd_touch" "Keys touched by touch, gat and gats"
    CmdMeta "cmd_meta" "me commands"
    GetHits "get_hits" "Keys found by get and gets"
    GetMisses "get_misses" "Keys not found by get and gets"
    DeleteMisses "delete_misses" "Deletes of what was not there"
    DeleteHits "delete_hits" "Deletes of what was there"
    IncrMisses "incr_misses" "incr of what was not there"
    IncrHits "incr_hits" "incr of what was there"
    DecrMisses "decr_misses" "decr of what was not there"
    DecrHits "decr_hits" "decr of what was there"
    CasMisses "cas_misses" "cas of what was not there"
    CasHits "cas_hits" "cas with the right unique"
    CasBadval "cas_badval" "cas with an outdated unique"
    TouchHits "touch_hits" "Touches of what was there"
    TouchMisses "touch_misses" "Touches of what was not there"
    StoreTooLarge "store_too_large" "Values over the item size limit"
    StoreNoMemory "store_no_memory" "Values refused because memory is full"
    StoreFenced "store_fenced" "Values refused because they were invalidated since the miss"
    AuthCmds "auth_cmds" "Attempts to authenticate"
    AuthErrors "auth_errors" "Attempts to authenticate that failed"
    BytesRead "bytes_read" "Bytes received"
    BytesWritten "bytes_written" "Bytes sent"
}

/// What `stats reset` leaves alone: the number of open connections is their difference.
const OPEN: [Count; 2] = [Count::TotalConnections, Count::ClosedConnections];

/// One connection's counts since the last time they were handed over.
#[derive(Debug)]
pub(super) struct Tally {
    counts: [u64; COUNTS_LEN],
    /// One bit for each that is not zero.
    touched: u64,
    shard: usize,
}

impl Tally {
    /// Adds one.
    pub(super) fn inc(&mut self, count: Count) {
        self.add(count, 1);
    }

    /// Adds `by`.
    pub(super) fn add(&mut self, count: Count, by: u64) {
        if let Some(value) = self.counts.get_mut(count as usize) {
            *value += by;
            self.touched |= 1 << count as usize;
        }
    }
}

/// A shard on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Shard([AtomicU64; COUNTS_LEN]);

/// The counters of the front door.
pub struct Metrics {
    shards: Arc<[Shard]>,
    next_shard: AtomicUsize,
    /// What `stats reset` set to zero.
    base: Mutex<[u64; COUNTS_LEN]>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(COUNTS.iter().map(|(count, name, _)| (name, self.get(*count))))
            .finish()
    }
}

impl Metrics {
    pub(super) fn new() -> Self {
        let shard = || Shard(std::array::from_fn(|_| AtomicU64::new(0)));
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            next_shard: AtomicUsize::new(0),
            base: Mutex::new([0; COUNTS_LEN]),
        }
    }

    /// Has the counters scraped: `memcached_<name in stats>_total`, and the open connections.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(Scrape(Arc::clone(&self.shards))));
    }

    /// A tally for a new connection.
    pub(super) fn tally(&self) -> Tally {
        let shard = self.next_shard.fetch_add(1, Ordering::Relaxed) % SHARDS;
        Tally { counts: [0; COUNTS_LEN], touched: 0, shard }
    }

    /// Takes over what a connection has counted.
    pub(super) fn take(&self, tally: &mut Tally) {
        let Some(shard) = self.shards.get(tally.shard) else { return };
        while tally.touched != 0 {
            let index = tally.touched.trailing_zeros() as usize;
            tally.touched &= tally.touched - 1;
            if let (Some(total), Some(value)) = (shard.0.get(index), tally.counts.get_mut(index)) {
                total.fetch_add(std::mem::take(value), Ordering::Relaxed);
            }
        }
    }

    /// Adds one to a count outside of a connection.
    pub(super) fn inc(&self, count: Count) {
        let shard = self.shards.first().and_then(|shard| shard.0.get(count as usize));
        if let Some(total) = shard {
            total.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Connections that are open now.
    pub fn open_connections(&self) -> u64 {
        open_connections(&self.shards)
    }

    /// The names and values that `stats` shows, those of open connections aside.
    pub(super) fn shown(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let shown = COUNTS.iter().filter(|(count, ..)| *count != Count::ClosedConnections);
        shown.map(|(count, name, _)| (*name, self.get(*count)))
    }

    /// Begins anew what `stats` shows.
    pub(super) fn reset(&self) {
        let mut base = self.base.lock();
        for (count, ..) in COUNTS {
            if let Some(base) = base.get_mut(*count as usize) {
                *base = sum(&self.shards, *count);
            }
        }
    }

    fn get(&self, count: Count) -> u64 {
        let base = self.base.lock().get(count as usize).copied().unwrap_or_default();
        sum(&self.shards, count).saturating_sub(base)
    }
}

fn sum(shards: &[Shard], count: Count) -> u64 {
    let values = shards.iter().filter_map(|shard| shard.0.get(count as usize));
    values.map(|value| value.load(Ordering::Relaxed)).sum()
}

fn open_connections(shards: &[Shard]) -> u64 {
    let [total, closed] = OPEN.map(|count| sum(shards, count));
    total.saturating_sub(closed)
}

/// What Prometheus asks.
#[derive(Debug)]
struct Scrape(Arc<[Shard]>);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (count, name, help) in COUNTS {
            let counter = ConstCounter::new(sum(&self.0, *count));
            // `_total` is added behind every counter's name.
            let name = format!("memcached_{}", name.trim_start_matches("total_"));
            counter.encode(encoder.encode_descriptor(
                &name,
                help,
                None,
                counter.metric_type(),
            )?)?;
        }
        let open = ConstGauge::new(i64::try_from(open_connections(&self.0)).unwrap_or(i64::MAX));
        let (name, help) = ("memcached_curr_connections", "Connections open now");
        open.encode(encoder.encode_descriptor(name, help, None, open.metric_type())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reset_hides_what_was_counted_from_stats_but_not_from_prometheus() {
        let metrics = Metrics::new();
        let mut tally = metrics.tally();
        tally.inc(Count::TotalConnections);
        tally.add(Count::GetHits, 7);
        metrics.take(&mut tally);
        metrics.reset();
        tally.inc(Count::GetHits);
        metrics.take(&mut tally);
        assert_eq!(metrics.get(Count::GetHits), 1);
        assert_eq!(metrics.open_connections(), 1);
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains("memcached_get_hits_total 8\n"), "{text}");
        assert!(text.contains("memcached_connections_total 1\n"), "{text}");
        assert!(text.contains("memcached_curr_connections 1\n"), "{text}");
    }
}
