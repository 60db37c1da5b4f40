//! The short way for most hits: from the bytes of a plain GET to the stored block, with nothing
//! built in between.
//!
//! # Invariants
//! - It serves only what the long way would serve, byte for byte but for nothing; whatever needs a
//!   judgement (conditions, ranges, directives, loops, policies, stale pages) goes the long way.

use bytes::Bytes;
use http::header::ACCEPT_ENCODING;
use http::{HeaderName, HeaderValue};

use super::head::{Framing, Head};
use super::write::{self, After};
use crate::cache::Handle;
use crate::model::PageHead;
use crate::pages::Pages;
use crate::pages::negotiation;
use crate::pages::reuse::{self, Reuse};
use crate::pages::settings::Site;

/// Bodies up to this size are copied behind their heads, so that several answers are one write.
const COPIED_BYTES_MAX: usize = 8 * 1024;

/// A hit whose head is written, and what is still to be sent of it.
pub(super) struct Served {
    pub(super) after: After,
    /// A body too large to be copied.
    pub(super) body: Option<Bytes>,
}

/// Answers from memory if that takes no judgement. `key` is room to spell the key in.
pub(super) fn serve(
    pages: &Pages,
    head: &Head<'_, '_>,
    after: After,
    out: &mut Vec<u8>,
    key: &mut Vec<u8>,
) -> Option<Served> {
    let wants_body = match head.method {
        "GET" => true,
        "HEAD" => false,
        _ => return None,
    };
    let facts = &head.facts;
    if facts.framing != Framing::None || !facts.is_connection_plain || !is_plain_target(head.target)
    {
        return None;
    }
    let host = plain_host(head.fields)?;
    let shared = &pages.shared;
    let site = shared.sites.of(host).filter(|site| is_plain_site(site))?;
    key.clear();
    for part in ["http://", host, head.target] {
        key.extend_from_slice(part.as_bytes());
    }
    let mut is_clear = true;
    let owns = |page: &PageHead| {
        shared.sites.owns(site, page) && selects(&page.vary, head.fields, &mut is_clear)
    };
    let (page, verdict) = shared.cache.peek_page(key, owns)?;
    if !is_clear {
        return None;
    }
    let stored = page.page()?;
    let now_ms = pages.now_ms();
    if reuse::reuse(stored, verdict, None, now_ms) != Reuse::Fresh {
        return None;
    }
    out.extend_from_slice(write::block_of(stored));
    per_hit(out, stored, now_ms);
    write::finish(out, (facts.version, after));
    shared.metrics.hits.inc();
    Some(Served { after, body: body(&page, wants_body, out) })
}

/// Whether a site's hits take no judgement of its operator's or of a plugin's.
fn is_plain_site(site: &Site) -> bool {
    let rules = &site.rules;
    let is_default =
        rules.cookies.is_none() && rules.private_cookies.is_empty() && rules.languages.is_empty();
    site.policy.is_none() && is_default && !rules.honours_clients && !rules.shows_keys
}

/// The fields that differ from hit to hit (RFC 9111 §5.1, RFC 9211).
fn per_hit(out: &mut Vec<u8>, stored: &PageHead, now_ms: u64) {
    let age_ms = stored.age_ms(now_ms);
    out.extend_from_slice(b"age: ");
    write::number(out, age_ms / 1000);
    out.extend_from_slice(b"\r\ncache-status: wasmcached; hit; ttl=");
    write::number(out, stored.lifetime_ms.saturating_sub(age_ms) / 1000);
    out.extend_from_slice(b"\r\n");
}

fn body(page: &Handle, wants_body: bool, out: &mut Vec<u8>) -> Option<Bytes> {
    if !wants_body {
        return None;
    }
    let bytes = page.body();
    if bytes.len() > COPIED_BYTES_MAX {
        return Some(page.body_bytes());
    }
    out.extend_from_slice(bytes);
    None
}

/// Whether a target is a path that is its own key: nothing that a parser would cut off or refuse.
fn is_plain_target(target: &str) -> bool {
    let is_plain = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'~' | b'%' | b'?' | b'=' | b'&' | b'+')
            || matches!(byte, b':' | b'@' | b',' | b';' | b'!' | b'*')
    };
    target.starts_with('/') && target.bytes().all(is_plain)
}

/// The host as keys spell it, if no other field asks for a judgement.
fn plain_host<'b>(fields: &[httparse::Header<'b>]) -> Option<&'b str> {
    let mut host = None;
    for field in fields {
        if needs_judgement(field.name) {
            return None;
        }
        if field.name.len() == 4 && field.name.eq_ignore_ascii_case("host") {
            host = Some(field.value);
        }
    }
    let host = std::str::from_utf8(host?).ok()?;
    let (name, port) = host.split_once(':').unwrap_or((host, "8080"));
    let is_name = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'_')
    };
    // The default port is not part of a key; neither is one that is spelt oddly.
    let is_port = port != "80"
        && (1..=5).contains(&port.len())
        && !port.starts_with('0')
        && port.bytes().all(|byte| byte.is_ascii_digit());
    (!name.is_empty() && name.bytes().all(is_name) && is_port).then_some(host)
}

/// Fields that may change what is looked up or how it is answered.
fn needs_judgement(name: &str) -> bool {
    const NAMES: [&str; 14] = [
        "via",
        "range",
        "expect",
        "pragma",
        "upgrade",
        "if-match",
        "if-range",
        "cdn-loop",
        "cache-control",
        "if-none-match",
        "authorization",
        "max-forwards",
        "if-modified-since",
        "if-unmodified-since",
    ];
    let same_length = NAMES.iter().filter(|known| known.len() == name.len());
    same_length.into_iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Whether a request selects what was stored with these values. It is not clear if a field that
/// counts is in several lines.
fn selects(
    stored: &[(HeaderName, Option<HeaderValue>)],
    fields: &[httparse::Header<'_>],
    is_clear: &mut bool,
) -> bool {
    stored.iter().all(|(name, stored)| {
        if name == ACCEPT_ENCODING {
            let lines = fields.iter().filter(|f| f.name.eq_ignore_ascii_case(name.as_str()));
            if let Some(codings) = negotiation::codings(lines.map(|field| field.value)) {
                return stored.as_ref().is_some_and(|value| value == codings);
            }
        }
        let mut lines = fields.iter().filter(|f| f.name.eq_ignore_ascii_case(name.as_str()));
        match (lines.next(), lines.next()) {
            (None, _) => stored.is_none(),
            (Some(only), None) => stored.as_ref().is_some_and(|value| value == only.value),
            (Some(_), Some(_)) => {
                *is_clear = false;
                false
            }
        }
    })
}
