//! How the parts are put together: start order, and drain order reversed.
//!
//! # Invariants
//! - Everything that can fail is tried before the first address is printed.
//! - Doors close before the background stops, and the tier is written out last.
//!
//! # Not here
//! What the parts do.

mod api_server;
mod descriptors;
mod gauges;
mod item_policy;
mod listeners;
mod look_ups;
mod page_policy;
mod parts;
mod plugin_loader;
mod reload;
mod schema;
mod watched_file;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use prometheus_client::registry::Registry;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Semaphore;

use crate::cache::{Cache, CacheConfig, Recovered, WhenFull, tier};
use crate::clock::Clock;
use crate::config::{Config, Permission, WarmUp};
use crate::model::Target;
use crate::net::Tls;
use crate::pages::ExplainError;
use crate::plugins::Plugins;
use crate::tasks::{Lanes, Tasks};
use crate::{api, events, memcached, pages};

use listeners::{Listeners, TlsOfDoors};
use plugin_loader::PluginLoader;
use reload::Reload;

pub use parts::{Checked, StartError, check};
pub use schema::{database_of, migrate, tell_schema};

/// What the memcached command `version` answers: the memcached whose behaviour is offered. Clients
/// compare it to find out what they may use.
const MEMCACHED_VERSION: &str = "1.6.45";

/// How long connections may finish what they began: less than the 10 s after which the usual
/// supervisors kill.
const GRACE: Duration = Duration::from_secs(8);

/// How long background work may take to end.
const BACKGROUND_GRACE: Duration = Duration::from_secs(5);

/// A running server.
pub struct App {
    cache: Cache,
    events: events::Events,
    /// The threads that connections run on.
    lanes: Lanes,
    /// Connections and what they wait for.
    doors: Tasks,
    /// The sweep and refreshes.
    background: Tasks,
    memcached: memcached::Door,
    signals: Signals,
}

impl App {
    /// Builds every part, binds, prints each address, and opens the doors.
    pub async fn start(checked: Checked) -> Result<Self, StartError> {
        let Checked { config, database, sources, plugins, loadable, tls, users } = checked;
        // Before anybody can know that there is something to stop or to reload.
        let signals = Signals::new().map_err(StartError::Signal)?;
        let mut reload = Reload::new().map_err(StartError::Signal)?;
        descriptors::raise(&config);
        let clock = Clock::system();
        let lanes = Lanes::start(config.threads).map_err(StartError::Lanes)?;
        let background = Tasks::default().on(&lanes);
        let parts::OpenTier { tier, recovered, earlier } =
            parts::open_tier(&config, database.as_ref(), &clock, &background).await?;
        let cache = new_cache(&config, &clock, tier, recovered);
        plugins.look_in(look_ups::of(&cache));
        let listeners = Listeners::bind(&config, &tls).await?;
        let doors = Tasks::default().on(&lanes);
        let mut registry = Registry::with_prefix("wasmcached");
        gauges::register(&cache, &plugins, &mut registry);
        tls.register(&mut registry);
        let loader = PluginLoader::new(plugins.clone(), cache.clone(), loadable);
        register_files(&mut reload, &tls, users.as_ref(), &loader);
        let memcached = memcached_door(
            &config,
            &cache,
            &doors,
            &plugins,
            (tls.memcached, users),
            &mut registry,
        );
        let pages = page_cache(&config, &cache, &doors, &plugins, &mut registry)?;
        let events = {
            let metrics = events::Metrics::default();
            metrics.register(&mut registry);
            let (refresh, targets) = (refresher(pages.clone()), event_url_targets(pages.clone()));
            let (cache, plugins) = (cache.clone(), plugins.clone());
            let auditor = auditor(&config, pages.clone());
            events::Events::new(cache, plugins, sources, refresh, targets, auditor, metrics)
        };
        events.resume(earlier).await;
        let api = api::Api {
            cache: cache.clone(),
            plugins,
            load_plugin: loader.on_load(),
            roll_back_plugin: loader.on_roll_back(),
            plugin_uploads: Arc::new(Semaphore::new(1)),
            registry: Arc::new(registry),
            url_key: url_key(pages.clone()),
            url_targets: url_targets(pages.clone()),
            sites: site_names(&config),
            started_ms: clock.now_ms(),
        };
        let router = api::complete(api::router(api).merge(events::router(events.clone())));

        listeners.announce().map_err(StartError::Announce)?;
        for listener in listeners.memcached {
            doors.spawn(memcached::serve(listener, memcached.clone()));
        }
        doors.spawn(api_server::serve(listeners.api, router, doors.clone().off_lanes()));
        for (listener, pages) in listeners.pages.into_iter().zip(pages.iter().cycle()) {
            doors.spawn(pages::serve(listener, pages.clone()));
        }
        background.spawn_until_stop(reload.run_forever());
        background.spawn_until_stop(loader.watch_forever());
        work_in_background(&background, &cache, &events);
        if config.tier.warm_up == WarmUp::Ahead {
            stay_warm(&background, &cache);
        }
        Ok(Self { cache, events, lanes, doors, background, memcached, signals })
    }

    /// Serves until SIGTERM, SIGINT or an allowed `shutdown`, then drains. A second signal ends it
    /// where it stands.
    pub async fn run_until_stopped(mut self) {
        tokio::select! {
            () = self.signals.next() => {}
            () = self.memcached.shutdown_requested() => {}
        }
        let Self { cache, events, lanes, doors, background, mut signals, .. } = self;
        tokio::select! {
            () = drain(&cache, &events, &doors, &background) => {}
            () = signals.next() => tracing::warn!("stopped at once by a second signal"),
        }
        // Joins their threads, which must not be waited for on one of the runtime's.
        let _ = tokio::task::spawn_blocking(move || drop(lanes)).await;
    }
}

