//! What was written: every value optional and unchecked, unknown keys refused by name.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::audit::RawAudit;
use super::items::RawSiteItems;
use super::page_limits::{RawOriginCheck, RawPageLimits};
use super::plugin_limits::RawPluginLimits;
use super::plugins::RawSmokeCase;
use super::site_cache::RawSiteCache;
use super::tier::RawTier;

/// The TOML file, or what flags and environment say in its shape.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    /// Resident memory for entries: `64MiB`.
    pub memory: Option<String>,
    /// Largest value: `1MiB`.
    pub max_item_size: Option<String>,
    /// Worker threads.
    pub threads: Option<u32>,
    /// `false`: refuse new entries when memory is full.
    pub evict: Option<bool>,
    /// Address of the database tier: `sqlite:///path` or `postgres://user:password@host/database`.
    pub database: Option<String>,
    /// Folder of compiled plugins, or `off`.
    pub plugin_cache: Option<PathBuf>,
    /// Limits and durability of the tier.
    pub tier: RawTier,
    /// The memcached listener.
    pub memcached: RawMemcached,
    /// The page cache.
    pub pages: RawPages,
    /// The API and webhook listener.
    pub api: RawApi,
    /// Sites behind the page cache.
    pub sites: Vec<RawSite>,
    /// Senders of events.
    pub sources: Vec<RawSource>,
    /// Audits of pages after events.
    pub audit: RawAudit,
    /// Plugins by name.
    pub plugins: BTreeMap<String, RawPlugin>,
}

/// `[memcached]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawMemcached {
    /// Addresses and ports, one or a list; `notls:` before one keeps it without TLS.
    #[serde(deserialize_with = "one_or_many")]
    pub listen: Option<Vec<String>>,
    /// Path of a unix socket, beside the TCP listeners.
    pub unix: Option<PathBuf>,
    /// Its mode: `0700`.
    pub unix_mode: Option<String>,
    /// Its owner: `user:group`.
    pub unix_owner: Option<String>,
    /// Most connections at once.
    pub max_connections: Option<u32>,
    /// A connection that is silent for so long is closed; `0s` never.
    pub idle_timeout: Option<String>,
    /// Whether `flush_all` is allowed.
    pub flush: Option<bool>,
    /// Whether `shutdown` is allowed.
    pub shutdown: Option<bool>,
    /// Whether `watch` is allowed.
    pub watch: Option<bool>,
    /// Whether clients may list keys: `lru_crawler metadump`, `stats cachedump`.
    pub dump: Option<bool>,
    /// Users, as `user:password` lines.
    pub auth_file: Option<PathBuf>,
    /// TLS of the TCP listeners.
    pub tls: RawTls,
    /// Allow an address that is not loopback without authentication.
    pub insecure: Option<bool>,
}

/// `[memcached.tls]`, `[pages.tls]`, `[api.tls]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawTls {
    /// Certificate chain.
    pub cert: Option<PathBuf>,
    /// Private key.
    pub key: Option<PathBuf>,
    /// Authorities of clients: a client without a certificate of theirs is refused.
    pub client_ca: Option<PathBuf>,
}

/// `[pages]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawPages {
    /// Addresses and ports, one or a list.
    #[serde(deserialize_with = "one_or_many")]
    pub listen: Option<Vec<String>>,
    /// Path of a unix socket, beside the TCP listeners.
    pub unix: Option<PathBuf>,
    /// Its mode: `0700`.
    pub unix_mode: Option<String>,
    /// Its owner: `user:group`.
    pub unix_owner: Option<String>,
    /// Origin of the site for any host; several sites go into `[[sites]]`.
    pub origin: Option<String>,
    /// Allow an address that is not loopback: pages are meant for the public.
    pub insecure: Option<bool>,
    /// Limits and time-outs.
    pub limits: RawPageLimits,
    /// TLS of the listener.
    pub tls: RawTls,
}

/// `[api]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawApi {
    /// Address and port.
    pub listen: Option<String>,
    /// Allow an address that is not loopback without authentication.
    pub insecure: Option<bool>,
    /// TLS of the listener.
    pub tls: RawTls,
}

