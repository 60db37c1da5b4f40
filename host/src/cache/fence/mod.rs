//! What has been invalidated up to which sequence, and whether data of a given birth survives it.
//!
//! # The rule
//! An entry is valid iff for each of its targets `fence[target] <= birth`. It is asked at store, at
//! every read, at hand-over to a coalesced waiter, and when a 304 arrives.
//!
//! # Invariants
//! - `applied` is the highest sequence whose rows are all visible: rows are raised first, then
//!   `applied` is stored with release order. A reader that loads it with acquire order sees them.
//! - `Marks::checked_at` holds a value of `applied`, never of the last sequence given out: with the
//!   latter a reader could note "valid" between the two writes and be stale for ever.
//! - Levels only rise; raising is idempotent and commutative, so replays and reordering are
//!   harmless.
//! - Whatever is dropped for want of room leaves a floor behind: more is invalid, never less. Rows
//!   of tags, URLs and sites leave `forgotten`, which ends fills and the tier's rows, and no entry
//!   in memory (`room`).
//! - Entries in memory hold their cells; a cell that an entry holds is never dropped.
//! - A hit after another invalidation is one look-up for each set of tags, not for each tag of each
//!   entry: sets are shared (`set`), and prefixes are asked only if one was invalidated meanwhile.
//!
//! # Not here
//! Sequences are given out and made durable by `cache::invalidate`; entries are dropped by
//! `cache::sweep`. Clocks play no part.

mod cell;
mod keys;
mod level;
mod prefixes;
mod room;
mod set;
mod shut;

use crate::sync::{AtomicU64, Mutex, Ordering};
use std::sync::Arc;

use crate::model::{Birth, Intent, Key, Mode, Sequence, Target};

pub use cell::FenceFull;
pub(crate) use cell::{CELL_BYTES, Cell, Marks};
use cell::{Cells, Raised};
use keys::KeyRows;
use level::{Level, Levels};
use prefixes::Prefixes;
pub(crate) use room::cells_max;
pub(crate) use set::CellSet;
use set::Sets;
use shut::ShutTargets;

/// What the rule says about an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing that it depends on was invalidated since its birth.
    Fresh,
    /// Softly purged: may be served while one request refreshes it.
    Stale,
    /// Invalid; must not be served.
    Dead,
}

/// What a fill knows about the age of its data, taken when the miss is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The data is at least this new.
    pub birth: Birth,
    /// From when on removals of the key count. Equal to `birth`, except for older data that is
    /// known to reflect every removal by key up to here: rows of the tier, a value that replaces a
    /// fresh entry, and one computed from entries that were looked up.
    pub since: Sequence,
}

impl Claim {
    /// A claim whose data is read after `applied`.
    pub fn at(applied: Sequence) -> Self {
        Self { birth: Birth::at(applied), since: applied }
    }
}

/// The fence.
pub(crate) struct Fence {
    /// Watermark: every row up to it is visible.
    applied: AtomicU64,
    /// Invalidates everything born before it.
    floor: Level,
    cells: Cells,
    sets: Sets,
    prefixes: Prefixes,
    keys: KeyRows,
    shut_targets: ShutTargets,
    /// Rows up to it may have been dropped; a fill begun before it can't be judged.
    forgotten: AtomicU64,
    /// Newcomers to turn away before room is looked for again.
    turned_away: Mutex<usize>,
}

impl Fence {
    /// An empty fence of a run that begins at `start`.
    pub(crate) fn new(start: Sequence) -> Self {
        Self {
            applied: AtomicU64::new(start.as_u64()),
            floor: Level::default(),
            cells: Cells::default(),
            sets: Sets::default(),
            prefixes: Prefixes::default(),
            keys: KeyRows::default(),
            shut_targets: ShutTargets::default(),
            forgotten: AtomicU64::new(0),
            turned_away: Mutex::default(),
        }
    }

    /// The watermark.
    pub(crate) fn applied(&self) -> Sequence {
        Sequence::from_u64(self.applied.load(Ordering::Acquire))
    }

