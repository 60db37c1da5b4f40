//! What is to be sent to a client: gathered over a batch of pipelined commands, sent by one write.
//!
//! # Invariants
//! - Small values are copied, larger ones are shared with the cache and never copied.
//! - A connection whose replies were sent holds no memory for them.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

use super::lend::{give_back, lend};
use super::parse::Cas;
use crate::cache::Entry;
use crate::limits::MEMCACHED_OUTPUT_BYTES_MAX;

/// Up to this length, copying is cheaper than a segment of its own.
const COPIED_BYTES_MAX: usize = 1024;

/// A large value between copied bytes.
#[derive(Debug)]
struct Shared {
    /// Stands before this position of the copied bytes.
    at: usize,
    body: Bytes,
}

/// Replies that wait to be sent, as a [`Buf`].
#[derive(Debug, Default)]
pub(super) struct Output {
    copied: Vec<u8>,
    /// Bytes of `copied` that were sent.
    sent: usize,
    shared: VecDeque<Shared>,
    shared_bytes: usize,
}

impl Output {
    /// Appends a reply line, line end included, or bytes of a frame.
    pub(super) fn push(&mut self, line: &[u8]) {
        if self.copied.capacity() == 0 {
            self.copied = lend();
        }
        self.copied.extend_from_slice(line);
    }

    /// Appends a decimal number.
    pub(super) fn push_number(&mut self, number: u64) {
        self.push(itoa::Buffer::new().format(number).as_bytes());
    }

    /// Appends `VALUE <key> <flags> <bytes> [<cas unique>]` and the value.
    pub(super) fn push_value(&mut self, key: &[u8], entry: &Entry, cas: Cas) {
        let body = entry.body();
        self.push(b"VALUE ");
        self.push(key);
        self.push(b" ");
        self.push_number(u64::from(entry.flags()));
        self.push(b" ");
        self.push_number(body.len() as u64);
        if cas == Cas::Shown {
            self.push(b" ");
            self.push_number(entry.cas());
        }
        self.push(b"\r\n");
        self.push_data_block(entry);
    }

    /// Appends the value and the line end behind it.
    pub(super) fn push_data_block(&mut self, entry: &Entry) {
        self.push_body(entry);
        self.push(b"\r\n");
    }

    /// Appends the value as it is.
    pub(super) fn push_body(&mut self, entry: &Entry) {
        match entry.shared_body().filter(|body| body.len() > COPIED_BYTES_MAX) {
            None => self.push(entry.body()),
            Some(body) => {
                self.shared_bytes += body.len();
                self.shared.push_back(Shared { at: self.copied.len(), body: body.clone() });
            }
        }
    }

    /// Whether so much waits that it must be sent before more is gathered.
    pub(super) fn is_due(&self) -> bool {
        self.remaining() >= MEMCACHED_OUTPUT_BYTES_MAX
    }

    /// Whether [`Buf::chunk`] is all of the rest.
    pub(super) fn is_one_slice(&self) -> bool {
        self.shared.is_empty()
    }

    /// Gives back what the batch was gathered in; everything has been sent.
    pub(super) fn clear(&mut self) {
        debug_assert!(!self.has_remaining(), "nothing is dropped");
        give_back(std::mem::take(&mut self.copied));
        self.sent = 0;
    }

    /// The copied bytes before the shared value at `at`, or to the end.
    fn copied_until(&self, start: usize, at: Option<usize>) -> &[u8] {
        self.copied.get(start..at.unwrap_or(self.copied.len())).unwrap_or_default()
    }
}

impl Buf for Output {
    fn remaining(&self) -> usize {
        self.copied.len() - self.sent + self.shared_bytes
    }

    fn chunk(&self) -> &[u8] {
        match self.shared.front() {
            Some(next) if next.at == self.sent => &next.body,
            next => self.copied_until(self.sent, next.map(|next| next.at)),
        }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        let mut start = self.sent;
        let mut room = slices.iter_mut();
        let mut fill = |bytes: &'a [u8]| {
            if bytes.is_empty() {
                return true;
            }
            let Some(slot) = room.next() else { return false };
            *slot = IoSlice::new(bytes);
            filled += 1;
            true
        };
        let is_room = self.shared.iter().all(|next| {
            let before = self.copied_until(start, Some(next.at));
            start = next.at;
            fill(before) && fill(&next.body)
        });
        if is_room {
            fill(self.copied_until(start, None));
        }
        filled
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.remaining(), "no more is sent than there is");
        while count > 0 {
            match self.shared.front_mut() {
                Some(next) if next.at == self.sent => {
                    let taken = count.min(next.body.len());
                    next.body.advance(taken);
                    self.shared_bytes -= taken;
                    count -= taken;
                    if next.body.is_empty() {
                        self.shared.pop_front();
                    }
                }
                next => {
                    let end = next.map_or(self.copied.len(), |next| next.at);
                    let taken = count.min(end - self.sent);
                    self.sent += taken;
                    count -= taken;
                }
            }
        }
    }
}
