//! The memcached listeners: addresses, TLS, the unix socket, limits.
//!
//! # Invariants
//! - With a certificate, every TCP listener has TLS but for those that say `notls:`, memcached's
//!   word for it.
//!
//! # Not here
//! The walls behind these limits (key, line and reply lengths): `crate::limits`.

use std::time::Duration;

use super::addresses::{Guard, listen, tls, unix};
use super::check::{Mistakes, count};
use super::checked::{Memcached, MemcachedListen, Transport};
use super::raw::RawMemcached;
use super::units::parse_duration;
use crate::net::TlsFiles;

const PORT_DEFAULT: u16 = 11211;
const CONNECTIONS_DEFAULT: u32 = 1024;
const CONNECTIONS_MAX: u32 = 100_000;

/// Before an address that has no TLS although there is a certificate.
const NO_TLS: &str = "notls:";

pub(super) fn check_memcached(m: &mut Mistakes, raw: RawMemcached) -> Memcached {
    let idle_timeout = raw.idle_timeout.and_then(|text| match parse_duration(&text) {
        Some(Duration::ZERO) => None,
        Some(timeout) => Some(timeout),
        None => {
            m.add(
                "memcached.idle_timeout",
                format!("`{text}` is not a duration such as `30s` or `5m`"),
            );
            None
        }
    });
    let connections = count(
        m,
        "memcached.max_connections",
        raw.max_connections,
        CONNECTIONS_DEFAULT,
        CONNECTIONS_MAX,
    );
    let tls = tls(m, "memcached", raw.tls);
    let guard_of = |tls: Option<&TlsFiles>| match raw.auth_file {
        Some(_) => Guard::Given,
        None => Guard::of(raw.insecure, tls),
    };
    let listen = match raw.listen {
        None => vec![check_listen(m, None, tls.as_ref(), guard_of)],
        Some(texts) => {
            let texts = texts.iter().map(Some);
            texts.map(|text| check_listen(m, text, tls.as_ref(), guard_of)).collect()
        }
    };
    let unix = unix(m, "memcached", raw.unix, raw.unix_mode, raw.unix_owner);
    if listen.is_empty() && unix.is_none() {
        m.add("memcached.listen", "is empty, and there is no `memcached.unix` to listen on");
    }
    Memcached {
        listen,
        unix,
        tls,
        auth_file: raw.auth_file,
        connections_max: connections as usize,
        idle_timeout,
        flush: raw.flush.unwrap_or(true).into(),
        shutdown: raw.shutdown.unwrap_or(false).into(),
        watch: raw.watch.unwrap_or(true).into(),
        dump: raw.dump.unwrap_or(true).into(),
    }
}

