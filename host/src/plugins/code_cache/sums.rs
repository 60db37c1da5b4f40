//! Checksums of files of code: which of them were once written whole.
//!
//! Files of code have none of their own. After a loss of power a file may be there under its name
//! with zeros where its end should be, and would be executed like that.
//!
//! # Invariants
//! - A sum is noted after its file is durable, so a file with a matching sum is what was compiled.
//! - Several processes may work in one folder: a file that loses its sum to a race is compiled
//!   again, no other file is used for it.
//!
//! # Not here
//! Defence against somebody who may write to the folder: `folder`.

use std::fs::{self, DirEntry, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::super::component::sha256_of;

/// The folders of code and of sums. A sum has the name of its file, which is made of a hash of the
/// component, of the compiler's version and of its settings.
pub(super) struct Sums {
    /// wasmtime's: `modules/COMPILER/FILE`, with files that have an extension beside.
    pub(super) code: PathBuf,
    pub(super) sums: PathBuf,
}

impl Sums {
    /// Removes code that does not have its sum, and sums that do not have their code.
    pub(super) fn remove_unproven(&self) -> io::Result<()> {
        let files = self.code_files()?;
        for path in &files {
            let noted = self.sum_of(path).and_then(|sum| fs::read_to_string(sum).ok());
            let found = fs::read(path).map(|bytes| sha256_of(&bytes)).ok();
            if found.is_none() || noted != found {
                gone(fs::remove_file(path))?;
            }
        }
        for sum in entries(&self.sums)? {
            let sum = sum.path();
            if !files.iter().any(|file| file.exists() && file.file_name() == sum.file_name()) {
                gone(fs::remove_file(sum))?;
            }
        }
        Ok(())
    }

    /// Makes code without a sum durable, and notes its sum.
    pub(super) fn note_new(&self) -> io::Result<()> {
        for path in self.code_files()? {
            let Some(sum) = self.sum_of(&path).filter(|sum| !sum.exists()) else { continue };
            File::open(&path)?.sync_all()?;
            // One that is cut short by a crash is no sum of anything.
            fs::write(sum, sha256_of(&fs::read(&path)?))?;
        }
        Ok(())
    }

    fn sum_of(&self, path: &Path) -> Option<PathBuf> {
        Some(self.sums.join(path.file_name()?))
    }

    /// The files of code, of every version of the compiler.
    pub(super) fn code_files(&self) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for compiler in entries(&self.code.join("modules"))? {
            for entry in entries(&compiler.path())? {
                let path = entry.path();
                if path.extension().is_none() && entry.file_type()?.is_file() {
                    files.push(path);
                }
            }
        }
        Ok(files)
    }
}

/// What is in the folder; nothing where there is no such folder.
fn entries(folder: &Path) -> io::Result<Vec<DirEntry>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.collect(),
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Ok(Vec::new()),
            _ => Err(error),
        },
    }
}

/// Another process may have removed it before.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
