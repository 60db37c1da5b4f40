//! A fill: asks the origin, hands the answer on while it collects it, and stores what was whole.
//!
//! # Invariants
//! - A fill is a task of its own. It ends whole, too large or broken, whatever its client does.
//! - Who waits is released as soon as it is known that nothing will be stored, and reads along as
//!   soon as it is known that something will; the death of the first client strands nobody.
//! - A page is stored before its last byte is handed on: who has read it will find it.
//!
//! # Not here
//! What of it is stored: `keep`. What a 304 does: `revalidate`.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::sync::oneshot;

use super::growing::{self, Growing, Writer};
use super::offer::{Arriving, Offer};
use crate::cache::{Entry, Filling, Landing, Lease};
use crate::limits::FILL_MS_MAX;
use crate::model::Key;
use crate::pages::Pages;
use crate::pages::course::body::{self, Body};
use crate::pages::course::purge::{Canonical, KeyUnknown};
use crate::pages::course::request::Ask;
use crate::pages::course::respond::{self, Answer};
use crate::pages::origins::OriginBody;
use crate::pages::outcome::Reason;
use crate::pages::semantics::cache_status::Forward;
use crate::pages::semantics::freshness::Timing;
use crate::pages::semantics::reuse::Failure;
use crate::pages::semantics::storable::{Framing, Plan};
use crate::pages::semantics::{conditional, forward, tags, vary};

/// The work of one miss.
pub(in crate::pages) struct Fill {
    pub(in crate::pages) pages: Pages,
    pub(in crate::pages) ask: Arc<Ask>,
    pub(in crate::pages) key: Key,
    /// Begun when the miss was decided.
    pub(in crate::pages) filling: Filling,
    /// Held by the one that others wait for.
    pub(in crate::pages) lease: Option<Lease<Offer>>,
    /// What memory has and the origin is asked about.
    pub(in crate::pages) base: Option<Entry>,
    /// What memory lacked.
    pub(in crate::pages) missed: Forward,
    /// Once it is needed.
    pub(in crate::pages) canonical: OnceLock<Result<Canonical, KeyUnknown>>,
}

/// The head of an answer, ready for clients.
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    framing: Framing,
    pub(super) timing: Timing,
}

