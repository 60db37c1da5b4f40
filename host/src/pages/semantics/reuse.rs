//! What a stored page is good for now: a hit, a stale hit, or a question to the origin
//! (RFC 9111 §4, RFC 5861). Integer comparisons; the fields of the page are not looked at.
//!
//! # Invariants
//! - What the fence has made stale is at most served while it is refreshed, never as fresh.
//! - Nothing that forbids to be stale is served so, whoever asks and whatever fails.
//!
//! # Not here
//! Whether the page may be used for this request at all: `vary`, and the fence.

use http::StatusCode;

use super::directives::{RequestDirectives, ResponseDirectives};
use super::status;
use crate::cache::Verdict;
use crate::model::{PageHead, Staleness};

/// What a stored page is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// To be served.
    Fresh,
    /// To be served while it is refreshed.
    Stale,
    /// To be asked about.
    Validate,
    /// For nothing.
    Nothing,
}

/// Why the origin did not give a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It could not be asked, or did not answer whole and in time.
    Disconnected,
    /// It answered so.
    Status(StatusCode),
}

/// What a page is good for now. `client` are the directives of the request where the site's rules
/// honour them, `None` where they do not.
pub(crate) fn reuse(
    head: &PageHead,
    verdict: Verdict,
    client: Option<&RequestDirectives>,
    now_ms: u64,
) -> Reuse {
    let age_ms = head.age_ms(now_ms);
    let is_fresh = age_ms < head.lifetime_ms;
    let is_in_window = age_ms < head.lifetime_ms.saturating_add(head.stale_while_revalidate_ms);
    let by_http = match verdict {
        Verdict::Dead => return Reuse::Nothing,
        Verdict::Fresh if is_fresh => Reuse::Fresh,
        _ if is_in_window && head.staleness != Staleness::Forbidden => Reuse::Stale,
        _ => Reuse::Validate,
    };
    match client {
        Some(client) => narrowed(head, by_http, client, age_ms),
        None => by_http,
    }
}

/// What is left of it after the client's own directives (§5.2.1).
fn narrowed(head: &PageHead, found: Reuse, client: &RequestDirectives, age_ms: u64) -> Reuse {
    // RFC 8246 §2: a reload of what does not change is no reason to ask.
    let is_too_old = client.max_age_s.is_some_and(|seconds| age_ms > seconds * 1000)
        && !(found == Reuse::Fresh && ResponseDirectives::of(&head.headers).immutable);
    let left_ms = head.lifetime_ms.saturating_sub(age_ms);
    let is_too_short = client.min_fresh_s.is_some_and(|seconds| left_ms < seconds * 1000);
    if client.no_cache || is_too_old || is_too_short {
        return Reuse::Validate;
    }
    let over_ms = age_ms.saturating_sub(head.lifetime_ms);
    let takes_stale = client.max_stale_s.is_some_and(|seconds| over_ms <= seconds * 1000);
    match found {
        Reuse::Validate if takes_stale && head.staleness == Staleness::Allowed => Reuse::Stale,
        _ => found,
    }
}

/// Whether a page that the origin was asked about may be served because the origin failed
/// (§4.2.4, §4.3.3; RFC 5861 §4).
pub(crate) fn may_serve_after(head: &PageHead, failure: Failure, now_ms: u64) -> bool {
    let is_failure = match failure {
        Failure::Disconnected => true,
        Failure::Status(status) => status::is_origin_failure(status),
    };
    let until_ms = head.lifetime_ms.saturating_add(head.stale_if_error_ms);
    is_failure && head.staleness != Staleness::Forbidden && head.age_ms(now_ms) < until_ms
}

