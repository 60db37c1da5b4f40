//! What plugins are shown and what they may decide.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use super::{Birth, Key, Mode, Tag, Target};

/// One piece of request data that a plugin declared and therefore sees.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Input {
    /// A request field, by lower-case name.
    Header(String),
    /// A cookie, by name.
    Cookie(String),
    /// A query parameter, by name.
    QueryParam(String),
}

/// The request as a plugin sees it: fixed parts and the inputs it declared, nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestView {
    /// Upper-case method.
    pub method: String,
    /// The authority that was asked for.
    pub host: String,
    /// Exact path bytes as forwarded.
    pub path: String,
    /// Query without the question mark.
    pub query: Option<String>,
    /// Values of the declared inputs, in the declared order.
    pub inputs: Vec<Option<String>>,
}

/// The response as a plugin sees it when it is about to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseView {
    /// The status code.
    pub status: u16,
    /// Lower-case names, values as text, every line.
    pub headers: Vec<(String, String)>,
    /// The body's length, where it was announced.
    pub body_bytes: Option<u32>,
}

/// What a plugin says about the key of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyDecision {
    /// The URL is the key.
    Default,
    /// This is the key.
    Custom(Key),
    /// Ask the origin and store nothing.
    Bypass,
}

/// What a plugin says about storing a page or an item.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoreDecision {
    /// `false`: answer the client and keep nothing.
    pub store: bool,
    /// Seconds it stays fresh; `None` leaves HTTP's or the client's own answer.
    pub ttl_s: Option<u32>,
    /// Seconds it may be served stale while it is refreshed.
    pub stale_while_revalidate_s: Option<u32>,
    /// Seconds it may be served stale while the origin fails.
    pub stale_if_error_s: Option<u32>,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// What a plugin wants done about an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make the target wrong.
    Invalidate(Target, Mode),
    /// Write a new value: better than deleting when the event carries it.
    Put {
        /// Where.
        key: Key,
        /// What.
        value: Vec<u8>,
        /// For how many seconds; `None` for ever.
        ttl_s: Option<u32>,
        /// Its tags; those of what was looked at are not among them.
        tags: Vec<Tag>,
        /// What it may have been computed from, beside the event.
        consulted: Arc<Consulted>,
    },
    /// Fetch the page of this URL anew.
    Refresh {
        /// `http://host/path?query`.
        url: String,
    },
}

/// An entry that a plugin looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The value of an item, the representation of a page.
    pub value: Bytes,
    /// memcached's client flags; 0 of a page.
    pub flags: u32,
    /// Milliseconds until it is gone; `None`: only eviction or an invalidation ends it.
    pub ttl_ms: Option<u64>,
    /// Milliseconds since it was stored; since its origin made it, of a page.
    pub age_ms: u64,
    /// The sequence its data is at least as new as.
    pub birth: Birth,
    /// What it is invalidated by: its key, its tags, a page's URL and site.
    pub targets: Vec<Target>,
}

/// What a call of a plugin has looked at in the cache: its answer may depend on all of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Consulted {
    /// The oldest birth of the entries; `None` where it has seen none.
    pub birth: Option<Birth>,
    /// What they are invalidated by.
    pub targets: BTreeSet<Target>,
}

impl Consulted {
    /// One more entry.
    pub fn add(&mut self, seen: &Seen) {
        self.birth = Some(self.birth.map_or(seen.birth, |birth| birth.oldest(seen.birth)));
        self.targets.extend(seen.targets.iter().cloned());
    }

    /// Whether one of the entries is of this target.
    pub fn is_of(&self, target: &Target) -> bool {
        match target {
            Target::Prefix(prefix) => {
                // The first key that is not before the prefix begins with it, if any does.
                let first = self.targets.range(Target::Key(prefix.clone())..).next();
                let is_under = |key: &Key| key.as_bytes().starts_with(prefix.as_bytes());
                matches!(first, Some(Target::Key(key)) if is_under(key))
            }
            Target::Everything => !self.targets.is_empty(),
            Target::Tag(_) | Target::Key(_) | Target::Url(_) | Target::Site(_) => {
                self.targets.contains(target)
            }
        }
    }

    /// Gives something that depends on the entries their tags, beside its own.
    pub fn add_tags_to(&self, tags: &mut Vec<Tag>) {
        let own: HashSet<Tag> = tags.iter().cloned().collect();
        tags.extend(self.tags().filter(|tag| !own.contains(tag)).cloned());
    }

    /// The tags of the entries.
    pub fn tags(&self) -> impl Iterator<Item = &Tag> {
        self.targets.iter().filter_map(|target| match target {
            Target::Tag(tag) => Some(tag),
            _ => None,
        })
    }
}
