//! The words of the design as types: keys, tags, sequences, entries, events, and what plugins
//! decide.
//!
//! # Invariants
//! - Values only: nothing here does I/O, reads a clock or takes a lock.
//! - A value that exists is within its limits; constructors check, nobody else has to.
//!
//! # Not here
//! How entries are stored and judged (`cache`), and how anything looks on a wire (the front doors).

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
pub use tag::{Tag, TagError};
pub use tag_fields::{
    CACHE_GROUP_INVALIDATION, CACHE_GROUPS, SURROGATE_KEY, VENDOR_TAG_FIELDS, groups_field,
    groups_of, tags_of,
};
pub use target::{Cause, Invalidation, Mode, Target};
