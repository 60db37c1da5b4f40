//! The key of a page, as a change to its URL.
//!
//! # Invariants
//! - An unchanged URL is the default key, so that what a plugin does not touch stays where it was.
//! - Different requests under one recipe never get one key: values can't forge separators.
//!
//! # Not here
//! The length limit: the server checks it.

use std::borrow::Cow;
use std::fmt;

use crate::{Request, pattern};

/// What the key of a request is.
///
/// Shown as `http://host/path?query|name=value|…`; the part before the first bar is the form of the
/// server's default keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(Decision);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Decision {
    Bypass,
    Exact(String),
    Recipe(Recipe),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Recipe {
    /// `http://host/path`
    url: String,
    query: Option<String>,
    query_is_changed: bool,
    prefix: String,
    suffix: String,
}

impl Key {
    /// The request's URL, as a start. Left as it is, it is the default key.
    pub fn of(request: &Request) -> Self {
        Self(Decision::Recipe(Recipe {
            url: format!("http://{}{}", request.host(), request.path()),
            query: request.query().map(str::to_owned),
            query_is_changed: false,
            prefix: String::new(),
            suffix: String::new(),
        }))
    }

    /// Exactly this text, which may be the key of a memcached item.
    pub fn exactly(text: impl Into<String>) -> Self {
        Self(Decision::Exact(text.into()))
    }

    /// No key: the origin is asked and nothing is stored.
    pub fn bypass() -> Self {
        Self(Decision::Bypass)
    }

    /// Leaves out the query parameters whose names fit the pattern, such as `utm_*`.
    #[must_use]
    pub fn drop_query(self, name_pattern: &str) -> Self {
        self.change_query(|params| {
            params.retain(|param| !pattern::matches(name_pattern, name_of(param)));
        })
    }

    /// Leaves out the query parameters whose names fit none of the patterns.
    #[must_use]
    pub fn keep_query(self, name_patterns: &[&str]) -> Self {
        self.change_query(|params| {
            params
                .retain(|param| name_patterns.iter().any(|p| pattern::matches(p, name_of(param))));
        })
    }

    /// Takes query parameters in the order of their bytes, so that their order makes no variants.
    #[must_use]
    pub fn sort_query(self) -> Self {
        self.change_query(|params| params.sort_unstable())
    }

    /// Adds a value that tells variants of the page apart.
    #[must_use]
    pub fn with(self, name: &str, value: impl fmt::Display) -> Self {
        self.change(|recipe| {
            let value = value.to_string();
            let (name, value) = (escape(name), escape(&value));
            recipe.suffix.push_str(&format!("|{name}={value}"));
        })
    }

    /// Begins the key with this text, so that one prefix names them all.
    #[must_use]
    pub fn prefix(self, prefix: &str) -> Self {
        self.change(|recipe| recipe.prefix.insert_str(0, prefix))
    }

    fn change_query(self, change: impl FnOnce(&mut Vec<&str>)) -> Self {
        self.change(|recipe| {
            let Some(query) = &recipe.query else { return };
            let before: Vec<&str> = query.split('&').filter(|param| !param.is_empty()).collect();
            let mut after = before.clone();
            change(&mut after);
            if after != before {
                recipe.query = (!after.is_empty()).then(|| after.join("&"));
                recipe.query_is_changed = true;
            }
        })
    }

    fn change(self, change: impl FnOnce(&mut Recipe)) -> Self {
        match self.0 {
            Decision::Recipe(mut recipe) => {
                change(&mut recipe);
                Self(Decision::Recipe(recipe))
            }
            settled => Self(settled),
        }
    }

    fn text(&self) -> Cow<'_, str> {
        match &self.0 {
            Decision::Bypass => Cow::Borrowed("(bypass)"),
            Decision::Exact(text) => Cow::Borrowed(text),
            Decision::Recipe(recipe) => Cow::Owned(recipe.to_text()),
        }
    }

    /// `None` for bypass, `Some(None)` for the default key.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn into_custom(self) -> Option<Option<String>> {
        match self.0 {
            Decision::Bypass => None,
            Decision::Exact(text) => Some(Some(text)),
            Decision::Recipe(recipe) => {
                let is_changed = recipe.query_is_changed || recipe.is_marked();
                Some(is_changed.then(|| recipe.to_text()))
            }
        }
    }
}

impl Recipe {
    /// Whether there is more to it than a URL.
    fn is_marked(&self) -> bool {
        !self.prefix.is_empty() || !self.suffix.is_empty()
    }

    fn to_text(&self) -> String {
        let mut url = self.url.clone();
        if let Some(query) = &self.query {
            url.push('?');
            url.push_str(query);
        }
        if !self.is_marked() {
            return url;
        }
        // A bar in the URL itself would look like one of ours.
        format!("{}{}{}", self.prefix, url.replace('|', "%7C"), self.suffix)
    }
}

/// The key's text; `(bypass)` where there is none.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl PartialEq<&str> for Key {
    fn eq(&self, other: &&str) -> bool {
        self.text() == *other
    }
}

fn name_of(param: &str) -> &str {
    param.split_once('=').map_or(param, |(name, _)| name)
}

/// Percent-encodes what separates values, and what no key of a line protocol may hold.
fn escape(value: &str) -> Cow<'_, str> {
    let is_special = |c: char| matches!(c, '|' | '=' | '%' | ' ') || c.is_control();
    if !value.contains(is_special) {
        return Cow::Borrowed(value);
    }
    let mut escaped = String::with_capacity(value.len() + 8);
    for c in value.chars() {
        if is_special(c) {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                escaped.push_str(&format!("%{byte:02X}"));
            }
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::get;

    fn key(url: &str) -> Key {
        Key::of(&get(url).to_request(&[]))
    }

    #[test]
    fn untouched_urls_keep_their_bytes() {
        for url in ["http://s/a", "http://s/a?", "http://s/a?b=1&b=2", "http://s/a|b?c"] {
            assert_eq!(key(url), url);
        }
    }

    #[test]
    fn a_query_that_nothing_is_dropped_from_keeps_its_bytes() {
        assert_eq!(key("http://s/a?b&&c=1").drop_query("utm_*").sort_query(), "http://s/a?b&&c=1");
    }

    #[test]
    fn dropping_every_parameter_drops_the_question_mark() {
        assert_eq!(key("http://s/a?utm_source=x&utm_medium=y").drop_query("utm_*"), "http://s/a");
    }

    #[test]
    fn kept_parameters_may_be_sorted() {
        let key = key("http://s/a?page=2&x=1&lang=de").keep_query(&["page", "lang"]).sort_query();
        assert_eq!(key, "http://s/a?lang=de&page=2");
    }

    #[test]
    fn values_can_not_forge_other_values() {
        let forged = key("http://s/a").with("lang", "de|tier=gold").with("tier", "-");
        let honest = key("http://s/a").with("lang", "de").with("tier", "gold");
        assert_ne!(forged.to_string(), honest.to_string());
        assert_eq!(forged, "http://s/a|lang=de%7Ctier%3Dgold|tier=-");
        assert_eq!(key("http://s/a|lang=de").with("x", 1), "http://s/a%7Clang=de|x=1");
    }

    #[test]
    fn a_bypass_stays_one() {
        assert_eq!(Key::bypass().with("a", 1).sort_query(), Key::bypass());
    }
}
