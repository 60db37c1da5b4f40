//! The memory's counts, and `stats items`, `stats slabs` and `stats sizes`.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use super::Shown;
use crate::cache::Cache;
use crate::memcached::metrics::Count;
use crate::memcached::server::Door;

/// memcached's slabs come in pages of this size.
const PAGE_BYTES: u64 = 1024 * 1024;

/// Width of the narrowest classes of `stats sizes`, as in memcached.
const SIZE_STEP_BYTES: u64 = 32;

/// Wider classes are at least this fine a part of their size, so that there are not too many.
const SIZE_STEPS: u64 = 1024;

/// What the memory has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::memcached) struct MemoryCounts {
    /// Entries stored.
    pub(super) stores: u64,
    /// Entries found expired, and by whom.
    pub(super) expired: u64,
    /// By who looked for them.
    pub(super) read_expired: u64,
    /// Entries found invalid by who looked for them.
    pub(super) read_invalid: u64,
    /// Expired items that nobody had read.
    pub(super) expired_unfetched: u64,
    /// Keys evicted.
    pub(super) evicted: u64,
    /// Evicted items that nobody had read.
    pub(super) evicted_unfetched: u64,
    /// Evicted keys that would have expired.
    pub(super) evicted_expiring: u64,
    /// Stores refused because memory is full.
    pub(super) refused_full: u64,
    /// Sweeps.
    pub(super) sweeps: u64,
    /// Entries that sweeps have judged.
    pub(super) swept: u64,
}

impl MemoryCounts {
    /// As they are.
    pub(in crate::memcached) fn of(cache: &Cache) -> Self {
        let (stats, evictions) = (cache.stats(), cache.eviction_counts());
        Self {
            stores: stats.stores.get(),
            expired: stats.expired.get(),
            read_expired: stats.read_expired.get(),
            read_invalid: stats.read_invalid.get(),
            expired_unfetched: stats.expired_unfetched.get(),
            evicted: evictions.keys,
            evicted_unfetched: evictions.unfetched,
            evicted_expiring: evictions.expiring,
            refused_full: stats.refused_full.get(),
            sweeps: stats.sweeps.get(),
            swept: stats.swept.get(),
        }
    }

    /// Since `stats reset`.
    pub(super) fn since_reset(door: &Door) -> Self {
        let (now, base) = (Self::of(door.cache()), *door.memory_base().lock());
        let since = |count: fn(&Self) -> u64| count(&now).saturating_sub(count(&base));
        Self {
            stores: since(|counts| counts.stores),
            expired: since(|counts| counts.expired),
            read_expired: since(|counts| counts.read_expired),
            read_invalid: since(|counts| counts.read_invalid),
            expired_unfetched: since(|counts| counts.expired_unfetched),
            evicted: since(|counts| counts.evicted),
            evicted_unfetched: since(|counts| counts.evicted_unfetched),
            evicted_expiring: since(|counts| counts.evicted_expiring),
            refused_full: since(|counts| counts.refused_full),
            sweeps: since(|counts| counts.sweeps),
            swept: since(|counts| counts.swept),
        }
    }

    /// Entries that a sweep found expired.
    pub(super) fn swept_expired(&self) -> u64 {
        self.expired.saturating_sub(self.read_expired)
    }
}

/// `stats items`: what is stored. Nothing where nothing is.
pub(super) fn show_items(door: &Door, shown: &mut Shown) {
    let cache = door.cache();
    if cache.is_empty() {
        return;
    }
    let memory = MemoryCounts::since_reset(door);
    let now_s = cache.clock().now_ms() / 1000;
    let age_s = match cache.stats().least_used_s.load(Ordering::Relaxed) {
        0 => 0,
        used_s => now_s.saturating_sub(u64::from(used_s)),
    };
    for (name, value) in [
        ("number", cache.len()),
        // As the last sweep found it.
        ("age", age_s),
        ("mem_requested", cache.bytes()),
        ("evicted", memory.evicted),
        ("evicted_nonzero", memory.evicted_expiring),
        ("evicted_time", u64::from(cache.eviction_counts().idle_s)),
        ("outofmemory", memory.refused_full),
        ("reclaimed", memory.read_expired),
        ("expired_unfetched", memory.expired_unfetched),
        ("evicted_unfetched", memory.evicted_unfetched),
        ("crawler_reclaimed", memory.swept_expired()),
        ("crawler_items_checked", memory.swept),
    ] {
        shown.number(format!("items:1:{name}"), value);
    }
}

/// `stats slabs`: the room there is, counted in entries of mean size.
pub(super) fn show_slabs(door: &Door, shown: &mut Shown) {
    let cache = door.cache();
    let (used, bytes) = (cache.len(), cache.bytes());
    let is_any = used > 0;
    if is_any {
        let chunk_bytes = (bytes / used).max(1);
        let total = (cache.memory_bytes() / chunk_bytes).max(used);
        for (name, value) in [
            ("chunk_size", chunk_bytes),
            ("chunks_per_page", (PAGE_BYTES / chunk_bytes).max(1)),
            ("total_pages", cache.memory_bytes().div_ceil(PAGE_BYTES)),
            ("total_chunks", total),
            ("used_chunks", used),
            ("free_chunks", total - used),
            ("free_chunks_end", 0),
        ] {
            shown.number(format!("1:{name}"), value);
        }
        for count in [
            Count::GetHits,
            Count::CmdSet,
            Count::DeleteHits,
            Count::IncrHits,
            Count::DecrHits,
            Count::CasHits,
            Count::CasBadval,
            Count::TouchHits,
        ] {
            let (name, value) = door.metrics().shown_one(count);
            shown.number(format!("1:{name}"), value);
        }
    }
    shown.number("active_slabs", u64::from(is_any));
    shown.number("total_malloced", bytes);
}

/// `stats sizes`: how many entries there are of each size. Goes through all of the memory.
pub(super) async fn show_sizes(door: &Door, shown: &mut Shown) {
    let cache = door.cache().clone();
    match tokio::task::spawn_blocking(move || sizes(&cache)).await {
        Ok(sizes) => sizes.into_iter().for_each(|(size, count)| {
            shown.number(size.to_string(), count);
        }),
        // The server stops.
        Err(error) => {
            shown.text("sizes_status", "error");
            shown.text("sizes_error", &error.to_string());
        }
    }
}

fn sizes(cache: &Cache) -> BTreeMap<u64, u64> {
    let mut sizes = BTreeMap::new();
    for part in 0..cache.shards() {
        for entry in cache.shard_entries(part) {
            *sizes.entry(size_class(Cache::charged_bytes(&entry))).or_default() += 1;
        }
    }
    sizes
}

/// The largest size of the class.
fn size_class(bytes: u64) -> u64 {
    let step = (bytes.next_power_of_two() / SIZE_STEPS).max(SIZE_STEP_BYTES);
    bytes.next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_classes_are_fine_and_not_too_many() {
        assert_eq!([1, 32, 33, 1000].map(size_class), [32, 32, 64, 1024]);
        for bytes in (1..100).map(|n| n * 10_000_019) {
            let class = size_class(bytes);
            assert!(class >= bytes && class - bytes <= bytes / 256, "{bytes} in {class}");
        }
        let mut classes: Vec<u64> = (0..(1 << 20)).map(size_class).collect();
        classes.dedup();
        assert!(classes.len() < 5_000, "{}", classes.len());
    }
}
