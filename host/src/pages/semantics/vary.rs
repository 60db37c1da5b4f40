//! `Vary`: which stored variant a request may be answered with (RFC 9111 §4.1).
//!
//! # Invariants
//! - All values of a field are compared, in order; that a field is absent is a value too.
//! - What is compared is what the origin saw: fields that this proxy writes itself are never taken
//!   from the client. `Cookie` is the exception that an operator may make.
//! - A response that varies by more fields than the limit is not stored: each would be compared at
//!   every hit.
//!
//! # Not here
//! How many variants of a page are kept: `cache`. What fields are reduced to: `negotiation`.

use std::fmt::Write;
use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::RandomState;
use http::header::{COOKIE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::forward::{self, Fate};
use super::{fields, negotiation};
use crate::config::SiteCache;
use crate::model::Key;
use crate::pages::outcome::Reason;

/// Request fields and their values, as [`crate::model::PageHead::vary`] keeps them.
pub(crate) type Selection = Vec<(HeaderName, Option<HeaderValue>)>;

/// Request fields that one response may vary by.
const NAMES_MAX: usize = 16;

/// What a response was selected by, from its `Vary` and the request that it answers.
pub(crate) fn selection(
    response: &HeaderMap,
    request: &HeaderMap,
    rules: &SiteCache,
) -> Result<Selection, Reason> {
    let mut found: Selection = Vec::new();
    for line in response.get_all(VARY) {
        let line = line.to_str().map_err(|_| Reason::VaryAny)?;
        for name in line.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            // Also catches `*`, which is no name of a field.
            let name = HeaderName::from_bytes(name.as_bytes())
                .ok()
                .filter(|name| name != "*")
                .ok_or(Reason::VaryAny)?;
            match forward::fate(&name) {
                Fate::Passed if found.iter().any(|(known, _)| *known == name) => {}
                Fate::Passed if found.len() == NAMES_MAX => return Err(Reason::VaryTooMany),
                Fate::Passed => {
                    let value = value_of(request, &name, rules);
                    found.push((name, value));
                }
                Fate::Same => {}
                Fate::PerClient => return Err(Reason::VaryPerClient),
            }
        }
    }
    // The order in which an origin names them makes no other variant.
    found.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
    Ok(found)
}

/// Whether a request selects what was stored with these values.
pub(crate) fn selects(
    stored: &[(HeaderName, Option<HeaderValue>)],
    request: &HeaderMap,
    rules: &SiteCache,
) -> bool {
    stored.iter().all(|(name, stored)| {
        if rules.cookies.is_some() && name == COOKIE {
            return *stored == value_of(request, name, rules);
        }
        let mut lines = request.get_all(name).iter();
        match (lines.next(), lines.next()) {
            (None, _) => stored.is_none(),
            (Some(only), None) => stored.as_ref() == Some(only),
            (Some(_), Some(_)) => *stored == fields::combined(request, name),
        }
    })
}

/// The key of a page and, behind it, which variant of it a request selects, as far as that is known
/// from one that is stored with these values; `None` where nothing varies. Two variants may have
/// the same, two keys never.
pub(crate) fn variant_of(
    key: &Key,
    stored: &[(HeaderName, Option<HeaderValue>)],
    request: &HeaderMap,
    rules: &SiteCache,
    seed: &RandomState,
) -> Option<Key> {
    if stored.is_empty() {
        return None;
    }
    let mut hasher = seed.build_hasher();
    for (name, _) in stored {
        (name, value_of(request, name, rules)).hash(&mut hasher);
    }
    let mut bytes = key.as_bytes().to_vec();
    bytes.extend_from_slice(&hasher.finish().to_be_bytes());
    // One that is too long shares the fill of its key.
    Key::new(&bytes).ok()
}

/// The value by which a request field tells variants apart.
fn value_of(request: &HeaderMap, name: &HeaderName, rules: &SiteCache) -> Option<HeaderValue> {
    match &rules.cookies {
        Some(names) if name == COOKIE => {
            negotiation::cookies_named(negotiation::cookie_lines(request), names)
        }
        _ => fields::combined(request, name),
    }
}

