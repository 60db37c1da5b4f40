//! What a change of a Django application's rows makes wrong: the tags of the row and its model, and
//! by rules the fragments, the pages and the values that Django itself keeps in this server.
//!
//! ```toml
//! [plugins.django.config]
//! release = "5.2.19"                                  # of Django, which computes the keys
//! caches = [{ key_prefix = "", version = 1 }]         # as CACHES has them; this is the default
//! page_prefixes = [""]                                # key_prefix of cache_page; the default
//! origins = ["https://treks.example.org"]             # as visitors write it; needed for pages
//! languages = ["en-us"]                               # [] where USE_I18N is off
//! time_zones = ["UTC"]                                # [] where USE_TZ is off
//!
//! [[plugins.django.config.rules]]
//! model = "mail.message"                              # `*` stands for anything
//! fields = ["read"]                                   # any of them changed; without it, always
//! fragments = [{ name = "message-count", vary_on = ["{recipient.username}"] }]
//! keys = ["inbox:{recipient.pk}"]
//! pages = [{ path = "/mail/" }, { path = "/", vary = { Accept-Encoding = [false, "gzip"] } }]
//! values = [{ key = "newest-message", field = "subject", ttl_s = 300 }]
//! ```
//!
//! `{pk}` is the row's key, every other name a field of the event's `before` and `after`: one name
//! for each of the two, so that a row that moved makes both its places wrong. A page without `vary`
//! goes with all its copies; with it (fields of requests, and the values that they come with;
//! `false` where a request lacks the field) the keys of these copies are named one by one, in all
//! languages and time zones, which is cheaper where the page is changed often. A value is written
//! under its key as soon as the event brings it, as text; anything but a text as JSON.
//!
//! # Invariants
//! - What an event leaves unknown makes more wrong, never less: every copy of a fragment, every
//!   page of a prefix, every key with the same beginning.
//! - Settings that can't be understood whole are refused whole, by their place and the reason.
//!
//! # Not here
//! How keys are computed: the library's module `django`. Tags of entries: the application sends
//! them with its pages and values.

mod config;
mod image;
mod template;

use wasmcached_plugin::django::{
    Method, Page, absolute_uri, make_key, make_template_fragment_key, template_fragment_prefix,
};
use wasmcached_plugin::pattern::matches;
use wasmcached_plugin::prelude::*;

use config::{Copies, FragmentRule, PageRule, Rule, Settings, ValueRule};
use image::{Image, images};
use template::Filled;

/// Knows Django's keys, and by its rules which of them belong to which rows.
#[derive(Debug, Default)]
pub struct Django {
    settings: Settings,
}

#[plugin(name = "django", key_epoch = 1)]
impl Plugin for Django {
    fn configure(&mut self, settings: &[(String, String)]) -> Result<()> {
        self.settings = config::parse(settings)?;
        Ok(())
    }

    fn on_event(&self, event: &Event) -> Result<Vec<Action>> {
        let mut found = Found::default();
        found.add_tags(event);
        for rule in self.settings.rules.iter().filter(|rule| fits(rule, event)) {
            for image in images(event) {
                self.apply(rule, &image, &mut found);
            }
            rule.values.iter().for_each(|value| self.write(value, event, &mut found));
        }
        Ok(found.actions)
    }
}

fn fits(rule: &Rule, event: &Event) -> bool {
    matches(&rule.model, event.model())
        && (rule.fields.is_empty() || rule.fields.iter().any(|field| event.changed(field)))
}

/// What an event makes wrong, each thing once.
#[derive(Default)]
struct Found {
    actions: Vec<Action>,
}

impl Found {
    fn add(&mut self, action: Action) {
        if !self.actions.contains(&action) {
            self.actions.push(action);
        }
    }

    /// The tags that the application's pages and values carry: `app.model:pk` where a row is
    /// shown, `app.model` with a choice of rows, `app.model:*` beside the tag of any row,
    /// `model:app.model` by hand.
    fn add_tags(&mut self, event: &Event) {
        let model = event.model();
        self.add(hard_tag(model));
        self.add(hard_tag(format!("{model}:{}", event.object_id().unwrap_or("*"))));
        self.add(hard_tag(format!("model:{model}")));
    }
}

impl Django {
    fn apply(&self, rule: &Rule, image: &Image<'_>, found: &mut Found) {
        rule.fragments.iter().for_each(|fragment| self.add_fragment(fragment, image, found));
        rule.pages.iter().for_each(|page| self.add_page(page, image, found));
        for key in &rule.keys {
            self.add_key(&key.fill(image), found);
        }
    }

