//! Limits and time-outs of the page cache, and how origins are checked: `[pages.limits]` and
//! `check` of a site.
//!
//! # Invariants
//! - Every limit has a default that suits a site of usual size, and a wall behind it.

use std::time::Duration;

use http::StatusCode;
use http::uri::PathAndQuery;
use serde::Deserialize;

use super::check::{Mistakes, count, size};
use super::units::parse_duration;
use crate::limits::HTTP_HEAD_MS_MAX;

/// Longest time-out, milliseconds.
const TIMEOUT_MS_MAX: u64 = 24 * 3_600_000;

/// Smallest limit of the bytes of an origin's head: what the HTTP library reads at once.
const ORIGIN_HEAD_BYTES_MIN: u64 = 8 << 10;

/// Between two checks of an origin, where nothing is said, milliseconds.
const CHECK_INTERVAL_MS: u64 = 5_000;

/// Limits and time-outs of the page cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageLimits {
    /// Client connections at a time; more are answered 503.
    pub connections_max: usize,
    /// Those of one client address (of an IPv6 client: of its /64), where there is a limit; more
    /// are answered 503. What stands in front of this server is one client.
    pub client_connections_max: Option<usize>,
    /// Time for the whole head of a request, milliseconds; then 408.
    pub request_head_timeout_ms: u64,
    /// Time that a connection may wait for its next request, milliseconds.
    pub idle_timeout_ms: u64,
    /// Time that a client may be silent in the middle of its body, and how far it may fall behind
    /// the slowest pace, milliseconds; then 408.
    pub upload_idle_timeout_ms: u64,
    /// The slowest pace of a client's body, bytes per second; then 408.
    pub upload_rate_min: u64,
    /// Largest body of a request; then 413.
    pub upload_bytes_max: u64,
    /// Time that a tunnel (WebSocket) may carry nothing, milliseconds.
    pub tunnel_idle_timeout_ms: u64,
    /// Tunnels at a time; then 503.
    pub tunnels_max: usize,
    /// Requests under way at one origin at a time.
    pub origin_requests_max: usize,
    /// Requests that wait until one of those is over; more are answered 503.
    pub origin_queue_max: usize,
    /// Time that they wait, milliseconds; then 503.
    pub origin_queue_timeout_ms: u64,
    /// Requests that wait for one fill; more are answered 503.
    pub waiters_max: usize,
    /// Fields of an answer of an origin; then 502.
    pub origin_fields_max: usize,
    /// Bytes of its head; then 502.
    pub origin_head_bytes_max: usize,
    /// Time to connect to an origin, milliseconds: it is near, or it is down.
    pub connect_timeout_ms: u64,
    /// Time from the last byte of a request to the head of its answer, milliseconds.
    pub head_timeout_ms: u64,
    /// Time that an origin may be silent in the middle of a body, stored or not, milliseconds.
    pub body_idle_timeout_ms: u64,
}

impl Default for PageLimits {
    fn default() -> Self {
        Self {
            connections_max: 4_096,
            client_connections_max: Some(2_048),
            request_head_timeout_ms: HTTP_HEAD_MS_MAX,
            idle_timeout_ms: 60_000,
            upload_idle_timeout_ms: 20_000,
            upload_rate_min: 500,
            upload_bytes_max: 128 << 20,
            tunnel_idle_timeout_ms: 600_000,
            tunnels_max: 1_024,
            origin_requests_max: 256,
            origin_queue_max: 1_024,
            origin_queue_timeout_ms: 5_000,
            waiters_max: 2_048,
            origin_fields_max: 100,
            origin_head_bytes_max: 64 << 10,
            connect_timeout_ms: 2_000,
            head_timeout_ms: 30_000,
            body_idle_timeout_ms: 30_000,
        }
    }
}

/// `[pages.limits]`. What each means: [`PageLimits`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawPageLimits {
    /// Client connections at a time.
    pub max_connections: Option<u32>,
    /// Those of one client address; 0: as many as there may be at all.
    pub max_connections_per_client: Option<u32>,
    /// `10s`.
    pub request_head_timeout: Option<String>,
    /// `60s`.
    pub idle_timeout: Option<String>,
    /// `20s`.
    pub upload_idle_timeout: Option<String>,
    /// Bytes per second.
    pub min_upload_rate: Option<u32>,
    /// `128MiB`.
    pub max_upload_size: Option<String>,
    /// `10m`.
    pub tunnel_idle_timeout: Option<String>,
    /// Tunnels at a time.
    pub max_tunnels: Option<u32>,
    /// Requests at one origin at a time.
    pub max_origin_requests: Option<u32>,
    /// Requests that wait for an origin.
    pub max_origin_queue: Option<u32>,
    /// Requests that wait for one fill.
    pub max_waiters: Option<u32>,
    /// Fields of an answer of an origin.
    pub max_origin_fields: Option<u32>,
    /// `64KiB`.
    pub max_origin_head_size: Option<String>,
    /// `5s`.
    pub origin_queue_timeout: Option<String>,
    /// `2s`.
    pub connect_timeout: Option<String>,
    /// `30s`.
    pub first_byte_timeout: Option<String>,
    /// `30s`.
    pub between_bytes_timeout: Option<String>,
}