impl Fill {
    /// Runs to the end of the answer's body; the head goes to `reply` as soon as it is there.
    pub(in crate::pages) async fn run(mut self, reply: oneshot::Sender<Answer>) {
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
                    None => {
                        let answer = self.pages.origin_failed(&error);
                        self.offer_failure(&answer);
                        break answer;
                    }
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
            self.filling = self.pages.shared.cache.begin_fill(&self.key);
        };
        self.land(Landing::NotStored);
        // The client may be gone.
        let _ = reply.send(answer);
    }

    /// Hands on a whole answer, collecting it if it may be stored.
    async fn receive(
        mut self,
        response: Response<OriginBody>,
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
        let view = match terms.is_ok() {
            true => self.shown(parts.status, &headers, framing.bytes()),
            false => None,
        };
        self.finish_head(&mut headers, timing);
        let head = Head { status: parts.status, headers, framing, timing };
        let terms = match terms {
            Ok(terms) => terms,
            Err(reason) => {
                self.remember(head.status, reason);
                self.land(Landing::NotStored);
                let idle_timeout_ms = self.pages.shared.settings.body_idle_timeout_ms;
                let body = body::passing(incoming, idle_timeout_ms);
                let Head { status, headers, .. } = head;
                let reason = (Some(self.missed), Some(reason));
                let now_ms = head.timing.received_ms;
                let answer = respond::from_origin(&self.ask, status, headers, body, reason, now_ms);
                let _ = reply.send(answer);
                return;
            }
        };
        let (writer, growing) = growing::growing(framing.bytes());
        let body = growing.reader().map_or(Body::Empty, Body::Fill);
        let (status, headers) = (head.status, head.headers.clone());
        let missed = (Some(self.missed), None);
        let answer =
            respond::from_origin(&self.ask, status, headers, body, missed, timing.received_ms);
        // A client that is gone, or was answered 304, has dropped the reading end by now.
        let _ = reply.send(answer);
        let plan = match self.settle(terms, view).await {
            Ok(plan) => {
                if plan.is_to_be_asked_about() {
                    // Who waits has to ask on its own: no need to wait for the body too.
                    self.land(Landing::NotStored);
                }
                self.offer_page(&head, &plan, growing);
                Some(plan)
            }
            Err(reason) => {
                self.remember(head.status, reason);
                self.give_up(reason, &writer);
                None
            }
        };
        self.pump(head, plan, incoming, writer).await;
    }

    /// Shows the page to those who wait, before its body is there.
    fn offer_page(&self, head: &Head, plan: &Plan, body: Arc<Growing>) {
        let Some(lease) = &self.lease else { return };
        let Ok(stored) = self.stored_head(head, plan) else { return };
        // What can't be judged is not handed over.
        let Ok(tags) = self.tags(plan, &stored.headers) else { return };
        let cache = &self.pages.shared.cache;
        if let Ok(pending) = cache.pending(&self.key, self.filling.claim(), &stored, &tags) {
            lease.offer(Offer::Page(Arc::new(Arriving { pending, head: stored, body })));
        }
    }

    /// Tells those who wait that there is nothing to wait for.
    fn offer_failure(&self, answer: &Answer) {
        if let (Some(lease), Some(reason)) = (&self.lease, answer.reason) {
            lease.offer(Offer::Failed(answer.response.status(), reason));
        }
    }

    /// Remembers that the next ones need not wait for each other.
    fn remember(&self, status: StatusCode, reason: Reason) {
        let now_ms = self.pages.now_ms();
        self.pages.shared.uncacheable.note(&self.key, status, reason, now_ms);
    }

    /// Makes a head what clients get of it.
    pub(super) fn finish_head(&self, headers: &mut HeaderMap, timing: Timing) {
        tags::strip(headers, &self.ask.site.rules);
        respond::ensure_date(headers, timing.received_ms);
        vary::add_names(headers, &self.pages.policy_names(&self.ask));
    }

    /// Hands the body on and collects it while there is a plan to store it.
    async fn pump(
        mut self,
        head: Head,
        mut plan: Option<Plan>,
        mut body: OriginBody,
        writer: Writer,
    ) {
        let limit = self.pages.shared.cache.config().item_bytes_max;
        let idle = Duration::from_millis(self.pages.shared.settings.body_idle_timeout_ms);
        let too_slow = tokio::time::sleep(Duration::from_millis(FILL_MS_MAX));
        tokio::pin!(too_slow);
        let mut collected_bytes = 0;
        loop {
            let frame = tokio::select! {
                frame = tokio::time::timeout(idle, body.frame()) => frame,
                () = &mut too_slow, if plan.is_some() => {
                    plan = None;
                    self.give_up(Reason::TooSlow, &writer);
                    continue;
                }
            };
            let data = match frame {
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
                Ok(None) => break,
                // Dropping the writer without an end tells the clients.
                Ok(Some(Err(_))) | Err(_) => return self.give_up(Reason::Truncated, &writer),
            };
            collected_bytes += data.len();
            if plan.is_some() && collected_bytes > limit {
                plan = None;
                self.remember(head.status, Reason::TooLarge);
                self.give_up(Reason::TooLarge, &writer);
            }
            let is_streamed = plan.is_none();
            let is_last = head.framing.bytes() == Some(collected_bytes as u64);
            if is_last && let Some(plan) = plan.take() {
                self.store(&head, &plan, writer.whole_with(&data));
            }
            writer.push(data);
            if is_streamed && !writer.caught_up().await {
                return;
            }
        }
        if let Some(plan) = plan {
            self.store(&head, &plan, writer.whole_with(&[]));
        }
        writer.end();
    }

    fn give_up(&mut self, reason: Reason, writer: &Writer) {
        writer.release();
        self.pages.shared.metrics.note_not_stored(reason);
        self.land(Landing::NotStored);
    }

    pub(super) fn land(&mut self, landing: Landing) {
        if let Some(lease) = self.lease.take() {
            lease.land(landing);
        }
    }
}
