//! How long a response stays fresh and how old it is (RFC 9111 §4.2). Pure: no clock, no I/O.

use http::header::{AGE, DATE, EXPIRES, LAST_MODIFIED};
use http::{HeaderMap, StatusCode};

use super::directives::{ResponseDirectives, SECONDS_MAX, seconds};
use super::fields;
use super::status::{self, Class};

/// Longest lifetime that is only guessed, milliseconds: a day.
const HEURISTIC_MS_MAX: u64 = 24 * 3600 * 1000;

/// When a response was asked for and when its head came, milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// Before the request was sent.
    pub(crate) requested_ms: u64,
    /// When the head had come.
    pub(crate) received_ms: u64,
}

/// A freshness lifetime, milliseconds, and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// The origin said so.
    Explicit(u64),
    /// The operator's default, or a guess from the age of the last change (§4.2.2).
    Heuristic(u64),
    /// The origin said nothing to go by.
    Unknown,
}

/// §4.2.1: `s-maxage`, `max-age`, `Expires` less `Date`; then what the operator says about pages
/// that say nothing, then the guess. `Expires` is silent beside a targeted field (RFC 9213 §2.2).
pub(crate) fn lifetime(
    status: StatusCode,
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    timing: Timing,
    default_ttl_ms: Option<u64>,
) -> Lifetime {
    if directives.is_malformed || directives.no_cache {
        return Lifetime::Explicit(0);
    }
    if let Some(seconds) = directives.s_maxage_s.or(directives.max_age_s) {
        return Lifetime::Explicit(seconds * 1000);
    }
    let now_ms = timing.received_ms;
    let date_ms = fields::date_ms(headers, &DATE, now_ms).unwrap_or(now_ms);
    if headers.contains_key(EXPIRES) && !directives.is_targeted {
        // Anything but one date has passed already (§5.3).
        let expires_ms = fields::date_ms(headers, &EXPIRES, now_ms).unwrap_or(0);
        let lifetime_ms = expires_ms.saturating_sub(date_ms);
        return Lifetime::Explicit(lifetime_ms.min(SECONDS_MAX * 1000));
    }
    let may_guess = match status::class(status) {
        Class::Guessable => true,
        Class::IfExplicit => directives.public && !status.is_client_error() && !is_failure(status),
        Class::Never => false,
    };
    if !may_guess {
        return Lifetime::Unknown;
    }
    let guess = |modified_ms| date_ms.saturating_sub(modified_ms) / 10;
    let modified_ms = fields::date_ms(headers, &LAST_MODIFIED, now_ms);
    match default_ttl_ms.or_else(|| modified_ms.map(guess).map(|ms| ms.min(HEURISTIC_MS_MAX))) {
        Some(lifetime_ms) => Lifetime::Heuristic(lifetime_ms),
        None => Lifetime::Unknown,
    }
}

/// What an error says of itself must be said outright: a guess would make it last.
fn is_failure(status: StatusCode) -> bool {
    status.as_u16() >= 500
}

/// §4.2.3, corrected_initial_age, milliseconds.
pub(crate) fn initial_age_ms(headers: &HeaderMap, timing: Timing) -> u64 {
    let now_ms = timing.received_ms;
    let date_ms = fields::date_ms(headers, &DATE, now_ms).unwrap_or(now_ms);
    let apparent_ms = timing.received_ms.saturating_sub(date_ms);
    let delay_ms = timing.received_ms.saturating_sub(timing.requested_ms);
    let corrected_ms = age_s(headers).saturating_mul(1000).saturating_add(delay_ms);
    apparent_ms.max(corrected_ms).min(SECONDS_MAX * 1000)
}