/// What SIGHUP reads again.
fn register_files(
    reload: &mut Reload,
    tls: &TlsOfDoors,
    users: Option<&memcached::Users>,
    loader: &PluginLoader,
) {
    for (door, tls) in tls.each() {
        let tls = tls.clone();
        reload.register(format!("{door} certificate"), move || tls.reload());
    }
    if let Some(users) = users.cloned() {
        reload.register("memcached users".to_owned(), move || users.reload());
    }
    for (name, read_again) in loader.files() {
        reload.register(format!("plugin {name}"), read_again);
    }
}

/// What goes on without anybody asking.
fn work_in_background(background: &Tasks, cache: &Cache, events: &events::Events) {
    let swept = cache.clone();
    background.spawn_aside_until_stop(async move { swept.sweep_forever().await });
    let holding = events.clone();
    background.spawn_until_stop(async move { holding.hold_forever().await });
    let ending = events.clone();
    background.spawn_until_stop(async move { ending.end_intents_forever().await });
    let auditing = events.clone();
    background.spawn_until_stop(async move { auditing.audit_forever().await });
}

/// Entries come back in the order of their use, and the next start is told that order.
fn stay_warm(background: &Tasks, cache: &Cache) {
    let cache = cache.clone();
    background.spawn_until_stop(async move {
        cache.warm_up().await;
        cache.note_hottest_forever().await;
    });
}

/// Doors first, so that what they stored is written out; what events have yet to do; then the tier;
/// then the rest.
async fn drain(cache: &Cache, events: &events::Events, doors: &Tasks, background: &Tasks) {
    let left = doors.stop(GRACE).await;
    if left > 0 {
        tracing::warn!(left, "connections cut off after the grace period");
    }
    events.apply_held().await;
    cache.close().await;
    background.stop(BACKGROUND_GRACE).await;
}

fn new_cache(
    config: &Config,
    clock: &Clock,
    tier: Option<Arc<dyn tier::Tier>>,
    recovered: Recovered,
) -> Cache {
    let when_full = match config.evict {
        Permission::Allowed => WhenFull::Evict,
        Permission::Forbidden => WhenFull::Refuse,
    };
    let (memory_bytes, item_bytes_max) = (config.memory_bytes, config.item_bytes_max);
    let cache_config = CacheConfig { memory_bytes, item_bytes_max, when_full };
    Cache::new(cache_config, clock.clone(), tier, recovered)
}

fn memcached_door(
    config: &Config,
    cache: &Cache,
    doors: &Tasks,
    plugins: &Plugins,
    (tls, users): (Option<Tls>, Option<memcached::Users>),
    registry: &mut Registry,
) -> memcached::Door {
    let settings = memcached::Settings {
        connections_max: config.memcached.connections_max,
        idle_timeout: config.memcached.idle_timeout,
        flush_all: match config.memcached.flush {
            Permission::Allowed => memcached::FlushAll::Allowed,
            Permission::Forbidden => memcached::FlushAll::Forbidden,
        },
        shutdown: match config.memcached.shutdown {
            Permission::Allowed => memcached::Shutdown::Allowed,
            Permission::Forbidden => memcached::Shutdown::Forbidden,
        },
        watch: match config.memcached.watch {
            Permission::Allowed => memcached::WatchCommand::Allowed,
            Permission::Forbidden => memcached::WatchCommand::Forbidden,
        },
        dumps: match config.memcached.dump {
            Permission::Allowed => memcached::Dumps::Allowed,
            Permission::Forbidden => memcached::Dumps::Forbidden,
        },
        threads: config.threads,
        tls,
        items: item_policy::of(plugins),
        users,
        version: MEMCACHED_VERSION.to_owned(),
    };
    let door = memcached::Door::new(cache.clone(), doors.clone(), settings);
    door.metrics().register(registry);
    door
}

fn page_cache(
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
        rules: site.rules.clone(),
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

/// None where no listener serves pages.
fn site_names(config: &Config) -> Arc<[String]> {
    let served = config.pages.iter().flat_map(|_| &config.sites);
    served.map(|site| site.name.clone()).collect()
}

fn refresher(pages: Option<pages::Pages>) -> events::Refresh {
    Arc::new(move |url| {
        if let Some(pages) = &pages {
            pages.refresh(&url);
        }
    })
}

/// Audits of pages after events, where they are wanted.
fn auditor(config: &Config, pages: Option<pages::Pages>) -> Option<events::Auditor> {
    let (settings, pages) = (config.audit.clone()?, pages?);
    let settle_ms = settings.settle_ms;
    let audit: events::AuditPages = Arc::new(move |plugin, event_id| {
        let (pages, settings) = (pages.clone(), settings.clone());
        async move { pages.audit(&settings, plugin.as_deref(), &event_id).await }.boxed()
    });
    Some(events::Auditor { settle_ms, pages: audit })
}

/// What a purge of a URL names, for the API.
fn url_targets(pages: Option<pages::Pages>) -> api::UrlTargets {
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
fn event_url_targets(pages: Option<pages::Pages>) -> events::UrlTargets {
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

fn url_key(pages: Option<pages::Pages>) -> api::UrlKey {
    Arc::new(move |url| pages.as_ref()?.explain_url(url).ok())
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
