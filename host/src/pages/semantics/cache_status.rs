//! `Cache-Status` (RFC 9211): what this cache says about each of its answers.
//!
//! # Invariants
//! - The value is a structured item at all times: details are tokens, keys are strings.

use http::{HeaderName, HeaderValue, StatusCode};

use crate::pages::outcome::Reason;

/// The field.
pub(crate) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// This cache's name in it.
const NAME: &[u8] = b"wasmcached";

/// What one answer is said to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CacheStatus<'a> {
    /// Where it comes from.
    pub(crate) way: Way,
    /// What is left of its lifetime, seconds (§2.4).
    pub(crate) ttl_s: Option<i64>,
    /// The key that it has or would have (§2.7), where the site shows it.
    pub(crate) key: Option<&'a [u8]>,
    /// More (§2.8).
    pub(crate) detail: Option<Reason>,
}

/// Where an answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From memory (§2.1).
    Hit,
    /// From the origin.
    Forwarded {
        /// Why (§2.2).
        why: Forward,
        /// What the origin answered, where that is not the status of this answer (§2.3).
        origin: Option<StatusCode>,
        /// Whether it is being stored, or shared (§2.5, §2.6).
        fate: Fate,
    },
    /// From this server itself.
    Own,
}

/// Why a request went to the origin (§2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Forward {
    /// The cache was to be left alone.
    Bypass,
    /// The method is not one that is answered from memory.
    Method,
    /// No page of its URL is stored.
    UriMiss,
    /// Pages of its URL are stored, but none for such a request.
    VaryMiss,
    /// Nothing is stored for it, and it is not known which of the two it is.
    Miss,
    /// The request says something that memory can't answer.
    Request,
    /// What is stored is stale.
    Stale,
}

/// What becomes of a forwarded answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It goes through.
    Passed,
    /// It is stored if it comes whole.
    Stored,
    /// It was asked for by another request, and this one waited for it.
    Collapsed,
}

impl Forward {
    /// As a token.
    fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
        }
    }

    /// Why a request goes past memory for this reason.
    pub(crate) fn because_of(reason: Reason) -> Self {
        match reason {
            Reason::Method => Self::Method,
            Reason::RequestBody | Reason::Range | Reason::HeadMiss | Reason::Upgrade => {
                Self::Request
            }
            Reason::PolicyBypass
            | Reason::PolicyKeyFailed
            | Reason::PolicyInputUnclear
            | Reason::PrivateCookie
            | Reason::KeyTooLong => Self::Bypass,
            _ => Self::Miss,
        }
    }
}

impl CacheStatus<'_> {
    /// The member that this cache adds.
    pub(crate) fn value(&self) -> Option<HeaderValue> {
        let mut text = Vec::with_capacity(64);
        self.write_to(&mut text);
        HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).ok()
    }

    /// Appends the member to a head.
    pub(crate) fn write_to(&self, text: &mut Vec<u8>) {
        let mut number = itoa::Buffer::new();
        text.extend_from_slice(NAME);
        match self.way {
            Way::Hit => text.extend_from_slice(b"; hit"),
            Way::Forwarded { why, origin, fate } => {
                text.extend_from_slice(b"; fwd=");
                text.extend_from_slice(why.as_str().as_bytes());
                if let Some(status) = origin {
                    text.extend_from_slice(b"; fwd-status=");
                    text.extend_from_slice(number.format(status.as_u16()).as_bytes());
                }
                text.extend_from_slice(match fate {
                    Fate::Passed => b"",
                    Fate::Stored => b"; stored",
                    Fate::Collapsed => b"; collapsed",
                });
            }
            Way::Own => {}
        }
        if let Some(ttl_s) = self.ttl_s {
            text.extend_from_slice(b"; ttl=");
            text.extend_from_slice(number.format(ttl_s).as_bytes());
        }
        if let Some(detail) = self.detail {
            text.extend_from_slice(b"; detail=");
            text.extend_from_slice(detail.as_str().as_bytes());
        }
        if let Some(key) = self.key.filter(|key| key.iter().all(|byte| is_text(*byte))) {
            text.extend_from_slice(b"; key=\"");
            for byte in key {
                if matches!(byte, b'"' | b'\\') {
                    text.push(b'\\');
                }
                text.push(*byte);
            }
            text.push(b'"');
        }
    }
}

/// What a string may hold (RFC 9651 §3.3.3); a key of other bytes is not shown.
fn is_text(byte: u8) -> bool {
    byte == b' ' || byte.is_ascii_graphic()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(way: Way) -> CacheStatus<'static> {
        CacheStatus { way, ttl_s: None, key: None, detail: None }
    }

    fn text(status: CacheStatus<'_>) -> String {
        let value = status.value().unwrap();
        let parsed: Result<sfv::Item, _> = sfv::Parser::new(value.as_bytes()).parse();
        assert!(parsed.is_ok(), "{value:?} is no item");
        value.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_hit_says_what_is_left_of_it() {
        let hit = CacheStatus { ttl_s: Some(-3), ..plain(Way::Hit) };
        assert_eq!(text(hit), "wasmcached; hit; ttl=-3");
        let detailed = CacheStatus { detail: Some(Reason::NotFresh), ..hit };
        assert_eq!(text(detailed), "wasmcached; hit; ttl=-3; detail=not-fresh");
    }

    #[test]
    fn a_forwarded_answer_says_why_and_what_became_of_it() {
        let status = StatusCode::NOT_MODIFIED;
        let rows = [
            (Forward::UriMiss, None, Fate::Stored, "fwd=uri-miss; stored"),
            (Forward::VaryMiss, None, Fate::Collapsed, "fwd=vary-miss; collapsed"),
            (Forward::Stale, Some(status), Fate::Passed, "fwd=stale; fwd-status=304"),
            (Forward::Method, None, Fate::Passed, "fwd=method"),
            (Forward::Request, None, Fate::Passed, "fwd=request"),
            (Forward::Bypass, None, Fate::Collapsed, "fwd=bypass; collapsed"),
        ];
        for (why, origin, fate, wanted) in rows {
            let found = text(plain(Way::Forwarded { why, origin, fate }));
            assert_eq!(found, format!("wasmcached; {wanted}"));
        }
        assert_eq!(text(plain(Way::Own)), "wasmcached");
    }

    #[test]
    fn a_key_is_a_string_or_not_there() {
        let shown = |key| text(CacheStatus { key: Some(key), ..plain(Way::Hit) });
        assert_eq!(shown(b"a\"b\\c"), r#"wasmcached; hit; key="a\"b\\c""#);
        assert_eq!(shown(b"a\xff"), "wasmcached; hit");
    }
}
