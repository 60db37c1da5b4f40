//! A request as the phases need it: cleaned, addressed, with its site and its key.
//!
//! # Invariants
//! - Nothing looks at a request before fields that the origin will not see are taken out of it.

use std::sync::Arc;

use http::header::RANGE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};

use super::key::{self, Address, AddressError};
use crate::model::{Key, KeyDecision, PageHead, RequestView};
use crate::pages::origins::announce::{self, Client, Proxy, Scheme};
use crate::pages::origins::interim::Interim;
use crate::pages::outcome::Reason;
use crate::pages::page_policy::{self, PagePolicy};
use crate::pages::semantics::{forward, negotiation};
use crate::pages::settings::{Site, SiteError};

/// A request that is the page cache's to answer.
pub(crate) struct Ask {
    pub(crate) site: Arc<Site>,
    pub(crate) address: Address,
    pub(crate) method: Method,
    /// The client's fields, without those that end here.
    pub(crate) headers: HeaderMap,
    pub(crate) client: Client,
    /// Where interim responses of the origin go.
    pub(crate) interim: Option<Interim>,
    /// The protocol that it wants to change to, if it is one that is carried.
    pub(crate) upgrade: Option<HeaderValue>,
    pub(crate) lookup: Lookup,
    /// The policy that decides about it to its end.
    pub(crate) policy: Option<Arc<dyn PagePolicy>>,
    /// What the policy sees; `None` without one.
    pub(crate) view: Option<RequestView>,
}

/// Whether and where memory is asked.
#[derive(Debug, Clone)]
pub(crate) enum Lookup {
    /// Under this key.
    Under(Key),
    /// Not at all.
    Not(Reason),
}

/// A request that the server answers itself.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) reason: Reason,
}

impl Ask {
    /// Examines a request. `has_body` says whether one follows.
    pub(crate) fn new(
        sites: &Sites,
        mut parts: Parts,
        has_body: bool,
        ip: Option<std::net::IpAddr>,
    ) -> Result<Self, Refused> {
        let refused = |status, reason| Refused { status, reason };
        match parts.method {
            Method::TRACE => return Err(refused(StatusCode::METHOD_NOT_ALLOWED, Reason::Method)),
            Method::CONNECT => return Err(refused(StatusCode::NOT_IMPLEMENTED, Reason::Method)),
            _ => {}
        }
        if announce::is_loop(&parts.headers, &sites.proxy.name) {
            return Err(refused(StatusCode::LOOP_DETECTED, Reason::Loop));
        }
        let address = Address::of_request(&parts.uri, &parts.headers)
            .map_err(|_| refused(StatusCode::BAD_REQUEST, Reason::BadTarget))?;
        let site = sites
            .of(address.authority())
            .ok_or_else(|| refused(StatusCode::MISDIRECTED_REQUEST, Reason::NoSite))?;
        let upgrade = forward::upgrade(&parts.method, parts.version, &parts.headers);
        forward::clean_request(&mut parts.headers);
        // TRACE, the other method that this counts for, has been refused.
        if parts.method == Method::OPTIONS && !announce::may_go_on(&mut parts.headers) {
            return Err(refused(StatusCode::OK, Reason::MaxForwards));
        }
        let mut ask = Self {
            site: Arc::clone(site),
            address,
            method: parts.method,
            headers: parts.headers,
            client: Client { ip, version: parts.version },
            interim: parts.extensions.remove(),
            upgrade,
            lookup: Lookup::Not(Reason::Method),
            policy: site.policy_now(),
            view: None,
        };
        if ask.upgrade.is_some() {
            ask.lookup = Lookup::Not(Reason::Upgrade);
        } else if matches!(ask.method, Method::GET | Method::HEAD) {
            negotiation::reduce(&mut ask.headers, &ask.site.rules);
            (ask.lookup, ask.view) = match has_body {
                true => (Lookup::Not(Reason::RequestBody), None),
                false => {
                    let policy = ask.policy.as_deref();
                    lookup(&ask.site, policy, &ask.method, &ask.address, &ask.headers)
                }
            };
        }
        Ok(ask)
    }

    /// Whether the method can't change anything (RFC 9110 §9.2.1); what is unknown can.
    pub(crate) fn is_safe(&self) -> bool {
        self.method.is_safe()
    }

    /// Whether it asks for a part of a representation.
    pub(crate) fn has_range(&self) -> bool {
        self.headers.contains_key(RANGE)
    }
}

