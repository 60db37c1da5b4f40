//! Pages under the keys by which nginx reads them from the memcached port, `PREFIX` and `$uri`, so
//! that nginx serves what the page cache, or the application itself, has stored there:
//!
//! ```nginx
//! location / {
//!     error_page 404 405 418 502 504 = @pages;
//!     if ($args) { return 418; }
//!     set $memcached_key "/your-site-name-$uri";
//!     memcached_pass 127.0.0.1:11211;
//!     default_type text/html;
//! }
//! location @pages {
//!     proxy_pass http://127.0.0.1:8080;
//!     proxy_set_header Host www.example.org;
//! }
//! ```
//!
//! Settings: `prefix` and `host`, which must be there; `ignore`, a list of patterns of paths that
//! are left alone; `content_type`, where it is not `text/html`; and `events`, which pages show
//! what: `[{"model": "treks.photo", "uris": ["/treks/{both.trek}/", "/"]}]`.
//!
//! # Invariants
//! - What is under such a key is the page of that path without a query, of the one host, and of the
//!   type that nginx says it has: nginx sends nothing but the bytes.
//! - Everything of a path has the key as its tag too, with whatever query it was asked; so an event
//!   ends all of it, and what an application wrote under the key.
//! - What an event does not say makes the purge larger: then all of the site is wrong.
//!
//! # Not here
//! Pages with `Vary`, a content coding or another status than 200: the server shows them to no
//! client of the memcached port. Items as answers of the page cache: `[sites.items]`.

mod settings;
mod uri;

use wasmcached_plugin::pattern::matches;
use wasmcached_plugin::prelude::*;

use settings::Settings;

/// Keeps pages where nginx looks for them.
#[derive(Debug, Default)]
pub struct NginxKeys {
    settings: Settings,
}

#[plugin(name = "nginx-keys", key_epoch = 1)]
impl Plugin for NginxKeys {
    fn configure(&mut self, settings: &[(String, String)]) -> Result<()> {
        self.settings = Settings::parse(settings)?;
        Ok(())
    }

    fn cache_key(&self, request: &Request) -> Result<Key> {
        if self.settings.ignore.iter().any(|pattern| matches(pattern, request.path())) {
            return Ok(Key::bypass());
        }
        let key = self.key_of(request).filter(|_| request.query().is_none());
        Ok(key.map_or_else(|| Key::of(request), Key::exactly))
    }

    fn on_store(&self, key: &str, request: &Request, response: &Response) -> Result<Storage> {
        let of_path = self.key_of(request);
        if of_path.as_deref() == Some(key) && !self.is_of_type(response) {
            wasmcached_plugin::debug(format!("{key}: not {}", self.settings.content_type));
            return Ok(Storage::skip());
        }
        let of_site = Storage::keep().tag(&self.settings.prefix);
        Ok(of_site.tags(of_path))
    }

    fn on_event(&self, event: &Event) -> Result<Vec<Action>> {
        let mut actions = Vec::new();
        let mut add = |new: [Action; 2]| {
            for action in new {
                if !actions.contains(&action) {
                    actions.push(action);
                }
            }
        };
        let prefix = &self.settings.prefix;
        let of_model =
            self.settings.events.iter().filter(|rule| matches(&rule.model, event.model()));
        for template in of_model.flat_map(|rule| &rule.uris) {
            let names = template.names(event);
            let is_whole = names.missing.is_none();
            let keys = names.known.iter().map(|uri| uri::key_of(prefix, uri));
            match keys.collect::<Option<Vec<String>>>().filter(|_| is_whole) {
                Some(keys) => {
                    keys.into_iter().for_each(|key| add([hard_tag(&key), hard_key(&key)]));
                }
                None => add([hard_tag(prefix), hard_prefix(prefix)]),
            }
        }
        Ok(actions)
    }
}

impl NginxKeys {
    /// The key of a request's path, if it is one that nginx asks for.
    fn key_of(&self, request: &Request) -> Option<String> {
        let is_of_host = request.host() == self.settings.host;
        let uri = uri::uri_of(request.path()).filter(|_| is_of_host)?;
        uri::key_of(&self.settings.prefix, &uri)
    }

    fn is_of_type(&self, response: &Response) -> bool {
        let field = response.header("content-type").unwrap_or_default();
        let media_type = field.split(';').next().unwrap_or_default().trim();
        media_type.eq_ignore_ascii_case(&self.settings.content_type)
    }
}

#[cfg(test)]
mod tests;
