//! May a response be stored, and on what terms (RFC 9111 §3)? Pure: no clock, no I/O.
//!
//! # Invariants
//! - A policy is asked only about what HTTP does not forbid, and can't allow what HTTP forbids.
//! - Statuses that are not understood, partial ones and errors that an odd request can provoke are
//!   never stored under a page's key.

use http::header::{AGE, AUTHORIZATION, CONTENT_LENGTH, COOKIE, SET_COOKIE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::directives::{RequestDirectives, ResponseDirectives};
use super::freshness::{self, Lifetime, Timing};
use super::outcome::Reason;
use super::vary::{self, Selection};
use super::{conditional, fields, tags};
use crate::model::{Expiry, PageHead, StoreDecision, Tag};

/// For how long a page with a validator is kept beyond its time, to be asked about instead of
/// fetched again, milliseconds.
const KEPT_FOR_VALIDATION_MS: u64 = 60_000;

/// What HTTP says about storing a response.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    selection: Selection,
    tags: Vec<Tag>,
    initial_age_ms: u64,
    lifetime: Lifetime,
    stale_while_revalidate_ms: u64,
    may_be_stale: bool,
    has_cookie: bool,
}

/// What is stored beside status, fields and body.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// What it was selected by.
    pub(crate) selection: Selection,
    /// Its tags.
    pub(crate) tags: Vec<Tag>,
    initial_age_ms: u64,
    lifetime_ms: u64,
    stale_while_revalidate_ms: u64,
}

/// HTTP's answer, for a complete response to GET whose fields of the connection are gone already.
pub(crate) fn judge(
    request: &HeaderMap,
    status: StatusCode,
    headers: &HeaderMap,
    timing: Timing,
) -> Result<Terms, Reason> {
    let directives = ResponseDirectives::of(headers);
    let forbidden = [
        (RequestDirectives::of(request).no_store, Reason::RequestNoStore),
        (directives.no_store, Reason::NoStore),
        // What can't be read may have been one that forbids it.
        (directives.is_malformed, Reason::NoStore),
        (directives.private, Reason::Private),
        (directives.no_cache, Reason::NoCache),
        (request.contains_key(AUTHORIZATION) && !may_be_shared(&directives), Reason::Authorization),
        (headers.contains_key(SET_COOKIE), Reason::SetCookie),
        (!is_understood(status), Reason::Status),
    ];
    if let Some((_, reason)) = forbidden.into_iter().find(|(is_forbidden, _)| *is_forbidden) {
        return Err(reason);
    }
    let may_be_stale = !directives.forbids_stale();
    let stale_s = directives.stale_while_revalidate_s.filter(|_| may_be_stale).unwrap_or(0);
    Ok(Terms {
        selection: vary::selection(headers, request)?,
        tags: tags::of_response(headers)?,
        initial_age_ms: freshness::initial_age_ms(headers, timing),
        lifetime: freshness::lifetime(status, headers, &directives, timing),
        stale_while_revalidate_ms: stale_s * 1000,
        may_be_stale,
        has_cookie: request.contains_key(COOKIE),
    })
}

/// RFC 9111 §3.5.
fn may_be_shared(directives: &ResponseDirectives) -> bool {
    directives.public || directives.must_revalidate || directives.s_maxage_s.is_some()
}

fn is_understood(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 302 | 303 | 307 | 308 | 404 | 405 | 410)
}

