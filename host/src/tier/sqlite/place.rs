//! Where a file lies, and whether it still lies there: a file that somebody has removed or replaced
//! goes on taking what is written to it, and nothing of that is there after the next start.
//!
//! # Invariants
//! - What was found to be gone stays so until a restart, also if it is put back: its log may have
//!   been left behind meanwhile.
//! - A file is never opened here: closing it would take SQLite's own locks away.
//!
//! # Not here
//! Whose file it is, and other servers on it (`open`, `batch`). A file that is written over where
//! it lies: SQLite has no protection against that either (sqlite.org/howtocorrupt.html).

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::tier::database::DatabaseError;

/// Which file is at a path: its device and its inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// The file that is at a path now, however it is named.
    pub(super) fn at(path: &Path) -> std::io::Result<Self> {
        let found = std::fs::metadata(path)?;
        Ok(Self { device: found.dev(), inode: found.ino() })
    }
}

/// The file that was opened.
#[derive(Debug)]
pub(in crate::tier) struct Place {
    /// Without symbolic links, as SQLite names its log.
    path: PathBuf,
    file: FileId,
    is_lost: AtomicBool,
}

impl Place {
    /// The file that is at a path without symbolic links now.
    pub(super) fn of(path: &Path) -> std::io::Result<Self> {
        let file = FileId::at(path)?;
        Ok(Self { path: path.to_owned(), file, is_lost: AtomicBool::new(false) })
    }

    /// What is committed lies here until it is folded into the file.
    pub(super) fn log(&self) -> PathBuf {
        let mut log = self.path.as_os_str().to_owned();
        log.push("-wal");
        log.into()
    }

    /// Whether the file is still at its path.
    ///
    /// # Errors
    /// It is not, or was not when it was looked for before.
    pub(in crate::tier) fn check(&self) -> Result<(), DatabaseError> {
        self.compare(&self.path, Some(self.file))
    }

    /// Whether the file and this log of it are still at their paths; `None` is a log that was not
    /// there to begin with.
    ///
    /// # Errors
    /// One of them is not.
    pub(super) fn check_with(&self, log: Option<FileId>) -> Result<(), DatabaseError> {
        self.check()?;
        self.compare(&self.log(), log)
    }

    fn compare(&self, path: &Path, opened: Option<FileId>) -> Result<(), DatabaseError> {
        let found = match FileId::at(path) {
            Ok(found) => Some(found),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(DatabaseError::Sql(error.into())),
        };
        if found != opened {
            self.is_lost.store(true, Ordering::Release);
        }
        match self.is_lost.load(Ordering::Acquire) {
            false => Ok(()),
            true => Err(DatabaseError::Replaced),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_that_was_replaced_is_lost_also_when_it_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let (path, aside) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&path, "one").unwrap();
        let place = Place::of(&path).unwrap();
        place.check().unwrap();
        std::fs::rename(&path, &aside).unwrap();
        std::fs::write(&path, "one").unwrap();
        let told = place.check().unwrap_err().to_string();
        assert!(told.contains("replaced or removed"), "{told}");
        std::fs::rename(&aside, &path).unwrap();
        place.check().unwrap_err();
    }

    #[test]
    fn log_that_was_removed_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "one").unwrap();
        let place = Place::of(&path).unwrap();
        std::fs::write(place.log(), "log").unwrap();
        let log = FileId::at(&place.log()).ok();
        place.check_with(log).unwrap();
        std::fs::remove_file(place.log()).unwrap();
        place.check_with(log).unwrap_err();
    }
}
