//! Tags as they travel in HTTP fields, in the words of all who have them.

use http::HeaderMap;
use http::header::HeaderName;

use super::{Tag, TagError};

/// The standard's field: a structured list of strings (RFC 9875 §2).
pub const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");

/// Fields of the vendors and what separates their tags: Fastly, Varnish xkey, Cloudflare.
pub const VENDOR_TAG_FIELDS: [(HeaderName, char); 3] = [
    (HeaderName::from_static("surrogate-key"), ' '),
    (HeaderName::from_static("xkey"), ' '),
    (HeaderName::from_static("cache-tag"), ','),
];

/// All tags in a message's fields, each once. One that is no tag is an error, never left out: an
/// entry without one of its tags would outlive its invalidation.
pub fn tags_of(headers: &HeaderMap) -> Result<Vec<Tag>, TagError> {
    let mut tags = Vec::new();
    for (name, separator) in &VENDOR_TAG_FIELDS {
        for value in headers.get_all(name) {
            let text = value.to_str().map_err(|_| TagError::NotText { field: name.to_string() })?;
            for tag in text.split(*separator).map(str::trim).filter(|tag| !tag.is_empty()) {
                tags.push(Tag::new(tag)?);
            }
        }
    }
    tags.extend(groups_of(headers, &CACHE_GROUPS)?);
    let mut seen = std::collections::HashSet::new();
    tags.retain(|tag| seen.insert(tag.clone()));
    Ok(tags)
}

/// The strings of a structured list (RFC 9651 §3.1), parameters left out.
pub fn groups_of(headers: &HeaderMap, name: &HeaderName) -> Result<Vec<Tag>, TagError> {
    let mut tags = Vec::new();
    for value in headers.get_all(name) {
        let malformed = || TagError::NotText { field: name.to_string() };
        let mut rest = value.to_str().map_err(|_| malformed())?.trim();
        while !rest.is_empty() {
            let (string, behind) = sf_string(rest).ok_or_else(malformed)?;
            tags.push(Tag::new(&string)?);
            // Parameters of a group have no meaning yet (RFC 9875 §2).
            let behind = behind.split_once(',').map_or("", |(_, next)| next);
            rest = behind.trim_start();
        }
    }
    Ok(tags)
}

/// A quoted string at the start of `text`, and what follows it.
fn sf_string(text: &str) -> Option<(String, &str)> {
    let mut string = String::new();
    let mut chars = text.strip_prefix('"')?.chars();
    loop {
        match chars.next()? {
            '"' => return Some((string, chars.as_str())),
            '\\' => string.push(chars.next().filter(|c| matches!(c, '"' | '\\'))?),
            c => string.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(fields: &[(&'static str, &'static str)]) -> Result<Vec<String>, TagError> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        Ok(tags_of(&headers)?.iter().map(|tag| tag.as_str().to_owned()).collect())
    }

    #[test]
    fn every_dialect_is_read_and_each_tag_taken_once() {
        let fields = [
            ("surrogate-key", "a  b"),
            ("xkey", "c"),
            ("xkey", "d"),
            ("cache-tag", "e, f g"),
            ("cache-groups", r#""a", "h i";p=1, "j\"k""#),
        ];
        assert_eq!(tags(&fields).unwrap(), ["a", "b", "c", "d", "e", "f g", "h i", "j\"k"]);
    }

    #[test]
    fn a_list_of_groups_that_is_none_is_an_error() {
        for value in ["a, b", r#""a"#, r#""a\b""#, r#""a", b"#] {
            assert!(tags(&[("cache-groups", value)]).is_err(), "{value}");
        }
    }

    #[test]
    fn a_tag_over_the_limit_is_an_error_not_left_out() {
        let long: &'static str = "x".repeat(300).leak();
        assert_eq!(tags(&[("surrogate-key", long)]), Err(TagError::TooLong { bytes: 300 }));
    }
}
