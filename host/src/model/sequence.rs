//! Positions in the journal, and the age of data measured in them.

use std::fmt;

/// How many low bits count invalidations within one run of the server.
const EPOCH_SHIFT: u32 = 40;

/// A position in the ordered list of invalidations: `epoch << 40 | n`.
///
/// The epoch is raised at every start, so a number that was given out but not durable before a
/// crash is never given out again. Ordered, never compared with clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Sequence(u64);

impl Sequence {
    /// Before every invalidation there ever was.
    pub const ZERO: Self = Self(0);

    /// The position at which a run with this epoch begins.
    pub fn start_of(epoch: u32) -> Self {
        Self(u64::from(epoch) << EPOCH_SHIFT)
    }

    /// From its stored form.
    pub fn from_u64(raw: u64) -> Self {
        Self(raw)
    }

    /// Its stored form; above 2^53, so a string in JSON.
    pub fn as_u64(self) -> u64 {
        self.0
    }

    /// The position after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The sequence that an entry's data is at least as new as.
///
/// Read when a miss is *decided*, before the origin or a client's database is asked. A type of its
/// own so that no position can be taken for a birth by accident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Birth(Sequence);

impl Birth {
    /// Data read after everything up to `applied` was visible.
    pub fn at(applied: Sequence) -> Self {
        Self(applied)
    }

    /// Whether data of this birth already includes what the invalidation at `sequence` announced.
    pub fn includes(self, sequence: Sequence) -> bool {
        sequence <= self.0
    }

    /// The birth of something composed of data of both births.
    #[must_use]
    pub fn oldest(self, other: Self) -> Self {
        self.min(other)
    }

    /// The position itself, for storing and showing.
    pub fn sequence(self) -> Sequence {
        self.0
    }
}
