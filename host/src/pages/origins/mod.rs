//! The way to the origins: several for one site, pooled connections, time limits, and repetition
//! where that is safe. What an origin is told about the client is said by `announce`; `upload` is a
//! request's body on its way there, `interim` what comes before the answer.
//!
//! # Invariants
//! - A request is repeated only if it has no body, and only if repeating it changes nothing
//!   (RFC 9110 §9.2.2) or no origin has seen it; never after its answer began.
//! - What an origin's address is, and why it does not answer, is for the log, not for clients.
//!
//! # Not here
//! Which fields pass in either direction: `semantics::forward`. What becomes of an answer: `fills`
//! and `course::pass`.

pub(super) mod announce;
mod check;
mod client;
mod group;
mod health;
pub(super) mod interim;
pub(super) mod upload;

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::OwnedSemaphorePermit;

use crate::clock::Clock;
use crate::pages::settings::{Settings, Site};
use client::Client;
use group::{Group, Upstream};
use interim::Interim;
use upload::Upload;

pub(super) use check::check_forever;

/// Origins that one request is tried at.
const ATTEMPTS_MAX: usize = 3;

/// Why there is no answer from an origin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OriginError {
    /// No connection: it has not seen the request.
    #[error("cannot connect")]
    Connect(#[source] hyper_util::client::legacy::Error),
    /// No head in time.
    #[error("no answer within {timeout_ms} ms")]
    Timeout {
        /// The limit.
        timeout_ms: u64,
    },
    /// The exchange broke down, or what came is no HTTP.
    #[error("exchange broke down")]
    Broken(#[source] hyper_util::client::legacy::Error),
    /// The head of its answer has more fields or bytes than it may.
    #[error("head of the answer has more fields or bytes than it may")]
    HeadTooLarge(#[source] hyper_util::client::legacy::Error),
    /// An address that can't be asked for.
    #[error("target cannot be asked for: {0}")]
    Target(#[from] http::Error),
    /// As many requests are under way, and wait, as may.
    #[error("origin has as many requests under way and waiting as it may")]
    Busy,
}

impl OriginError {
    /// Whether an origin may have acted on the request.
    pub(crate) fn is_seen(&self) -> bool {
        matches!(self, Self::Timeout { .. } | Self::Broken(_) | Self::HeadTooLarge(_))
    }

    /// Whether it speaks against the origin.
    fn is_failure(&self) -> bool {
        !matches!(self, Self::Target(_) | Self::Busy | Self::HeadTooLarge(_))
    }
}

/// What an origin is asked.
#[derive(Debug, Clone)]
pub(crate) struct Question<'q> {
    pub(crate) method: &'q Method,
    pub(crate) target: &'q PathAndQuery,
    pub(crate) headers: HeaderMap,
    /// Where interim responses go.
    pub(crate) interim: Option<&'q Interim>,
}

impl Question<'_> {
    fn uri(&self, authority: &http::uri::Authority) -> Result<Uri, http::Error> {
        let uri = Uri::builder().scheme("http").authority(authority.clone());
        uri.path_and_query(self.target.clone()).build()
    }
}

/// The body of an answer; the origin is busy for as long as it lives.
pub(crate) struct OriginBody {
    body: Incoming,
    _slot: OwnedSemaphorePermit,
}

/// The origins of all sites.
pub(crate) struct Origins {
    client: Client,
    groups: Vec<(Arc<Site>, Group)>,
    clock: Clock,
}

impl Origins {
    pub(crate) fn new<'s>(
        sites: impl Iterator<Item = &'s Arc<Site>>,
        settings: &Settings,
        clock: Clock,
        requests: Counter,
    ) -> Self {
        let group = |site: &Arc<Site>| {
            let authorities = site.origins.iter().filter_map(|origin| origin.authority().cloned());
            (Arc::clone(site), Group::new(authorities.collect(), settings))
        };
        Self { client: Client::new(settings, requests), groups: sites.map(group).collect(), clock }
    }

    /// Asks an origin of a site and waits for the head of its answer; bodies stream. Dropping the
    /// future gives the request up.
    pub(crate) async fn ask(
        &self,
        site: &Arc<Site>,
        question: Question<'_>,
        body: Option<Upload>,
    ) -> Result<Response<OriginBody>, OriginError> {
        let group = self.groups.iter().find(|(of, _)| Arc::ptr_eq(of, site));
        // Every site has been given a group.
        let Some((_, group)) = group else { return Err(OriginError::Busy) };
        let has_body = body.is_some();
        let mut body = body;
        let mut asked: Vec<Arc<Upstream>> = Vec::new();
        let mut last = OriginError::Busy;
        while asked.len() < ATTEMPTS_MAX {
            let Some(upstream) = group.pick(self.clock.now_ms(), &asked) else { break };
            asked.push(Arc::clone(&upstream));
            match self.ask_one(&upstream, question.clone(), body.take()).await {
                Ok(answer) => {
                    upstream.note_success();
                    return Ok(answer);
                }
                Err(error) => {
                    if error.is_failure() {
                        upstream.note_failure(self.clock.now_ms());
                    }
                    let (site, origin) = (&site.name, &upstream.authority);
                    tracing::warn!(%site, %origin, error = causes(&error), "origin");
                    last = error;
                }
            }
            let is_safe = !last.is_seen() || question.method.is_idempotent();
            // All origins answer alike.
            let is_certain = matches!(last, OriginError::Target(_) | OriginError::HeadTooLarge(_));
            if has_body || !is_safe || is_certain {
                break;
            }
        }
        Err(last)
    }

    async fn ask_one(
        &self,
        upstream: &Upstream,
        question: Question<'_>,
        body: Option<Upload>,
    ) -> Result<Response<OriginBody>, OriginError> {
        let slot = upstream.slot().await?;
        let uri = question.uri(&upstream.authority)?;
        let again = (body.is_none() && question.method.is_idempotent()).then(|| question.clone());
        let answer = match (self.client.send(&uri, question, body).await, again) {
            (Err(OriginError::Broken(error)), Some(question)) if has_died_early(&error) => {
                // It may have closed a pooled connection at the very moment it was used.
                self.client.send(&uri, question, None).await
            }
            (outcome, _) => outcome,
        };
        Ok(answer?.map(|body| OriginBody { body, _slot: slot }))
    }
}

/// Whether the connection ended before an answer began.
fn has_died_early(error: &hyper_util::client::legacy::Error) -> bool {
    let mut cause: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<hyper::Error>()
            && (error.is_incomplete_message() || error.is_canceled() || error.is_closed())
        {
            return true;
        }
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            let kind = error.kind();
            return matches!(
                kind,
                std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe
            );
        }
        cause = error.source();
    }
    false
}

/// An error with all that lies behind it: the reason of the operating system is at the end.
fn causes(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl Body for OriginBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
