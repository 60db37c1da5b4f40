//! The users of the front door, and whether a password is theirs.
//!
//! # Invariants
//! - Credentials are compared by their MAC under a key of this process: how long a comparison takes
//!   says nothing about them, and no password of the file stays in memory.
//! - A hash is verified off the I/O threads, a few at once, and once per process: a login that
//!   succeeded is remembered by its MAC. There are no more of these than lines in the file.
//! - A login that fails takes as long for a user that exists as for one that doesn't.
//! - A file that can't be read or has a wrong line changes nothing.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use hmac::{Hmac, KeyInit as _, Mac as _};
use parking_lot::RwLock;
use sha2::Sha256;
use tokio::sync::Semaphore;

use super::Credentials;
use super::file::{LineError, Secret, parse};
use super::password::Hash;
use crate::limits::{AUTH_FILE_BYTES_MAX, PASSWORD_VERIFICATIONS_MAX};

/// Permission to read for everybody.
const READ_BY_OTHERS: u32 = 0o004;

/// Why there are no users.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// The file can't be read.
    #[error("{path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is too large.
    #[error("{path} is larger than the limit of {AUTH_FILE_BYTES_MAX} bytes")]
    TooLarge {
        /// Which.
        path: PathBuf,
    },
    /// A line is wrong. What it says is not told.
    #[error("{path}, {message}")]
    Line {
        /// Which.
        path: PathBuf,
        /// The line's number, and what is wrong.
        message: String,
    },
    /// No line at all: nobody could come in.
    #[error("{path} has no user")]
    Empty {
        /// Which.
        path: PathBuf,
    },
    /// The system has no random numbers.
    #[error("no random numbers: {0}")]
    Random(getrandom::Error),
}

/// The users of a file; clones share them.
#[derive(Clone)]
pub struct Users {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    table: ArcSwap<Table>,
    /// Hashes take memory and a core while they are verified.
    verifications: Arc<Semaphore>,
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

/// The MAC of a user and a password.
type Proof = [u8; 32];

/// What one reading of the file has said.
struct Table {
    key: [u8; 32],
    /// Of passwords in the file, and of those that were verified by their hash.
    proofs: RwLock<HashSet<Proof>>,
    hashes: HashMap<Vec<u8>, Vec<Hash>>,
}

impl Users {
    /// Reads the file. Blocking.
    ///
    /// # Errors
    /// What is wrong with the file, and in which line.
    pub fn load(path: &Path) -> Result<Self, UsersError> {
        let table = ArcSwap::from_pointee(Table::read(path)?);
        let verifications = Arc::new(Semaphore::new(PASSWORD_VERIFICATIONS_MAX));
        let path = path.to_owned();
        Ok(Self { shared: Arc::new(Shared { path, table, verifications }) })
    }

    /// Reads the file again; connections that have authenticated stay as they are. Blocking.
    ///
    /// # Errors
    /// As [`Users::load`]; the users are then those of before.
    pub fn reload(&self) -> Result<(), UsersError> {
        let table = Table::read(&self.shared.path)?;
        self.shared.table.store(Arc::new(table));
        Ok(())
    }

