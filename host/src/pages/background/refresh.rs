//! Fetching a page anew in the background: because an event asked for it, or because a client was
//! served a stale one.
//!
//! # Invariants
//! - What is stale costs one request: a refresh that finds the page fresh again ends without asking
//!   the origin.
//! - Clients come first: a page whose refresh is waiting for its turn is not waited for.
//! - Of one site so many are fetched at a time, whatever other origins do; and many that are asked
//!   for at once begin spread over time.
//! - A page waits for one refresh at most, and the data of that is at least as new as its last
//!   event: the claim is taken after the page has left the queue.
//!
//! # Not here
//! When a client is served a stale page: `course::phase`.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use foldhash::fast::RandomState;
use http::header::HOST;
use http::{HeaderName, HeaderValue, Request};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};

use crate::cache::{Filling, Lease, Role};
use crate::limits::REFRESHES_WAITING_MAX;
use crate::model::Key;
use crate::pages::Pages;
use crate::pages::course::key::Address;
use crate::pages::course::phase::Found;
use crate::pages::course::request::{Ask, Lookup, Sites};
use crate::pages::fills::fill::Fill;
use crate::pages::fills::offer::Offer;
use crate::pages::semantics::cache_status::Forward;

/// Refreshes by events that run at a time for one site; clients come first.
pub(in crate::pages) const REFRESHES_PER_SITE_MAX: usize = 4;

/// For each page that waits already, the start of another one is put off by up to so much. One
/// alone begins at once.
const SPREAD_PER_WAITING_MS: u64 = 10;

/// No start is put off for longer by that.
const SPREAD_MS_MAX: u64 = 10_000;

/// Behind so many fills of its page a refresh waits; then it fetches beside the next one.
const FILLS_AWAITED_MAX: usize = 3;

/// The refreshes that wait and that run.
pub(in crate::pages) struct Refreshes {
    waiting: Mutex<HashSet<Key>>,
    /// Bounds those that run at a time, by the site's name.
    permits: HashMap<String, Arc<Semaphore>>,
    /// Makes the spread nothing that many servers of one origin have in common.
    seed: RandomState,
}

/// What becomes of a refresh.
#[derive(Debug, PartialEq, Eq)]
enum Queued {
    /// It begins after so long, and then when it is its turn.
    After(Duration),
    /// One of the page is waiting, and will be new enough.
    Already,
    /// Too many wait.
    Full,
}

impl Refreshes {
    pub(in crate::pages) fn new(sites: &Sites) -> Self {
        let permits = || Arc::new(Semaphore::new(REFRESHES_PER_SITE_MAX));
        Self {
            waiting: Mutex::default(),
            permits: sites.iter().map(|site| (site.name.clone(), permits())).collect(),
            seed: RandomState::default(),
        }
    }

    fn queue(&self, key: &Key) -> Queued {
        let mut waiting = self.waiting.lock();
        let before = waiting.len();
        if waiting.contains(key) {
            return Queued::Already;
        }
        if before >= REFRESHES_WAITING_MAX {
            return Queued::Full;
        }
        waiting.insert(key.clone());
        let spread_ms = (before as u64 * SPREAD_PER_WAITING_MS).min(SPREAD_MS_MAX);
        let chance = self.seed.hash_one((key, before));
        Queued::After(Duration::from_millis(chance % (spread_ms + 1)))
    }

    /// Puts a page back whose turn had come; `false` if it is there already for a later event.
    fn queue_again(&self, key: &Key) -> bool {
        self.waiting.lock().insert(key.clone())
    }

    /// Takes a page whose turn has come out of the queue.
    fn leave(&self, key: &Key) {
        self.waiting.lock().remove(key);
    }
}

impl Pages {
    /// Fetches the page of a URL in the background, as a plain GET without the inputs that a policy
    /// may look at. Does nothing where it is not looked up. The URL may be spelt as for
    /// [`Pages::targets_of_url`].
    pub fn refresh(&self, url: &str) {
        let Some(ask) = self.ask_for(url, &[]) else {
            tracing::info!(url, "refresh of what is no page of this server");
            return;
        };
        let Lookup::Under(key) = ask.lookup.clone() else { return };
        let refreshes = &self.shared.refreshes;
        let Some(permits) = refreshes.permits.get(&ask.site.name).map(Arc::clone) else { return };
        let after = match refreshes.queue(&key) {
            Queued::After(after) => after,
            Queued::Already => return,
            Queued::Full => {
                // What an event asks to refresh is softly purged, too: a visitor has it fetched.
                self.shared.metrics.refreshes_refused.inc();
                tracing::warn!(url, limit = REFRESHES_WAITING_MAX, "too many refreshes wait");
                return;
            }
        };
        let pages = self.clone();
        self.shared.tasks.spawn_until_stop(async move {
            tokio::time::sleep(after).await;
            pages.refresh_in_turn(ask, key, &permits).await;
        });
    }

