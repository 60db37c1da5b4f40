//! Who may connect to a unix socket: its mode and its owner.
//!
//! # Not here
//! Names that only a directory service knows: they are given by number.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

/// Read and write for the owner, as memcached has it; connecting needs both.
const MODE_DEFAULT: u32 = 0o700;

/// Where users and groups have their numbers (passwd(5), group(5)).
const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

/// Mode and owner of a unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnixAccess {
    /// Permission bits; 0o700 by default.
    pub mode: u32,
    /// Who it is given to, if not to the process's own user and group.
    pub owner: Option<Owner>,
}

impl Default for UnixAccess {
    fn default() -> Self {
        Self { mode: MODE_DEFAULT, owner: None }
    }
}

impl UnixAccess {
    /// Gives a socket its owner and then its mode, so that it is never open to another group than
    /// the one meant.
    pub(super) fn grant(&self, path: &Path) -> io::Result<()> {
        if let Some(owner) = self.owner {
            chown(path, owner.user, owner.group)?;
        }
        std::fs::set_permissions(path, Permissions::from_mode(self.mode))
    }
}

/// Numbers of a user and a group; what is absent stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    user: Option<u32>,
    group: Option<u32>,
}

/// An owner that there is not.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// Neither a user nor a group.
    #[error("`{0}` is not `user`, `user:group` or `:group`")]
    Form(String),
    /// The user or the group is not known here.
    #[error("{kind} `{name}` is not in {file}; use its number if it is known elsewhere")]
    Unknown {
        /// `user` or `group`.
        kind: &'static str,
        /// As it was given.
        name: String,
        /// Where it was looked for.
        file: &'static str,
    },
    /// The names can't be read.
    #[error("{file}: {source}")]
    Read {
        /// Where they are.
        file: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl Owner {
    /// Of `user`, `user:group` or `:group`, each by name or by number, as chown(1) takes them.
    /// Blocking: reads `/etc/passwd` and `/etc/group` for names.
    pub fn parse(text: &str) -> Result<Self, OwnerError> {
        let (user, group) = text.split_once(':').unwrap_or((text, ""));
        if (user.is_empty() && group.is_empty()) || group.contains(':') {
            return Err(OwnerError::Form(text.to_owned()));
        }
        let user = (!user.is_empty()).then(|| number_of("user", user, USERS)).transpose()?;
        let group = (!group.is_empty()).then(|| number_of("group", group, GROUPS)).transpose()?;
        Ok(Self { user, group })
    }
}

/// Both files have the name first and the number third.
fn number_of(kind: &'static str, name: &str, file: &'static str) -> Result<u32, OwnerError> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let lines =
        std::fs::read_to_string(file).map_err(|source| OwnerError::Read { file, source })?;
    let number = lines.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_it = fields.next() == Some(name);
        fields.nth(1).filter(|_| is_it)?.parse().ok()
    });
    let unknown = || OwnerError::Unknown { kind, name: name.to_owned(), file };
    number.ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_names_or_numbers_of_a_user_a_group_or_both() {
        let cases = [
            ("root", Some(0), None),
            ("root:root", Some(0), Some(0)),
            (":root", None, Some(0)),
            ("1234:root", Some(1234), Some(0)),
            ("root:99", Some(0), Some(99)),
        ];
        for (text, user, group) in cases {
            assert_eq!(Owner::parse(text).unwrap(), Owner { user, group }, "{text}");
        }
    }

    #[test]
    fn owner_that_is_not_known_is_named() {
        for (text, expected) in [
            ("nobody-has-this-name", "user `nobody-has-this-name` is not in /etc/passwd"),
            ("root:no-such", "group `no-such` is not in /etc/group"),
            ("", "`` is not `user`"),
            (":", "`:` is not `user`"),
            ("a:b:c", "`a:b:c` is not `user`"),
        ] {
            let error = Owner::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
