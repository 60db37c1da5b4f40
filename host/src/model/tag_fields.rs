//! Tags as they travel in HTTP fields, in the words of all who have them: `Surrogate-Key` (Fastly)
//! and `xkey` (Varnish) separated by spaces, `Cache-Tag` (Cloudflare) by commas, and the standard's
//! `Cache-Groups` and `Cache-Group-Invalidation` as structured lists of strings (RFC 9875).

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Item, List, ListEntry, Parser};

use super::{Tag, TagError};

/// The vendors' field that most senders know.
pub const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");

/// The standard's field (RFC 9875 §2).
pub const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");

/// What answers to unsafe methods declare invalid (RFC 9875 §3).
pub const CACHE_GROUP_INVALIDATION: HeaderName =
    HeaderName::from_static("cache-group-invalidation");

/// Fields that are for caches alone, each with what separates its tags.
pub const VENDOR_TAG_FIELDS: [(HeaderName, &[char]); 3] = [
    (SURROGATE_KEY, &[' ', '\t']),
    (HeaderName::from_static("xkey"), &[' ', '\t']),
    (HeaderName::from_static("cache-tag"), &[',']),
];

/// All tags in a message's fields, each once.
///
/// # Errors
/// One that is no tag is an error, never left out: an entry without one of its tags would outlive
/// its invalidation.
pub fn tags_of(headers: &HeaderMap) -> Result<Vec<Tag>, TagError> {
    let mut tags: Vec<Tag> = Vec::new();
    let mut add = |text: &str| {
        let tag = Tag::new(text)?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
        Ok(())
    };
    for (name, separators) in &VENDOR_TAG_FIELDS {
        for line in headers.get_all(name) {
            let line = line.to_str().map_err(|_| malformed(name))?;
            let words = line.split(*separators).map(str::trim);
            words.filter(|word| !word.is_empty()).try_for_each(&mut add)?;
        }
    }
    let groups = groups_of(headers, &CACHE_GROUPS).ok_or_else(|| malformed(&CACHE_GROUPS))?;
    groups.iter().try_for_each(|group| add(group))?;
    Ok(tags)
}

/// The strings of a structured list (RFC 9651 §3.1), all lines of the field as one; parameters do
/// not matter (RFC 9875 §2). `None` if it is no list, or one of anything else.
pub fn groups_of(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<String>> {
    let mut lines = headers.get_all(name).iter();
    let Some(first) = lines.next() else { return Some(Vec::new()) };
    let mut all = first.as_bytes().to_vec();
    for line in lines {
        all.extend_from_slice(b", ");
        all.extend_from_slice(line.as_bytes());
    }
    let members: List = Parser::new(&all).parse().ok()?;
    let group = |member: ListEntry| match member {
        ListEntry::Item(Item { bare_item: BareItem::String(group), .. }) => Some(group.into()),
        ListEntry::Item(_) | ListEntry::InnerList(_) => None,
    };
    members.into_iter().map(group).collect()
}

/// The value of a field of groups (RFC 9875 §2): each tag as a string (RFC 9651 §3.3.3), separated
/// by commas. It takes any tag of printable ASCII, spaces and commas too; others no field of
/// groups can carry.
pub fn groups_field<'a>(tags: impl Iterator<Item = &'a str>) -> String {
    let quoted = tags.map(|tag| tag.replace('\\', "\\\\").replace('"', "\\\""));
    quoted.map(|tag| format!("\"{tag}\"")).collect::<Vec<_>>().join(", ")
}

fn malformed(name: &HeaderName) -> TagError {
    TagError::Malformed { field: name.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(fields: &[(&'static str, &str)]) -> Result<Vec<String>, TagError> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        tags_of(&headers).map(|tags| tags.iter().map(Tag::to_string).collect())
    }

    #[test]
    fn every_dialect_is_read_and_each_tag_taken_once() {
        let found = tags(&[
            ("surrogate-key", "a  b"),
            ("surrogate-key", "c"),
            ("xkey", "d a"),
            ("cache-tag", "e,f g , h"),
            ("cache-groups", r#""i j", "k";x=1;y="p,q",  "l\\""#),
        ]);
        let wanted = ["a", "b", "c", "d", "e", "f g", "h", "i j", "k", r"l\"];
        assert_eq!(found.unwrap(), wanted);
    }

    #[test]
    fn groups_are_read_as_they_were_written() {
        let wanted = ["a b", "c, d", r#"say "hi""#, r"back\slash"];
        let field = groups_field(wanted.into_iter());
        assert!(field.starts_with(r#""a b", "c, d", "say \"hi\"""#), "{field}");
        assert_eq!(tags(&[("cache-groups", &field)]).unwrap(), wanted);
    }

    #[test]
    fn a_list_of_groups_that_is_none_is_an_error() {
        for value in ["a", "a, b", "\"a", r#""a\b""#, r#""a","#, r#""a", b"#] {
            let malformed = TagError::Malformed { field: "cache-groups".to_owned() };
            assert_eq!(tags(&[("cache-groups", value)]), Err(malformed), "{value}");
        }
    }

    #[test]
    fn a_tag_over_the_limit_is_an_error_and_not_left_out() {
        let long = "x".repeat(300);
        assert_eq!(tags(&[("surrogate-key", &long)]), Err(TagError::TooLong { bytes: 300 }));
    }
}
