//! What a plugin wants done about an event.
//!
//! # Invariants
//! - Values only; the server does them all at once, or none of them if one is not allowed.
//!
//! # Not here
//! Look-ups: an action names what is wrong, not where it is.

/// What is invalidated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Every entry that carries the tag.
    Tag(String),
    /// The entry of this key, with all its variants.
    Key(String),
    /// Every page of this URL, whatever its key: `http://host/path?query`.
    Url(String),
    /// Every entry whose key begins so.
    KeyPrefix(String),
    /// Every entry there is; refused unless the operator allows it.
    Everything,
}

/// What becomes of the entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Gone at once.
    Hard,
    /// Pages may be served stale while one request refreshes them; items are gone.
    Soft,
}

/// A value that the event itself brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewValue {
    pub(crate) key: String,
    pub(crate) value: Vec<u8>,
    pub(crate) ttl_s: Option<u32>,
    pub(crate) tags: Vec<String>,
}

impl NewValue {
    /// Written under this key, for ever and without tags.
    pub fn new(key: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Self { key: key.into(), value: value.into(), ttl_s: None, tags: Vec::new() }
    }

    /// Kept for this many seconds.
    #[must_use]
    pub fn ttl(self, seconds: u32) -> Self {
        Self { ttl_s: Some(seconds), ..self }
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }
}

/// One thing to do about an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make the target wrong.
    Invalidate(Target, Mode),
    /// Write a new value: better than deleting when the event carries it.
    Put(NewValue),
    /// Fetch the page of this URL anew.
    Refresh(String),
}

/// Everything that carries the tag is gone.
pub fn hard_tag(tag: impl Into<String>) -> Action {
    Action::Invalidate(Target::Tag(tag.into()), Mode::Hard)
}

/// Everything that carries the tag is stale.
pub fn soft_tag(tag: impl Into<String>) -> Action {
    Action::Invalidate(Target::Tag(tag.into()), Mode::Soft)
}

/// The entry of this key is gone.
pub fn hard_key(key: impl Into<String>) -> Action {
    Action::Invalidate(Target::Key(key.into()), Mode::Hard)
}

/// The entry of this key is stale.
pub fn soft_key(key: impl Into<String>) -> Action {
    Action::Invalidate(Target::Key(key.into()), Mode::Soft)
}

/// The pages of this URL are gone.
pub fn hard_url(url: impl Into<String>) -> Action {
    Action::Invalidate(Target::Url(url.into()), Mode::Hard)
}

/// The pages of this URL are stale.
pub fn soft_url(url: impl Into<String>) -> Action {
    Action::Invalidate(Target::Url(url.into()), Mode::Soft)
}

/// Every entry whose key begins so is gone. The server refuses an empty prefix:
/// [`hard_everything`] says that.
pub fn hard_prefix(prefix: impl Into<String>) -> Action {
    Action::Invalidate(Target::KeyPrefix(prefix.into()), Mode::Hard)
}

/// Every entry whose key begins so is stale. The server refuses an empty prefix:
/// [`soft_everything`] says that.
pub fn soft_prefix(prefix: impl Into<String>) -> Action {
    Action::Invalidate(Target::KeyPrefix(prefix.into()), Mode::Soft)
}

/// Everything is gone; the operator must have allowed it.
pub fn hard_everything() -> Action {
    Action::Invalidate(Target::Everything, Mode::Hard)
}

/// Everything is stale; the operator must have allowed it.
pub fn soft_everything() -> Action {
    Action::Invalidate(Target::Everything, Mode::Soft)
}

/// The value is written, if nothing newer can have been read: where the application numbers its
/// events (`data.seq`, rising) and this one has a higher number than all that came before it.
/// Otherwise the key is gone.
pub fn put(value: NewValue) -> Action {
    Action::Put(value)
}

/// The page of this URL is fetched anew.
pub fn refresh(url: impl Into<String>) -> Action {
    Action::Refresh(url.into())
}
