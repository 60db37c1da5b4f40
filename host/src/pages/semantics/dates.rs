//! HTTP dates (RFC 9110 §5.6.7), read as a cache has to read them (RFC 9111 §4.2).
//!
//! # Invariants
//! - The three forms and nothing else: another zone, a missing digit or a day that no month has is
//!   no date. Only letter case is free, and the name of the weekday is not held against the day.
//!
//! # Not here
//! What a date means where it stands, and what counts where there is none.

use std::fmt::Write;

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const LONG_DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const DAY_S: i64 = 86_400;

/// Fri, 31 Dec 9999 23:59:59 GMT, seconds: the last one that four digits of a year can say.
const LAST_S: i64 = 253_402_300_799;

/// A date and time of day as written.
struct Written {
    year: i64,
    /// From 1.
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

/// A date in one of the three forms, milliseconds since 1970; what lies before counts as 1970.
/// `now_ms` tells the century of a year of two digits.
pub(crate) fn parse(text: &[u8], now_ms: u64) -> Option<u64> {
    let written = imf_fixdate(text).or_else(|| rfc850(text, now_ms)).or_else(|| asctime(text))?;
    u64::try_from(written.unix_s()?.max(0)).ok().map(|seconds| seconds * 1000)
}

/// A moment as an IMF-fixdate, cut to what the format can say.
pub(crate) fn format(unix_ms: u64) -> String {
    let unix_s = i64::try_from(unix_ms / 1000).unwrap_or(LAST_S).min(LAST_S);
    let (days, second_of_day) = (unix_s / DAY_S, unix_s % DAY_S);
    let (year, month, day) = civil_of(days);
    let name = |names: &[&'static str], index: i64| {
        usize::try_from(index).ok().and_then(|index| names.get(index).copied()).unwrap_or("")
    };
    // The first day of 1970 was a Thursday.
    let weekday = name(&DAYS, (days + 4) % 7);
    let month = name(&MONTHS, month - 1);
    let (hour, minute, second) =
        (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
    let mut text = String::with_capacity(29);
    // Writing to a string does not fail.
    let _ =
        write!(text, "{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT");
    text
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(text: &[u8]) -> Option<Written> {
    let mut rest = Scan(text);
    rest.one_of(&DAYS)?;
    rest.literal(", ")?;
    let day = rest.digits(2)?;
    rest.literal(" ")?;
    let month = rest.one_of(&MONTHS)? + 1;
    rest.literal(" ")?;
    let year = rest.digits(4)?;
    rest.literal(" ")?;
    let (hour, minute, second) = rest.time()?;
    rest.literal(" GMT")?;
    rest.end()?;
    Some(Written { year, month, day, hour, minute, second })
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850(text: &[u8], now_ms: u64) -> Option<Written> {
    let mut rest = Scan(text);
    rest.one_of(&LONG_DAYS)?;
    rest.literal(", ")?;
    let day = rest.digits(2)?;
    rest.literal("-")?;
    let month = rest.one_of(&MONTHS)? + 1;
    rest.literal("-")?;
    let short_year = rest.digits(2)?;
    rest.literal(" ")?;
    let (hour, minute, second) = rest.time()?;
    rest.literal(" GMT")?;
    rest.end()?;
    let now_s = i64::try_from(now_ms / 1000).unwrap_or(LAST_S).min(LAST_S);
    let this_year = civil_of(now_s / DAY_S).0;
    // What appears to be more than 50 years ahead is the last such year in the past.
    let ahead = this_year + 50;
    let year = ahead - (ahead - short_year).rem_euclid(100);
    Some(Written { year, month, day, hour, minute, second })
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(text: &[u8]) -> Option<Written> {
    let mut rest = Scan(text);
    rest.one_of(&DAYS)?;
    rest.literal(" ")?;
    let month = rest.one_of(&MONTHS)? + 1;
    rest.literal(" ")?;
    let day = match rest.literal(" ") {
        Some(()) => rest.digits(1)?,
        None => rest.digits(2)?,
    };
    rest.literal(" ")?;
    let (hour, minute, second) = rest.time()?;
    rest.literal(" ")?;
    let year = rest.digits(4)?;
    rest.end()?;
    Some(Written { year, month, day, hour, minute, second })
}

impl Written {
    /// Seconds since 1970; `None` for a day or time that does not exist.
    fn unix_s(&self) -> Option<i64> {
        let is_leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let days_of_month = match self.month {
            2 if is_leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        // The grammar has a second 60, for leap seconds.
        let exists = (1..=days_of_month).contains(&self.day)
            && self.hour < 24
            && self.minute < 60
            && self.second <= 60;
        let days = days_of(self.year, self.month, self.day);
        exists.then_some(days * DAY_S + self.hour * 3600 + self.minute * 60 + self.second)
    }
}

/// Days since 1970 of a day in the Gregorian calendar; years are counted from March, so that the
/// day that leap years add is the last.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The reverse of [`days_of`]: year, month, day.
fn civil_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_year - (153 * from_march + 2) / 5 + 1)
}

/// What is left of a text.
struct Scan<'a>(&'a [u8]);

impl Scan<'_> {
    fn literal(&mut self, wanted: &str) -> Option<()> {
        let (found, rest) = self.0.split_at_checked(wanted.len())?;
        found.eq_ignore_ascii_case(wanted.as_bytes()).then(|| self.0 = rest)
    }

    /// The position of the name that comes next.
    fn one_of(&mut self, names: &[&str]) -> Option<i64> {
        let at = names.iter().position(|name| self.literal(name).is_some())?;
        i64::try_from(at).ok()
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let (found, rest) = self.0.split_at_checked(count)?;
        let number = found.iter().try_fold(0, |number, byte| {
            byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0'))
        })?;
        self.0 = rest;
        Some(number)
    }

    fn time(&mut self) -> Option<(i64, i64, i64)> {
        let hour = self.digits(2)?;
        self.literal(":")?;
        let minute = self.digits(2)?;
        self.literal(":")?;
        Some((hour, minute, self.digits(2)?))
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_795_000_000_000; // 2026

    fn date(text: &str) -> Option<u64> {
        parse(text.as_bytes(), NOW)
    }

    #[test]
    fn the_three_forms_are_one_moment() {
        let wanted = Some(784_111_777_000);
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(date(text), wanted, "{text}");
        }
        assert_eq!(date("Sun Nov 16 08:49:37 1994"), Some(784_975_777_000));
    }

    #[test]
    fn letter_case_and_the_weekday_do_not_matter() {
        for text in [
            "sun, 06 nov 1994 08:49:37 gmt",
            "SUN, 06 NOV 1994 08:49:37 GMT",
            "Mon, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(date(text), Some(784_111_777_000), "{text}");
        }
    }

    #[test]
    fn whatever_is_not_exactly_a_date_is_none() {
        for text in [
            "",
            "0",
            "-1",
            "784111777",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 8:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun,  06 Nov 1994 08:49:37 GMT",
            "Sun 06 Nov 1994 08:49:37 GMT",
            "06 Nov 1994 08:49:37 GMT",
            "Sun, 06-Nov-1994 08:49:37 GMT",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Sun, 06 Nov 1994 08.49.37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT ",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Sun, 29 Feb 1900 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:60:00 GMT",
            "Xyz, 06 Nov 1994 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994",
            "1994-11-06T08:49:37Z",
        ] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn years_of_two_digits_are_at_most_fifty_years_ahead() {
        let year =
            |text: &str| civil_of(i64::try_from(date(text).unwrap() / 86_400_000).unwrap()).0;
        assert_eq!(year("Sunday, 06-Nov-76 08:49:37 GMT"), 2076);
        assert_eq!(year("Sunday, 06-Nov-77 08:49:37 GMT"), 1977);
        assert_eq!(year("Sunday, 06-Nov-26 08:49:37 GMT"), 2026);
    }

    #[test]
    fn leap_days_and_leap_seconds_exist() {
        assert_eq!(date("Tue, 29 Feb 2000 00:00:00 GMT"), Some(951_782_400_000));
        assert!(date("Sat, 31 Dec 2016 23:59:60 GMT").is_some());
    }

    #[test]
    fn dates_beyond_either_end_are_cut_to_it() {
        assert_eq!(date("Mon, 01 Jan 1900 00:00:00 GMT"), Some(0));
        assert_eq!(format(u64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(format(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(unix_s in 0..253_402_300_799_u64) {
            prop_assert_eq!(date(&format(unix_s * 1000)), Some(unix_s * 1000));
        }

        #[test]
        fn nothing_panics(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse(&text, NOW);
        }
    }
}
