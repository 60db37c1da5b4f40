//! May a response be stored, and on what terms (RFC 9111 §3)? Pure: no clock, no I/O.
//!
//! # Invariants
//! - A policy is asked only about what HTTP does not forbid, and can't allow what HTTP forbids.
//! - Partial answers and errors that an odd request can provoke are never stored under a page's key
//!   (`status`).
//! - A response is stored whole or not at all: nothing is taken out of it to make it storable.
//! - What must be asked about each time is stored only if there is something to ask with.
//!
//! # Not here
//! Whether the body came whole. What a stored page is good for: `reuse`.

use http::header::{AGE, AUTHORIZATION, CONTENT_LENGTH, COOKIE, SET_COOKIE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::directives::{RequestDirectives, ResponseDirectives};
use super::freshness::{self, Lifetime, Timing};
use super::status::{self, Class};
use super::vary::{self, Selection};
use super::{conditional, fields, tags, targeted};
use crate::config::SiteCache;
use crate::model::{Expiry, PageHead, Staleness, StoreDecision, Tag};
use crate::pages::outcome::Reason;

/// For how long a page with a validator is kept beyond its time, to be asked about instead of
/// fetched again, milliseconds.
pub(crate) const KEPT_FOR_VALIDATION_MS: u64 = 60_000;

/// What HTTP says about storing a response.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    selection: Selection,
    tags: Vec<Tag>,
    initial_age_ms: u64,
    lifetime: Lifetime,
    stale_while_revalidate_ms: u64,
    /// As the response states it.
    stale_if_error_ms: Option<u64>,
    /// As the site's rules state it.
    default_stale_if_error_ms: u64,
    staleness: Staleness,
    /// To be asked about at each use, whatever a policy says.
    is_no_cache: bool,
    has_validator: bool,
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
    stale_if_error_ms: u64,
    staleness: Staleness,
}

/// HTTP's answer, for a complete response to GET whose fields of the connection are gone already.
pub(crate) fn judge(
    request: &HeaderMap,
    status: StatusCode,
    headers: &HeaderMap,
    timing: Timing,
    rules: &SiteCache,
) -> Result<Terms, Reason> {
    let directives = targeted::directives(headers, &rules.targeted);
    if let Some(reason) = forbidden(request, status, headers, &directives, rules) {
        return Err(reason);
    }
    let lifetime = freshness::lifetime(status, headers, &directives, timing, rules.default_ttl_ms);
    let staleness = staleness(&directives);
    let window_ms = |stated_s: Option<u64>| match staleness {
        Staleness::Forbidden => None,
        Staleness::Stated | Staleness::Allowed => stated_s.map(|seconds| seconds * 1000),
    };
    let default_stale_if_error_ms = match staleness {
        Staleness::Allowed => rules.stale_if_error_ms,
        Staleness::Stated | Staleness::Forbidden => 0,
    };
    Ok(Terms {
        selection: vary::selection(headers, request, rules)?,
        tags: tags::of_response(headers)?,
        initial_age_ms: freshness::initial_age_ms(headers, timing),
        lifetime,
        stale_while_revalidate_ms: window_ms(directives.stale_while_revalidate_s).unwrap_or(0),
        stale_if_error_ms: window_ms(directives.stale_if_error_s),
        default_stale_if_error_ms,
        staleness,
        is_no_cache: directives.no_cache,
        has_validator: conditional::has_validator(headers, timing.received_ms),
        has_cookie: request.contains_key(COOKIE),
    })
}

/// What forbids to store a response, if anything does.
fn forbidden(
    request: &HeaderMap,
    status: StatusCode,
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    rules: &SiteCache,
) -> Option<Reason> {
    let is_understood = status::is_understood(status);
    // §5.2.2.3: who understands the status may overlook the other.
    let no_store = directives.no_store && !(directives.must_understand && is_understood);
    let request_no_store = rules.honours_clients && RequestDirectives::of(request).no_store;
    let is_authorized = request.contains_key(AUTHORIZATION);
    let sets_cookie = headers.contains_key(SET_COOKIE) && !rules.stores_set_cookie;
    let all = [
        (request_no_store, Reason::RequestNoStore),
        (no_store, Reason::NoStore),
        // What can't be read may have been one that forbids it.
        (directives.is_malformed, Reason::NoStore),
        (directives.private, Reason::Private),
        (is_authorized && !may_be_shared(directives), Reason::Authorization),
        (sets_cookie, Reason::SetCookie),
        (status::class(status) == Class::Never, Reason::Status),
        (directives.must_understand && !is_understood, Reason::Status),
    ];
    all.into_iter().find_map(|(is_forbidden, reason)| is_forbidden.then_some(reason))
}

