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
use std::fmt::Write as _;

use crate::percent::push_char;
use crate::{Request, pattern};

/// How the URLs of pages begin, whatever the client spoke.
const SCHEME: &str = "http://";

/// Room for the values of most keys.
const VALUES_BYTES: usize = 96;

/// What the key of a request is.
///
/// Shown as `http://host/path?query|name=value|…`; the part before the first bar is the form of the
/// server's default keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(Decision);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Decision {
    Bypass,
    Recipe(Recipe),
}

/// A key is made for each request: one text that grows in its place, and where its parts end.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Recipe {
    /// The prefix, `http://host/path?query` or an exact text, and `|name=value` for each value.
    text: String,
    prefix_end: usize,
    path_end: usize,
    url_end: usize,
    start: Start,
}

/// What stands between the prefix and the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// The request's URL as it came.
    Url,
    /// The URL with another query.
    ChangedUrl,
    /// The plugin's own text.
    Exact,
}

impl Key {
    /// The request's URL, as a start. Left as it is, it is the default key.
    pub fn of(request: &Request) -> Self {
        let (host, path, query) = (request.host(), request.path(), request.query());
        let path_end = SCHEME.len() + host.len() + path.len();
        let url_end = path_end + query.map_or(0, |query| 1 + query.len());
        let mut text = String::with_capacity(url_end + VALUES_BYTES);
        text.push_str(SCHEME);
        text.push_str(host);
        text.push_str(path);
        if let Some(query) = query {
            text.push('?');
            text.push_str(query);
        }
        let (prefix_end, start) = (0, Start::Url);
        Self(Decision::Recipe(Recipe { text, prefix_end, path_end, url_end, start }))
    }

    /// Exactly this text, which may be the key of a memcached item. `with` and `prefix` add to it
    /// as to a URL: bars of its own are then percent-encoded.
    pub fn exactly(text: impl Into<String>) -> Self {
        let text = text.into();
        let (prefix_end, end, start) = (0, text.len(), Start::Exact);
        Self(Decision::Recipe(Recipe { text, prefix_end, path_end: end, url_end: end, start }))
    }

    /// No key: the origin is asked and nothing is stored.
    pub fn bypass() -> Self {
        Self(Decision::Bypass)
    }

    /// Leaves out the query parameters whose names fit the pattern, such as `utm_*`.
    ///
    /// # Panics
    /// If the key is an exact one: it has no query.
    #[must_use]
    #[track_caller]
    pub fn drop_query(self, name_pattern: &str) -> Self {
        self.change_query(|params| {
            params.retain(|param| !pattern::matches(name_pattern, name_of(param)));
        })
    }

    /// Leaves out the query parameters whose names fit none of the patterns.
    ///
    /// # Panics
    /// If the key is an exact one: it has no query.
    #[must_use]
    #[track_caller]
    pub fn keep_query(self, name_patterns: &[&str]) -> Self {
        self.change_query(|params| {
            params
                .retain(|param| name_patterns.iter().any(|p| pattern::matches(p, name_of(param))));
        })
    }

    /// Takes query parameters in the order of their bytes, so that their order makes no variants.
    ///
    /// # Panics
    /// If the key is an exact one: it has no query.
    #[must_use]
    #[track_caller]
    pub fn sort_query(self) -> Self {
        self.change_query(|params| params.sort_unstable())
    }

    /// Adds a value that tells variants of the page apart.
    #[must_use]
    pub fn with(self, name: &str, value: impl fmt::Display) -> Self {
        self.change(|recipe| {
            let text = &mut recipe.text;
            text.push('|');
            push_escaped(text, name);
            text.push('=');
            // Only a value's own `Display` can refuse, and then what it has written stands.
            let _ = write!(Escaping(text), "{value}");
        })
    }

    /// Begins the key with this text, so that one prefix names them all.
    #[must_use]
    pub fn prefix(self, prefix: &str) -> Self {
        self.change(|recipe| {
            recipe.text.insert_str(0, prefix);
            for end in [&mut recipe.prefix_end, &mut recipe.path_end, &mut recipe.url_end] {
                *end += prefix.len();
            }
        })
    }

