//! What one front door does for another: doors do not know each other, and so each is given
//! functions.
//!
//! # Invariants
//! - Without a page cache they answer, too: no page is found, fetched or audited.

use std::sync::Arc;

use futures_util::FutureExt;

use crate::config::Config;
use crate::model::Target;
use crate::pages::ExplainError;
use crate::{api, events, pages};

/// The sites whose pages are served, for the API: none where no listener serves pages.
pub(super) fn site_names(config: &Config) -> Arc<[String]> {
    let served = config.pages.iter().flat_map(|_| &config.sites);
    served.map(|site| site.name.clone()).collect()
}

/// Fetches a page anew, for events.
pub(super) fn refresher(pages: Option<pages::Pages>) -> events::Refresh {
    Arc::new(move |url| {
        if let Some(pages) = &pages {
            pages.refresh(&url);
        }
    })
}

/// Audits pages, for events, where that is wanted.
pub(super) fn auditor(config: &Config, pages: Option<pages::Pages>) -> Option<events::Auditor> {
    let (settings, pages) = (config.audit.clone()?, pages?);
    let settle_ms = settings.settle_ms;
    let audit: events::AuditPages = Arc::new(move |plugin, event_id| {
        let (pages, settings) = (pages.clone(), settings.clone());
        async move { pages.audit(&settings, plugin.as_deref(), &event_id).await }.boxed()
    });
    Some(events::Auditor { settle_ms, pages: audit })
}

/// What a purge of a URL names, for the API.
pub(super) fn url_targets(pages: Option<pages::Pages>) -> api::UrlTargets {
    Arc::new(move |url| {
        let none = || api::UrlError::NoPage(format!("url {url:?}: no site is configured"));
        let found = pages.as_ref().ok_or_else(none)?.targets_of_url(url);
        found.map_err(|error| match error {
            ExplainError::Address(_) | ExplainError::NoSite { .. } => {
                api::UrlError::NoPage(error.to_string())
            }
            ExplainError::NotLookedUp { .. } => api::UrlError::KeyUnknown(error.to_string()),
        })
    })
}

/// The same for events, which are never answered with nothing done.
pub(super) fn event_url_targets(pages: Option<pages::Pages>) -> events::UrlTargets {
    let targets = url_targets(pages);
    Arc::new(move |url| match targets(url) {
        Ok(targets) => targets,
        Err(api::UrlError::NoPage(_)) => vec![Target::Url(url.into())],
        Err(api::UrlError::KeyUnknown(why)) => {
            tracing::warn!(why, "purging everything");
            vec![Target::Everything]
        }
    })
}

/// Under which key a URL is looked up, for the API.
pub(super) fn url_key(pages: Option<pages::Pages>) -> api::UrlKey {
    Arc::new(move |url| pages.as_ref()?.explain_url(url).ok())
}
