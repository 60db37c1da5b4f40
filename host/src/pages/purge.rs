//! What a purge of a URL names: the pages of the URL, and what a request for it is answered with.
//!
//! # Invariants
//! - After a purge of a URL, memory answers no plain GET of it with what is older, whichever URL
//!   filled the page.
//! - All URLs that a policy makes one page have one canonical URL, and their pages are kept under
//!   it, also where other inputs of the policy make variants with keys of their own.
//!
//! # Not here
//! Variants of a page whose keys a policy makes from other inputs and writes with something in
//! front of the URL: they have the URL that filled them. A plugin that does so gives them a tag.

use std::sync::Arc;

use http::header::{CONTENT_LOCATION, LOCATION};
use http::{HeaderMap, Method};

use super::key::Address;
use super::outcome::Reason;
use super::policy_hook::PagePolicy;
use super::request::{self, Ask, ExplainError, Lookup, Sites};
use super::settings::Site;
use super::{items, tags};
use crate::model::{Key, Target};

/// The policy could not say the key of a plain GET.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KeyUnknown;

impl Sites {
    /// What a purge of a URL as people write it names.
    pub(crate) fn targets_of_url(&self, url: &str) -> Result<Vec<Target>, ExplainError> {
        let address = Address::of_text(url)?;
        let site = self.of_address(&address)?;
        let mut targets = Vec::new();
        self.add_targets(&mut targets, site, &address, &HeaderMap::new()).map_err(
            |KeyUnknown| ExplainError::NotLookedUp {
                url: address.url(),
                reason: Reason::PolicyKeyFailed.as_str(),
            },
        )?;
        // Not so for unsafe methods: the application has just acted, and writes its items itself.
        let item = site.items.as_ref().and_then(|items| items::key_of(items, &address));
        targets.extend(item.map(Target::Key));
        Ok(targets)
    }

    /// What a successful answer to an unsafe method makes wrong (RFC 9111 §4.4, RFC 9875 §3).
    pub(crate) fn made_wrong(&self, ask: &Ask, answer: &HeaderMap) -> Vec<Target> {
        let references =
            [LOCATION, CONTENT_LOCATION].into_iter().filter_map(|name| answer.get(name));
        let others = references.filter_map(|reference| ask.address.resolve_same_host(reference));
        let mut targets = Vec::new();
        for address in others.chain([ask.address.clone()]) {
            for headers in [&HeaderMap::new(), &ask.headers] {
                // Where the key is not known now, what has the URL is wrong at least.
                let _ = self.add_targets(&mut targets, &ask.site, &address, headers);
            }
        }
        let groups = tags::to_invalidate(answer, self.scope(&ask.site));
        targets.extend(groups.into_iter().map(Target::Tag));
        targets
    }

    /// The URL that a page is kept under: that of the key of a plain GET, where this is one.
    pub(crate) fn canonical_url(
        &self,
        site: &Arc<Site>,
        policy: Option<&dyn PagePolicy>,
        address: &Address,
    ) -> Result<String, KeyUnknown> {
        let key = plain_key(site, policy, address, &HeaderMap::new())?;
        Ok(key.and_then(|key| self.url_of(site, &key)).unwrap_or_else(|| address.url()))
    }

    fn add_targets(
        &self,
        targets: &mut Vec<Target>,
        site: &Arc<Site>,
        address: &Address,
        headers: &HeaderMap,
    ) -> Result<(), KeyUnknown> {
        let mut add = |target| {
            if !targets.contains(&target) {
                targets.push(target);
            }
        };
        add(Target::Url(address.url().into()));
        let policy = site.policy_now();
        if let Some(key) = plain_key(site, policy.as_deref(), address, headers)? {
            if let Some(url) = self.url_of(site, &key) {
                add(Target::Url(url.into()));
            }
            // Also where it is the URL: a page of another URL may have it for its key.
            add(Target::Key(key));
        }
        Ok(())
    }

    /// The URL that a key is, if it is one of this site.
    fn url_of(&self, site: &Arc<Site>, key: &Key) -> Option<String> {
        let address = Address::of_text(std::str::from_utf8(key.as_bytes()).ok()?).ok()?;
        self.of(address.authority()).filter(|of| Arc::ptr_eq(of, site)).map(|_| address.url())
    }
}

/// The key that a policy makes of a GET with these fields. `None` without a policy, whose pages
/// have their URLs for keys, and for what is not looked up.
fn plain_key(
    site: &Site,
    policy: Option<&dyn PagePolicy>,
    address: &Address,
    headers: &HeaderMap,
) -> Result<Option<Key>, KeyUnknown> {
    if policy.is_none() {
        return Ok(None);
    }
    match request::lookup(site, policy, &Method::GET, address, headers).0 {
        Lookup::Under(key) => Ok(Some(key)),
        Lookup::Not(Reason::PolicyKeyFailed) => Err(KeyUnknown),
        Lookup::Not(_) => Ok(None),
    }
}
