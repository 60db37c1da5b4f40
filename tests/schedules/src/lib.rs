//! The cache under many random schedules: its own sources, with locks and atomics that let a
//! scheduler choose at every step which thread goes on.
//!
//! The "origin" is a version number. Writers raise it, invalidate, and note what was promised when
//! that is acknowledged. Readers note what is promised before they read, and must not get less.
//!
//! # Not here
//! Weak orderings of memory: this scheduler knows none; `tests/orderings` has the one pair that
//! relies on them.

#![allow(unused, missing_docs, unreachable_pub, reason = "the host's sources, used in part")]

#[path = "../../../host/src/cache/mod.rs"]
mod cache;
#[path = "../../../host/src/clock.rs"]
mod clock;
#[path = "../../../host/src/limits.rs"]
mod limits;
#[path = "../../../host/src/model/mod.rs"]
mod model;
mod sync;
mod world;

pub use world::{Race, run};