impl Terms {
    /// The terms after the policy has spoken, where there is one.
    pub(crate) fn settle(self, decision: Option<StoreDecision>) -> Result<Plan, Reason> {
        let decision =
            decision.unwrap_or(StoreDecision { store: true, ..StoreDecision::default() });
        if !decision.store {
            return Err(Reason::PolicyNoStore);
        }
        let lifetime_ms = match (decision.ttl_s, self.lifetime) {
            (Some(seconds), _) => self.initial_age_ms + u64::from(seconds) * 1000,
            (None, Lifetime::Explicit(lifetime_ms)) => lifetime_ms,
            // Who guesses must not guess that a visitor's own page is everybody's.
            (None, Lifetime::Heuristic(_)) if self.has_cookie => {
                return Err(Reason::GuessWithCookie);
            }
            (None, Lifetime::Heuristic(lifetime_ms)) => lifetime_ms,
            (None, Lifetime::Unknown) => 0,
        };
        let stale_while_revalidate_ms = match decision.stale_while_revalidate_s {
            Some(seconds) if self.may_be_stale => u64::from(seconds) * 1000,
            _ => self.stale_while_revalidate_ms,
        };
        if lifetime_ms + stale_while_revalidate_ms <= self.initial_age_ms {
            return Err(Reason::NotFresh);
        }
        let mut tags = self.tags;
        for tag in decision.tags {
            tags::add(&mut tags, tag)?;
        }
        Ok(Plan {
            selection: self.selection,
            tags,
            initial_age_ms: self.initial_age_ms,
            lifetime_ms,
            stale_while_revalidate_ms,
        })
    }
}

impl Plan {
    /// The head to store. `headers` are those that clients get, whole and clean.
    pub(crate) fn head(
        &self,
        url: &str,
        status: StatusCode,
        headers: &HeaderMap,
        received_ms: u64,
        plugin: Option<&str>,
    ) -> PageHead {
        PageHead {
            url: url.into(),
            status,
            headers: compact(headers),
            vary: self.selection.clone(),
            received_ms,
            initial_age_ms: self.initial_age_ms,
            lifetime_ms: self.lifetime_ms,
            stale_while_revalidate_ms: self.stale_while_revalidate_ms,
            plugin: plugin.map(Into::into),
            block: std::sync::OnceLock::new(),
        }
    }
}

/// When memory may forget a page: when it can be neither served nor asked about.
pub(crate) fn expiry(head: &PageHead) -> Expiry {
    let stale_ms = match conditional::has_validator(&head.headers) {
        true => head.stale_while_revalidate_ms.max(KEPT_FOR_VALIDATION_MS),
        false => head.stale_while_revalidate_ms,
    };
    let left_ms = (head.lifetime_ms + stale_ms).saturating_sub(head.initial_age_ms);
    Expiry::at_ms(head.received_ms.saturating_add(left_ms))
}

/// A copy whose values share one buffer of their own: those that come from the network each keep
/// the whole buffer alive that they were read into.
fn compact(headers: &HeaderMap) -> HeaderMap {
    let values = || headers.iter().filter(|(name, _)| *name != AGE);
    let text: Vec<u8> = values().flat_map(|(_, value)| value.as_bytes()).copied().collect();
    let mut text = bytes::Bytes::from(text);
    let mut copy = HeaderMap::with_capacity(headers.keys_len());
    for (name, value) in values() {
        // Cannot fail: the bytes are those of a value.
        if let Ok(value) = HeaderValue::from_maybe_shared(text.split_to(value.len())) {
            copy.append(name.clone(), value);
        }
    }
    copy
}

/// How the end of a response's body is known (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// After so many bytes.
    Length(u64),
    /// By the last chunk.
    Chunked,
    /// By the end of the connection: nobody knows whether it is whole.
    Close,
}

impl Framing {
    /// From the fields as received, before those of the connection are taken out.
    pub(crate) fn of(status: StatusCode, headers: &HeaderMap) -> Self {
        if status == StatusCode::NO_CONTENT {
            return Self::Length(0);
        }
        match (headers.get(TRANSFER_ENCODING), fields::content_length(headers)) {
            (Some(_), _) => Self::Chunked,
            (None, Some(bytes)) => Self::Length(bytes),
            (None, None) => Self::Close,
        }
    }

    /// The length, where it was announced.
    pub(crate) fn bytes(self) -> Option<u64> {
        match self {
            Self::Length(bytes) => Some(bytes),
            Self::Chunked | Self::Close => None,
        }
    }
}

/// Writes the length of a whole body into a head that is stored.
pub(crate) fn set_length(head: &mut PageHead, bytes: usize) {
    if head.status != StatusCode::NO_CONTENT {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
    }
}

#[cfg(test)]
mod tests;
