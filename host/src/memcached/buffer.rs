//! What has been read from a client and not yet been understood.
//!
//! # Invariants
//! - An idle connection keeps at most [`KEPT_BYTES_MAX`] of capacity.
//! - Bytes known to hold no line end are not searched again.

/// Capacity at the beginning: some pipelined commands.
const FIRST_BYTES: usize = 2 * 1024;

/// Capacity up to which the buffer grows to save reads, and that an idle connection may keep; only
/// a long line makes it larger for a while.
const KEPT_BYTES_MAX: usize = 8 * 1024;

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

    /// Room to read into; what is unread stays in front of it.
    pub(super) fn room(&mut self) -> &mut Vec<u8> {
        let capacity = self.bytes.capacity();
        let was_full = self.bytes.len() == capacity;
        if self.start == self.bytes.len() {
            self.bytes.clear();
        } else {
            self.bytes.drain(..self.start);
        }
        self.start = 0;
        if capacity == 0 || (self.bytes.is_empty() && capacity > KEPT_BYTES_MAX) {
            self.bytes = Vec::with_capacity(FIRST_BYTES);
        } else if self.bytes.len() == capacity || (was_full && capacity < KEPT_BYTES_MAX) {
            self.bytes.reserve_exact(capacity * 2 - self.bytes.len());
        }
        &mut self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_reads_grow_the_buffer_and_a_long_line_does_not_keep_it_large() {
        let mut buffer = Buffer::default();
        for _ in 0..5 {
            let room = buffer.room();
            room.resize(room.capacity(), b'x');
            buffer.consume(usize::MAX);
        }
        assert_eq!(buffer.room().capacity(), KEPT_BYTES_MAX);
        for _ in 0..5 {
            let room = buffer.room();
            room.resize(room.capacity(), b'x');
        }
        assert!(buffer.room().capacity() > KEPT_BYTES_MAX);
        buffer.consume(usize::MAX);
        assert_eq!(buffer.room().capacity(), FIRST_BYTES);
    }

    #[test]
    fn unread_bytes_survive_making_room() {
        let mut buffer = Buffer::default();
        buffer.room().extend_from_slice(b"get a\r\nget");
        buffer.consume(7);
        buffer.room().extend_from_slice(b" b\r\n");
        assert_eq!(buffer.unread(), b"get b\r\n");
    }
}
