//! Auditing pages after events: `[audit]`.
//!
//! # Invariants
//! - Off unless a share is named: an audit costs the origin requests.

use serde::Deserialize;

use super::check::Mistakes;

/// Before an audit, where nothing is said, milliseconds: longer than the usual way from an
/// application's commit to its event.
const SETTLE_MS: u64 = 1_000;

/// The longest such time, milliseconds.
const SETTLE_MS_MAX: u64 = 60_000;

/// Pages audited after one event, where nothing is said.
const PAGES: usize = 20;

/// The most of them.
const PAGES_MAX: usize = 1_000;

/// How pages are audited after events.
#[derive(Debug, Clone, PartialEq)]
pub struct Audit {
    /// The chance of each page to be audited after an event, above 0 and up to 1.
    pub share: f64,
    /// From an event to its audit, and between two fetches of a page that differs, milliseconds.
    pub settle_ms: u64,
    /// Most pages after one event.
    pub pages_max: usize,
}

/// `[audit]`. What each means: [`Audit`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawAudit {
    /// 0 to 1; 0 or nothing: no audits.
    pub share: Option<f64>,
    /// Milliseconds, 60000 at most.
    pub settle_ms: Option<u64>,
    /// Pages, 1 to 1000.
    pub max_pages_per_event: Option<usize>,
}

impl Audit {
    /// Checks `[audit]`; `None` where it is off.
    pub(super) fn check(m: &mut Mistakes, raw: &RawAudit) -> Option<Self> {
        let share = raw.share.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&share) {
            m.add("audit.share", format!("is {share}; 0 to 1 are allowed"));
        }
        let settle_ms = raw.settle_ms.unwrap_or(SETTLE_MS);
        if settle_ms > SETTLE_MS_MAX {
            let message = format!("is {settle_ms}; 0 to {SETTLE_MS_MAX} are allowed");
            m.add("audit.settle_ms", message);
        }
        let pages_max = raw.max_pages_per_event.unwrap_or(PAGES);
        if !(1..=PAGES_MAX).contains(&pages_max) {
            let message = format!("is {pages_max}; 1 to {PAGES_MAX} are allowed");
            m.add("audit.max_pages_per_event", message);
        }
        (share > 0.0).then_some(Self { share, settle_ms, pages_max })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Audit, ConfigErrors, RawConfig};

    fn check(text: &str) -> (Option<Audit>, String) {
        let (config, mistakes) = toml::from_str::<RawConfig>(text).unwrap().check();
        (config.audit, ConfigErrors(mistakes).to_string())
    }

    #[test]
    fn audits_are_off_until_a_share_is_named() {
        for text in ["", "[audit]\nshare = 0", "[audit]\nsettle_ms = 5"] {
            assert_eq!(check(text), (None, String::new()), "{text}");
        }
        let expected = Audit { share: 0.01, settle_ms: 1_000, pages_max: 20 };
        assert_eq!(check("[audit]\nshare = 0.01"), (Some(expected), String::new()));
    }

    #[test]
    fn what_is_out_of_range_is_told_with_the_range() {
        let text = "[audit]\nshare = 1.5\nsettle_ms = 60001\nmax_pages_per_event = 0";
        assert_eq!(
            check(text).1,
            "audit.share: is 1.5; 0 to 1 are allowed\n\
             audit.settle_ms: is 60001; 0 to 60000 are allowed\n\
             audit.max_pages_per_event: is 0; 1 to 1000 are allowed"
        );
        assert!(check("[audit]\nshare = nan").1.starts_with("audit.share: is NaN"));
    }
}
