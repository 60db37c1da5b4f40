//! What a request asks for: authority, path and query, and the URL that is the default key.
//!
//! # Invariants
//! - The path and query of the default key are byte for byte those that the origin is asked for:
//!   what two parties read differently can't be mixed up (web cache deception, parameter cloaking).
//! - Host names differ by more than letter case and the default port, or they are one.

use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Uri};

use crate::model::{Key, KeyError};

const SCHEME: &str = "http://";
const DEFAULT_PORT: &str = ":80";
const TLS_PORT: &str = ":443";

/// The target of a request (RFC 9112 §3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    authority: String,
    target: PathAndQuery,
}

/// A request that names no target, or several.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// RFC 9112 §3.2: exactly one `Host`, whatever the target's form.
    #[error("request has {fields} Host fields; there must be 1")]
    Hosts {
        /// How many.
        fields: usize,
    },
    /// Not a host name or address with an optional port.
    #[error("host {host:?} is not a name or address with an optional port")]
    Host {
        /// As sent.
        host: String,
    },
    /// Not a page of this scheme.
    #[error("target {target:?} is not a path or an http URL")]
    Target {
        /// As sent.
        target: String,
    },
}

impl Address {
    /// The target of a request: absolute-form beats `Host` (RFC 9112 §3.2.2).
    pub(crate) fn of_request(uri: &Uri, headers: &HeaderMap) -> Result<Self, AddressError> {
        let mut hosts = headers.get_all(HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => host,
            (None, _) => return Err(AddressError::Hosts { fields: 0 }),
            (Some(_), Some(_)) => {
                return Err(AddressError::Hosts { fields: headers.get_all(HOST).iter().count() });
            }
        };
        let host = host.to_str().map_err(|_| AddressError::Host {
            host: String::from_utf8_lossy(host.as_bytes()).into_owned(),
        })?;
        let authority = authority(host)?;
        match uri.authority() {
            Some(_) => Self::of_url(uri),
            None => Self::new(authority, uri),
        }
    }

    /// The target of a URL as people write it: in `https` too, since behind what ends TLS its page
    /// is asked for in `http`, and with a fragment, which no request has.
    pub(crate) fn of_text(url: &str) -> Result<Self, AddressError> {
        let refused = || AddressError::Target { target: url.to_owned() };
        let text = url.split('#').next().unwrap_or(url);
        let uri: Uri = text.parse().map_err(|_| refused())?;
        let found = uri.authority().ok_or_else(refused)?.as_str();
        let found = match uri.scheme_str() {
            Some("http") => found,
            Some("https") => found.strip_suffix(TLS_PORT).unwrap_or(found),
            _ => return Err(refused()),
        };
        Self::new(authority(found)?, &uri)
    }

    /// The target that a whole URL names.
    pub(crate) fn of_url(uri: &Uri) -> Result<Self, AddressError> {
        let is_http = uri.scheme() == Some(&http::uri::Scheme::HTTP);
        match uri.authority() {
            Some(found) if is_http => Self::new(authority(found.as_str())?, uri),
            _ => Err(AddressError::Target { target: uri.to_string() }),
        }
    }

    /// The target of a request whose host is spelt as keys spell it; `None` for what is no path.
    pub(crate) fn of_plain(host: &str, target: &str) -> Option<Self> {
        let target = PathAndQuery::try_from(target).ok()?;
        Some(Self { authority: host.to_owned(), target })
    }

    fn new(authority: String, uri: &Uri) -> Result<Self, AddressError> {
        let refused = || AddressError::Target { target: uri.to_string() };
        let target = match uri.path_and_query() {
            None => PathAndQuery::from_static("/"),
            Some(given) if given.as_str().starts_with('/') => given.clone(),
            // An absolute form may have a query right behind the authority.
            Some(given) if given.as_str().starts_with('?') => {
                format!("/{given}", given = given.as_str()).parse().map_err(|_| refused())?
            }
            Some(_) => return Err(refused()),
        };
        Ok(Self { authority, target })
    }

    /// Host and port, in lower case and without the default port.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// The path as sent.
    pub(crate) fn path(&self) -> &str {
        self.target.path()
    }

    /// The query as sent, without the question mark.
    pub(crate) fn query(&self) -> Option<&str> {
        self.target.query()
    }