/// What is left of a page's lifetime, whole seconds; negative when it is over.
pub(crate) fn ttl_s(head: &PageHead, now_ms: u64) -> i64 {
    let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    (signed(head.lifetime_ms).saturating_sub(signed(head.age_ms(now_ms)))).div_euclid(1000)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    const NOW: u64 = 784_111_777_000;

    fn head(staleness: Staleness) -> PageHead {
        PageHead {
            url: "http://a.example/".into(),
            site: "a".into(),
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            vary: Vec::new(),
            received_ms: NOW,
            initial_age_ms: 0,
            lifetime_ms: 10_000,
            stale_while_revalidate_ms: 5_000,
            stale_if_error_ms: 20_000,
            staleness,
            plugin: None,
            block: std::sync::OnceLock::new(),
        }
    }

    fn after(head: &PageHead, verdict: Verdict, elapsed_ms: u64) -> Reuse {
        reuse(head, verdict, None, NOW + elapsed_ms)
    }

    #[test]
    fn a_page_is_fresh_then_stale_then_to_be_asked_about() {
        let head = head(Staleness::Allowed);
        assert_eq!(after(&head, Verdict::Fresh, 9_999), Reuse::Fresh);
        assert_eq!(after(&head, Verdict::Fresh, 10_000), Reuse::Stale);
        assert_eq!(after(&head, Verdict::Fresh, 14_999), Reuse::Stale);
        assert_eq!(after(&head, Verdict::Fresh, 15_000), Reuse::Validate);
    }

    #[test]
    fn what_was_purged_softly_is_never_served_as_fresh() {
        assert_eq!(after(&head(Staleness::Allowed), Verdict::Stale, 0), Reuse::Stale);
        assert_eq!(after(&head(Staleness::Stated), Verdict::Stale, 0), Reuse::Stale);
        assert_eq!(after(&head(Staleness::Forbidden), Verdict::Stale, 0), Reuse::Validate);
        assert_eq!(after(&head(Staleness::Allowed), Verdict::Dead, 0), Reuse::Nothing);
    }

    #[test]
    fn a_page_that_forbids_it_is_not_served_stale() {
        let head = head(Staleness::Forbidden);
        assert_eq!(after(&head, Verdict::Fresh, 9_999), Reuse::Fresh);
        assert_eq!(after(&head, Verdict::Fresh, 10_000), Reuse::Validate);
        assert!(!may_serve_after(&head, Failure::Disconnected, NOW + 10_000));
    }

    #[test]
    fn an_origin_that_fails_lets_a_page_live_for_its_window() {
        let head = head(Staleness::Stated);
        let failures = [503, 500, 502, 504].map(|status| {
            let status = StatusCode::from_u16(status).unwrap();
            may_serve_after(&head, Failure::Status(status), NOW + 29_999)
        });
        assert_eq!(failures, [true; 4]);
        assert!(may_serve_after(&head, Failure::Disconnected, NOW + 29_999));
        assert!(!may_serve_after(&head, Failure::Disconnected, NOW + 30_000));
        for status in [StatusCode::NOT_FOUND, StatusCode::NOT_IMPLEMENTED, StatusCode::OK] {
            assert!(!may_serve_after(&head, Failure::Status(status), NOW), "{status}");
        }
    }

    fn asked(line: &str, head: &PageHead, elapsed_ms: u64) -> Reuse {
        let mut headers = HeaderMap::new();
        headers.insert("cache-control", line.parse().unwrap());
        let client = RequestDirectives::of(&headers);
        reuse(head, Verdict::Fresh, Some(&client), NOW + elapsed_ms)
    }

    #[test]
    fn what_a_client_asks_for_counts_where_it_is_honoured() {
        let head = head(Staleness::Allowed);
        for line in ["no-cache", "max-age=4", "min-fresh=6", "max-age=x"] {
            assert_eq!(asked(line, &head, 5_000), Reuse::Validate, "{line}");
        }
        for line in ["max-age=5", "min-fresh=5", "no-store", "max-stale"] {
            assert_eq!(asked(line, &head, 5_000), Reuse::Fresh, "{line}");
        }
        assert_eq!(asked("max-stale=10", &head, 20_000), Reuse::Stale);
        assert_eq!(asked("max-stale=9", &head, 20_000), Reuse::Validate);
        assert_eq!(asked("max-stale", &head, 200_000), Reuse::Stale);
    }

    #[test]
    fn a_client_can_not_allow_what_the_origin_forbids() {
        for staleness in [Staleness::Stated, Staleness::Forbidden] {
            assert_eq!(asked("max-stale", &head(staleness), 20_000), Reuse::Validate);
        }
    }

    #[test]
    fn a_reload_of_what_is_immutable_is_a_hit() {
        let mut head = head(Staleness::Allowed);
        head.headers.insert("cache-control", "max-age=10, immutable".parse().unwrap());
        assert_eq!(asked("max-age=0", &head, 5_000), Reuse::Fresh);
        assert_eq!(asked("no-cache", &head, 5_000), Reuse::Validate);
    }

    #[test]
    fn what_is_left_of_a_lifetime_goes_below_zero() {
        let head = head(Staleness::Allowed);
        assert_eq!(ttl_s(&head, NOW + 4_000), 6);
        assert_eq!(ttl_s(&head, NOW + 4_001), 5);
        assert_eq!(ttl_s(&head, NOW + 12_000), -2);
    }
}