/// `[[sites]]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawSite {
    /// Its name, in metrics and errors.
    pub name: Option<String>,
    /// The host it answers for; without it, every host.
    pub host: Option<String>,
    /// Where to fetch from: `http://127.0.0.1:8000`.
    pub origin: Option<String>,
    /// More origins that answer alike.
    pub further_origins: Vec<String>,
    /// How they are checked.
    pub check: RawOriginCheck,
    /// The plugin that decides keys and tags.
    pub plugin: Option<String>,
    /// What HTTP leaves to the operator.
    pub cache: RawSiteCache,
    /// Items that are served as pages.
    pub items: RawSiteItems,
}

/// `[[sources]]`.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawSource {
    /// Its name: the last part of `/v1/events/{source}`.
    pub name: Option<String>,
    /// How its events are verified.
    pub verify: Option<String>,
    /// Secrets that count, several while they are rotated.
    pub secrets: Vec<String>,
    /// A file with one secret per line.
    pub secrets_file: Option<PathBuf>,
    /// The plugin that says what an event makes wrong.
    pub plugin: Option<String>,
    /// Milliseconds after which what an event made wrong is made wrong again, for origins that read
    /// from replicas: as much as they may lag behind, 600000 at most.
    pub hold_ms: Option<u64>,
    /// Milliseconds after which a change that was announced is taken to be over without its commit,
    /// 60000 at most.
    pub intent_timeout_ms: Option<u64>,
}

impl fmt::Debug for RawSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawSource").field("name", &self.name).finish_non_exhaustive()
    }
}

/// `[plugins.NAME]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawPlugin {
    /// The component; without it, the shipped plugin of this name.
    pub file: Option<PathBuf>,
    /// SHA-256 of the component, hexadecimal: another one is not loaded.
    pub sha256: Option<String>,
    /// Memory of one instance: `64MiB`.
    pub memory: Option<String>,
    /// Whether an event may invalidate everything.
    pub allow_everything: Option<bool>,
    /// What else it may use.
    pub limits: RawPluginLimits,
    /// Whether a new version in the file is loaded without being asked for.
    pub watch: Option<bool>,
    /// Requests whose keys a version must say before it is used.
    pub smoke: Vec<RawSmokeCase>,
    /// Handed to the plugin; values that are not text go as JSON.
    pub config: toml::Table,
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It can't be opened.
    #[error("configuration {path}")]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not TOML of this shape. The line itself is not shown: it may hold a secret.
    #[error("configuration {path}, line {line}, column {column}: {message}")]
    Parse {
        /// Which.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
        /// What is wrong, without values that are text.
        message: String,
    },
}

impl ReadError {
    fn parse(path: &Path, text: &str, mut error: toml::de::Error) -> Self {
        let start = error.span().map_or(0, |span| span.start);
        let before = text.get(..start).unwrap_or(text);
        let last_line = before.rsplit('\n').next().unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = last_line.chars().count() + 1;
        // With its input, the error would print the line.
        error.set_input(None);
        let message = masked(&error.to_string().trim_end().replace('\n', " "));
        Self::Parse { path: path.to_owned(), line, column, message }
    }
}

/// A text, or a list of such.
fn one_or_many<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Vec<String>>, D::Error> {
    struct OneOrMany;

    impl<'de> Visitor<'de> for OneOrMany {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an address or a list of addresses")
        }

        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(vec![text.to_owned()])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut texts = Vec::new();
            while let Some(text) = list.next_element()? {
                texts.push(text);
            }
            Ok(texts)
        }
    }

    value.deserialize_any(OneOrMany).map(Some)
}

/// The message with `***` for every value that is text; serde writes one as `string "…"`, escaped
/// as Rust does.
fn masked(message: &str) -> String {
    const VALUE: &str = "string \"";
    let mut shown = String::new();
    let mut rest = message;
    while let Some((before, value)) = rest.split_once(VALUE) {
        let mut is_escaped = false;
        let end = value.find(|c| {
            let is_end = c == '"' && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            is_end
        });
        shown.extend([before, VALUE, "***"]);
        rest = end.and_then(|end| value.get(end..)).unwrap_or_default();
    }
    shown.push_str(rest);
    shown
}

