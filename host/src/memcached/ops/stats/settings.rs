//! `stats settings`: memcached 1.6.45's names (protocol.txt, "Settings statistics").
//!
//! What memcached can be tuned by and this server has none of is shown as off, or as the zero that
//! stands for it; numbers of threads, sizes and limits are what they are.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::Shown;
use crate::cache::WhenFull;
use crate::config::Permission;
use crate::limits::MEMCACHED_WATCHER_BYTES_MAX;
use crate::memcached::prefixes::DELIMITER;
use crate::memcached::server::Door;
use crate::net::{BACKLOG, Bound, Tls};

/// Shows what the operator chose.
pub(super) fn show(door: &Door, shown: &mut Shown) {
    let (cache, settings) = (door.cache(), door.settings());
    let config = cache.config();
    let is_evicting = config.when_full == WhenFull::Evict;
    shown.number("maxbytes", cache.memory_bytes());
    shown.number("maxconns", settings.connections_max as u64);
    show_listeners(door, shown);
    shown.number("verbosity", 0);
    shown.number("oldest", 0);
    shown.text("evictions", if is_evicting { "on" } else { "off" });
    shown.text("shutdown_command", yes_or_no(settings.shutdown == Permission::Allowed));
    shown.number("num_threads", settings.threads as u64);
    shown.number("num_threads_per_udp", 0);
    shown.text("stat_key_prefix", char::from(DELIMITER).encode_utf8(&mut [0; 4]));
    shown.text("detail_enabled", yes_or_no(door.prefixes().is_on()));
    shown.text("cas_enabled", "yes");
    shown.text("binding_protocol", "auto-negotiate");
    shown.text("auth_enabled_sasl", yes_or_no(settings.users.is_some()));
    shown.text("auth_enabled_ascii", yes_or_no(settings.users.is_some()));
    shown.number("item_size_max", config.item_bytes_max as u64);
    shown.text("maxconns_fast", "yes");
    shown.text("flush_enabled", yes_or_no(settings.flush_all == Permission::Allowed));
    shown.text("dump_enabled", yes_or_no(settings.dumps == Permission::Allowed));
    shown.text("hash_algorithm", "foldhash");
    shown.number("idle_timeout", settings.idle_timeout.map_or(0, |timeout| timeout.as_secs()));
    shown.number("watcher_logbuf_size", MEMCACHED_WATCHER_BYTES_MAX as u64);
    shown.text("track_sizes", "yes");
    show_tls(door, shown);
    for (name, value) in ABSENT {
        shown.text(*name, value);
    }
    shown.number("client_flags_size", size_of::<u32>() as u64);
}

fn yes_or_no(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}

/// Ciphers and sessions are left to rustls.
fn show_tls(door: &Door, shown: &mut Shown) {
    let files = door.settings().tls.as_ref().map(Tls::files);
    let path = |path: Option<&PathBuf>| path.map(|path| path.display().to_string());
    let is_asking = files.is_some_and(|files| files.client_ca.is_some());
    let cert = path(files.map(|files| &files.cert));
    let key = path(files.map(|files| &files.key));
    let client_ca = path(files.and_then(|files| files.client_ca.as_ref()));
    shown.text("ssl_enabled", yes_or_no(files.is_some()));
    shown.text("ssl_chain_cert", cert.as_deref().unwrap_or("(null)"));
    shown.text("ssl_key", key.as_deref().unwrap_or("(null)"));
    // As OpenSSL counts: 0 asks for no certificate, 3 insists on one.
    shown.number("ssl_verify_mode", if is_asking { 3 } else { 0 });
    shown.number("ssl_keyformat", 1);
    shown.text("ssl_ciphers", "NULL");
    shown.text("ssl_ca_cert", client_ca.as_deref().unwrap_or("NULL"));
    shown.number("ssl_wbuf_size", 0);
    shown.text("ssl_session_cache", "yes");
    shown.text("ssl_kernel_tls", "no");
    shown.text("ssl_min_version", "tlsv1.2");
}

/// The first TCP listener and the first unix socket; memcached has one of either kind.
fn show_listeners(door: &Door, shown: &mut Shown) {
    let listeners = door.connections().listeners();
    let tcp = listeners.iter().find_map(|bound| match &**bound {
        Bound::Tcp(address) => Some(*address),
        Bound::Unix(_) => None,
    });
    let unix = listeners.iter().find_map(|bound| match &**bound {
        Bound::Unix(path) => Some(path.display().to_string()),
        Bound::Tcp(_) => None,
    });
    shown.number("tcpport", tcp.map_or(0, |address| u64::from(address.port())));
    shown.number("udpport", 0);
    shown.text("inter", &tcp.map_or("NULL".to_owned(), |address| address.ip().to_string()));
    shown.text("domain_socket", unix.as_deref().unwrap_or("NULL"));
    shown.text("umask", &format!("{:o}", unix.as_deref().map_or(0o700, mode_of)));
    shown.number("tcp_backlog", u64::from(BACKLOG));
}

/// Who may connect to a unix socket, as the bits of its mode.
fn mode_of(path: &str) -> u32 {
    std::fs::metadata(path).map_or(0, |found| found.permissions().mode() & 0o777)
}

/// What this server does not have.
const ABSENT: &[(&str, &str)] = &[
    ("growth_factor", "0.00"),
    ("chunk_size", "0"),
    ("reqs_per_event", "0"),
    ("hashpower_init", "0"),
    ("slab_reassign", "no"),
    ("slab_automove", "0"),
    ("slab_automove_ratio", "0.00"),
    ("slab_automove_window", "0"),
    ("slab_automove_freeratio", "0.000"),
    ("slab_chunk_max", "0"),
    ("lru_crawler", "yes"),
    ("lru_crawler_sleep", "0"),
    ("lru_crawler_tocrawl", "0"),
    ("tail_repair_time", "0"),
    ("lru_maintainer_thread", "no"),
    ("lru_segmented", "no"),
    ("hot_lru_pct", "0"),
    ("warm_lru_pct", "0"),
    ("hot_max_factor", "0.00"),
    ("warm_max_factor", "0.00"),
    ("temp_lru", "no"),
    ("temporary_ttl", "0"),
    ("worker_logbuf_size", "0"),
    ("read_buf_mem_limit", "0"),
    ("inline_ascii_response", "no"),
    ("drop_privileges", "no"),
    ("num_napi_ids", "0"),
    ("memory_file", "(null)"),
    ("ext_item_size", "0"),
    ("ext_item_age", "0"),
    ("ext_low_ttl", "0"),
    ("ext_recache_rate", "0"),
    ("ext_wbuf_size", "0"),
    ("ext_compact_under", "0"),
    ("ext_drop_under", "0"),
    ("ext_max_sleep", "0"),
    ("ext_max_frag", "0.00"),
    ("ext_drop_unread", "no"),
    ("proxy_enabled", "no"),
];
