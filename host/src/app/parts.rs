//! Parts that can fail to start, and how they say so.
//!
//! # Invariants
//! - Whatever can be found wrong without binding or opening anything is found by [`check`], all of
//!   it at once; what it made on the way is handed on and not made again.
//!
//! # Not here
//! The configuration's own values: `config`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::descriptors;
use super::listeners::TlsOfDoors;
use super::plugin_history::{PluginHistory, Used};
use crate::cache::{InvalidateError, Recovered, tier};
use crate::clock::Clock;
use crate::config::{
    Config, ConfigError, ConfigErrors, Permission, PluginFile, PluginSettings, RawConfig,
    TierSettings, Watch,
};
use crate::events;
use crate::limits::HELD_TARGETS_MAX;
use crate::memcached;
use crate::model::SmokeCase;
use crate::net::BindError;
use crate::pages;
use crate::plugins::{
    AllowEverything, CodeFolder, PluginLimits, PluginOrigin, PluginSource, Plugins,
};
use crate::tasks::Tasks;
use crate::tier::{self as database, Address, AddressError, DatabaseTier, OpenError};

/// For how long a start looks for events that are to be applied again; nothing is served meanwhile.
const JOURNAL_S_MAX: u64 = 60;

/// A configuration with nothing left to be parsed, and the plugins and certificates that it names.
pub struct Checked {
    pub(super) config: Config,
    pub(super) database: Option<Address>,
    pub(super) sources: events::Sources,
    pub(super) plugins: Plugins,
    /// What they are made of, for later versions.
    pub(super) loadable: Vec<Loadable>,
    pub(super) tls: TlsOfDoors,
    pub(super) users: Option<memcached::Users>,
}

impl Checked {
    /// Worker threads to run with.
    pub fn threads(&self) -> usize {
        self.config.threads
    }
}

/// Checks the configuration, parses what only its users may look into, reads certificates, and
/// loads the plugins. Blocking: it compiles them.
///
/// # Errors
/// Every mistake.
pub fn check(raw: RawConfig) -> Result<Checked, ConfigErrors> {
    let (config, mut mistakes) = raw.check();
    let database = config.database.as_ref().and_then(|address| {
        let wrong = |error: AddressError| {
            let (key, message) = ("database".to_owned(), error.to_string());
            mistakes.push(ConfigError { key, message });
        };
        Address::parse(address.reveal()).map_err(wrong).ok()
    });
    let sources = events::Sources::new(&config.sources).unwrap_or_else(|ConfigErrors(more)| {
        mistakes.extend(more);
        events::Sources::default()
    });
    let tls = TlsOfDoors::load(&config, &mut mistakes);
    mistakes.extend(descriptors::check(&config));
    let loadable: Vec<Loadable> = config.plugins.iter().map(Loadable::new).collect();
    let code = CodeFolder::named(config.plugin_cache.as_deref());
    let plugins = load_plugins(&loadable, code, &mut mistakes);
    let users = load_users(&config, &mut mistakes);
    if mistakes.is_empty() {
        warn_of_idle(&config, &plugins);
        Ok(Checked { config, database, sources, plugins, loadable, tls, users })
    } else {
        Err(ConfigErrors(mistakes))
    }
}

/// Tells of plugins that nobody will ask: `--origin` gives its site none.
fn warn_of_idle(config: &Config, plugins: &Plugins) {
    let of_sites = config.sites.iter().filter_map(|site| site.plugin.as_deref());
    let of_sources = config.sources.iter().filter_map(|source| source.plugin.as_deref());
    let named: BTreeSet<&str> = of_sites.chain(of_sources).collect();
    for plugin in plugins.list() {
        let has_items = plugin.has_tagger() && !plugin.item_prefixes().is_empty();
        if !named.contains(plugin.name()) && !has_items {
            let plugin = plugin.name();
            tracing::warn!(plugin, "no site or source has this plugin: it is never asked");
        }
    }
}

fn load_users(config: &Config, mistakes: &mut Vec<ConfigError>) -> Option<memcached::Users> {
    let loaded = memcached::Users::load(config.memcached.auth_file.as_deref()?);
    let wrong = |error: memcached::UsersError| {
        let (key, message) = ("memcached.auth_file".to_owned(), error.to_string());
        mistakes.push(ConfigError { key, message });
    };
    loaded.map_err(wrong).ok()
}

/// What every version of a configured plugin is made with.
#[derive(Debug, Clone)]
pub(super) struct Loadable {
    pub(super) source: PluginSource,
    pub(super) smoke: Vec<SmokeCase>,
    pub(super) watch: Watch,
}

impl Loadable {
    fn new(settings: &PluginSettings) -> Self {
        let (smoke, watch) = (settings.smoke.clone(), settings.watch);
        Self { source: source_of(settings), smoke, watch }
    }

    /// Its file, if it has one.
    pub(super) fn file(&self) -> Option<&PathBuf> {
        match &self.source.origin {
            PluginOrigin::File(path) => Some(path),
            PluginOrigin::Shipped | PluginOrigin::Bytes(_) => None,
        }
    }
}

