//! What the operator wants: command line over environment over file, checked as a whole.
//!
//! Two layers: [`RawConfig`] is what was written (file, then flags and environment laid over it),
//! [`Config`] is checked and ready to be used.
//!
//! # Invariants
//! - Every mistake is reported at once, each with the key, the value and the allowed range.
//! - Nothing is bound or created here, and nothing opened but files of secrets and of users' names.
//! - A `Config` holds no text that still has to be parsed, but for secrets and database addresses,
//!   which only their users may look into.

mod addresses;
mod audit;
mod check;
mod checked;
mod items;
mod memcached;
mod page_limits;
mod pages;
mod plugin_limits;
mod plugins;
mod raw;
mod site_cache;
mod sites;
mod tier;
mod units;

pub use audit::{Audit, RawAudit};
pub use checked::{
    Api, Config, ConfigError, ConfigErrors, Memcached, MemcachedListen, Pages, Permission,
    PluginFile, PluginSettings, SecretText, Site, Source, Transport, UnixListen, Verify, Watch,
};
pub use items::{KeyPart, RawSiteItems, SiteItems};
pub use page_limits::{OriginCheck, PageLimits, RawOriginCheck, RawPageLimits};
pub use plugin_limits::{PluginLimitSettings, RawPluginLimits};
pub use plugins::RawSmokeCase;
pub use raw::{
    RawApi, RawConfig, RawMemcached, RawPages, RawPlugin, RawSite, RawSource, RawTls, ReadError,
};
pub use site_cache::{RawSiteCache, SiteCache};
pub use tier::{RawTier, TierSettings, WarmUp};
pub use units::parse_size;

#[cfg(test)]
mod tests;
