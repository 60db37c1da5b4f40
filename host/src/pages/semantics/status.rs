//! Which statuses are stored under a page's key (RFC 9111 §3, RFC 9110 §15).
//!
//! # Invariants
//! - What an odd request provokes by its form, its size or its conditions is never stored: those
//!   are not part of the key, and one visitor's error would be everybody's. RFC 6585 forbids some
//!   of these outright.
//! - Every other status that is not known here is stored only with freshness of its own.

use http::StatusCode;

/// What a status alone says about storing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Not under this key.
    Never,
    /// With freshness that the response states.
    IfExplicit,
    /// Also with freshness that is guessed (RFC 9110 §15.1).
    Guessable,
}

/// The class of a status.
pub(crate) fn class(status: StatusCode) -> Class {
    match status.as_u16() {
        // Not final, or not a whole representation.
        ..200 | 206 | 304 => Class::Never,
        // By the request's form, size or conditions.
        400 | 408 | 411 | 412 | 413 | 416 | 417 | 421 | 425 => Class::Never,
        // RFC 6585 §3 to §6.
        428 | 429 | 431 | 511 => Class::Never,
        // Of those that RFC 9110 lists, 414 and 501 are for the request to provoke too.
        200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 => Class::Guessable,
        _ => Class::IfExplicit,
    }
}

/// Whether all that a status asks of a cache is done here (RFC 9111 §5.2.2.3).
pub(crate) fn is_understood(status: StatusCode) -> bool {
    class(status) == Class::Guessable
        || matches!(status.as_u16(), 302 | 303 | 307 | 401..=403 | 406 | 409 | 414 | 415 | 422)
        || matches!(status.as_u16(), 451 | 500..=504)
}

/// Whether a status counts as the failure that `stale-if-error` is about (RFC 5861 §4).
pub(crate) fn is_origin_failure(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(statuses: &[u16]) -> Vec<Class> {
        statuses.iter().map(|status| class(StatusCode::from_u16(*status).unwrap())).collect()
    }

    #[test]
    fn errors_that_an_odd_request_provokes_are_never_stored() {
        let statuses = [400, 408, 411, 412, 413, 416, 417, 421, 425, 428, 429, 431, 511];
        assert!(classes(&statuses).iter().all(|class| *class == Class::Never));
    }

    #[test]
    fn partial_and_conditional_answers_are_never_stored_as_pages() {
        assert_eq!(classes(&[206, 304, 103]), [Class::Never; 3]);
    }

    #[test]
    fn statuses_that_are_not_known_need_freshness_of_their_own() {
        assert_eq!(classes(&[299, 302, 403, 418, 499, 500, 503, 599]), [Class::IfExplicit; 8]);
        let understood =
            [299, 418, 599].map(|status| is_understood(StatusCode::from_u16(status).unwrap()));
        assert_eq!(understood, [false; 3]);
    }
}
