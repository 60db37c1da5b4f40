//! The phases of a request: the states of one machine, the same for both wires.
//!
//! # Invariants
//! - The claim of a fill is taken when its miss is decided; who waited in vain takes a new one.
//! - Who waited gets a page that is stored by looking it up, and one that is still arriving by
//!   asking the rule: so it is asked at hand-over as at any read.
//! - A request waits a bounded number of times; then it fetches alone.
//!
//! # Not here
//! Requests past the cache: `pass`. What a fill does: `fills`.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;
use tokio::sync::oneshot;

use super::body::Body;
use super::request::{Ask, Lookup, Refused};
use super::respond::{self, Answer, Page};
use crate::cache::{Entry, Filling, Flights, Landing, Lease, Role, Waiter};
use crate::model::{Key, PageHead};
use crate::pages::Pages;
use crate::pages::access::{self, Asked, Line};
use crate::pages::fills::fill::Fill;
use crate::pages::fills::offer::{Offer, Taken};
use crate::pages::metrics::Counted;
use crate::pages::origins::upload::Upload;
use crate::pages::outcome::{Outcome, Reason};
use crate::pages::semantics::cache_status::Forward;
use crate::pages::semantics::directives::RequestDirectives;
use crate::pages::semantics::reuse::{self, Reuse};
use crate::pages::semantics::vary;

/// How often a miss joins somebody else's fill before it fetches alone.
const JOINS_MAX: usize = 2;

/// What memory has for a request.
pub(in crate::pages) enum Found {
    /// Something to serve.
    Fresh(Entry),
    /// Something to serve while it is refreshed.
    Stale(Entry),
    /// Something to ask the origin about.
    Expired(Entry),
    /// Nothing, but perhaps a page of this URL for other requests.
    Nothing(Option<Entry>),
}

/// Where a request stands. Each phase leads to another; `Done` is the last.
enum Phase {
    /// Memory is asked.
    LookUp,
    /// It is there.
    Hit(Entry, Outcome),
    /// It is there, and is to be refreshed.
    HitStale(Entry),
    /// It is not there, but this may be asked about.
    Missed(Option<Entry>),
    /// It may be on its way.
    Join(Option<Entry>),
    /// It is on its way.
    Wait(Waiter<Offer>),
    /// This request fetches it for others too, unless it has come meanwhile.
    Lead(Lease<Offer>, Filling),
    /// The origin is asked, and the answer stored if it may be.
    Fetch(Option<Lease<Offer>>, Filling, Option<Entry>),
    /// The origin is asked for the head of what memory has.
    AskHead(Entry),
    /// The origin is asked, and nothing stored.
    Pass(Reason),
    /// The answer.
    Done(Box<Answer>),
}

/// A request on its way through the phases.
struct Course<'p> {
    pages: &'p Pages,
    ask: Arc<Ask>,
    key: Key,
    /// What its fill is shared under, where it is known that pages of this key have variants.
    variant: Option<Key>,
    joins: usize,
    /// What memory lacked at the last look.
    missed: Forward,
}

impl Pages {
    /// Answers one request.
    pub(in crate::pages) async fn answer(
        &self,
        request: Request<Upload>,
        ip: Option<IpAddr>,
    ) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let asked = access::is_on().then(|| Asked {
            client: ip,
            method: parts.method.clone(),
            target: parts.uri.clone(),
            begun: tokio::time::Instant::now(),
        });
        let mut site = None;
        let answer = match Ask::new(&self.shared.sites, parts, !body.is_end_stream(), ip) {
            Ok(ask) => {
                site = asked.as_ref().map(|_| Arc::clone(&ask.site));
                self.route(Arc::new(ask), body).await
            }
            Err(Refused { status, reason }) => {
                respond::own(status, Outcome::Refused, reason, self.now_ms())
            }
        };
        self.note(&answer);
        let Answer { response, outcome, reason } = answer;
        let Some(asked) = asked else { return response };
        let line = Line { asked, site, status: response.status(), outcome, reason, bytes: 0 };
        response.map(|body| Body::Logged(Box::new(body), Box::new(line)))
    }

    /// Counts an answer.
    pub(in crate::pages) fn note(&self, answer: &Answer) {
        self.shared.metrics.note_outcome(answer.outcome);
        if let Some(reason) = answer.reason {
            self.shared.metrics.note_not_stored(reason);
        }
    }

    async fn route(&self, ask: Arc<Ask>, body: Upload) -> Answer {
        match ask.lookup.clone() {
            Lookup::Under(key) => {
                let missed = Forward::UriMiss;
                Course { pages: self, ask, key, variant: None, joins: 0, missed }.run().await
            }
            Lookup::Not(reason) => {
                let body = Some(body).filter(|body| !body.is_end_stream());
                self.pass(ask, body, reason).await
            }
        }
    }

    /// Looks a request up and judges what is there.
    pub(in crate::pages) async fn find(&self, ask: &Ask, key: &Key) -> Found {
        let sites = &self.shared.sites;
        let owns = |head: &PageHead| sites.owns(&ask.site, ask.policy.as_deref(), head);
        let selects = |head: &PageHead| {
            owns(head) && vary::selects(&head.vary, &ask.headers, &ask.site.rules)
        };
        let cache = &self.shared.cache;
        let Some((page, verdict)) = cache.find_page(key, selects).await else {
            let other = cache.peek_page(key.as_bytes(), owns);
            return Found::Nothing(other.map(|(other, _)| other));
        };
        let Some(head) = page.page() else { return Found::Nothing(None) };
        let is_honoured = ask.site.rules.honours_clients;
        let client = is_honoured.then(|| RequestDirectives::of(&ask.headers));
        match reuse::reuse(head, verdict, client.as_ref(), self.now_ms()) {
            Reuse::Fresh => Found::Fresh(page),
            Reuse::Stale => Found::Stale(page),
            Reuse::Validate => Found::Expired(page),
            Reuse::Nothing => Found::Nothing(None),
        }
    }

    fn hit(&self, ask: &Ask, page: &Entry, outcome: Outcome) -> Answer {
        match page.page() {
            Some(head) => {
                let page = Page { head, body: &page.body_bytes() };
                respond::from_memory(ask, page, outcome, self.now_ms())
            }
            // `find` returns pages only.
            None => self.failed(StatusCode::BAD_GATEWAY, Reason::OriginBroken),
        }
    }

    pub(in crate::pages) fn failed(&self, status: StatusCode, reason: Reason) -> Answer {
        respond::own(status, Outcome::Failed, reason, self.now_ms())
    }
}

