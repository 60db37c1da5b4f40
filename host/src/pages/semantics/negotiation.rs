//! Reducing what clients say in many ways to the few that an origin tells apart (RFC 9111 §4.1).
//!
//! # Invariants
//! - `Accept-Encoding` and `Accept-Language` are reduced in the request itself, before the key, the
//!   variant and the origin are looked for: the origin answers what is compared.
//! - Nothing is offered to the origin that the client did not accept.
//! - Cookies are reduced for the comparison only; the origin sees all of them.

use http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, COOKIE};
use http::{HeaderMap, HeaderValue};

use crate::config::SiteCache;

/// All sets of the codings that the web uses, by bit: gzip, br, zstd. Anything else is asked for by
/// nobody, or is no better.
const CODINGS: [&str; 8] =
    ["identity", "gzip", "br", "gzip, br", "zstd", "gzip, zstd", "br, zstd", "gzip, br, zstd"];

/// Reduces a request that is looked up.
pub(crate) fn reduce(request: &mut HeaderMap, rules: &SiteCache) {
    let lines = request.get_all(ACCEPT_ENCODING).iter().map(HeaderValue::as_bytes);
    if let Some(codings) = codings(lines) {
        request.insert(ACCEPT_ENCODING, HeaderValue::from_static(codings));
    }
    if !rules.languages.is_empty() && request.contains_key(ACCEPT_LANGUAGE) {
        let lines = request.get_all(ACCEPT_LANGUAGE).iter().map(HeaderValue::as_bytes);
        match language(lines, &rules.languages) {
            Some(language) => request.insert(ACCEPT_LANGUAGE, language.clone()),
            None => request.remove(ACCEPT_LANGUAGE),
        };
    }
}

/// What the lines of `Accept-Encoding` are reduced to; `None` where there is none, where one is no
/// text, and where they refuse what every server falls back to.
pub(crate) fn codings<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<&'static str> {
    let mut lines = lines.peekable();
    lines.peek()?;
    let (mut taken, mut refused, mut takes_others) = (0_usize, 0_usize, false);
    for line in lines {
        for member in std::str::from_utf8(line).ok()?.split(',') {
            let (name, weight) = weighted(member);
            let bit = match name {
                name if is_one_of(name, &["gzip", "x-gzip"]) => 1,
                name if is_one_of(name, &["br"]) => 2,
                name if is_one_of(name, &["zstd"]) => 4,
                "*" if weight == 0 => return None,
                "*" => {
                    takes_others = true;
                    0
                }
                name if is_one_of(name, &["identity"]) && weight == 0 => return None,
                _ => 0,
            };
            if weight == 0 { refused |= bit } else { taken |= bit }
        }
    }
    let all = if takes_others { 7 } else { taken };
    CODINGS.get(all & !refused).copied()
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// The language that a client likes best of those that a site has: the first in the order of weight
/// that one of them is, or begins with (RFC 4647 §3.4).
pub(crate) fn language<'l, 'k>(
    lines: impl Iterator<Item = &'l [u8]>,
    known: &'k [HeaderValue],
) -> Option<&'k HeaderValue> {
    let mut best: Option<(u16, &HeaderValue)> = None;
    let text = |line: &'l [u8]| std::str::from_utf8(line).ok().filter(|text| text.is_ascii());
    for line in lines.filter_map(text) {
        for (range, weight) in line.split(',').map(weighted) {
            if weight > best.map_or(0, |(weight, _)| weight)
                && let Some(found) = look_up(range, known)
            {
                best = Some((weight, found));
            }
        }
    }
    best.map(|(_, language)| language)
}

fn look_up<'a>(range: &str, known: &'a [HeaderValue]) -> Option<&'a HeaderValue> {
    if range == "*" {
        return known.first();
    }
    let mut range = range;
    loop {
        let found = known.iter().find(|tag| tag.as_bytes().eq_ignore_ascii_case(range.as_bytes()));
        match (found, range.rsplit_once('-')) {
            (Some(found), _) => return Some(found),
            (None, Some((shorter, _))) => range = shorter,
            (None, None) => return None,
        }
    }
}

/// A member of a list with its weight in thousandths (RFC 9110 §12.4.2); what is no weight counts
/// as the smallest.
fn weighted(member: &str) -> (&str, u16) {
    let mut parts = member.split(';').map(str::trim);
    let name = parts.next().unwrap_or("");
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    (name, weight.map_or(1_000, |text| thousandths(text).unwrap_or(1)))
}

fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if !matches!(whole, "0" | "1") || fraction.len() > 3 || !is_number(fraction) {
        return None;
    }
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    Some(if whole == "1" { 1_000 } else { fraction })
}

