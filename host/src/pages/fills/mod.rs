//! Fills: a miss becomes an answer of the origin, and that a page which others wait for or find.
//!
//! # Invariants
//! - What is stored, or handed to those who wait, passes the freshness rule with the claim of its
//!   fill.
//! - A fill ends, and releases those who wait for it, whatever its client does.
//!
//! # Not here
//! When a fill begins: `course::phase` and `background`. Which origin is asked: `origins`.

pub(super) mod fill;
pub(super) mod growing;
mod keep;
pub(super) mod offer;
mod revalidate;
pub(super) mod uncacheable;
