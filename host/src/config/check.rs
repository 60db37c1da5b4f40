//! From what was written to what is meant, with every mistake noted on the way.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::PathBuf;

use super::addresses::{Guard, check_distinct, listen, tls};
use super::audit::Audit;
use super::checked::{Api, Config, ConfigError, SecretText, Source, Verify};
use super::memcached::check_memcached;
use super::pages::check_pages;
use super::plugins::check_plugin;
use super::raw::{RawConfig, RawSource};
use super::sites::check_sites;
use super::tier::TierSettings;
use super::units::parse_size;
use crate::limits::{HOLD_MS_MAX, INTENT_MS_MAX};

const MEMORY_BYTES_DEFAULT: u64 = 64 << 20;
const MEMORY_BYTES_MIN: u64 = 8 << 20;
const ITEM_BYTES_DEFAULT: u64 = 1 << 20;
const ITEM_BYTES_MIN: u64 = 1 << 10;
const THREADS_MAX: u32 = 256;
const INTENT_TIMEOUT_MS_DEFAULT: u64 = 10_000;

/// Mistakes found so far.
#[derive(Default)]
pub(super) struct Mistakes(Vec<ConfigError>);

impl Mistakes {
    pub(super) fn add(&mut self, key: impl Display, message: impl Display) {
        self.0.push(ConfigError { key: key.to_string(), message: message.to_string() });
    }
}

impl RawConfig {
    /// Checks everything and returns every mistake beside what was understood, so that others can
    /// add what they find wrong with that. Where there is a mistake, the configuration is not to
    /// be used: defaults stand for the values that are wrong.
    pub fn check(mut self) -> (Config, Vec<ConfigError>) {
        let mut mistakes = Mistakes::default();
        let m = &mut mistakes;
        let memory_bytes =
            size(m, "memory", self.memory, MEMORY_BYTES_DEFAULT, MEMORY_BYTES_MIN, 1 << 40);
        // Half of the memory, so that a value just stored can never be pushed out by itself.
        let item_bytes = size(
            m,
            "max_item_size",
            self.max_item_size,
            ITEM_BYTES_DEFAULT,
            ITEM_BYTES_MIN,
            memory_bytes / 2,
        );
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
        let threads = count(m, "threads", self.threads, cores.min(THREADS_MAX), THREADS_MAX);
        let database = self.database.and_then(|address| check_database(m, address));
        if self.plugin_cache.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            m.add("plugin_cache", "`` is neither a folder nor `off`");
        }
        let tier = TierSettings::check(m, &self.tier);
        let plugins: Vec<_> =
            self.plugins.into_iter().map(|(name, plugin)| check_plugin(m, name, plugin)).collect();
        let names: BTreeSet<&str> = plugins.iter().map(|plugin| plugin.name.as_str()).collect();
        let has_site = !self.sites.is_empty() || self.pages.origin.is_some();
        let origin = self.pages.origin.take();
        let sites = check_sites(m, self.sites, origin, &names);
        let sources = check_sources(m, self.sources, &names);
        let pages = check_pages(m, self.pages, has_site);
        let audit = Audit::check(m, &self.audit);
        let memcached = check_memcached(m, self.memcached);
        let api = {
            let tls = tls(m, "api", self.api.tls);
            let guard = Guard::of(self.api.insecure, tls.as_ref());
            Api { listen: listen(m, "api", self.api.listen.as_deref(), 8081, guard), tls }
        };
        let of_memcached = memcached.listen.iter().map(|one| ("memcached", one.address));
        let mut listeners: Vec<_> = of_memcached.chain([("api", api.listen)]).collect();
        let of_pages = pages.iter().flat_map(|pages| &pages.listen);
        listeners.extend(of_pages.map(|address| ("pages", *address)));
        check_distinct(m, &listeners);
        let config = Config {
            memory_bytes,
            item_bytes_max: item_bytes as usize,
            threads: threads as usize,
            evict: self.evict.unwrap_or(true).into(),
            database,
            plugin_cache: self.plugin_cache,
            tier,
            memcached,
            pages,
            api,
            sites,
            sources,
            audit,
            plugins,
        };
        (config, mistakes.0)
    }
}

fn check_database(m: &mut Mistakes, address: String) -> Option<SecretText> {
    let scheme = address.split(':').next().unwrap_or_default().to_owned();
    match scheme.as_str() {
        "sqlite" | "postgres" | "postgresql" => return Some(SecretText::new(address)),
        // The address may hold a password: only its scheme is shown.
        _ => m.add(
            "database",
            format!("`{scheme}:…` is not `sqlite:///path` or `postgres://user@host/database`"),
        ),
    }
    None
}