/// Adds names to `Vary` that are not in it yet.
pub(crate) fn add_names(headers: &mut HeaderMap, names: &[HeaderName]) {
    let mut missing = String::new();
    for name in names {
        let is_known =
            headers.get_all(VARY).iter().filter_map(|line| line.to_str().ok()).any(|line| {
                line.split(',').any(|known| known.trim() == "*" || name == known.trim())
            });
        if !is_known {
            let comma = if missing.is_empty() { "" } else { ", " };
            // Writing to a string does not fail.
            let _ = write!(missing, "{comma}{name}");
        }
    }
    if let (false, Ok(value)) = (missing.is_empty(), HeaderValue::from_str(&missing)) {
        headers.append(VARY, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::tests::headers;

    fn selection(response: &HeaderMap, request: &HeaderMap) -> Result<Selection, Reason> {
        super::selection(response, request, &SiteCache::default())
    }

    fn selects(stored: &Selection, request: &HeaderMap) -> bool {
        super::selects(stored, request, &SiteCache::default())
    }

    #[test]
    fn an_asterisk_anywhere_never_matches() {
        for vary in ["*", "accept, *", "*, foo", "a b"] {
            let found = selection(&headers(&[("vary", vary)]), &headers(&[]));
            assert_eq!(found, Err(Reason::VaryAny), "{vary}");
        }
        let second_line = headers(&[("vary", "accept"), ("vary", "*")]);
        assert_eq!(selection(&second_line, &headers(&[])), Err(Reason::VaryAny));
    }

    #[test]
    fn all_lines_of_vary_and_of_the_field_count() {
        let response = headers(&[("vary", "Accept-Language"), ("vary", "accept")]);
        let request = headers(&[("accept-language", "de"), ("accept-language", "fr")]);
        let stored = selection(&response, &request).unwrap();
        assert!(selects(&stored, &request));
        assert!(selects(&stored, &headers(&[("accept-language", "de, fr")])));
        assert!(!selects(&stored, &headers(&[("accept-language", "de")])));
        assert!(!selects(&stored, &headers(&[("accept-language", "fr, de")])));
    }

    #[test]
    fn absence_is_a_value() {
        let stored = selection(&headers(&[("vary", "accept")]), &headers(&[])).unwrap();
        assert!(selects(&stored, &headers(&[])));
        assert!(!selects(&stored, &headers(&[("accept", "")])));
    }

    #[test]
    fn the_order_of_names_makes_no_other_variant() {
        let request = headers(&[("accept", "a"), ("accept-language", "de")]);
        let one = selection(&headers(&[("vary", "accept, accept-language")]), &request);
        let other = selection(&headers(&[("vary", "Accept-Language, Accept, accept")]), &request);
        assert_eq!(one, other);
    }

    #[test]
    fn fields_that_the_proxy_writes_for_each_client_are_not_taken_from_the_client() {
        for name in ["X-Forwarded-For", "Forwarded", "Via", "X-Forwarded-Host"] {
            let found = selection(&headers(&[("vary", name)]), &headers(&[]));
            assert_eq!(found, Err(Reason::VaryPerClient), "{name}");
        }
        let conditions = selection(&headers(&[("vary", "If-None-Match, Range")]), &headers(&[]));
        assert_eq!(conditions, Ok(Vec::new()));
    }

    #[test]
    fn a_response_that_varies_by_too_much_is_refused() {
        let names: Vec<String> = (0..=NAMES_MAX).map(|n| format!("x-{n}")).collect();
        let few = headers(&[("vary", &names[..NAMES_MAX].join(","))]);
        assert_eq!(selection(&few, &headers(&[])).unwrap().len(), NAMES_MAX);
        let many = headers(&[("vary", &names.join(","))]);
        assert_eq!(selection(&many, &headers(&[])), Err(Reason::VaryTooMany));
    }

    #[test]
    fn only_the_named_cookies_tell_variants_apart_where_the_site_says_so() {
        let rules = SiteCache { cookies: Some(vec!["lang".into()]), ..SiteCache::default() };
        let response = headers(&[("vary", "Cookie")]);
        let request = headers(&[("cookie", "session=1; lang=de")]);
        let stored = super::selection(&response, &request, &rules).unwrap();
        for (cookie, wanted) in
            [("lang=de", true), ("a=b; lang=de", true), ("lang=fr", false), ("session=1", false)]
        {
            let found = super::selects(&stored, &headers(&[("cookie", cookie)]), &rules);
            assert_eq!(found, wanted, "{cookie}");
        }
        assert!(!selects(&stored, &request), "without the rule all of it counts");
    }

    #[test]
    fn requests_for_one_variant_share_its_key_and_those_for_another_do_not() {
        let (key, rules, seed) =
            (Key::new(b"k").unwrap(), SiteCache::default(), RandomState::default());
        let stored = [(http::header::ACCEPT_LANGUAGE, None)];
        let of = |fields: &[(&'static str, &str)]| {
            variant_of(&key, &stored, &headers(fields), &rules, &seed)
        };
        let german = of(&[("accept-language", "de"), ("accept", "*/*")]);
        assert_eq!(german, of(&[("accept-language", "de")]));
        assert_ne!(german, of(&[("accept-language", "fr")]));
        assert_ne!(german, of(&[]));
        assert_eq!(variant_of(&key, &[], &headers(&[]), &rules, &seed), None);
    }

    #[test]
    fn names_are_added_once() {
        let mut fields = headers(&[("vary", "Cookie")]);
        let names = [http::header::COOKIE, http::header::ACCEPT_LANGUAGE];
        add_names(&mut fields, &names);
        add_names(&mut fields, &names);
        let lines: Vec<_> = fields.get_all("vary").iter().collect();
        assert_eq!(lines, ["Cookie", "accept-language"]);
    }
}
