//! Everything becomes wrong at a moment to come.
//!
//! # Invariants
//! - With a tier, what [`Cache::announce_flush`] has acknowledged outlives a crash, until
//!   [`Cache::flush`] has been acknowledged.
//!
//! # Not here
//! When the moment has come: whoever announced it.

use super::Cache;
use super::invalidate::{Applied, InvalidateError};
use crate::model::{Cause, Invalidation, Mode, Passage, Target};

impl Cache {
    /// Notes that everything will be wrong at `due_ms`, milliseconds since 1970, in place of any
    /// moment that was noted before. The caller flushes then; after a restart the next one does.
    ///
    /// # Errors
    /// It is not durable.
    pub async fn announce_flush(&self, cause: Cause, due_ms: u64) -> Result<(), InvalidateError> {
        if self.shared.tier.is_none() {
            return Ok(());
        }
        let nothing_yet = Invalidation { targets: Vec::new(), cause };
        self.pass(nothing_yet, Passage::FlushAt(due_ms)).await.map(drop)
    }

    /// Makes everything wrong, and forgets a moment up to `due_ms` that was noted for it.
    ///
    /// # Errors
    /// Those of [`Cache::invalidate`].
    pub async fn flush(&self, cause: Cause, due_ms: u64) -> Result<Applied, InvalidateError> {
        let everything = Invalidation { targets: vec![(Target::Everything, Mode::Hard)], cause };
        self.pass(everything, Passage::Flushed(due_ms)).await
    }
}
