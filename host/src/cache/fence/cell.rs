//! Tags, URLs and sites, interned: an entry holds its cells, so that a hit hashes no string.

use crate::sync::{AtomicU64, AtomicUsize, Ordering};
use std::collections::HashMap;
use std::sync::Arc;

use crate::sync::Mutex;
use foldhash::fast::RandomState;
use std::hash::BuildHasher;

use super::level::Level;
use super::set::CellSet;
use crate::limits::FENCE_CELLS_MIN;
use crate::model::{Birth, Mode, Sequence, Target};

/// Locks over the table; a store of different tags seldom meets another.
const SHARDS: usize = 64;

/// What a cell takes with its place in the table, as measured with a million of them.
pub(crate) const CELL_BYTES: usize = 91;

/// One tag, URL or site: its level, and how many live entries carry it.
#[derive(Debug, Default)]
pub(crate) struct Cell {
    pub(super) level: Level,
    live: AtomicU64,
}

/// What an entry keeps for the rule.
#[derive(Debug)]
pub(crate) struct Marks {
    pub(super) birth: Birth,
    /// The watermark at which it was last found fresh; at first its birth, of which that is true.
    pub(super) checked_at: AtomicU64,
    cells: CellSet,
}

impl Marks {
    /// Counts the entry as live in each of its cells until the marks are dropped.
    pub(crate) fn new(birth: Birth, cells: CellSet) -> Self {
        for cell in cells.iter() {
            cell.live.fetch_add(1, Ordering::Relaxed);
        }
        Self { birth, checked_at: AtomicU64::new(birth.sequence().as_u64()), cells }
    }

    /// The birth of the entry's data.
    pub(crate) fn birth(&self) -> Birth {
        self.birth
    }

    /// What the entry depends on.
    pub(crate) fn cells(&self) -> &CellSet {
        &self.cells
    }

    /// Resident bytes of the list of cells; the cells themselves are the fence's.
    pub(crate) fn allocated_bytes(&self) -> usize {
        self.cells.allocated_bytes()
    }
}

impl Drop for Marks {
    fn drop(&mut self) {
        for cell in self.cells.iter() {
            // An invalidation has already taken the entries born before it out of the count.
            if self.birth.includes(cell.level.hard()) {
                let _ = cell
                    .live
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |live| live.checked_sub(1));
            }
        }
    }
}

/// There is no room for another tag, URL or site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("fence holds {limit} tags, URLs and sites, the limit for this memory")]
pub struct FenceFull {
    /// How many there may be.
    pub limit: usize,
}

/// What became of a raise.
pub(super) enum Raised {
    /// The target has its row; so many live entries carried it.
    Row { live: u64 },
    /// There is no row and no room for one.
    NoRoom,
}

/// Cells by the seeded hash of their target: what visitors name is not kept, however long. Targets
/// of the same hash share a cell, and then more is invalid, never less.
type Shard = Mutex<HashMap<u64, Arc<Cell>>>;

/// The table of cells.
pub(super) struct Cells {
    shards: Box<[Shard]>,
    hasher: RandomState,
    len: AtomicUsize,
    max: AtomicUsize,
}

impl Default for Cells {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::default(),
            len: AtomicUsize::new(0),
            max: AtomicUsize::new(FENCE_CELLS_MIN),
        }
    }
}

impl Cells {
    /// The cell of a target that an entry is stored with.
    pub(super) fn intern(&self, target: &Target) -> Result<Arc<Cell>, FenceFull> {
        self.cell(target).ok_or_else(|| FenceFull { limit: self.max() })
    }

    /// Raises a target, with a new row where a fill in flight may yet learn of it.
    pub(super) fn raise(&self, target: &Target, mode: Mode, sequence: Sequence) -> Raised {
        let Some(cell) = self.cell(target) else { return Raised::NoRoom };
        cell.level.raise(mode, sequence);
        let live = match mode {
            Mode::Hard => cell.live.swap(0, Ordering::Relaxed),
            Mode::Soft => cell.live.load(Ordering::Relaxed),
        };
        Raised::Row { live }
    }

    /// Drops cells that no entry holds and no fill begun after `horizon` can miss.
    pub(super) fn collect(&self, horizon: Sequence) {
        for shard in &self.shards {
            let mut cells = shard.lock();
            let before = cells.len();
            // Cells are cloned out of the table only under this lock, so a count of one stays.
            cells.retain(|_, cell| Arc::strong_count(cell) > 1 || cell.level.last() > horizon);
            self.len.fetch_sub(before - cells.len(), Ordering::Relaxed);
        }
    }

    /// A sequence up to which `wanted` of the cells that nobody holds were invalidated last, or all
    /// of them where they are fewer; `None` where there are none.
    pub(super) fn oldest_idle(&self, wanted: usize) -> Option<Sequence> {
        let mut idle = Vec::new();
        for shard in &self.shards {
            let cells = shard.lock();
            let unheld = cells.values().filter(|cell| Arc::strong_count(cell) == 1);
            idle.extend(unheld.map(|cell| cell.level.last()));
        }
        let place = wanted.min(idle.len()).checked_sub(1)?;
        Some(*idle.select_nth_unstable(place).1)
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    pub(super) fn max(&self) -> usize {
        self.max.load(Ordering::Relaxed)
    }

    pub(super) fn set_max(&self, max: usize) {
        self.max.store(max, Ordering::Relaxed);
    }

    fn cell(&self, target: &Target) -> Option<Arc<Cell>> {
        let hash = self.hasher.hash_one(target);
        let mut cells = self.shards.get(hash as usize % SHARDS)?.lock();
        if let Some(cell) = cells.get(&hash) {
            return Some(Arc::clone(cell));
        }
        if self.len.fetch_add(1, Ordering::Relaxed) >= self.max() {
            self.len.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Arc::clone(cells.entry(hash).or_default()))
    }
}
