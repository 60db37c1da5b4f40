//! The trait that a plugin implements.
//!
//! # Invariants
//! - `configure` comes first and once per instance; then what the plugin declares; then the hooks.
//! - A hook that the plugin leaves out is not exported, so its default here is never asked in the
//!   server, except `on_item` beside `on_store` and the other way round.
//!
//! # Not here
//! How hooks are exported: the attribute and `wasm`.

use crate::{Action, Error, Event, Input, Item, Key, Request, Response, Result, Storage};

/// The constants that `#[plugin]` writes into the implementation.
#[derive(Debug, Clone, Copy)]
pub struct Info {
    /// What the plugin calls itself.
    pub name: &'static str,
    /// The version of its crate.
    pub version: &'static str,
    /// Raised when the meaning of its keys or tags changes.
    pub key_epoch: u32,
    /// Whether `cache_key` depends on the request alone, so that answers may be remembered.
    pub pure: bool,
}

/// A plugin. Write `#[plugin(name = "…")]` over the implementation; it adds `INFO` and, from its
/// own arguments, `inputs` and `item_prefixes`.
pub trait Plugin: Default + 'static {
    /// Name, version and epoch; written by the attribute.
    const INFO: Info;

    /// Takes the operator's settings. Refuse what you don't know: a setting that is silently
    /// ignored is a mistake that nobody finds.
    ///
    /// # Errors
    /// The default knows no settings and refuses the first one.
    fn configure(&mut self, config: &[(String, String)]) -> Result<()> {
        match config.first() {
            None => Ok(()),
            Some((key, _)) => Err(Error::new(format!("unknown setting `{key}`; there are none"))),
        }
    }

    /// The request data that the plugin reads. Asked after `configure`.
    fn inputs(&self) -> Vec<Input> {
        Vec::new()
    }

    /// The beginnings of the keys of memcached items for which `on_item` is asked.
    fn item_prefixes(&self) -> Vec<String> {
        Vec::new()
    }

    /// The key of a page.
    ///
    /// # Errors
    /// The server then asks the origin and stores nothing.
    fn cache_key(&self, request: &Request) -> Result<Key> {
        Ok(Key::of(request))
    }

    /// Tags and lifetime of a page that is about to be stored under `key`.
    ///
    /// # Errors
    /// The server then answers the client and stores nothing.
    fn on_store(&self, key: &str, request: &Request, response: &Response) -> Result<Storage> {
        let _ = (key, request, response);
        Ok(Storage::keep())
    }

    /// Tags and lifetime of a memcached item that is about to be stored.
    ///
    /// # Errors
    /// As for `on_store`.
    fn on_item(&self, item: &Item) -> Result<Storage> {
        let _ = item;
        Ok(Storage::keep())
    }

    /// What is wrong now, and what may be written anew at once.
    ///
    /// # Errors
    /// The server tries again, and then purges the tag `model:<model>` and whatever the plugin has
    /// stored.
    fn on_event(&self, event: &Event) -> Result<Vec<Action>> {
        let _ = event;
        Ok(Vec::new())
    }
}
