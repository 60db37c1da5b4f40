//! What a purge of a URL names: the pages of the URL, and what a request for it is answered with.
//!
//! # Invariants
//! - After a purge of a URL, memory answers no plain GET of it with what is older, whichever URL
//!   filled the page.
//! - All URLs that a policy makes one page have one canonical URL, and their pages are kept under
//!   it, also where other inputs of the policy make variants with keys of their own. Where the key
//!   is no URL, a tag that is made of it stands for the URL.
//!
//! # Not here
//! When pages are kept: `fills::keep`.

use std::sync::Arc;

use http::header::{CONTENT_LOCATION, LOCATION};
use http::{HeaderMap, Method};
use sha2::{Digest as _, Sha256};

use super::items;
use super::key::Address;
use super::request::{self, Ask, ExplainError, Lookup, Sites};
use crate::model::{Key, Tag, Target};
use crate::pages::outcome::Reason;
use crate::pages::page_policy::PagePolicy;
use crate::pages::semantics::tags;
use crate::pages::settings::Site;

/// The policy could not say the key of a plain GET.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyUnknown;

/// What a page is kept under beside its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Canonical {
    /// The key of a plain GET where that is a URL of the site; otherwise the URL that filled it.
    pub(crate) url: String,
    /// Of the key of a plain GET where that is no URL.
    pub(crate) tag: Option<Tag>,
}

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

    /// What a page is kept under beside its key, so that a purge of each of its URLs names it.
    pub(crate) fn canonical(
        &self,
        site: &Arc<Site>,
        policy: Option<&dyn PagePolicy>,
        address: &Address,
    ) -> Result<Canonical, KeyUnknown> {
        let Some(key) = plain_key(site, policy, address, &HeaderMap::new())? else {
            return Ok(Canonical { url: address.url(), tag: None });
        };
        Ok(match self.url_of(site, &key) {
            Some(url) => Canonical { url, tag: None },
            None => Canonical { url: address.url(), tag: tag_of(&key) },
        })
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
            match self.url_of(site, &key) {
                Some(url) => add(Target::Url(url.into())),
                None => tag_of(&key).into_iter().for_each(|tag| add(Target::Tag(tag))),
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

/// The tag that stands for a key: its text, or where that can't be in a tag, its hash.
fn tag_of(key: &Key) -> Option<Tag> {
    let text = std::str::from_utf8(key.as_bytes()).ok();
    let tag = text.and_then(|text| Tag::new(&format!("page:{text}")).ok());
    tag.or_else(|| {
        let hash: String =
            Sha256::digest(key.as_bytes()).iter().map(|b| format!("{b:02x}")).collect();
        Tag::new(&format!("page:sha256:{hash}")).ok()
    })
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
