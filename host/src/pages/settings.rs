//! What an operator decides about pages: sites, limits and time-outs.
//!
//! # Not here
//! What of it may be written, and the defaults: `config`.

use std::sync::Arc;

use http::Uri;

use super::page_policy::{CurrentPolicy, PagePolicy};
use crate::config::{SiteCache, SiteItems};

pub use crate::config::{OriginCheck as Check, PageLimits as Settings};

/// A configured host with its origin.
pub struct Site {
    /// The operator's name of it, for logs.
    pub name: String,
    /// The host that it answers for, with or without a port; `None` for every other host.
    pub host: Option<String>,
    /// Where its pages come from, one at least: `http` and an authority. All of them answer alike.
    pub origins: Vec<Uri>,
    /// How they are checked, where they are.
    pub check: Option<Check>,
    /// Decides keys, tags and times, where a plugin does.
    pub policy: Option<CurrentPolicy>,
    /// What HTTP leaves to the operator.
    pub rules: SiteCache,
    /// Items that are served as pages, where they are.
    pub items: Option<SiteItems>,
}

impl Site {
    /// The policy that decides about a request that comes now, where one does.
    pub(crate) fn policy_now(&self) -> Option<Arc<dyn PagePolicy>> {
        self.policy.as_ref().map(|current| current())
    }
}

/// A site that can't be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SiteError {
    /// Not a URL of an origin.
    #[error("site {site:?} has origin {origin:?}; it must be http://host[:port] without a path")]
    Origin {
        /// The site.
        site: String,
        /// As configured.
        origin: String,
    },
    /// No origin at all.
    #[error("site {site:?} has no origin; it needs one at least")]
    NoOrigin {
        /// The site.
        site: String,
    },
    /// Not the name of a host.
    #[error("site {site:?} has host {host:?}, which is not a host name")]
    Host {
        /// The site.
        site: String,
        /// As configured.
        host: String,
    },
    /// Two sites for one host.
    #[error("sites {first:?} and {second:?} answer for the same host")]
    Twice {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
}
