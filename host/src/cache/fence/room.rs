//! What happens when the fence holds as many tags, URLs and sites as it may: those that nobody
//! holds give way, the ones that were invalidated longest ago first.
//!
//! # Invariants
//! - Before a row goes, `forgotten` is at or above it: fills and rows of the tier that are older
//!   can't be judged any more, and are not kept.
//! - Cells that an entry holds stay, so that no entry in memory is served or lost for it.
//! - Only what has been published goes: who stores meanwhile can't know of the rest, and would take
//!   a new cell for one that was never raised.
//! - Where entries hold nearly all cells and no room is made, invalidating a tag without a cell
//!   raises the floor instead: everything older ends, in memory too ([`Fence::raise`]).
//!
//! # Not here
//! Rows that nobody needs any more: [`Fence::collect`]. What the tier makes of it: `cache::sweep`.

use super::Fence;
use crate::limits::{FENCE_BYTES_PER_CELL, FENCE_CELLS_MIN};
use crate::model::Sequence;
use crate::sync::Ordering;

/// One part in so many gives way at once, because looking for it goes through all.
const GIVES_WAY_ONE_IN: usize = 16;

/// After a search that brought little, one part in so many newcomers is turned away unsearched.
const TURNED_AWAY_ONE_IN: usize = 64;

/// How many tags, URLs and sites the fence may hold above so much memory.
pub(crate) fn cells_max(memory_bytes: u64) -> usize {
    let cells = memory_bytes / FENCE_BYTES_PER_CELL;
    usize::try_from(cells).unwrap_or(usize::MAX).max(FENCE_CELLS_MIN)
}

impl Fence {
    /// Bounds the tags, URLs and sites from now on.
    pub(crate) fn set_cells_max(&self, cells_max: usize) {
        self.cells.set_max(cells_max);
    }

    /// Rows up to it may have been dropped; what was born before it can't be judged.
    pub(crate) fn forgotten(&self) -> Sequence {
        Sequence::from_u64(self.forgotten.load(Ordering::Acquire))
    }

    /// Notes that entries have gone: with them, cells may have become idle.
    pub(crate) fn note_swept(&self) {
        *self.turned_away.lock() = 0;
    }

    /// Has cells give way. Returns whether there is room now.
    pub(super) fn make_room(&self) -> bool {
        let mut turned_away = self.turned_away.lock();
        let (held, max) = (self.cells.len(), self.cells.max());
        if held < max {
            // Somebody else has just done it.
            return true;
        }
        if *turned_away > 0 {
            *turned_away -= 1;
            return false;
        }
        self.sets.collect();
        let share = (max / GIVES_WAY_ONE_IN).max(1);
        if let Some(sequence) = self.cells.oldest_idle(held - max + share) {
            let sequence = sequence.min(self.applied());
            self.forget(sequence);
            self.cells.collect(sequence);
        }
        let left = self.cells.len();
        if left + share / 2 > max {
            *turned_away = max / TURNED_AWAY_ONE_IN;
        }
        left < max
    }
}
