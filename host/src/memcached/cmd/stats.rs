//! `stats` and its topics (protocol.txt, "Statistics").
//!
//! # Not here
//! Names about memcached's insides (slabs, LRU segments, its hash table): what is not known is not
//! shown, and exporters take missing names well.

use crate::cache::WhenFull;
use crate::memcached::parse::StatsTopic;
use crate::memcached::server::{FlushAll, Shutdown};
use crate::memcached::session::Session;

/// Clock ticks per second in `/proc` (proc(5): always 100 on Linux as programs see it).
const TICKS_PER_SECOND: u64 = 100;

/// Answers a `stats` command.
pub(super) fn carry_out(session: &mut Session, topic: StatsTopic) {
    match topic {
        StatsTopic::Reset => {
            session.door.metrics().take(&mut session.tally);
            session.door.metrics().reset();
            session.out.push(b"RESET\r\n");
            return;
        }
        StatsTopic::General => general(session),
        StatsTopic::Settings => settings(session),
        StatsTopic::Slabs => {
            // There are none, but this much memory is in use.
            stat(session, "active_slabs", 0);
            let bytes = session.door.cache().bytes();
            stat(session, "total_malloced", bytes);
        }
        StatsTopic::Sizes => text(session, "sizes_status", "disabled"),
        StatsTopic::Empty => {}
    }
    session.out.push(b"END\r\n");
}

fn general(session: &mut Session) {
    let door = session.door.clone();
    let (cache, settings, metrics) = (door.cache(), door.settings(), door.metrics());
    metrics.take(&mut session.tally);
    stat(session, "pid", u64::from(std::process::id()));
    stat(session, "uptime", door.uptime_ms() / 1000);
    stat(session, "time", cache.clock().now_ms() / 1000);
    text(session, "version", &settings.version);
    stat(session, "pointer_size", u64::from(usize::BITS));
    processor_time(session);
    stat(session, "max_connections", settings.connections_max as u64);
    stat(session, "curr_connections", metrics.open_connections());
    for (name, value) in metrics.shown() {
        stat(session, name, value);
    }
    stat(session, "get_expired", cache.stats().expired.get());
    stat(session, "get_flushed", cache.stats().invalid.get());
    stat(session, "limit_maxbytes", cache.config().memory_bytes);
    stat(session, "accepting_conns", 1);
    stat(session, "threads", settings.threads as u64);
    stat(session, "bytes", cache.bytes());
    stat(session, "curr_items", cache.len());
    stat(session, "total_items", cache.stats().stores.get());
    stat(session, "evictions", cache.evictions());
}

fn settings(session: &mut Session) {
    let door = session.door.clone();
    let (config, settings) = (door.cache().config(), door.settings());
    let evictions = match config.when_full {
        WhenFull::Evict => "on",
        WhenFull::Refuse => "off",
    };
    let flush_enabled = match settings.flush_all {
        FlushAll::Allowed => "yes",
        FlushAll::Forbidden => "no",
    };
    let shutdown_command = match settings.shutdown {
        Shutdown::Allowed => "yes",
        Shutdown::Forbidden => "no",
    };
    stat(session, "maxbytes", config.memory_bytes);
    stat(session, "maxconns", settings.connections_max as u64);
    text(session, "evictions", evictions);
    stat(session, "num_threads", settings.threads as u64);
    text(session, "cas_enabled", "yes");
    stat(session, "item_size_max", config.item_bytes_max as u64);
    stat(session, "client_flags_size", size_of::<u32>() as u64);
    text(session, "flush_enabled", flush_enabled);
    text(session, "shutdown_command", shutdown_command);
    text(session, "maxconns_fast", "yes");
    stat(session, "idle_timeout", settings.idle_timeout.map_or(0, |timeout| timeout.as_secs()));
    text(session, "binding_protocol", "ascii");
}

/// `rusage_user` and `rusage_system` as `seconds.microseconds`; left out where the system does not
/// say.
fn processor_time(session: &mut Session) {
    let Ok(process) = std::fs::read_to_string("/proc/self/stat") else { return };
    // The second field is the program's name in parentheses and may contain anything.
    let Some((_, fields)) = process.rsplit_once(')') else { return };
    let mut fields = fields.split_ascii_whitespace().skip(11);
    for name in ["rusage_user", "rusage_system"] {
        let Some(ticks) = fields.next().and_then(|field| field.parse::<u64>().ok()) else { return };
        let (seconds, rest) = (ticks / TICKS_PER_SECOND, ticks % TICKS_PER_SECOND);
        let micros = rest * (1_000_000 / TICKS_PER_SECOND);
        text(session, name, &format!("{seconds}.{micros:06}"));
    }
}

fn stat(session: &mut Session, name: &str, value: u64) {
    text(session, name, itoa::Buffer::new().format(value));
}

fn text(session: &mut Session, name: &str, value: &str) {
    for part in ["STAT ", name, " ", value, "\r\n"] {
        session.out.push(part.as_bytes());
    }
}
