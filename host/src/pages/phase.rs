//! The course of a request, one function for each phase: examine, look up, hit, miss, pass.
//!
//! # Invariants
//! - The claim of a fill is taken when its miss is decided; who waited in vain takes a new one.
//! - Who waited looks the page up itself, so the freshness rule is asked at hand-over.
//! - An answer to an unsafe method is sent after what it makes wrong has been invalidated; this
//!   happens also when the client does not wait for the answer.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use tokio::sync::oneshot;

use super::Pages;
use super::body::{self, Body};
use super::directives::RequestDirectives;
use super::fill::Fill;
use super::metrics::Waiting;
use super::origin::OriginError;
use super::outcome::{Outcome, Reason};
use super::request::{Ask, Lookup, Refused};
use super::respond::{self, Answer, Page};
use super::reuse::{self, Reuse};
use super::{forward, tags, vary};
use crate::cache::{Handle, Landing, Role};
use crate::model::{Cause, Invalidation, Key, Mode, PageHead, Target};

/// How often a miss joins somebody else's fill before it fetches alone.
const JOINS_MAX: usize = 2;

/// What memory has for a request.
pub(super) enum Found {
    /// Something to serve.
    Fresh(Handle),
    /// Something to serve while it is refreshed.
    Stale(Handle),
    /// Something to ask the origin about.
    Expired(Handle),
    /// Nothing.
    Nothing,
}

