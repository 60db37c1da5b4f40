//! What an entry depends on: its cells as one set, which entries that name the same share.
//!
//! # Invariants
//! - What a set notes of its cells' levels is at least what they were at the watermark it was noted
//!   for: the levels are raised before that watermark is stored, and never fall.
//! - The table of sets only saves memory and look-ups: it may forget any of them at any time.
//!
//! # Not here
//! Levels themselves (`level`), and which cell a target has (`cell`).

use crate::sync::{AtomicU64, Ordering};
use std::hash::BuildHasher;
use std::sync::Arc;

use crate::sync::Mutex;
use foldhash::fast::RandomState;
use triomphe::ThinArc;

use super::cell::Cell;
use super::level::{Level, Levels};
use crate::model::{Mode, Sequence};

/// Locks over the table.
const SHARDS: usize = 16;

/// Sets that a shard remembers: with all shards, some thousand kinds of items and pages.
const SETS_PER_SHARD: usize = 256;

/// The cells of an entry. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct CellSet(Option<ThinArc<Noted, Arc<Cell>>>);

/// What is known about all cells of a set.
#[derive(Debug)]
struct Noted {
    /// Cells beside its own: those that other entries have, too.
    shared: CellSet,
    /// The watermark as of which `level` is the highest of all cells.
    checked_at: AtomicU64,
    level: Level,
}

impl CellSet {
    /// A set of its own cells and those of another set.
    pub(crate) fn new(own: &[Arc<Cell>], shared: Self) -> Self {
        if own.is_empty() {
            return shared;
        }
        let checked_at = AtomicU64::new(u64::MAX);
        let noted = Noted { shared, checked_at, level: Level::default() };
        Self(Some(ThinArc::from_header_and_iter(noted, own.iter().cloned())))
    }

    /// Every cell.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Cell>> {
        self.own().iter().chain(self.shared().map(Self::own).unwrap_or_default())
    }

    /// Where the part that others may share lies.
    #[cfg(test)]
    pub(super) fn shared_address(&self) -> Option<*const Arc<Cell>> {
        self.shared().filter(|shared| shared.0.is_some()).map(|shared| shared.own().as_ptr())
    }

    /// Whether the cell is one of these.
    pub(crate) fn has(&self, cell: &Arc<Cell>) -> bool {
        self.iter().any(|other| Arc::ptr_eq(other, cell))
    }

    /// The highest levels of all cells, as of the watermark `applied` or later.
    pub(super) fn levels_at(&self, applied: Sequence) -> Levels {
        let Some(set) = &self.0 else { return Levels::default() };
        let noted = &set.header.header;
        // Whoever stored this had loaded the same watermark before it looked at the cells.
        if noted.checked_at.load(Ordering::Acquire) == applied.as_u64() {
            return noted.level.both();
        }
        let own = set.slice.iter().map(|cell| cell.level.both());
        let found = own.fold(noted.shared.levels_at(applied), Levels::max);
        let known = noted.level.both();
        for (mode, found, known) in
            [(Mode::Hard, found.hard, known.hard), (Mode::Soft, found.soft, known.soft)]
        {
            if found > known {
                noted.level.raise(mode, found);
            }
        }
        noted.checked_at.store(applied.as_u64(), Ordering::Release);
        found
    }

    /// Resident bytes of the lists of cells, as if nobody shared them; the cells themselves are
    /// the fence's.
    pub(super) fn allocated_bytes(&self) -> usize {
        let Some(set) = &self.0 else { return 0 };
        // The count of owners, the length, and what the allocator adds.
        let own = 3 * size_of::<usize>() + size_of::<Noted>() + size_of_val(&set.slice);
        own + set.header.header.shared.allocated_bytes()
    }

    fn own(&self) -> &[Arc<Cell>] {
        self.0.as_ref().map_or(&[], |set| &set.slice)
    }

    fn shared(&self) -> Option<&Self> {
        self.0.as_ref().map(|set| &set.header.header.shared)
    }

    fn is_only_of(&self, cells: &[Arc<Cell>]) -> bool {
        let own = self.own();
        own.len() == cells.len()
            && own.iter().zip(cells).all(|(one, other)| Arc::ptr_eq(one, other))
    }
}

/// Sets that were made lately, each at a place that its cells say.
pub(super) struct Sets {
    shards: Box<[Mutex<Vec<CellSet>>]>,
    hasher: RandomState,
}

impl Default for Sets {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::default(),
        }
    }
}

impl Sets {
    /// The set of exactly these cells: one that others have, where it is remembered.
    pub(super) fn of(&self, cells: &[Arc<Cell>]) -> CellSet {
        if cells.is_empty() {
            return CellSet::default();
        }
        let addresses: Vec<usize> = cells.iter().map(|cell| Arc::as_ptr(cell).addr()).collect();
        let hash = self.hasher.hash_one(addresses) as usize;
        let Some(shard) = self.shards.get(hash % SHARDS) else { return CellSet::default() };
        // Dropped when the lock is free again.
        let _replaced;
        let mut sets = shard.lock();
        if sets.is_empty() {
            sets.resize_with(SETS_PER_SHARD, CellSet::default);
        }
        let Some(place) = sets.get_mut(hash / SHARDS % SETS_PER_SHARD) else {
            return CellSet::new(cells, CellSet::default());
        };
        if !place.is_only_of(cells) {
            _replaced = std::mem::replace(place, CellSet::new(cells, CellSet::default()));
        }
        place.clone()
    }

    /// Forgets the sets that nobody else holds, so that their cells may go.
    pub(super) fn collect(&self) {
        for shard in &self.shards {
            for place in shard.lock().iter_mut() {
                // Sets are cloned out of the table only under this lock, so a count of one stays.
                if place.0.as_ref().is_some_and(|set| ThinArc::strong_count(set) == 1) {
                    *place = CellSet::default();
                }
            }
        }
    }
}
