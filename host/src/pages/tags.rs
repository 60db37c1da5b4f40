//! Tags of pages: from the origin's fields and from the policy, within the limit.
//!
//! # Invariants
//! - A response whose tags can't all be kept is not stored: it could not be invalidated.
//!
//! # Not here
//! How the fields are read: `model`.

use http::HeaderMap;

use super::outcome::Reason;
use crate::config::Rules;
use crate::limits::TAGS_PER_ENTRY_MAX;
use crate::model::{
    CACHE_GROUP_INVALIDATION, Tag, TagError, VENDOR_TAG_FIELDS, groups_of, tags_of,
};

/// The tags that a response carries, each once.
pub(crate) fn of_response(headers: &HeaderMap) -> Result<Vec<Tag>, Reason> {
    let tags = tags_of(headers).map_err(|_: TagError| Reason::TagInvalid)?;
    if tags.len() > TAGS_PER_ENTRY_MAX { Err(Reason::TooManyTags) } else { Ok(tags) }
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
    let groups = groups_of(headers, &CACHE_GROUP_INVALIDATION).unwrap_or_default();
    groups.iter().filter_map(|group| Tag::new(group).ok()).collect()
}

/// Takes out the fields that are for caches only, unless the site passes them on. `Cache-Groups` is
/// for every cache on the way.
pub(crate) fn strip(headers: &mut HeaderMap, rules: &Rules) {
    if rules.passes_tag_fields {
        return;
    }
    for (name, _) in &VENDOR_TAG_FIELDS {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())])
    }

    #[test]
    fn what_can_not_be_kept_is_not_stored() {
        let long = headers("surrogate-key", &"x".repeat(300));
        assert_eq!(of_response(&long), Err(Reason::TagInvalid));
        let many: Vec<String> = (0..=TAGS_PER_ENTRY_MAX).map(|n| format!("t{n}")).collect();
        let many = headers("xkey", &many.join(" "));
        assert_eq!(of_response(&many), Err(Reason::TooManyTags));
    }

    #[test]
    fn groups_that_an_unsafe_answer_names_are_made_wrong() {
        let answer = headers("cache-group-invalidation", "\"a b\", \"c\";x=1");
        let named: Vec<String> = to_invalidate(&answer).iter().map(Tag::to_string).collect();
        assert_eq!(named, ["a b", "c"]);
        assert!(to_invalidate(&headers("cache-group-invalidation", "a")).is_empty());
    }

    #[test]
    fn groups_stay_and_private_fields_go() {
        let mut headers = HeaderMap::new();
        for name in ["surrogate-key", "xkey", "cache-tag", "cache-groups"] {
            headers.append(name, "x".parse().unwrap());
        }
        let passing = Rules { passes_tag_fields: true, ..Rules::default() };
        strip(&mut headers, &passing);
        assert_eq!(headers.len(), 4);
        strip(&mut headers, &Rules::default());
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["cache-groups"]);
    }
}
