//! The order of the hottest keys as a column holds it.
//!
//! # Invariants
//! - Decoding takes hostile bytes: what is not as it was written is no order.
//!
//! # Not here
//! What the order is good for, and its limits: the cache's.

use super::codec::{put, take};
use crate::model::Key;

/// zstd's level: keys have much in common, which the quickest finds as well.
const PACK_LEVEL: i32 = 1;

/// Longest order that is read back; what is written is much shorter.
const UNPACKED_BYTES_MAX: usize = 16 << 20;

/// An order that waits to be written.
pub(super) struct Order {
    /// How many keys.
    pub keys: u64,
    /// `hot.keys`.
    pub packed: Vec<u8>,
}

/// The keys with their lengths, compressed; `None` where that fails.
pub(super) fn encode(keys: &[Key]) -> Option<Order> {
    let mut bytes = Vec::new();
    keys.iter().for_each(|key| put(&mut bytes, key.as_bytes()));
    let packed = zstd::bulk::compress(&bytes, PACK_LEVEL).ok()?;
    Some(Order { keys: keys.len() as u64, packed })
}

/// The reverse of [`encode`].
pub(super) fn decode(packed: &[u8]) -> Option<Vec<Key>> {
    let bytes = zstd::bulk::decompress(packed, UNPACKED_BYTES_MAX).ok()?;
    let (mut rest, mut keys) = (bytes.as_slice(), Vec::new());
    while !rest.is_empty() {
        keys.push(Key::new(take(&mut rest)??).ok()?);
    }
    Some(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(count: usize) -> Vec<Key> {
        let key = |n| Key::new(format!("http://a.example/treks/{n}?page={}", n * 7).as_bytes());
        (0..count).map(|n| key(n).unwrap()).collect()
    }

    #[test]
    fn order_is_read_back_as_it_was_and_takes_little_room() {
        for count in [0, 1, 20_000] {
            let packed = encode(&keys(count)).unwrap().packed;
            assert_eq!(decode(&packed), Some(keys(count)));
            assert!(packed.len() < 16 * (count + 4), "{} bytes", packed.len());
        }
    }

    #[test]
    fn what_was_not_written_so_is_no_order() {
        let packed = encode(&keys(100)).unwrap().packed;
        assert_eq!(decode(b"not compressed"), None);
        assert_eq!(decode(&packed[..packed.len() - 1]), None);
        let no_keys: [&[u8]; 4] = [&[1], &[0, 0, 0, 0], &[9, 0, 0, 0, b'x'], &[255; 4]];
        for bytes in no_keys {
            assert_eq!(
                decode(&zstd::bulk::compress(bytes, PACK_LEVEL).unwrap()),
                None,
                "{bytes:?}"
            );
        }
    }
}
