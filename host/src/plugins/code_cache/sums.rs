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

    /// Removes what was not used for longest, until the rest takes no more than this.
    pub(super) fn trim(&self, bytes_max: u64) -> io::Result<()> {
        let mut files = Vec::new();
        for path in self.code_files()? {
            // Another process may have removed it.
            let Ok(metadata) = fs::metadata(&path) else { continue };
            // wasmtime notes every use beside the file.
            let used = fs::metadata(path.with_extension("stats")).unwrap_or(metadata.clone());
            files.push((used.modified()?, metadata.len(), path));
        }
        files.sort_unstable_by(|one, other| other.cmp(one));
        let mut bytes = 0_u64;
        for (_, length, path) in files {
            bytes = bytes.saturating_add(length);
            if bytes > bytes_max {
                gone(fs::remove_file(path.with_extension("stats")))?;
                gone(fs::remove_file(path))?;
            }
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

/// It may be gone already: another process may have removed it.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        let (code, sums) = (dir.path().join("code"), dir.path().join("sums"));
        let folder = code.join("modules/compiler");
        fs::create_dir_all(&folder).unwrap();
        let write = |name: &str, bytes: &[u8], at_s| {
            let path = folder.join(name);
            fs::write(&path, bytes).unwrap();
            let time = UNIX_EPOCH + Duration::from_secs(at_s);
            File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
        };
        // Written long ago and used of late; used never; used in between.
        for (name, written_s, used_s) in [("a", 1, Some(30)), ("b", 20, None), ("c", 3, Some(25))] {
            write(name, &[0; 100], written_s);
            if let Some(used_s) = used_s {
                write(&format!("{name}.stats"), b"", used_s);
            }
        }
        let all = Sums { code, sums };
        let left = |bytes_max| {
            all.trim(bytes_max).unwrap();
            let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|e| e.unwrap()).collect();
            names.sort_by_key(DirEntry::file_name);
            names.iter().map(|e| e.file_name().into_string().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(left(300), ["a", "a.stats", "b", "c", "c.stats"]);
        assert_eq!(left(299), ["a", "a.stats", "c", "c.stats"]);
        assert_eq!(left(150), ["a", "a.stats"]);
        assert!(left(0).is_empty());
    }
}
