//! The component's side: the contract's types to and from this crate's, and the exports.
//!
//! Each interface is a world of its own, so that a component exports those that its plugin has and
//! no others. Only the attribute's expansion names anything here.
//!
//! # Invariants
//! - A plugin is made and configured once per instance; hooks see it unchanged.
//! - The text of a panic reaches the log before the trap takes the instance.
//!
//! # Not here
//! Anything that native tests run.

use std::cell::OnceCell;
use std::panic;
use std::rc::Rc;

use crate::cache::Entry;
use crate::log::Level;
use crate::{Action, Event, Input, Item, Key, Mode, Operation, Plugin, Request, Response, Storage};
use crate::{NewValue, Target};

#[allow(missing_docs, unreachable_pub, reason = "generated from the contract")]
mod generated {
    pub mod lifecycle {
        wit_bindgen::generate!({
            path: "wit",
            world: "lifecycle-part",
            pub_export_macro: true,
            export_macro_name: "export_lifecycle",
        });
    }

    pub mod cache {
        wit_bindgen::generate!({ path: "wit", world: "cache-part" });
    }

    pub mod keyer {
        wit_bindgen::generate!({
            path: "wit",
            world: "keyer-part",
            pub_export_macro: true,
            export_macro_name: "export_keyer",
        });
    }

    pub mod tagger {
        wit_bindgen::generate!({
            path: "wit",
            world: "tagger-part",
            pub_export_macro: true,
            export_macro_name: "export_tagger",
        });
    }

    pub mod invalidator {
        wit_bindgen::generate!({
            path: "wit",
            world: "invalidator-part",
            pub_export_macro: true,
            export_macro_name: "export_invalidator",
        });
    }
}

pub use generated::{invalidator, keyer, lifecycle, tagger};

use generated::cache::wasmcached::plugin::cache;
use invalidator::exports::wasmcached::plugin::invalidator as invalidator_wit;
use invalidator::wasmcached::plugin::types as event_types;
use keyer::exports::wasmcached::plugin::keyer as keyer_wit;
use keyer::wasmcached::plugin::types as key_types;
use lifecycle::exports::wasmcached::plugin::lifecycle as lifecycle_wit;
use lifecycle::wasmcached::plugin::{log, types as manifest_types};
use tagger::exports::wasmcached::plugin::tagger as tagger_wit;
use tagger::wasmcached::plugin::types as tag_types;

/// Where the attribute keeps the one plugin of an instance.
pub struct Slot<P> {
    pub plugin: OnceCell<(P, Rc<[Input]>)>,
}

/// What the attribute's expansion implements; everything else follows from it.
pub trait Exported {
    type Plugin: Plugin;

    fn with<T>(use_it: impl FnOnce(&Slot<Self::Plugin>) -> T) -> T;
}

fn with_plugin<E: Exported, T>(
    ask: impl FnOnce(&E::Plugin, &Rc<[Input]>) -> crate::Result<T>,
) -> Result<T, String> {
    E::with(|slot| match slot.plugin.get() {
        Some((plugin, inputs)) => ask(plugin, inputs).map_err(|error| error.to_string()),
        None => Err("the plugin was not configured before its first call".to_owned()),
    })
}

impl<E: Exported> lifecycle_wit::Guest for E {
    fn configure(config: Vec<(String, String)>) -> Result<(), String> {
        panic::set_hook(Box::new(|info| write_log(Level::Error, &info.to_string())));
        let mut plugin = E::Plugin::default();
        plugin.configure(&config).map_err(|error| error.to_string())?;
        let inputs = plugin.inputs().into();
        let kept = E::with(|slot| slot.plugin.set((plugin, inputs)));
        kept.map_err(|_| "the plugin is configured already".to_owned())
    }

    fn describe() -> Result<manifest_types::Manifest, String> {
        let info = E::Plugin::INFO;
        with_plugin::<E, _>(|plugin, inputs| {
            Ok(manifest_types::Manifest {
                name: info.name.to_owned(),
                version: info.version.to_owned(),
                inputs: inputs.iter().cloned().map(Into::into).collect(),
                item_prefixes: plugin.item_prefixes(),
                key_epoch: info.key_epoch,
                pure: info.pure,
            })
        })
    }
}

impl<E: Exported> keyer_wit::Guest for E {
    fn cache_key(req: key_types::Request) -> Result<key_types::Key, String> {
        with_plugin::<E, _>(|plugin, inputs| {
            let request = Request {
                method: req.method,
                host: req.host,
                path: req.path,
                query: req.query,
                inputs: Rc::clone(inputs),
                values: req.inputs,
            };
            plugin.cache_key(&request).map(Into::into)
        })
    }
}

