//! The course of a request: it is given an address, a site and a key, goes through the phases, and
//! becomes an answer.
//!
//! # Invariants
//! - Every request that a wire hands on is given one answer, and each answer has an outcome.
//! - What an answer to an unsafe method makes wrong is invalidated before it is sent.
//!
//! # Not here
//! HTTP's rules: `semantics`. What a miss leads to: `fills`.

pub(super) mod body;
mod items;
pub(super) mod key;
pub(super) mod pass;
pub(super) mod phase;
pub(super) mod purge;
pub(super) mod request;
pub(super) mod respond;
