//! What clients can do to the cache, whatever protocol they say it in.
//!
//! Read `store` first: it is the one way by which clients' values come into the cache.
//!
//! # Invariants
//! - Counted here and nowhere else, so that `stats` means the same for every protocol.
//! - A miss is noted before its answer is known, and a store after it carries its claim.
//! - Keys have been checked by the protocol: 1 to 250 bytes.
//!
//! # Not here
//! Words, numbers and order of any protocol's answers.

mod arithmetic;
mod lease;
mod outdate;
mod removal;
mod retrieval;
mod stats;
mod store;

pub(super) use arithmetic::{Arithmetic, CountOutcome, Direction, Initial, count};
pub(super) use lease::{LookUp, Reading, Recaching, Seen, Step, look_up_leased};
pub(super) use outdate::{Outdating, Remnant, outdate};
pub(super) use removal::{DeleteOutcome, FlushOutcome, delete, flush};
pub(super) use retrieval::{inspect, look_up, look_up_and_touch, touch};
pub(super) use stats::{StatsTopic, stats};
pub(super) use store::{Outrun, StoreOutcome, Storing, Verb, refuse_too_large, store};
