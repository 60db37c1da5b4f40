//! Addresses of the listeners.
//!
//! # Invariants
//! - What is not loopback is refused unless its clients authenticate or it is allowed by name.
//! - No two listeners want one address; port 0 is any free port, and never the same.
//!
//! # Not here
//! Whether another process has an address: binding tells.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::check::Mistakes;
use super::checked::UnixListen;
use super::raw::RawTls;
use crate::net::{Owner, TlsFiles, UnixAccess};

const MODE_MAX: u32 = 0o777;

/// What keeps strangers from using a listener that is not loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard {
    /// Clients authenticate, or the operator says that nothing is needed.
    Given,
    /// Nothing does.
    Missing,
}

impl Guard {
    /// Of a listener: by `insecure = true`, or by client certificates over TLS.
    pub(super) fn of(insecure: Option<bool>, tls: Option<&TlsFiles>) -> Self {
        let asks_clients = tls.is_some_and(|tls| tls.client_ca.is_some());
        if insecure == Some(true) || asks_clients { Self::Given } else { Self::Missing }
    }
}

/// Checks an address of `{section}.listen`.
pub(super) fn listen(
    m: &mut Mistakes,
    section: &str,
    text: Option<&str>,
    default_port: u16,
    guard: Guard,
) -> SocketAddr {
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, default_port));
    let key = format!("{section}.listen");
    let Some(text) = text else { return default };
    let Ok(address) = text.replacen("localhost:", "127.0.0.1:", 1).parse::<SocketAddr>() else {
        m.add(key, format!("`{text}` is not an address and a port such as `{default}`"));
        // In nobody's way, so that one mistake is not told as two.
        return SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    };
    if !address.ip().is_loopback() && guard == Guard::Missing {
        m.add(
            key,
            format!(
                "`{text}` is not loopback and has no authentication; use loopback, ask for client \
                 certificates by `{section}.tls.client_ca`, or allow it by \
                 `{section}.insecure = true`"
            ),
        );
    }
    address
}

/// Checks `{section}.tls`. Whether the files can be used is found when they are read.
pub(super) fn tls(m: &mut Mistakes, section: &str, raw: RawTls) -> Option<TlsFiles> {
    match raw {
        RawTls { cert: Some(cert), key: Some(key), client_ca } => {
            Some(TlsFiles { cert, key, client_ca })
        }
        RawTls { cert: None, key: None, client_ca: None } => None,
        RawTls { cert, key, .. } => {
            for (name, file) in [("cert", cert), ("key", key)] {
                if file.is_none() {
                    let key = format!("{section}.tls.{name}");
                    m.add(key, "is missing; TLS needs a certificate and its key");
                }
            }
            None
        }
    }
}

/// Checks `{section}.unix`, with its mode and its owner.
pub(super) fn unix(
    m: &mut Mistakes,
    section: &str,
    path: Option<PathBuf>,
    mode: Option<String>,
    owner: Option<String>,
) -> Option<UnixListen> {
    let mut access = UnixAccess::default();
    for (key, is_given) in [("unix_mode", mode.is_some()), ("unix_owner", owner.is_some())] {
        if is_given && path.is_none() {
            m.add(format!("{section}.{key}"), format!("needs a socket: `{section}.unix`"));
        }
    }
    if let Some(text) = mode {
        match u32::from_str_radix(&text, 8) {
            Ok(mode) if mode <= MODE_MAX => access.mode = mode,
            _ => m.add(
                format!("{section}.unix_mode"),
                format!("`{text}` is not an octal mode; 0 to 0777 are allowed"),
            ),
        }
    }
    if let Some(text) = owner {
        match Owner::parse(&text) {
            Ok(owner) => access.owner = Some(owner),
            Err(error) => m.add(format!("{section}.unix_owner"), error),
        }
    }
    path.map(|path| UnixListen { path, access })
}

/// Reports every listener that wants what one before it has.
pub(super) fn check_distinct(m: &mut Mistakes, listeners: &[(&str, SocketAddr)]) {
    for (n, (section, address)) in listeners.iter().enumerate() {
        let mut before = listeners.iter().take(n);
        if let Some((taken_by, _)) = before.find(|(_, other)| is_same(address, other)) {
            m.add(
                format!("{section}.listen"),
                format!("`{address}` is taken by `{taken_by}.listen` already"),
            );
        }
    }
}

/// An address for all of a family's interfaces (`0.0.0.0`, `[::]`) is that of each, too.
fn is_same(a: &SocketAddr, b: &SocketAddr) -> bool {
    let is_one_ip = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port() && a.port() != 0 && a.is_ipv4() == b.is_ipv4() && is_one_ip
}
