//! What a plugin may use: `[plugins.NAME.limits]`.
//!
//! # Invariants
//! - A limit that is not written stays the plugins' own default; one that is written is in a range
//!   that keeps a request from waiting for long and an answer from filling the memory.

use std::time::Duration;

use serde::Deserialize;

use super::check::{Mistakes, count, size};
use super::units::parse_duration;
use crate::limits::{KEY_BYTES_MAX, TAGS_BY_PLUGIN_MAX, TARGETS_PER_INVALIDATION_MAX};

/// Longest time for a key, milliseconds: a thread of many connections waits for it.
const KEY_MS_MAX: u64 = 1_000;

/// Longest time for storing, milliseconds.
const STORE_MS_MAX: u64 = 10_000;

/// Longest time for an event, and for starting, milliseconds.
const SLOW_MS_MAX: u64 = 60_000;

/// Most lines of its log in one second.
const LOG_LINES_MAX: u32 = 10_000;

/// `[plugins.NAME.limits]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawPluginLimits {
    /// `2ms`.
    pub key_timeout: Option<String>,
    /// `50ms`.
    pub store_timeout: Option<String>,
    /// `2s`.
    pub event_timeout: Option<String>,
    /// `5s`.
    pub start_timeout: Option<String>,
    /// `8KiB`.
    pub max_key_size: Option<String>,
    /// Of one entry.
    pub max_tags: Option<u32>,
    /// Of one event.
    pub max_actions: Option<u32>,
    /// In one second.
    pub max_log_lines: Option<u32>,
}

/// The limits that the operator set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PluginLimitSettings {
    /// Time for a key, milliseconds.
    pub key_timeout_ms: Option<u64>,
    /// Time for storing a page or an item, milliseconds.
    pub store_timeout_ms: Option<u64>,
    /// Time for an event, milliseconds.
    pub event_timeout_ms: Option<u64>,
    /// Time to take its settings, and to describe itself, milliseconds.
    pub start_timeout_ms: Option<u64>,
    /// Longest key.
    pub key_bytes_max: Option<usize>,
    /// Most tags of an entry.
    pub tags_max: Option<usize>,
    /// Most actions of an event.
    pub actions_max: Option<usize>,
    /// Most lines of its log in one second.
    pub log_lines_max: Option<u32>,
}

impl PluginLimitSettings {
    /// Checks what was written for the plugin under `key`.
    pub(super) fn check(m: &mut Mistakes, key: &str, raw: RawPluginLimits) -> Self {
        let named = |name: &str| format!("{key}.limits.{name}");
        let key_bytes_max = raw.max_key_size.map(|text| {
            let max = KEY_BYTES_MAX as u64;
            size(m, &named("max_key_size"), Some(text), max, 1, max) as usize
        });
        let mut number = |name: &str, value: Option<u32>, max: usize| {
            let max = u32::try_from(max).unwrap_or(u32::MAX);
            value.map(|value| count(m, &named(name), Some(value), max, max) as usize)
        };
        let tags_max = number("max_tags", raw.max_tags, TAGS_BY_PLUGIN_MAX);
        let actions_max = number("max_actions", raw.max_actions, TARGETS_PER_INVALIDATION_MAX);
        let lines = raw.max_log_lines;
        let log_lines_max =
            lines.map(|n| count(m, &named("max_log_lines"), Some(n), n, LOG_LINES_MAX));
        let mut ms = |name: &str, text, max_ms| time_ms(m, &named(name), text, max_ms);
        Self {
            key_timeout_ms: ms("key_timeout", raw.key_timeout, KEY_MS_MAX),
            store_timeout_ms: ms("store_timeout", raw.store_timeout, STORE_MS_MAX),
            event_timeout_ms: ms("event_timeout", raw.event_timeout, SLOW_MS_MAX),
            start_timeout_ms: ms("start_timeout", raw.start_timeout, SLOW_MS_MAX),
            key_bytes_max,
            tags_max,
            actions_max,
            log_lines_max,
        }
    }
}

fn time_ms(m: &mut Mistakes, key: &str, text: Option<String>, max_ms: u64) -> Option<u64> {
    let text = text?;
    let found = parse_duration(&text).map(|time: Duration| time.as_millis());
    let found = found.and_then(|ms| u64::try_from(ms).ok());
    let allowed = found.filter(|ms| (1..=max_ms).contains(ms));
    if allowed.is_none() {
        m.add(key, format!("`{text}` is not a duration from `1ms` to `{max_ms}ms`"));
    }
    allowed
}

/// The pin of a component: 64 hexadecimal digits, lower case from here on.
pub(super) fn check_sha256(m: &mut Mistakes, key: &str, text: Option<String>) -> Option<String> {
    let text = text?;
    let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hash {
        m.add(format!("{key}.sha256"), format!("`{text}` is not 64 hexadecimal digits"));
    }
    Some(text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use crate::config::{ConfigErrors, PluginSettings, RawConfig};

    fn check(text: &str) -> (PluginSettings, String) {
        let (mut config, mistakes) = toml::from_str::<RawConfig>(text).unwrap().check();
        (config.plugins.remove(0), ConfigErrors(mistakes).to_string())
    }

    #[test]
    fn limits_that_are_not_written_are_left_to_the_plugins() {
        let (plugin, mistakes) = check("[plugins.shop.limits]\nkey_timeout = '5ms'\nmax_tags = 3");
        assert_eq!(mistakes, "");
        assert_eq!((plugin.limits.key_timeout_ms, plugin.limits.tags_max), (Some(5), Some(3)));
        assert_eq!((plugin.limits.event_timeout_ms, plugin.limits.key_bytes_max), (None, None));
    }

    #[test]
    fn limits_out_of_range_are_told_with_the_range() {
        let text = "[plugins.shop.limits]\nkey_timeout = '2s'\nevent_timeout = 'soon'\n\
                    max_key_size = '9KiB'\nmax_tags = 65\nmax_log_lines = 0";
        let expected = "plugins.shop.limits.max_key_size: `9KiB` is out of range; \
             1B to 8KiB are allowed\n\
             plugins.shop.limits.max_tags: `65` is out of range; 1 to 63 are allowed\n\
             plugins.shop.limits.max_log_lines: `0` is out of range; 1 to 10000 are allowed\n\
             plugins.shop.limits.key_timeout: `2s` is not a duration from `1ms` to `1000ms`\n\
             plugins.shop.limits.event_timeout: `soon` is not a duration from `1ms` to `60000ms`";
        assert_eq!(check(text).1, expected);
    }

    #[test]
    fn a_pin_is_a_hash_in_any_case() {
        let pin = "Ab".repeat(32);
        let (plugin, mistakes) = check(&format!("[plugins.shop]\nsha256 = '{pin}'"));
        assert_eq!((plugin.sha256, mistakes), (Some("ab".repeat(32)), String::new()));
        let mistakes = check("[plugins.shop]\nsha256 = 'abc'").1;
        assert_eq!(mistakes, "plugins.shop.sha256: `abc` is not 64 hexadecimal digits");
    }
}
