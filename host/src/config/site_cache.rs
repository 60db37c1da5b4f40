//! What an operator decides about a site where HTTP leaves a choice.
//!
//! # Invariants
//! - The defaults are what HTTP says to a careful shared cache: nothing that its origin did not
//!   mean to be shared is, and no visitor can make the origin work harder.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde::Deserialize;

use super::check::Mistakes;
use super::units::parse_duration;

/// Beyond its time a page may be served for so long while its origin fails, where nobody says
/// otherwise, milliseconds: about as long as a restart takes.
const STALE_IF_ERROR_MS: u64 = 60_000;

/// Longest time that a site may name: longer says no more than it.
const YEAR: Duration = Duration::from_hours(8_760);

/// RFC 9213 §3.1.
const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// `[sites.cache]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawSiteCache {
    /// See [`SiteCache::targeted`].
    pub targeted_fields: Option<Vec<String>>,
    /// See [`SiteCache::default_ttl_ms`]: `10m`.
    pub default_ttl: Option<String>,
    /// See [`SiteCache::stale_if_error_ms`]: `60s`; `0s` never.
    pub stale_if_error: Option<String>,
    /// See [`SiteCache::stores_set_cookie`].
    pub store_set_cookie: bool,
    /// See [`SiteCache::stores_close_delimited`].
    pub store_close_delimited: bool,
    /// See [`SiteCache::honours_clients`].
    pub honour_clients: bool,
    /// See [`SiteCache::passes_tag_fields`].
    pub pass_tag_fields: bool,
    /// See [`SiteCache::shows_keys`].
    pub show_keys: bool,
    /// See [`SiteCache::cookies`].
    pub cookies: Option<Vec<String>>,
    /// See [`SiteCache::private_cookies`].
    pub private_cookies: Vec<String>,
    /// See [`SiteCache::languages`].
    pub languages: Vec<String>,
}

/// What one site keeps, for how long and for whom.
#[derive(Debug, Clone)]
pub struct SiteCache {
    /// Fields that count before `Cache-Control`, the most important first (RFC 9213 §2.2).
    pub targeted: Vec<HeaderName>,
    /// Lifetime of responses that say nothing of one, milliseconds. Without it only HTTP's own
    /// guess counts (RFC 9111 §4.2.2).
    pub default_ttl_ms: Option<u64>,
    /// For how long beyond its time a page may be served while the origin fails, where the response
    /// does not say so itself (RFC 9111 §4.2.4), milliseconds.
    pub stale_if_error_ms: u64,
    /// Pages that set cookies are stored, cookies and all.
    pub stores_set_cookie: bool,
    /// Bodies that end with the connection are taken as whole (RFC 9112 §6.3 can't tell).
    pub stores_close_delimited: bool,
    /// A client's own `Cache-Control` counts (RFC 9111 §5.2.1).
    pub honours_clients: bool,
    /// The fields with tags that are for caches alone reach the clients too.
    pub passes_tag_fields: bool,
    /// `Cache-Status` names the key (RFC 9211 §2.7).
    pub shows_keys: bool,
    /// With `Vary: Cookie`, only these cookies tell variants apart; `None`: all of them.
    pub cookies: Option<Vec<String>>,
    /// A request with one of these cookies goes past the cache.
    pub private_cookies: Vec<String>,
    /// What `Accept-Language` is reduced to before anything looks at it: that of these which the
    /// client likes best. Empty: it stays as it is.
    pub languages: Vec<HeaderValue>,
}

impl Default for SiteCache {
    fn default() -> Self {
        Self {
            targeted: vec![CDN_CACHE_CONTROL],
            default_ttl_ms: None,
            stale_if_error_ms: STALE_IF_ERROR_MS,
            stores_set_cookie: false,
            stores_close_delimited: false,
            honours_clients: false,
            passes_tag_fields: false,
            shows_keys: false,
            cookies: None,
            private_cookies: Vec::new(),
            languages: Vec::new(),
        }
    }
}

impl SiteCache {
    /// Checks what was written under `key`.
    pub(super) fn check(m: &mut Mistakes, key: &str, raw: RawSiteCache) -> Self {
        let default = Self::default();
        let mut time_ms = |name: &str, text: Option<String>| {
            let text = text?;
            let found = parse_duration(&text).filter(|time| *time <= YEAR);
            if found.is_none() {
                let message = format!("`{text}` is not a duration from `0s` to `8760h`");
                m.add(format!("{key}.{name}"), message);
            }
            found.and_then(|time| u64::try_from(time.as_millis()).ok())
        };
        let default_ttl_ms = time_ms("default_ttl", raw.default_ttl);
        let stale_if_error_ms = time_ms("stale_if_error", raw.stale_if_error);
        let targeted = raw.targeted_fields.map(|names| {
            let parsed = |name: &String| HeaderName::try_from(name.as_str()).ok();
            let what = "the name of a field";
            checked(m, &format!("{key}.targeted_fields"), &names, what, parsed)
        });
        let cookie = |name: &String| is_token(name).then(|| name.clone());
        let cookies = raw.cookies.map(|names| {
            checked(m, &format!("{key}.cookies"), &names, "the name of a cookie", cookie)
        });
        let private = format!("{key}.private_cookies");
        let language = |tag: &String| {
            let is_tag = tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            HeaderValue::from_str(tag).ok().filter(|_| is_tag && !tag.is_empty())
        };
        let languages = format!("{key}.languages");
        Self {
            targeted: targeted.unwrap_or(default.targeted),
            default_ttl_ms,
            stale_if_error_ms: stale_if_error_ms.unwrap_or(default.stale_if_error_ms),
            stores_set_cookie: raw.store_set_cookie,
            stores_close_delimited: raw.store_close_delimited,
            honours_clients: raw.honour_clients,
            passes_tag_fields: raw.pass_tag_fields,
            shows_keys: raw.show_keys,
            cookies,
            private_cookies: checked(
                m,
                &private,
                &raw.private_cookies,
                "the name of a cookie",
                cookie,
            ),
            languages: checked(m, &languages, &raw.languages, "a language tag", language),
        }
    }
}

/// What each text means; what means nothing is a mistake.
fn checked<T>(
    m: &mut Mistakes,
    key: &str,
    texts: &[String],
    what: &str,
    meaning: impl Fn(&String) -> Option<T>,
) -> Vec<T> {
    let mut found = Vec::with_capacity(texts.len());
    for text in texts {
        match meaning(text) {
            Some(meant) => found.push(meant),
            None => m.add(key, format!("`{text}` is not {what}")),
        }
    }
    found
}

/// RFC 6265 §4.1.1: the name of a cookie is a token.
fn is_token(text: &str) -> bool {
    HeaderName::try_from(text).is_ok()
}
