//! What an invalidation names, and who asked for it.

use super::{Key, Tag};

/// Something that can be invalidated.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// Every entry that carries the tag.
    Tag(Tag),
    /// The entry of this key, with all its variants.
    Key(Key),
    /// Every page of this URL, with all its variants and whatever its key.
    Url(Box<str>),
    /// Every page of this configured site, whatever its key.
    Site(Box<str>),
    /// Every entry whose key begins with these bytes.
    Prefix(Key),
    /// Every entry there is.
    Everything,
}

impl Target {
    /// The field's short name for the kind of target, as the API and the journal write it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Tag(_) => "tag",
            Self::Key(_) => "key",
            Self::Url(_) => "url",
            Self::Site(_) => "site",
            Self::Prefix(_) => "prefix",
            Self::Everything => "everything",
        }
    }

    /// The name within the kind; empty for everything.
    pub fn name(&self) -> String {
        match self {
            Self::Tag(tag) => tag.as_str().to_owned(),
            Self::Key(key) | Self::Prefix(key) => key.to_text(),
            Self::Url(name) | Self::Site(name) => name.to_string(),
            Self::Everything => String::new(),
        }
    }
}

/// What becomes of the entries that an invalidation names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// Gone at once.
    #[default]
    Hard,
    /// Pages may be served stale while one request refreshes them; items are gone, because
    /// memcached's classic commands have no word for stale.
    Soft,
}

impl Mode {
    /// `hard` or `soft`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::Soft => "soft",
        }
    }
}

/// Who asked for an invalidation, for `explain` and the list of events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cause {
    /// A configured source; a front door: `memcached`, `api`, `pages`; or this server itself:
    /// `audit`, `fence`, `plugin <name>`.
    pub source: String,
    /// The event's id, where there is one.
    pub event_id: Option<String>,
    /// When it arrived, milliseconds since 1970.
    pub at_ms: u64,
    /// The source's own number of the event, where it counts.
    pub number: Option<u64>,
    /// Whether the event is applied a second time, after its source's delay.
    pub is_again: bool,
}

/// One acknowledged unit of invalidation: all its targets become wrong at one sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalidation {
    /// What is wrong now, each hard or soft.
    pub targets: Vec<(Target, Mode)>,
    /// Who said so.
    pub cause: Cause,
}