    /// Cells for the targets that an entry is to be stored with.
    pub(crate) fn intern(&self, targets: Vec<Target>) -> Result<CellSet, FenceFull> {
        // Few entries have the same URL, many the same tags and site.
        let (own, shared): (Vec<_>, Vec<_>) =
            targets.into_iter().partition(|target| matches!(target, Target::Url(_)));
        let shared = self.sets.of(&self.cells_of(shared)?);
        Ok(CellSet::new(&self.cells_of(own)?, shared))
    }

    fn cells_of(&self, targets: Vec<Target>) -> Result<Vec<Arc<Cell>>, FenceFull> {
        targets.iter().map(|target| self.cell_of(target)).collect()
    }

    fn cell_of(&self, target: &Target) -> Result<Arc<Cell>, FenceFull> {
        match self.cells.intern(target) {
            Err(_) if self.make_room() => self.cells.intern(target),
            outcome => outcome,
        }
    }

    /// Raises one target to `sequence`; takes effect for readers with [`Fence::publish`].
    ///
    /// Returns how many live entries are known to depend on it, where that is known without a scan.
    pub(crate) fn raise(&self, target: &Target, mode: Mode, sequence: Sequence) -> Option<u64> {
        match target {
            Target::Tag(_) | Target::Url(_) | Target::Site(_) => {
                let raised = match self.cells.raise(target, mode, sequence) {
                    Raised::NoRoom if self.make_room() => self.cells.raise(target, mode, sequence),
                    raised => raised,
                };
                match raised {
                    Raised::Row { live } => Some(live),
                    Raised::NoRoom => {
                        self.floor.raise(mode, sequence);
                        Some(0)
                    }
                }
            }
            Target::Key(key) => {
                self.keys.raise(key, sequence);
                None
            }
            Target::Prefix(prefix) => {
                if !self.prefixes.raise(prefix.as_bytes(), mode, sequence) {
                    self.floor.raise(mode, sequence);
                }
                None
            }
            Target::Everything => {
                self.floor.raise(mode, sequence);
                None
            }
        }
    }

    /// Raises a target as it was before the start: newer ones are to come first, and what does not
    /// fit behind them is forgotten.
    pub(crate) fn restore(&self, target: &Target, mode: Mode, sequence: Sequence) {
        if sequence > self.forgotten() {
            self.raise(target, mode, sequence);
        }
    }

