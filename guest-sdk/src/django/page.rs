//! The two keys of a page that `cache_page` or the cache middlewares keep: one for the names of the
//! fields that it varies by, and one for each copy.
//!
//! # Invariants
//! - What the beginnings name are the keys of this URL and key prefix, and no others: the hash
//!   between them and the rest has a fixed length.
//!
//! # Not here
//! The server's key: [`make_key`](super::make_key) makes it of these.

use md5::{Digest, Md5};

use super::release::{Coding, Release};
use super::{hex_of, netstring};

/// A page as Django knows it.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// What `request.build_absolute_uri()` returns; [`absolute_uri`](super::absolute_uri) makes it.
    pub url: &'a str,
    /// `cache_page(…, key_prefix=…)` or `CACHE_MIDDLEWARE_KEY_PREFIX`; empty by default.
    pub key_prefix: &'a str,
    /// The active language, such as `en-us`; `None` where `USE_I18N` is off.
    pub language: Option<&'a str>,
    /// The current time zone's name, such as `Europe/Paris`; `None` where `USE_TZ` is off.
    pub time_zone: Option<&'a str>,
}

/// The method of the request that a page was built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// What HEAD is answered from, too, where it is there.
    Get,
    /// A page that was only asked for by HEAD.
    Head,
}

impl Method {
    /// `GET` or `HEAD`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
        }
    }
}

impl Page<'_> {
    /// The key of the list of fields that the page varies by. Without this entry Django looks for
    /// no copy; but when it is written anew, the copies that are still there count again.
    pub fn header_key(&self) -> String {
        self.localised(self.header_prefix())
    }

    /// The key of the copy for requests with these values of the fields in `Vary`; `None` for a
    /// field that the request lacks. The order does not matter.
    ///
    /// `Accept-Language` has no part in it where there is a language.
    pub fn key(&self, release: Release, method: Method, vary: &[(&str, Option<&str>)]) -> String {
        let meta = vary.iter().map(|(name, value)| (meta_name(name), *value));
        let is_redundant = |name: &str| self.language.is_some() && name == "HTTP_ACCEPT_LANGUAGE";
        let mut fields: Vec<_> = meta.filter(|(name, _)| !is_redundant(name)).collect();
        fields.sort();
        let mut hasher = Md5::new();
        for (_, value) in fields {
            match (release.page_coding(), value) {
                (Coding::Bare, None) => {}
                (Coding::Marked | Coding::Netstring, None) => hasher.update("-,"),
                (Coding::Bare | Coding::Marked, Some(value)) => hasher.update(value),
                (Coding::Netstring, Some(value)) => hasher.update(netstring(value)),
            }
        }
        self.localised(self.prefix(method) + &hex_of(hasher))
    }

    /// What [`header_key`](Self::header_key) begins with in every language and time zone.
    pub fn header_prefix(&self) -> String {
        let Self { key_prefix, url, .. } = self;
        format!("views.decorators.cache.cache_header.{key_prefix}.{}", hex_of(hasher_of(url)))
    }

    /// What the keys of all copies begin with, in every language and time zone, whatever the page
    /// varies by.
    pub fn prefix(&self, method: Method) -> String {
        let Self { key_prefix, url, .. } = self;
        let (method, url) = (method.as_str(), hex_of(hasher_of(url)));
        format!("views.decorators.cache.cache_page.{key_prefix}.{method}.{url}.")
    }

    fn localised(&self, mut key: String) -> String {
        for part in [self.language, self.time_zone].into_iter().flatten() {
            key.push('.');
            key.push_str(part);
        }
        key
    }
}

fn hasher_of(url: &str) -> Md5 {
    Md5::new_with_prefix(url)
}

/// `Accept-Encoding` as `HTTP_ACCEPT_ENCODING`.
fn meta_name(field: &str) -> String {
    format!("HTTP_{}", field.to_uppercase().replace('-', "_"))
}
