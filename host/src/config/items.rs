//! `[sites.items]`: items that the application writes by memcached, served as pages.
//!
//! # Invariants
//! - No visitor chooses a whole key: what its request says stands behind text of the operator's, or
//!   behind the slash that a path begins with.
//!
//! # Not here
//! Looking items up: `pages`.

use http::HeaderValue;
use serde::Deserialize;

use super::check::Mistakes;
use super::units::parse_duration;

/// What an item is where nothing says otherwise.
const CONTENT_TYPE: &str = "text/html; charset=utf-8";

/// Longest `max_age`, seconds: a year, beyond which caches make no difference.
const MAX_AGE_S_MAX: u64 = 31_536_000;

/// `[sites.items]`. What each means: [`SiteItems`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawSiteItems {
    /// `page:{uri}`.
    pub key: Option<String>,
    /// `text/html; charset=utf-8`.
    pub content_type: Option<String>,
    /// `60s`.
    pub max_age: Option<String>,
    /// `[0]`.
    pub flags: Option<Vec<u32>>,
}

/// Items of a site that are served as pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteItems {
    /// What the key of a request's item is made of.
    pub key: Vec<KeyPart>,
    /// `Content-Type` of all of them.
    pub content_type: HeaderValue,
    /// For how long clients may keep them (`Cache-Control: max-age`), seconds; not said without.
    pub max_age_s: Option<u64>,
    /// Flags of the items that are pages. Client libraries mark by them what they have serialized
    /// or compressed, which is not what a browser can show.
    pub flags: Vec<u32>,
}

/// A piece of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPart {
    /// As it stands.
    Text(String),
    /// `{host}`: host and port, in lower case and without the default port.
    Host,
    /// `{path}`: the path as sent.
    Path,
    /// `{uri}`: the path as sent, with the query behind a question mark if there is one.
    Uri,
}

impl SiteItems {
    /// `None` without a key: then no items are served.
    pub(super) fn check(m: &mut Mistakes, section: &str, raw: RawSiteItems) -> Option<Self> {
        let max_age_s = raw.max_age.and_then(|text| {
            let time = parse_duration(&text).map(|time| time.as_secs());
            let found = time.filter(|seconds| *seconds <= MAX_AGE_S_MAX);
            if found.is_none() {
                let message = format!("`{text}` is not a duration from `0s` to `8760h`");
                m.add(format!("{section}.max_age"), message);
            }
            found
        });
        let content_type = raw.content_type.as_deref().unwrap_or(CONTENT_TYPE);
        let content_type_value = HeaderValue::from_str(content_type);
        let content_type = content_type_value.ok().filter(|_| content_type.contains('/'));
        if content_type.is_none() {
            let text = raw.content_type.as_deref().unwrap_or_default();
            let message = format!("`{text}` is not a media type such as `{CONTENT_TYPE}`");
            m.add(format!("{section}.content_type"), message);
        }
        let Some(key) = raw.key else {
            if raw.flags.is_some() || raw.content_type.is_some() || max_age_s.is_some() {
                let message = "is missing; it is a template such as `page:{uri}`";
                m.add(format!("{section}.key"), message);
            }
            return None;
        };
        let parts = match key_parts(&key) {
            Ok(parts) => parts,
            Err(message) => {
                m.add(format!("{section}.key"), format!("`{key}` {message}"));
                return None;
            }
        };
        let flags = raw.flags.unwrap_or_else(|| vec![0]);
        Some(Self { key: parts, content_type: content_type?, max_age_s, flags })
    }
}

fn key_parts(template: &str) -> Result<Vec<KeyPart>, &'static str> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((text, behind)) = rest.split_once('{') {
        if !text.is_empty() {
            parts.push(KeyPart::Text(text.to_owned()));
        }
        let (name, behind) = behind.split_once('}').ok_or("has a `{` without its `}`")?;
        parts.push(match name {
            "host" => KeyPart::Host,
            "path" => KeyPart::Path,
            "uri" => KeyPart::Uri,
            _ => return Err("has a word in braces that is not one of: host, path, uri"),
        });
        rest = behind;
    }
    if !rest.is_empty() {
        parts.push(KeyPart::Text(rest.to_owned()));
    }
    if parts.first() == Some(&KeyPart::Host) {
        return Err("begins with what visitors choose; put a word of yours in front");
    }
    if !parts.iter().any(|part| matches!(part, KeyPart::Path | KeyPart::Uri)) {
        return Err("has neither `{uri}` nor `{path}`; all pages would be one item");
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, ConfigErrors, RawConfig};

    fn check(text: &str) -> (Config, String) {
        let text = format!("[[sites]]\norigin = 'http://a:1'\n[sites.items]\n{text}");
        let (config, mistakes) = toml::from_str::<RawConfig>(&text).unwrap().check();
        (config, ConfigErrors(mistakes).to_string())
    }

    #[test]
    fn key_is_made_of_text_and_of_the_request() {
        let (config, mistakes) =
            check("key = 'shop:{host}-{uri}'\nmax_age = '1m'\nflags = [0, 16]");
        assert_eq!(mistakes, "");
        let items = config.sites[0].items.clone().unwrap();
        let text = |text: &str| KeyPart::Text(text.to_owned());
        assert_eq!(items.key, [text("shop:"), KeyPart::Host, text("-"), KeyPart::Uri]);
        assert_eq!((items.max_age_s, items.flags), (Some(60), vec![0, 16]));
        assert_eq!(items.content_type, CONTENT_TYPE);
        assert!(check("").0.sites[0].items.is_none());
    }

    #[test]
    fn mistakes_name_key_value_and_what_is_allowed() {
        for (text, expected) in [
            ("key = '{host}{uri}'", "sites[0].items.key: `{host}{uri}` begins with what visitors"),
            ("key = 'page'", "sites[0].items.key: `page` has neither `{uri}` nor `{path}`"),
            ("key = 'a{uri'", "sites[0].items.key: `a{uri` has a `{` without its `}`"),
            ("key = 'a{url}'", "sites[0].items.key: `a{url}` has a word in braces that is not"),
            ("flags = [1]", "sites[0].items.key: is missing"),
            ("key = '{uri}'\nmax_age = '9999h'", "sites[0].items.max_age: `9999h` is not a"),
            ("key = '{uri}'\ncontent_type = 'html'", "sites[0].items.content_type: `html` is not"),
        ] {
            let (_, mistakes) = check(text);
            assert!(mistakes.starts_with(expected), "{mistakes}");
        }
    }
}
