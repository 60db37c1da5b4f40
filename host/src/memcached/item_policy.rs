//! Where a plugin may decide about items: the border that `app` fills with the plugin host.

use futures_util::future::BoxFuture;

use crate::model::{Key, StoreDecision};

/// Decides tags and times of items by the prefix of their keys.
pub trait ItemPolicy: Send + Sync {
    /// Whether it wants to be asked about this key; asked for every store.
    fn concerns(&self, key: &[u8]) -> bool;

    /// What to do with an item that is about to be stored. An error is the reason not to store it:
    /// without its tags it could not be invalidated.
    fn on_item<'a>(
        &'a self,
        key: &'a Key,
        flags: u32,
        body_bytes: u32,
    ) -> BoxFuture<'a, Result<StoreDecision, String>>;
}
