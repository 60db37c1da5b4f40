//! What auditing cached pages after an event found.

use super::{Key, Tag};

/// The outcome of one audit: each page that was looked at counts once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Audited {
    /// Pages that the origin answers as the cache does.
    pub same: u64,
    /// Pages that differ from themselves between two fetches: tokens, times of day.
    pub unstable: u64,
    /// Pages that were invalidated or replaced while the origin was asked.
    pub overtaken: u64,
    /// Pages that the origin did not answer whole, or answered with its own failure.
    pub unanswered: u64,
    /// Pages that were served although the origin had something else.
    pub stale: Vec<StalePage>,
}

impl Audited {
    /// Pages that were looked at.
    pub fn checked(&self) -> u64 {
        self.same + self.unstable + self.overtaken + self.unanswered + self.stale.len() as u64
    }
}

/// A page that no event had made wrong, and that was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StalePage {
    /// The operator's name of its site.
    pub site: String,
    /// Its key.
    pub key: Key,
    /// `http://host/path?query`.
    pub url: String,
    /// Its tags: an event that ends it must name one of them.
    pub tags: Vec<Tag>,
}
