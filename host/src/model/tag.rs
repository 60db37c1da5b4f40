//! A name on entries by which they are invalidated together.

use std::fmt;
use std::sync::Arc;

use crate::limits::TAG_BYTES_MAX;

/// How the tag begins that an entry has of a plugin which has decided about it; the plugin's mark
/// follows, `name/epoch`.
pub const PLUGIN_TAG_PREFIX: &str = "plugin:";

/// A tag: 1 to [`TAG_BYTES_MAX`] bytes of text without control characters. Compared byte by byte.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Arc<str>);

/// Why text is not a [`Tag`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// No text at all.
    #[error("tag is empty")]
    Empty,
    /// More bytes than [`TAG_BYTES_MAX`].
    #[error("tag is {bytes} bytes; limit is {TAG_BYTES_MAX}")]
    TooLong {
        /// How long it was.
        bytes: usize,
    },
    /// A control character, which no header field could carry.
    #[error("tag {tag:?} contains the control character {found:?}")]
    Control {
        /// The text as given.
        tag: String,
        /// The first such character.
        found: char,
    },
    /// A field that should hold tags is not text, or not a list.
    #[error("{field} is not a list of tags")]
    Malformed {
        /// The field's name.
        field: String,
    },
}

impl Tag {
    /// Checks length and characters and copies the text.
    pub fn new(text: &str) -> Result<Self, TagError> {
        if text.is_empty() {
            return Err(TagError::Empty);
        }
        if text.len() > TAG_BYTES_MAX {
            return Err(TagError::TooLong { bytes: text.len() });
        }
        if let Some(found) = text.chars().find(|c| c.is_control()) {
            return Err(TagError::Control { tag: text.to_owned(), found });
        }
        Ok(Self(text.into()))
    }

    /// The text as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({})", self.0)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
