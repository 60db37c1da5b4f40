//! Fields that speak to some caches only, `CDN-Cache-Control` first of all (RFC 9213).
//!
//! # Invariants
//! - The first field of the site's list that can be read and is not empty is the whole word:
//!   neither `Cache-Control` nor `Expires` counts beside it. One that can't be read is as if
//!   absent (§2.1).
//! - A number of the wrong type is no time at all.

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

use super::directives::{ResponseDirectives, SECONDS_MAX};
use super::fields;

/// The directives that count for this cache.
pub(crate) fn directives(headers: &HeaderMap, targeted: &[HeaderName]) -> ResponseDirectives {
    let of_field = |name: &HeaderName| read(headers, name);
    targeted.iter().find_map(of_field).unwrap_or_else(|| ResponseDirectives::of(headers))
}

fn read(headers: &HeaderMap, name: &HeaderName) -> Option<ResponseDirectives> {
    let value = fields::combined(headers, name)?;
    let members: Dictionary = Parser::new(value.as_bytes()).parse().ok()?;
    if members.is_empty() {
        return None;
    }
    let mut found = ResponseDirectives { is_targeted: true, ..ResponseDirectives::default() };
    for (name, value) in &members {
        let value = match value {
            ListEntry::Item(item) => Some(&item.bare_item),
            ListEntry::InnerList(_) => None,
        };
        match (found.number(name.as_str()), value) {
            (Some(slot), Some(BareItem::Integer(number))) => {
                let seconds = u64::try_from(i64::from(*number)).unwrap_or(0);
                *slot = Some(seconds.min(SECONDS_MAX));
            }
            (Some(slot), _) => *slot = Some(0),
            // `?0` says that it is not meant.
            (None, Some(BareItem::Boolean(false))) => {}
            (None, _) => found.set_flag(name.as_str()),
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::tests::headers;

    const CDN: HeaderName = HeaderName::from_static("cdn-cache-control");
    const OURS: HeaderName = HeaderName::from_static("ours-cache-control");

    fn of(fields: &[(&'static str, &str)]) -> ResponseDirectives {
        directives(&headers(fields), &[OURS, CDN])
    }

    #[test]
    fn the_first_field_of_the_list_is_the_whole_word() {
        let plain = ("cache-control", "no-store, max-age=1");
        let cdn = ("cdn-cache-control", "max-age=2");
        let ours = ("ours-cache-control", "max-age=3;x=1, unknown=(1 2)");
        assert_eq!(of(&[plain, cdn, ours]).max_age_s, Some(3));
        let found = of(&[plain, cdn]);
        assert_eq!((found.max_age_s, found.no_store, found.is_targeted), (Some(2), false, true));
        assert!(of(&[plain]).no_store);
    }

    #[test]
    fn a_field_that_can_not_be_read_or_is_empty_is_as_if_absent() {
        let plain = ("cache-control", "max-age=1");
        for broken in ["max-age=2, &", "Max-Age=2", "", "max-age=2,", "\"max-age=2\""] {
            let found = of(&[("cdn-cache-control", broken), plain]);
            assert_eq!((found.max_age_s, found.is_targeted), (Some(1), false), "{broken}");
        }
    }

    #[test]
    fn lines_are_one_dictionary_whose_last_member_counts() {
        let lines = [("cdn-cache-control", "max-age=1"), ("cdn-cache-control", "max-age=2")];
        assert_eq!(of(&lines).max_age_s, Some(2));
    }

    #[test]
    fn numbers_of_another_type_are_no_time() {
        for odd in ["max-age=\"60\"", "max-age=6.0", "max-age=-1", "max-age", "max-age=(60)"] {
            assert_eq!(of(&[("cdn-cache-control", odd)]).max_age_s, Some(0), "{odd}");
        }
        let large = of(&[("cdn-cache-control", "max-age=99999999999")]);
        assert_eq!(large.max_age_s, Some(SECONDS_MAX));
    }

    #[test]
    fn a_directive_that_is_false_is_not_meant() {
        let found = of(&[("cdn-cache-control", "no-store=?0, private=?1, no-cache=\"a\"")]);
        assert!(!found.no_store && found.private && found.no_cache);
    }
}
