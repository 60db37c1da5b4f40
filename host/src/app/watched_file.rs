//! When a watched file has changed: told by its looks, which are cheap to take.
//!
//! # Invariants
//! - A file counts once it was the same twice, so that one that is being written is left alone.
//! - A file that is gone changes nothing.
//!
//! # Not here
//! Reading it.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What tells one content of a file from another, also where it was replaced by renaming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

/// What is known of a watched file.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Look {
    last: Option<Stamp>,
    read: Option<Stamp>,
}

impl Look {
    /// Whether the file was the same twice, and is another one than it was read as.
    pub(super) fn has_settled_anew(&mut self, stamp: Option<Stamp>) -> bool {
        // Gone for a moment, as when it is replaced, or for good: the version in use stays.
        let Some(stamp) = stamp else { return false };
        let has_settled = self.last.replace(stamp) == Some(stamp);
        has_settled && self.read.replace(stamp) != Some(stamp)
    }
}

/// What the file is now.
pub(super) async fn stamp_of(path: &Path) -> io::Result<Stamp> {
    let found = tokio::fs::metadata(path).await?;
    let changed = (found.mtime(), found.mtime_nsec());
    Ok(Stamp { device: found.dev(), inode: found.ino(), bytes: found.len(), changed })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(bytes: u64) -> Option<Stamp> {
        Some(Stamp { device: 1, inode: 1, bytes, changed: (1, 1) })
    }

    #[test]
    fn a_file_is_read_once_it_was_the_same_twice_and_once_only() {
        let mut look = Look::default();
        let seen = [stamp(1), stamp(2), stamp(2), stamp(2), None, stamp(2), stamp(3), None];
        let read: Vec<bool> = seen.into_iter().map(|s| look.has_settled_anew(s)).collect();
        assert_eq!(read, [false, false, true, false, false, false, false, false]);
        assert!(look.has_settled_anew(stamp(3)));
    }
}
