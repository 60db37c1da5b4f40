//! Tags as they travel in HTTP fields, in the words of all who have them: `Surrogate-Key` (Fastly)
//! and `xkey` (Varnish) separated by spaces, `Cache-Tag` (Cloudflare) by commas, and the standard's
//! `Cache-Groups` and `Cache-Group-Invalidation` as structured lists of strings (RFC 9875).

use http::{HeaderMap, HeaderName};

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

/// The strings of a structured list (RFC 9651 §4.2.1); `None` if any line is none.
pub fn groups_of(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<String>> {
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

/// The value of a field of groups (RFC 9875 §2): each tag as a string (RFC 9651 §3.3.3), separated
/// by commas. It takes any tag of printable ASCII, spaces and commas too; others no field of
/// groups can carry.
pub fn groups_field<'a>(tags: impl Iterator<Item = &'a str>) -> String {
    let quoted = tags.map(|tag| tag.replace('\\', "\\\\").replace('"', "\\\""));
    quoted.map(|tag| format!("\"{tag}\"")).collect::<Vec<_>>().join(", ")
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
