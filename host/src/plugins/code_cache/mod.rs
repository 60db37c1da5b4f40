//! Compiled code kept on disk: a plugin is compiled once, and not at every start.
//!
//! # Invariants
//! - What lies in the folder is executed: it is this user's, nobody else may write to it, and files
//!   are used only with the checksum that was noted once they were whole.
//! - Nothing here keeps a plugin from loading: what is missing or damaged is compiled anew.
//! - The size of the folder is bounded; what was not used for longest goes first.
//!
//! # Not here
//! Which code belongs to a component: wasmtime knows it by the component's bytes, by its own version
//! and by its settings.

mod folder;
mod sums;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use wasmtime::component::Component;
use wasmtime::{Cache, CacheConfig, Engine, Result};

pub use folder::CodeFolder;
use sums::Sums;

/// Most bytes of code: CPython takes 10 MB of them, compressed.
const BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Time between two looks at the size: each compilation may look.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(1);

/// Where the code of a component came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeFrom {
    /// It was compiled just now.
    Compiler,
    /// From the folder.
    Cache,
}

impl fmt::Display for CodeFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Compiler => "compiled",
            Self::Cache => "from cache",
        })
    }
}

/// Why compiled code is not kept.
#[derive(Debug, thiserror::Error)]
enum CodeCacheError {
    /// The system names no place for it.
    #[error("none of CACHE_DIRECTORY, XDG_CACHE_HOME and HOME says where")]
    Nowhere,
    /// The folder or something in it can't be made or read.
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// What another user puts there would be executed as ours.
    #[error("{} belongs to user {owner}; this server runs as user {user}", path.display())]
    Foreign { path: PathBuf, owner: u32, user: u32 },
    /// The same for anybody who may write there.
    #[error("{} has mode {mode:04o}; nobody but its owner may write to it", path.display())]
    Writable { path: PathBuf, mode: u32 },
    /// wasmtime does not take it.
    #[error("{reason}")]
    Refused { reason: String },
}

/// The folder, opened.
pub(super) struct CodeCache {
    /// What the engine looks into.
    pub(super) cache: Cache,
    sums: Sums,
    path: PathBuf,
}

impl CodeCache {
    /// Opens the folder, and makes it if it is missing. `None` where nothing is to be kept, or
    /// where it can't be; that is logged.
    pub(super) fn open(folder: &CodeFolder) -> Option<Self> {
        if *folder == CodeFolder::Nowhere {
            return None;
        }
        let path = folder.path(|name| std::env::var_os(name)).ok_or(CodeCacheError::Nowhere);
        let opened = path.and_then(|path| Self::open_at(&path));
        opened.map_err(|error| tracing::warn!(%error, "compiled plugins are not kept")).ok()
    }

    fn open_at(path: &Path) -> std::result::Result<Self, CodeCacheError> {
        let path = folder::owned(path)?;
        // Of our own making, whoever may read the folder around them.
        let code = folder::owned(&path.join("code"))?;
        let sums = Sums { code: code.clone(), sums: folder::owned(&path.join("sums"))? };
        let unreadable = |source| CodeCacheError::Io { path: path.clone(), source };
        sums.remove_unproven().map_err(unreadable)?;
        let mut config = CacheConfig::new();
        config
            .with_directory(code)
            .with_files_total_size_soft_limit(BYTES_MAX)
            .with_cleanup_interval(CLEANUP_INTERVAL)
            // It would compress files anew after so many uses, which takes a minute of CPU.
            .with_optimized_compression_usage_counter_threshold(u64::MAX);
        let refused =
            |error: wasmtime::Error| CodeCacheError::Refused { reason: format!("{error:#}") };
        let cache = Cache::new(config).map_err(refused)?;
        Ok(Self { cache, sums, path })
    }

