//! The page cache: a caching reverse proxy for HTTP/1.1 and HTTP/2 clients (RFC 9110, 9111, 9112,
//! 9113).
//!
//! A request meets the folders in this order:
//! - `wire`: its bytes come in on a connection, and the answer goes out there;
//! - `course`: it is given its address, site and key, and goes through the phases;
//! - `semantics`: HTTP's rules, asked all the way: may it be answered from memory, may an answer be
//!   stored, what passes to and from the origin;
//! - `fills`: a miss becomes a fill, which others wait for;
//! - `origins`: who is asked, and what is said about the client.
//!
//! What no client waits for is in `background`. Beside the folders is what all of them share.
//!
//! # Invariants
//! - Nothing is served from memory that the freshness rule of `cache` does not allow: pages are
//!   always looked up there, also by those who waited for a fill and after a 304.
//! - A body is never held whole before its first byte is sent, and never stored unless it came
//!   whole.
//! - The origin is asked for the request's path and query byte for byte; they are the key, unless
//!   the site's policy gives another.
//!
//! # Not here
//! TLS; the API. Plugins are behind [`PagePolicy`].

mod access;
mod background;
mod course;
mod fills;
mod metrics;
mod origins;
mod outcome;
mod page_policy;
mod semantics;
mod settings;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use foldhash::fast::RandomState;
use http::{HeaderMap, HeaderName, Method, Response};
use tokio::sync::Semaphore;

use crate::cache::{Cache, Flights};
use crate::model::{Key, Target};
use crate::tasks::Tasks;
use background::refresh::Refreshes;
use course::request::{Ask, Sites};
use fills::offer::Offer;
use fills::uncacheable::Uncacheable;
use origins::announce;
use origins::upload::Upload;
use origins::{OriginBody, OriginError, Origins, Question};
use wire::Clients;

pub use course::key::AddressError;
pub use course::request::ExplainError;
pub use metrics::Metrics;
pub use origins::announce::Scheme;
pub use page_policy::{CurrentPolicy, PagePolicy, view_of_url};
pub use settings::{Check, Settings, Site, SiteError};
pub use wire::serve;

/// The page cache; clones share everything.
#[derive(Clone)]
pub struct Pages {
    shared: Arc<Shared>,
}

struct Shared {
    cache: Cache,
    tasks: Tasks,
    settings: Settings,
    sites: Sites,
    origins: Arc<Origins>,
    metrics: Metrics,
    /// Fills under way, by key.
    fills: Flights<Offer>,
    /// Those of pages known to vary, by key and variant.
    variant_fills: Flights<Offer>,
    /// Makes what tells variants apart nothing that a visitor can foresee.
    variant_seed: RandomState,
    uncacheable: Uncacheable,
    /// Pages that events want fetched anew: waiting and running.
    refreshes: Refreshes,
    /// Bounds the tunnels.
    tunnels: Arc<Semaphore>,
    /// Bounds the connections of all listeners.
    connections: Arc<Semaphore>,
    /// Bounds those of one client.
    clients: Clients,
}

impl Pages {
    /// A page cache for these sites above `cache`, whose clients speak `scheme`; its background
    /// work belongs to `tasks`.
    pub fn new(
        cache: Cache,
        tasks: Tasks,
        settings: Settings,
        sites: Vec<Site>,
        scheme: Scheme,
    ) -> Result<Self, SiteError> {
        let sites = Sites::new(sites, scheme)?;
        let metrics = Metrics::default();
        let clock = cache.clock().clone();
        let requests = metrics.origin_requests.clone();
        let origins = Arc::new(Origins::new(sites.iter(), &settings, clock, requests));
        for (at, site) in sites.iter().enumerate() {
            if let Some(check) = site.check.clone() {
                tasks.spawn_until_stop(origins::check_forever(Arc::clone(&origins), at, check));
            }
        }
        let tunnels = Arc::new(Semaphore::new(settings.tunnels_max));
        let connections = Arc::new(Semaphore::new(settings.connections_max));
        let clients = Clients::new(settings.client_connections_max);
        let refreshes = Refreshes::new(&sites);
        let shared = Shared {
            cache,
            tasks,
            settings,
            sites,
            origins,
            metrics,
            fills: Flights::default(),
            variant_fills: Flights::default(),
            variant_seed: RandomState::default(),
            uncacheable: Uncacheable::default(),
            refreshes,
            tunnels,
            connections,
            clients,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Counters.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// What a purge of a URL must name, so that no plain GET of it is answered with what is older:
    /// the URL in the spelling that pages have it, and the key that the site's policy makes of it.
    /// `https` is taken as `http`, since behind what ends TLS pages are asked for in `http`.
    ///
    /// # Errors
    /// What is no URL of a page of these sites, and a policy that fails: then what is kept for the
    /// URL under a key of the policy is not known.
    pub fn targets_of_url(&self, url: &str) -> Result<Vec<Target>, ExplainError> {
        self.shared.sites.targets_of_url(url)
    }

    /// The key of a plain GET of a URL, without any of the inputs that a policy may look at. The
    /// URL may be spelt as for [`Pages::targets_of_url`].
    pub fn explain_url(&self, url: &str) -> Result<Key, ExplainError> {
        self.shared.sites.key_of_url(url)
    }

    fn now_ms(&self) -> u64 {
        self.shared.cache.clock().now_ms()
    }

    /// The request fields that answers depend on because the site's policy looks at them.
    fn policy_names(&self, ask: &Ask) -> Vec<HeaderName> {
        let policy = ask.policy.as_ref();
        policy.map(|policy| page_policy::vary_names(policy.inputs())).unwrap_or_default()
    }

    /// Writes into a request what the origin is told about its client.
    fn announce(&self, ask: &Ask, headers: &mut HeaderMap) {
        announce::set_host(headers, &ask.address);
        announce::announce(headers, ask.client, &ask.address, &self.shared.sites.proxy);
    }

    async fn ask_origin(
        &self,
        ask: &Ask,
        method: &Method,
        headers: HeaderMap,
        body: Option<Upload>,
    ) -> Result<Response<OriginBody>, OriginError> {
        let (target, interim) = (ask.address.target(), ask.interim.as_ref());
        let question = Question { method, target, headers, interim };
        self.shared.origins.ask(&ask.site, question, body).await
    }
}
