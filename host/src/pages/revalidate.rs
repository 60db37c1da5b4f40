//! What a 304 does to the page that was asked about (RFC 9111 §4.3.4).
//!
//! # Invariants
//! - A 304 makes a page fresh only if the fence still lets it live, and then with the claim that
//!   was taken before the conditional request.
//! - A page keeps the tags that its body was built with, whatever the 304 says.
//! - A page keeps what it was selected by, unless the 304 says otherwise: its stored `Vary` also
//!   names what the policy looks at, and that makes no variants.

use http::header::{AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, VARY};
use http::{HeaderMap, Response};
use hyper::body::Incoming;

use super::fill::Fill;
use super::freshness::{self, Timing};
use super::outcome::{Outcome, Reason};
use super::respond::{self, Answer, Page};
use super::storable::{self, Plan};
use super::{conditional, forward, policy_hook, tags};
use crate::cache::{Handle, Landing};
use crate::model::PageHead;

impl Fill {
    /// Makes what memory has fresh again (RFC 9111 §4.3.4) and answers with it; `None` if it is not
    /// valid any more, or not what the origin spoke of.
    pub(super) async fn freshen(
        &mut self,
        base: &Handle,
        not_modified: Response<Incoming>,
        timing: Timing,
    ) -> Option<Answer> {
        let old = base.page()?;
        let mut update = not_modified.headers().clone();
        forward::clean_response(&mut update);
        // A 304 without a date is as new as its arrival, not as old as the page.
        respond::ensure_date(&mut update, timing.received_ms);
        if !conditional::confirms(&update, &old.headers) {
            return None;
        }
        let mut headers = old.headers.clone();
        headers.remove(AGE);
        for name in update.keys().filter(|name| !is_of_the_body(name)) {
            headers.remove(name);
            for value in update.get_all(name) {
                headers.append(name.clone(), value.clone());
            }
        }
        let is_selected_anew = update.contains_key(VARY);
        let vary = match is_selected_anew {
            true => None,
            false => headers.remove(VARY).map(|_| old.headers.get_all(VARY)),
        };
        let terms = storable::judge(&self.ask.headers, old.status, &headers, timing);
        for line in vary.into_iter().flatten() {
            headers.append(VARY, line.clone());
        }
        let view = policy_hook::response_view(old.status, &headers, Some(base.body().len() as u64));
        self.finish_head(&mut headers, timing);
        let settled = match terms {
            Ok(terms) => self.settle(terms, Some(view)).await,
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

    fn serve_freshened(
        &mut self,
        base: &Handle,
        headers: HeaderMap,
        plan: Result<Plan, Reason>,
        timing: Timing,
    ) -> Option<Answer> {
        let old = base.page()?;
        let (now_ms, plugin) = (timing.received_ms, old.plugin.as_deref());
        let (head, reason) = match plan {
            Ok(plan) => {
                let head = plan.head(&old.url, old.status, &headers, now_ms, plugin);
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
                let head = PageHead { headers, received_ms: now_ms, ..PageHead::clone(old) };
                (PageHead { initial_age_ms, ..head }, Some(reason))
            }
        };
        let page = Page { head: &head, body: &base.body_bytes() };
        let answer = respond::from_memory(&self.ask, page, Outcome::Revalidated, now_ms);
        Some(Answer { reason, ..answer })
    }
}

/// Fields that describe the body that is kept, not the 304 (RFC 9111 §3.2).
fn is_of_the_body(name: &http::HeaderName) -> bool {
    [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_RANGE].contains(name)
}
