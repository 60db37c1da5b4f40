//! The configuration file that the demo writes for the cache.
//!
//! # Invariants
//! - Addresses are written as they were bound: a cache that is started again answers at the same
//!   place, and pages keep their keys, which begin with it.
//!
//! # Not here
//! What the fields mean: the cache's configuration.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use super::site::Secret;

/// Where the three front doors listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Addresses {
    pub(super) memcached: SocketAddr,
    pub(super) api: SocketAddr,
    pub(super) pages: SocketAddr,
}

impl Addresses {
    /// The server's defaults where they are free, any free port elsewhere.
    pub(super) fn default_or_free() -> Self {
        Self { memcached: or_any(11_211), api: or_any(8_081), pages: or_any(8_080) }
    }
}

fn or_any(port: u16) -> SocketAddr {
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpListener::bind(wanted) {
        Ok(_) => wanted,
        Err(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
    }
}

/// The file's text.
pub(super) fn text(addresses: Addresses, origin: SocketAddr, dir: &Path, key: &Secret) -> String {
    let Addresses { memcached, api, pages } = addresses;
    let database = quoted(&format!("sqlite://{}", dir.join("cache.db").display()));
    let secret = quoted(key.as_str());
    format!(
        r#"# Written by `wasmcached demo`; `wasmcached serve --config` takes it as it is.
memory = "64MiB"
database = {database}

[memcached]
listen = "{memcached}"

[api]
listen = "{api}"

[pages]
listen = "{pages}"

[plugins.trekking]

[[sites]]
name = "trekking"
origin = "http://{origin}"
plugin = "trekking"

[[sources]]
name = "trekking"
verify = "standard"
secrets = [{secret}]
plugin = "trekking"
"#
    )
}

/// A TOML string, escaped.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Addresses, text};
    use crate::demo::site::Secret;

    #[test]
    fn file_is_toml_whatever_the_folder_is_called() {
        let address = "127.0.0.1:1".parse().unwrap();
        let addresses = Addresses { memcached: address, api: address, pages: address };
        let dir = Path::new("/tmp/a \"quoted\" \\ folder");
        let text = text(addresses, address, dir, &Secret::random().unwrap());
        let table: toml::Table = text.parse().unwrap();
        let database = table["database"].as_str().unwrap();
        assert_eq!(database, "sqlite:///tmp/a \"quoted\" \\ folder/cache.db");
        assert!(table["sources"][0]["secrets"][0].as_str().unwrap().starts_with("whsec_"));
    }
}
