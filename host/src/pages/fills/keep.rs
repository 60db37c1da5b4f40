//! What of an answer is stored, and storing it: the terms, the policy's word, head, tags and body.
//!
//! # Invariants
//! - What is stored passes the freshness rule with the fill's claim; what the fence refuses is told
//!   to those who wait, so that one of them fills anew.
//!
//! # Not here
//! Fetching: `fill`. What HTTP says about storing: `semantics::storable`.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::fill::{Fill, Head};
use crate::cache::{Entry, Landing, Refusal};
use crate::model::{Content, Kind, PageHead, ResponseView, Tag};
use crate::pages::course::purge::{Canonical, KeyUnknown};
use crate::pages::outcome::Reason;
use crate::pages::page_policy::{self, UnclearInput};
use crate::pages::semantics::freshness::Timing;
use crate::pages::semantics::storable::{self, Framing, Place, Plan, Terms};
use crate::pages::semantics::tags;
use crate::pages::wire::http1;

impl Fill {
    /// What HTTP says about storing an answer, as far as its head tells.
    pub(super) fn terms(
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
            _ if self.ask.policy.is_none() => terms.clone().settle(None).map(|_| terms),
            _ => Ok(terms),
        }
    }

    /// A response as the policy sees it, where there is one to ask.
    pub(super) fn shown(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body_bytes: Option<u64>,
    ) -> Option<Result<ResponseView, UnclearInput>> {
        let policy = self.ask.policy.as_deref().filter(|_| self.ask.view.is_some())?;
        Some(page_policy::response_view(policy, status, headers, body_bytes))
    }

    /// What the policy makes of the terms.
    pub(super) async fn settle(
        &self,
        terms: Terms,
        view: Option<Result<ResponseView, UnclearInput>>,
    ) -> Result<Plan, Reason> {
        let site = &self.ask.site.name;
        let view = view.transpose().map_err(|unclear| {
            tracing::debug!(%site, %unclear, "not stored: the policy can't be shown the answer");
            Reason::PolicyResponseUnclear
        })?;
        let decision = match (&self.ask.policy, &self.ask.view, view) {
            (Some(policy), Some(request), Some(response)) => {
                match policy.on_store(&self.key, request, &response).await {
                    Ok(decision) => decision,
                    Err(error) => {
                        tracing::debug!(%site, policy = policy.name(), %error, "on store");
                        return Err(Reason::PolicyStoreFailed);
                    }
                }
            }
            _ => None,
        };
        terms.settle(decision)
    }

    /// The head as it is stored, but for the length of its body.
    pub(super) fn stored_head(&self, head: &Head, plan: &Plan) -> Result<PageHead, Reason> {
        let plugin = self.ask.policy.as_ref().map(|policy| policy.mark());
        let received_ms = head.timing.received_ms;
        let url = &self.canonical()?.url;
        let place = Place { url, site: &self.ask.site.name, plugin };
        Ok(plan.head(place, head.status, &head.headers, received_ms))
    }

    /// Stores a whole answer and releases those who wait for it.
    pub(super) fn store(&mut self, head: &Head, plan: &Plan, body: Bytes) {
        let kept = self.stored_head(head, plan).and_then(|stored| self.keep(stored, plan, body));
        match kept {
            Ok(_) => {
                self.pages.shared.uncacheable.forget(&self.key);
                self.land(Landing::Stored);
            }
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
    ) -> Result<Entry, Reason> {
        storable::set_length(&mut head, body.len());
        head.block = http1::block(head.status, &head.headers).into();
        let expires = storable::expiry(&head);
        let tags = self.tags(plan, &head.headers)?;
        let content = Content { body, kind: Kind::Page(Arc::new(head)), expires, tags };
        self.pages.shared.cache.store_page(&self.filling, content).map_err(
            |refusal| match refusal {
                Refusal::Fenced => Reason::Fenced,
                Refusal::Older => Reason::Older,
                Refusal::TooLarge { .. } => Reason::TooLarge,
                Refusal::TooManyTags { .. } => Reason::TooManyTags,
                Refusal::Full | Refusal::FenceFull(_) => Reason::Full,
            },
        )
    }

    /// All tags that a page is kept with.
    pub(super) fn tags(&self, plan: &Plan, headers: &HeaderMap) -> Result<Vec<Tag>, Reason> {
        let mut tags = plan.tags.clone();
        let site = self.pages.shared.sites.scope(&self.ask.site);
        tags::add_scoped(&mut tags, headers, site)?;
        if let Some(tag) = &self.canonical()?.tag {
            tags::add(&mut tags, tag.clone())?;
        }
        Ok(tags)
    }

    /// What the page is kept under beside its key; the policy is asked once.
    fn canonical(&self) -> Result<&Canonical, Reason> {
        let canonical = self.canonical.get_or_init(|| {
            let policy = self.ask.policy.as_deref();
            let (sites, site) = (&self.pages.shared.sites, &self.ask.site);
            sites.canonical(site, policy, &self.ask.address)
        });
        canonical.as_ref().map_err(|KeyUnknown| Reason::PolicyKeyFailed)
    }
}
