//! The listeners of all front doors: their TLS, binding, and the lines that name them.
//!
//! # Not here
//! Accepting: each front door's.

use std::fmt;
use std::io::{self, Write};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::registry::Registry;

use crate::config::{Config, ConfigError, Transport};
use crate::net::{BindError, Listener, Tls, TlsError, TlsFiles};

/// What is spoken inside TLS on the API's listener (RFC 7301 §6).
const API: &[&[u8]] = &[b"http/1.1"];

/// And on that of the pages, best first.
const PAGES: &[&[u8]] = &[b"h2", b"http/1.1"];

/// TLS by front door, where there is a certificate.
#[derive(Default)]
pub(super) struct TlsOfDoors {
    pub(super) memcached: Option<Tls>,
    pub(super) api: Option<Tls>,
    pub(super) pages: Option<Tls>,
}

impl TlsOfDoors {
    /// Reads every certificate and key; what can't be used becomes a mistake. Blocking.
    pub(super) fn load(config: &Config, mistakes: &mut Vec<ConfigError>) -> Self {
        let mut load = |section: &str, files: Option<&TlsFiles>, alpn: &[&[u8]]| match Tls::load(
            files?.clone(),
            alpn,
        ) {
            Ok(tls) => Some(tls),
            Err(error) => {
                mistakes.push(mistake(section, &error));
                None
            }
        };
        Self {
            // Memcached clients name no protocol.
            memcached: load("memcached", config.memcached.tls.as_ref(), &[]),
            api: load("api", config.api.tls.as_ref(), API),
            pages: load("pages", config.pages.as_ref().and_then(|p| p.tls.as_ref()), PAGES),
        }
    }

    /// Those there are, by name of the door.
    pub(super) fn each(&self) -> impl Iterator<Item = (&'static str, &Tls)> {
        let doors = [("memcached", &self.memcached), ("api", &self.api), ("pages", &self.pages)];
        doors.into_iter().filter_map(|(door, tls)| Some((door, tls.as_ref()?)))
    }

    /// Has failed handshakes scraped.
    pub(super) fn register(&self, registry: &mut Registry) {
        let failures = self.each().map(|(door, tls)| (door, tls.failures().clone()));
        registry.register_collector(Box::new(Failures(failures.collect())));
    }
}

/// Failed handshakes by front door.
#[derive(Debug)]
struct Failures(Vec<(&'static str, Counter)>);

impl Collector for Failures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (name, help) =
            ("tls_handshake_failures", "TLS handshakes that failed or took too long");
        let kind = ConstCounter::new(0u64).metric_type();
        let mut family = encoder.encode_descriptor(name, help, None, kind)?;
        for (door, failures) in &self.0 {
            let count = ConstCounter::new(failures.get());
            count.encode(family.encode_family(&[("listener", *door)])?)?;
        }
        Ok(())
    }
}

fn mistake(section: &str, error: &TlsError) -> ConfigError {
    let (key, path, reason) = match error {
        TlsError::Cert { path, reason } => ("cert", path, reason),
        TlsError::Key { path, reason } => ("key", path, reason),
        TlsError::ClientCa { path, reason } => ("client_ca", path, reason),
    };
    ConfigError { key: format!("{section}.tls.{key}"), message: format!("`{path}`: {reason}") }
}

/// Everything that is bound.
pub(super) struct Listeners {
    /// TCP in the order of the configuration, then the unix socket.
    pub(super) memcached: Vec<Listener>,
    pub(super) api: Listener,
    /// TCP in the order of the configuration, then the unix socket; none without a site.
    pub(super) pages: Vec<Listener>,
}

impl Listeners {
    /// Binds all.
    pub(super) async fn bind(config: &Config, tls: &TlsOfDoors) -> Result<Self, BindError> {
        let mut memcached = Vec::new();
        for listen in &config.memcached.listen {
            let tls = match listen.transport {
                Transport::Tls => tls.memcached.clone(),
                Transport::Plain => None,
            };
            memcached.push(Listener::tcp(listen.address).await?.with_tls(tls));
        }
        if let Some(unix) = &config.memcached.unix {
            memcached.push(Listener::unix(unix.path.clone(), unix.access.clone()).await?);
        }
        let api = Listener::tcp(config.api.listen).await?.with_tls(tls.api.clone());
        let mut pages = Vec::new();
        if let Some(config) = &config.pages {
            for address in &config.listen {
                pages.push(Listener::tcp(*address).await?.with_tls(tls.pages.clone()));
            }
            if let Some(unix) = &config.unix {
                pages.push(Listener::unix(unix.path.clone(), unix.access.clone()).await?);
            }
        }
        Ok(Self { memcached, api, pages })
    }

    /// Prints where everything is bound; scripts wait for these lines.
    pub(super) fn announce(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let memcached = self.memcached.iter().map(|listener| ("memcached", listener));
        let others = [("api", &self.api)].into_iter();
        let pages = self.pages.iter().map(|listener| ("pages", listener));
        for (door, listener) in memcached.chain(others).chain(pages) {
            let tls = if listener.tls().is_some() { " (tls)" } else { "" };
            writeln!(out, "{door}{tls} listening on {}", listener.bound())?;
        }
        writeln!(out, "ready")?;
        out.flush()
    }
}
