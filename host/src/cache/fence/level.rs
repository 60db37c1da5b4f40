//! The two sequences that every target has: up to which it is gone, up to which it is stale.

use crate::sync::{AtomicU64, Ordering};

use crate::model::{Mode, Sequence};

/// Hard and soft sequence of one target; both only rise.
#[derive(Debug, Default)]
pub(crate) struct Level {
    hard: AtomicU64,
    soft: AtomicU64,
}

/// Both sequences of a level, as they were when it was asked.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Levels {
    /// The last hard invalidation.
    pub(super) hard: Sequence,
    /// The last soft invalidation.
    pub(super) soft: Sequence,
}

impl Levels {
    /// The higher of each.
    pub(super) fn max(self, other: Self) -> Self {
        Self { hard: self.hard.max(other.hard), soft: self.soft.max(other.soft) }
    }

    /// The later of the two.
    pub(super) fn last(self) -> Sequence {
        self.hard.max(self.soft)
    }
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

    /// Both.
    pub(super) fn both(&self) -> Levels {
        let soft = Sequence::from_u64(self.soft.load(Ordering::Acquire));
        Levels { hard: self.hard(), soft }
    }

    /// The later of the two.
    pub(super) fn last(&self) -> Sequence {
        self.both().last()
    }
}
