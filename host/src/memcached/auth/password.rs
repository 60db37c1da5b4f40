//! Salted hashes of passwords, as PHC strings: Argon2, scrypt and PBKDF2.
//!
//! # Invariants
//! - A hash that was read can be verified: its algorithm is known, its parameters are sound, and
//!   the memory it takes is bounded.
//! - Outputs are compared in constant time, by the crate of the format.

use argon2::Argon2;
use password_hash::PasswordVerifier as _;
use password_hash::phc::PasswordHash;
use pbkdf2::Pbkdf2;
use scrypt::Scrypt;

use crate::limits::PASSWORD_HASH_BYTES_MAX;

/// What the password of a user is hashed to.
#[derive(Clone)]
pub(super) struct Hash {
    algorithm: Algorithm,
    hash: PasswordHash,
}

#[derive(Clone, Copy)]
enum Algorithm {
    Argon2,
    Scrypt,
    Pbkdf2,
}

/// Why a text that looks like a hash is none. Says nothing of the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum HashError {
    /// Of another algorithm.
    #[error("hash is not one of argon2id, argon2i, argon2d, scrypt, pbkdf2-sha256, pbkdf2-sha512")]
    Unknown,
    /// Not a PHC string with salt and output, or with parameters that the algorithm doesn't take.
    #[error("hash is not a PHC string of its algorithm with salt and output")]
    Malformed,
    /// A login would take too much memory.
    #[error("hash takes {bytes} bytes of memory; limit is {PASSWORD_HASH_BYTES_MAX}")]
    TooCostly {
        /// For one login.
        bytes: u64,
    },
}

/// Whether a text is to be read as a hash: `$`, an identifier of the PHC format, `$`.
pub(super) fn is_hash(text: &str) -> bool {
    let id = text.strip_prefix('$').and_then(|rest| rest.split_once('$')).map(|(id, _)| id);
    let is_id = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    id.is_some_and(|id| (1..=32).contains(&id.len()) && id.bytes().all(is_id))
}

impl Hash {
    /// Reads a PHC string.
    pub(super) fn parse(text: &str) -> Result<Self, HashError> {
        let id = text.split('$').nth(1).unwrap_or_default();
        let algorithm = match id {
            "argon2id" | "argon2i" | "argon2d" => Algorithm::Argon2,
            "scrypt" => Algorithm::Scrypt,
            "pbkdf2-sha256" | "pbkdf2-sha512" => Algorithm::Pbkdf2,
            _ => return Err(HashError::Unknown),
        };
        let malformed = |_| HashError::Malformed;
        let hash = PasswordHash::new(text).map_err(|_| HashError::Malformed)?;
        if hash.salt.is_none() || hash.hash.is_none() {
            return Err(HashError::Malformed);
        }
        let bytes = match algorithm {
            Algorithm::Argon2 => {
                let params = argon2::Params::try_from(&hash).map_err(malformed)?;
                u64::from(params.m_cost()) * 1024
            }
            Algorithm::Scrypt => {
                let params = scrypt::Params::try_from(&hash).map_err(malformed)?;
                let block = 128 * u64::from(params.r());
                block.saturating_mul(
                    1_u64.checked_shl(u32::from(params.log_n())).unwrap_or(u64::MAX),
                )
            }
            Algorithm::Pbkdf2 => {
                pbkdf2::Params::try_from(&hash).map_err(malformed)?;
                0
            }
        };
        if bytes > PASSWORD_HASH_BYTES_MAX {
            return Err(HashError::TooCostly { bytes });
        }
        Ok(Self { algorithm, hash })
    }

    /// Whether a password is the one that was hashed. Takes milliseconds, by design.
    pub(super) fn verifies(&self, password: &[u8]) -> bool {
        let verified = match self.algorithm {
            Algorithm::Argon2 => Argon2::default().verify_password(password, &self.hash),
            Algorithm::Scrypt => Scrypt::default().verify_password(password, &self.hash),
            Algorithm::Pbkdf2 => Pbkdf2::default().verify_password(password, &self.hash),
        };
        verified.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by other implementations: the reference's `argon2`, and Python's `hashlib`.
    const HASHES: [&str; 3] = [
        concat!(
            "$argon2id$v=19$m=64,t=1,p=1$",
            "c2FsdHNhbHRzYWx0c2FsdA$rAjuexKlLdAHLvqk7TeeiWZjW4OPoRGwldJXdHbTuKI"
        ),
        concat!(
            "$scrypt$ln=4,r=8,p=1$",
            "c2FsdHNhbHRzYWx0c2FsdA$rkTI9fAgA7thDzzR8FHXhMiojYBreJBmYTkEzWypBCQ"
        ),
        concat!(
            "$pbkdf2-sha256$i=1000,l=32$",
            "c2FsdHNhbHRzYWx0c2FsdA$BBs+1+PaslLtBPULUr8/lQicvVuHiEPMz0i8MjLCbzM"
        ),
    ];

    #[test]
    fn hashes_of_other_implementations_verify() {
        for text in HASHES {
            assert!(is_hash(text), "{text}");
            let hash = Hash::parse(text).unwrap();
            assert!(hash.verifies(b"correct horse"), "{text}");
            assert!(!hash.verifies(b"correct horsf"), "{text}");
            assert!(!hash.verifies(b""), "{text}");
        }
    }

    #[test]
    fn other_formats_are_refused_and_not_taken_as_passwords() {
        for text in ["$2y$10$abcdefghijklmnopqrstuv", "$6$salt$hash", "$y$j9T$x", "$1$a$b"] {
            assert!(is_hash(text), "{text}");
            assert_eq!(Hash::parse(text).err(), Some(HashError::Unknown), "{text}");
        }
        for text in ["$argon2id$", "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ", "$scrypt$ln=99$a$b"] {
            assert_eq!(Hash::parse(text).err(), Some(HashError::Malformed), "{text}");
        }
        for text in ["", "$", "$$", "secret", "$5", "$A$b", "US$5 and US$6"] {
            assert!(!is_hash(text), "{text}");
        }
    }

    #[test]
    fn hash_that_would_take_the_machines_memory_is_refused() {
        let text = HASHES[0].replace("m=64", "m=4194304");
        let bytes = 4 << 30;
        assert_eq!(Hash::parse(&text).err(), Some(HashError::TooCostly { bytes }));
    }
}