    /// Fetches a page when it is its turn, and behind a fill that is under way: that may have begun
    /// before the event, and then what it brings is stale.
    async fn refresh_in_turn(self, ask: Ask, key: Key, permits: &Semaphore) {
        for awaited in 0.. {
            // Never closed.
            let Ok(permit) = permits.acquire().await else { return };
            self.shared.refreshes.leave(&key);
            if awaited > 0 && matches!(self.find(&ask, &key).await, Found::Fresh(_)) {
                return;
            }
            // Not before: who misses the page in the meantime fetches it without waiting here.
            let filling = self.shared.cache.begin_fill(&key);
            let lease = match self.shared.fills.join(&key) {
                Role::Leader(lease) => Some(lease),
                Role::Waiter(_) if awaited == FILLS_AWAITED_MAX => None,
                Role::Waiter(waiter) => {
                    drop((permit, filling));
                    if !self.shared.refreshes.queue_again(&key) {
                        return;
                    }
                    waiter.landed().await;
                    continue;
                }
            };
            return self.refresh_now(ask, key, filling, lease).await;
        }
    }

    async fn refresh_now(self, ask: Ask, key: Key, filling: Filling, lease: Option<Lease<Offer>>) {
        self.shared.metrics.refreshes.inc();
        let ask = Arc::new(ask);
        // Nobody waits for the answer.
        let (reply, _) = oneshot::channel();
        let missed = Forward::Miss;
        let canonical = OnceLock::new();
        let fill = Fill { pages: self, ask, key, filling, lease, base: None, missed, canonical };
        fill.run(reply).await;
    }

    /// A GET of a URL by this server itself, with these fields.
    pub(super) fn ask_for(
        &self,
        url: &str,
        fields: &[(HeaderName, Option<HeaderValue>)],
    ) -> Option<Ask> {
        let address = Address::of_text(url).ok()?;
        let mut request = Request::get(address.url()).header(HOST, address.authority());
        for (name, value) in fields {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let (parts, ()) = request.body(()).ok()?.into_parts();
        Ask::new(&self.shared.sites, parts, false, None).ok()
    }
}

impl Fill {
    /// Fetches in the background what was served stale, unless that has been done: the fill before
    /// this one may have landed between look-up and joining.
    pub(in crate::pages) async fn refresh(mut self) {
        self.base = match self.pages.find(&self.ask, &self.key).await {
            Found::Fresh(_) => return,
            Found::Stale(page) | Found::Expired(page) => Some(page),
            Found::Nothing(_) => None,
        };
        self.pages.shared.metrics.refreshes.inc();
        // Nobody waits for the answer.
        let (reply, _) = oneshot::channel();
        self.run(reply).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refreshes() -> Refreshes {
        Refreshes {
            waiting: Mutex::default(),
            permits: HashMap::new(),
            seed: RandomState::default(),
        }
    }

    fn key(n: usize) -> Key {
        Key::new(format!("http://a/{n}").as_bytes()).unwrap()
    }

    #[test]
    fn many_pages_begin_spread_over_time_and_a_single_one_at_once() {
        let refreshes = refreshes();
        let starts: Vec<Duration> = (0..1_000)
            .map(|n| match refreshes.queue(&key(n)) {
                Queued::After(after) => after,
                other => panic!("{n}: {other:?}"),
            })
            .collect();
        assert_eq!(starts[0], Duration::ZERO);
        assert!(starts.iter().all(|after| *after <= Duration::from_millis(SPREAD_MS_MAX)));
        // In no second of the ten begin as many as half of them.
        for second in 0..10 {
            let within = starts.iter().filter(|after| after.as_secs() == second).count();
            assert!(within < 500, "{within} begin within second {second}");
        }
    }

    #[test]
    fn a_page_waits_once_until_it_has_left_and_no_more_wait_than_may() {
        let refreshes = refreshes();
        for n in 0..REFRESHES_WAITING_MAX {
            assert!(matches!(refreshes.queue(&key(n)), Queued::After(_)), "{n}");
        }
        assert_eq!(refreshes.queue(&key(7)), Queued::Already);
        let surplus = key(REFRESHES_WAITING_MAX);
        assert_eq!(refreshes.queue(&surplus), Queued::Full);
        refreshes.leave(&key(7));
        assert!(matches!(refreshes.queue(&surplus), Queued::After(_)));
        assert_eq!(refreshes.queue(&key(7)), Queued::Full);
    }
}
