//! Which plugins may have tagged what the tables have.
//!
//! # Invariants
//! - A note is durable when its call returns `Ok`; one that failed may be there all the same.
//!
//! # Not here
//! What follows from a plugin that ran and runs no more: the app's.

use std::time::Duration;

use tokio::sync::oneshot;

use super::DatabaseTier;
use crate::cache::tier::TierError;

/// Longest wait for a note to be durable.
const NOTE_MS_MAX: u64 = 5_000;

/// A plugin as it ran above these tables.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RanPlugin {
    /// The operator's name of it.
    pub name: String,
    /// Tells its component and its settings from all others.
    pub identity: String,
    /// What tells its entries from those of others.
    pub mark: String,
}

/// Plugins that are to be noted, and who waits for it.
pub(super) struct Notes {
    pub(super) plugins: Vec<RanPlugin>,
    pub(super) beside: Beside,
    waiter: oneshot::Sender<()>,
}

/// What becomes of the plugins that were noted before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beside {
    Kept,
    Forgotten,
}

impl Notes {
    /// Notes that nobody waits for in the queue.
    pub(super) fn unawaited(plugins: Vec<RanPlugin>, beside: Beside) -> Self {
        let (waiter, _) = oneshot::channel();
        Self { plugins, beside, waiter }
    }

    /// They are durable.
    pub(super) fn settle(self) {
        // Who waited may have gone away.
        let _ = self.waiter.send(());
    }
}

impl DatabaseTier {
    /// The plugins that had been noted when the database was opened.
    pub fn ran_plugins(&self) -> &[RanPlugin] {
        &self.ran_plugins
    }

    /// Notes a plugin beside the others.
    ///
    /// # Errors
    /// It is not known to be durable.
    pub async fn note_plugin(&self, plugin: RanPlugin) -> Result<(), TierError> {
        self.note(vec![plugin], Beside::Kept).await
    }

    /// Notes these plugins, and no others.
    ///
    /// # Errors
    /// As [`Self::note_plugin`].
    pub async fn note_only_plugins(&self, plugins: Vec<RanPlugin>) -> Result<(), TierError> {
        self.note(plugins, Beside::Forgotten).await
    }

    async fn note(&self, plugins: Vec<RanPlugin>, beside: Beside) -> Result<(), TierError> {
        let (waiter, noted) = oneshot::channel();
        self.inner.queue.lock().notes.push_back(Notes { plugins, beside, waiter });
        self.inner.work.notify_one();
        match tokio::time::timeout(Duration::from_millis(NOTE_MS_MAX), noted).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(TierError::Database("plugins are not noted".to_owned())),
            Err(_) => Err(TierError::Database(format!("no answer in {NOTE_MS_MAX} ms"))),
        }
    }
}
