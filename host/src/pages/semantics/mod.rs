//! What HTTP says about fields, storing and reuse (RFC 9110, 9111, 9211, 9213, 9875, 5861), as
//! functions of what they are given.
//!
//! # Invariants
//! - Pure: no clock, no I/O, no state. The time is an argument.
//! - What can't be understood never makes a page fresher, nor shares it with more clients.
//!
//! # Not here
//! When a rule is asked, and what follows from it: `course` and `fills`.

pub(super) mod cache_status;
pub(super) mod conditional;
mod dates;
pub(super) mod directives;
pub(super) mod fields;
pub(super) mod forward;
pub(super) mod freshening;
pub(super) mod freshness;
pub(super) mod negotiation;
pub(super) mod range;
pub(super) mod reuse;
mod status;
pub(super) mod storable;
pub(super) mod tags;
mod targeted;
pub(super) mod vary;