/// How the origins of a site are asked whether they are well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginCheck {
    /// Path and query of the request.
    pub path: PathAndQuery,
    /// Between two checks, milliseconds.
    pub interval_ms: u64,
    /// What they answer when they are well.
    pub status: StatusCode,
}

/// `[sites.check]`. What each means: [`OriginCheck`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawOriginCheck {
    /// `/health`.
    pub path: Option<String>,
    /// `5s`.
    pub interval: Option<String>,
    /// 200.
    pub status: Option<u16>,
}

impl PageLimits {
    pub(super) fn check(m: &mut Mistakes, raw: RawPageLimits) -> Self {
        let mut limits = Self::default();
        limits.take_counts(m, &raw);
        limits.take_sizes(m, &raw);
        limits.take_times(m, raw);
        limits
    }

    fn take_counts(&mut self, m: &mut Mistakes, raw: &RawPageLimits) {
        const COUNT_MAX: u32 = 1 << 20;
        let mut number = |name: &str, value: Option<u32>, default: usize| {
            let default = u32::try_from(default).unwrap_or(COUNT_MAX);
            count(m, &key_of(name), value, default, COUNT_MAX) as usize
        };
        self.connections_max = number("max_connections", raw.max_connections, self.connections_max);
        self.client_connections_max = match raw.max_connections_per_client {
            None => self.client_connections_max,
            Some(0) => None,
            given => Some(number("max_connections_per_client", given, 1)),
        };
        self.tunnels_max = number("max_tunnels", raw.max_tunnels, self.tunnels_max);
        self.origin_requests_max =
            number("max_origin_requests", raw.max_origin_requests, self.origin_requests_max);
        self.origin_queue_max =
            number("max_origin_queue", raw.max_origin_queue, self.origin_queue_max);
        self.waiters_max = number("max_waiters", raw.max_waiters, self.waiters_max);
        self.origin_fields_max =
            number("max_origin_fields", raw.max_origin_fields, self.origin_fields_max);
        let rate = number("min_upload_rate", raw.min_upload_rate, self.upload_rate_min as usize);
        self.upload_rate_min = rate as u64;
    }

    fn take_sizes(&mut self, m: &mut Mistakes, raw: &RawPageLimits) {
        let (text, default) = (raw.max_upload_size.clone(), self.upload_bytes_max);
        self.upload_bytes_max = size(m, &key_of("max_upload_size"), text, default, 0, 1 << 40);
        let (text, default) = (raw.max_origin_head_size.clone(), self.origin_head_bytes_max as u64);
        let key = key_of("max_origin_head_size");
        self.origin_head_bytes_max =
            size(m, &key, text, default, ORIGIN_HEAD_BYTES_MIN, 1 << 20) as usize;
    }

    fn take_times(&mut self, m: &mut Mistakes, raw: RawPageLimits) {
        let times = [
            ("request_head_timeout", raw.request_head_timeout, &mut self.request_head_timeout_ms),
            ("idle_timeout", raw.idle_timeout, &mut self.idle_timeout_ms),
            ("upload_idle_timeout", raw.upload_idle_timeout, &mut self.upload_idle_timeout_ms),
            ("tunnel_idle_timeout", raw.tunnel_idle_timeout, &mut self.tunnel_idle_timeout_ms),
            ("origin_queue_timeout", raw.origin_queue_timeout, &mut self.origin_queue_timeout_ms),
            ("connect_timeout", raw.connect_timeout, &mut self.connect_timeout_ms),
            ("first_byte_timeout", raw.first_byte_timeout, &mut self.head_timeout_ms),
            ("between_bytes_timeout", raw.between_bytes_timeout, &mut self.body_idle_timeout_ms),
        ];
        for (name, text, limit_ms) in times {
            *limit_ms = time_ms(m, &key_of(name), text, *limit_ms);
        }
    }
}

