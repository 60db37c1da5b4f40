//! A fill: asks the origin, hands the answer on while it collects it, and stores what was whole.
//!
//! # Invariants
//! - A fill is a task of its own. It ends whole, too large or broken, whatever its client does.
//! - Who waits is released as soon as it is known that nothing will be stored.
//! - A page is stored before its last byte is handed on: who has read it will find it.
//!
//! # Not here
//! What a 304 does: `revalidate`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::oneshot;

use super::Pages;
use super::body::{self, Sink};
use super::freshness::Timing;
use super::outcome::Reason;
use super::purge::KeyUnknown;
use super::request::Ask;
use super::respond::{self, Answer};
use super::reuse::Failure;
use super::storable::{self, Framing, Plan, Terms};
use super::{conditional, forward, policy_hook, tags, vary};
use crate::cache::{Claim, Handle, Landing, Lease, Refusal};
use crate::limits::FILL_MS_MAX;
use crate::model::{Content, Key, Kind, PageHead};

/// The work of one miss.
pub(super) struct Fill {
    pub(super) pages: Pages,
    pub(super) ask: Arc<Ask>,
    pub(super) key: Key,
    /// Taken when the miss was decided.
    pub(super) claim: Claim,
    /// Held by the one that others wait for.
    pub(super) lease: Option<Lease>,
    /// What memory has and the origin is asked about.
    pub(super) base: Option<Handle>,
}

/// The head of an answer, ready for clients.
struct Head {
    status: StatusCode,
    headers: HeaderMap,
    framing: Framing,
    timing: Timing,
}

impl Fill {
    /// Runs to the end of the answer's body; the head goes to `reply` as soon as it is there.
    pub(super) async fn run(mut self, reply: oneshot::Sender<Answer>) {
        let answer = loop {
            let requested_ms = self.pages.now_ms();
            let mut headers = self.ask.headers.clone();
            conditional::remove_conditions(&mut headers);
            if let Some(base) = self.base.as_ref().and_then(|base| base.page()) {
                conditional::add_validators(&mut headers, &base.headers, requested_ms);
            }
            self.pages.announce(&self.ask, &mut headers);
            let asked = self.pages.ask_origin(&self.ask, &Method::GET, headers, None).await;
            let response = match asked {
                Ok(response) => response,
                Err(error) => match self.stale_instead(Failure::Disconnected).await {
                    Some(stale) => break stale,
                    None => break self.pages.origin_failed(&self.ask, &error),
                },
            };
            let timing = Timing { requested_ms, received_ms: self.pages.now_ms() };
            if let Some(stale) = self.stale_instead(Failure::Status(response.status())).await {
                break stale;
            }
            if response.status() != StatusCode::NOT_MODIFIED {
                return self.receive(response, timing, reply).await;
            }
            let Some(base) = self.base.take() else {
                // Not what an unconditional request is answered with.
                break self.pages.failed(StatusCode::BAD_GATEWAY, Reason::OriginBroken);
            };
            if let Some(answer) = self.freshen(&base, response.headers(), timing).await {
                break answer;
            }
            // What the origin spoke of is no longer valid: ask for all of it, as of now.
            self.claim = self.pages.shared.cache.claim();
        };
        self.land(Landing::NotStored);
        // The client may be gone.
        let _ = reply.send(answer);
    }

