//! Requests past the cache: asked, answered, and what they make wrong invalidated.
//!
//! # Invariants
//! - An answer to an unsafe method is sent after what it makes wrong has been invalidated; this
//!   happens also when the client does not wait for the answer.
//! - A change to another protocol is handed on only if the client asked for it, and as often at a
//!   time as there may be tunnels.

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode};
use tokio::sync::oneshot;

use super::Pages;
use super::body;
use super::origin::OriginError;
use super::outcome::Reason;
use super::request::Ask;
use super::respond::{self, Answer};
use super::upload::Upload;
use super::{forward, tags, vary};
use crate::model::{Cause, Invalidation, Mode, Target};

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
        let (parts, body) = match self.ask_origin(ask, &ask.method, headers, body).await {
            Ok(response) => response.into_parts(),
            Err(error) => {
                let is_seen = !matches!(error, OriginError::Connect(_) | OriginError::Target(_));
                if is_seen && !ask.is_safe() {
                    // Nobody knows what the origin did; invalid too often is right.
                    self.invalidate(self.shared.sites.made_wrong(ask, &HeaderMap::new())).await;
                }
                return self.origin_failed(ask, &error);
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
        tags::strip(&mut headers);
        respond::ensure_date(&mut headers, self.now_ms());
        if matches!(ask.method, Method::GET | Method::HEAD) {
            vary::add_names(&mut headers, &self.policy_names(ask));
        }
        let body = body::passing(body, self.shared.settings.body_idle_timeout_ms);
        respond::from_origin(ask, status, headers, body, Some(reason))
    }

    async fn invalidate(&self, targets: Vec<Target>) {
        let targets = targets.into_iter().map(|target| (target, Mode::Hard)).collect();
        let cause = Cause { source: "pages".to_owned(), event_id: None, at_ms: self.now_ms() };
        if let Err(error) = self.shared.cache.invalidate(Invalidation { targets, cause }).await {
            // In force in memory. The origin has acted already, so its answer stands.
            self.shared.metrics.invalidations_not_durable.inc();
            tracing::warn!(%error, "invalidation by an unsafe method");
        }
    }

    /// An answer for a request that the origin did not answer.
    pub(super) fn origin_failed(&self, ask: &Ask, error: &OriginError) -> Answer {
        tracing::warn!(site = %ask.site.name, %error, "origin");
        match error {
            OriginError::Connect(_) => {
                self.failed(StatusCode::BAD_GATEWAY, Reason::OriginUnreachable)
            }
            OriginError::Timeout { .. } => {
                self.failed(StatusCode::GATEWAY_TIMEOUT, Reason::OriginTimeout)
            }
            OriginError::Broken(_) | OriginError::Target(_) => {
                self.failed(StatusCode::BAD_GATEWAY, Reason::OriginBroken)
            }
        }
    }
}