fn key_of(name: &str) -> String {
    format!("pages.limits.{name}")
}

impl OriginCheck {
    /// `None` without a path: then nothing is checked.
    pub(super) fn check(m: &mut Mistakes, key: &str, raw: RawOriginCheck) -> Option<Self> {
        let interval_ms = time_ms(m, &format!("{key}.interval"), raw.interval, CHECK_INTERVAL_MS);
        let status = raw.status.unwrap_or(200);
        let is_final = (200..600).contains(&status);
        let status = StatusCode::from_u16(status).ok().filter(|_| is_final);
        if status.is_none() {
            let status = raw.status.unwrap_or_default();
            m.add(format!("{key}.status"), format!("`{status}` is not a status from 200 to 599"));
        }
        let Some(path) = raw.path else {
            if raw.status.is_some() {
                m.add(format!("{key}.path"), "is missing; it is a path such as `/health`");
            }
            return None;
        };
        let parsed = path.parse().ok().filter(|_| path.starts_with('/'));
        if parsed.is_none() {
            m.add(format!("{key}.path"), format!("`{path}` is not a path such as `/health`"));
        }
        Some(Self { path: parsed?, interval_ms, status: status? })
    }
}

fn time_ms(m: &mut Mistakes, key: &str, text: Option<String>, default_ms: u64) -> u64 {
    let Some(text) = text else { return default_ms };
    let ms = parse_duration(&text).map(|time: Duration| time.as_millis());
    match ms.and_then(|ms| u64::try_from(ms).ok()) {
        Some(ms) if (1..=TIMEOUT_MS_MAX).contains(&ms) => ms,
        Some(_) => {
            m.add(key, format!("`{text}` is out of range; 1ms to 24h are allowed"));
            default_ms
        }
        None => {
            m.add(key, format!("`{text}` is not a duration such as `30s`; 1ms to 24h are allowed"));
            default_ms
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::RawConfig;

    fn parse(text: &str) -> RawConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn limits_are_read_and_the_others_keep_their_defaults() {
        let text = "[pages]\norigin = 'http://a:1'\n[pages.limits]\nmax_upload_size = '1MiB'\n\
                    idle_timeout = '5s'\nmax_origin_requests = 7\nmax_waiters = 9\n\
                    max_connections_per_client = 0\nmax_origin_head_size = '8KiB'";
        let (config, mistakes) = parse(text).check();
        assert!(mistakes.is_empty(), "{mistakes:?}");
        let limits = config.pages.unwrap().limits;
        assert_eq!((limits.upload_bytes_max, limits.idle_timeout_ms), (1 << 20, 5_000));
        assert_eq!((limits.origin_requests_max, limits.head_timeout_ms), (7, 30_000));
        assert_eq!((limits.waiters_max, limits.client_connections_max), (9, None));
        assert_eq!((limits.origin_head_bytes_max, limits.origin_fields_max), (8 << 10, 100));
    }

    #[test]
    fn several_origins_and_their_check_are_read() {
        let text = "[[sites]]\norigin = 'http://a:1'\nfurther_origins = ['http://b:1']\n\
                    [sites.check]\npath = '/health'\ninterval = '1s'\nstatus = 204";
        let (config, mistakes) = parse(text).check();
        assert!(mistakes.is_empty(), "{mistakes:?}");
        let site = &config.sites[0];
        assert_eq!(site.further_origins, ["http://b:1"]);
        let check = site.check.clone().unwrap();
        assert_eq!((check.path.as_str(), check.interval_ms), ("/health", 1_000));
        assert_eq!(check.status, 204);
    }

    #[test]
    fn mistakes_name_key_value_and_range() {
        let text = "[pages.limits]\nidle_timeout = '0s'\nmax_tunnels = 0\n\
                    [[sites]]\norigin = 'http://a:1'\nfurther_origins = ['ftp://b']\n\
                    [sites.check]\npath = 'health'\nstatus = 100";
        let (_, mistakes) = parse(text).check();
        let text = mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        for wanted in [
            "pages.limits.idle_timeout: `0s` is out of range; 1ms to 24h are allowed",
            "pages.limits.max_tunnels: `0` is out of range; 1 to 1048576 are allowed",
            "sites[0].further_origins[0]: `ftp://b` is not an address",
            "sites[0].check.path: `health` is not a path",
            "sites[0].check.status: `100` is not a status from 200 to 599",
        ] {
            assert!(text.contains(wanted), "{wanted} not in:\n{text}");
        }
    }
}