/// The lines of `Cookie` in a request.
pub(crate) fn cookie_lines(request: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    request.get_all(COOKIE).iter().map(HeaderValue::as_bytes)
}

/// The cookies with these names in lines of `Cookie`, in the order of the names, as one value.
pub(crate) fn cookies_named<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
    names: &[String],
) -> Option<HeaderValue> {
    let pairs: Vec<&[u8]> = cookies(lines).collect();
    let mut kept = Vec::new();
    for name in names {
        for pair in pairs.iter().filter(|pair| name_of(pair) == name.as_bytes()) {
            if !kept.is_empty() {
                kept.extend_from_slice(b"; ");
            }
            kept.extend_from_slice(pair);
        }
    }
    (!kept.is_empty()).then(|| HeaderValue::from_bytes(&kept).ok()).flatten()
}

/// Whether one of these cookies is in lines of `Cookie`.
pub(crate) fn has_cookie<'a>(lines: impl Iterator<Item = &'a [u8]>, names: &[String]) -> bool {
    !names.is_empty()
        && cookies(lines).any(|pair| names.iter().any(|name| name_of(pair) == name.as_bytes()))
}

fn cookies<'a>(lines: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = &'a [u8]> {
    lines.flat_map(|line| line.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii)
}

fn name_of(pair: &[u8]) -> &[u8] {
    pair.split(|byte| *byte == b'=').next().unwrap_or(pair).trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::tests::headers;

    fn reduced(name: &'static str, values: &[&str], rules: &SiteCache) -> Option<String> {
        let fields: Vec<_> = values.iter().map(|value| (name, *value)).collect();
        let mut request = headers(&fields);
        reduce(&mut request, rules);
        assert!(request.get_all(name).iter().count() <= 1);
        request.get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn codings_are_reduced_to_a_set() {
        let rows = [
            ("gzip, deflate, br, zstd", "gzip, br, zstd"),
            ("br;q=1.0, GZIP;q=0.5", "gzip, br"),
            ("x-gzip", "gzip"),
            ("deflate", "identity"),
            ("", "identity"),
            ("*", "gzip, br, zstd"),
            ("*, br;q=0", "gzip, zstd"),
            ("gzip;q=0", "identity"),
            ("gzip;q=0.000, br;q=0.001", "br"),
            ("gzip;q=x", "gzip"),
        ];
        for (value, wanted) in rows {
            let found = reduced("accept-encoding", &[value], &SiteCache::default());
            assert_eq!(found.as_deref(), Some(wanted), "{value}");
        }
        let lines = reduced("accept-encoding", &["br", "gzip"], &SiteCache::default());
        assert_eq!(lines.as_deref(), Some("gzip, br"));
    }

    #[test]
    fn a_client_that_refuses_the_plain_form_is_left_alone() {
        for value in ["identity;q=0, br", "*;q=0, gzip"] {
            let found = reduced("accept-encoding", &[value], &SiteCache::default());
            assert_eq!(found.as_deref(), Some(value));
        }
        assert_eq!(reduced("accept-encoding", &[], &SiteCache::default()), None);
    }

    #[test]
    fn languages_are_reduced_to_one_that_the_site_has() {
        let known = ["en", "de", "pt-BR"].map(HeaderValue::from_static).to_vec();
        let rules = SiteCache { languages: known, ..SiteCache::default() };
        let rows = [
            ("de-CH, de;q=0.9, en;q=0.8", Some("de")),
            ("fr, en;q=0.5, de;q=0.7", Some("de")),
            ("pt-br-x", Some("pt-BR")),
            ("pt", None),
            ("*", Some("en")),
            ("de;q=0, en;q=0.1", Some("en")),
            ("fr", None),
        ];
        for (value, wanted) in rows {
            let found = reduced("accept-language", &[value], &rules);
            assert_eq!(found.as_deref(), wanted, "{value}");
        }
        let kept = reduced("accept-language", &["de-CH, fr"], &SiteCache::default());
        assert_eq!(kept.as_deref(), Some("de-CH, fr"));
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let request = headers(&[("cookie", "a=1; lang = de"), ("cookie", "xlang=2;b")]);
        let names =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let named = |wanted: &[&str]| cookies_named(cookie_lines(&request), &names(wanted));
        assert_eq!(named(&["lang"]).unwrap(), "lang = de");
        assert_eq!(named(&["b", "a"]).unwrap(), "b; a=1");
        assert_eq!(named(&["c"]), None);
        let has = |wanted: &[&str]| has_cookie(cookie_lines(&request), &names(wanted));
        assert!(has(&["c", "xlang"]));
        assert!(!has(&["ang", "A"]) && !has(&[]));
    }
}
