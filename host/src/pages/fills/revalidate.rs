//! What an answer of the origin does to the page that it was asked about: a 304 (RFC 9111 §4.3.4),
//! an answer to HEAD (§4.3.5), and a failure (§4.3.3).
//!
//! # Invariants
//! - A 304 makes a page fresh only if the fence still lets it live, and then with the claim that
//!   was taken before the conditional request.
//! - A page keeps the tags that its body was built with, whatever the 304 says.
//! - A page keeps what it was selected by, unless the 304 says otherwise: its stored `Vary` also
//!   names what the policy looks at, and that makes no variants.

use std::sync::OnceLock;

use http::header::VARY;
use http::{HeaderMap, Method};

use super::fill::Fill;
use crate::cache::{Entry, Landing};
use crate::model::{PageHead, Target};
use crate::pages::course::body;
use crate::pages::course::respond::{self, Answer, Page};
use crate::pages::outcome::{Outcome, Reason};
use crate::pages::semantics::freshening::HeadSays;
use crate::pages::semantics::freshness::{self, Timing};
use crate::pages::semantics::reuse::{self, Failure};
use crate::pages::semantics::storable::{self, Place, Plan};
use crate::pages::semantics::{forward, freshening, tags};

impl Fill {
    /// Makes what memory has fresh again (RFC 9111 §4.3.4) and answers with it; `None` if it is not
    /// valid any more, or not what the origin spoke of.
    pub(super) async fn freshen(
        &mut self,
        base: &Entry,
        not_modified: &HeaderMap,
        timing: Timing,
    ) -> Option<Answer> {
        let old = base.page()?;
        let mut update = not_modified.clone();
        forward::clean_response(&mut update);
        // A 304 without a date is as new as its arrival, not as old as the page.
        respond::ensure_date(&mut update, timing.received_ms);
        if !freshening::confirms(&update, &old.headers) {
            return None;
        }
        let mut headers = freshening::merged(&old.headers, &update);
        let is_selected_anew = update.contains_key(VARY);
        let vary = match is_selected_anew {
            true => None,
            false => headers.remove(VARY).map(|_| old.headers.get_all(VARY)),
        };
        let rules = &self.ask.site.rules;
        let terms = storable::judge(&self.ask.headers, old.status, &headers, timing, rules);
        for line in vary.into_iter().flatten() {
            headers.append(VARY, line.clone());
        }
        let view = self.shown(old.status, &headers, Some(base.body().len() as u64));
        self.finish_head(&mut headers, timing);
        let settled = match terms {
            Ok(terms) => self.settle(terms, view).await,
            Err(reason) => Err(reason),
        };
        let plan = settled.and_then(|mut plan| {
            if !is_selected_anew {
                plan.selection.clone_from(&old.vary);
            }
            // The body is as old as its old tags say; a new list alone would forget them.
            for tag in base.tags() {
                tags::add(&mut plan.tags, tag.clone())?;
            }
            Ok(plan)
        });
        // After every wait: from here to the store nothing may come between unseen.
        let is_this = |head: &PageHead| std::ptr::eq(head, &raw const **old);
        self.pages.shared.cache.find_page(&self.key, is_this).await?;
        self.serve_freshened(base, headers, plan, timing)
    }

    /// The page that the origin was asked about, if it may be served because the origin failed and
    /// the fence still lets it live.
    pub(super) async fn stale_instead(&self, failure: Failure) -> Option<Answer> {
        let base = self.base.as_ref()?;
        let head = base.page()?;
        let now_ms = self.pages.now_ms();
        if !reuse::may_serve_after(head, failure, now_ms) {
            return None;
        }
        let is_this = |other: &PageHead| std::ptr::eq(other, &raw const **head);
        self.pages.shared.cache.find_page(&self.key, is_this).await?;
        let page = Page { head, body: &base.body_bytes() };
        Some(respond::from_memory(&self.ask, page, Outcome::StaleIfError, now_ms))
    }

    /// Asks for the head of a page that is over its time, and learns from it about the page.
    pub(in crate::pages) async fn ask_head(mut self, base: Entry) -> Answer {
        let requested_ms = self.pages.now_ms();
        let mut headers = self.ask.headers.clone();
        self.pages.announce(&self.ask, &mut headers);
        let asked = self.pages.ask_origin(&self.ask, &Method::HEAD, headers, None).await;
        let (parts, incoming) = match asked {
            Ok(response) => response.into_parts(),
            Err(error) => return self.pages.origin_failed(&error),
        };
        let timing = Timing { requested_ms, received_ms: self.pages.now_ms() };
        let says =
            base.page().map(|head| freshening::head_says(head, parts.status, &parts.headers));
        match says {
            Some(HeadSays::Same) => {
                if let Some(answer) = self.freshen(&base, &parts.headers, timing).await {
                    return answer;
                }
            }
            Some(HeadSays::Another) => {
                let url = base.page().map(|head| Target::Url(head.url.clone()));
                self.pages.invalidate(url.into_iter().collect()).await;
            }
            Some(HeadSays::Nothing) | None => {}
        }
        let mut headers = parts.headers;
        forward::clean_response(&mut headers);
        self.finish_head(&mut headers, timing);
        let body = body::passing(incoming, self.pages.shared.settings.body_idle_timeout_ms);
        let (reason, now_ms) = ((None, Some(Reason::HeadMiss)), timing.received_ms);
        respond::from_origin(&self.ask, parts.status, headers, body, reason, now_ms)
    }

    fn serve_freshened(
        &mut self,
        base: &Entry,
        headers: HeaderMap,
        plan: Result<Plan, Reason>,
        timing: Timing,
    ) -> Option<Answer> {
        let old = base.page()?;
        let (now_ms, plugin) = (timing.received_ms, old.plugin.as_deref());
        let (head, reason) = match plan {
            Ok(plan) => {
                let place = Place { url: &old.url, site: &old.site, plugin };
                let head = plan.head(place, old.status, &headers, now_ms);
                let is_kept_long_enough = plan.is_to_be_asked_about()
                    && now_ms
                        < old.received_ms.saturating_add(storable::KEPT_FOR_VALIDATION_MS / 2);
                if is_kept_long_enough {
                    // The next use asks again: no need to write the page at each of them.
                    self.land(Landing::NotStored);
                    let page = Page { head: &head, body: &base.body_bytes() };
                    let outcome = Outcome::Revalidated;
                    return Some(respond::from_memory(&self.ask, page, outcome, now_ms));
                }
                match self.keep(head.clone(), &plan, base.body_bytes()) {
                    Ok(_) => {
                        self.land(Landing::Stored);
                        (head, None)
                    }
                    Err(Reason::Fenced) => return None,
                    Err(reason) => (head, Some(reason)),
                }
            }
            // Good for this answer, and for no other.
            Err(reason) => {
                let initial_age_ms = freshness::initial_age_ms(&headers, timing);
                let head = PageHead {
                    headers,
                    received_ms: now_ms,
                    initial_age_ms,
                    block: OnceLock::new(),
                    ..PageHead::clone(old)
                };
                (head, Some(reason))
            }
        };
        let page = Page { head: &head, body: &base.body_bytes() };
        let answer = respond::from_memory(&self.ask, page, Outcome::Revalidated, now_ms);
        Some(Answer { reason, ..answer })
    }
}