    /// Whether a password is this user's.
    pub(in crate::memcached) async fn verify(&self, credentials: Credentials<'_>) -> bool {
        let table = self.shared.table.load_full();
        let proof = table.proof_of(credentials);
        if table.proofs.read().contains(&proof) {
            return true;
        }
        let hashes = table.hashes_of(credentials.user);
        if hashes.is_empty() {
            return false;
        }
        let Ok(permit) = Arc::clone(&self.shared.verifications).acquire_owned().await else {
            return false;
        };
        let has_hash = table.hashes.contains_key(credentials.user);
        let password = credentials.password.to_vec();
        let verified = tokio::task::spawn_blocking(move || {
            // Not given back before the work is done, though the client may be gone.
            let _permit = permit;
            hashes.iter().any(|hash| hash.verifies(&password)) && has_hash
        });
        let is_verified = verified.await.unwrap_or(false);
        if is_verified {
            table.proofs.write().insert(proof);
        }
        is_verified
    }
}

impl Table {
    fn read(path: &Path) -> Result<Self, UsersError> {
        let failed = |source| UsersError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
        let mut text = Vec::new();
        file.take(AUTH_FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(failed)?;
        if text.len() as u64 > AUTH_FILE_BYTES_MAX {
            return Err(UsersError::TooLarge { path: path.to_owned() });
        }
        if mode & READ_BY_OTHERS != 0 {
            let mode = format!("{mode:04o}");
            tracing::warn!(file = %path.display(), mode, "passwords can be read by every user");
        }
        Self::new(path, &text)
    }

    fn new(path: &Path, text: &[u8]) -> Result<Self, UsersError> {
        let wrong = |error: LineError| UsersError::Line {
            path: path.to_owned(),
            message: error.to_string(),
        };
        let lines = parse(text).map_err(wrong)?;
        if lines.is_empty() {
            return Err(UsersError::Empty { path: path.to_owned() });
        }
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(UsersError::Random)?;
        let (proofs, hashes) = (RwLock::default(), HashMap::new());
        let mut table = Self { key, proofs, hashes };
        for line in lines {
            match line.secret {
                Secret::Password(password) => {
                    let credentials = Credentials { user: &line.user, password: &password };
                    let proof = table.proof_of(credentials);
                    table.proofs.write().insert(proof);
                }
                Secret::Hash(hash) => table.hashes.entry(line.user).or_default().push(*hash),
            }
        }
        Ok(table)
    }

    fn proof_of(&self, credentials: Credentials<'_>) -> Proof {
        let Credentials { user, password } = credentials;
        #[allow(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("a key");
        // With its length, so that no two pairs are written alike.
        mac.update(&(user.len() as u64).to_be_bytes());
        mac.update(user);
        mac.update(password);
        mac.finalize().into_bytes().into()
    }

    /// The hashes of a user. For one without, some other user's, to take as long.
    fn hashes_of(&self, user: &[u8]) -> Vec<Hash> {
        let hashes = self.hashes.get(user).or_else(|| self.hashes.values().next());
        hashes.cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `correct horse`, hashed by the reference implementation of Argon2.
    const HASH: &str = concat!(
        "$argon2id$v=19$m=64,t=1,p=1$",
        "c2FsdHNhbHRzYWx0c2FsdA$rAjuexKlLdAHLvqk7TeeiWZjW4OPoRGwldJXdHbTuKI"
    );

    fn users(text: &str) -> (tempfile::TempDir, PathBuf, Users) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        std::fs::write(&path, text).unwrap();
        let users = Users::load(&path).unwrap();
        (dir, path, users)
    }

    async fn is_let_in(users: &Users, user: &str, password: &str) -> bool {
        let (user, password) = (user.as_bytes(), password.as_bytes());
        users.verify(Credentials { user, password }).await
    }

    #[tokio::test]
    async fn only_the_users_own_passwords_let_them_in() {
        let (_dir, _, users) = users("ann:one\nbob:two\nann:three\n");
        for (user, password) in [("ann", "one"), ("ann", "three"), ("bob", "two")] {
            assert!(is_let_in(&users, user, password).await, "{user} {password}");
        }
        for (user, password) in
            [("ann", "two"), ("bob", "one"), ("an", "none"), ("annon", "e"), ("", ""), ("ann", "")]
        {
            assert!(!is_let_in(&users, user, password).await, "{user} {password}");
        }
    }

    #[tokio::test]
    async fn hashed_password_lets_in_and_is_verified_once() {
        let (_dir, _, users) = users(&format!("ann:{HASH}\nbob:two\n"));
        assert!(!is_let_in(&users, "ann", HASH).await);
        assert!(!is_let_in(&users, "ann", "two").await);
        assert!(!is_let_in(&users, "eve", "correct horse").await);
        let before = users.shared.table.load().proofs.read().len();
        assert!(is_let_in(&users, "ann", "correct horse").await);
        assert_eq!(users.shared.table.load().proofs.read().len(), before + 1);
        // Nothing can be hashed any more: what is known already is enough.
        users.shared.verifications.close();
        assert!(is_let_in(&users, "ann", "correct horse").await);
        assert!(!is_let_in(&users, "ann", "correct hors").await);
    }

    #[tokio::test]
    async fn reload_takes_over_a_good_file_and_ignores_a_broken_one() {
        let (_dir, path, users) = users("ann:one\n");
        std::fs::write(&path, "ann:two\nmistake\n").unwrap();
        let error = users.reload().unwrap_err().to_string();
        assert_eq!(error, format!("{}, line 2: is not user:password", path.display()));
        assert!(is_let_in(&users, "ann", "one").await);
        std::fs::write(&path, "ann:two\n").unwrap();
        users.reload().unwrap();
        assert!(!is_let_in(&users, "ann", "one").await);
        assert!(is_let_in(&users, "ann", "two").await);
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(users.reload(), Err(UsersError::Read { .. })));
        assert!(is_let_in(&users, "ann", "two").await);
    }

    #[test]
    fn file_without_a_user_or_without_end_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        std::fs::write(&path, "\n\n").unwrap();
        assert!(matches!(Users::load(&path), Err(UsersError::Empty { .. })));
        assert!(matches!(Users::load(Path::new("/dev/zero")), Err(UsersError::TooLarge { .. })));
    }
}