impl RawConfig {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ReadError::Open { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|error| ReadError::parse(path, &text, error))
    }

    /// Lays what flags and environment say over what the file says.
    #[must_use]
    pub fn overlaid_with(mut self, over: Self) -> Self {
        if over.pages.origin.is_some() {
            // Flags have no other way to say whose plugin it is.
            let mut names = over.plugins.keys();
            let plugin = names.next().filter(|_| names.next().is_none());
            if plugin.is_some() && self.sites.iter().all(|site| site.host.is_some()) {
                self.sites.push(RawSite::default());
            }
            for site in self.sites.iter_mut().filter(|site| site.host.is_none()) {
                // `pages.origin` steps in for it; its name stays the file's.
                site.origin = None;
                site.plugin = site.plugin.take().or_else(|| plugin.cloned());
            }
        }
        for (name, plugin) in over.plugins {
            let below = self.plugins.remove(&name).unwrap_or_default();
            self.plugins.insert(name, below.overlaid_with(plugin));
        }
        Self {
            memory: over.memory.or(self.memory),
            max_item_size: over.max_item_size.or(self.max_item_size),
            threads: over.threads.or(self.threads),
            evict: over.evict.or(self.evict),
            database: over.database.or(self.database),
            plugin_cache: over.plugin_cache.or(self.plugin_cache),
            // Of the file alone.
            tier: self.tier,
            memcached: self.memcached.overlaid_with(over.memcached),
            pages: RawPages {
                listen: over.pages.listen.or(self.pages.listen),
                unix: over.pages.unix.or(self.pages.unix),
                unix_mode: over.pages.unix_mode.or(self.pages.unix_mode),
                unix_owner: over.pages.unix_owner.or(self.pages.unix_owner),
                origin: over.pages.origin.or(self.pages.origin),
                insecure: over.pages.insecure.or(self.pages.insecure),
                // Of the file alone.
                limits: self.pages.limits,
                tls: self.pages.tls.overlaid_with(over.pages.tls),
            },
            api: RawApi {
                listen: over.api.listen.or(self.api.listen),
                insecure: over.api.insecure.or(self.api.insecure),
                tls: self.api.tls.overlaid_with(over.api.tls),
            },
            sites: if over.sites.is_empty() { self.sites } else { over.sites },
            sources: if over.sources.is_empty() { self.sources } else { over.sources },
            // Of the file alone.
            audit: self.audit,
            plugins: self.plugins,
        }
    }
}

impl RawMemcached {
    fn overlaid_with(self, over: Self) -> Self {
        Self {
            listen: over.listen.or(self.listen),
            unix: over.unix.or(self.unix),
            unix_mode: over.unix_mode.or(self.unix_mode),
            unix_owner: over.unix_owner.or(self.unix_owner),
            max_connections: over.max_connections.or(self.max_connections),
            idle_timeout: over.idle_timeout.or(self.idle_timeout),
            flush: over.flush.or(self.flush),
            shutdown: over.shutdown.or(self.shutdown),
            watch: over.watch.or(self.watch),
            dump: over.dump.or(self.dump),
            auth_file: over.auth_file.or(self.auth_file),
            tls: self.tls.overlaid_with(over.tls),
            insecure: over.insecure.or(self.insecure),
        }
    }
}

impl RawTls {
    fn overlaid_with(self, over: Self) -> Self {
        Self {
            cert: over.cert.or(self.cert),
            key: over.key.or(self.key),
            client_ca: over.client_ca.or(self.client_ca),
        }
    }
}

impl RawPlugin {
    fn overlaid_with(self, over: Self) -> Self {
        Self {
            file: over.file.or(self.file),
            sha256: over.sha256.or(self.sha256),
            memory: over.memory.or(self.memory),
            allow_everything: over.allow_everything.or(self.allow_everything),
            // Of the file alone.
            limits: self.limits,
            watch: over.watch.or(self.watch),
            smoke: if over.smoke.is_empty() { self.smoke } else { over.smoke },
            config: if over.config.is_empty() { self.config } else { over.config },
        }
    }
}
