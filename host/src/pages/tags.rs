//! Tags in response fields: `Surrogate-Key` and `xkey` (separated by spaces), `Cache-Tag` (by
//! commas), `Cache-Groups` and `Cache-Group-Invalidation` (RFC 9875: structured lists of strings).
//!
//! # Invariants
//! - A response whose tags can't all be kept is not stored: it could not be invalidated.

use http::{HeaderMap, HeaderName};

use super::outcome::Reason;
use crate::limits::TAGS_PER_ENTRY_MAX;
use crate::model::Tag;

const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
const XKEY: HeaderName = HeaderName::from_static("xkey");
const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");
const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
const CACHE_GROUP_INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");

/// The tags that a response carries, each once.
pub(crate) fn of_response(headers: &HeaderMap) -> Result<Vec<Tag>, Reason> {
    let mut tags = Vec::new();
    for (name, separators) in [(SURROGATE_KEY, " \t"), (XKEY, " \t"), (CACHE_TAG, ",")] {
        for line in headers.get_all(name) {
            let line = line.to_str().map_err(|_| Reason::TagInvalid)?;
            let words = line.split(|c| separators.contains(c)).map(str::trim);
            for word in words.filter(|word| !word.is_empty()) {
                add(&mut tags, Tag::new(word).map_err(|_| Reason::TagInvalid)?)?;
            }
        }
    }
    for group in groups(headers, &CACHE_GROUPS).ok_or(Reason::TagInvalid)? {
        add(&mut tags, Tag::new(&group).map_err(|_| Reason::TagInvalid)?)?;
    }
    Ok(tags)
}

/// Adds a tag that is not there yet, within the limit.
pub(crate) fn add(tags: &mut Vec<Tag>, tag: Tag) -> Result<(), Reason> {
    if tags.contains(&tag) {
        return Ok(());
    }
    if tags.len() == TAGS_PER_ENTRY_MAX {
        return Err(Reason::TooManyTags);
    }
    tags.push(tag);
    Ok(())
}

/// The tags that an answer to an unsafe method declares invalid (RFC 9875 §3). What is no tag here
/// is on no entry either.
pub(crate) fn to_invalidate(headers: &HeaderMap) -> Vec<Tag> {
    let groups = groups(headers, &CACHE_GROUP_INVALIDATION).unwrap_or_default();
    groups.iter().filter_map(|group| Tag::new(group).ok()).collect()
}

/// Takes out the fields that are for caches only. `Cache-Groups` is for every cache on the way.
pub(crate) fn strip(headers: &mut HeaderMap) {
    for name in [SURROGATE_KEY, XKEY, CACHE_TAG] {
        headers.remove(name);
    }
}

/// The strings of a structured list (RFC 9651 §4.2.1); `None` if any line is none.
fn groups(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<String>> {
    let mut found = Vec::new();
    for line in headers.get_all(name) {
        let mut rest = line.to_str().ok()?.trim_matches([' ', '\t']);
        while !rest.is_empty() {
            let (group, after) = string(rest)?;
            found.push(group);
            let after = parameters(after)?.trim_start_matches([' ', '\t']);
            rest = match after.strip_prefix(',') {
                // A list does not end with a comma.
                Some(next) => {
                    Some(next.trim_start_matches([' ', '\t'])).filter(|n| !n.is_empty())?
                }
                None if after.is_empty() => after,
                None => return None,
            };
        }
    }
    Some(found)
}

/// A string at the beginning and what follows it (RFC 9651 §4.2.5).
fn string(text: &str) -> Option<(String, &str)> {
    let mut chars = text.strip_prefix('"')?.chars();
    let mut found = String::new();
    loop {
        match chars.next()? {
            '"' => return Some((found, chars.as_str())),
            '\\' => found.push(chars.next().filter(|c| matches!(c, '"' | '\\'))?),
            c if c == ' ' || c.is_ascii_graphic() => found.push(c),
            _ => return None,
        }
    }
}

/// Skips parameters, which groups have none of so far (RFC 9875 §2).
fn parameters(mut text: &str) -> Option<&str> {
    while let Some(parameter) = text.strip_prefix(';') {
        let name_end = parameter.find(['=', ';', ',', ' ', '\t']).unwrap_or(parameter.len());
        let after = parameter.get(name_end..)?;
        text = match after.strip_prefix('=') {
            Some(value) if value.starts_with('"') => string(value)?.1,
            Some(value) => value.get(value.find([';', ',', ' ', '\t']).unwrap_or(value.len())..)?,
            None => after,
        };
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(fields: &[(&'static str, &str)]) -> Result<Vec<String>, Reason> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        of_response(&headers).map(|tags| tags.iter().map(Tag::to_string).collect())
    }

    #[test]
    fn every_vendors_field_is_read() {
        let found = tags(&[
            ("surrogate-key", "a  b"),
            ("surrogate-key", "c"),
            ("xkey", "d a"),
            ("cache-tag", "e,f , g"),
            ("cache-groups", r#""h", "i";x=1;y="p,q",  "j\\""#),
        ]);
        let wanted: Vec<String> =
            ["a", "b", "c", "d", "e", "f", "g", "h", "i", r"j\"].map(Into::into).into();
        assert_eq!(found, Ok(wanted));
    }

    #[test]
    fn what_can_not_be_kept_is_not_stored() {
        let long = "x".repeat(300);
        let rows = [("surrogate-key", long.as_str()), ("cache-tag", "a b"), ("cache-groups", "a")];
        for row in rows.iter().chain(&[("cache-groups", "\"a"), ("cache-groups", "\"a\",")]) {
            assert_eq!(tags(&[*row]), Err(Reason::TagInvalid), "{row:?}");
        }
        let many: Vec<String> = (0..=TAGS_PER_ENTRY_MAX).map(|n| format!("t{n}")).collect();
        assert_eq!(tags(&[("xkey", &many.join(" "))]), Err(Reason::TooManyTags));
    }

    #[test]
    fn groups_stay_and_private_fields_go() {
        let mut headers = HeaderMap::new();
        for name in ["surrogate-key", "xkey", "cache-tag", "cache-groups"] {
            headers.append(name, "x".parse().unwrap());
        }
        strip(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["cache-groups"]);
    }
}
