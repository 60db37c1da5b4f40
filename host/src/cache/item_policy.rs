//! Where a plugin may decide about items: what the doors by which clients store them ask, and `app`
//! fills with the plugin host.
//!
//! # Not here
//! Asking: who stores asks before, because it may take a while.

use futures_util::future::BoxFuture;

use super::{Claim, Draft};
use crate::model::{Expiry, Key, StoreDecision};

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

impl Draft {
    /// As a plugin has decided: until its time, if it names one, and with its tags, too.
    #[must_use]
    pub fn decided(mut self, decision: StoreDecision, now_ms: u64) -> Self {
        let by_plugin = decision.ttl_s.map(|s| Expiry::at_ms(now_ms + u64::from(s) * 1000));
        self.expires = by_plugin.unwrap_or(self.expires);
        for tag in decision.tags {
            if !self.tags.contains(&tag) {
                self.tags.push(tag);
            }
        }
        self
    }
}