impl<E: Exported> tagger_wit::Guest for E {
    fn on_store(
        key: String,
        req: tag_types::Request,
        resp: tag_types::Response,
    ) -> Result<tag_types::Storage, String> {
        with_plugin::<E, _>(|plugin, inputs| {
            let request = Request {
                method: req.method,
                host: req.host,
                path: req.path,
                query: req.query,
                inputs: Rc::clone(inputs),
                values: req.inputs,
            };
            let tag_types::Response { status, headers, body_size } = resp;
            let response = Response { status, headers, body_size };
            plugin.on_store(&key, &request, &response).map(Into::into)
        })
    }

    fn on_item(key: String, flags: u32, body_size: u32) -> Result<tag_types::Storage, String> {
        let item = Item { key, flags, body_size };
        with_plugin::<E, _>(|plugin, _| plugin.on_item(&item).map(Into::into))
    }
}

impl<E: Exported> invalidator_wit::Guest for E {
    fn on_event(ev: event_types::Event) -> Result<Vec<event_types::Action>, String> {
        let event = Event {
            id: ev.id,
            source: ev.source,
            model: ev.model,
            operation: match ev.operation {
                event_types::Operation::Created => Operation::Created,
                event_types::Operation::Updated => Operation::Updated,
                event_types::Operation::Deleted => Operation::Deleted,
                event_types::Operation::Other => Operation::Other,
            },
            object_id: ev.object_id,
            changed_fields: ev.changed_fields,
            occurred_at: ev.occurred_at,
            payload: ev.payload,
            parsed: OnceCell::new(),
        };
        let actions = with_plugin::<E, _>(|plugin, _| {
            Ok(plugin.on_event(&event)?.into_iter().map(Into::into).collect())
        })?;
        match event.unreadable() {
            None => Ok(actions),
            Some(reason) => Err(format!("the payload can't be read: {reason}")),
        }
    }
}

impl From<Input> for manifest_types::Input {
    fn from(input: Input) -> Self {
        match input {
            Input::Header(name) => Self::Header(name),
            Input::Cookie(name) => Self::Cookie(name),
            Input::QueryParam(name) => Self::QueryParam(name),
        }
    }
}

impl From<Key> for key_types::Key {
    fn from(key: Key) -> Self {
        match key.into_custom() {
            None => Self::Bypass,
            Some(None) => Self::Default,
            Some(Some(text)) => Self::Custom(text),
        }
    }
}

impl From<Storage> for tag_types::Storage {
    fn from(storage: Storage) -> Self {
        let Storage { store, ttl_s, stale_while_revalidate_s, stale_if_error_s, tags } = storage;
        Self { store, ttl_s, stale_while_revalidate_s, stale_if_error_s, tags }
    }
}

impl From<Action> for event_types::Action {
    fn from(action: Action) -> Self {
        match action {
            Action::Invalidate(target, mode) => Self::Invalidate(event_types::Invalidation {
                target: match target {
                    Target::Tag(tag) => event_types::Target::Tag(tag),
                    Target::Key(key) => event_types::Target::Key(key),
                    Target::Url(url) => event_types::Target::Url(url),
                    Target::KeyPrefix(prefix) => event_types::Target::KeyPrefix(prefix),
                    Target::Everything => event_types::Target::Everything,
                },
                mode: match mode {
                    Mode::Hard => event_types::PurgeMode::Hard,
                    Mode::Soft => event_types::PurgeMode::Soft,
                },
            }),
            Action::Put(NewValue { key, value, ttl_s, tags }) => {
                Self::Put(event_types::NewValue { key, value, ttl_s, tags })
            }
            Action::Refresh(url) => Self::Refresh(url),
        }
    }
}

/// What is under a key.
pub(crate) fn look_up(key: &str) -> Result<Option<Entry>, String> {
    let of_contract = |found: cache::Entry| {
        let cache::Entry { value, flags, ttl_s, age_s } = found;
        Entry { value, flags, ttl_s, age_s }
    };
    cache::get(key).map(|found| found.map(of_contract))
}

/// The tags of what is under a key.
pub(crate) fn look_up_tags(key: &str) -> Result<Vec<String>, String> {
    cache::tags(key)
}

/// A line for the plugin's log.
pub(crate) fn write_log(level: Level, message: &str) {
    let level = match level {
        Level::Debug => log::Level::Debug,
        Level::Info => log::Level::Info,
        Level::Warn => log::Level::Warn,
        Level::Error => log::Level::Error,
    };
    log::log(level, message);
}