    /// A key of Django's, or all with this beginning, in each of the caches.
    fn add_key(&self, key: &Filled, found: &mut Found) {
        for cache in &self.settings.caches {
            let of_cache = |key: &str| make_key(key, &cache.key_prefix, cache.version);
            found.add(match key {
                Filled::Whole(key) => hard_key(of_cache(key)),
                Filled::Beginning(prefix) => hard_prefix(of_cache(prefix)),
            });
        }
    }

    fn add_fragment(&self, fragment: &FragmentRule, image: &Image<'_>, found: &mut Found) {
        let values: Option<Vec<String>> =
            fragment.vary_on.iter().map(|template| template.fill(image).into_whole()).collect();
        let (release, name) = (self.settings.release, &fragment.name);
        self.add_key(
            &match values {
                Some(values) => Filled::Whole(make_template_fragment_key(release, name, &values)),
                None => Filled::Beginning(template_fragment_prefix(name)),
            },
            found,
        );
    }

    fn add_page(&self, rule: &PageRule, image: &Image<'_>, found: &mut Found) {
        let query = rule.query.as_ref().map(|query| query.fill_encoded(image));
        let known = match (rule.path.fill(image), query) {
            (Filled::Whole(path), None) => Ok((path, None)),
            (Filled::Whole(path), Some(Filled::Whole(query))) => Ok((path, Some(query))),
            (Filled::Whole(path), Some(Filled::Beginning(_))) | (Filled::Beginning(path), _) => {
                Err(path)
            }
        };
        for origin in &self.settings.origins {
            match &known {
                Ok((path, query)) => {
                    let url = absolute_uri(origin, path, query.as_deref());
                    found.add(hard_url(in_page_cache(&url)));
                    self.add_copies(rule, &url, found);
                }
                Err(beginning) => {
                    let beginning = absolute_uri(origin, beginning, None);
                    found.add(hard_prefix(in_page_cache(&beginning)));
                    self.add_every_page(found);
                }
            }
        }
    }

    /// The entries of `cache_page` for this address.
    fn add_copies(&self, rule: &PageRule, url: &str, found: &mut Found) {
        let Settings { release, page_prefixes, localities, .. } = &self.settings;
        for key_prefix in page_prefixes {
            let page = Page { url, key_prefix, language: None, time_zone: None };
            let Copies::Known(copies) = &rule.copies else {
                self.add_key(&Filled::Beginning(page.header_prefix()), found);
                for method in [Method::Get, Method::Head] {
                    self.add_key(&Filled::Beginning(page.prefix(method)), found);
                }
                continue;
            };
            for (language, time_zone) in localities {
                let (language, time_zone) = (language.as_deref(), time_zone.as_deref());
                let page = Page { language, time_zone, ..page };
                self.add_key(&Filled::Whole(page.header_key()), found);
                for copy in copies {
                    let vary: Vec<_> =
                        copy.iter().map(|(n, v)| (n.as_str(), v.as_deref())).collect();
                    for method in [Method::Get, Method::Head] {
                        self.add_key(&Filled::Whole(page.key(*release, method, &vary)), found);
                    }
                }
            }
        }
    }

    /// All pages: their keys are hashes, which have no beginnings in common.
    fn add_every_page(&self, found: &mut Found) {
        for key_prefix in &self.settings.page_prefixes {
            for kind in ["cache_header", "cache_page"] {
                let all = format!("views.decorators.cache.{kind}.{key_prefix}.");
                self.add_key(&Filled::Beginning(all), found);
            }
        }
    }

    /// Writes what the event brings; what it does not bring is removed.
    fn write(&self, rule: &ValueRule, event: &Event, found: &mut Found) {
        let path = format!("after.{}", rule.field);
        let new = match event.operation() {
            Operation::Deleted => None,
            _ => event.field(&path),
        };
        for image in images(event) {
            let key = rule.key.fill(&image);
            let (Filled::Whole(key), Some(new)) = (&key, new) else {
                self.add_key(&key, found);
                continue;
            };
            let text = event.text(&path).unwrap_or_else(|| new.to_string());
            for cache in &self.settings.caches {
                let key = make_key(key, &cache.key_prefix, cache.version);
                let value = NewValue::new(key, text.as_bytes());
                found.add(put(match rule.ttl_s {
                    Some(ttl_s) => value.ttl(ttl_s),
                    None => value,
                }));
            }
        }
    }
}

/// An address as the page cache has it: whatever the scheme that the visitor used.
fn in_page_cache(url: &str) -> String {
    match url.strip_prefix("https://") {
        Some(rest) => format!("http://{rest}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests;
