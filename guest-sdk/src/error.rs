//! Why a hook has no answer.
//!
//! # Invariants
//! - Any error of a library becomes one by `?`; the server shows its text and applies its policy.
//!
//! # Not here
//! Panics: they cost the instance, errors don't.

use std::fmt;

/// Why a hook has no answer, as text for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(String);

/// What hooks return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of the plugin's own.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// For `?`. `Error` itself is no `std::error::Error`, or this would contradict `From<T> for T`.
impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}
