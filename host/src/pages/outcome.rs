//! What became of a request, and why: one vocabulary for `Cache-Status`, logs and metrics.

use std::fmt;

use super::semantics::cache_status::Forward;

/// How a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    /// From memory, fresh.
    Hit,
    /// From memory, an item that the application wrote.
    Item,
    /// From memory, stale, while it is being refreshed.
    Stale,
    /// From memory, stale, because the origin failed.
    StaleIfError,
    /// From memory, after waiting for a fill that was under way, since it was missed.
    Collapsed(Forward),
    /// From memory, after the origin said that it has not changed.
    Revalidated,
    /// From the origin, by a fill.
    Miss,
    /// From the origin, past the cache.
    Pass,
    /// By the server itself: the request is not one that goes any further.
    Refused,
    /// By the server itself: the origin did not answer.
    Failed,
}

impl Outcome {
    /// For metrics and logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Item => "item",
            Self::Stale => "stale",
            Self::StaleIfError => "stale-if-error",
            Self::Collapsed(_) => "collapsed",
            Self::Revalidated => "revalidated",
            Self::Miss => "miss",
            Self::Pass => "pass",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Why a request went past the cache, a response was not stored, or the server answered itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    /// Only GET and HEAD are looked up.
    Method,
    /// A HEAD that memory can't answer.
    HeadMiss,
    /// A GET with a body.
    RequestBody,
    /// A range that memory can't answer.
    Range,
    /// The policy wants the cache left alone.
    PolicyBypass,
    /// The policy could not say the key.
    PolicyKeyFailed,
    /// A declared input may be read differently by the policy and the origin.
    PolicyInputUnclear,
    /// A field of the response is not text, so that a policy can't be shown it.
    PolicyResponseUnclear,
    /// A cookie that makes every page its owner's.
    PrivateCookie,
    /// The URL is longer than a key may be.
    KeyTooLong,
    /// `Cache-Control: no-store` in the request.
    RequestNoStore,
    /// `no-store` in the response.
    NoStore,
    /// `private`.
    Private,
    /// `no-cache`.
    NoCache,
    /// The request has `Authorization`, and the response does not say that it may be shared.
    Authorization,
    /// The response sets a cookie.
    SetCookie,
    /// `Vary: *`, or one that can't be read.
    VaryAny,
    /// `Vary` names a field that differs for each client.
    VaryPerClient,
    /// `Vary` names more fields than are compared.
    VaryTooMany,
    /// A status that is not stored.
    Status,
    /// Nothing says that it stays fresh.
    NotFresh,
    /// Nothing but a guess says so, and the request had a cookie.
    GuessWithCookie,
    /// A tag that can't be kept.
    TagInvalid,
    /// More tags than an entry may have.
    TooManyTags,
    /// The policy wants it not stored.
    PolicyNoStore,
    /// The policy could not say whether to store it.
    PolicyStoreFailed,
    /// The body ends with the connection: nobody knows whether it is whole.
    CloseDelimited,
    /// The body is larger than the limit for one entry.
    TooLarge,
    /// The body ended early.
    Truncated,
    /// The fill took too long to be judged.
    TooSlow,
    /// An invalidation came while it was being filled.
    Fenced,
    /// A newer fill was stored first.
    Older,
    /// There is no room.
    Full,
    /// The request can be read in more than one way, or not at all.
    BadRequest,
    /// Its head has too many fields or bytes.
    HeadTooLarge,
    /// Its target is too long.
    TargetTooLong,
    /// Its body is too large.
    BodyTooLarge,
    /// It came too slowly.
    RequestTimeout,
    /// It wants to speak another protocol.
    Upgrade,
    /// There are as many tunnels as there may be.
    TooManyTunnels,
    /// The request names no target, or several.
    BadTarget,
    /// No site answers for the host.
    NoSite,
    /// The request has been here before.
    Loop,
    /// `Max-Forwards` lets it go no further.
    MaxForwards,
    /// `only-if-cached`, and it is not.
    OnlyIfCached,
    /// It is an item that the application wrote.
    Item,
    /// Served beyond its time while it is refreshed.
    Refreshing,
    /// Served beyond its time because the origin failed.
    StaleIfError,
    /// No byte of the range exists.
    RangeUnsatisfiable,
    /// The origin can't be reached.
    OriginUnreachable,
    /// The origin did not answer in time.
    OriginTimeout,
    /// The origin has as many requests as it may.
    OriginBusy,
    /// As many requests wait for the fill as may.
    TooManyWaiting,
    /// The head of the origin's answer has more fields or bytes than it may.
    OriginHeadTooLarge,
    /// The origin's answer can't be used.
    OriginBroken,
    /// The server is going down.
    Stopping,
}

impl Reason {
    /// For `Cache-Status`, metrics and logs: a token (RFC 9211 §2.8).
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::HeadMiss => "head-miss",
            Self::RequestBody => "request-body",
            Self::Range => "range",
            Self::PolicyBypass => "policy-bypass",
            Self::PolicyKeyFailed => "policy-key-failed",
            Self::PolicyInputUnclear => "policy-input-unclear",
            Self::PolicyResponseUnclear => "policy-response-unclear",
            Self::PrivateCookie => "private-cookie",
            Self::KeyTooLong => "key-too-long",
            Self::RequestNoStore => "request-no-store",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::NoCache => "no-cache",
            Self::Authorization => "authorization",
            Self::SetCookie => "set-cookie",
            Self::VaryAny => "vary-any",
            Self::VaryPerClient => "vary-per-client",
            Self::VaryTooMany => "vary-too-many",
            Self::Status => "status",
            Self::NotFresh => "not-fresh",
            Self::GuessWithCookie => "guess-with-cookie",
            Self::TagInvalid => "tag-invalid",
            Self::TooManyTags => "too-many-tags",
            Self::PolicyNoStore => "policy-no-store",
            Self::PolicyStoreFailed => "policy-store-failed",
            Self::CloseDelimited => "close-delimited",
            Self::TooLarge => "too-large",
            Self::Truncated => "truncated",
            Self::TooSlow => "too-slow",
            Self::Fenced => "fenced",
            Self::Older => "older",
            Self::Full => "full",
            Self::BadRequest => "bad-request",
            Self::HeadTooLarge => "head-too-large",
            Self::TargetTooLong => "target-too-long",
            Self::BodyTooLarge => "body-too-large",
            Self::RequestTimeout => "request-timeout",
            Self::Upgrade => "upgrade",
            Self::TooManyTunnels => "too-many-tunnels",
            Self::BadTarget => "bad-target",
            Self::NoSite => "no-site",
            Self::Loop => "loop",
            Self::MaxForwards => "max-forwards",
            Self::OnlyIfCached => "only-if-cached",
            Self::Item => "item",
            Self::Refreshing => "stale",
            Self::StaleIfError => "stale-if-error",
            Self::RangeUnsatisfiable => "range-unsatisfiable",
            Self::OriginUnreachable => "origin-unreachable",
            Self::OriginTimeout => "origin-timeout",
            Self::OriginBusy => "origin-busy",
            Self::TooManyWaiting => "too-many-waiting",
            Self::OriginHeadTooLarge => "origin-head-too-large",
            Self::OriginBroken => "origin-broken",
            Self::Stopping => "stopping",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
