//! Patterns of names and paths, as in `utm_*`.
//!
//! # Invariants
//! - `*` stands for any run of characters, also none, also with slashes; all else for itself.
//! - The time is linear in pattern times text: no pattern explodes.
//!
//! # Not here
//! Regular expressions.

/// Whether the whole text fits the pattern.
///
/// ```
/// use wasmcached_plugin::pattern::matches;
/// assert!(matches("utm_*", "utm_source") && matches("/a/*/c", "/a/b/c") && matches("*", ""));
/// assert!(!matches("utm_*", "x_utm_source"));
/// ```
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        // The leftmost fit leaves the most for the pieces after it.
        let Some(found) = rest.find(piece) else { return false };
        rest = rest.get(found + piece.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_pattern_without_a_star_matches_only_itself() {
        assert!(matches("page", "page"));
        assert!(!matches("page", "pages"));
        assert!(!matches("page", "pag"));
    }

    #[test]
    fn pieces_must_not_overlap() {
        assert!(!matches("aba*aba", "aba"));
        assert!(!matches("ab*ba", "aba"));
        assert!(matches("ab*ba", "abba"));
    }

    #[test]
    fn several_stars_take_the_pieces_in_order() {
        assert!(matches("*b*d*", "abcde"));
        assert!(!matches("*d*b*", "abcde"));
        assert!(matches("**", "anything"));
    }
}
