//! Smoke cases: requests whose keys a plugin must say before it decides anything.
//!
//! # Not here
//! Asking: `plugins`.

use super::Key;

/// A plain GET and what is expected of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmokeCase {
    /// Host with an optional port, as keys spell it.
    pub host: String,
    /// The path as sent.
    pub path: String,
    /// The query as sent, without the question mark.
    pub query: Option<String>,
    /// Fields by name in lower case; cookies are in `cookie`.
    pub headers: Vec<(String, String)>,
    /// What the key must be.
    pub expected: ExpectedKey,
}

/// What is expected of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectedKey {
    /// An answer, whatever it is.
    Any,
    /// That the cache is left alone.
    Bypass,
    /// This key.
    Key(Key),
}

impl SmokeCase {
    /// `http://host/path?query`: the default key.
    pub fn url(&self) -> String {
        let query = self.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        format!("http://{}{}{query}", self.host, self.path)
    }
}