    /// Compiles the component, or takes its code from the folder. `engine` looks into
    /// [`Self::cache`], and nobody else compiles with it meanwhile.
    pub(super) fn compile(&self, engine: &Engine, bytes: &[u8]) -> Result<(Component, CodeFrom)> {
        let hits = self.cache.cache_hits();
        let component = Component::from_binary(engine, bytes)?;
        if self.cache.cache_hits() != hits {
            return Ok((component, CodeFrom::Cache));
        }
        if let Err(error) = self.sums.note_new() {
            let path = self.path.display();
            tracing::warn!(%path, %error, "compiled code is not kept");
        }
        Ok((component, CodeFrom::Compiler))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    const COMPONENT: &str = r#"(component (core module (func (export "f"))))"#;

    /// Compiles a component as a process does that has just started.
    fn compile(path: &Path) -> CodeFrom {
        let cache = CodeCache::open(&CodeFolder::At(path.to_owned())).unwrap();
        let mut config = wasmtime::Config::new();
        config.cache(Some(cache.cache.clone()));
        let engine = Engine::new(&config).unwrap();
        cache.compile(&engine, &wat::parse_str(COMPONENT).unwrap()).unwrap().1
    }

    /// The one file of code in the folder.
    fn code_file(path: &Path) -> PathBuf {
        let sums = Sums { code: path.join("code"), sums: path.join("sums") };
        let mut files = sums.code_files().unwrap();
        assert_eq!(files.len(), 1, "{files:?}");
        files.remove(0)
    }

    #[test]
    fn code_is_compiled_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("made/by/it");
        assert_eq!(compile(&path), CodeFrom::Compiler);
        assert_eq!(compile(&path), CodeFrom::Cache);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn damaged_code_is_compiled_anew_wherever_the_damage_is() {
        let dir = tempfile::tempdir().unwrap();
        compile(dir.path());
        let good = fs::read(code_file(dir.path())).unwrap();
        let truncated = good[..good.len() / 2].to_vec();
        let zeroed = vec![0; good.len()];
        let flipped = (0..good.len()).step_by(good.len() / 16).map(|at| {
            let mut damaged = good.clone();
            damaged[at] ^= 1;
            damaged
        });
        for damaged in flipped.chain([truncated, zeroed, Vec::new(), b"a poem".to_vec()]) {
            fs::write(code_file(dir.path()), damaged).unwrap();
            assert_eq!(compile(dir.path()), CodeFrom::Compiler);
            assert_eq!(compile(dir.path()), CodeFrom::Cache);
        }
    }

    #[test]
    fn code_that_was_not_proven_whole_is_compiled_anew() {
        let dir = tempfile::tempdir().unwrap();
        compile(dir.path());
        // As after a crash between the two.
        fs::remove_dir_all(dir.path().join("sums")).unwrap();
        assert_eq!(compile(dir.path()), CodeFrom::Compiler);
    }

    #[test]
    fn a_sum_without_its_code_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        compile(dir.path());
        let orphan = dir.path().join("sums/orphan");
        fs::write(&orphan, "0").unwrap();
        assert_eq!(compile(dir.path()), CodeFrom::Cache);
        assert!(!orphan.exists());
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_refused_with_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shared");
        for (name, refused) in [("", "shared"), ("code", "shared/code")] {
            fs::create_dir_all(path.join(name)).unwrap();
            fs::set_permissions(path.join(name), fs::Permissions::from_mode(0o770)).unwrap();
            let error = CodeCache::open_at(&path).err().unwrap().to_string();
            let told = "has mode 0770; nobody but its owner may write to it";
            assert!(error.ends_with(&format!("{refused} {told}")), "{error}");
            assert!(CodeCache::open(&CodeFolder::At(path.clone())).is_none());
            fs::set_permissions(path.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        assert!(CodeCache::open_at(&path).is_ok());
    }

    #[test]
    fn a_folder_of_another_user_is_refused_also_by_a_link_of_ours() {
        let dir = tempfile::tempdir().unwrap();
        let theirs = dir.path().join("theirs");
        fs::create_dir(&theirs).unwrap();
        // Who may not give folders away has root's at hand.
        let is_given = std::os::unix::fs::chown(&theirs, Some(1), None).is_ok();
        let link = dir.path().join("link");
        symlink(if is_given { &theirs } else { Path::new("/usr") }, &link).unwrap();
        let error = CodeCache::open_at(&link).err().unwrap().to_string();
        assert!(error.contains(" belongs to user "), "{error}");
    }

    #[test]
    fn a_folder_that_can_not_be_made_is_no_reason_to_fail() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(CodeCache::open(&CodeFolder::At(file.join("below"))).is_none());
    }
}
