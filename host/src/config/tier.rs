//! The database tier: `[tier]`.
//!
//! # Not here
//! Its address, `database`, which is a flag and a variable of the environment, too.

use serde::Deserialize;

use super::check::Mistakes;
use super::units::parse_size;
use crate::model::{Durability, WhenDegraded};

/// The smallest limit of bytes that leaves room for a few large pages.
const BYTES_MIN: u64 = 16 << 20;

/// The smallest limit of rows.
const ROWS_MIN: u64 = 1_000;

/// Limits and durability of the tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierSettings {
    /// When an acknowledged change outlives the machine's power.
    pub durability: Durability,
    /// What changes are answered while the database does not work.
    pub when_degraded: WhenDegraded,
    /// Whether entries come back to memory before they are asked for.
    pub warm_up: WarmUp,
    /// Bytes that the entries may take; nothing: as many as there is room for.
    pub bytes_max: Option<u64>,
    /// Rows that there may be, one for each item and for each variant of a page.
    pub rows_max: Option<u64>,
    /// Larger values are kept in memory alone.
    pub value_bytes_max: Option<u64>,
    /// Values of this size and above are compressed; nothing: none are.
    pub compress_bytes_min: Option<u64>,
}

/// How entries come back to memory after a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WarmUp {
    /// Each when it is asked for.
    #[default]
    OnDemand,
    /// All that fit, in the background: what was used most first, then the last written.
    Ahead,
}

/// `[tier]`. What each means: [`TierSettings`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawTier {
    /// `each` or `interval`.
    pub durability: Option<String>,
    /// `refuse` or `accept`.
    pub when_degraded: Option<String>,
    /// `true`: ahead of requests.
    pub warm_up: Option<bool>,
    /// `10GiB`.
    pub max_size: Option<String>,
    /// `1000000`.
    pub max_rows: Option<u64>,
    /// `1MiB`.
    pub max_value_size: Option<String>,
    /// `4KiB`.
    pub compress_above: Option<String>,
}

impl TierSettings {
    /// Checks `[tier]`.
    pub(super) fn check(m: &mut Mistakes, raw: &RawTier) -> Self {
        let durability = match raw.durability.as_deref() {
            None | Some("each") => Durability::Each,
            Some("interval") => Durability::Interval,
            Some(other) => {
                m.add("tier.durability", format!("`{other}` is not one of: each, interval"));
                Durability::Each
            }
        };
        let when_degraded = match raw.when_degraded.as_deref() {
            None | Some("refuse") => WhenDegraded::Refuse,
            Some("accept") => WhenDegraded::Accept,
            Some(other) => {
                m.add("tier.when_degraded", format!("`{other}` is not one of: refuse, accept"));
                WhenDegraded::Refuse
            }
        };
        let warm_up = match raw.warm_up {
            Some(true) => WarmUp::Ahead,
            Some(false) | None => WarmUp::OnDemand,
        };
        let mut size = |key: &str, text: &Option<String>, min: u64| {
            let text = text.as_deref()?;
            let bytes = parse_size(text).filter(|bytes| *bytes >= min);
            if bytes.is_none() {
                let message = format!("`{text}` is not a size of {min} bytes or more");
                m.add(format!("tier.{key}"), message);
            }
            bytes
        };
        let bytes_max = size("max_size", &raw.max_size, BYTES_MIN);
        let value_bytes_max = size("max_value_size", &raw.max_value_size, 1);
        let compress_bytes_min = size("compress_above", &raw.compress_above, 1);
        let rows_max = raw.max_rows.filter(|rows| *rows >= ROWS_MIN);
        if let (Some(rows), None) = (raw.max_rows, rows_max) {
            m.add("tier.max_rows", format!("is {rows}; {ROWS_MIN} and more are allowed"));
        }
        Self {
            durability,
            when_degraded,
            warm_up,
            bytes_max,
            rows_max,
            value_bytes_max,
            compress_bytes_min,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigErrors, RawConfig};

    fn checked(text: &str) -> (TierSettings, String) {
        let raw: RawConfig = toml::from_str(text).unwrap();
        let (config, mistakes) = raw.check();
        (config.tier, ConfigErrors(mistakes).to_string())
    }

    #[test]
    fn nothing_said_is_durable_with_each_change_and_without_limits() {
        let (tier, mistakes) = checked("");
        assert_eq!(
            tier,
            TierSettings {
                durability: Durability::Each,
                when_degraded: WhenDegraded::Refuse,
                warm_up: WarmUp::OnDemand,
                bytes_max: None,
                rows_max: None,
                value_bytes_max: None,
                compress_bytes_min: None,
            }
        );
        assert_eq!(mistakes, "");
    }

    #[test]
    fn limits_are_read_and_mistakes_named_with_what_is_allowed() {
        let (tier, mistakes) = checked(
            "[tier]\ndurability = 'interval'\nmax_size = '1GiB'\nmax_rows = 5000\n\
             max_value_size = '64KiB'\ncompress_above = '4KiB'",
        );
        assert_eq!((tier.bytes_max, tier.rows_max), (Some(1 << 30), Some(5_000)));
        assert_eq!(tier.compress_bytes_min, Some(4 << 10));
        assert_eq!((tier.value_bytes_max, tier.durability), (Some(64 << 10), Durability::Interval));
        assert_eq!(mistakes, "");
        let (_, mistakes) = checked(
            "[tier]\ndurability = 'never'\nmax_size = '1MiB'\nmax_rows = 5\nmax_value_size = 'x'",
        );
        for expected in [
            "tier.durability: `never` is not one of: each, interval",
            "tier.max_size: `1MiB` is not a size of 16777216 bytes or more",
            "tier.max_rows: is 5; 1000 and more are allowed",
            "tier.max_value_size: `x` is not a size of 1 bytes or more",
        ] {
            assert!(mistakes.contains(expected), "{expected}\nis not in\n{mistakes}");
        }
    }
}