    #[track_caller]
    fn change_query(self, change: impl FnOnce(&mut Vec<&str>)) -> Self {
        if let Decision::Recipe(Recipe { start: Start::Exact, text, .. }) = &self.0 {
            panic!("{text:?} is an exact key, which has no query; begin with `Key::of`");
        }
        self.change(|recipe| {
            let Some(query) = recipe.text.get(recipe.path_end + 1..recipe.url_end) else { return };
            let before = || query.split('&').filter(|param| !param.is_empty());
            let mut after: Vec<&str> = before().collect();
            change(&mut after);
            if after.iter().copied().eq(before()) {
                return;
            }
            let mut query = after.join("&");
            if !query.is_empty() {
                query.insert(0, '?');
            }
            recipe.text.replace_range(recipe.path_end..recipe.url_end, &query);
            recipe.url_end = recipe.path_end + query.len();
            recipe.start = Start::ChangedUrl;
        })
    }

    fn change(self, change: impl FnOnce(&mut Recipe)) -> Self {
        match self.0 {
            Decision::Recipe(mut recipe) => {
                change(&mut recipe);
                Self(Decision::Recipe(recipe))
            }
            Decision::Bypass => self,
        }
    }

    fn text(&self) -> Cow<'_, str> {
        match &self.0 {
            Decision::Bypass => Cow::Borrowed("(bypass)"),
            Decision::Recipe(recipe) if recipe.has_bars() => Cow::Owned(recipe.clone().into_text()),
            Decision::Recipe(recipe) => Cow::Borrowed(&recipe.text),
        }
    }

    /// `None` for bypass, `Some(None)` for the default key.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn into_custom(self) -> Option<Option<String>> {
        match self.0 {
            Decision::Bypass => None,
            Decision::Recipe(recipe) => {
                let is_changed = recipe.start != Start::Url || recipe.is_marked();
                Some(is_changed.then(|| recipe.into_text()))
            }
        }
    }
}

impl Recipe {
    /// Whether there is more to it than a URL, or than an exact text.
    fn is_marked(&self) -> bool {
        self.prefix_end > 0 || self.url_end < self.text.len()
    }

    fn url(&self) -> &str {
        self.text.get(self.prefix_end..self.url_end).unwrap_or_default()
    }

    /// Whether a bar in the URL itself would look like one of ours.
    fn has_bars(&self) -> bool {
        self.is_marked() && self.url().contains('|')
    }

    fn into_text(mut self) -> String {
        if self.has_bars() {
            let url = self.url().replace('|', "%7C");
            self.text.replace_range(self.prefix_end..self.url_end, &url);
        }
        self.text
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

/// Appends text with what separates values, and what no key of a line protocol may hold,
/// percent-encoded.
fn push_escaped(to: &mut String, text: &str) {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'|' | b'=' | b'%');
    if text.bytes().all(is_plain) {
        to.push_str(text);
        return;
    }
    for c in text.chars() {
        if matches!(c, '|' | '=' | '%' | ' ') || c.is_control() {
            push_char(to, c);
        } else {
            to.push(c);
        }
    }
}

/// Where values are written to, so that none has to be a text of its own first.
struct Escaping<'a>(&'a mut String);

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        push_escaped(self.0, text);
        Ok(())
    }
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
    fn an_exact_key_takes_values_and_prefixes_like_a_url() {
        let exact = || Key::exactly("page:1");
        assert_eq!(exact(), "page:1");
        assert_eq!(exact().with("lang", "de"), "page:1|lang=de");
        assert_eq!(exact().with("a", 1).with("b", 2).prefix("x:"), "x:page:1|a=1|b=2");
        assert_eq!(Key::exactly("a|lang=de").with("x", 1), "a%7Clang=de|x=1");
        assert_eq!(Key::exactly("a|b"), "a|b");
    }

    #[test]
    fn an_exact_key_refuses_what_changes_a_query() {
        let changes: [fn(Key) -> Key; 3] =
            [|key| key.drop_query("a"), |key| key.keep_query(&["a"]), Key::sort_query];
        for change in changes {
            let refused = std::panic::catch_unwind(|| change(Key::exactly("http://s/?a=1")));
            let words = refused.unwrap_err().downcast::<String>().unwrap();
            assert!(words.contains("\"http://s/?a=1\" is an exact key"), "{words}");
        }
    }

    #[test]
    fn a_bypass_stays_one() {
        assert_eq!(Key::bypass().with("a", 1).sort_query(), Key::bypass());
    }
}
