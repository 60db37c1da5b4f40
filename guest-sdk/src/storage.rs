//! What a plugin says about storing a page or an item.
//!
//! # Invariants
//! - A time that is not named stays with the response's fields or with the client.
//!
//! # Not here
//! The limits of tags and times: the server checks them.

/// Whether, for how long and under which tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    pub(crate) store: bool,
    pub(crate) ttl_s: Option<u32>,
    pub(crate) stale_while_revalidate_s: Option<u32>,
    pub(crate) stale_if_error_s: Option<u32>,
    pub(crate) tags: Vec<String>,
}

impl Storage {
    /// Stored for as long as the response, or the client, says.
    pub fn keep() -> Self {
        Self {
            store: true,
            ttl_s: None,
            stale_while_revalidate_s: None,
            stale_if_error_s: None,
            tags: Vec::new(),
        }
    }

    /// Stored for this many seconds.
    pub fn ttl(seconds: u32) -> Self {
        Self { ttl_s: Some(seconds), ..Self::keep() }
    }

    /// The same with a time to live, or without one.
    #[must_use]
    pub fn maybe_ttl(self, seconds: Option<u32>) -> Self {
        Self { ttl_s: seconds, ..self }
    }

    /// The client is answered and nothing is stored.
    pub fn skip() -> Self {
        Self { store: false, ..Self::keep() }
    }

    /// For this many seconds longer it may be served while it is refreshed (RFC 5861 §3).
    #[must_use]
    pub fn stale_while_revalidate(self, seconds: u32) -> Self {
        Self { stale_while_revalidate_s: Some(seconds), ..self }
    }

    /// For this many seconds longer it may be served while the origin fails (RFC 5861 §4).
    #[must_use]
    pub fn stale_if_error(self, seconds: u32) -> Self {
        Self { stale_if_error_s: Some(seconds), ..self }
    }

    /// Adds a tag: 1 to 256 bytes without control characters. One with a space or a comma is for
    /// events and the API: most response fields take these for the end of a tag.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Adds tags.
    #[must_use]
    pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }
}