impl Pages {
    /// Answers one request.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        ip: Option<IpAddr>,
    ) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let method = parts.method.clone();
        let uri = parts.uri.clone();
        let answer = match Ask::new(&self.shared.sites, parts, !body.is_end_stream(), ip) {
            Ok(ask) => self.route(Arc::new(ask), body).await,
            Err(Refused { status, reason }) => {
                respond::own(status, Outcome::Refused, reason, self.now_ms())
            }
        };
        self.shared.metrics.note_outcome(answer.outcome);
        if let Some(reason) = answer.reason {
            self.shared.metrics.note_not_stored(reason);
        }
        tracing::debug!(
            %method,
            %uri,
            status = answer.response.status().as_u16(),
            outcome = answer.outcome.as_str(),
            reason = answer.reason.map(Reason::as_str),
            "request"
        );
        answer.response
    }

    async fn route(&self, ask: Arc<Ask>, body: Incoming) -> Answer {
        let key = match &ask.lookup {
            Lookup::Under(key) => key.clone(),
            Lookup::Not(reason) => {
                let reason = *reason;
                return self
                    .pass(ask, Some(body).filter(|body| !body.is_end_stream()), reason)
                    .await;
            }
        };
        let found = self.find(&ask, &key).await;
        let base = match found {
            Found::Fresh(page) => return self.hit(&ask, &page, Outcome::Hit),
            Found::Stale(page) => return self.hit_stale(&ask, &key, page),
            Found::Expired(page) => Some(page),
            Found::Nothing => None,
        };
        if RequestDirectives::of(&ask.headers).only_if_cached {
            let (status, reason) = (StatusCode::GATEWAY_TIMEOUT, Reason::OnlyIfCached);
            return respond::own(status, Outcome::Refused, reason, self.now_ms());
        }
        match (ask.has_range(), &ask.method) {
            (true, _) => self.pass(ask, None, Reason::Range).await,
            (false, &Method::HEAD) => match base {
                Some(base) => {
                    let claim = self.shared.cache.claim();
                    let fill =
                        Fill { pages: self.clone(), ask, key, claim, lease: None, base: None };
                    fill.ask_head(base).await
                }
                None => self.pass(ask, None, Reason::HeadMiss).await,
            },
            (false, _) => self.miss(ask, key, base).await,
        }
    }

    /// Looks a request up and judges what is there.
    pub(super) async fn find(&self, ask: &Ask, key: &Key) -> Found {
        let sites = &self.shared.sites;
        let selects = |head: &PageHead| {
            sites.owns(&ask.site, head) && vary::selects(&head.vary, &ask.headers, &ask.site.rules)
        };
        let Some((page, verdict)) = self.shared.cache.find_page(key, selects).await else {
            return Found::Nothing;
        };
        let Some(head) = page.page() else { return Found::Nothing };
        let is_honoured = ask.site.rules.honours_clients;
        let client = is_honoured.then(|| RequestDirectives::of(&ask.headers));
        match reuse::reuse(head, verdict, client.as_ref(), self.now_ms()) {
            Reuse::Fresh => Found::Fresh(page),
            Reuse::Stale => Found::Stale(page),
            Reuse::Validate => Found::Expired(page),
            Reuse::Nothing => Found::Nothing,
        }
    }

    fn hit(&self, ask: &Ask, page: &Handle, outcome: Outcome) -> Answer {
        match page.page() {
            Some(head) => {
                let page = Page { head, body: &page.body_bytes() };
                respond::from_memory(ask, page, outcome, self.now_ms())
            }
            // `find` returns pages only.
            None => self.failed(StatusCode::BAD_GATEWAY, Reason::OriginBroken),
        }
    }

    /// Serves a stale page at once; one request refreshes it in the background.
    fn hit_stale(&self, ask: &Arc<Ask>, key: &Key, page: Handle) -> Answer {
        let answer = self.hit(ask, &page, Outcome::Stale);
        let claim = self.shared.cache.claim();
        if let Role::Leader(lease) = self.shared.cache.join_fill(key) {
            self.shared.metrics.refreshes.inc();
            let fill = Fill {
                pages: self.clone(),
                ask: Arc::clone(ask),
                key: key.clone(),
                claim,
                lease: Some(lease),
                base: Some(page),
            };
            // Nobody waits for the answer.
            let (reply, _) = oneshot::channel();
            self.shared.tasks.spawn_until_stop(fill.run(reply));
        }
        answer
    }

    /// Fills, or waits for the fill that is under way.
    async fn miss(&self, ask: Arc<Ask>, key: Key, mut base: Option<Handle>) -> Answer {
        let mut lease = None;
        for _ in 0..JOINS_MAX {
            // Before joining: a claim may only be older than what it is made for.
            let claim = self.shared.cache.claim();
            let role = self.shared.cache.join_fill(&key);
            let outcome = match role {
                // The fill before this one may have landed between look-up and joining.
                Role::Leader(won) => {
                    lease = Some((won, claim));
                    Outcome::Hit
                }
                Role::Waiter(waiter) => {
                    let waiting = Waiting::on(&self.shared.metrics);
                    let landing = waiter.landed().await;
                    drop(waiting);
                    if landing == Landing::NotStored {
                        break;
                    }
                    Outcome::Collapsed
                }
            };
            base = match self.find(&ask, &key).await {
                Found::Fresh(page) => return self.hit(&ask, &page, outcome),
                Found::Stale(page) if lease.is_none() => return self.hit_stale(&ask, &key, page),
                Found::Stale(page) | Found::Expired(page) => Some(page),
                Found::Nothing => None,
            };
            if lease.is_some() {
                break;
            }
        }
        let (lease, claim) = match lease {
            Some((lease, claim)) => (Some(lease), claim),
            None => (None, self.shared.cache.claim()),
        };
        let fill = Fill { pages: self.clone(), ask, key, claim, lease, base };
        let (reply, answer) = oneshot::channel();
        // A task of its own: others wait for it, and the client may go away.
        self.shared.tasks.spawn(fill.run(reply));
        let gone = || self.failed(StatusCode::SERVICE_UNAVAILABLE, Reason::Stopping);
        answer.await.unwrap_or_else(|_| gone())
    }

    /// Asks the origin and stores nothing.
    async fn pass(&self, ask: Arc<Ask>, body: Option<Incoming>, reason: Reason) -> Answer {
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

    async fn exchange(&self, ask: &Ask, body: Option<Incoming>, reason: Reason) -> Answer {
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
        tags::strip(&mut headers, &ask.site.rules);
        let now_ms = self.now_ms();
        respond::ensure_date(&mut headers, now_ms);
        if matches!(ask.method, Method::GET | Method::HEAD) {
            vary::add_names(&mut headers, &self.policy_names(ask));
        }
        let body = body::passing(body, self.shared.settings.body_idle_timeout_ms);
        respond::from_origin(ask, status, headers, body, Some(reason), now_ms)
    }

    pub(super) async fn invalidate(&self, targets: Vec<Target>) {
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

    pub(super) fn failed(&self, status: StatusCode, reason: Reason) -> Answer {
        respond::own(status, Outcome::Failed, reason, self.now_ms())
    }
}
