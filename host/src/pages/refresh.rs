//! Fetching a page anew because an event asked for it, not a client.

use std::sync::Arc;

use http::{Request, Uri};
use tokio::sync::oneshot;

use super::Pages;
use super::fill::Fill;
use super::request::{Ask, Lookup};
use crate::cache::Role;

impl Pages {
    /// Fetches the page of a URL in the background, as a plain GET without the inputs that a policy
    /// may look at. Does nothing where a fill of it is under way, or where it is not looked up.
    pub fn refresh(&self, url: &str) {
        let Some(ask) = self.ask_for(url) else {
            tracing::info!(url, "refresh of what is no page of this server");
            return;
        };
        let Lookup::Under(key) = ask.lookup.clone() else { return };
        let claim = self.shared.cache.claim();
        let Role::Leader(lease) = self.shared.cache.join_fill(&key) else { return };
        self.shared.metrics.refreshes.inc();
        let (pages, permits) = (self.clone(), Arc::clone(&self.shared.refreshes));
        self.shared.tasks.spawn_until_stop(async move {
            // Never closed.
            let Ok(_permit) = permits.acquire_owned().await else { return };
            let (ask, lease) = (Arc::new(ask), Some(lease));
            // Nobody waits for the answer.
            let (reply, _) = oneshot::channel();
            Fill { pages, ask, key, claim, lease, base: None }.run(reply).await;
        });
    }

    fn ask_for(&self, url: &str) -> Option<Ask> {
        let uri: Uri = url.parse().ok()?;
        let (parts, ()) = Request::get(uri).body(()).ok()?.into_parts();
        Ask::new(&self.shared.sites, parts, false, None).ok()
    }
}
