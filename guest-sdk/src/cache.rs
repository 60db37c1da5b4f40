//! What is in the server's memory now: read-only, for `on_store`, `on_item` and `on_event`.
//!
//! ```
//! use wasmcached_plugin::prelude::*;
//! use wasmcached_plugin::{cache, testing};
//!
//! #[derive(Default)]
//! struct Queue;
//!
//! #[plugin(name = "queue")]
//! impl Plugin for Queue {
//!     // The list with the new message behind it, instead of no list.
//!     fn on_event(&self, event: &Event) -> Result<Vec<Action>> {
//!         let text = event.text("after.text").unwrap_or_default();
//!         Ok(match cache::get("queue:list")? {
//!             Some(list) => {
//!                 let list = [list.value, text.into_bytes()].concat();
//!                 vec![put(NewValue::new("queue:list", list))]
//!             }
//!             None => vec![hard_key("queue:list")],
//!         })
//!     }
//! }
//!
//! # fn main() {
//! let added = testing::event("queue.message").field("after.text", "b");
//! assert_eq!(testing::actions(&Queue, &added), [hard_key("queue:list")]);
//! testing::cached("queue:list", "a", &["queue"]);
//! let list = put(NewValue::new("queue:list", "ab"));
//! assert_eq!(testing::actions(&Queue, &added), [list]);
//! # }
//! ```
//!
//! # Invariants
//! - What a call has looked at counts for its answer: what it stores or puts gets the entries'
//!   tags, and a value that it puts is no newer than the oldest of them. So an invalidation of one
//!   of these tags, or of everything, refuses or ends what was computed; one by key, prefix, URL or
//!   site does so only until the value is written.
//! - In tests there is what [`crate::testing::cached`] has put there, and nothing else.
//!
//! # Not here
//! How many look-ups a call has, and how large a value may be: the server refuses more and says so.

#[cfg(not(target_arch = "wasm32"))]
use crate::testing as source;
#[cfg(target_arch = "wasm32")]
use crate::wasm as source;
use crate::{Error, Result};

/// A cached thing: an item, or a page that has no variants and no content coding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its bytes.
    pub value: Vec<u8>,
    /// The client's own 32 bits; 0 of a page.
    pub flags: u32,
    /// Whole seconds until it is gone; `None`: only eviction or an invalidation ends it.
    pub ttl_s: Option<u32>,
    /// Whole seconds since it was stored.
    pub age_s: u32,
}

/// What is fresh in memory under this key.
///
/// # Errors
/// In `cache_key`, which must depend on its request alone; beyond the number of look-ups that a
/// call has; a value that is too large.
pub fn get(key: &str) -> Result<Option<Entry>> {
    source::look_up(key).map_err(Error::new)
}

/// Its tags; none also where there is no entry.
///
/// # Errors
/// Those of [`get`], but for large values.
pub fn tags(key: &str) -> Result<Vec<String>> {
    source::look_up_tags(key).map_err(Error::new)
}
