//! Where a plugin may decide about items: the border that `app` fills with the plugin host.

use futures_util::future::BoxFuture;

use crate::cache::Claim;
use crate::model::{Key, StoreDecision};

/// Decides tags and times of items by the prefix of their keys.
pub trait ItemPolicy: Send + Sync {
    /// Whether it wants to be asked about this key; asked for every store.
    fn concerns(&self, key: &[u8]) -> bool;

    /// What to do with an item that is about to be stored, whose data is as old as the claim says.
    /// An error is the reason not to store it.
    fn on_item<'a>(
        &'a self,
        key: &'a Key,
        flags: u32,
        body_bytes: u32,
        claim: Claim,
    ) -> BoxFuture<'a, Result<StoreDecision, ItemError>>;
}

/// Why nobody can say how an item is to be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ItemError {
    /// Since its data was read there was an event about which those who decide now may not have
    /// been asked: it may be older than what they would have made wrong.
    #[error("data from before the version of the plugin that decides now")]
    Outdated,
    /// Without its tags it could not be invalidated.
    #[error("{0}")]
    NoAnswer(String),
}
