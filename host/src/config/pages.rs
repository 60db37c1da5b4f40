//! The listeners of the page cache: addresses, TLS, the unix socket.
//!
//! # Invariants
//! - There are some if and only if there is a site.
//!
//! # Not here
//! Limits: `page_limits`. What is answered on them: `sites`.

use super::addresses::{Guard, listen, tls, unix};
use super::check::Mistakes;
use super::checked::Pages;
use super::page_limits::PageLimits;
use super::raw::RawPages;

const PORT_DEFAULT: u16 = 8080;

/// Checks `[pages]`, but for the origin, which is that of a site.
pub(super) fn check_pages(m: &mut Mistakes, raw: RawPages, has_site: bool) -> Option<Pages> {
    for (key, is_given) in [("listen", raw.listen.is_some()), ("unix", raw.unix.is_some())] {
        if is_given && !has_site {
            let message = "needs an origin: `pages.origin` or a `[[sites]]` entry";
            m.add(format!("pages.{key}"), message);
        }
    }
    let tls = tls(m, "pages", raw.tls);
    let limits = PageLimits::check(m, raw.limits);
    let unix = unix(m, "pages", raw.unix, raw.unix_mode, raw.unix_owner);
    if !has_site {
        return None;
    }
    let guard = Guard::of(raw.insecure, tls.as_ref());
    let mut listen = |text: Option<&str>| listen(m, "pages", text, PORT_DEFAULT, guard);
    let listen: Vec<_> = match &raw.listen {
        None => vec![listen(None)],
        Some(texts) => texts.iter().map(|text| listen(Some(text.as_str()))).collect(),
    };
    if listen.is_empty() && unix.is_none() {
        m.add("pages.listen", "is empty, and there is no `pages.unix` to listen on");
    }
    Some(Pages { listen, unix, limits, tls })
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, ConfigErrors, RawConfig};

    fn check(text: &str) -> (Config, String) {
        let (config, mistakes) = toml::from_str::<RawConfig>(text).unwrap().check();
        (config, ConfigErrors(mistakes).to_string())
    }

    #[test]
    fn listeners_are_one_or_many_on_tcp_and_one_on_a_unix_socket() {
        let (config, mistakes) = check(
            "[pages]\norigin = 'http://a:1'\nlisten = ['127.0.0.1:1', '[::1]:2']\n\
             unix = '/s'\nunix_mode = '0660'",
        );
        assert_eq!(mistakes, "");
        let pages = config.pages.unwrap();
        let shown: Vec<_> = pages.listen.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["127.0.0.1:1", "[::1]:2"]);
        assert_eq!(pages.unix.unwrap().access.mode, 0o660);
        let (config, mistakes) = check("[pages]\norigin = 'http://a:1'\nlisten = []\nunix = '/s'");
        assert_eq!((mistakes.as_str(), config.pages.unwrap().listen.len()), ("", 0));
    }

    #[test]
    fn mistakes_name_their_key() {
        for (text, expected) in [
            ("unix = '/s'", "pages.unix: needs an origin"),
            ("origin = 'http://a:1'\nlisten = []", "pages.listen: is empty, and there is no"),
            (
                "origin = 'http://a:1'\nunix_mode = '0700'",
                "pages.unix_mode: needs a socket: `pages.",
            ),
            (
                "origin = 'http://a:1'\nlisten = ['127.0.0.1:1', '127.0.0.1:1']",
                "pages.listen: `127.0.0.1:1` is taken by `pages.listen` already",
            ),
        ] {
            let (_, mistakes) = check(&format!("[pages]\n{text}"));
            assert!(mistakes.starts_with(expected), "{mistakes}");
        }
    }
}