fn check_sources(m: &mut Mistakes, raw: Vec<RawSource>, plugins: &BTreeSet<&str>) -> Vec<Source> {
    let mut names = BTreeSet::new();
    let mut sources = Vec::new();
    for (n, source) in raw.into_iter().enumerate() {
        let key = format!("sources[{n}]");
        let name = source.name.unwrap_or_default();
        let is_name = !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if !is_name {
            m.add(
                format!("{key}.name"),
                format!("`{name}` is not one or more of a-z A-Z 0-9 - _ ."),
            );
        } else if !names.insert(name.clone()) {
            m.add(format!("{key}.name"), format!("`{name}` is taken already"));
        }
        match source.verify.as_deref() {
            Some("standard") | None => {}
            Some(other) => {
                m.add(format!("{key}.verify"), format!("`{other}` is not one of: standard"));
            }
        }
        known_plugin(m, &key, source.plugin.as_deref(), plugins);
        let mut secrets: Vec<_> = source.secrets.into_iter().map(SecretText::new).collect();
        if let Some(path) = source.secrets_file {
            secrets.extend(read_secrets(m, &key, path));
        }
        if secrets.is_empty() {
            m.add(format!("{key}.secrets"), "is missing; a source has at least one secret");
        }
        let hold_ms = source.hold_ms.unwrap_or(0);
        if hold_ms > HOLD_MS_MAX {
            let message = format!("is {hold_ms}; 0 to {HOLD_MS_MAX} are allowed");
            m.add(format!("{key}.hold_ms"), message);
        }
        let intent_timeout_ms = source.intent_timeout_ms.unwrap_or(INTENT_TIMEOUT_MS_DEFAULT);
        if !(1..=INTENT_MS_MAX).contains(&intent_timeout_ms) {
            let message = format!("is {intent_timeout_ms}; 1 to {INTENT_MS_MAX} are allowed");
            m.add(format!("{key}.intent_timeout_ms"), message);
        }
        let (verify, plugin) = (Verify::Standard, source.plugin);
        sources.push(Source { name, verify, secrets, plugin, hold_ms, intent_timeout_ms });
    }
    sources
}

fn read_secrets(m: &mut Mistakes, key: &str, path: PathBuf) -> Vec<SecretText> {
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            lines.map(|line| SecretText::new(line.to_owned())).collect()
        }
        Err(error) => {
            m.add(format!("{key}.secrets_file"), format!("`{}`: {error}", path.display()));
            Vec::new()
        }
    }
}

/// Reports a plugin that is not configured.
pub(super) fn known_plugin(
    m: &mut Mistakes,
    key: &str,
    plugin: Option<&str>,
    plugins: &BTreeSet<&str>,
) {
    if let Some(name) = plugin.filter(|name| !plugins.contains(name)) {
        m.add(
            format!("{key}.plugin"),
            format!("`{name}` is not configured; add `[plugins.{name}]`"),
        );
    }
}

pub(super) fn size(
    m: &mut Mistakes,
    key: &str,
    text: Option<String>,
    default: u64,
    min: u64,
    max: u64,
) -> u64 {
    let Some(text) = text else { return default };
    let range = || format!("{} to {}", show_bytes(min), show_bytes(max));
    match parse_size(&text) {
        Some(bytes) if (min..=max).contains(&bytes) => return bytes,
        Some(_) => m.add(key, format!("`{text}` is out of range; {} are allowed", range())),
        None => {
            m.add(key, format!("`{text}` is not a size such as `64MiB`; {} are allowed", range()))
        }
    }
    default
}

pub(super) fn count(
    m: &mut Mistakes,
    key: &str,
    value: Option<u32>,
    default: u32,
    max: u32,
) -> u32 {
    match value {
        None => default,
        Some(value) if (1..=max).contains(&value) => value,
        Some(value) => {
            m.add(key, format!("`{value}` is out of range; 1 to {max} are allowed"));
            default
        }
    }
}

fn show_bytes(bytes: u64) -> String {
    match bytes {
        b if b >= 1 << 30 && b % (1 << 30) == 0 => format!("{}GiB", b >> 30),
        b if b >= 1 << 20 && b % (1 << 20) == 0 => format!("{}MiB", b >> 20),
        b if b >= 1 << 10 && b % (1 << 10) == 0 => format!("{}KiB", b >> 10),
        b => format!("{b}B"),
    }
}
