//! Requests past the cache: asked, answered, and what they make wrong invalidated.
//!
//! # Invariants
//! - An answer to an unsafe method is sent after what it makes wrong has been invalidated; this
//!   happens also when the client does not wait for the answer.
//! - A change to another protocol is handed on only if the client asked for it, and as often at a
//!   time as there may be tunnels.

use std::sync::Arc;

use http::header::UPGRADE;
use http::{HeaderMap, Method, Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::body::{self, Body};
use super::request::Ask;
use super::respond::{self, Answer};
use crate::model::{Cause, Invalidation, Mode, Target};
use crate::pages::Pages;
use crate::pages::origins::upload::Upload;
use crate::pages::origins::{OriginBody, OriginError};
use crate::pages::outcome::Reason;
use crate::pages::semantics::{forward, tags, vary};

/// The way to an origin that speaks another protocol from here.
#[derive(Clone)]
pub(in crate::pages) struct Tunnel {
    pub(in crate::pages) upgraded: OnUpgrade,
    /// Counts it among the tunnels.
    _permit: Arc<OwnedSemaphorePermit>,
}

impl Pages {
    /// Asks the origin and stores nothing.
    pub(super) async fn pass(&self, ask: Arc<Ask>, body: Option<Upload>, reason: Reason) -> Answer {
        if ask.is_safe() {
            return self.exchange(&ask, body, reason).await;
        }
        let (reply, answer) = oneshot::channel();
        let pages = self.clone();
        // A task of its own: what the origin did is done, whether or not the client waits.
        self.shared.tasks.spawn(async move {
            let answer = pages.exchange(&ask, body, reason).await;
            // The client may be gone.
            let _ = reply.send(answer);
        });
        let gone = || self.failed(StatusCode::SERVICE_UNAVAILABLE, Reason::Stopping);
        answer.await.unwrap_or_else(|_| gone())
    }

    async fn exchange(&self, ask: &Ask, body: Option<Upload>, reason: Reason) -> Answer {
        let mut headers = ask.headers.clone();
        self.announce(ask, &mut headers);
        let tunnel = match &ask.upgrade {
            None => None,
            Some(protocol) => {
                let Ok(permit) = Arc::clone(&self.shared.tunnels).try_acquire_owned() else {
                    let status = StatusCode::SERVICE_UNAVAILABLE;
                    return self.failed(status, Reason::TooManyTunnels);
                };
                forward::set_upgrade(&mut headers, protocol);
                Some(permit)
            }
        };
        let (parts, body) = match self.ask_origin(ask, &ask.method, headers, body).await {
            Ok(mut response) => match (response.status(), tunnel) {
                (StatusCode::SWITCHING_PROTOCOLS, Some(permit)) => {
                    return self.switch(ask, &mut response, permit);
                }
                _ => response.into_parts(),
            },
            Err(error) => {
                if error.is_seen() && !ask.is_safe() {
                    // Nobody knows what the origin did; invalid too often is right.
                    self.invalidate(self.shared.sites.made_wrong(ask, &HeaderMap::new())).await;
                }
                return self.origin_failed(&error);
            }
        };
        let (status, mut headers) = (parts.status, parts.headers);
        if status.is_informational() {
            return self.failed(StatusCode::BAD_GATEWAY, Reason::OriginBroken);
        }
        if !ask.is_safe() && (status.is_success() || status.is_redirection()) {
            self.invalidate(self.shared.sites.made_wrong(ask, &headers)).await;
        }
        forward::clean_response(&mut headers);
        tags::strip(&mut headers, &ask.site.rules);
        let now_ms = self.now_ms();
        respond::ensure_date(&mut headers, now_ms);
        if matches!(ask.method, Method::GET | Method::HEAD) {
            vary::add_names(&mut headers, &self.policy_names(ask));
        }
        let body = body::passing(body, self.shared.settings.body_idle_timeout_ms);
        respond::from_origin(ask, status, headers, body, (None, Some(reason)), now_ms)
    }

    /// Hands on the origin's consent to another protocol, and the way to it.
    fn switch(
        &self,
        ask: &Ask,
        response: &mut Response<OriginBody>,
        permit: OwnedSemaphorePermit,
    ) -> Answer {
        let upgraded = hyper::upgrade::on(&mut *response);
        let protocol = response.headers().get(UPGRADE).cloned();
        let mut headers = std::mem::take(response.headers_mut());
        forward::clean_response(&mut headers);
        // Also the one that was asked for, where the origin does not say it.
        if let Some(protocol) = protocol.as_ref().or(ask.upgrade.as_ref()) {
            forward::set_upgrade(&mut headers, protocol);
        }
        let (status, reason) = (StatusCode::SWITCHING_PROTOCOLS, (None, Some(Reason::Upgrade)));
        let mut answer =
            respond::from_origin(ask, status, headers, Body::Empty, reason, self.now_ms());
        let tunnel = Tunnel { upgraded, _permit: Arc::new(permit) };
        answer.response.extensions_mut().insert(tunnel);
        answer
    }

    pub(in crate::pages) async fn invalidate(&self, targets: Vec<Target>) {
        let targets = targets.into_iter().map(|target| (target, Mode::Hard)).collect();
        let cause = Cause {
            source: "pages".to_owned(),
            event_id: None,
            at_ms: self.now_ms(),
            ..Cause::default()
        };
        if let Err(error) = self.shared.cache.invalidate(Invalidation { targets, cause }).await {
            // In force in memory. The origin has acted already, so its answer stands.
            self.shared.metrics.invalidations_not_durable.inc();
            tracing::warn!(%error, "invalidation by an unsafe method");
        }
    }

    /// An answer for a request that the origin did not answer.
    pub(in crate::pages) fn origin_failed(&self, error: &OriginError) -> Answer {
        match error {
            OriginError::Busy => self.failed(StatusCode::SERVICE_UNAVAILABLE, Reason::OriginBusy),
            OriginError::Connect(_) => {
                self.failed(StatusCode::BAD_GATEWAY, Reason::OriginUnreachable)
            }
            OriginError::Timeout { .. } => {
                self.failed(StatusCode::GATEWAY_TIMEOUT, Reason::OriginTimeout)
            }
            OriginError::HeadTooLarge(_) => {
                self.failed(StatusCode::BAD_GATEWAY, Reason::OriginHeadTooLarge)
            }
            OriginError::Broken(_) | OriginError::Target(_) => {
                self.failed(StatusCode::BAD_GATEWAY, Reason::OriginBroken)
            }
        }
    }
}
