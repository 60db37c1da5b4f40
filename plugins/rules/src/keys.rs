//! Rules about keys: what of a request tells pages apart, and which requests go past the cache.
//!
//! # Invariants
//! - What is not part of a key is dropped because a rule says so, never by accident.
//! - A cookie that is not there adds nothing: no value that a client sends looks like its absence.
//!
//! # Not here
//! What HTTP forbids to share: the server.

use wasmcached_plugin::pattern::matches;
use wasmcached_plugin::prelude::*;

use super::fields::Fields;
use super::requests::{Where, path_pattern};

/// How some of the pages are keyed.
#[derive(Debug)]
pub(crate) struct KeyRule {
    place: Where,
    prefix: String,
    bypass: bool,
    bypass_cookies: Vec<String>,
    cookies: Vec<String>,
    keep_query: Option<Vec<String>>,
    drop_query: Vec<String>,
    sort_query: bool,
    ignore_paths: Vec<String>,
}

impl KeyRule {
    /// Reads and checks it.
    pub(crate) fn parse(mut fields: Fields) -> Result<Self> {
        let rule = Self {
            place: Where::parse(&mut fields)?,
            prefix: fields.text("prefix")?.unwrap_or_default(),
            bypass: fields.truth("bypass")?.unwrap_or_default(),
            bypass_cookies: cookies(&mut fields, "bypass_cookies")?,
            cookies: cookies(&mut fields, "cookies")?,
            keep_query: parameters(&mut fields, "keep_query")?,
            drop_query: parameters(&mut fields, "drop_query")?.unwrap_or_default(),
            sort_query: fields.truth("sort_query")?.unwrap_or_default(),
            ignore_paths: fields.texts("ignore_paths")?,
        };
        for (n, path) in rule.ignore_paths.iter().enumerate() {
            let place = fields.place().at(&format!(".ignore_paths[{n}]"));
            path_pattern(path).map_err(|problem| place.error(problem))?;
        }
        if rule.prefix.contains(char::is_control) {
            let place = fields.place().at(".prefix");
            return Err(place.error(format!("{:?}: a key has no control characters", rule.prefix)));
        }
        fields.end()?;
        Ok(rule)
    }

    /// The cookies that it looks at.
    pub(crate) fn seen_cookies(&self) -> impl Iterator<Item = &String> {
        self.bypass_cookies.iter().chain(&self.cookies)
    }

    fn bypasses(&self, request: &Request) -> bool {
        self.bypass
            || self.ignore_paths.iter().any(|path| matches(path, request.path()))
            || self.bypass_cookies.iter().any(|name| request.cookie(name).is_some())
    }
}

/// The key of a request: what all rules that fit it say together. Parameters are kept first, then
/// dropped, then sorted; the first prefix that is named holds.
pub(crate) fn key(rules: &[KeyRule], request: &Request) -> Key {
    let fitting: Vec<&KeyRule> = rules.iter().filter(|rule| rule.place.fits(request)).collect();
    if fitting.iter().any(|rule| rule.bypasses(request)) {
        return Key::bypass();
    }
    let mut key = Key::of(request);
    for kept in fitting.iter().filter_map(|rule| rule.keep_query.as_ref()) {
        key = key.keep_query(&kept.iter().map(String::as_str).collect::<Vec<_>>());
    }
    for pattern in fitting.iter().flat_map(|rule| &rule.drop_query) {
        key = key.drop_query(pattern);
    }
    if fitting.iter().any(|rule| rule.sort_query) {
        key = key.sort_query();
    }
    let mut named: Vec<&String> = Vec::new();
    for name in fitting.iter().flat_map(|rule| &rule.cookies) {
        if let Some(value) = request.cookie(name).filter(|_| !named.contains(&name)) {
            key = key.with(name, value);
            named.push(name);
        }
    }
    let prefix = fitting.iter().map(|rule| rule.prefix.as_str()).find(|prefix| !prefix.is_empty());
    key.prefix(prefix.unwrap_or_default())
}

/// Cookies are declared, and so must be named whole (RFC 6265 §4.1.1: a token).
fn cookies(fields: &mut Fields, field: &'static str) -> Result<Vec<String>> {
    let names = fields.texts(field)?;
    let is_token = |c: char| c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?={}*".contains(c);
    for (n, name) in names.iter().enumerate() {
        if name.is_empty() || !name.chars().all(is_token) {
            let problem = format!("{name:?} is not the whole name of a cookie");
            return Err(fields.place().at(&format!(".{field}[{n}]")).error(problem));
        }
    }
    Ok(names)
}

/// Patterns of names of query parameters.
fn parameters(fields: &mut Fields, field: &'static str) -> Result<Option<Vec<String>>> {
    let is_there = fields.has(field);
    let names = fields.texts(field)?;
    let is_special = |c: char| matches!(c, '&' | '=' | '#' | '?' | ' ') || c.is_control();
    for (n, name) in names.iter().enumerate() {
        if name.is_empty() || name.contains(is_special) {
            let problem = format!("no query parameter has a name like {name:?}");
            return Err(fields.place().at(&format!(".{field}[{n}]")).error(problem));
        }
    }
    Ok(is_there.then_some(names))
}
