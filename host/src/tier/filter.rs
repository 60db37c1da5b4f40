//! A set of keys in little memory, which may hold a key that was never put in, and never lacks one
//! that was: a Bloom filter whose bits for a key lie in one line of the processor's cache (Putze,
//! Sanders, Singler: "Cache-, hash- and space-efficient Bloom filters", 2007).
//!
//! # Not here
//! Which keys are put in when, and when it is asked: `known`.

use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::RandomState;

/// Words of a block: 64 bytes, a line of the cache. Each has one bit of a key.
const WORDS: usize = 8;

/// Bits for each key of the capacity; with as many keys some 2 of 1 000 others seem to be in.
const BITS_PER_KEY: u64 = 16;

/// Bits of a block.
const BLOCK_BITS: u64 = 512;

/// Spreads the bits of a hash over a block, one odd number for each word; those of Apache Parquet's
/// `BloomFilter.md`.
const SALTS: [u32; WORDS] = [
    0x47b6_137b,
    0x4497_4d91,
    0x8824_ad5b,
    0xa2b7_289d,
    0x7054_95c7,
    0x2df1_424b,
    0x9efc_4947,
    0x5c6b_fb31,
];

/// The set; keys are put in and asked for from any thread.
pub(super) struct Filter {
    blocks: Box<[[AtomicU64; WORDS]]>,
    /// Unknown to those who choose keys.
    seed: RandomState,
}

impl Filter {
    /// An empty set with room for so many keys, 2 bytes for each.
    pub(super) fn for_keys(count: u64) -> Self {
        let blocks = (count * BITS_PER_KEY).div_ceil(BLOCK_BITS).max(1);
        let blocks = (0..blocks).map(|_| Default::default()).collect();
        Self { blocks, seed: RandomState::default() }
    }

    /// Puts a key in. Returns whether that has changed anything.
    pub(super) fn put(&self, key: &[u8]) -> bool {
        let Some((block, bits)) = self.place(key) else { return false };
        let mut has_changed = false;
        for (word, bit) in block.iter().zip(bits) {
            has_changed |= word.fetch_or(bit, Ordering::Relaxed) & bit == 0;
        }
        has_changed
    }

    /// Whether a key may have been put in.
    pub(super) fn may_have(&self, key: &[u8]) -> bool {
        let Some((block, bits)) = self.place(key) else { return true };
        block.iter().zip(bits).all(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    fn place(&self, key: &[u8]) -> Option<(&[AtomicU64; WORDS], [u64; WORDS])> {
        let hash = self.seed.hash_one(key);
        // The upper half says which block, by multiplication in place of division.
        let block = ((hash >> 32) * self.blocks.len() as u64) >> 32;
        let low = hash as u32;
        let bits = SALTS.map(|salt| 1 << (low.wrapping_mul(salt) >> 26));
        Some((self.blocks.get(block as usize)?, bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: u64 = 200_000;

    fn key(n: u64) -> Vec<u8> {
        format!("user:{n}:profile").into_bytes()
    }

    #[test]
    fn no_key_that_was_put_in_is_ever_lacking_and_few_others_seem_to_be_in() {
        let filter = Filter::for_keys(KEYS);
        for n in 0..KEYS {
            filter.put(&key(n));
        }
        assert!((0..KEYS).all(|n| filter.may_have(&key(n))));
        let wrong = (KEYS..2 * KEYS).filter(|n| filter.may_have(&key(*n))).count() as u64;
        assert!(wrong < KEYS / 200, "{wrong} of {KEYS}");
    }

    #[test]
    fn empty_set_has_nothing_and_a_key_changes_it_once() {
        let filter = Filter::for_keys(0);
        assert!(!filter.may_have(b"a"));
        assert!(filter.put(b"a"));
        assert!(!filter.put(b"a"));
        assert!(filter.may_have(b"a"));
    }

    #[test]
    fn set_beyond_its_capacity_lacks_nothing_either() {
        let filter = Filter::for_keys(1_000);
        for n in 0..20_000 {
            filter.put(&key(n));
        }
        assert!((0..20_000).all(|n| filter.may_have(&key(n))));
    }
}