fn check_listen(
    m: &mut Mistakes,
    text: Option<&String>,
    tls: Option<&TlsFiles>,
    guard_of: impl Fn(Option<&TlsFiles>) -> Guard,
) -> MemcachedListen {
    let text = text.map(String::as_str);
    let without_tls = text.and_then(|text| text.strip_prefix(NO_TLS));
    let (transport, tls) = match (without_tls, tls) {
        (None, Some(tls)) => (Transport::Tls, Some(tls)),
        _ => (Transport::Plain, None),
    };
    let address = listen(m, "memcached", without_tls.or(text), PORT_DEFAULT, guard_of(tls));
    MemcachedListen { address, transport }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, ConfigErrors, RawConfig};
    use crate::net::Owner;

    fn check(text: &str) -> (Config, String) {
        let (config, mistakes) = toml::from_str::<RawConfig>(text).unwrap().check();
        (config, ConfigErrors(mistakes).to_string())
    }

    fn listeners(text: &str) -> Vec<String> {
        let (config, mistakes) = check(text);
        assert_eq!(mistakes, "", "{text}");
        let shown = config.memcached.listen.iter();
        shown.map(|one| format!("{} {:?}", one.address, one.transport)).collect()
    }

    const TLS: &str = "tls = { cert = 'c', key = 'k' }";
    const MUTUAL: &str = "tls = { cert = 'c', key = 'k', client_ca = 'a' }";

    #[test]
    fn listeners_are_one_or_many_and_have_tls_where_there_is_a_certificate() {
        let cases = [
            (String::new(), vec!["127.0.0.1:11211 Plain"]),
            ("listen = 'localhost:1'".into(), vec!["127.0.0.1:1 Plain"]),
            (
                "listen = ['[::1]:1', '127.0.0.1:2']".into(),
                vec!["[::1]:1 Plain", "127.0.0.1:2 Plain"],
            ),
            ("listen = []\nunix = '/s'".into(), vec![]),
            (TLS.into(), vec!["127.0.0.1:11211 Tls"]),
            (
                format!("listen = ['127.0.0.1:1', 'notls:127.0.0.1:2']\n{TLS}"),
                vec!["127.0.0.1:1 Tls", "127.0.0.1:2 Plain"],
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(listeners(&format!("[memcached]\n{text}")), expected, "{text}");
        }
    }

    #[test]
    fn client_certificates_guard_the_listeners_that_ask_for_them_and_no_other() {
        assert_eq!(
            listeners(&format!("[memcached]\nlisten = '0.0.0.0:1'\n{MUTUAL}")),
            ["0.0.0.0:1 Tls"]
        );
        let (_, mistakes) = check(&format!("[memcached]\nlisten = '0.0.0.0:1'\n{TLS}"));
        assert!(
            mistakes.starts_with("memcached.listen: `0.0.0.0:1` is not loopback"),
            "{mistakes}"
        );
        let text = format!("[memcached]\nlisten = ['0.0.0.0:1', 'notls:0.0.0.0:2']\n{MUTUAL}");
        let (_, mistakes) = check(&text);
        assert!(
            mistakes.starts_with("memcached.listen: `0.0.0.0:2` is not loopback"),
            "{mistakes}"
        );
        assert!(!mistakes.contains("0.0.0.0:1`"), "{mistakes}");
        let (_, mistakes) = check("[api]\nlisten = '0.0.0.0:1'\ntls = { cert = 'c', key = 'k' }");
        assert!(mistakes.starts_with("api.listen: `0.0.0.0:1` is not loopback"), "{mistakes}");
    }

    #[test]
    fn unix_socket_has_a_mode_and_an_owner() {
        let (config, mistakes) =
            check("[memcached]\nunix = '/s'\nunix_mode = '0770'\nunix_owner = 'root:root'");
        assert_eq!(mistakes, "");
        let access = config.memcached.unix.unwrap().access;
        assert_eq!(access.mode, 0o770);
        assert_eq!(access.owner, Some(Owner::parse("0:0").unwrap()));
    }

    #[test]
    fn mistakes_name_key_value_and_range() {
        for (text, expected) in [
            ("listen = []", "memcached.listen: is empty, and there is no `memcached.unix`"),
            (
                "listen = ['127.0.0.1:1', '127.0.0.1:1']",
                "memcached.listen: `127.0.0.1:1` is taken by `memcached.listen` already",
            ),
            ("unix_mode = '0700'", "memcached.unix_mode: needs a socket"),
            ("unix = '/s'\nunix_mode = '1777'", "memcached.unix_mode: `1777` is not an octal"),
            ("unix = '/s'\nunix_mode = 'rwx'", "memcached.unix_mode: `rwx` is not an octal"),
            ("unix = '/s'\nunix_owner = ':'", "memcached.unix_owner: `:` is not `user`"),
            ("tls = { cert = 'c' }", "memcached.tls.key: is missing"),
            ("tls = { client_ca = 'c' }", "memcached.tls.cert: is missing"),
        ] {
            let (_, mistakes) = check(&format!("[memcached]\n{text}"));
            assert!(mistakes.starts_with(expected), "{mistakes}");
        }
    }
}
