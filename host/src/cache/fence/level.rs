//! The two sequences that every target has: up to which it is gone, up to which it is stale.

use crate::sync::{AtomicU64, Ordering};

use crate::model::{Mode, Sequence};

/// Hard and soft sequence of one target; both only rise.
#[derive(Debug, Default)]
pub(crate) struct Level {
    hard: AtomicU64,
    soft: AtomicU64,
}

impl Level {
    /// Raises one of the two. The caller publishes the watermark afterwards, with release order.
    pub(super) fn raise(&self, mode: Mode, sequence: Sequence) {
        let which = match mode {
            Mode::Hard => &self.hard,
            Mode::Soft => &self.soft,
        };
        which.fetch_max(sequence.as_u64(), Ordering::Release);
    }

    /// The last hard invalidation.
    pub(super) fn hard(&self) -> Sequence {
        Sequence::from_u64(self.hard.load(Ordering::Acquire))
    }

    /// The last soft invalidation.
    pub(super) fn soft(&self) -> Sequence {
        Sequence::from_u64(self.soft.load(Ordering::Acquire))
    }

    /// The later of the two.
    pub(super) fn last(&self) -> Sequence {
        self.hard().max(self.soft())
    }
}
