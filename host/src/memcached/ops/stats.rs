//! What `stats` shows, by topic (protocol.txt, "Statistics").
//!
//! # Not here
//! Names about memcached's insides (slabs, LRU segments, its hash table): what is not known is not
//! shown, and exporters take missing names well.

use crate::cache::WhenFull;
use crate::memcached::server::{Door, FlushAll, Shutdown};
use crate::memcached::session::Session;

/// Clock ticks per second in `/proc` (proc(5): always 100 on Linux as programs see it).
const TICKS_PER_SECOND: u64 = 100;

/// What `stats` is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::memcached) enum StatsTopic {
    /// No topic.
    General,
    /// `settings`
    Settings,
    /// `reset`
    Reset,
    /// `slabs`
    Slabs,
    /// `sizes`
    Sizes,
    /// `items`, `conns`: known to memcached, and there is nothing to list.
    Empty,
}

impl StatsTopic {
    /// The topic of this name; `None` for those about memcached's own insides.
    pub(in crate::memcached) fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"settings" => Some(Self::Settings),
            b"reset" => Some(Self::Reset),
            b"slabs" => Some(Self::Slabs),
            b"sizes" => Some(Self::Sizes),
            b"items" | b"conns" => Some(Self::Empty),
            _ => None,
        }
    }
}

/// Names and values, in the order in which they are shown.
#[derive(Debug, Default)]
struct Shown(Vec<(&'static str, String)>);

impl Shown {
    fn number(&mut self, name: &'static str, value: u64) {
        self.text(name, itoa::Buffer::new().format(value));
    }

    fn text(&mut self, name: &'static str, value: &str) {
        self.0.push((name, value.to_owned()));
    }
}

/// What there is to show about a topic: names and values. [`StatsTopic::Reset`] begins counting
/// anew and shows nothing.
pub(in crate::memcached) fn stats(
    session: &mut Session,
    topic: StatsTopic,
) -> Vec<(&'static str, String)> {
    session.door.metrics().take(&mut session.tally);
    let door = &session.door;
    let mut shown = Shown::default();
    match topic {
        StatsTopic::Reset => door.metrics().reset(),
        StatsTopic::General => general(door, &mut shown),
        StatsTopic::Settings => settings(door, &mut shown),
        StatsTopic::Slabs => {
            // There are none, but this much memory is in use.
            shown.number("active_slabs", 0);
            shown.number("total_malloced", door.cache().bytes());
        }
        StatsTopic::Sizes => shown.text("sizes_status", "disabled"),
        StatsTopic::Empty => {}
    }
    shown.0
}

fn general(door: &Door, shown: &mut Shown) {
    let (cache, settings, metrics) = (door.cache(), door.settings(), door.metrics());
    shown.number("pid", u64::from(std::process::id()));
    shown.number("uptime", door.uptime_ms() / 1000);
    shown.number("time", cache.clock().now_ms() / 1000);
    shown.text("version", &settings.version);
    shown.number("pointer_size", u64::from(usize::BITS));
    processor_time(shown);
    shown.number("max_connections", settings.connections_max as u64);
    shown.number("curr_connections", metrics.open_connections());
    for (name, value) in metrics.shown() {
        shown.number(name, value);
    }
    shown.number("get_expired", cache.stats().expired.get());
    shown.number("get_flushed", cache.stats().invalid.get());
    shown.number("limit_maxbytes", cache.config().memory_bytes);
    shown.number("accepting_conns", 1);
    shown.number("threads", settings.threads as u64);
    shown.number("bytes", cache.bytes());
    shown.number("curr_items", cache.len());
    shown.number("total_items", cache.stats().stores.get());
    shown.number("evictions", cache.evictions());
}

fn settings(door: &Door, shown: &mut Shown) {
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
    let authentication = match settings.users {
        Some(_) => "yes",
        None => "no",
    };
    shown.number("maxbytes", config.memory_bytes);
    shown.number("maxconns", settings.connections_max as u64);
    shown.text("evictions", evictions);
    shown.number("num_threads", settings.threads as u64);
    shown.text("cas_enabled", "yes");
    shown.number("item_size_max", config.item_bytes_max as u64);
    shown.number("client_flags_size", size_of::<u32>() as u64);
    shown.text("flush_enabled", flush_enabled);
    shown.text("shutdown_command", shutdown_command);
    shown.text("maxconns_fast", "yes");
    shown.number("idle_timeout", settings.idle_timeout.map_or(0, |timeout| timeout.as_secs()));
    shown.text("binding_protocol", "auto-negotiate");
    shown.text("auth_enabled_sasl", authentication);
    shown.text("auth_enabled_ascii", authentication);
}

/// `rusage_user` and `rusage_system` as `seconds.microseconds`; left out where the system does not
/// say.
fn processor_time(shown: &mut Shown) {
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
