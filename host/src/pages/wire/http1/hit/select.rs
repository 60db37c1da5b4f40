//! Which variant a request selects, from its fields as they were read (RFC 9111 §4.1).
//!
//! # Invariants
//! - It takes what `semantics::vary` takes of the same request, reduced; where fields would have to
//!   be combined for that, it is not clear.

use http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, COOKIE};
use http::{HeaderName, HeaderValue};

use super::lines;
use crate::config::SiteCache;
use crate::pages::semantics::negotiation;

/// A request that is compared with what is stored.
pub(super) struct Selection<'r> {
    pub(super) fields: &'r [httparse::Header<'r>],
    pub(super) rules: &'r SiteCache,
    /// Whether every comparison so far was certain.
    pub(super) is_clear: bool,
}

impl Selection<'_> {
    /// Whether the request selects what was stored with these values. It is not clear if a field
    /// that counts is in several lines.
    pub(super) fn takes(&mut self, stored: &[(HeaderName, Option<HeaderValue>)]) -> bool {
        stored.iter().all(|(name, value)| self.has(name, value.as_ref()))
    }

    fn has(&mut self, name: &HeaderName, stored: Option<&HeaderValue>) -> bool {
        let mut lines = lines(self.fields, name.as_str());
        if name == ACCEPT_ENCODING
            && let Some(codings) = negotiation::codings(lines.clone())
        {
            return stored.is_some_and(|value| value == codings);
        }
        let (languages, cookies) = (&self.rules.languages, &self.rules.cookies);
        if name == ACCEPT_LANGUAGE && !languages.is_empty() {
            return stored == negotiation::language(lines, languages);
        }
        if let Some(names) = cookies
            && name == COOKIE
        {
            return stored == negotiation::cookies_named(lines, names).as_ref();
        }
        match (lines.next(), lines.next()) {
            (None, _) => stored.is_none(),
            (Some(only), None) => stored.is_some_and(|value| value == only),
            (Some(_), Some(_)) => {
                self.is_clear = false;
                false
            }
        }
    }
}
