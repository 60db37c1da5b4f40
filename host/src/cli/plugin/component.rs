//! A component as the commands name it: a file, its settings, its memory.
//!
//! # Invariants
//! - Limits are a server's, but for time: whether a plugin is fast enough is `bench`'s to say, and
//!   a busy machine must not make `check` or `test` fail.
//!
//! # Not here
//! What is done with it.

use std::path::{Path, PathBuf};

use clap::Args;

use super::PluginFailure;
use crate::config::parse_size;
use crate::plugins::{
    AllowEverything, CodeFolder, PluginLimits, PluginOrigin, PluginSource, Workbench,
};

/// How much longer than in a server a call may take.
const PATIENCE: u64 = 50;

/// A component and its settings.
#[derive(Debug, Args)]
pub struct ComponentArgs {
    /// The component
    pub file: PathBuf,
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// What a server would be configured with.
#[derive(Debug, Clone, Args)]
pub struct SettingsArgs {
    /// A setting of the plugin; may be given several times
    #[arg(long = "config", value_name = "KEY=VALUE", value_parser = setting)]
    pub config: Vec<(String, String)>,
    /// Memory of one instance, such as 64MiB
    #[arg(long, value_name = "SIZE", value_parser = memory)]
    pub memory: Option<usize>,
    /// Folder in which compiled plugins are kept, or `off`; without it, where the system has caches
    #[arg(long, value_name = "DIR", env = "WASMCACHED_PLUGIN_CACHE")]
    pub plugin_cache: Option<PathBuf>,
}

impl ComponentArgs {
    /// What a server would load.
    pub(super) fn source(&self) -> PluginSource {
        self.settings.source(&self.file)
    }
}

impl SettingsArgs {
    /// This file with these settings. Its events may invalidate everything: whether they may in a
    /// server is the operator's to say.
    pub(super) fn source(&self, file: &Path) -> PluginSource {
        let name = file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
        let default = PluginLimits::default();
        let limits = PluginLimits {
            memory_bytes_max: self.memory.unwrap_or(default.memory_bytes_max),
            key_ms_max: default.key_ms_max * PATIENCE,
            store_ms_max: default.store_ms_max * PATIENCE,
            allow_everything: AllowEverything::Yes,
            ..default
        };
        let origin = PluginOrigin::File(file.to_owned());
        PluginSource { name, origin, sha256: None, config: self.config.clone(), limits }
    }

    /// Opens the file.
    pub(super) fn open(&self, file: &Path) -> Result<Workbench, PluginFailure> {
        Ok(Workbench::open(&self.source(file), &self.code())?)
    }

    /// Where compiled code is kept.
    pub(super) fn code(&self) -> CodeFolder {
        CodeFolder::named(self.plugin_cache.as_deref())
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    pair.ok_or_else(|| "there is no `=` in it".to_owned())
}

fn memory(text: &str) -> Result<usize, String> {
    let bytes = parse_size(text).and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| "not a size such as 64MiB".to_owned())
}
