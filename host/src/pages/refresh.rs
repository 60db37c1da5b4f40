//! Fetching a page anew because an event asked for it, not a client.
//!
//! # Invariants
//! - Clients come first: a page whose refresh is waiting for its turn is not waited for.

use std::sync::Arc;

use http::header::HOST;
use http::{HeaderName, HeaderValue, Request};
use tokio::sync::oneshot;

use super::Pages;
use super::cache_status::Forward;
use super::fill::Fill;
use super::key::Address;
use super::request::{Ask, Lookup};
use crate::cache::Role;

impl Pages {
    /// Fetches the page of a URL in the background, as a plain GET without the inputs that a policy
    /// may look at. Does nothing where a fill of it is under way, or where it is not looked up. The
    /// URL may be spelt as for [`Pages::targets_of_url`].
    pub fn refresh(&self, url: &str) {
        let Some(ask) = self.ask_for(url, &[]) else {
            tracing::info!(url, "refresh of what is no page of this server");
            return;
        };
        let Lookup::Under(key) = ask.lookup.clone() else { return };
        let (pages, permits) = (self.clone(), Arc::clone(&self.shared.refreshes));
        self.shared.tasks.spawn_until_stop(async move {
            // Never closed.
            let Ok(_permit) = permits.acquire_owned().await else { return };
            // Not before: who misses the page in the meantime fetches it without waiting here.
            let claim = pages.shared.cache.claim();
            let Role::Leader(lease) = pages.shared.fills.join(&key) else { return };
            pages.shared.metrics.refreshes.inc();
            let (ask, lease) = (Arc::new(ask), Some(lease));
            // Nobody waits for the answer.
            let (reply, _) = oneshot::channel();
            let missed = Forward::Miss;
            Fill { pages, ask, key, claim, lease, base: None, missed }.run(reply).await;
        });
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
