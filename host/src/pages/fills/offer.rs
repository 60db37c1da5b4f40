//! What a fill shows to those who wait for it, as soon as it is known: the page while it is still
//! arriving, or that there is none.
//!
//! # Invariants
//! - A page is handed over only if the freshness rule admits the fill at that moment: who came
//!   after an invalidation that the fill's claim does not include never gets it.
//! - That an origin does not answer is no data: everybody who waited is told so at once, instead of
//!   asking it again.

use std::sync::Arc;

use http::StatusCode;
use http::header::CACHE_CONTROL;

use super::growing::Growing;
use crate::cache::Pending;
use crate::model::PageHead;
use crate::pages::Pages;
use crate::pages::course::body::Body;
use crate::pages::course::request::Ask;
use crate::pages::course::respond::{self, Answer};
use crate::pages::outcome::Reason;
use crate::pages::semantics::cache_status::Forward;
use crate::pages::semantics::vary;

/// What a leader offers.
#[derive(Clone)]
pub(crate) enum Offer {
    /// A page that will be stored when it is whole.
    Page(Arc<Arriving>),
    /// The origin did not answer.
    Failed(StatusCode, Reason),
}

/// A page whose head is there and whose body grows.
pub(crate) struct Arriving {
    pub(crate) pending: Pending,
    pub(crate) head: PageHead,
    pub(crate) body: Arc<Growing>,
}

/// What an offer is to one who waited.
pub(crate) enum Taken {
    /// The answer.
    Answer(Box<Answer>),
    /// Older than what was invalidated before he came, or since.
    OutOfDate,
    /// A variant of it for other requests.
    OtherVariant,
    /// Not what he asked for, or not from its beginning.
    Other,
}

impl Pages {
    /// Answers a request with a page that is still arriving, if it may.
    pub(in crate::pages) fn take(&self, ask: &Ask, arriving: &Arriving, missed: Forward) -> Taken {
        if !self.shared.cache.admits(&arriving.pending) {
            return Taken::OutOfDate;
        }
        let (head, rules) = (&arriving.head, &ask.site.rules);
        if rules.honours_clients && ask.headers.contains_key(CACHE_CONTROL) {
            return Taken::Other;
        }
        if !self.shared.sites.owns(&ask.site, ask.policy.as_deref(), head) {
            return Taken::Other;
        }
        if !vary::selects(&head.vary, &ask.headers, rules) {
            return Taken::OtherVariant;
        }
        let Some(reader) = arriving.body.reader() else { return Taken::Other };
        let body = Body::Fill(reader);
        let answer = respond::arriving(ask, head, body, missed, self.now_ms());
        Taken::Answer(Box::new(answer))
    }
}
