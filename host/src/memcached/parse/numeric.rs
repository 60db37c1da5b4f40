//! Decimal numbers as memcached reads them: digits only, no silent overflow.

/// An unsigned number that takes the whole word.
pub(in crate::memcached) fn number(word: &[u8]) -> Option<u64> {
    if word.is_empty() {
        return None;
    }
    word.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// A number with an optional sign that takes the whole word.
pub(in crate::memcached) fn signed_number(word: &[u8]) -> Option<i64> {
    match word {
        [b'-', digits @ ..] => 0_i64.checked_sub_unsigned(number(digits)?),
        digits => i64::try_from(number(digits)?).ok(),
    }
}