    /// Path and query, as they are asked for at the origin.
    pub(crate) fn target(&self) -> &PathAndQuery {
        &self.target
    }

    /// `http://host/path?query`.
    pub(crate) fn url(&self) -> String {
        let target = self.target.as_str();
        let mut url = String::with_capacity(SCHEME.len() + self.authority.len() + target.len());
        url.push_str(SCHEME);
        url.push_str(&self.authority);
        url.push_str(target);
        url
    }

    /// The default key: the URL.
    pub(crate) fn key(&self) -> Result<Key, KeyError> {
        Key::new(self.url().as_bytes())
    }

    /// What a reference in a response to this request names, if it is on the same host
    /// (RFC 9111 §4.4 asks no more than that).
    pub(crate) fn resolve_same_host(&self, reference: &HeaderValue) -> Option<Self> {
        let text = reference.to_str().ok()?;
        let text = text.split('#').next().unwrap_or(text);
        if text.starts_with('/') && !text.starts_with("//") {
            return self.sibling(text);
        }
        if let Some(behind_scheme) = text.strip_prefix("//") {
            return self.resolve_absolute(&format!("{SCHEME}{behind_scheme}"));
        }
        if has_scheme(text) {
            return self.resolve_absolute(text);
        }
        let joined = match text.strip_prefix('?') {
            Some(query) => format!("{}?{query}", self.path()),
            None if text.is_empty() => self.target.as_str().to_owned(),
            None => {
                let directory = self.path().rsplit_once('/').map_or("", |(directory, _)| directory);
                format!("{directory}/{text}")
            }
        };
        self.sibling(&joined)
    }

    /// Another target on this host, its dot segments resolved (RFC 3986 §5.2.4).
    fn sibling(&self, target: &str) -> Option<Self> {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let mut resolved = without_dot_segments(path);
        if let Some(query) = query {
            resolved.push('?');
            resolved.push_str(query);
        }
        Self::new(self.authority.clone(), &resolved.parse().ok()?).ok()
    }

    fn resolve_absolute(&self, url: &str) -> Option<Self> {
        Self::of_text(url).ok().filter(|other| other.authority == self.authority)
    }
}

/// Whether a reference begins with a scheme (RFC 3986 §3.1), not with a segment or a query that
/// happens to have a colon in it.
fn has_scheme(reference: &str) -> bool {
    let Some((scheme, _)) = reference.split_once(':') else { return false };
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(is_allowed)
}

