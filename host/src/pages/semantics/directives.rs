//! `Cache-Control` (RFC 9111 §5.2), parsed once at the store.
//!
//! # Invariants
//! - What can't be understood never makes a response fresher: garbage, contradictions and repeated
//!   numbers count as no time at all.
//! - `private` and `no-cache` that name fields count as if they named none: more is refetched than
//!   need be, and nothing that is one visitor's is left in by mistake (§5.2.2.4, §5.2.2.7).
//!
//! # Not here
//! `no-transform`: nothing here transforms. The fields of RFC 9213: `targeted`.

use http::HeaderMap;
use http::header::CACHE_CONTROL;

use super::fields;

/// Largest number of seconds; more counts as this (RFC 9111 §1.2.2).
pub(crate) const SECONDS_MAX: u64 = 1 << 31;

/// The directives of a response that a shared cache heeds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ResponseDirectives {
    /// §5.2.2.5.
    pub(crate) no_store: bool,
    /// §5.2.2.4, with or without field names.
    pub(crate) no_cache: bool,
    /// §5.2.2.7, with or without field names.
    pub(crate) private: bool,
    /// §5.2.2.9.
    pub(crate) public: bool,
    /// §5.2.2.2.
    pub(crate) must_revalidate: bool,
    /// §5.2.2.8.
    pub(crate) proxy_revalidate: bool,
    /// §5.2.2.3.
    pub(crate) must_understand: bool,
    /// RFC 8246.
    pub(crate) immutable: bool,
    /// §5.2.2.1, seconds.
    pub(crate) max_age_s: Option<u64>,
    /// §5.2.2.10, seconds.
    pub(crate) s_maxage_s: Option<u64>,
    /// RFC 5861 §3, seconds.
    pub(crate) stale_while_revalidate_s: Option<u64>,
    /// RFC 5861 §4, seconds.
    pub(crate) stale_if_error_s: Option<u64>,
    /// Something in the field can't be read at all.
    pub(crate) is_malformed: bool,
    /// They come from a field for this cache, and `Expires` does not count (RFC 9213 §2.2).
    pub(crate) is_targeted: bool,
}

impl ResponseDirectives {
    /// Reads all `Cache-Control` lines of a response.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        for line in headers.get_all(CACHE_CONTROL) {
            let Ok(text) = line.to_str() else {
                found.is_malformed = true;
                continue;
            };
            for member in fields::members(text) {
                match member {
                    Some(member) => found.note_member(member),
                    None => found.is_malformed = true,
                }
            }
        }
        found
    }

    fn note_member(&mut self, member: &str) {
        let (name, value) = split(member);
        let name = name.to_ascii_lowercase();
        if let Some(slot) = self.number(&name) {
            // A second number contradicts the first (§4.2.1).
            let is_repeated = slot.is_some();
            let stated = value.and_then(seconds).unwrap_or(0);
            *slot = Some(if is_repeated { 0 } else { stated });
        } else {
            self.set_flag(&name);
        }
    }

    /// Where the number of this directive is kept, if it has one.
    pub(super) fn number(&mut self, name: &str) -> Option<&mut Option<u64>> {
        match name {
            "max-age" => Some(&mut self.max_age_s),
            "s-maxage" => Some(&mut self.s_maxage_s),
            "stale-while-revalidate" => Some(&mut self.stale_while_revalidate_s),
            "stale-if-error" => Some(&mut self.stale_if_error_s),
            _ => None,
        }
    }

    /// Notes a directive without a number; what is unknown is ignored (§5.2.3).
    pub(super) fn set_flag(&mut self, name: &str) {
        match name {
            "no-store" => self.no_store = true,
            "no-cache" => self.no_cache = true,
            "private" => self.private = true,
            "public" => self.public = true,
            "must-revalidate" => self.must_revalidate = true,
            "proxy-revalidate" => self.proxy_revalidate = true,
            "must-understand" => self.must_understand = true,
            "immutable" => self.immutable = true,
            _ => {}
        }
    }
}

/// Name and value. White space around the sign is not allowed; a number behind it is not to be
/// trusted, so that the value is taken as absent.
fn split(member: &str) -> (&str, Option<&str>) {
    match member.split_once('=') {
        Some((name, value)) if name.trim() == name && value.trim() == value => (name, Some(value)),
        Some((name, _)) => (name.trim(), None),
        None => (member, None),
    }
}

/// Delta-seconds, bare or quoted (RFC 9111 §1.2.2); `None` if it is no number.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    let bare = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
    if bare.is_empty() || !bare.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(bare.parse().unwrap_or(SECONDS_MAX).min(SECONDS_MAX))
}

