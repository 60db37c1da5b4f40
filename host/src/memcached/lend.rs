//! Buffers for bytes on their way in and out, lent to connections while they are at work.
//!
//! # Invariants
//! - All are of one size; what has grown beyond is freed and not lent again.
//! - A thread keeps [`FREE_MAX`] free buffers at most, however many connections there were.

use std::cell::RefCell;

/// Capacity of a buffer: some hundred pipelined commands or short replies.
pub(super) const LENT_BYTES: usize = 16 * 1024;

/// Free buffers that a thread keeps: 1 MB.
const FREE_MAX: usize = 64;

thread_local! {
    static FREE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer with a capacity of [`LENT_BYTES`].
pub(super) fn lend() -> Vec<u8> {
    let free = FREE.with_borrow_mut(Vec::pop);
    free.unwrap_or_else(|| Vec::with_capacity(LENT_BYTES))
}

/// Takes a buffer back; what it held is forgotten.
pub(super) fn give_back(mut buffer: Vec<u8>) {
    if buffer.capacity() != LENT_BYTES {
        return;
    }
    FREE.with_borrow_mut(|free| {
        if free.len() < FREE_MAX {
            buffer.clear();
            free.push(buffer);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_lent_again_empty_and_only_so_many_are_kept() {
        let lent: Vec<_> = (0..FREE_MAX + 3).map(|_| lend()).collect();
        for mut buffer in lent {
            buffer.extend_from_slice(b"secret");
            give_back(buffer);
        }
        FREE.with_borrow(|free| assert_eq!(free.len(), FREE_MAX));
        assert!(lend().is_empty());
        give_back(Vec::with_capacity(10 * LENT_BYTES));
        FREE.with_borrow(|free| assert_eq!(free.len(), FREE_MAX - 1));
    }
}