/// §4.2.4. `s-maxage` forbids what the response does not state itself (§5.2.2.10): an origin that
/// writes `stale-while-revalidate` beside it speaks of this very cache.
fn staleness(directives: &ResponseDirectives) -> Staleness {
    if directives.no_cache || directives.must_revalidate || directives.proxy_revalidate {
        Staleness::Forbidden
    } else if directives.s_maxage_s.is_some() {
        Staleness::Stated
    } else {
        Staleness::Allowed
    }
}

/// RFC 9111 §3.5.
fn may_be_shared(directives: &ResponseDirectives) -> bool {
    directives.public || directives.must_revalidate || directives.s_maxage_s.is_some()
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
            _ if self.is_no_cache => 0,
            (Some(seconds), _) => self.initial_age_ms + u64::from(seconds) * 1000,
            (None, Lifetime::Explicit(lifetime_ms)) => lifetime_ms,
            // Who guesses must not guess that a visitor's own page is everybody's.
            (None, Lifetime::Heuristic(_)) if self.has_cookie => {
                return Err(Reason::GuessWithCookie);
            }
            (None, Lifetime::Heuristic(lifetime_ms)) => lifetime_ms,
            (None, Lifetime::Unknown) => 0,
        };
        let window_ms = |decided_s: Option<u32>| match self.staleness {
            Staleness::Forbidden => None,
            Staleness::Stated | Staleness::Allowed => decided_s.map(|s| u64::from(s) * 1000),
        };
        let stale_while_revalidate_ms =
            window_ms(decision.stale_while_revalidate_s).unwrap_or(self.stale_while_revalidate_ms);
        let stale_if_error_ms = window_ms(decision.stale_if_error_s).or(self.stale_if_error_ms);
        let is_stated = decision.ttl_s.is_some() || self.lifetime != Lifetime::Unknown;
        // What can be neither served nor asked about is of no use; a failure that may come is one
        // if the page itself counts with it.
        let stale_ms = stale_while_revalidate_ms.max(stale_if_error_ms.unwrap_or(0));
        let is_good_for_something =
            is_stated && self.has_validator || lifetime_ms + stale_ms > self.initial_age_ms;
        if !is_good_for_something {
            return Err(if self.is_no_cache { Reason::NoCache } else { Reason::NotFresh });
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
            stale_if_error_ms: stale_if_error_ms.unwrap_or(self.default_stale_if_error_ms),
            staleness: self.staleness,
        })
    }
}

impl Plan {
    /// Whether the page is good for nobody who waits: each use has to ask the origin.
    pub(crate) fn is_to_be_asked_about(&self) -> bool {
        self.lifetime_ms + self.stale_while_revalidate_ms <= self.initial_age_ms
    }

    /// The head to store. `headers` are those that clients get, whole and clean.
    pub(crate) fn head(
        &self,
        place: Place<'_>,
        status: StatusCode,
        headers: &HeaderMap,
        received_ms: u64,
    ) -> PageHead {
        PageHead {
            url: place.url.into(),
            site: place.site.into(),
            status,
            headers: compact(headers),
            vary: self.selection.clone(),
            received_ms,
            initial_age_ms: self.initial_age_ms,
            lifetime_ms: self.lifetime_ms,
            stale_while_revalidate_ms: self.stale_while_revalidate_ms,
            stale_if_error_ms: self.stale_if_error_ms,
            staleness: self.staleness,
            plugin: place.plugin.map(Into::into),
            block: std::sync::OnceLock::new(),
        }
    }
}

/// Where a page belongs.
#[derive(Clone, Copy)]
pub(crate) struct Place<'name> {
    /// Its canonical URL.
    pub(crate) url: &'name str,
    /// The name of its site.
    pub(crate) site: &'name str,
    /// The plugin that decides about it, if one does.
    pub(crate) plugin: Option<&'name str>,
}

/// When memory may forget a page: when it can be neither served nor asked about.
pub(crate) fn expiry(head: &PageHead) -> Expiry {
    let stale_ms = head.stale_while_revalidate_ms.max(head.stale_if_error_ms);
    let served_ms = (head.lifetime_ms + stale_ms).saturating_sub(head.initial_age_ms);
    let fresh_ms = head.lifetime_ms.saturating_sub(head.initial_age_ms);
    let asked_about_ms = match conditional::has_validator(&head.headers, head.received_ms) {
        true => fresh_ms + KEPT_FOR_VALIDATION_MS,
        false => 0,
    };
    Expiry::at_ms(head.received_ms.saturating_add(served_ms.max(asked_about_ms)))
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
