//! Sites: which hosts are answered for, and from which origin.
//!
//! # Invariants
//! - There is one site per host, and one for any host at most.
//! - `pages.origin` is the origin of the site for any host: of the entry without a host where it
//!   names none itself, else of a site of its own.
//!
//! # Not here
//! Whether an origin answers.

use std::collections::BTreeSet;

use http::Uri;

use super::check::{Mistakes, known_plugin};
use super::checked::Site;
use super::items::SiteItems;
use super::page_limits::OriginCheck;
use super::raw::RawSite;
use super::site_cache::SiteCache;

/// Checks `[[sites]]` together with `pages.origin`.
pub(super) fn check_sites(
    m: &mut Mistakes,
    raw: Vec<RawSite>,
    mut origin_of_any: Option<String>,
    plugins: &BTreeSet<&str>,
) -> Vec<Site> {
    let mut hosts = BTreeSet::new();
    let mut sites = Vec::new();
    for (n, site) in raw.into_iter().enumerate() {
        let key = format!("sites[{n}]");
        let host = site.host.map(|host| host.to_ascii_lowercase());
        if !hosts.insert(host.clone()) {
            let host = host.as_deref().unwrap_or("any host");
            m.add(format!("{key}.host"), format!("`{host}` has a site already"));
        }
        known_plugin(m, &key, site.plugin.as_deref(), plugins);
        let cache = SiteCache::check(m, &format!("{key}.cache"), site.cache);
        let own = site.origin.map(|origin| (format!("{key}.origin"), origin));
        let given = own.or_else(|| {
            let origin = origin_of_any.take_if(|_| host.is_none())?;
            Some(("pages.origin".to_owned(), origin))
        });
        let Some((origin_key, origin)) = given else {
            m.add(
                format!("{key}.origin"),
                "is missing; it is an address such as `http://127.0.0.1:8000`",
            );
            continue;
        };
        let name = site.name.unwrap_or_else(|| host.clone().unwrap_or_else(|| "default".into()));
        let origin = check_origin(m, &origin_key, &origin);
        let further = site.further_origins.iter().enumerate();
        let further_origins = further
            .filter_map(|(n, text)| check_origin(m, &format!("{key}.further_origins[{n}]"), text))
            .collect();
        let check = OriginCheck::check(m, &format!("{key}.check"), site.check);
        let items = SiteItems::check(m, &format!("{key}.items"), site.items);
        let plugin = site.plugin;
        sites.extend(origin.map(|origin| Site {
            name,
            host,
            origin,
            further_origins,
            check,
            plugin,
            cache,
            items,
        }));
    }
    match origin_of_any {
        Some(_) if hosts.contains(&None) => {
            m.add("pages.origin", "the `[[sites]]` entry without a host has an origin already");
        }
        Some(origin) => {
            let origin = check_origin(m, "pages.origin", &origin);
            sites.extend(origin.map(|origin| Site {
                name: "default".into(),
                host: None,
                origin,
                further_origins: Vec::new(),
                check: None,
                plugin: None,
                cache: SiteCache::default(),
                items: None,
            }));
        }
        None => {}
    }
    sites
}

fn check_origin(m: &mut Mistakes, key: &str, text: &str) -> Option<Uri> {
    match origin_of(text) {
        Ok(origin) => Some(origin),
        Err(message) => {
            m.add(key, format!("`{text}` {message}"));
            None
        }
    }
}

fn origin_of(text: &str) -> Result<Uri, &'static str> {
    let uri: Uri = text.parse().map_err(|_| "is not an address such as `http://127.0.0.1:8000`")?;
    match (uri.scheme_str(), uri.authority(), uri.path()) {
        (Some("https"), _, _) => Err("is https, which is not available yet for origins"),
        (Some("http"), Some(_), "" | "/") if uri.query().is_none() => Ok(uri),
        (Some("http"), Some(_), _) => Err("has a path; an origin is scheme, host and port only"),
        _ => Err("is not an address such as `http://127.0.0.1:8000`"),
    }
}
