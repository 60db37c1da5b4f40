//! The front doors as the configuration wants them.
//!
//! # Not here
//! What they listen on (`listeners`), and the API, which is made of what all the others offer
//! (`App::start`).

use std::sync::Arc;

use prometheus_client::registry::Registry;

use super::page_policy;
use super::parts::StartError;
use crate::cache::{Cache, ItemPolicy};
use crate::config::Config;
use crate::net::Tls;
use crate::plugins::Plugins;
use crate::tasks::Tasks;
use crate::{memcached, pages};

/// What the memcached command `version` answers: the memcached whose behaviour is offered. Clients
/// compare it to find out what they may use.
const MEMCACHED_VERSION: &str = "1.6.45";

/// The memcached server, its counters registered.
pub(super) fn memcached_door(
    config: &Config,
    cache: &Cache,
    doors: &Tasks,
    items: Option<Arc<dyn ItemPolicy>>,
    (tls, users): (Option<Tls>, Option<memcached::Users>),
    registry: &mut Registry,
) -> memcached::Door {
    let settings = memcached::Settings {
        connections_max: config.memcached.connections_max,
        idle_timeout: config.memcached.idle_timeout,
        flush_all: config.memcached.flush,
        shutdown: config.memcached.shutdown,
        watch: config.memcached.watch,
        dumps: config.memcached.dump,
        threads: config.threads,
        tls,
        items,
        users,
        version: MEMCACHED_VERSION.to_owned(),
    };
    let door = memcached::Door::new(cache.clone(), doors.clone(), settings);
    door.metrics().register(registry);
    door
}

/// The page cache, its counters registered; `None` where no listener serves pages.
pub(super) fn page_cache(
    config: &Config,
    cache: &Cache,
    doors: &Tasks,
    plugins: &Plugins,
    registry: &mut Registry,
) -> Result<Option<pages::Pages>, StartError> {
    let Some(listener) = &config.pages else { return Ok(None) };
    let sites = config.sites.iter().map(|site| pages::Site {
        name: site.name.clone(),
        host: site.host.clone(),
        origins: std::iter::once(&site.origin).chain(&site.further_origins).cloned().collect(),
        check: site.check.clone(),
        policy: site.plugin.as_deref().and_then(|name| page_policy::of(plugins, name)),
        rules: site.cache.clone(),
        items: site.items.clone(),
    });
    let settings = listener.limits.clone();
    let scheme = match listener.tls {
        Some(_) => pages::Scheme::Https,
        None => pages::Scheme::Http,
    };
    let sites = sites.collect();
    let pages = pages::Pages::new(cache.clone(), doors.clone(), settings, sites, scheme)?;
    pages.metrics().register(registry);
    Ok(Some(pages))
}
