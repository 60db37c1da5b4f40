//! The short way for most hits: from the bytes of a plain GET to the stored block, with nothing
//! built in between.
//!
//! # Invariants
//! - It serves only what the long way would serve, and says of it the same; whatever needs a
//!   judgement (ranges, dates as conditions, directives, loops, stale pages) goes the long way.
//! - A plugin is never called here: a key that is not remembered is asked for on the long way.

mod key;
mod select;

use bytes::Bytes;

use super::head::{Framing, Head};
use super::write::{self, After};
use crate::cache::Entry;
use crate::model::PageHead;
use crate::pages::Pages;
use crate::pages::semantics::cache_status::{CacheStatus, Way};
use crate::pages::semantics::conditional;
use crate::pages::semantics::reuse::{self, Reuse};
use key::Asked;
use select::Selection;

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
    if facts.framing != Framing::None || !facts.is_connection_plain {
        return None;
    }
    let asked = Asked::of(head)?;
    let shared = &pages.shared;
    let site = shared.sites.of(asked.host)?;
    // An item, if there is one, goes before the page.
    if site.items.is_some() {
        return None;
    }
    let policy = site.policy_now();
    asked.spell_key(site, policy.as_deref(), key)?;
    let mut selection = Selection { fields: head.fields, rules: &site.rules, is_clear: true };
    let owns = |page: &PageHead| {
        shared.sites.owns(site, policy.as_deref(), page) && selection.takes(&page.vary)
    };
    let (page, verdict) = shared.cache.peek_page(key, owns)?;
    if !selection.is_clear {
        return None;
    }
    let stored = page.page()?;
    let now_ms = pages.now_ms();
    // A client's own directives, where they are honoured, are left to the long way.
    if reuse::reuse(stored, verdict, None, now_ms) != Reuse::Fresh {
        return None;
    }
    let is_known = asked.is_conditional
        && stored.status.is_success()
        && conditional::names_current(lines(head.fields, "if-none-match"), &stored.headers);
    match is_known {
        true => write::not_modified(out, &stored.headers),
        false => out.extend_from_slice(write::block_of(stored)),
    }
    per_hit(out, stored, now_ms, site.rules.shows_keys.then_some(key.as_slice()));
    write::finish(out, (facts.version, after));
    shared.metrics.hits.inc();
    if let Some(policy) = &policy {
        policy.note_remembered();
    }
    Some(Served { after, body: body(&page, wants_body && !is_known, out) })
}

/// The fields that differ from hit to hit (RFC 9111 §5.1, RFC 9211).
fn per_hit(out: &mut Vec<u8>, stored: &PageHead, now_ms: u64, key: Option<&[u8]>) {
    out.extend_from_slice(b"age: ");
    write::number(out, stored.age_ms(now_ms) / 1000);
    out.extend_from_slice(b"\r\ncache-status: ");
    let ttl_s = Some(reuse::ttl_s(stored, now_ms));
    CacheStatus { way: Way::Hit, ttl_s, key, detail: None }.write_to(out);
    out.extend_from_slice(b"\r\n");
}

fn body(page: &Entry, wants_body: bool, out: &mut Vec<u8>) -> Option<Bytes> {
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

/// The values of a field, line by line.
fn lines<'a>(
    fields: &'a [httparse::Header<'a>],
    name: &'a str,
) -> impl Iterator<Item = &'a [u8]> + Clone {
    fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
}
