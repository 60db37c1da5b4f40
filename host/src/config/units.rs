//! Sizes and durations as people write them.

use std::time::Duration;

/// `512`, `64k`, `64KiB`, `64m`, `64MB`, `1g`: bytes, in powers of 1024 as memcached takes them.
pub fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

/// `250ms`, `30s`, `5m`, `2h`, or bare seconds.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let unit_ms = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(unit_ms).map(Duration::from_millis)
}

fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        let cases =
            [("512", 512), ("1k", 1024), ("64MiB", 64 << 20), ("64 mb", 64 << 20), ("2G", 2 << 30)];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in ["", "k", "-1", "1.5m", "1x", "99999999999999999999", "18446744073709551615k"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn durations_have_units_or_are_seconds() {
        let cases = [("0", 0), ("30", 30_000), ("250ms", 250), ("5m", 300_000), ("2h", 7_200_000)];
        for (text, ms) in cases {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "1d", "-5s", "1e3"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
