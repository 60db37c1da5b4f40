//! Facts about an item that clients of memcached's meta protocol see beside its value.

use crate::sync::{AtomicU8, Ordering};

/// A set of such facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bits(u8);

impl Bits {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// A client marked it as outdated (`md I`), or a soft purge named its key.
    pub const STALE: Self = Self(1);
    /// Somebody has been told to recache it, and is expected to.
    pub const WON: Self = Self(1 << 1);
    /// It has been read since it was stored.
    pub const FETCHED: Self = Self(1 << 2);
    /// Its key was sent in base64.
    pub const BINARY_KEY: Self = Self(1 << 3);

    /// These and those.
    pub const fn with(self, those: Self) -> Self {
        Self(self.0 | those.0)
    }

    /// These without those.
    pub const fn without(self, those: Self) -> Self {
        Self(self.0 & !those.0)
    }

    /// Whether all of those are among these.
    pub const fn has(self, those: Self) -> bool {
        self.0 & those.0 == those.0
    }
}

/// Bits that readers set while others read.
#[derive(Debug, Default)]
pub(super) struct SharedBits(AtomicU8);

impl SharedBits {
    pub(super) fn new(bits: Bits) -> Self {
        Self(AtomicU8::new(bits.0))
    }

    pub(super) fn get(&self) -> Bits {
        Bits(self.0.load(Ordering::Relaxed))
    }

    /// Adds bits. Returns what was there before.
    pub(super) fn add(&self, bits: Bits) -> Bits {
        let before = self.get();
        if before.has(bits) {
            // Most hits find them set; a load leaves the cache line shared.
            return before;
        }
        Bits(self.0.fetch_or(bits.0, Ordering::Relaxed))
    }
}