fn load_plugins(
    configured: &[Loadable],
    code: CodeFolder,
    mistakes: &mut Vec<ConfigError>,
) -> Plugins {
    let plugins = Plugins::none(code);
    for Loadable { source, smoke, .. } in configured {
        match plugins.prepare(source, smoke) {
            Ok(prepared) => plugins.publish(prepared),
            Err(error) => {
                // The key names the plugin already.
                let told = error.to_string();
                let message = told.strip_prefix(&format!("plugin {}: ", source.name));
                mistakes.push(ConfigError {
                    key: format!("plugins.{}", source.name),
                    message: message.unwrap_or(&told).to_owned(),
                });
            }
        }
    }
    plugins
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database tier.
    #[error(transparent)]
    Tier(#[from] OpenError),
    /// What the tier has of earlier events.
    #[error("journal")]
    Journal(#[source] tier::TierError),
    /// There is so much of it, or the database is so slow.
    #[error(
        "events that are to be applied again were not read from the journal within {JOURNAL_S_MAX} \
         s; without hold_ms in any of the sources they are not looked for"
    )]
    JournalSlow,
    /// Entries of plugins that don't run any more.
    #[error("entries of earlier plugins")]
    Strangers(#[from] InvalidateError),
    /// An address.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A site.
    #[error(transparent)]
    Site(#[from] pages::SiteError),
    /// Signals.
    #[error("signals")]
    Signal(#[source] std::io::Error),
    /// The threads that connections run on.
    #[error("cannot start threads for connections")]
    Lanes(#[source] std::io::Error),
    /// Standard output.
    #[error("printing the addresses")]
    Announce(#[source] std::io::Error),
}

fn source_of(settings: &PluginSettings) -> PluginSource {
    PluginSource {
        name: settings.name.clone(),
        origin: match &settings.file {
            PluginFile::Shipped => PluginOrigin::Shipped,
            PluginFile::File(path) => PluginOrigin::File(path.clone()),
        },
        sha256: settings.sha256.clone(),
        config: settings.config.clone(),
        limits: limits_of(settings),
    }
}

fn limits_of(settings: &PluginSettings) -> PluginLimits {
    let (default, given) = (PluginLimits::default(), &settings.limits);
    PluginLimits {
        memory_bytes_max: settings.memory_bytes.unwrap_or(default.memory_bytes_max),
        key_ms_max: given.key_timeout_ms.unwrap_or(default.key_ms_max),
        store_ms_max: given.store_timeout_ms.unwrap_or(default.store_ms_max),
        event_ms_max: given.event_timeout_ms.unwrap_or(default.event_ms_max),
        start_ms_max: given.start_timeout_ms.unwrap_or(default.start_ms_max),
        key_bytes_max: given.key_bytes_max.unwrap_or(default.key_bytes_max),
        tags_max: given.tags_max.unwrap_or(default.tags_max),
        actions_max: given.actions_max.unwrap_or(default.actions_max),
        log_lines_max: given.log_lines_max.unwrap_or(default.log_lines_max),
        allow_everything: match settings.everything {
            Permission::Allowed => AllowEverything::Yes,
            Permission::Forbidden => AllowEverything::No,
        },
    }
}

/// The database tier and what it brought back; nothing of it where there is none.
#[derive(Default)]
pub(super) struct OpenTier {
    pub(super) tier: Option<Arc<dyn tier::Tier>>,
    pub(super) recovered: Recovered,
    pub(super) earlier: events::Earlier,
    /// When a `flush_all` with a delay is due.
    pub(super) flush_due_ms: Option<u64>,
    pub(super) history: Option<PluginHistory>,
}

fn tier_settings(given: &TierSettings, held_ms_max: u64) -> database::Settings {
    database::Settings {
        durability: given.durability,
        when_degraded: given.when_degraded,
        limits: database::Limits { bytes_max: given.bytes_max, rows_max: given.rows_max },
        held_ms_max,
        value_bytes_max: given.value_bytes_max.and_then(|bytes| usize::try_from(bytes).ok()),
        compress_bytes_min: given.compress_bytes_min.and_then(|bytes| usize::try_from(bytes).ok()),
    }
}

/// Opens the database, where there is one.
pub(super) async fn open_tier(
    config: &Config,
    sources: &events::Sources,
    address: Option<&Address>,
    clock: &Clock,
    tasks: &Tasks,
) -> Result<OpenTier, StartError> {
    let Some(address) = address else { return Ok(OpenTier::default()) };
    let settings = tier_settings(&config.tier, sources.hold_ms_max());
    let (tier, mut recovered) = DatabaseTier::open(address, settings, clock.clone(), tasks).await?;
    let unfinished = match sources.hold_ms_max() {
        0 => Vec::new(),
        _ => read_unfinished(&tier, sources).await?,
    };
    let earlier = events::Earlier { unfinished, numbers: std::mem::take(&mut recovered.numbers) };
    let flush_due_ms = recovered.flush_due_ms.take();
    let used = match recovered.epoch {
        1 => Used::Never,
        _ => Used::Before,
    };
    let history = Some(PluginHistory::new(Arc::clone(&tier), used));
    Ok(OpenTier { tier: Some(tier), recovered, earlier, flush_due_ms, history })
}

/// The events that are to be applied again: first which those are, and only of them what they
/// named, because the journal may be larger than the memory.
async fn read_unfinished(
    tier: &DatabaseTier,
    sources: &events::Sources,
) -> Result<Vec<tier::Record>, StartError> {
    let reading = async {
        let mut unfinished = events::Unfinished::of(sources);
        tier.read_events(|record| unfinished.note(record)).await?;
        tier.read_targets(unfinished.into_records(), HELD_TARGETS_MAX).await
    };
    match tokio::time::timeout(Duration::from_secs(JOURNAL_S_MAX), reading).await {
        Ok(outcome) => outcome.map_err(StartError::Journal),
        Err(_) => Err(StartError::JournalSlow),
    }
}