/// §5.1: the first of several; what is no number is ignored.
fn age_s(headers: &HeaderMap) -> u64 {
    let text = headers.get(AGE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let first = text.split(',').next().unwrap_or("").trim();
    // Unlike directives, it is never quoted.
    Some(first).filter(|text| !text.starts_with('"')).and_then(seconds).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::tests::headers;

    const NOW: u64 = 784_111_777_000; // Sun, 06 Nov 1994 08:49:37 GMT
    const TIMING: Timing = Timing { requested_ms: NOW, received_ms: NOW };

    fn lifetime_of(status: u16, fields: &[(&'static str, &str)]) -> Lifetime {
        let headers = headers(fields);
        let directives = ResponseDirectives::of(&headers);
        let status = StatusCode::from_u16(status).unwrap();
        lifetime(status, &headers, &directives, TIMING, None)
    }

    #[test]
    fn the_more_specific_source_of_freshness_wins() {
        let expires = ("expires", "Sun, 06 Nov 1994 08:50:37 GMT");
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        let rows: [(&[(&'static str, &str)], u64); 5] = [
            (&[("cache-control", "max-age=10, s-maxage=20"), expires, date], 20_000),
            (&[("cache-control", "max-age=10"), expires, date], 10_000),
            (&[expires, date], 60_000),
            (&[("cache-control", "s-maxage=x, max-age=10")], 0),
            (&[("cache-control", "max-age=\"10")], 0),
        ];
        for (fields, wanted_ms) in rows {
            assert_eq!(lifetime_of(200, fields), Lifetime::Explicit(wanted_ms), "{fields:?}");
        }
    }

    #[test]
    fn expires_counts_from_date_and_not_from_now() {
        let expires = ("expires", "Sun, 06 Nov 1994 08:49:37 GMT");
        let date = ("date", "Sun, 06 Nov 1994 08:48:37 GMT");
        assert_eq!(lifetime_of(200, &[expires, date]), Lifetime::Explicit(60_000));
    }

    #[test]
    fn expires_that_is_no_date_has_passed() {
        let good = "Sun, 06 Nov 2094 08:49:37 GMT";
        for bad in ["0", "-1", "", "Sun, 06 Nov 2094 8:49:37 GMT", "Sun, 06 Nov 2094 08:49:37 UTC"]
        {
            assert_eq!(lifetime_of(200, &[("expires", bad)]), Lifetime::Explicit(0), "{bad}");
        }
        let twice = [("expires", good), ("expires", good)];
        assert_eq!(lifetime_of(200, &twice), Lifetime::Explicit(0));
    }

    #[test]
    fn a_tenth_of_the_time_since_the_last_change_is_guessed() {
        let hour_ago = ("last-modified", "Sun, 06 Nov 1994 07:49:37 GMT");
        assert_eq!(lifetime_of(200, &[hour_ago]), Lifetime::Heuristic(360_000));
        assert_eq!(lifetime_of(302, &[hour_ago]), Lifetime::Unknown);
        let public = ("cache-control", "public");
        assert_eq!(lifetime_of(302, &[hour_ago, public]), Lifetime::Heuristic(360_000));
        let year_ago = ("last-modified", "Sat, 06 Nov 1993 07:49:37 GMT");
        assert_eq!(lifetime_of(200, &[year_ago]), Lifetime::Heuristic(HEURISTIC_MS_MAX));
        assert_eq!(lifetime_of(200, &[]), Lifetime::Unknown);
    }

    #[test]
    fn an_error_is_never_guessed_to_last() {
        let fields =
            [("last-modified", "Sun, 06 Nov 1994 07:49:37 GMT"), ("cache-control", "public")];
        for status in [403, 414, 500, 501, 503] {
            assert_eq!(lifetime_of(status, &fields), Lifetime::Unknown, "{status}");
        }
        assert_eq!(lifetime_of(404, &fields), Lifetime::Heuristic(360_000));
    }

    #[test]
    fn the_operators_default_is_for_pages_that_say_nothing() {
        let default_of = |status: u16, fields: &[(&'static str, &str)]| {
            let headers = headers(fields);
            let directives = ResponseDirectives::of(&headers);
            let status = StatusCode::from_u16(status).unwrap();
            lifetime(status, &headers, &directives, TIMING, Some(5_000))
        };
        assert_eq!(default_of(200, &[]), Lifetime::Heuristic(5_000));
        assert_eq!(default_of(302, &[]), Lifetime::Unknown);
        assert_eq!(default_of(200, &[("expires", "0")]), Lifetime::Explicit(0));
        assert_eq!(default_of(200, &[("cache-control", "max-age=1")]), Lifetime::Explicit(1_000));
    }

    #[test]
    fn expires_is_silent_beside_a_targeted_field() {
        let headers = headers(&[("expires", "Sun, 06 Nov 1994 08:50:37 GMT")]);
        let directives = ResponseDirectives { is_targeted: true, ..ResponseDirectives::default() };
        let found = lifetime(StatusCode::OK, &headers, &directives, TIMING, None);
        assert_eq!(found, Lifetime::Unknown);
    }

    #[test]
    fn a_page_that_is_always_asked_about_is_fresh_for_no_time() {
        let found = lifetime_of(200, &[("cache-control", "no-cache, max-age=60")]);
        assert_eq!(found, Lifetime::Explicit(0));
    }

    #[test]
    fn age_is_the_larger_of_what_date_and_age_say() {
        let timing = Timing { requested_ms: NOW - 2_000, received_ms: NOW };
        let rows: [(&[(&'static str, &str)], u64); 8] = [
            (&[], 2_000),
            (&[("age", "\"10\"")], 2_000),
            (&[("age", "10")], 12_000),
            (&[("age", "10, 90")], 12_000),
            (&[("age", "-1")], 2_000),
            (&[("age", "x")], 2_000),
            (&[("date", "Sun, 06 Nov 1994 08:48:37 GMT")], 60_000),
            (&[("date", "Sun, 06 Nov 1994 09:49:37 GMT"), ("age", "3")], 5_000),
        ];
        for (fields, wanted_ms) in rows {
            assert_eq!(initial_age_ms(&headers(fields), timing), wanted_ms, "{fields:?}");
        }
    }

    #[test]
    fn an_absurd_age_saturates() {
        let fields = headers(&[("age", "18446744073709551615")]);
        assert_eq!(initial_age_ms(&fields, TIMING), SECONDS_MAX * 1000);
    }
}