/// The directives of a request (RFC 9111 §5.2.1). They are advice: all but `only-if-cached` let
/// any visitor burden the origin, and count only where the site's rules say so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RequestDirectives {
    /// §5.2.1.4.
    pub(crate) no_cache: bool,
    /// §5.2.1.5.
    pub(crate) no_store: bool,
    /// §5.2.1.7.
    pub(crate) only_if_cached: bool,
    /// §5.2.1.1, seconds; no number is the strictest one.
    pub(crate) max_age_s: Option<u64>,
    /// §5.2.1.3, seconds.
    pub(crate) min_fresh_s: Option<u64>,
    /// §5.2.1.2, seconds; without a number any time.
    pub(crate) max_stale_s: Option<u64>,
}

impl RequestDirectives {
    /// Reads all `Cache-Control` lines of a request.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        for line in headers.get_all(CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok()) {
            for member in fields::members(line).flatten() {
                found.note(member);
            }
        }
        found
    }

    fn note(&mut self, member: &str) {
        let (name, value) = split(member);
        let number = value.and_then(seconds);
        match name.to_ascii_lowercase().as_str() {
            "no-cache" => self.no_cache = true,
            "no-store" => self.no_store = true,
            "only-if-cached" => self.only_if_cached = true,
            "max-age" => {
                let stated = number.unwrap_or(0);
                self.max_age_s = Some(self.max_age_s.map_or(stated, |other| other.min(stated)));
            }
            "min-fresh" => self.min_fresh_s = self.min_fresh_s.max(number),
            "max-stale" if !member.contains('=') => self.max_stale_s = Some(SECONDS_MAX),
            "max-stale" => self.max_stale_s = number,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CACHE_CONTROL, line.parse().unwrap());
        }
        headers
    }

    fn parse(lines: &[&str]) -> ResponseDirectives {
        ResponseDirectives::of(&headers(lines))
    }

    #[test]
    fn names_are_case_insensitive_and_numbers_may_be_quoted() {
        assert_eq!(parse(&["Max-Age=60"]).max_age_s, Some(60));
        assert_eq!(parse(&["S-MAXAGE=\"60\""]).s_maxage_s, Some(60));
        assert!(parse(&["No-Store"]).no_store);
        let found = parse(&["Must-Understand, IMMUTABLE, proxy-Revalidate, Stale-If-Error=5"]);
        assert!(found.must_understand && found.immutable && found.proxy_revalidate);
        assert_eq!(found.stale_if_error_s, Some(5));
    }

    #[test]
    fn a_directive_inside_a_quoted_string_is_none() {
        let found = parse(&[r#"x="a, max-age=100, b", private="set-cookie, x""#]);
        assert_eq!(found.max_age_s, None);
        assert!(found.private);
    }

    #[test]
    fn directives_that_name_fields_count_as_if_they_named_none() {
        let found = parse(&[r#"private="x-a", no-cache="set-cookie, x-b""#]);
        assert!(found.private && found.no_cache);
        let bare = parse(&["private=x-a, no-cache=set-cookie"]);
        assert!(bare.private && bare.no_cache);
    }

    #[test]
    fn numbers_that_are_none_or_repeated_are_no_time() {
        let rows =
            ["max-age=1x", "max-age=-1", "max-age=", "max-age", "max-age= 60", "max-age =60"];
        for row in rows.iter().chain(&["max-age=60, max-age=60", "max-age=1.5", "max-age='60'"]) {
            assert_eq!(parse(&[row]).max_age_s, Some(0), "{row}");
        }
        assert_eq!(parse(&["max-age=60", "max-age=30"]).max_age_s, Some(0));
    }

    #[test]
    fn large_numbers_saturate() {
        assert_eq!(parse(&["max-age=18446744073709551616"]).max_age_s, Some(SECONDS_MAX));
        assert_eq!(parse(&["max-age=4294967296"]).max_age_s, Some(SECONDS_MAX));
    }

    #[test]
    fn an_unfinished_string_spoils_the_field() {
        assert!(parse(&[r#"x="a, max-age=100"#]).is_malformed);
    }

    #[test]
    fn what_a_request_asks_for_is_read_strictly() {
        let of = |line: &str| RequestDirectives::of(&headers(&[line]));
        let found = of("max-age=0, No-Store, min-fresh=5, max-stale");
        assert!(found.no_store && !found.no_cache);
        assert_eq!((found.max_age_s, found.min_fresh_s), (Some(0), Some(5)));
        assert_eq!(found.max_stale_s, Some(SECONDS_MAX));
        assert_eq!(of("max-age=9, max-age=3").max_age_s, Some(3));
        assert_eq!(of("max-age=x").max_age_s, Some(0));
        assert_eq!(of("max-stale=x").max_stale_s, None);
        assert_eq!(of("max-stale=7").max_stale_s, Some(7));
    }
}
