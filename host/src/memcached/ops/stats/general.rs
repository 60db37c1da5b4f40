//! `stats` without a topic.

use super::Shown;
use super::memory::MemoryCounts;
use crate::memcached::server::Door;

/// Clock ticks per second in `/proc` (proc(5): always 100 on Linux as programs see it).
const TICKS_PER_SECOND: u64 = 100;

/// Shows the process, the connections, the commands, and the memory.
pub(super) fn show(door: &Door, shown: &mut Shown) {
    let (cache, settings, metrics) = (door.cache(), door.settings(), door.metrics());
    shown.number("pid", u64::from(std::process::id()));
    shown.number("uptime", door.uptime_ms() / 1000);
    shown.number("time", cache.clock().now_ms() / 1000);
    shown.text("version", &settings.version);
    shown.number("pointer_size", u64::from(usize::BITS));
    show_processor_time(shown);
    shown.number("max_connections", settings.connections_max as u64);
    shown.number("curr_connections", metrics.open_connections());
    shown.number("connection_structures", door.connections().len() as u64);
    for (name, value) in metrics.shown() {
        shown.number(name, value);
    }
    let memory = MemoryCounts::since_reset(door);
    shown.number("get_expired", memory.read_expired);
    shown.number("get_flushed", memory.read_invalid);
    shown.number("limit_maxbytes", cache.memory_bytes());
    shown.number("accepting_conns", 1);
    shown.number("listen_disabled_num", 0);
    shown.number("time_in_listen_disabled_us", 0);
    shown.number("threads", settings.threads as u64);
    shown.number("lru_crawler_starts", memory.sweeps);
    let (watchers, [written, sent, skipped]) = door.watchers().stats();
    shown.number("log_worker_dropped", 0);
    shown.number("log_worker_written", written);
    shown.number("log_watcher_skipped", skipped);
    shown.number("log_watcher_sent", sent);
    shown.number("log_watchers", watchers as u64);
    shown.number("bytes", cache.bytes());
    shown.number("curr_items", cache.len());
    shown.number("total_items", memory.stores);
    shown.number("expired_unfetched", memory.expired_unfetched);
    shown.number("evicted_unfetched", memory.evicted_unfetched);
    shown.number("evictions", memory.evicted);
    shown.number("reclaimed", memory.read_expired);
    shown.number("crawler_reclaimed", memory.swept_expired());
    shown.number("crawler_items_checked", memory.swept);
    for name in NEVER_HAPPENS {
        shown.number(name, 0);
    }
}

/// What memcached counts of things that don't exist here: slabs, threads that move items between
/// lists, objects of requests and buffers that can run out. Tools expect the names.
const NEVER_HAPPENS: [&str; 33] = [
    "conn_yields",
    "reserved_fds",
    "round_robin_fallback",
    "unexpected_napi_ids",
    "read_buf_count",
    "read_buf_bytes",
    "read_buf_bytes_free",
    "read_buf_oom",
    "response_obj_count",
    "response_obj_bytes",
    "response_obj_oom",
    "hash_power_level",
    "hash_bytes",
    "hash_is_expanding",
    "malloc_fails",
    "evicted_active",
    "direct_reclaims",
    "lrutail_reflocked",
    "lru_bumps_dropped",
    "lru_crawler_running",
    "lru_maintainer_juggles",
    "moves_to_cold",
    "moves_to_warm",
    "moves_within_lru",
    "slab_global_page_pool",
    "slab_reassign_busy_deletes",
    "slab_reassign_busy_items",
    "slab_reassign_chunk_rescues",
    "slab_reassign_evictions_nomem",
    "slab_reassign_inline_reclaim",
    "slab_reassign_rescues",
    "slab_reassign_running",
    "slabs_moved",
];

/// `rusage_user` and `rusage_system` as `seconds.microseconds`; left out where the system does not
/// say.
fn show_processor_time(shown: &mut Shown) {
    let Ok(process) = std::fs::read_to_string("/proc/self/stat") else { return };
    // The second field is the program's name in parentheses and may contain anything.
    let Some((_, fields)) = process.rsplit_once(')') else { return };
    let mut fields = fields.split_ascii_whitespace().skip(11);
    for name in ["rusage_user", "rusage_system"] {
        let Some(ticks) = fields.next().and_then(|field| field.parse::<u64>().ok()) else { return };
        let (seconds, rest) = (ticks / TICKS_PER_SECOND, ticks % TICKS_PER_SECOND);
        let micros = rest * (1_000_000 / TICKS_PER_SECOND);
        shown.text(name, &format!("{seconds}.{micros:06}"));
    }
}