impl Course<'_> {
    async fn run(mut self) -> Answer {
        let mut phase = Phase::LookUp;
        loop {
            phase = match phase {
                Phase::LookUp => self.look_up().await,
                Phase::Hit(page, outcome) => self.done(self.pages.hit(&self.ask, &page, outcome)),
                Phase::HitStale(page) => self.hit_stale(page),
                Phase::Missed(base) => self.missed(base),
                Phase::Join(base) => self.join(base),
                Phase::Wait(waiter) => self.wait(waiter).await,
                Phase::Lead(lease, filling) => self.lead(lease, filling).await,
                Phase::Fetch(lease, filling, base) => self.fetch(lease, filling, base).await,
                Phase::AskHead(base) => {
                    let fill = self.fill(None, self.pages.shared.cache.begin_fill(&self.key), None);
                    self.done(fill.ask_head(base).await)
                }
                Phase::Pass(reason) => {
                    let answer = self.pages.pass(Arc::clone(&self.ask), None, reason).await;
                    self.done(answer)
                }
                Phase::Done(answer) => return *answer,
            };
        }
    }

    fn done(&self, answer: Answer) -> Phase {
        Phase::Done(Box::new(answer))
    }

    async fn look_up(&mut self) -> Phase {
        if let Some(answer) = self.pages.item(&self.ask).await {
            return self.done(answer);
        }
        match self.find().await {
            Found::Fresh(page) => Phase::Hit(page, Outcome::Hit),
            Found::Stale(page) => Phase::HitStale(page),
            Found::Expired(page) => Phase::Missed(Some(page)),
            Found::Nothing(_) => Phase::Missed(None),
        }
    }

    /// Asks memory, and remembers what it lacks and who else may lack the same.
    async fn find(&mut self) -> Found {
        let found = self.pages.find(&self.ask, &self.key).await;
        let (page, missed) = match &found {
            Found::Fresh(_) => return found,
            Found::Stale(page) | Found::Expired(page) => (Some(page), Forward::Stale),
            Found::Nothing(Some(other)) => (Some(other), Forward::VaryMiss),
            Found::Nothing(None) => (None, Forward::UriMiss),
        };
        self.missed = missed;
        if let Some(head) = page.and_then(|page| page.page()) {
            self.learn(head);
        }
        found
    }

    /// Shares fills from now on with those who select the same variant, by what a page varies by.
    fn learn(&mut self, head: &PageHead) {
        let (rules, seed) = (&self.ask.site.rules, &self.pages.shared.variant_seed);
        self.variant = vary::variant_of(&self.key, &head.vary, &self.ask.headers, rules, seed);
    }

    /// Where its fill is shared, and under what.
    fn flights(&self) -> (&Flights<Offer>, &Key) {
        match &self.variant {
            Some(variant) => (&self.pages.shared.variant_fills, variant),
            None => (&self.pages.shared.fills, &self.key),
        }
    }

    /// Serves a stale page at once; one request refreshes it in the background.
    fn hit_stale(&self, page: Entry) -> Phase {
        let pages = self.pages;
        let answer = pages.hit(&self.ask, &page, Outcome::Stale);
        let filling = pages.shared.cache.begin_fill(&self.key);
        let (fills, under) = self.flights();
        if let Role::Leader(lease) = fills.join(under) {
            let fill = self.fill(Some(lease), filling, Some(page));
            pages.shared.tasks.spawn_until_stop(fill.refresh());
        }
        self.done(answer)
    }

    /// What memory can't answer: not all of it is filled.
    fn missed(&self, base: Option<Entry>) -> Phase {
        if RequestDirectives::of(&self.ask.headers).only_if_cached {
            let (status, reason) = (StatusCode::GATEWAY_TIMEOUT, Reason::OnlyIfCached);
            let now_ms = self.pages.now_ms();
            return self.done(respond::own(status, Outcome::Refused, reason, now_ms));
        }
        match (self.ask.has_range(), &self.ask.method) {
            (true, _) => Phase::Pass(Reason::Range),
            (false, &Method::HEAD) => match base {
                Some(base) => Phase::AskHead(base),
                None => Phase::Pass(Reason::HeadMiss),
            },
            (false, _) => Phase::Join(base),
        }
    }

    fn join(&mut self, base: Option<Entry>) -> Phase {
        // Before joining: a claim may only be older than what it is made for.
        let filling = self.pages.shared.cache.begin_fill(&self.key);
        let is_alone = self.joins == JOINS_MAX
            || self.pages.shared.uncacheable.is_known(&self.key, self.pages.now_ms());
        if is_alone {
            return Phase::Fetch(None, filling, base);
        }
        self.joins += 1;
        let (fills, under) = self.flights();
        match fills.join(under) {
            Role::Leader(lease) => Phase::Lead(lease, filling),
            Role::Waiter(waiter) => Phase::Wait(waiter),
        }
    }

    /// The fill before this one may have landed between look-up and joining.
    async fn lead(&mut self, lease: Lease<Offer>, filling: Filling) -> Phase {
        let base = match self.find().await {
            Found::Fresh(page) => return Phase::Hit(page, Outcome::Hit),
            Found::Stale(page) | Found::Expired(page) => Some(page),
            Found::Nothing(_) => None,
        };
        Phase::Fetch(Some(lease), filling, base)
    }

    async fn wait(&mut self, mut waiter: Waiter<Offer>) -> Phase {
        if waiter.count() > self.pages.shared.settings.waiters_max {
            let (status, reason) = (StatusCode::SERVICE_UNAVAILABLE, Reason::TooManyWaiting);
            return self.done(self.pages.failed(status, reason));
        }
        let missed = self.missed;
        let waiting = Counted::on(&self.pages.shared.metrics.waiting);
        let progress = waiter.offered().await;
        let landing = match (progress.offer, progress.landing) {
            (Some(Offer::Failed(status, reason)), _) => {
                return self.done(self.pages.failed(status, reason));
            }
            (Some(Offer::Page(arriving)), None) => {
                match self.pages.take(&self.ask, &arriving, missed) {
                    Taken::Answer(answer) => return Phase::Done(answer),
                    Taken::OutOfDate => {
                        let (fills, under) = self.flights();
                        fills.retire(under, &waiter);
                        Landing::Abandoned
                    }
                    Taken::OtherVariant => {
                        // Nothing to wait for: those of this variant have a fill of theirs.
                        self.learn(&arriving.head);
                        return Phase::Join(None);
                    }
                    Taken::Other => {
                        drop(arriving);
                        waiter.landed().await
                    }
                }
            }
            (_, Some(landing)) => landing,
            (None, None) => Landing::Abandoned,
        };
        drop(waiting);
        let base = match self.find().await {
            Found::Fresh(page) => return Phase::Hit(page, Outcome::Collapsed(missed)),
            Found::Stale(page) => return Phase::HitStale(page),
            Found::Expired(page) => Some(page),
            Found::Nothing(_) => None,
        };
        match landing {
            Landing::NotStored => {
                Phase::Fetch(None, self.pages.shared.cache.begin_fill(&self.key), base)
            }
            Landing::Stored | Landing::Abandoned => Phase::Join(base),
        }
    }

    async fn fetch(
        &self,
        lease: Option<Lease<Offer>>,
        filling: Filling,
        base: Option<Entry>,
    ) -> Phase {
        let (reply, answer) = oneshot::channel();
        // A task of its own: others wait for it, and the client may go away.
        self.pages.shared.tasks.spawn(self.fill(lease, filling, base).run(reply));
        let gone = || self.pages.failed(StatusCode::SERVICE_UNAVAILABLE, Reason::Stopping);
        self.done(answer.await.unwrap_or_else(|_| gone()))
    }

    fn fill(&self, lease: Option<Lease<Offer>>, filling: Filling, base: Option<Entry>) -> Fill {
        let (pages, ask) = (self.pages.clone(), Arc::clone(&self.ask));
        let missed = self.missed;
        let (key, canonical) = (self.key.clone(), OnceLock::new());
        Fill { pages, ask, key, filling, lease, base, missed, canonical }
    }
}
