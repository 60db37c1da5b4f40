//! The words of the server as types: keys, tags, sequences, entries, events, and what plugins
//! decide.
//!
//! # Invariants
//! - Values only: nothing here does I/O, reads a clock or takes a lock.
//! - A [`Key`] or [`Tag`] that exists is within its limits; how many there may be is checked where
//!   they are used.
//!
//! # Not here
//! How entries are stored and judged (`cache`). Of the wire there is only what several front doors
//! share: tags in HTTP fields, and the head of a page as a hit sends it.

mod audit;
mod durability;
mod entry;
mod event;
mod intent;
mod key;
mod policy;
mod sequence;
mod smoke;
mod tag;
mod tag_fields;
mod target;

pub use audit::{Audited, StalePage};
pub use durability::{Durability, WhenDegraded};
pub use entry::{Content, Expiry, Kind, PageHead, Staleness};
pub use event::{Event, Operation};
pub use intent::{Intent, Passage};
pub use key::{Key, KeyError};
pub use policy::{
    Action, Consulted, Input, KeyDecision, RequestView, ResponseView, Seen, StoreDecision,
};
pub use sequence::{Birth, Sequence};
pub use smoke::{ExpectedKey, SmokeCase};
pub use tag::{PLUGIN_TAG_PREFIX, Tag, TagError};
pub use tag_fields::{
    CACHE_GROUP_INVALIDATION, CACHE_GROUPS, SURROGATE_KEY, VENDOR_TAG_FIELDS, groups_field,
    groups_of, tags_of,
};
pub use target::{Cause, Invalidation, Mode, Target};
