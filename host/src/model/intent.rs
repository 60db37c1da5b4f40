//! A change that is announced before it is made.

/// An announced change. From its acknowledgement to its end nothing that it names is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// Tells it from all others: `source/id`.
    pub name: String,
    /// When it ends if nobody ends it, milliseconds since 1970.
    pub until_ms: u64,
}

/// What becomes, beside being wrong, of what an invalidation names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Passage {
    /// Nothing.
    #[default]
    Unchanged,
    /// It is shut: nothing that depends on it is kept.
    Shut(Intent),
    /// The intent of this name ends, and what it has shut is open again.
    Open(String),
    /// Everything will be wrong at this moment, milliseconds since 1970; in place of any moment
    /// before.
    FlushAt(u64),
    /// What was to be wrong at a moment up to this one is wrong now.
    Flushed(u64),
}
