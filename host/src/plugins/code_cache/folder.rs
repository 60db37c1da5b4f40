//! Which folder, and whether it is fit for code that is executed.
//!
//! # Invariants
//! - A link is followed once, at the beginning: what it names later has no effect.
//!
//! # Not here
//! What lies in it.

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::CodeCacheError;

/// What an operator writes in the place of a folder, so that nothing is kept.
const OFF: &str = "off";

/// The mode of a new folder: nobody else has any business there.
const MODE: u32 = 0o700;

/// Group and others may write.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Where compiled code is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum CodeFolder {
    /// Where the system has caches: in systemd's `$CACHE_DIRECTORY`, else in
    /// `$XDG_CACHE_HOME/wasmcached`, else in `~/.cache/wasmcached`.
    #[default]
    Usual,
    /// In this folder, which is made if it is missing.
    At(PathBuf),
    /// Nowhere.
    Nowhere,
}

impl CodeFolder {
    /// What an operator wrote: a folder, `off`, or nothing.
    pub fn named(text: Option<&Path>) -> Self {
        match text {
            None => Self::Usual,
            Some(text) if text == OFF => Self::Nowhere,
            Some(path) => Self::At(path.to_owned()),
        }
    }

    /// Its path by these variables of the environment; `None` where there is none.
    ///
    /// systemd.exec(5) lists the folders in `$CACHE_DIRECTORY` separated by colons. The XDG Base
    /// Directory Specification has paths that are not absolute ignored.
    pub(super) fn path(&self, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        let absolute = |name: &str| {
            let path = PathBuf::from(variable(name)?);
            path.is_absolute().then_some(path)
        };
        match self {
            Self::Nowhere => None,
            Self::At(path) => Some(path.clone()),
            Self::Usual => {
                let of_unit = absolute("CACHE_DIRECTORY").and_then(first_of_list);
                let of_user = || absolute("XDG_CACHE_HOME").map(|path| path.join("wasmcached"));
                let of_home = || absolute("HOME").map(|path| path.join(".cache/wasmcached"));
                of_unit.or_else(of_user).or_else(of_home)
            }
        }
    }
}

fn first_of_list(list: PathBuf) -> Option<PathBuf> {
    match list.to_str() {
        Some(text) => text.split(':').next().map(PathBuf::from),
        None => Some(list),
    }
}

/// The folder itself, made if it is missing, if it is ours alone.
pub(super) fn owned(path: &Path) -> Result<PathBuf, CodeCacheError> {
    let wrong = |source| CodeCacheError::Io { path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(MODE).create(path).map_err(wrong)?;
    let path = path.canonicalize().map_err(wrong)?;
    let metadata = fs::metadata(&path).map_err(wrong)?;
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    let mode = metadata.mode() & 0o7777;
    if owner != user {
        return Err(CodeCacheError::Foreign { path, owner, user });
    }
    if mode & WRITABLE_BY_OTHERS != 0 {
        return Err(CodeCacheError::Writable { path, mode });
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual(variables: &[(&str, &str)]) -> Option<PathBuf> {
        CodeFolder::Usual.path(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_usual_folder_is_the_units_then_the_users_then_below_home() {
        let home = ("HOME", "/home/u");
        let user = ("XDG_CACHE_HOME", "/home/u/caches");
        let unit = ("CACHE_DIRECTORY", "/var/cache/pages:/var/cache/second");
        assert_eq!(usual(&[home, user, unit]), Some("/var/cache/pages".into()));
        assert_eq!(usual(&[home, user]), Some("/home/u/caches/wasmcached".into()));
        assert_eq!(usual(&[home]), Some("/home/u/.cache/wasmcached".into()));
        assert_eq!(usual(&[]), None);
        let relative = [home, ("XDG_CACHE_HOME", "caches"), ("CACHE_DIRECTORY", "")];
        assert_eq!(usual(&relative), usual(&[home]));
    }

    #[test]
    fn an_operator_names_a_folder_or_none() {
        assert_eq!(CodeFolder::named(None), CodeFolder::Usual);
        assert_eq!(CodeFolder::named(Some(Path::new("off"))), CodeFolder::Nowhere);
        let folder = CodeFolder::named(Some(Path::new("./off")));
        assert_eq!(folder, CodeFolder::At("./off".into()));
    }
}
