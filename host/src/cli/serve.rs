//! `wasmcached serve`: flags, each with its environment variable and its place in the file.

use std::path::PathBuf;

use clap::Args;

use crate::config::{
    Config, ConfigErrors, RawApi, RawConfig, RawMemcached, RawPages, RawPlugin, ReadError,
};

/// Flags win over the environment, the environment over the file.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE", env = "WASMCACHED_CONFIG")]
    config: Option<PathBuf>,
    /// Address of the memcached listener; port 0 takes any free port
    #[arg(long, value_name = "ADDR:PORT", env = "WASMCACHED_MEMCACHED")]
    memcached: Option<String>,
    /// Unix socket of the memcached listener, beside TCP
    #[arg(long, value_name = "PATH", env = "WASMCACHED_MEMCACHED_UNIX")]
    memcached_unix: Option<PathBuf>,
    /// Address of the page cache
    #[arg(long, value_name = "ADDR:PORT", env = "WASMCACHED_PAGES")]
    pages: Option<String>,
    /// Origin of the pages
    #[arg(long, value_name = "URL", env = "WASMCACHED_ORIGIN")]
    origin: Option<String>,
    /// Address of the API and of the webhook
    #[arg(long, value_name = "ADDR:PORT", env = "WASMCACHED_API")]
    api: Option<String>,
    /// Memory for entries
    #[arg(long, value_name = "SIZE", env = "WASMCACHED_MEMORY")]
    memory: Option<String>,
    /// Largest value
    #[arg(long, value_name = "SIZE", env = "WASMCACHED_MAX_ITEM_SIZE")]
    max_item_size: Option<String>,
    /// Most memcached connections at once
    #[arg(long, value_name = "N", env = "WASMCACHED_MAX_CONNECTIONS")]
    max_connections: Option<u32>,
    /// Worker threads
    #[arg(long, value_name = "N", env = "WASMCACHED_THREADS")]
    threads: Option<u32>,
    /// Users of the memcached listener
    #[arg(long, value_name = "FILE", env = "WASMCACHED_MEMCACHED_AUTH_FILE")]
    memcached_auth_file: Option<PathBuf>,
    /// Certificate of the memcached listener
    #[arg(long, value_name = "FILE", env = "WASMCACHED_MEMCACHED_TLS_CERT")]
    memcached_tls_cert: Option<PathBuf>,
    /// Private key of the memcached listener
    #[arg(long, value_name = "FILE", env = "WASMCACHED_MEMCACHED_TLS_KEY")]
    memcached_tls_key: Option<PathBuf>,
    /// Close a memcached connection that is silent for so long
    #[arg(long, value_name = "DURATION", env = "WASMCACHED_IDLE_TIMEOUT")]
    idle_timeout: Option<String>,
    /// Refuse new values when memory is full, instead of evicting old ones
    #[arg(long, env = "WASMCACHED_NO_EVICT")]
    no_evict: bool,
    /// Refuse flush_all
    #[arg(long, env = "WASMCACHED_NO_FLUSH")]
    no_flush: bool,
    /// Allow the memcached command `shutdown`
    #[arg(long, env = "WASMCACHED_ALLOW_SHUTDOWN")]
    allow_shutdown: bool,
    /// Database tier: sqlite:///path
    #[arg(long, value_name = "URL", env = "WASMCACHED_DATABASE")]
    database: Option<String>,
    /// Load a plugin from a file
    #[arg(long, value_name = "NAME=FILE", env = "WASMCACHED_PLUGIN", value_delimiter = ',',
          value_parser = plugin_pair)]
    plugin: Vec<(String, PathBuf)>,
    /// Check the configuration, bind nothing, and exit
    #[arg(long)]
    pub check: bool,
}

/// Why there is no configuration to run with.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The file.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Its values, or those of flags and environment.
    #[error(transparent)]
    Check(#[from] ConfigErrors),
}

impl ServeArgs {
    /// Reads the file, lays the flags over it, and checks the whole.
    pub fn load(self) -> Result<Config, ServeError> {
        let file = self.config.as_deref().map(RawConfig::read).transpose()?.unwrap_or_default();
        Ok(file.overlaid_with(self.into_raw()).check()?)
    }

    fn into_raw(self) -> RawConfig {
        let plugins = self
            .plugin
            .into_iter()
            .map(|(name, file)| (name, RawPlugin { file: Some(file), ..RawPlugin::default() }));
        RawConfig {
            memory: self.memory,
            max_item_size: self.max_item_size,
            threads: self.threads,
            evict: self.no_evict.then_some(false),
            database: self.database,
            memcached: RawMemcached {
                listen: self.memcached,
                unix: self.memcached_unix,
                max_connections: self.max_connections,
                idle_timeout: self.idle_timeout,
                flush: self.no_flush.then_some(false),
                shutdown: self.allow_shutdown.then_some(true),
                auth_file: self.memcached_auth_file,
                tls_cert: self.memcached_tls_cert,
                tls_key: self.memcached_tls_key,
                insecure: None,
            },
            pages: RawPages { listen: self.pages, origin: self.origin, insecure: None },
            api: RawApi { listen: self.api, insecure: None },
            plugins: plugins.collect(),
            ..RawConfig::default()
        }
    }
}

fn plugin_pair(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => {
            Ok((name.to_owned(), file.into()))
        }
        _ => Err("is not NAME=FILE".to_owned()),
    }
}
