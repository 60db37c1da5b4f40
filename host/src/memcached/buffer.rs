//! What has been read from a client and not yet been understood.
//!
//! # Invariants
//! - A connection that waits for its client holds the beginning of a command and no more: its
//!   memory is lent only while there is something to read.
//! - Bytes known to hold no line end are not searched again.

use super::lend::{LENT_BYTES, give_back, lend};

/// Up to so many bytes of a command are kept in memory of their own while the rest is awaited.
const SET_ASIDE_BYTES_MAX: usize = LENT_BYTES / 4;

/// A read buffer.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// Bytes at the front that were consumed.
    start: usize,
    /// Bytes behind `start` that hold no line end.
    pub(super) scanned: usize,
}

impl Buffer {
    /// What waits to be understood.
    pub(super) fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Takes `count` bytes off the front, or all there are.
    pub(super) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.bytes.len());
        self.scanned = 0;
    }

    /// Room to read into; what is unread stays in front of it. Only a long line makes it larger
    /// than what is lent.
    pub(super) fn room(&mut self) -> &mut Vec<u8> {
        let unread = self.bytes.len().saturating_sub(self.start);
        if self.bytes.capacity() < LENT_BYTES || (unread == 0 && self.bytes.capacity() > LENT_BYTES)
        {
            let mut bytes = lend();
            bytes.extend_from_slice(self.unread());
            self.bytes = bytes;
        } else {
            self.bytes.drain(..self.start);
            if self.bytes.len() == self.bytes.capacity() {
                self.bytes.reserve_exact(self.bytes.capacity());
            }
        }
        self.start = 0;
        &mut self.bytes
    }

    /// Gives back what was lent, while there is nothing to read.
    pub(super) fn set_aside(&mut self) {
        if self.bytes.capacity() < LENT_BYTES || self.unread().len() > SET_ASIDE_BYTES_MAX {
            return;
        }
        let unread = self.unread().to_vec();
        give_back(std::mem::replace(&mut self.bytes, unread));
        self.start = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_line_makes_the_buffer_large_for_as_long_as_it_takes() {
        let mut buffer = Buffer::default();
        for _ in 0..5 {
            let room = buffer.room();
            room.resize(room.capacity(), b'x');
        }
        assert!(buffer.room().capacity() > LENT_BYTES);
        buffer.set_aside();
        assert!(buffer.unread().len() > LENT_BYTES);
        buffer.consume(usize::MAX);
        assert_eq!(buffer.room().capacity(), LENT_BYTES);
    }

    #[test]
    fn unread_bytes_survive_making_room_and_being_set_aside() {
        let mut buffer = Buffer::default();
        buffer.room().extend_from_slice(b"get a\r\nget");
        buffer.consume(7);
        buffer.set_aside();
        assert_eq!(buffer.bytes.capacity(), 3);
        buffer.room().extend_from_slice(b" b\r\nge");
        assert_eq!(buffer.unread(), b"get b\r\nge");
        buffer.consume(7);
        buffer.room().extend_from_slice(b"t c\r\n");
        assert_eq!(buffer.unread(), b"get c\r\n");
    }

    #[test]
    fn nothing_is_held_where_everything_was_understood() {
        let mut buffer = Buffer::default();
        buffer.room().extend_from_slice(b"get a\r\n");
        buffer.consume(7);
        buffer.set_aside();
        assert_eq!(buffer.bytes.capacity(), 0);
        assert_eq!(buffer.room().capacity(), LENT_BYTES);
    }
}