    /// Keeps nothing that depends on these targets until the intent ends. To be called before they
    /// are raised.
    pub(crate) fn shut<'t>(&self, intent: &Intent, targets: impl Iterator<Item = &'t Target>) {
        let with_cell = |target: &Target| match target {
            Target::Tag(_) | Target::Url(_) | Target::Site(_) => {
                (target.clone(), self.cell_of(target).ok())
            }
            Target::Key(_) | Target::Prefix(_) | Target::Everything => (target.clone(), None),
        };
        self.shut_targets.shut(intent, targets.map(with_cell));
    }

    /// Ends an intent. To be called after its targets were raised.
    pub(crate) fn open(&self, intent: &str) {
        self.shut_targets.open(intent);
    }

    /// Whether something that an entry would depend on is shut.
    pub(crate) fn is_shut(&self, key: &[u8], cells: &CellSet) -> bool {
        self.shut_targets.is_shut(key, cells)
    }

    /// What an intent has shut.
    pub(crate) fn shut_by(&self, intent: &str) -> Option<Vec<Target>> {
        self.shut_targets.targets(intent)
    }

    /// The intent whose time is over first.
    pub(crate) fn first_intent(&self) -> Option<Intent> {
        self.shut_targets.first_due()
    }

    /// How many intents there are, and how many targets they have shut.
    pub(crate) fn intents(&self) -> (usize, usize) {
        self.shut_targets.counts()
    }

    /// Makes everything raised up to `sequence` count. Sequences must come in rising order.
    pub(crate) fn publish(&self, sequence: Sequence) {
        let before = self.applied.swap(sequence.as_u64(), Ordering::AcqRel);
        assert!(before <= sequence.as_u64(), "the watermark never falls");
    }

    /// The rule, at a read.
    pub(crate) fn judge(&self, key: &[u8], marks: &Marks) -> Verdict {
        let applied = self.applied();
        let checked_at = Sequence::from_u64(marks.checked_at.load(Ordering::Relaxed));
        if checked_at == applied {
            return Verdict::Fresh;
        }
        let levels = self.levels(applied, checked_at, key, marks.cells());
        let verdict = verdict(marks.birth, levels);
        if verdict == Verdict::Fresh {
            marks.checked_at.store(applied.as_u64(), Ordering::Relaxed);
        }
        verdict
    }

    /// The rule, at a store: may data of this claim be kept under `key`?
    ///
    /// The caller holds the key's stripe, under which keys are also removed; so a removal is either
    /// seen here or finds what is stored.
    pub(crate) fn admits(&self, key: &Key, claim: Claim, cells: &CellSet) -> bool {
        self.judge_claim(key, claim, cells) != Verdict::Dead
    }

    /// What data of this claim is at the hand-over of a fill that is under way.
    pub(crate) fn judge_claim(&self, key: &Key, claim: Claim, cells: &CellSet) -> Verdict {
        // Asked first: who finds a target open finds what it was raised to before that.
        if self.shut_targets.is_shut(key.as_bytes(), cells) {
            return Verdict::Dead;
        }
        let born = claim.birth.sequence();
        let judged = match Birth::at(claim.since).includes(self.keys.last(key)) {
            true => {
                let levels = self.levels(self.applied(), born, key.as_bytes(), cells);
                verdict(claim.birth, levels)
            }
            false => Verdict::Dead,
        };
        // `forgotten` is raised before rows are dropped, and so must be asked after them.
        match claim.birth.includes(self.forgotten()) {
            true => judged,
            false => Verdict::Dead,
        }
    }

    /// The latest sequence that makes data of this birth wrong, for `explain`.
    pub(crate) fn killer(&self, key: &[u8], marks: &Marks) -> Option<Sequence> {
        let born = marks.birth.sequence();
        let last = self.levels(self.applied(), born, key, marks.cells()).last();
        (!marks.birth.includes(last)).then_some(last)
    }

    /// The highest levels of all that names an entry, as of `applied` or later. What is not above
    /// `since` may be left out: the entry is fresh as of then.
    fn levels(&self, applied: Sequence, since: Sequence, key: &[u8], cells: &CellSet) -> Levels {
        let levels = cells.levels_at(applied).max(self.floor.both());
        levels.max(self.prefixes.levels_above(since, key))
    }

    /// Judges nothing any more that is older than `horizon`; its rows are still there.
    pub(crate) fn forget(&self, horizon: Sequence) {
        self.forgotten.fetch_max(horizon.as_u64(), Ordering::AcqRel);
    }

    /// Drops rows that nothing can depend on any more.
    ///
    /// `horizon` is a watermark from at least one longest fill ago at which every entry now in
    /// memory has been judged; with a tier it is also at or below the smallest birth among its
    /// rows.
    pub(crate) fn collect(&self, horizon: Sequence) {
        self.forget(horizon);
        self.sets.collect();
        self.cells.collect(horizon);
        self.prefixes.collect(horizon);
        self.keys.rotate();
    }

    /// Rows of tags, URLs and prefixes, for metrics.
    pub(crate) fn rows(&self) -> usize {
        self.cells.len() + self.prefixes.len()
    }

    /// Rows of removed keys, for metrics.
    pub(crate) fn key_rows(&self) -> usize {
        self.keys.len()
    }
}

/// The rule: whether data of this birth includes what was invalidated up to these levels.
fn verdict(birth: Birth, levels: Levels) -> Verdict {
    if !birth.includes(levels.hard) {
        Verdict::Dead
    } else if !birth.includes(levels.soft) {
        Verdict::Stale
    } else {
        Verdict::Fresh
    }
}

#[cfg(test)]
mod tests;
