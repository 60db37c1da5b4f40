//! Tags of pages: from the origin's fields and from the policy, within the limit.
//!
//! # Invariants
//! - A response whose tags can't all be kept is not stored: it could not be invalidated.
//! - An answer of one site ends no group of another (RFC 9875 §2.1): beside each of its groups, a
//!   page has the group's name within its site. Events and the API name tags of all sites.
//!
//! # Not here
//! How the fields are read: `model`.

use http::HeaderMap;

use crate::config::SiteCache;
use crate::limits::TAGS_PER_ENTRY_MAX;
use crate::model::{
    CACHE_GROUP_INVALIDATION, CACHE_GROUPS, Tag, TagError, VENDOR_TAG_FIELDS, groups_of, tags_of,
};
use crate::pages::outcome::Reason;

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

/// Adds the names that the groups of a page have within its site, where there are several sites.
pub(crate) fn add_scoped(
    tags: &mut Vec<Tag>,
    headers: &HeaderMap,
    site: Option<&str>,
) -> Result<(), Reason> {
    if site.is_none() {
        return Ok(());
    }
    for group in groups_of(headers, &CACHE_GROUPS).unwrap_or_default() {
        add(tags, scoped(&group, site).map_err(|_: TagError| Reason::TagInvalid)?)?;
    }
    Ok(())
}

/// The tags that an answer to an unsafe method declares invalid (RFC 9875 §3), within its site
/// where there are several. What is no tag here is on no entry either.
pub(crate) fn to_invalidate(headers: &HeaderMap, site: Option<&str>) -> Vec<Tag> {
    let groups = groups_of(headers, &CACHE_GROUP_INVALIDATION).unwrap_or_default();
    groups.iter().filter_map(|group| scoped(group, site).ok()).collect()
}

/// A group's name within a site. Another tag that is spelt so is invalidated with it.
fn scoped(group: &str, site: Option<&str>) -> Result<Tag, TagError> {
    match site {
        Some(site) => Tag::new(&format!("{site}/{group}")),
        None => Tag::new(group),
    }
}

/// Takes out the fields that are for caches only, unless the site passes them on. `Cache-Groups` is
/// for every cache on the way.
pub(crate) fn strip(headers: &mut HeaderMap, rules: &SiteCache) {
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
        let named = |site| -> Vec<String> {
            to_invalidate(&answer, site).iter().map(Tag::to_string).collect()
        };
        assert_eq!(named(None), ["a b", "c"]);
        assert_eq!(named(Some("shop")), ["shop/a b", "shop/c"]);
        assert!(to_invalidate(&headers("cache-group-invalidation", "a"), None).is_empty());
    }

    #[test]
    fn groups_have_a_name_within_their_site_where_there_are_several() {
        let page = headers("cache-groups", "\"a\"");
        let mut tags = of_response(&page).unwrap();
        add_scoped(&mut tags, &page, None).unwrap();
        assert_eq!(tags.len(), 1);
        add_scoped(&mut tags, &page, Some("shop")).unwrap();
        assert_eq!(tags[1], Tag::new("shop/a").unwrap());
        let long = headers("cache-groups", &format!("\"{}\"", "x".repeat(255)));
        let found = add_scoped(&mut Vec::new(), &long, Some("shop"));
        assert_eq!(found, Err(Reason::TagInvalid));
    }

    #[test]
    fn groups_stay_and_private_fields_go() {
        let mut headers = HeaderMap::new();
        for name in ["surrogate-key", "xkey", "cache-tag", "cache-groups"] {
            headers.append(name, "x".parse().unwrap());
        }
        let passing = SiteCache { passes_tag_fields: true, ..SiteCache::default() };
        strip(&mut headers, &passing);
        assert_eq!(headers.len(), 4);
        strip(&mut headers, &SiteCache::default());
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["cache-groups"]);
    }
}