    /// Hands on a whole answer, collecting it if it may be stored.
    async fn receive(
        mut self,
        response: Response<Incoming>,
        timing: Timing,
        reply: oneshot::Sender<Answer>,
    ) {
        let (parts, incoming) = response.into_parts();
        if parts.status.is_informational() {
            self.land(Landing::NotStored);
            let _ = reply.send(self.pages.failed(StatusCode::BAD_GATEWAY, Reason::OriginBroken));
            return;
        }
        let framing = Framing::of(parts.status, &parts.headers);
        let mut headers = parts.headers;
        forward::clean_response(&mut headers);
        let terms = self.terms(parts.status, &headers, framing, timing);
        let view = self
            .ask
            .view
            .as_ref()
            .filter(|_| terms.is_ok())
            .map(|_| policy_hook::response_view(parts.status, &headers, framing.bytes()));
        self.finish_head(&mut headers, timing);
        let head = Head { status: parts.status, headers, framing, timing };
        let terms = match terms {
            Ok(terms) => terms,
            Err(reason) => {
                self.land(Landing::NotStored);
                let idle_timeout_ms = self.pages.shared.settings.body_idle_timeout_ms;
                let body = body::passing(incoming, idle_timeout_ms);
                let Head { status, headers, .. } = head;
                let reason = Some(reason);
                let now_ms = head.timing.received_ms;
                let answer = respond::from_origin(&self.ask, status, headers, body, reason, now_ms);
                let _ = reply.send(answer);
                return;
            }
        };
        let (sink, body) = body::fill(framing.bytes());
        let (status, headers) = (head.status, head.headers.clone());
        let answer =
            respond::from_origin(&self.ask, status, headers, body, None, timing.received_ms);
        // A client that is gone, or was answered 304, has dropped the reading end by now.
        let _ = reply.send(answer);
        let plan = match self.settle(terms, view).await {
            Ok(plan) => {
                if plan.is_to_be_asked_about() {
                    // Who waits has to ask on its own: no need to wait for the body too.
                    self.land(Landing::NotStored);
                }
                Some(plan)
            }
            Err(reason) => {
                self.give_up(reason);
                None
            }
        };
        self.pump(head, plan, incoming, sink).await;
    }

    /// What HTTP says about storing an answer, as far as its head tells.
    fn terms(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        framing: Framing,
        timing: Timing,
    ) -> Result<Terms, Reason> {
        let limit = self.pages.shared.cache.config().item_bytes_max as u64;
        let rules = &self.ask.site.rules;
        let terms = storable::judge(&self.ask.headers, status, headers, timing, rules)?;
        match framing {
            Framing::Close if !rules.stores_close_delimited => Err(Reason::CloseDelimited),
            Framing::Length(bytes) if bytes > limit => Err(Reason::TooLarge),
            // Without a policy it can be said now, and who waits need not wait for the body.
            _ if self.ask.site.policy.is_none() => terms.clone().settle(None).map(|_| terms),
            _ => Ok(terms),
        }
    }

    /// What the policy makes of the terms.
    pub(super) async fn settle(
        &self,
        terms: Terms,
        view: Option<crate::model::ResponseView>,
    ) -> Result<Plan, Reason> {
        let decision = match (&self.ask.site.policy, &self.ask.view, view) {
            (Some(policy), Some(request), Some(response)) => {
                match policy.on_store(&self.key, request, &response).await {
                    Ok(decision) => decision,
                    Err(error) => {
                        let site = &self.ask.site.name;
                        tracing::warn!(%site, policy = policy.name(), %error, "on store");
                        return Err(Reason::PolicyStoreFailed);
                    }
                }
            }
            _ => None,
        };
        terms.settle(decision)
    }

    /// Makes a head what clients get of it.
    pub(super) fn finish_head(&self, headers: &mut HeaderMap, timing: Timing) {
        tags::strip(headers, &self.ask.site.rules);
        respond::ensure_date(headers, timing.received_ms);
        vary::add_names(headers, &self.pages.policy_names(&self.ask));
    }

