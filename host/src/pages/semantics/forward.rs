//! Which fields pass, in both directions (RFC 9110 §7.6).
//!
//! # Invariants
//! - Fields that belong to one connection end with it.
//! - What says who the client is and what it asked for is never passed on.
//!
//! # Not here
//! What the origin is told instead: `origins::announce`.

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

/// What becomes of a request field on the way to the origin of a fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It reaches the origin as the client sent it.
    Passed,
    /// The origin sees the same whatever the client sent.
    Same,
    /// It is written anew from who the client is.
    PerClient,
}

/// What becomes of this request field.
pub(crate) fn fate(name: &HeaderName) -> Fate {
    match name.as_str() {
        "x-forwarded-for" | "x-forwarded-host" | "forwarded" | "via" | "cdn-loop" => {
            Fate::PerClient
        }
        "if-match"
        | "if-none-match"
        | "if-modified-since"
        | "if-unmodified-since"
        | "if-range"
        | "range"
        | "content-length"
        | "x-forwarded-proto" => Fate::Same,
        other if is_dropped(other) => Fate::Same,
        _ => Fate::Passed,
    }
}

/// Request fields that go no further than here.
fn is_dropped(name: &str) -> bool {
    is_hop_by_hop(name)
        // What ends in the environment of a program, as in CGI and WSGI, is one name with what has
        // hyphens in their place, and would speak over what is written here.
        || name.contains('_')
        || matches!(
            name,
            // Answered here: the body is asked for when it is passed on.
            "expect"
                | "http2-settings"
                // Ways to make an origin see another host, scheme, path or method than the key has.
                | "x-forwarded-port"
                | "x-forwarded-server"
                | "x-forwarded-scheme"
                | "x-forwarded-protocol"
                | "x-forwarded-ssl"
                | "front-end-https"
                | "x-url-scheme"
                | "x-host"
                | "x-original-host"
                | "x-forwarded-path"
                | "x-forwarded-uri"
                | "x-forwarded-prefix"
                | "x-original-url"
                | "x-rewrite-url"
                | "x-http-method-override"
                | "x-http-method"
                | "x-method-override"
                // Who the client is stands in fields that are written here.
                | "x-real-ip"
        )
}

/// Fields of one connection (RFC 9110 §7.6.1, and those that RFC 9111 §3.1 keeps out of caches).
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// The protocol that a request wants its connection changed to, if it is one that is carried on:
/// WebSocket (RFC 6455 §4.1). Others, `h2c` above all, would carry requests past this proxy.
pub(crate) fn upgrade(
    method: &Method,
    version: Version,
    headers: &HeaderMap,
) -> Option<HeaderValue> {
    let mut lines = headers.get_all(UPGRADE).iter();
    let (Some(only), None) = (lines.next(), lines.next()) else { return None };
    let is_asked = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"));
    let is_carried = only.as_bytes().eq_ignore_ascii_case(b"websocket");
    let may_ask = *method == Method::GET && version == Version::HTTP_11;
    (is_asked && is_carried && may_ask).then(|| only.clone())
}

/// Writes into a message that its connection is to change to `protocol`.
pub(crate) fn set_upgrade(headers: &mut HeaderMap, protocol: &HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol.clone());
}

/// Takes out of a request what goes no further, before anything looks at it.
pub(crate) fn clean_request(headers: &mut HeaderMap) {
    clean(headers, is_dropped);
}

/// Takes out of a response what belongs to the origin's connection.
pub(crate) fn clean_response(headers: &mut HeaderMap) {
    clean(headers, is_hop_by_hop);
}

fn clean(headers: &mut HeaderMap, is_dropped: fn(&str) -> bool) {
    // Transfer-Encoding overrides Content-Length; both together are never passed on
    // (RFC 9112 §6.3).
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    let listed: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        // Not the connection's to take away.
        .filter(|name| !matches!(name.as_str(), "host" | "content-length" | "close"))
        .collect();
    let fixed: Vec<HeaderName> =
        headers.keys().filter(|name| is_dropped(name.as_str())).cloned().collect();
    for name in fixed.iter().chain(&listed) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::tests::headers;

    #[test]
    fn fields_of_the_connection_and_those_it_lists_go() {
        let mut fields = headers(&[
            ("connection", "close, X-Hop"),
            ("connection", "Host"),
            ("x-hop", "1"),
            ("host", "a"),
            ("te", "trailers"),
            ("upgrade", "websocket"),
            ("transfer-encoding", "chunked"),
            ("content-length", "5"),
            ("x-original-url", "/admin"),
            ("accept", "*/*"),
        ]);
        clean_request(&mut fields);
        assert_eq!(fields.keys().collect::<Vec<_>>().len(), 2);
        assert!(fields.contains_key("host") && fields.contains_key("accept"));
    }

    #[test]
    fn no_field_makes_the_origin_see_another_target_than_the_key_has() {
        let names = [
            "x-forwarded-ssl",
            "x-forwarded-scheme",
            "x-forwarded-protocol",
            "x-forwarded-port",
            "x-forwarded-server",
            "x-forwarded-path",
            "x-forwarded-uri",
            "x-forwarded-prefix",
            "x-real-ip",
            "x-host",
            "x-original-host",
            "x-original-url",
            "x_original_url",
            "x_forwarded_for",
            "x-rewrite-url",
            "x-url-scheme",
            "front-end-https",
            "x-http-method",
            "x-http-method-override",
            "x-method-override",
        ];
        for name in names {
            let mut fields = headers(&[(name, "x"), ("x-own", "y")]);
            clean_request(&mut fields);
            assert_eq!(fields.keys().collect::<Vec<_>>(), ["x-own"], "{name}");
            assert_eq!(fate(&HeaderName::from_static(name)), Fate::Same, "{name}");
        }
    }
}