/// Where memory is asked for a GET or HEAD of these fields, and what the policy saw to say so.
pub(crate) fn lookup(
    site: &Site,
    policy: Option<&dyn PagePolicy>,
    method: &Method,
    address: &Address,
    headers: &HeaderMap,
) -> (Lookup, Option<RequestView>) {
    let cookies = negotiation::cookie_lines(headers);
    if negotiation::has_cookie(cookies, &site.rules.private_cookies) {
        return (Lookup::Not(Reason::PrivateCookie), None);
    }
    let default = || match address.key() {
        Ok(key) => Lookup::Under(key),
        Err(_) => Lookup::Not(Reason::KeyTooLong),
    };
    let Some(policy) = policy else { return (default(), None) };
    let view = match page_policy::view(method.as_str(), address, headers, policy.inputs()) {
        Ok(view) => view,
        Err(error) => {
            tracing::debug!(site = %site.name, policy = policy.name(), %error, "cache key");
            return (Lookup::Not(Reason::PolicyInputUnclear), None);
        }
    };
    let lookup = match policy.cache_key(&view) {
        Ok(KeyDecision::Default) => default(),
        Ok(KeyDecision::Custom(key)) => Lookup::Under(key),
        Ok(KeyDecision::Bypass) => Lookup::Not(Reason::PolicyBypass),
        Err(error) => {
            tracing::debug!(site = %site.name, policy = policy.name(), %error, "cache key");
            Lookup::Not(Reason::PolicyKeyFailed)
        }
    };
    (lookup, Some(view))
}

/// Scheme `http`, a host, and nothing else.
fn is_origin(uri: &Uri) -> bool {
    uri.scheme() == Some(&http::uri::Scheme::HTTP)
        && uri.query().is_none()
        && matches!(uri.path(), "" | "/")
        && uri.authority().is_some_and(|authority| key::authority(authority.as_str()).is_ok())
}

/// The configured sites, and this proxy's name on the way to them.
pub(crate) struct Sites {
    /// Those for one host before the one for all others.
    sites: Vec<Arc<Site>>,
    pub(crate) proxy: Proxy,
}

/// A URL that no key can be said for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// Not a URL of a page.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// No site answers for its host.
    #[error("no site answers for host {host:?}")]
    NoSite {
        /// The host.
        host: String,
    },
    /// Pages of this URL are not kept.
    #[error("{url:?} is not looked up: {reason}")]
    NotLookedUp {
        /// The URL.
        url: String,
        /// Why, as in `Cache-Status`.
        reason: &'static str,
    },
}

impl Sites {
    /// Checks the sites.
    pub(crate) fn new(sites: Vec<Site>, scheme: Scheme) -> Result<Self, SiteError> {
        let mut checked: Vec<Arc<Site>> = Vec::with_capacity(sites.len());
        for mut site in sites {
            if let Some(odd) = site.origins.iter().find(|origin| !is_origin(origin)) {
                let origin = odd.to_string();
                return Err(SiteError::Origin { site: site.name, origin });
            }
            if site.origins.is_empty() {
                return Err(SiteError::NoOrigin { site: site.name });
            }
            if let Some(host) = &site.host {
                let Ok(spelt) = key::authority(host) else {
                    return Err(SiteError::Host { host: host.clone(), site: site.name });
                };
                site.host = Some(spelt);
            }
            if let Some(first) = checked.iter().find(|first| first.host == site.host) {
                return Err(SiteError::Twice { first: first.name.clone(), second: site.name });
            }
            checked.push(Arc::new(site));
        }
        checked.sort_by_key(|site| site.host.is_none());
        // Differs from every other instance, so that a chain of them is no loop.
        let id = std::hash::BuildHasher::hash_one(&foldhash::fast::RandomState::default(), "via");
        let proxy = Proxy { name: format!("wasmcached-{id:016x}"), scheme };
        Ok(Self { sites: checked, proxy })
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Site>> {
        self.sites.iter()
    }

    /// The site that answers for a host with or without a port.
    pub(crate) fn of(&self, authority: &str) -> Option<&Arc<Site>> {
        let answers = |site: &&Arc<Site>| match site.host.as_deref() {
            Some(host) => host == authority || host == key::host_of(authority),
            None => true,
        };
        self.sites.iter().find(answers)
    }

    /// The name that the groups of a site's pages are told apart by; `None` for an only site.
    pub(crate) fn scope<'site>(&self, site: &'site Site) -> Option<&'site str> {
        (self.sites.len() > 1).then_some(site.name.as_str())
    }

    /// The site that answers for an address.
    pub(crate) fn of_address(&self, address: &Address) -> Result<&Arc<Site>, ExplainError> {
        let host = || address.authority().to_owned();
        self.of(address.authority()).ok_or_else(|| ExplainError::NoSite { host: host() })
    }

    /// Whether a page was stored for this site, by its present name and as this policy of it
    /// decides: a key that two sites, two plugins or two epochs of one make is not one page.
    pub(crate) fn owns(
        &self,
        site: &Arc<Site>,
        policy: Option<&dyn PagePolicy>,
        head: &PageHead,
    ) -> bool {
        *head.site == *site.name
            && head.plugin.as_deref() == policy.map(PagePolicy::mark)
            && self.of(key::authority_of(&head.url)).is_some_and(|of| Arc::ptr_eq(of, site))
    }

    /// The key of a plain GET of a URL, without any of the inputs that a policy may look at.
    pub(crate) fn key_of_url(&self, url: &str) -> Result<Key, ExplainError> {
        let address = Address::of_text(url)?;
        let site = self.of_address(&address)?;
        let policy = site.policy_now();
        match lookup(site, policy.as_deref(), &Method::GET, &address, &HeaderMap::new()).0 {
            Lookup::Under(key) => Ok(key),
            Lookup::Not(reason) => {
                Err(ExplainError::NotLookedUp { url: address.url(), reason: reason.as_str() })
            }
        }
    }
}