    /// Hands the body on and collects it while there is a plan to store it.
    async fn pump(mut self, head: Head, mut plan: Option<Plan>, mut body: Incoming, sink: Sink) {
        let limit = self.pages.shared.cache.config().item_bytes_max;
        let idle = Duration::from_millis(self.pages.shared.settings.body_idle_timeout_ms);
        let too_slow = tokio::time::sleep(Duration::from_millis(FILL_MS_MAX));
        tokio::pin!(too_slow);
        let mut collected = Collected::default();
        loop {
            let frame = tokio::select! {
                frame = tokio::time::timeout(idle, body.frame()) => frame,
                () = &mut too_slow, if plan.is_some() => {
                    plan = None;
                    self.give_up(Reason::TooSlow);
                    continue;
                }
            };
            let data = match frame {
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
                Ok(None) => break,
                // Dropping the sink without an end tells the client.
                Ok(Some(Err(_))) | Err(_) => return self.give_up(Reason::Truncated),
            };
            if plan.is_some() {
                collected.push(data.clone());
            }
            if collected.bytes > limit {
                collected = Collected::default();
                plan = None;
                self.give_up(Reason::TooLarge);
            }
            let is_streamed = plan.is_none();
            if head.framing.bytes() == Some(collected.bytes as u64)
                && let Some(plan) = plan.take()
            {
                self.store(&head, &plan, collected.join());
            }
            let is_read = sink.send(data);
            if is_streamed {
                if !is_read {
                    return;
                }
                sink.caught_up().await;
            }
        }
        if let Some(plan) = plan {
            self.store(&head, &plan, collected.join());
        }
        sink.end();
    }

    /// Stores a whole answer and releases those who wait for it.
    fn store(&mut self, head: &Head, plan: &Plan, body: Bytes) {
        let plugin = self.ask.site.policy.as_ref().map(|policy| policy.name());
        let received_ms = head.timing.received_ms;
        let url = self.pages.shared.sites.canonical_url(&self.ask.site, &self.ask.address);
        let kept = url.map_err(|KeyUnknown| Reason::PolicyKeyFailed).and_then(|url| {
            let stored = plan.head(&url, head.status, &head.headers, received_ms, plugin);
            self.keep(stored, plan, body)
        });
        match kept {
            Ok(_) => self.land(Landing::Stored),
            Err(reason) => {
                self.pages.shared.metrics.note_not_stored(reason);
                // An invalidation came between: the next one fills anew. The rest wait in vain.
                self.land(match reason {
                    Reason::Fenced => Landing::Abandoned,
                    Reason::Older => Landing::Stored,
                    _ => Landing::NotStored,
                });
            }
        }
    }

    pub(super) fn keep(
        &self,
        mut head: PageHead,
        plan: &Plan,
        body: Bytes,
    ) -> Result<Handle, Reason> {
        storable::set_length(&mut head, body.len());
        let expires = storable::expiry(&head);
        let mut tags = plan.tags.clone();
        let site = self.pages.shared.sites.scope(&self.ask.site);
        tags::add_scoped(&mut tags, &head.headers, site)?;
        let content = Content { body, kind: Kind::Page(Arc::new(head)), expires, tags };
        self.pages.shared.cache.store_page(&self.key, self.claim, content).map_err(|refusal| {
            match refusal {
                Refusal::Fenced => Reason::Fenced,
                Refusal::Older => Reason::Older,
                Refusal::TooLarge { .. } => Reason::TooLarge,
                Refusal::TooManyTags { .. } => Reason::TooManyTags,
                Refusal::Full | Refusal::FenceFull(_) => Reason::Full,
            }
        })
    }

    fn give_up(&mut self, reason: Reason) {
        self.pages.shared.metrics.note_not_stored(reason);
        self.land(Landing::NotStored);
    }

    pub(super) fn land(&mut self, landing: Landing) {
        if let Some(lease) = self.lease.take() {
            lease.land(landing);
        }
    }
}

/// What has come of a body.
#[derive(Default)]
struct Collected {
    chunks: Vec<Bytes>,
    bytes: usize,
}

impl Collected {
    fn push(&mut self, data: Bytes) {
        self.bytes += data.len();
        self.chunks.push(data);
    }

    /// One copy of all chunks, which keeps no network buffer alive.
    fn join(&self) -> Bytes {
        let mut whole = Vec::with_capacity(self.bytes);
        for chunk in &self.chunks {
            whole.extend_from_slice(chunk);
        }
        Bytes::from(whole)
    }
}
