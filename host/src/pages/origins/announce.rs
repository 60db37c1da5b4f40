//! What is said to an origin about a request: who asks, for what, and by which way it came
//! (RFC 7239, RFC 9110 §7.6).
//!
//! # Invariants
//! - What says who the client is and what it asked for is written here and never passed on: an
//!   origin that builds a page from it would let one visitor choose what all others see.
//! - A request that has been here before is recognised.
//!
//! # Not here
//! Which fields of the client pass: `semantics::forward`.

use std::fmt::Write;
use std::net::IpAddr;

use http::header::{FORWARDED, HOST, MAX_FORWARDS, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use crate::pages::course::key::Address;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

/// Who asks, for the fields that tell the origin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    /// Its address; `None` on a unix socket.
    pub(crate) ip: Option<IpAddr>,
    /// The version that it speaks.
    pub(crate) version: Version,
}

/// What clients speak to this server: the same for all of them, so that no page differs by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// This proxy, as origins are told of it.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// Its name in `Via`.
    pub(crate) name: String,
    /// What its clients speak.
    pub(crate) scheme: Scheme,
}

/// Writes into a request what this proxy has to say about it.
pub(crate) fn announce(headers: &mut HeaderMap, client: Client, address: &Address, proxy: &Proxy) {
    let (name, scheme) = (proxy.name.as_str(), proxy.scheme.as_str());
    let mut forwarded = match client.ip {
        Some(IpAddr::V6(ip)) => format!("for=\"[{ip}]\";"),
        Some(IpAddr::V4(ip)) => format!("for={ip};"),
        None => String::new(),
    };
    // Writing to a string does not fail.
    let _ = write!(forwarded, "host=\"{}\";proto={scheme}", address.authority());
    let set = |headers: &mut HeaderMap, name: HeaderName, text: &str| {
        headers.remove(&name);
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    };
    set(headers, FORWARDED, &forwarded);
    set(headers, X_FORWARDED_HOST, address.authority());
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
    match client.ip {
        Some(ip) => set(headers, X_FORWARDED_FOR, &ip.to_string()),
        None => {
            headers.remove(X_FORWARDED_FOR);
        }
    }
    let version = match client.version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2.0",
        _ => "1.1",
    };
    if let Ok(via) = HeaderValue::from_str(&format!("{version} {name}")) {
        headers.append(VIA, via);
    }
    if let Ok(name) = HeaderValue::from_str(name) {
        headers.append(CDN_LOOP, name);
    }
}

/// Whether a request has been here before (RFC 9110 §7.6.3, RFC 8586).
pub(crate) fn is_loop(headers: &HeaderMap, name: &str) -> bool {
    let lines = headers.get_all(VIA).iter().chain(headers.get_all(CDN_LOOP));
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split([',', ' ', '\t', ';']))
        .any(|word| word == name)
}

/// Counts this proxy among those that an OPTIONS or TRACE may pass (RFC 9110 §7.6.2); `false` if it
/// may go no further. What is no number limits nothing.
pub(crate) fn may_go_on(headers: &mut HeaderMap) -> bool {
    let mut lines = headers.get_all(MAX_FORWARDS).iter();
    let (Some(only), None) = (lines.next(), lines.next()) else { return true };
    let digits = only.as_bytes();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return true;
    }
    // Larger than any number here is as good as the largest.
    let left: u64 = only.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(u64::MAX);
    let Some(left) = left.checked_sub(1) else { return false };
    headers.insert(MAX_FORWARDS, HeaderValue::from(left));
    true
}

/// Makes `Host` say what the request is for, where an absolute target said something else.
pub(crate) fn set_host(headers: &mut HeaderMap, address: &Address) {
    if let Ok(host) = HeaderValue::from_str(address.authority()) {
        headers.insert(HOST, host);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::tests::headers;

    fn address() -> Address {
        Address::of_url(&"http://example.com/".parse().unwrap()).unwrap()
    }

    #[test]
    fn what_a_client_says_about_itself_is_overwritten() {
        let mut fields = headers(&[
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-for", "7.7.7.7"),
            ("x-forwarded-host", "evil"),
            ("x-forwarded-proto", "https"),
            ("forwarded", "for=6.6.6.6"),
            ("via", "1.1 edge"),
        ]);
        let client = Client { ip: Some([1, 2, 3, 4].into()), version: Version::HTTP_11 };
        let proxy = |scheme| Proxy { name: "me".into(), scheme };
        let mut secure = fields.clone();
        announce(&mut secure, client, &address(), &proxy(Scheme::Https));
        assert_eq!(secure["x-forwarded-proto"], "https");
        announce(&mut fields, client, &address(), &proxy(Scheme::Http));
        let all = |name: &str| fields.get_all(name).iter().collect::<Vec<_>>();
        assert_eq!(all("x-forwarded-for"), ["1.2.3.4"]);
        assert_eq!(all("x-forwarded-host"), ["example.com"]);
        assert_eq!(all("x-forwarded-proto"), ["http"]);
        assert_eq!(all("forwarded"), ["for=1.2.3.4;host=\"example.com\";proto=http"]);
        assert_eq!(all("via"), ["1.1 edge", "1.1 me"]);
    }

    #[test]
    fn the_number_of_proxies_to_pass_is_counted_down() {
        let rows = [
            ("2", true, "1"),
            ("1", true, "0"),
            ("0", false, "0"),
            ("00", false, "00"),
            ("99999999999999999999", true, "18446744073709551614"),
            ("-1", true, "-1"),
            ("", true, ""),
        ];
        for (received, goes_on, sent) in rows {
            let mut fields = headers(&[("max-forwards", received)]);
            assert_eq!(may_go_on(&mut fields), goes_on, "{received}");
            assert_eq!(fields.get(MAX_FORWARDS).unwrap(), sent);
        }
        assert!(may_go_on(&mut headers(&[])));
    }

    #[test]
    fn a_request_that_comes_back_is_recognised() {
        assert!(is_loop(&headers(&[("via", "1.0 a, 1.1 me (x)")]), "me"));
        assert!(is_loop(&headers(&[("cdn-loop", "other, me;v=1")]), "me"));
        assert!(!is_loop(&headers(&[("via", "1.1 me2")]), "me"));
    }
}
