//! How the parts are put together: start order, and drain order reversed.
//!
//! # Invariants
//! - Everything that can fail is tried before the first address is printed.
//! - Doors close first; then held events are applied; then the tier is written out. The background,
//!   in which the tier's writer runs, stops last.
//!
//! # Not here
//! What the parts do.

mod api_server;
mod crossings;
mod descriptors;
mod doors;
mod item_policy;
mod listeners;
mod look_ups;
mod metrics;
mod page_policy;
mod parts;
mod plugin_history;
mod plugin_loader;
mod reload;
mod schema;
mod signals;
mod watched_file;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;

use crate::cache::{Cache, CacheConfig, Recovered, WhenFull, tier};
use crate::clock::Clock;
use crate::config::{Config, Permission, WarmUp};
use crate::tasks::{Lanes, Tasks};
use crate::{api, events, memcached, pages};

use crossings::{auditor, event_url_targets, refresher, site_names, url_key, url_targets};
use doors::{memcached_door, page_cache};
use listeners::{Listeners, TlsOfDoors};
use plugin_loader::PluginLoader;
use reload::Reload;
use signals::Signals;

pub use parts::{Checked, StartError, check};
pub use schema::{database_of, migrate, tell_schema};

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
    /// Connections and what they wait for; fills, refreshes and checks of origins.
    doors: Tasks,
    /// The sweep, the tier's writer, held events, intents, audits, SIGHUP, watched plugins and
    /// warming up.
    background: Tasks,
    memcached: memcached::Door,
}

impl App {
    /// Starts, and serves until it is stopped, also while it starts.
    ///
    /// # Errors
    /// It can't start.
    pub async fn run(checked: Checked) -> Result<(), StartError> {
        // Before anybody can know that there is something to stop.
        let mut signals = Signals::new().map_err(StartError::Signal)?;
        let app = tokio::select! {
            started = Self::start(checked) => started?,
            () = signals.next() => {
                tracing::warn!("stopped before it was ready");
                return Ok(());
            }
        };
        app.run_until_stopped(signals).await;
        Ok(())
    }

    /// Builds every part, binds, prints each address, and opens the doors.
    async fn start(checked: Checked) -> Result<Self, StartError> {
        let Checked { config, database, sources, plugins, loadable, tls, users } = checked;
        // Before anybody can know that there is something to reload.
        let mut reload = Reload::new().map_err(StartError::Signal)?;
        descriptors::raise(&config);
        let clock = Clock::system();
        let lanes = Lanes::start(config.threads).map_err(StartError::Lanes)?;
        let background = Tasks::default().on(&lanes);
        let parts::OpenTier { tier, recovered, earlier, flush_due_ms, history } =
            parts::open_tier(&config, &sources, database.as_ref(), &clock, &background).await?;
        let cache = new_cache(&config, &clock, tier, recovered);
        plugins.look_in(look_ups::of(&cache));
        let listeners = Listeners::bind(&config, &tls).await?;
        let doors = Tasks::default().on(&lanes);
        let mut registry = Registry::with_prefix("wasmcached");
        metrics::register(&cache, &plugins, &mut registry);
        tls.register(&mut registry);
        let loader = PluginLoader::new(plugins.clone(), cache.clone(), loadable, history);
        loader.end_strangers().await?;
        register_files(&mut reload, &tls, users.as_ref(), &loader);
        let items = item_policy::of(&plugins, &cache);
        let guards = (tls.memcached, users);
        let memcached =
            memcached_door(&config, &cache, &doors, items.clone(), guards, &mut registry);
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
        resume_flush(&memcached, flush_due_ms).await;
        let api = api::Api {
            cache: cache.clone(),
            plugins,
            items,
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
        Ok(Self { cache, events, lanes, doors, background, memcached })
    }

    /// Serves until SIGTERM, SIGINT or an allowed `shutdown`, then drains. A second signal ends it
    /// where it stands.
    async fn run_until_stopped(self, mut signals: Signals) {
        tokio::select! {
            () = signals.next() => {}
            () = self.memcached.shutdown_requested() => {}
        }
        let Self { cache, events, lanes, doors, background, .. } = self;
        tokio::select! {
            () = drain(&cache, &events, &doors, &background) => {}
            () = signals.next() => tracing::warn!("stopped at once by a second signal"),
        }
        // Joins their threads, which must not be waited for on one of the runtime's.
        let _ = tokio::task::spawn_blocking(move || drop(lanes)).await;
    }
}

/// What was to become invalid while no server ran is so before a door opens.
async fn resume_flush(memcached: &memcached::Door, due_ms: Option<u64>) {
    if let Some(due_ms) = due_ms {
        memcached.resume_flush(due_ms).await;
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
