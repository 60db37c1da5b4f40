//! Parts that can fail to start, and how they say so.

use std::sync::Arc;

use crate::cache::{Recovered, tier};
use crate::clock::Clock;
use crate::config::{Config, ConfigErrors, Permission, PluginFile, PluginSettings};
use crate::events;
use crate::net::BindError;
use crate::pages;
use crate::plugins::{
    AllowEverything, PluginError, PluginLimits, PluginOrigin, PluginSource, Plugins,
};
use crate::tasks::Tasks;
use crate::tier::{OpenError, SqliteTier};

/// A configuration with nothing left to be parsed.
pub struct Checked {
    pub(super) config: Config,
    pub(super) sources: events::Sources,
}

impl Checked {
    /// Worker threads to run with.
    pub fn threads(&self) -> usize {
        self.config.threads
    }
}

/// Parses what only its users may look into. Reports every mistake.
pub fn check(config: Config) -> Result<Checked, ConfigErrors> {
    let sources = events::Sources::new(&config.sources)?;
    Ok(Checked { config, sources })
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A plugin.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// The database tier.
    #[error(transparent)]
    Tier(#[from] OpenError),
    /// An address.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A site.
    #[error(transparent)]
    Site(#[from] pages::SiteError),
    /// Signals.
    #[error("signals")]
    Signal(#[source] std::io::Error),
    /// Standard output.
    #[error("printing the addresses")]
    Announce(#[source] std::io::Error),
    /// A part's thread.
    #[error("loading plugins ended early: {0}")]
    Thread(String),
}

/// Compiles and checks the plugins, off the I/O threads.
pub(super) async fn load_plugins(config: &Config, clock: Clock) -> Result<Plugins, StartError> {
    let sources: Vec<PluginSource> = config.plugins.iter().map(source_of).collect();
    let loaded = tokio::task::spawn_blocking(move || Plugins::load(sources, clock)).await;
    Ok(loaded.map_err(|error| StartError::Thread(error.to_string()))??)
}

fn source_of(settings: &PluginSettings) -> PluginSource {
    let default = PluginLimits::default();
    PluginSource {
        name: settings.name.clone(),
        origin: match &settings.file {
            PluginFile::Shipped => PluginOrigin::Shipped,
            PluginFile::File(path) => PluginOrigin::File(path.clone()),
        },
        config: settings.config.clone(),
        limits: PluginLimits {
            memory_bytes_max: settings.memory_bytes.unwrap_or(default.memory_bytes_max),
            allow_everything: match settings.everything {
                Permission::Allowed => AllowEverything::Yes,
                Permission::Forbidden => AllowEverything::No,
            },
            ..default
        },
    }
}

type OpenTier = (Option<Arc<dyn tier::Tier>>, Recovered);

/// Opens the database, where there is one.
pub(super) async fn open_tier(
    config: &Config,
    clock: &Clock,
    tasks: &Tasks,
) -> Result<OpenTier, StartError> {
    let Some(address) = &config.database else { return Ok((None, Recovered::default())) };
    let (tier, recovered) = SqliteTier::open(address.reveal(), clock.clone(), tasks).await?;
    Ok((Some(tier), recovered))
}