/// RFC 3986 §5.2.4, for a path that begins with a slash.
fn without_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
        // What a dot segment ends in is a folder.
        if is_last && matches!(segment, "." | "..") {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

/// The host of an authority, without its port.
pub(crate) fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// Host and optional port of a URL that [`Address::url`] made.
pub(crate) fn authority_of(url: &str) -> &str {
    let behind_scheme = url.strip_prefix(SCHEME).unwrap_or(url);
    behind_scheme.split(['/', '?']).next().unwrap_or(behind_scheme)
}

/// A host with an optional port, in the one spelling that keys and sites use.
pub(crate) fn authority(text: &str) -> Result<String, AddressError> {
    let refused = || AddressError::Host { host: text.to_owned() };
    let host_end = match text.strip_prefix('[') {
        Some(inside) => inside.find(']').ok_or_else(refused)? + 2,
        None => text.find(':').unwrap_or(text.len()),
    };
    let (host, port) = text.split_at_checked(host_end).ok_or_else(refused)?;
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
            !host.is_empty() && host.bytes().all(is_name)
        }
    };
    let is_port = match port.strip_prefix(':') {
        Some(number) => number.bytes().all(|b| b.is_ascii_digit()) && number.len() <= 5,
        None => port.is_empty(),
    };
    if !is_host || !is_port {
        return Err(refused());
    }
    let spelt = if matches!(port, ":" | DEFAULT_PORT) { host } else { text };
    Ok(spelt.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(uri: &str, hosts: &[&str]) -> Result<Address, AddressError> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, host.parse().unwrap());
        }
        Address::of_request(&uri.parse().unwrap(), &headers)
    }

    fn url(uri: &str, host: &str) -> String {
        address(uri, &[host]).unwrap().url()
    }

    #[test]
    fn the_url_keeps_every_byte_of_path_and_query() {
        let target = "/a/..;/%2F%2f//b.css?b=2&a=1;utm_x=%20&";
        assert_eq!(url(target, "example.com"), format!("http://example.com{target}"));
        assert_ne!(url("/a?", "example.com"), url("/a", "example.com"));
    }

    #[test]
    fn hosts_have_one_spelling() {
        assert_eq!(url("/", "EXAMPLE.com:80"), "http://example.com/");
        assert_eq!(url("/", "example.com:8080"), "http://example.com:8080/");
        assert_eq!(url("/", "[::1]:80"), "http://[::1]/");
    }

    #[test]
    fn an_absolute_target_beats_the_host_field() {
        assert_eq!(url("http://one.example/x", "two.example"), "http://one.example/x");
        assert_eq!(url("http://one.example?q=1", "two.example"), "http://one.example/?q=1");
        assert!(matches!(
            address("https://one.example/x", &["one.example"]),
            Err(AddressError::Target { .. })
        ));
    }

    #[test]
    fn urls_that_people_write_have_one_spelling() {
        let written = |url: &str| Address::of_text(url).map(|address| address.url());
        for url in
            ["http://A.example:80/p?q", "HTTPS://a.example:443/p?q#top", "http://a.example/p?q#"]
        {
            assert_eq!(written(url).as_deref(), Ok("http://a.example/p?q"), "{url}");
        }
        assert_eq!(written("https://a.example#top").as_deref(), Ok("http://a.example/"));
        assert_eq!(written("http://a.example:443/").as_deref(), Ok("http://a.example:443/"));
        for url in ["/p", "a.example", "ftp://a.example/", "http://user@a.example/", "http://", ""]
        {
            assert!(written(url).is_err(), "{url}");
        }
    }

    #[test]
    fn an_authority_is_read_out_of_a_url() {
        for url in ["http://[::1]:8080/a?b", "http://a.example/", "http://a.example:1/x"] {
            let address = Address::of_text(url).unwrap();
            assert_eq!(authority_of(&address.url()), address.authority());
        }
        assert_eq!(host_of("[::1]:8080"), "[::1]");
        assert_eq!(host_of("a.example"), "a.example");
    }

    #[test]
    fn several_or_no_or_odd_hosts_are_refused() {
        assert_eq!(address("/", &["a", "a"]), Err(AddressError::Hosts { fields: 2 }));
        assert_eq!(address("/", &[]), Err(AddressError::Hosts { fields: 0 }));
        for odd in ["", "a b", "a/b", "user@a", "a:b", "a:123456", "[::1", "[x]", "a,b", "a:1:2"] {
            assert!(matches!(address("/", &[odd]), Err(AddressError::Host { .. })), "{odd:?}");
        }
    }

    #[test]
    fn references_are_followed_on_the_same_host_only() {
        let base = address("/blog/post?x=1", &["example.com"]).unwrap();
        let resolve = |reference: &str| {
            base.resolve_same_host(&reference.parse().unwrap()).map(|address| address.url())
        };
        assert_eq!(resolve("/list#top").as_deref(), Some("http://example.com/list"));
        assert_eq!(resolve("other").as_deref(), Some("http://example.com/blog/other"));
        assert_eq!(resolve("../a/./b/..").as_deref(), Some("http://example.com/a/"));
        assert_eq!(resolve("../../a?b=../c").as_deref(), Some("http://example.com/a?b=../c"));
        assert_eq!(resolve("/x/../y").as_deref(), Some("http://example.com/y"));
        assert_eq!(resolve("?x=2").as_deref(), Some("http://example.com/blog/post?x=2"));
        assert_eq!(resolve("#top").as_deref(), Some("http://example.com/blog/post?x=1"));
        assert_eq!(
            resolve("a?to=http://b").as_deref(),
            Some("http://example.com/blog/a?to=http://b")
        );
        assert_eq!(resolve("mailto:a"), None);
        assert_eq!(resolve("http://EXAMPLE.com:80/a").as_deref(), Some("http://example.com/a"));
        assert_eq!(resolve("//example.com/a").as_deref(), Some("http://example.com/a"));
        assert_eq!(resolve("https://example.com/a").as_deref(), Some("http://example.com/a"));
        assert_eq!(resolve("http://other.example/a"), None);
        assert_eq!(resolve("//other.example/a"), None);
    }
}
