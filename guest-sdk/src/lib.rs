//! Write plugins for wasmcached: how pages are keyed, how entries are tagged, and what an event
//! makes wrong.
//!
//! A plugin is a type with [`Plugin`] implemented under [`macro@plugin`]. Every hook has a default;
//! write only those you need, the component exports only those, and the server asks for no others.
//!
//! ```
//! use wasmcached_plugin::prelude::*;
//!
//! #[derive(Default)]
//! struct Shop;
//!
//! #[plugin(
//!     name = "shop",
//!     key_epoch = 1,
//!     inputs(header = "accept-language", cookie = "tier"),
//!     item_prefixes("frag:"),
//! )]
//! impl Plugin for Shop {
//!     // How pages are told apart: per language and tier, whatever the campaign.
//!     fn cache_key(&self, request: &Request) -> Result<Key> {
//!         let languages = request.header("accept-language").unwrap_or("en");
//!         let key = Key::of(request).drop_query("utm_*").sort_query();
//!         let key = key.with("lang", languages.get(..2).unwrap_or("en"));
//!         Ok(key.with("tier", request.cookie("tier").unwrap_or("-")))
//!     }
//!
//!     // What a page is made of, and for how long it holds at most.
//!     fn on_store(&self, _key: &str, request: &Request, _response: &Response) -> Result<Storage> {
//!         Ok(Storage::ttl(300).tag(format!("path:{}", request.path())))
//!     }
//!
//!     // The same for memcached items whose keys begin with a declared prefix.
//!     fn on_item(&self, item: &Item) -> Result<Storage> {
//!         Ok(Storage::keep().tag(item.key().replace("frag:", "fragment:")))
//!     }
//!
//!     // What is wrong once this row has changed.
//!     fn on_event(&self, event: &Event) -> Result<Vec<Action>> {
//!         let id = event.object_id().unwrap_or("all");
//!         Ok(vec![hard_tag(format!("{}:{id}", event.model())), soft_tag("home")])
//!     }
//! }
//!
//! # fn main() {
//! use wasmcached_plugin::testing;
//! let request = testing::get("https://s/a?utm_source=x").header("accept-language", "de-DE");
//! assert_eq!(testing::key(&Shop, &request), "http://s/a|lang=de|tier=-");
//! let event = testing::event("shop.product").id(5);
//! assert_eq!(testing::actions(&Shop, &event), [hard_tag("shop.product:5"), soft_tag("home")]);
//! # }
//! ```
//!
//! The crate of a plugin has `crate-type = ["cdylib", "rlib"]` and is built with
//! `cargo build --release --target wasm32-wasip2`; its tests run natively, without a server.
//!
//! # Invariants
//! - A plugin reads the request data that it declared and nothing else; reading anything else is
//!   a panic in native tests and `None` in the server.
//! - Nothing here has state: an instance is configured once and may be thrown away at any time.
//!
//! # Not here
//! Limits (the server checks whatever a plugin returns), and what becomes of an error (the server's
//! policy: a key that fails bypasses the cache, a page that can't be tagged is not stored).

// The attribute writes paths from outside; inside they must lead here as well.
#[cfg(test)]
extern crate self as wasmcached_plugin;

mod action;
pub mod cache;
pub mod django;
mod error;
mod event;
mod hooks;
mod key;
mod log;
pub mod pattern;
pub mod percent;
mod request;
mod storage;
pub mod template;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod wasm;

pub use action::{
    Action, Mode, NewValue, Target, hard_everything, hard_key, hard_prefix, hard_tag, hard_url,
    put, refresh, soft_everything, soft_key, soft_prefix, soft_tag, soft_url,
};
pub use error::{Error, Result};
pub use event::{Event, Operation};
pub use hooks::{Info, Plugin};
pub use key::Key;
pub use log::{debug, error, info, warn};
pub use request::{Input, Item, Request, Response};
pub use serde_json;
pub use storage::Storage;
pub use wasmcached_plugin_macros::plugin;

/// Everything that a plugin's file needs.
pub mod prelude {
    pub use crate::{
        Action, Error, Event, Input, Item, Key, NewValue, Operation, Plugin, Request, Response,
        Result, Storage, hard_everything, hard_key, hard_prefix, hard_tag, hard_url, plugin, put,
        refresh, soft_everything, soft_key, soft_prefix, soft_tag, soft_url,
    };
}
