//! The file of users: `user:password` lines, as memcached's `-Y` has them, or `user:$argon2id$…`.
//!
//! # Invariants
//! - An error names the line and what is wrong with it, never what is written there.
//!
//! # Not here
//! Reading the file: bytes in, entries out.

use super::password::{Hash, HashError, is_hash};
use crate::limits::{MEMCACHED_USER_BYTES_MAX, MEMCACHED_USERS_MAX};

/// One line: a user, and one of the secrets by which it is known.
pub(super) struct Line {
    /// What stands before the first colon.
    pub(super) user: Vec<u8>,
    /// What stands behind it.
    pub(super) secret: Secret,
}

/// What stands behind the colon.
pub(super) enum Secret {
    /// The password.
    Password(Vec<u8>),
    /// Its hash.
    Hash(Box<Hash>),
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// Not `user:password`.
    #[error("is not user:password")]
    NoColon,
    /// Nothing before the colon.
    #[error("user is empty")]
    EmptyUser,
    /// Too much before the colon.
    #[error("user is {bytes} bytes; limit is {MEMCACHED_USER_BYTES_MAX}")]
    LongUser {
        /// How long.
        bytes: usize,
    },
    /// Nothing behind the colon.
    #[error("password is empty")]
    EmptyPassword,
    /// A NUL, which SASL PLAIN can't send.
    #[error("has a NUL")]
    Nul,
    /// Something like a hash.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// More lines than there may be.
    #[error("is one more than the limit of {MEMCACHED_USERS_MAX} users")]
    TooMany,
}

/// A line that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub(super) struct LineError {
    /// From 1.
    pub(super) line: usize,
    /// What is wrong.
    pub(super) fault: Fault,
}

/// Reads all lines; empty ones are skipped, and the last may lack its end.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Line>, LineError> {
    let mut lines = Vec::new();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let at = |fault| LineError { line: index + 1, fault };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        if lines.len() == MEMCACHED_USERS_MAX {
            return Err(at(Fault::TooMany));
        }
        lines.push(read(line).map_err(at)?);
    }
    Ok(lines)
}

fn read(line: &[u8]) -> Result<Line, Fault> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or(Fault::NoColon)?;
    let (user, password) = line.split_at_checked(colon).unwrap_or_default();
    let password = password.strip_prefix(b":").unwrap_or_default();
    match (user.len(), password) {
        (0, _) => return Err(Fault::EmptyUser),
        (_, []) => return Err(Fault::EmptyPassword),
        (1..=MEMCACHED_USER_BYTES_MAX, _) => {}
        (bytes, _) => return Err(Fault::LongUser { bytes }),
    }
    if memchr::memchr(0, line).is_some() {
        return Err(Fault::Nul);
    }
    let secret = match std::str::from_utf8(password).ok().filter(|text| is_hash(text)) {
        Some(text) => Secret::Hash(Box::new(Hash::parse(text)?)),
        None => Secret::Password(password.to_vec()),
    };
    Ok(Line { user: user.to_vec(), secret })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords(text: &str) -> Vec<(String, String)> {
        let lines = parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        let shown = |line: Line| match line.secret {
            Secret::Password(password) => {
                (String::from_utf8(line.user).unwrap(), String::from_utf8(password).unwrap())
            }
            Secret::Hash(_) => panic!("not a password"),
        };
        lines.into_iter().map(shown).collect()
    }

    fn fault(text: &[u8]) -> (usize, Fault) {
        parse(text).map(|_| ()).map_err(|error| (error.line, error.fault)).unwrap_err()
    }

    #[test]
    fn lines_are_split_at_the_first_colon_and_may_lack_their_end() {
        let expected = [("a", "1"), ("b", "2:3"), ("a", " x ")];
        let expected = expected.map(|(user, password)| (user.to_owned(), password.to_owned()));
        assert_eq!(passwords("a:1\r\n\nb:2:3\na: x "), expected);
        assert_eq!(passwords(""), []);
    }

    #[test]
    fn wrong_lines_are_named_by_number() {
        assert_eq!(fault(b"a:1\n\nb"), (3, Fault::NoColon));
        assert_eq!(fault(b":1"), (1, Fault::EmptyUser));
        assert_eq!(fault(b"a:\n"), (1, Fault::EmptyPassword));
        assert_eq!(fault(b"a:\0\n"), (1, Fault::Nul));
        assert_eq!(fault(b"a:$2b$10$x"), (1, Fault::Hash(HashError::Unknown)));
        let bytes = MEMCACHED_USER_BYTES_MAX + 1;
        assert_eq!(
            fault(&[b"a".repeat(bytes), b":1".to_vec()].concat()),
            (1, Fault::LongUser { bytes })
        );
        let many = "a:1\n".repeat(MEMCACHED_USERS_MAX + 1);
        assert_eq!(fault(many.as_bytes()), (MEMCACHED_USERS_MAX + 1, Fault::TooMany));
    }
}
