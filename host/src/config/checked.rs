//! The checked configuration.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;

use super::audit::Audit;
use super::items::SiteItems;
use super::page_limits::{OriginCheck, PageLimits};
use super::plugin_limits::PluginLimitSettings;
use super::site_cache::SiteCache;
use super::tier::TierSettings;
use crate::model::SmokeCase;
use crate::net::{TlsFiles, UnixAccess};

/// What the server runs with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Resident bytes for entries.
    pub memory_bytes: u64,
    /// Largest value in bytes.
    pub item_bytes_max: usize,
    /// Worker threads.
    pub threads: usize,
    /// Whether old entries may make room for new ones.
    pub evict: Permission,
    /// The database tier's address.
    pub database: Option<SecretText>,
    /// Folder of compiled plugins, or `off`; without it, where the system has caches.
    pub plugin_cache: Option<PathBuf>,
    /// Its limits and durability.
    pub tier: TierSettings,
    /// The memcached listeners.
    pub memcached: Memcached,
    /// The page cache's listeners, where there is a site.
    pub pages: Option<Pages>,
    /// The API and webhook listener.
    pub api: Api,
    /// Sites, one without a host at most.
    pub sites: Vec<Site>,
    /// Senders of events.
    pub sources: Vec<Source>,
    /// How pages are audited after events, where they are.
    pub audit: Option<Audit>,
    /// Plugins to load.
    pub plugins: Vec<PluginSettings>,
}

/// Whether clients may do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// They may.
    Allowed,
    /// They may not.
    Forbidden,
}

impl From<bool> for Permission {
    fn from(is_allowed: bool) -> Self {
        if is_allowed { Self::Allowed } else { Self::Forbidden }
    }
}

/// The memcached listeners; there is at least one.
#[derive(Debug, Clone)]
pub struct Memcached {
    /// On TCP.
    pub listen: Vec<MemcachedListen>,
    /// On a unix socket.
    pub unix: Option<UnixListen>,
    /// What those with TLS present.
    pub tls: Option<TlsFiles>,
    /// Users who may connect; without it, everybody.
    pub auth_file: Option<PathBuf>,
    /// Most connections at once.
    pub connections_max: usize,
    /// When a silent connection is closed.
    pub idle_timeout: Option<Duration>,
    /// `flush_all`.
    pub flush: Permission,
    /// `shutdown`.
    pub shutdown: Permission,
    /// `watch`.
    pub watch: Permission,
    /// Listing keys.
    pub dump: Permission,
}

/// A memcached listener on TCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemcachedListen {
    /// Address and port.
    pub address: SocketAddr,
    /// What its connections begin with.
    pub transport: Transport,
}

/// What stands between a protocol and TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Nothing.
    Plain,
    /// TLS.
    Tls,
}

/// A listener on a unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnixListen {
    /// The socket's file.
    pub path: PathBuf,
    /// Who may connect.
    pub access: UnixAccess,
}

/// The page cache's listeners; there is at least one.
#[derive(Debug, Clone)]
pub struct Pages {
    /// Addresses and ports.
    pub listen: Vec<SocketAddr>,
    /// On a unix socket.
    pub unix: Option<UnixListen>,
    /// Limits and time-outs.
    pub limits: PageLimits,
    /// TLS of those on TCP, where there is a certificate.
    pub tls: Option<TlsFiles>,
}

/// The API listener.
#[derive(Debug, Clone)]
pub struct Api {
    /// Address and port.
    pub listen: SocketAddr,
    /// TLS, where there is a certificate.
    pub tls: Option<TlsFiles>,
}

/// A site.
#[derive(Debug, Clone)]
pub struct Site {
    /// In metrics and errors.
    pub name: String,
    /// Lower-case host it answers for; `None` for any.
    pub host: Option<String>,
    /// Scheme and authority of the origin.
    pub origin: Uri,
    /// More origins that answer alike.
    pub further_origins: Vec<Uri>,
    /// How they are checked, where they are.
    pub check: Option<OriginCheck>,
    /// Plugin for keys and tags.
    pub plugin: Option<String>,
    /// What HTTP leaves to the operator.
    pub cache: SiteCache,
    /// Items that are served as pages, where they are.
    pub items: Option<SiteItems>,
}

/// How events of a source are verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// Standard Webhooks 1.0.0 signatures.
    Standard,
}

/// A sender of events.
#[derive(Debug, Clone)]
pub struct Source {
    /// In the address, metrics and errors.
    pub name: String,
    /// How its events are verified.
    pub verify: Verify,
    /// Secrets that count.
    pub secrets: Vec<SecretText>,
    /// Plugin that says what an event makes wrong.
    pub plugin: Option<String>,
    /// How long after an event it is applied again; 0: it is not.
    pub hold_ms: u64,
    /// How long an announced change stays open without its commit.
    pub intent_timeout_ms: u64,
}

/// Where a plugin's component comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginFile {
    /// It is part of the server.
    Shipped,
    /// A file.
    File(PathBuf),
}

/// Whether a file is looked at for changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// Only when asked to.
    No,
    /// About once a second.
    Yes,
}

/// A plugin to load.
#[derive(Debug, Clone)]
pub struct PluginSettings {
    /// Its name.
    pub name: String,
    /// Its component.
    pub file: PluginFile,
    /// The SHA-256 that it must have, lower-case hexadecimal.
    pub sha256: Option<String>,
    /// Memory of one instance.
    pub memory_bytes: Option<usize>,
    /// Whether an event may invalidate everything.
    pub everything: Permission,
    /// What else it may use.
    pub limits: PluginLimitSettings,
    /// Whether a new version in the file is loaded without being asked for.
    pub watch: Watch,
    /// Requests whose keys a version must say before it is used.
    pub smoke: Vec<SmokeCase>,
    /// What it is configured with: text, or JSON text.
    pub config: Vec<(String, String)>,
}

/// Text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// Wraps it.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the one who needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct ConfigError {
    /// The key as in the file: `memcached.listen`.
    pub key: String,
    /// The value and what is allowed.
    pub message: String,
}

/// Every mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, error) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
