//! The name of an entry: the one key space that every protocol shares.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use crate::limits::KEY_BYTES_MAX;

/// The name under which an entry is stored: 1 to [`KEY_BYTES_MAX`] bytes, cheap to clone.
///
/// memcached's own limit of 250 bytes is a rule of that protocol and checked there; pages use
/// whole URLs as keys.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<[u8]>);

/// Why bytes are not a [`Key`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No bytes at all.
    #[error("key is empty")]
    Empty,
    /// More bytes than [`KEY_BYTES_MAX`].
    #[error("key is {bytes} bytes; limit is {KEY_BYTES_MAX}")]
    TooLong {
        /// How long it was.
        bytes: usize,
    },
}

impl Key {
    /// Checks the length and copies the bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, KeyError> {
        match bytes.len() {
            0 => Err(KeyError::Empty),
            1..=KEY_BYTES_MAX => Ok(Self(bytes.into())),
            bytes => Err(KeyError::TooLong { bytes }),
        }
    }

    /// The bytes as given.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key as text; bytes that are not UTF-8 are replaced.
    pub fn to_text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

/// Lets the store be asked with borrowed bytes; the derived `Hash` and `Eq` are those of the bytes.
impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0.escape_ascii())
    }
}
