//! Expiry times as memcached means them (protocol.txt, "Expiration times").

use crate::model::Expiry;

/// Up to 30 days are counted from now; more is a moment since 1970.
const RELATIVE_SECONDS_MAX: i64 = 60 * 60 * 24 * 30;

/// What libmemcached makes of -1, which Django's pylibmc sends for a lifetime of 0.
const MINUS_ONE_OF_32_BITS: i64 = u32::MAX as i64;

/// What an expiry time means at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exptime {
    /// It is kept until then, or for ever.
    Until(Expiry),
    /// It is expired already: negative, or a moment that is past.
    Past,
}

/// The meaning of the number that a client sent, at `now_ms`.
pub(super) fn exptime(seconds: i64, now_ms: u64) -> Exptime {
    let moment_ms = match u64::try_from(seconds) {
        Err(_) => return Exptime::Past,
        Ok(_) if seconds == MINUS_ONE_OF_32_BITS => return Exptime::Past,
        Ok(0) => return Exptime::Until(Expiry::NEVER),
        Ok(count) if seconds <= RELATIVE_SECONDS_MAX => now_ms.saturating_add(count * 1000),
        Ok(count) => count.saturating_mul(1000),
    };
    if moment_ms <= now_ms { Exptime::Past } else { Exptime::Until(Expiry::at_ms(moment_ms)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_700_000_000_000;

    fn until(moment_ms: u64) -> Exptime {
        Exptime::Until(Expiry::at_ms(moment_ms))
    }

    #[test]
    fn up_to_thirty_days_are_relative_and_more_is_absolute() {
        assert_eq!(exptime(1, NOW_MS), until(NOW_MS + 1000));
        assert_eq!(exptime(2_592_000, NOW_MS), until(NOW_MS + 2_592_000_000));
        assert_eq!(exptime(2_592_001, NOW_MS), Exptime::Past);
        assert_eq!(exptime(1_700_000_001, NOW_MS), until(NOW_MS + 1000));
    }

    #[test]
    fn zero_is_never_and_negative_is_past() {
        assert_eq!(exptime(0, NOW_MS), Exptime::Until(Expiry::NEVER));
        assert_eq!(exptime(-1, NOW_MS), Exptime::Past);
        assert_eq!(exptime(4_294_967_295, NOW_MS), Exptime::Past);
        assert_eq!(exptime(4_294_967_294, NOW_MS), until(4_294_967_294_000));
        assert_eq!(exptime(i64::MIN, NOW_MS), Exptime::Past);
        assert_eq!(exptime(i64::MAX, NOW_MS), Exptime::Until(Expiry::NEVER));
    }
}
