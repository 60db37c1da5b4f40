//! Pages that the server fetches on its own: anew, because they are stale or an event asks for it,
//! and for comparison.
//!
//! # Invariants
//! - Clients come first: of what events ask for, few are fetched at a time, and no client waits for
//!   one that has not begun.
//!
//! # Not here
//! Which events ask for it: `events`. How a page is fetched and stored: `fills`.

mod audit;
pub(super) mod refresh;
