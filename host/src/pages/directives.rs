//! `Cache-Control` (RFC 9111 §5.2), parsed once at the store.
//!
//! # Invariants
//! - What can't be understood never makes a response fresher: garbage, contradictions and repeated
//!   numbers count as no time at all.

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
    /// §5.2.2.1, seconds.
    pub(crate) max_age_s: Option<u64>,
    /// §5.2.2.10, seconds.
    pub(crate) s_maxage_s: Option<u64>,
    /// RFC 5861 §3, seconds.
    pub(crate) stale_while_revalidate_s: Option<u64>,
    /// Something in the field can't be read at all.
    pub(crate) is_malformed: bool,
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
                    Some(member) => found.note(member),
                    None => found.is_malformed = true,
                }
            }
        }
        found
    }

    fn note(&mut self, member: &str) {
        let (raw_name, value) = match member.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (member, None),
        };
        let name = raw_name.trim().to_ascii_lowercase();
        // White space around the sign is not allowed; a number behind it is not to be trusted.
        let value = value.filter(|value| raw_name.trim() == raw_name && value.trim() == *value);
        match name.as_str() {
            "no-store" => self.no_store = true,
            "no-cache" => self.no_cache = true,
            "private" => self.private = true,
            "public" => self.public = true,
            "must-revalidate" => self.must_revalidate = true,
            "proxy-revalidate" => self.proxy_revalidate = true,
            "max-age" => note_seconds(&mut self.max_age_s, value),
            "s-maxage" => note_seconds(&mut self.s_maxage_s, value),
            "stale-while-revalidate" => note_seconds(&mut self.stale_while_revalidate_s, value),
            _ => {}
        }
    }

    /// Whether the origin forbids to serve it stale, whoever asks (RFC 9111 §4.2.4).
    ///
    /// `s-maxage` alone does not: with it an origin still may allow `stale-while-revalidate`, and
    /// an operator may purge softly.
    pub(crate) fn forbids_stale(&self) -> bool {
        self.no_cache || self.must_revalidate || self.proxy_revalidate || self.is_malformed
    }
}

fn note_seconds(slot: &mut Option<u64>, value: Option<&str>) {
    // A second number contradicts the first (RFC 9111 §4.2.1).
    let is_repeated = slot.is_some();
    let seconds = value.and_then(seconds).unwrap_or(0);
    *slot = Some(if is_repeated { 0 } else { seconds });
}

/// Delta-seconds, bare or quoted (RFC 9111 §1.2.2); `None` if it is no number.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    let bare = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
    if bare.is_empty() || !bare.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(bare.parse().unwrap_or(SECONDS_MAX).min(SECONDS_MAX))
}

/// The directives of a request that this cache heeds; the others would let any visitor burden the
/// origin (RFC 9111 §5.2.1 allows to ignore them).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RequestDirectives {
    /// §5.2.1.5.
    pub(crate) no_store: bool,
    /// §5.2.1.7.
    pub(crate) only_if_cached: bool,
}

impl RequestDirectives {
    /// Reads all `Cache-Control` lines of a request.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        for line in headers.get_all(CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok()) {
            for member in fields::members(line).flatten() {
                found.no_store |= member.eq_ignore_ascii_case("no-store");
                found.only_if_cached |= member.eq_ignore_ascii_case("only-if-cached");
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(lines: &[&str]) -> ResponseDirectives {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CACHE_CONTROL, line.parse().unwrap());
        }
        ResponseDirectives::of(&headers)
    }

    #[test]
    fn names_are_case_insensitive_and_numbers_may_be_quoted() {
        assert_eq!(parse(&["Max-Age=60"]).max_age_s, Some(60));
        assert_eq!(parse(&["S-MAXAGE=\"60\""]).s_maxage_s, Some(60));
        assert!(parse(&["No-Store"]).no_store);
    }

    #[test]
    fn a_directive_inside_a_quoted_string_is_none() {
        let found = parse(&[r#"x="a, max-age=100, b", private="set-cookie, x""#]);
        assert_eq!(found.max_age_s, None);
        assert!(found.private);
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
    fn a_request_may_ask_for_nothing_to_be_kept() {
        let mut headers = HeaderMap::new();
        headers.append(CACHE_CONTROL, "max-age=0, No-Store".parse().unwrap());
        let found = RequestDirectives::of(&headers);
        assert_eq!(found, RequestDirectives { no_store: true, only_if_cached: false });
    }
}
