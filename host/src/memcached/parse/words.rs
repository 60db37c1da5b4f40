//! The words of a line: runs of bytes other than the space (tabs and control characters are
//! ordinary bytes, as in memcached).

use super::Answer;

/// The words of a line that have not been read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Words<'a> {
    rest: &'a [u8],
}

impl<'a> Words<'a> {
    /// All words of a line.
    pub(super) fn new(line: &'a [u8]) -> Self {
        Self { rest: line }
    }

    /// The last unread word.
    pub(super) fn last(&self) -> Option<&'a [u8]> {
        self.rest.rsplit(|byte| *byte == b' ').find(|word| !word.is_empty())
    }

    /// Whether the last unread word is `noreply`.
    pub(super) fn answer(&self) -> Answer {
        match self.last() {
            Some(b"noreply") => Answer::Unwanted,
            _ => Answer::Wanted,
        }
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while let [b' ', rest @ ..] = self.rest {
            self.rest = rest;
        }
        let end = self.rest.iter().position(|byte| *byte == b' ').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }
}
